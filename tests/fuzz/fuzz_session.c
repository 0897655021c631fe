/*
 * What the control side decodes with rabbitmq-c, without a socket: a close that is made a sentence, and messages that a
 * consumer is sent, down to the account of gaps and duplicates. The first octet chooses; the rest are frames, loose or
 * built (with properties of any kind), and mutations of them.
 */
#include <string.h>

#include "control/session/delivery.h"
#include "control/session/session.h"
#include "control/session/verify.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "tests/fuzz/fuzz.h"

#define FRAMES_MAX 65536u
#define FRAME_MAX  131072
#define NOW_NS     1700000000000000000ull

/* ---- a close ---- */

static void check_text(const char *text, size_t cap)
{
	size_t len = strnlen(text, cap);
	REQUIRE(len < cap);
	for (size_t i = 0; i < len; i++)
		REQUIRE((uint8_t)text[i] >= 0x20 && text[i] != 0x7f);
}

static size_t build_close(struct script *s, uint8_t *frame, size_t cap)
{
	size_t len;
	uint32_t how = take(s, 1);
	struct writer w = writer_over(frame, cap);
	const uint8_t claimed = (uint8_t)take(s, 1);
	writer_u8(&w, 1);
	writer_be16(&w, how & 1);
	writer_be32(&w, 0);
	writer_be32(&w, how & 1 ? AMQP_CHANNEL_CLOSE_METHOD : AMQP_CONNECTION_CLOSE_METHOD);
	writer_be16(&w, (uint16_t)take(s, 2));
	const uint8_t *text = take_octets(s, claimed, &len);
	writer_u8(&w, how & 2 ? claimed : (uint8_t)len);
	writer_bytes(&w, text, len);
	writer_be32(&w, 0x003c0028);
	writer_u8(&w, AMQP_FRAME_END);
	REQUIRE(!w.failed);
	put_be32(frame + 3, (uint32_t)writer_len(&w) - 8);
	return writer_len(&w);
}

static void describe(struct script *s, bool built)
{
	uint8_t close[512];
	size_t len, cap = 1 + take(s, 2) % SESSION_TEXT_MAX;
	const uint8_t *octets;
	if (built) {
		len = build_close(s, close, sizeof close);
		octets = close;
	} else {
		octets = take_octets(s, s->left, &len);
	}
	uint8_t *frame = malloc(len ? len : 1);
	char *text = malloc(cap); /* both of their own, so that the sanitizer sees any step beyond them */
	memcpy(frame, octets, len);
	uint16_t code = session_describe_close(frame, len, text, cap);
	check_text(text, cap);
	if (code == 0 && !(len >= 13 && get_be16(frame + 11) == 0))
		REQUIRE(text[0] == '\0');
	free(frame);
	free(text);
}

/* ---- deliveries ---- */

struct frames {
	uint8_t octets[FRAMES_MAX];
	size_t len;
};

static size_t begin(struct frames *f, uint8_t type)
{
	struct writer w = writer_over(f->octets + f->len, FRAMES_MAX - f->len);
	writer_u8(&w, type);
	writer_be16(&w, 1);
	writer_be32(&w, 0);
	f->len += writer_len(&w);
	return f->len;
}

static void finish(struct frames *f, size_t at, const struct writer *payload)
{
	f->len += writer_len(payload);
	put_be32(f->octets + at - 4, (uint32_t)writer_len(payload));
	f->octets[f->len++] = AMQP_FRAME_END;
}

static void short_string(struct writer *w, struct script *s)
{
	size_t len;
	const uint8_t *octets = take_octets(s, take(s, 1), &len);
	writer_u8(w, (uint8_t)len);
	writer_bytes(w, octets, len);
}

static void deliver(struct frames *f, struct script *s)
{
	size_t at = begin(f, AMQP_FRAME_METHOD);
	struct writer w = writer_over(f->octets + at, 1024);
	writer_be32(&w, AMQP_BASIC_DELIVER_METHOD);
	short_string(&w, s);
	writer_be64(&w, take(s, 1));
	writer_u8(&w, take(s, 1) & 1);
	short_string(&w, s);
	short_string(&w, s);
	finish(f, at, &w);
}

/* One of the headers a consumer looks for, or any, with a value of any kind. */
static void field(struct writer *w, struct script *s)
{
	static const char *const names[] = {"harewire-seq", "harewire-epoch", "harewire-time", "harewire-dup"};
	static const char kinds[] = "tbBsuIiLlTSxFAVdfD";
	uint32_t how = take(s, 1);
	size_t len;
	if (how & 4) {
		short_string(w, s);
	} else {
		writer_u8(w, (uint8_t)strlen(names[how & 3]));
		writer_bytes(w, names[how & 3], strlen(names[how & 3]));
	}
	writer_u8(w, how & 8 ? 'l' : (uint8_t)kinds[take(s, 1) % (sizeof kinds - 1)]);
	if (how & 16) {
		writer_be64(w, take(s, 1));
		return;
	}
	const uint8_t *value = take_octets(s, take(s, 1) & 31, &len);
	writer_bytes(w, value, len);
}

static void header(struct frames *f, struct script *s)
{
	uint32_t how = take(s, 1);
	uint64_t body_bytes = how & 1 ? (uint64_t)take(s, 4) << 16 : take(s, 1);
	size_t at = begin(f, AMQP_FRAME_HEADER);
	struct writer w = writer_over(f->octets + at, 8192);
	writer_be16(&w, how & 2 ? (uint16_t)take(s, 2) : AMQP_BASIC_CLASS);
	writer_be16(&w, 0);
	writer_be64(&w, body_bytes);
	writer_be16(&w, (uint16_t)(AMQP_BASIC_HEADERS_FLAG | (how & 4 ? AMQP_BASIC_MESSAGE_ID_FLAG : 0) |
				   (how & 8 ? AMQP_BASIC_TIMESTAMP_FLAG : 0)));
	size_t table = writer_len(&w);
	writer_be32(&w, 0);
	for (uint32_t i = 0; i < how >> 5; i++)
		field(&w, s);
	if (!w.failed)
		put_be32(f->octets + at + table, (uint32_t)(writer_len(&w) - table - 4) + (how & 16 ? take(s, 1) : 0));
	if (how & 4)
		short_string(&w, s);
	if (how & 8)
		writer_be64(&w, take(s, 4));
	finish(f, at, &w);
}

static void body(struct frames *f, struct script *s)
{
	size_t at = begin(f, AMQP_FRAME_BODY);
	struct writer w = writer_over(f->octets + at, 256);
	for (uint32_t i = take(s, 1); i; i--)
		writer_u8(&w, 'x');
	finish(f, at, &w);
}

static void build_frames(struct frames *f, struct script *s)
{
	while (s->left && f->len < FRAMES_MAX - 16384) {
		uint32_t op = take(s, 1);
		size_t before = f->len, len;
		const uint8_t *octets;
		switch (op & 7) {
		case 0:
		case 1:
			deliver(f, s);
			break;
		case 2:
		case 3:
			header(f, s);
			break;
		case 4:
		case 5:
			body(f, s);
			break;
		case 6: /* a whole message */
			deliver(f, s);
			header(f, s);
			body(f, s);
			break;
		default:
			octets = take_octets(s, take(s, 1), &len);
			memcpy(f->octets + f->len, octets, len);
			f->len += len;
		}
		if (op & 128 && f->len > before)
			f->octets[before + take(s, 2) % (f->len - before)] = (uint8_t)take(s, 1);
	}
}

static void check_delivery(const struct delivery_reader *r)
{
	const struct delivery *d = &r->current;
	REQUIRE(strlen(d->exchange) < DELIVERY_NAME_BYTES && strlen(d->routing_key) < DELIVERY_NAME_BYTES);
	REQUIRE(!d->message_id || strlen(d->message_id) < DELIVERY_NAME_BYTES);
	REQUIRE(d->body_len <= FRAMES_MAX);
	uint8_t *copy = malloc(d->body_len ? d->body_len : 1);
	memcpy(copy, d->body, d->body_len);
	free(copy);
}

static void check_account(const struct verify *v, uint64_t messages)
{
	struct verify_report sum;
	verify_summarize(v, &sum);
	REQUIRE(sum.received == messages && sum.epochs <= VERIFY_EPOCHS_MAX);
	REQUIRE(sum.duplicates <= messages && sum.disorder <= messages && sum.unsequenced <= messages);
	if (verify_clean(&sum))
		REQUIRE(sum.gaps == 0 && sum.duplicates == 0 && sum.disorder == 0);
}

/* As consumer.c does, but for the socket. */
static void consume(const uint8_t *octets, size_t len)
{
	static struct verify v;
	static const char greeting[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
	struct delivery_reader reader = {0};
	amqp_connection_state_t conn = amqp_new_connection();
	amqp_frame_t frame;
	uint64_t messages = 0;
	int result = 0;
	REQUIRE(conn && amqp_handle_input(conn, (amqp_bytes_t){8, (void *)greeting}, &frame) == 8);
	REQUIRE(amqp_tune_connection(conn, 0, FRAME_MAX, 0) == AMQP_STATUS_OK);
	verify_init(&v, false);
	while (len > 0 && result >= 0) {
		int used = amqp_handle_input(conn, (amqp_bytes_t){len, (void *)octets}, &frame);
		if (used <= 0)
			break;
		octets += used;
		len -= (size_t)used;
		if (frame.frame_type == 0)
			continue;
		result = delivery_take(&reader, &frame);
		REQUIRE(result < 0 || reader.buffer_len <= reader.body_size || reader.stage != DELIVERY_BODY);
		if (result == 1) {
			const struct delivery *d = &reader.current;
			const struct verify_message m = {.sequenced = d->has_sequence && d->has_epoch,
							 .sequence = d->sequence,
							 .epoch = d->epoch,
							 .redelivered = d->redelivered,
							 .flagged = d->duplicate,
							 .send_time_ns = d->has_send_time ? d->send_time_ns : 0};
			check_delivery(&reader);
			REQUIRE(verify_add(&v, &m, NOW_NS) == 0);
			check_account(&v, ++messages);
		}
	}
	verify_fini(&v);
	delivery_reader_fini(&reader);
	amqp_destroy_connection(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frames frames;
	struct script s = {data, size};
	uint32_t how = take(&s, 1);
	if (how & 1) {
		describe(&s, how & 2);
		return 0;
	}
	frames.len = 0;
	build_frames(&frames, &s);
	uint8_t *octets = malloc(frames.len ? frames.len : 1);
	memcpy(octets, frames.octets, frames.len);
	consume(octets, frames.len);
	free(octets);
	return 0;
}
