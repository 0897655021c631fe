/*
 * Brokers that say anything to a publisher with messages in flight: acks and nacks of any tag, returns, alarms, closes,
 * unknown methods and loose octets, cut anywhere, while the application publishes, polls and closes, TCP acks what it
 * likes, connections and channels are lost and made again, and control does its part. Every accepted message has to
 * come out with exactly one outcome, in order, and one that a broker has really said; what is sent again is what
 * tests/fuzz/copies.h demands, and TCP finds every octet that it may need as it was.
 */
#include <stdio.h>
#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/connection.h"
#include "dataplane/publisher.h"
#include "tests/fuzz/copies.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/fake_transport.h"

#define FRAME_MAX    4096u
#define LOG_BYTES    65536u
#define MESSAGES     64u
#define IDS_MAX      COPIES_IDS
#define CONFIRMS_MAX 4096u
#define EPOCH        7u
#define TEMPLATES    4u
#define SENT_MAX     (FAKE_BYTES / 2)
#define RECEIVED_MAX (FAKE_BYTES / 2)
#define WORDS_MAX    65536u
#define TURN_NS      1000000u
#define START_NS                                                                                                       \
	(1ull << 62) /* later than any clock: a publisher's close has a deadline that is over or never comes           \
		      */

/* What a broker has said of a message. */
enum { SAID_ACK = 1, SAID_NACK = 2, SAID_RETURN = 4 };

/* A confirm among the words that are on their way. */
struct said_confirm {
	uint64_t tag;
	bool multiple, nack;
};

struct world {
	struct clock_scale clock;
	struct fake_transport net;
	struct spsc events;
	struct harewire_publisher *publisher;
	struct connection *connection;
	struct stream_address address;
	uint64_t now_ns;
	uint32_t generation;
	bool gone;         /* EVENT_CLOSED has come */
	bool orderly;      /* by our own goodbye */
	bool ended;        /* the publisher has been told of its end */
	bool last;         /* its last event has been polled */
	bool channel_open; /* messages are in the hands of a channel */
	bool heard_close;  /* control has a close to make a sentence of */
	bool tainted;      /* loose octets were sent: anything may have been said */
	bool reopening;    /* the broker has closed the channel, control opens another */
	uint64_t next_event_id;
	struct copies copies;
	uint32_t confirm_count;
	uint32_t outcomes[HAREWIRE_EVENT_DISCONNECTED + 1];
	uint8_t said[IDS_MAX];
	uint16_t return_code;
	uint32_t words_len;
	uint8_t words[WORDS_MAX]; /* of the broker's, on their way; from here on: not worth clearing */
	struct said_confirm confirms[CONFIRMS_MAX];
};

/* ---- control ---- */

/* What lies in the bridge is whole frames. */
static void read_bridge(struct world *w)
{
	struct byte_ring *ring = &w->connection->bridge.to_control;
	uint8_t head[11], end;
	uint32_t held;
	while ((held = byte_ring_held(ring)) > 0) {
		REQUIRE(held >= 8);
		byte_ring_peek(ring, 0, head, held < sizeof head ? held : sizeof head);
		uint32_t len = get_be32(head + 3), method = len >= 4 ? get_be32(head + 7) : 0;
		if (head[0] == FRAME_METHOD && (method == AMQP_CONNECTION_CLOSE || method == AMQP_CHANNEL_CLOSE))
			w->heard_close = true;
		REQUIRE(len <= FRAME_BUFFER_BYTES - 8 && held - 8 >= len);
		byte_ring_peek(ring, 7 + len, &end, 1);
		REQUIRE(end == AMQP_FRAME_END);
		byte_ring_consume(ring, 8 + len);
	}
}

static void open_connection(struct world *w)
{
	w->gone = w->heard_close = w->reopening = false;
	w->words_len = w->confirm_count = 0;
	copies_stream(&w->copies);
	connection_open(w->connection, w->net.transport.streams[0], &w->address, ++w->generation, w->now_ns);
}

static uint64_t behind_given_up(const struct confirms *c)
{
	return c->settled_id > c->given_up_id ? c->settled_id : c->given_up_id;
}

/* The stream or the channel is over: its oldest message, and whether it had sent any of that. */
static void hear_end(struct world *w, const struct worker_event *e, bool channel_open)
{
	const struct fake_stream *f = &w->net.streams[0];
	const struct copies *c = &w->copies;
	uint64_t in_part = 0; /* what remains of it follows: the stream goes on */
	bool sure;
	if (e->type == EVENT_CLOSED) {
		copies_stream_over(&w->copies, f->sent, f->sent_len, &w->connection->confirms, channel_open);
	} else {
		copies_read(&w->copies, f->sent, f->sent_len, &w->connection->confirms, channel_open);
		in_part = copies_in_part(c, f->sent, f->sent_len, &w->connection->confirms, &sure);
	}
	REQUIRE(e->oldest_id >= 1 && e->oldest_id <= behind_given_up(&w->connection->confirms));
	REQUIRE(e->outcomes < atomic_load(&w->publisher->committed_id));
	REQUIRE(!e->oldest_sent || c->on_wire[e->oldest_id] || c->maybe[e->oldest_id] || in_part == e->oldest_id);
	if (channel_open && c->closes_due <= 0 && !c->done[e->oldest_id] && c->last_id >= e->oldest_id)
		REQUIRE(e->oldest_sent);
}

static void hear_events(struct world *w)
{
	const struct worker_event *e;
	for (; (e = spsc_peek(&w->events)) != NULL; spsc_pop(&w->events)) {
		REQUIRE(e->connection == w->connection && e->generation == w->generation);
		if (e->type == EVENT_CLOSED) {
			REQUIRE(!w->gone && w->connection->phase == CONNECTION_IDLE);
			w->gone = true;
			w->orderly = e->code == 0;
			read_bridge(w);
			REQUIRE(!e->reply_code || w->heard_close);
			hear_end(w, e, w->channel_open);
			w->channel_open = false;
		} else if (e->type == EVENT_ENDED) {
			REQUIRE(w->ended);
		} else if (e->type == EVENT_CHANNEL_CLOSED) {
			REQUIRE(!w->gone && w->channel_open);
			read_bridge(w);
			REQUIRE(w->heard_close);
			w->reopening = true;
			w->channel_open = false;
			hear_end(w, e, true);
			copies_channel_closed(&w->copies, &w->connection->confirms);
		} else {
			REQUIRE(e->type == EVENT_CONNECTED && !w->gone);
		}
	}
}

/* The connection is lost: control makes another, or ends the publisher. */
static void after_the_end(struct world *w, bool again, int code)
{
	if (!w->gone || w->ended)
		return;
	if (again && !w->orderly) { /* behind our goodbye there is no other */
		open_connection(w);
		return;
	}
	w->ended = true;
	code = w->orderly ? 0 : code;
	connection_end_publisher(w->connection, code, code ? "lost" : NULL);
}

static void hand_over(struct world *w)
{
	const struct command_hand_over how = {.heartbeat_ns = 10000000000u, .frame_max = FRAME_MAX, .channel = 1};
	if (w->connection->phase != CONNECTION_HANDSHAKE)
		return;
	read_bridge(w);
	if (w->net.streams[0].sent_len > SENT_MAX) { /* the stream's memory is not endless */
		connection_abort(w->connection, HW_ERR_CONN_ABORTED, w->now_ns);
		return;
	}
	copies_channel(&w->copies, &w->connection->confirms);
	connection_hand_over(w->connection, &how, w->now_ns);
	w->channel_open = w->connection->phase >= CONNECTION_REPLAYING;
	w->reopening = false;
}

/* ---- the application ---- */

static uint8_t said_for(enum harewire_event_type type)
{
	return type == HAREWIRE_EVENT_CONFIRMED  ? SAID_ACK
	       : type == HAREWIRE_EVENT_NACKED   ? SAID_NACK
	       : type == HAREWIRE_EVENT_RETURNED ? SAID_RETURN
						 : 0;
}

static void take_outcome(struct world *w, const struct harewire_event *e)
{
	uint8_t said = said_for(e->type);
	REQUIRE(e->first == w->next_event_id && e->last >= e->first);
	REQUIRE(e->last < atomic_load(&w->publisher->committed_id));
	REQUIRE(e->type != HAREWIRE_EVENT_UNCONFIRMED || w->ended);
	REQUIRE(e->type != HAREWIRE_EVENT_LOST || w->copies.at_most_once);
	for (uint64_t id = e->first; id <= e->last && e->type == HAREWIRE_EVENT_LOST; id++)
		REQUIRE(w->copies.on_wire[id] || w->copies.maybe[id]);
	for (uint64_t id = e->first; id <= e->last && said && !w->tainted; id++)
		REQUIRE(w->said[id % IDS_MAX] & said);
	w->outcomes[e->type] += (uint32_t)(e->last - e->first + 1);
	w->next_event_id = e->last + 1;
}

static void poll_events(struct world *w, uint32_t at_most)
{
	struct harewire_event e;
	while (at_most-- && publisher_event_poll(w->publisher, &e)) {
		REQUIRE(!w->last); /* nothing follows the last event */
		REQUIRE(!e.text || strlen(e.text) < PUBLISHER_TEXT_MAX);
		switch (e.type) {
		case HAREWIRE_EVENT_CONFIRMED:
		case HAREWIRE_EVENT_NACKED:
		case HAREWIRE_EVENT_RETURNED:
		case HAREWIRE_EVENT_UNCONFIRMED:
		case HAREWIRE_EVENT_LOST:
			take_outcome(w, &e);
			break;
		case HAREWIRE_EVENT_CLOSED:
		case HAREWIRE_EVENT_FAILED:
			REQUIRE(w->ended && w->next_event_id == atomic_load(&w->publisher->committed_id));
			w->last = true;
			break;
		default:
			REQUIRE(e.type == HAREWIRE_EVENT_READY || e.type == HAREWIRE_EVENT_BLOCKED ||
				e.type == HAREWIRE_EVENT_UNBLOCKED || e.type == HAREWIRE_EVENT_DISCONNECTED);
		}
	}
}

static void publish(struct world *w, uint32_t how, uint32_t len)
{
	static uint8_t body[2 * FRAME_MAX];
	struct harewire_publisher *p = w->publisher;
	uint64_t next = atomic_load(&p->committed_id);
	int64_t id;
	if (w->net.streams[0].sent_len > SENT_MAX || next == IDS_MAX)
		return;
	uint32_t room = how & 4 ? len % (FRAME_MAX - 8) : len % sizeof body;
	uint8_t *at = how & 4 ? publisher_claim(p, how % TEMPLATES, room, NULL) : body;
	if (!at)
		return;
	for (uint32_t i = 0; i < room; i++)
		at[i] = copies_octet(next, i);
	if (how & 4) { /* claimed, written, shrunk */
		room /= 2;
		id = publisher_commit(p, room, 0);
	} else {
		id = publisher_publish(p, how % TEMPLATES, body, room, 0);
	}
	REQUIRE(id < 0 || (uint64_t)id == next);
	if (id > 0)
		copies_publish(&w->copies, next, room, how % TEMPLATES >= 2);
}

static void prepare_templates(struct world *w)
{
	static const struct harewire_template_options options[TEMPLATES] = {
		{.exchange = "x", .routing_key = "k", .priority = -1, .slots = HAREWIRE_SLOT_SEQUENCE},
		{.exchange = "x", .routing_key = "k", .priority = -1, .slots = HAREWIRE_SLOT_SEQUENCE, .mandatory = 1},
		{.exchange = "x",
		 .routing_key = "k",
		 .priority = 9,
		 .slots = HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE,
		 .mandatory = 1},
		{.exchange = "", .routing_key = "queue", .priority = -1, .slots = 31, .delivery_mode = 2},
	};
	for (uint32_t i = 0; i < TEMPLATES; i++) {
		uint32_t id;
		REQUIRE(publisher_prepare(w->publisher, &options[i], &id, NULL) == 0 && id == i);
	}
}

/* ---- the broker ---- */

static void say(struct world *w, const void *octets, size_t len)
{
	if (len > WORDS_MAX - w->words_len)
		return;
	memcpy(w->words + w->words_len, octets, len);
	w->words_len += (uint32_t)len;
}

static void say_frame(struct world *w, uint8_t type, uint16_t channel, const uint8_t *payload, size_t len)
{
	uint8_t head[7], end = AMQP_FRAME_END;
	head[0] = type;
	put_be16(head + 1, channel);
	put_be32(head + 3, (uint32_t)len);
	say(w, head, sizeof head);
	say(w, payload, len);
	say(w, &end, 1);
}

static void say_method(struct world *w, uint16_t channel, uint32_t method, const uint8_t *arguments, size_t len)
{
	uint8_t payload[1024];
	put_be32(payload, method);
	memcpy(payload + 4, arguments, len);
	say_frame(w, FRAME_METHOD, channel, payload, len + 4);
}

/* Which messages it means is known when it arrives. */
static void say_confirm(struct world *w, struct script *s, bool nack)
{
	uint8_t arguments[9];
	uint32_t how = take(s, 1);
	uint64_t oldest = w->connection->confirms.low_tag, tag = oldest + (how & 63);
	if (how & 64)
		tag = (uint64_t)take(s, 4) << 32 | take(s, 4);
	bool multiple = how & 128;
	put_be64(arguments, tag);
	arguments[8] = multiple;
	if (w->confirm_count == CONFIRMS_MAX)
		return;
	say_method(w, 1, nack ? AMQP_BASIC_NACK : AMQP_BASIC_ACK, arguments, sizeof arguments);
	w->confirms[w->confirm_count++] = (struct said_confirm){.tag = tag, .multiple = multiple, .nack = nack};
}

/* The words are about to arrive: what they say of which message. */
static void note_confirms(struct world *w)
{
	const struct confirms *c = &w->connection->confirms;
	if (!w->channel_open)
		return;
	for (uint32_t i = 0; i < w->confirm_count; i++) {
		const struct said_confirm *s = &w->confirms[i];
		uint64_t upto = (s->tag == 0 && s->multiple) || s->tag >= c->next_tag ? c->next_tag - 1 : s->tag;
		for (uint64_t tag = s->multiple ? 1 : s->tag; tag && tag <= upto; tag++)
			w->said[confirms_id(c, tag) % IDS_MAX] |= s->nack ? SAID_NACK : SAID_ACK;
	}
}

static size_t content_header(uint8_t *payload, uint32_t how, uint64_t id, uint64_t body_bytes)
{
	struct writer b = writer_over(payload, 256);
	bool message_id = how & 1;
	uint64_t epoch = how & 2 ? EPOCH + 1 : EPOCH;
	writer_be16(&b, 60);
	writer_be16(&b, 0);
	writer_be64(&b, body_bytes);
	writer_be16(&b, message_id ? 0x0080 : 0x2000);
	if (message_id) {
		char text[32];
		int len = snprintf(text, sizeof text, "%08x-%016llx", (unsigned)epoch, (unsigned long long)id);
		writer_u8(&b, (uint8_t)len);
		writer_bytes(&b, text, (size_t)len);
	} else {
		writer_be32(&b, 13 + 8 + 15 + 9);
		writer_bytes(&b, "\x0charewire-seql", 14);
		writer_be64(&b, id);
		writer_bytes(&b, "\x0eharewire-epochl", 16);
		writer_be64(&b, epoch);
	}
	REQUIRE(!b.failed);
	return writer_len(&b);
}

/* basic.return, content header and body, any of them missing. */
static void say_return(struct world *w, struct script *s)
{
	static const uint8_t arguments[] = {0x01, 0x38, 8, 'N', 'O', '_', 'R', 'O', 'U', 'T', 'E', 1, 'x', 1, 'k'};
	static const uint8_t body[FRAME_MAX - 8];
	uint8_t header[256];
	uint32_t how = take(s, 1), near = take(s, 1), body_bytes = take(s, 2) % sizeof body;
	uint64_t id = w->connection->confirms.settled_id + near;
	if (!(how & 4))
		say_method(w, 1, AMQP_BASIC_RETURN, arguments, sizeof arguments);
	if (!(how & 8))
		say_frame(w, FRAME_HEADER, 1, header, content_header(header, how, id, body_bytes));
	if (!(how & 16) && body_bytes)
		say_frame(w, FRAME_BODY, 1, body, body_bytes);
	w->said[id % IDS_MAX] |= SAID_RETURN;
}

static void say_close(struct world *w, struct script *s, uint32_t how)
{
	static const uint32_t methods[] = {AMQP_CONNECTION_CLOSE, AMQP_CHANNEL_CLOSE};
	uint8_t arguments[300];
	size_t len;
	struct writer b = writer_over(arguments, sizeof arguments);
	writer_be16(&b, (uint16_t)take(s, 2));
	uint8_t claimed = (uint8_t)take(s, 1);
	const uint8_t *text = take_octets(s, claimed, &len);
	writer_u8(&b, how & 4 ? claimed : (uint8_t)len);
	writer_bytes(&b, text, len);
	writer_be32(&b, AMQP_BASIC_PUBLISH);
	say_method(w, how & 1, methods[(how >> 1) & 1], arguments, writer_len(&b));
}

static void say_blocked(struct world *w, struct script *s)
{
	uint8_t arguments[256];
	size_t len;
	uint8_t claimed = (uint8_t)take(s, 1);
	const uint8_t *text = take_octets(s, claimed, &len);
	arguments[0] = (uint8_t)len;
	memcpy(arguments + 1, text, len);
	say_method(w, 0, AMQP_CONNECTION_BLOCKED, arguments, len + 1);
}

static void say_anything(struct world *w, struct script *s, uint32_t how)
{
	static const uint8_t types[] = {FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT};
	static const uint32_t methods[] = {
		AMQP_CONNECTION_CLOSE_OK, AMQP_CHANNEL_CLOSE_OK, AMQP_BASIC_RETURN, AMQP_CONNECTION_UNBLOCKED,
		AMQP_METHOD(20, 20),      AMQP_BASIC_PUBLISH,    AMQP_BASIC_ACK,    AMQP_CONNECTION_BLOCKED};
	size_t len;
	uint32_t which = take(s, 1);
	const uint8_t *octets = take_octets(s, how & 4 ? take(s, 1) : 0, &len);
	if (how & 1)
		say_method(w, which >> 3 & 1, methods[which & 7], octets, len);
	else
		say_frame(w, types[which & 3], which >> 2 & 3, octets, len);
	w->tainted |= len > 0;
}

/* ---- turns ---- */

/* Octets of the log that TCP may still want are not the application's. */
static void check_log(const struct world *w, uint64_t released)
{
	const struct harewire_publisher *p = w->publisher;
	const struct extent_queue *tx = &w->net.streams[0].stream.tx;
	for (uint32_t i = tx->head; i != tx->tail && !w->gone; i++) {
		const struct extent *e = &tx->ring[i & (EXTENTS_MAX - 1)];
		uint64_t behind = (uint64_t)(e->bytes - p->log.base) - released;
		REQUIRE(e->kind != EXTENT_LOG || (behind & p->log.mask) + e->len <= p->next_pos - released);
	}
}

static void check(const struct world *w)
{
	const struct harewire_publisher *p = w->publisher;
	const struct confirms *c = &w->connection->confirms;
	uint64_t committed = atomic_load(&p->committed_id), settled = atomic_load(&p->settled_id);
	uint64_t released = atomic_load(&p->released_pos);
	REQUIRE(p->reported_id == w->next_event_id);
	REQUIRE(settled <= c->settled_id && c->settled_id <= c->handed_id && c->handed_id <= committed);
	REQUIRE(committed - p->reclaimed_id <= p->index.mask + 1);
	REQUIRE(released <= c->settled_pos && c->settled_pos <= p->next_pos);
	REQUIRE(p->next_pos - released <= p->log.capacity);
	check_log(w, released);
	REQUIRE(c->low_tag <= c->next_tag);
	REQUIRE(c->transmitted_id <= c->handed_id && c->replay_id <= c->first_new_id &&
		c->first_new_id <= c->handed_id);
	REQUIRE(w->connection->phase != CONNECTION_IDLE || w->gone);
	if (w->now_ns / TURN_NS % 8)
		return; /* percentiles take their time */
	struct harewire_publisher_stats stats;
	publisher_stats(p, &stats);
	REQUIRE(stats.accepted == committed - 1);
	REQUIRE(stats.confirmed + stats.nacked + stats.returned + stats.lost + stats.unconfirmed + stats.in_flight ==
		stats.accepted);
}

/* As the worker's. */
static void turn(struct world *w)
{
	struct connection *c = w->connection;
	w->now_ns += TURN_NS;
	w->net.transport.ready_count = 0;
	w->net.streams[0].stream.ready = false;
	connection_receive(c, w->now_ns, w->now_ns);
	connection_send(c, w->now_ns);
	if (c->phase != CONNECTION_IDLE)
		REQUIRE(connection_timer(c, w->now_ns) > w->now_ns);
	hear_events(w);
	if (!w->gone) {
		const struct fake_stream *f = &w->net.streams[0];
		copies_read(&w->copies, f->sent, f->sent_len, &c->confirms, w->channel_open);
		copies_check_unacked(&w->copies, f->sent, f->sent_len, &f->stream.tx);
	}
	check(w);
}

/* What the broker has said arrives, in two pieces if `cut`. */
static void arrive(struct world *w, uint32_t cut)
{
	struct fake_stream *f = &w->net.streams[0];
	uint32_t first = cut < w->words_len ? cut : w->words_len;
	if (f->received_len - f->received_taken > RECEIVED_MAX || f->stream.state < STREAM_OPEN) {
		w->words_len = 0;
		return;
	}
	note_confirms(w);
	fake_feed(&w->net, 0, w->words, first);
	if (cut) {
		turn(w);
		note_confirms(w); /* what has been sent meanwhile may be meant, too */
	}
	if (!w->gone)
		fake_feed(&w->net, 0, w->words + first, w->words_len - first);
	w->words_len = w->confirm_count = 0;
}

static void tcp_happens(struct world *w, struct script *s, uint32_t how)
{
	struct fake_stream *f = &w->net.streams[0];
	if (w->gone)
		return;
	switch (how) {
	case 0:
		fake_ack(&w->net, 0);
		break;
	case 1:
		f->ack_at_once = !f->ack_at_once;
		break;
	case 2:
		f->window = take(s, 2);
		break;
	case 3:
		f->no_buffers = !f->no_buffers;
		f->mss = 1460;
		f->peer_window = take(s, 2);
		break;
	case 4:
		w->now_ns += (uint64_t)take(s, 1) << 28;
		break;
	case 5:
		fake_finish(&w->net, 0);
		break;
	case 6:
		fake_reset(&w->net, 0, HW_ERR_CONN_RESET);
		break;
	default:
		if (f->stream.state == STREAM_CONNECTING)
			fake_connected(&w->net, 0);
	}
}

/* A whole one of control's, of no meaning. */
static void write_frame(struct world *w, uint32_t len)
{
	uint8_t frame[608] = {FRAME_METHOD, 0, 1};
	uint32_t payload = 4 + len % (sizeof frame - 12);
	put_be32(frame + 3, payload);
	put_be32(frame + 7, AMQP_METHOD(20, 10));
	frame[7 + payload] = AMQP_FRAME_END;
	if (w->connection->phase == CONNECTION_HANDSHAKE && w->net.streams[0].sent_len < SENT_MAX)
		byte_ring_write(&w->connection->bridge.to_wire, frame, payload + 8);
}

static void control_acts(struct world *w, struct script *s, uint32_t how)
{
	switch (how) {
	case 0:
	case 1:
		hand_over(w);
		break;
	case 2:
		after_the_end(w, true, 0);
		break;
	case 3:
		if (take(s, 1) >= 0xf0)
			after_the_end(w, false, HW_ERR_CONN_LOST);
		else
			after_the_end(w, true, 0);
		break;
	case 4:
		read_bridge(w);
		break;
	case 5:
		write_frame(w, take(s, 2));
		break;
	case 6:
		publisher_close(w->publisher, take(s, 1) & 1 ? 0 : UINT64_MAX);
		break;
	default:
		if (take(s, 1) == 0xa5)
			connection_abort(w->connection, HW_ERR_CONN_ABORTED, w->now_ns);
	}
}

static void step(struct world *w, struct script *s)
{
	uint32_t op = take(s, 1), how = op >> 4 & 7;
	size_t len;
	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		publish(w, how, take(s, op & 1 ? 1 : 2));
		break;
	case 3:
		say_confirm(w, s, false);
		break;
	case 4:
		say_confirm(w, s, true);
		break;
	case 5:
		say_return(w, s);
		break;
	case 6:
		say_blocked(w, s);
		break;
	case 7:
		say_method(w, 0, AMQP_CONNECTION_UNBLOCKED, (const uint8_t *)"", 0);
		break;
	case 8:
		say_close(w, s, how);
		break;
	case 9:
		say_anything(w, s, how);
		break;
	case 10: {
		const uint8_t *octets = take_octets(s, take(s, 1), &len);
		say(w, octets, len);
		w->tainted = true;
		break;
	}
	case 11:
	case 12:
		tcp_happens(w, s, how);
		break;
	case 13:
		control_acts(w, s, how);
		break;
	default:
		poll_events(w, how + 1);
	}
	if (op & 0x80)
		return;
	arrive(w, how & 4 ? take(s, 1) : 0);
	turn(w);
}

static void world_init(struct world *w, uint32_t how)
{
	const struct publisher_options options = {.log_bytes = LOG_BYTES,
						  .max_messages = MESSAGES,
						  .max_templates = TEMPLATES,
						  .epoch = EPOCH,
						  .clock = &w->clock};
	memset(w, 0, offsetof(struct world, words));
	w->now_ns = START_NS;
	w->next_event_id = 1;
	fake_transport_init(&w->net, 1);
	REQUIRE(spsc_init(&w->events, 16, sizeof(struct worker_event)) == 0);
	REQUIRE(publisher_create(&options, &w->publisher) == 0);
	const struct connection_options patience = {.at_most_once = (how & 3) == 3,
						    .confirm_timeout_ns = how & 4 ? 20 * TURN_NS : 0,
						    .blocked_timeout_ns = how & 8 ? 20 * TURN_NS : 0,
						    .walk_records = how & 16 ? 1 : 0};
	w->copies.at_most_once = patience.at_most_once;
	REQUIRE(connection_create(w->publisher, &patience, &w->connection) == 0);
	w->connection->events = &w->events;
	prepare_templates(w);
	open_connection(w);
	if (how & 1)
		return;
	fake_connected(&w->net, 0);
	turn(w);
	hand_over(w);
	for (uint32_t i = how >> 2; i; i--) /* in flight from the start */
		publish(w, how & 3, 8);
	turn(w);
}

/* Nothing is in the way any more: all that is to be sent is sent, a replay first. */
static void send_all(struct world *w)
{
	struct fake_stream *f = &w->net.streams[0];
	struct connection *c = w->connection;
	if (c->phase != CONNECTION_PUBLISHING && c->phase != CONNECTION_REPLAYING)
		return;
	if (f->sent_len > SENT_MAX || c->blocked || f->stream.state != STREAM_OPEN || f->stream.peer_finished ||
	    c->options.confirm_timeout_ns || c->options.blocked_timeout_ns)
		return;
	f->window = FAKE_BYTES;
	f->no_buffers = false;
	f->peer_window = UINT16_MAX;
	for (uint32_t i = 0; i < 4 * MESSAGES; i++) {
		fake_ack(&w->net, 0);
		turn(w);
	}
	REQUIRE(c->phase == CONNECTION_PUBLISHING || c->phase >= CONNECTION_ENDING || w->gone);
	REQUIRE(c->phase != CONNECTION_PUBLISHING || c->confirms.handed_id == atomic_load(&w->publisher->committed_id));
}

/* Whatever has happened: the publisher ends, and the books are closed. */
static void world_fini(struct world *w)
{
	struct harewire_publisher_stats stats;
	send_all(w);
	connection_abort(w->connection, HW_ERR_CONN_ABORTED, w->now_ns);
	hear_events(w);
	after_the_end(w, false, 0);
	for (uint32_t i = 0; i < 2 * MESSAGES; i++)
		connection_send(w->connection, w->now_ns);
	hear_events(w);
	poll_events(w, UINT32_MAX);
	REQUIRE(w->ended && w->last);
	publisher_stats(w->publisher, &stats);
	REQUIRE(stats.in_flight == 0 && w->next_event_id == stats.accepted + 1);
	REQUIRE(w->outcomes[HAREWIRE_EVENT_CONFIRMED] == stats.confirmed);
	REQUIRE(w->outcomes[HAREWIRE_EVENT_NACKED] == stats.nacked);
	REQUIRE(w->outcomes[HAREWIRE_EVENT_RETURNED] == stats.returned);
	REQUIRE(w->outcomes[HAREWIRE_EVENT_UNCONFIRMED] == stats.unconfirmed);
	REQUIRE(w->outcomes[HAREWIRE_EVENT_LOST] == stats.lost);
	connection_destroy(w->connection);
	publisher_destroy(w->publisher);
	spsc_fini(&w->events);
	fake_transport_fini(&w->net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct script s = {data, size};
	world_init(&w, take(&s, 1));
	while (s.left)
		step(&w, &s);
	arrive(&w, 0);
	turn(&w);
	world_fini(&w);
	return 0;
}
