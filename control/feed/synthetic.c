#include "control/feed/synthetic.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/feed/iex_message.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define START_NS      1514903400000000000u /* 2018-01-02 14:30 UTC: a market opens */
#define MEAN_STEP_NS  20000u
#define PRICE_UNIT    10000u /* DEEP prices have four decimals */
#define PRICE_TICK    100u
#define LONGEST_BYTES 38u
#define START_EVENTS  3u /* system events before everything else */

struct instrument {
	uint8_t symbol[FEED_SYMBOL_MAX];
	uint32_t price_ticks;
};

struct synthetic_feed {
	struct feed feed;
	uint64_t random;
	uint64_t now_ns;
	uint64_t left;
	uint64_t sequence;
	uint64_t trade_id;
	uint32_t instrument_count;
	uint8_t bytes[LONGEST_BYTES];
	struct instrument instruments[];
};

/* splitmix64: every seed is a good one */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static uint32_t random_below(struct synthetic_feed *f, uint32_t bound)
{
	return (uint32_t)((next_random(&f->random) >> 32) * bound >> 32);
}

/* Popularity falls with the index, about as 1/sqrt: squaring a uniform draw favours the low ones. */
static struct instrument *pick_instrument(struct synthetic_feed *f)
{
	uint64_t r = next_random(&f->random) >> 32;
	return &f->instruments[(r * r >> 32) * f->instrument_count >> 32];
}

/* A, B, ... Z, AA, ...; every 16th is a share class ("XY.B"), as real symbols are. */
static void name_instrument(struct instrument *in, uint32_t index)
{
	char reversed[FEED_SYMBOL_MAX];
	uint32_t n = 0, at = 0;

	memset(in->symbol, ' ', sizeof in->symbol);
	for (uint32_t left = index + 1; left; left = (left - 1) / 26)
		reversed[n++] = (char)('A' + (left - 1) % 26);
	while (n)
		in->symbol[at++] = (uint8_t)reversed[--n];
	if (index % 16 == 15) {
		in->symbol[at++] = '.';
		in->symbol[at] = 'B';
	}
}

static uint32_t write_head(struct synthetic_feed *f, char type, uint8_t flags, const struct instrument *in)
{
	f->bytes[0] = (uint8_t)type;
	f->bytes[1] = flags;
	put_le64(f->bytes + IEX_TIMESTAMP_AT, f->now_ns);
	if (!in)
		return IEX_SYMBOL_AT;
	memcpy(f->bytes + IEX_SYMBOL_AT, in->symbol, FEED_SYMBOL_MAX);
	return IEX_SYMBOL_AT + FEED_SYMBOL_MAX;
}

static uint32_t write_size_and_price(struct synthetic_feed *f, uint32_t at, struct instrument *in, uint32_t lots)
{
	uint32_t step = random_below(f, 3);

	if (step == 0 && in->price_ticks > PRICE_UNIT / PRICE_TICK)
		in->price_ticks--;
	else if (step == 2)
		in->price_ticks++;
	put_le32(f->bytes + at, lots * 100);
	put_le64(f->bytes + at + 4, (uint64_t)in->price_ticks * PRICE_TICK);
	return at + 12;
}

/* Message layouts and their shares of a trading day: DEEP 1.0 specification; the shares are rough. */
static uint32_t write_message(struct synthetic_feed *f)
{
	uint32_t draw = random_below(f, 1000);
	struct instrument *in = pick_instrument(f);
	uint32_t at;

	if (draw < 840) { /* price level update, buy and sell side; size 0 removes the level */
		at = write_head(f, draw < 420 ? '8' : '5', 1, in);
		return write_size_and_price(f, at, in, random_below(f, 20));
	}
	if (draw < 970) { /* trade report */
		at = write_head(f, 'T', 0, in);
		at = write_size_and_price(f, at, in, 1 + random_below(f, 10));
		put_le64(f->bytes + at, ++f->trade_id);
		return at + 8;
	}
	if (draw < 980) { /* trading status, with a reason of four characters */
		at = write_head(f, 'H', 'T', in);
		memcpy(f->bytes + at, "    ", 4);
		return at + 4;
	}
	if (draw < 990) /* operational halt status */
		return write_head(f, 'O', 'N', in);
	if (draw < 997) { /* short sale price test status, with its detail */
		at = write_head(f, 'P', 0, in);
		f->bytes[at] = ' ';
		return at + 1;
	}
	return write_head(f, 'E', 'T', in); /* security event: open for trading */
}

static int synthetic_next(struct feed *feed, struct feed_message *message)
{
	struct synthetic_feed *f = (struct synthetic_feed *)feed;
	static const uint8_t start_events[START_EVENTS] = {'O', 'S', 'R'}; /* messages, system hours, market hours */

	if (!f->left)
		return 0;
	f->left--;
	f->sequence++;
	f->now_ns += 1 + random_below(f, 2 * MEAN_STEP_NS);
	uint32_t len = f->sequence <= START_EVENTS
			       ? write_head(f, IEX_TYPE_SYSTEM_EVENT, start_events[f->sequence - 1], NULL)
			       : write_message(f);

	iex_message_read(f->bytes, len, message);
	message->kind = FEED_DEEP;
	message->channel = 1;
	message->time_ns = f->now_ns;
	message->sequence = f->sequence;
	feed->figures.messages++;
	return 1;
}

static void synthetic_destroy(struct feed *feed)
{
	free(feed);
}

int synthetic_feed_create(const struct synthetic_options *options, struct feed **out)
{
	static const struct feed_ops ops = {synthetic_next, synthetic_destroy};
	struct synthetic_feed *f;

	if (!options->symbols || options->symbols > SYNTHETIC_SYMBOLS_MAX)
		return HW_ERR_INVALID;
	f = calloc(1, sizeof *f + options->symbols * sizeof f->instruments[0]);
	if (!f)
		return HW_ERR_NOMEM;
	f->feed.ops = &ops;
	f->random = options->seed;
	f->now_ns = START_NS;
	f->left = options->count;
	f->instrument_count = options->symbols;
	for (uint32_t i = 0; i < f->instrument_count; i++) {
		name_instrument(&f->instruments[i], i);
		f->instruments[i].price_ticks = (5 + random_below(f, 300)) * (PRICE_UNIT / PRICE_TICK);
	}
	*out = &f->feed;
	return 0;
}
