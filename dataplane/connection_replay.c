/*
 * From one channel to the next: what the old one had sent, what the new one sends again, and which octets of the log
 * TCP needs while it does.
 *
 *     ids   settled_id                transmitted_id        handed_id           committed_id
 *              | pending: sent again,    | given to a stream,  | not given to any  |
 *              | with the duplicate flag | never on the wire   | yet: they follow  |
 */
#include <assert.h>

#include "dataplane/connection_internal.h"

/* Extents left to control frames: replayed messages may lie apart in the log, each in an extent of its own. */
#define EXTENTS_SPARE 8u

/* Where the first message lies that no stream has been given yet. */
static uint64_t first_new_pos(const struct confirms *confirms)
{
	if (confirms->handed_id == confirms->settled_id)
		return confirms->settled_pos;
	const struct message *last = message_at(confirms->index, confirms->handed_id - 1);
	return last->pos + last->len;
}

/* What has been given up gets its outcomes first: they are told in order, and PUBLISHING knows nothing of them. */
static void seek_replay(struct connection *c, uint32_t *records)
{
	struct confirms *confirms = &c->confirms;
	if (!confirms_behind(confirms) && !confirms_replay_due(confirms, records) && confirms_replay_over(confirms))
		connection_enter(c, CONNECTION_PUBLISHING);
}

void connection_start_channel(struct connection *c)
{
	const struct extent_queue *tx = &c->stream->tx;
	confirms_start(&c->confirms);
	c->channel_open = true;
	c->channel_start = tx->freed[EXTENT_LOG] + extents_count(tx, tx->start, EXTENT_LOG);
	c->acked_tag = 1;
	c->acked_octets = 0;
	c->first_new_pos = first_new_pos(&c->confirms);
	c->walking = true;
	connection_enter(c, CONNECTION_REPLAYING);
	uint32_t records = c->options.walk_records;
	seek_replay(c, &records);
	connection_walk_acked(c); /* often there is nothing to walk */
}

/* ---- sending again ---- */

/*
 * Nothing else in the log ever changes. A message without an outcome keeps its template alive. Of a channel that was
 * closed on this stream a copy may still be in flight, and be retransmitted with the flag: the broker drops that one.
 */
static void set_duplicate(struct connection *c, const struct message *m)
{
	const struct amqp_template *t = c->publisher->templates[m->template_id];
	assert(t);
	if (t->duplicate_at)
		*log_at(&c->publisher->log, m->pos + t->duplicate_at) = 1;
}

static bool extents_left(const struct connection *c)
{
	return c->stream->tx.tail - c->stream->tx.head < EXTENTS_MAX - EXTENTS_SPARE;
}

bool connection_replay(struct connection *c, uint32_t *records)
{
	struct confirms *confirms = &c->confirms;
	assert(*records == 0 || !confirms_behind(confirms));
	uint64_t budget = c->blocked ? 0 : c->ops->may_push(c->stream);
	uint64_t id, last = 0, again = 0;
	while (budget > 0 && extents_left(c) && (id = confirms_replay_due(confirms, records)) != 0) {
		const struct message *m = message_at(confirms->index, id);
		if (id < confirms->transmitted_id) {
			set_duplicate(c, m);
			again++;
		}
		extents_push(&c->stream->tx, log_at(&c->publisher->log, m->pos), m->len, EXTENT_LOG);
		confirms_replay(confirms);
		budget -= m->len < budget ? m->len : budget;
		last = id;
	}
	if (last >= c->wired_id)
		connection_mark_wire(c, c->stream->tx.end, last + 1);
	if (again)
		publisher_count_replayed(c->publisher, again);
	seek_replay(c, records);
	return last != 0 || *records == 0;
}

/* ---- what TCP has let go of ---- */

uint64_t connection_walk_acked(struct connection *c)
{
	const struct confirms *confirms = &c->confirms;
	uint64_t freed = c->stream->tx.freed[EXTENT_LOG];
	if (freed < c->channel_start) /* octets of the old channel are still in flight */
		return atomic_load_explicit(&c->publisher->released_pos, memory_order_relaxed);
	uint64_t acked = freed - c->channel_start;
	const struct replayed *r;
	for (; c->acked_tag <= confirms->replayed; c->acked_tag++) {
		r = &confirms->replay[c->acked_tag & confirms->index->mask];
		if (r->len > acked - c->acked_octets)
			return r->pos;
		c->acked_octets += r->len;
	}
	if (confirms->replay_id < confirms->first_new_id)
		return UINT64_MAX; /* nothing is in flight; what is still to be sent again has no outcome */
	/* New messages lie one behind the other. */
	c->walking = false;
	c->log_start = c->first_new_pos - c->channel_start - c->acked_octets;
	return c->log_start + freed;
}

/* ---- the end of a channel ---- */

/* The first message that is neither settled nor given up. */
static uint64_t behind_given_up(const struct confirms *confirms)
{
	return confirms->settled_id > confirms->given_up_id ? confirms->settled_id : confirms->given_up_id;
}

struct channel_end connection_end_channel(struct connection *c, bool stream_goes_on, bool lost)
{
	struct confirms *confirms = &c->confirms;
	/* What we have given up ourselves shows nothing of what the broker is good for. */
	struct channel_end end = {.oldest_id = behind_given_up(confirms),
				  .outcomes = confirms_outcomes(confirms) - confirms->outcomes[OUTCOME_LOST]};
	if (!c->channel_open)
		return end;
	c->channel_open = false;
	const struct extent_queue *tx = &c->stream->tx;
	uint64_t sent = c->ops->sent(c->stream);
	uint64_t unsent = extents_count(tx, sent < tx->end ? sent : tx->end, EXTENT_LOG);
	uint64_t unsent_tag = confirms_unsent_tag(confirms, unsent);
	end.oldest_sent = confirms->low_tag < unsent_tag; /* a channel begins with the oldest: low_tag is its tag */
	uint64_t behind_sent = unsent_tag > 1 ? confirms_id(confirms, unsent_tag - 1) + 1 : 0;
	confirms_note_transmitted(confirms, stream_goes_on ? confirms->next_tag : unsent_tag);
	if (c->options.at_most_once && lost) {
		uint32_t records = c->options.walk_records;
		confirms_lose(confirms, behind_sent);
		confirms_catch_up(confirms, &records);
		if (c->wired_id < behind_given_up(confirms))
			c->wired_id = behind_given_up(confirms); /* there is no time to stamp them with */
	}
	return end;
}
