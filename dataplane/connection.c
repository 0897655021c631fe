#include "dataplane/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/error.h"

#define CONTROL_BYTES    65536u
#define END_PATIENCE_NS  1000000000u /* for the broker's close-ok, then for the peer's FIN */
#define FIGURES_EVERY_NS 50000000u

int connection_create(struct harewire_publisher *publisher, struct connection **out)
{
	struct connection *c = aligned_alloc(CACHE_LINE, (sizeof *c + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!c)
		return HW_ERR_NOMEM;
	memset(c, 0, sizeof *c);
	c->publisher = publisher;
	if (log_init(&c->control, CONTROL_BYTES) || byte_ring_init(&c->bridge.to_control, BRIDGE_BYTES) ||
	    byte_ring_init(&c->bridge.to_wire, BRIDGE_BYTES)) {
		connection_destroy(c);
		return HW_ERR_NOMEM;
	}
	confirms_init(&c->confirms, &publisher->index, &publisher->publish_to_confirm_ticks);
	*out = c;
	return 0;
}

void connection_destroy(struct connection *c)
{
	log_fini(&c->control);
	byte_ring_fini(&c->bridge.to_control);
	byte_ring_fini(&c->bridge.to_wire);
	free(c);
}

/* Which phase may follow which: bit n of row p. */
static const uint8_t phase_after[] = {
	[CONNECTION_IDLE] = 1u << CONNECTION_CONNECTING,
	[CONNECTION_CONNECTING] = 1u << CONNECTION_HANDSHAKE | 1u << CONNECTION_IDLE,
	[CONNECTION_HANDSHAKE] = 1u << CONNECTION_PUBLISHING | 1u << CONNECTION_IDLE,
	[CONNECTION_PUBLISHING] = 1u << CONNECTION_ENDING | 1u << CONNECTION_FINISHED | 1u << CONNECTION_IDLE,
	[CONNECTION_ENDING] = 1u << CONNECTION_FINISHED | 1u << CONNECTION_IDLE,
	[CONNECTION_FINISHED] = 1u << CONNECTION_IDLE,
};

static void enter(struct connection *c, enum connection_phase phase)
{
	assert(phase_after[c->phase] & (1u << phase));
	c->phase = phase;
}

static void report(struct connection *c, enum worker_event_type type, int code)
{
	struct worker_event e = {
		.type = type, .generation = c->generation, .connection = c, .code = code, .reply_code = c->reply_code};
	/* Bounded: a connection reports each kind at most once a generation, and the ring holds four for every one. */
	bool pushed = spsc_push(c->events, &e);
	assert(pushed);
	(void)pushed;
}

/* ---- sending ---- */

/* Copies octets into the control buffer and queues them. False when there is no room. */
static bool push_control(struct connection *c, const void *bytes, uint32_t len)
{
	if (c->phase == CONNECTION_FINISHED)
		return false; /* nothing goes behind our FIN */
	uint64_t space = c->control.capacity - (c->control_end - c->stream->tx.freed[EXTENT_CONTROL]);
	if (len > space || extents_full(&c->stream->tx))
		return false;
	uint8_t *dst = log_at(&c->control, c->control_end);
	memcpy(dst, bytes, len);
	if (!extents_push(&c->stream->tx, dst, len, EXTENT_CONTROL))
		return false;
	c->control_end += len;
	return true;
}

/* rabbitmq-c's octets, as many as fit. */
static void push_handshake(struct connection *c)
{
	uint8_t chunk[4096];
	uint32_t held;
	while ((held = byte_ring_held(&c->bridge.to_wire)) > 0) {
		uint32_t n = held < sizeof chunk ? held : (uint32_t)sizeof chunk;
		byte_ring_peek(&c->bridge.to_wire, 0, chunk, n);
		if (!push_control(c, chunk, n))
			return;
		byte_ring_consume(&c->bridge.to_wire, n);
	}
}

static void mark_wire(struct connection *c, uint64_t offset, uint64_t id)
{
	struct wire_mark mark = {.offset = offset, .id = id};
	if (c->marks_tail - c->marks_head == WIRE_MARKS)
		c->marks_tail--; /* the newest two become one: their stamps come a little late, none is lost */
	c->marks[c->marks_tail++ & (WIRE_MARKS - 1)] = mark;
}

/* Hands over messages while the stream could send their first octet. They lie one behind the other: one extent. */
static bool push_messages(struct connection *c)
{
	struct confirms *confirms = &c->confirms;
	uint64_t id = confirms->handed_id;
	uint64_t committed = atomic_load_explicit(&c->publisher->committed_id, memory_order_acquire);
	if (id == committed || c->blocked)
		return false;
	uint64_t budget = c->ops->may_push(c->stream);
	if (budget == 0 || extents_full(&c->stream->tx))
		return false;

	uint64_t start = message_at(confirms->index, id)->pos, len = 0;
	uint32_t last_len = 0;
	for (; id < committed && len < budget; id++) {
		last_len = message_at(confirms->index, id)->len;
		len += last_len;
		confirms_hand(confirms);
	}
	extents_push(&c->stream->tx, log_at(&c->publisher->log, start), len, EXTENT_LOG);
	/* The last one may go out in part only: those in front of it are not to wait for its stamp. */
	if (len > budget && len > last_len)
		mark_wire(c, c->stream->tx.end - last_len, id - 1);
	mark_wire(c, c->stream->tx.end, id);
	return true;
}

/* Messages whose last octet has gone out get their call-to-wire time. */
static void stamp_wired(struct connection *c)
{
	uint64_t sent = c->ops->sent(c->stream);
	/* What the broker has confirmed went out, whatever the marks say; its records are the application's next. */
	uint64_t id = c->wired_id > c->confirms.settled_id ? c->wired_id : c->confirms.settled_id;
	while (c->marks_head != c->marks_tail && c->marks[c->marks_head & (WIRE_MARKS - 1)].offset <= sent) {
		uint64_t marked = c->marks[c->marks_head++ & (WIRE_MARKS - 1)].id;
		id = marked > id ? marked : id;
	}
	if (id == c->wired_id)
		return;
	uint64_t ticks = clock_ticks(c->publisher->clock);
	for (; c->wired_id < id; c->wired_id++) {
		uint64_t from = message_at(c->confirms.index, c->wired_id)->committed_ticks;
		histogram_add(&c->publisher->call_to_wire_ticks, clock_ticks_between(from, ticks));
	}
}

static void begin_ending(struct connection *c, uint64_t now_ns)
{
	uint8_t frame[AMQP_SMALL_FRAME_MAX];
	push_control(c, frame, (uint32_t)amqp_write_connection_close(frame));
	c->end_deadline_ns = now_ns + END_PATIENCE_NS;
	enter(c, CONNECTION_ENDING);
}

/* The application has asked to close: go as soon as every message has its outcome, or when the deadline is over. */
static void check_closing(struct connection *c, uint64_t now_ns)
{
	struct harewire_publisher *p = c->publisher;
	uint64_t deadline = atomic_load_explicit(&p->close_deadline_ns, memory_order_acquire);
	if (deadline == PUBLISHER_NOT_CLOSING)
		return;
	if (c->confirms.settled_id == atomic_load_explicit(&p->committed_id, memory_order_acquire) ||
	    now_ns >= deadline)
		begin_ending(c, now_ns);
}

bool connection_send(struct connection *c, uint64_t now_ns)
{
	bool handed = false;
	switch (c->phase) {
	case CONNECTION_HANDSHAKE:
		push_handshake(c);
		break;
	case CONNECTION_PUBLISHING:
		handed = push_messages(c);
		check_closing(c, now_ns);
		break;
	case CONNECTION_IDLE:
		return false;
	default:
		break;
	}
	c->ops->transmit(c->stream, now_ns);
	stamp_wired(c);
	return handed;
}

/* ---- the stream's life ---- */

void connection_open(struct connection *c, struct stream *stream, const struct stream_address *address,
		     uint32_t generation, uint64_t now_ns)
{
	c->stream = stream;
	c->ops = stream->transport->ops;
	c->generation = generation;
	c->blocked = c->return_header_due = false;
	c->control_end = 0;
	c->marks_head = c->marks_tail = 0;
	c->heartbeat_queued_at = 0;
	c->end_code = 0;
	c->reply_code = 0;
	c->last_received_ns = c->last_sent_ns = now_ns;
	c->last_sent_offset = 0;
	c->heartbeat_ns = 0;
	c->end_deadline_ns = UINT64_MAX;
	frame_reader_init(&c->reader, FRAME_BUFFER_BYTES);
	confirms_start(&c->confirms);
	c->wired_id = c->confirms.handed_id;
	c->log_start = c->confirms.settled_pos;
	enter(c, CONNECTION_CONNECTING);
	int err = c->ops->open(stream->transport, stream->index, address, now_ns);
	if (err)
		connection_abort(c, err, now_ns);
}

static void update_figures(struct connection *c)
{
	struct stream_info info;
	c->ops->info(c->stream, &info);
	struct harewire_publisher_stats *f = &c->publisher->figures;
	f->srtt_ns = info.srtt_ns;
	f->retransmits = info.retransmits;
	f->rto_fired = info.rto_fired;
	f->octets_sent = info.octets_sent;
	f->segments_sent = info.segments_sent;
	f->segments_received = info.segments_received;
	f->cwnd = info.cwnd;
	f->peer_window = info.peer_window;
	f->mss = info.mss;
	memcpy(f->tcp_state, info.state, sizeof f->tcp_state);
}

static void release_stream(struct connection *c)
{
	update_figures(c);
	c->stream = NULL;
	enter(c, CONNECTION_IDLE);
}

void connection_abort(struct connection *c, int code, uint64_t now_ns)
{
	if (c->phase == CONNECTION_IDLE)
		return;
	if (c->stream->state != STREAM_CLOSED)
		c->ops->abort(c->stream, now_ns);
	release_stream(c);
	report(c, EVENT_CLOSED, c->end_code ? c->end_code : code);
}

void connection_hand_over(struct connection *c, const struct command_hand_over *how, uint64_t now_ns)
{
	if (c->phase != CONNECTION_HANDSHAKE)
		return; /* it has ended meanwhile; EVENT_CLOSED is under way */
	if (byte_ring_space(&c->bridge.to_control) != BRIDGE_BYTES) {
		connection_abort(c, HW_ERR_AMQP_UNEXPECTED,
				 now_ns); /* a frame behind the last reply: control reads it */
		return;
	}
	c->heartbeat_ns = how->heartbeat_ns;
	c->channel = how->channel;
	c->reader.frame_max = how->frame_max; /* bodies of returned messages come in frames of this size */
	publisher_set_frame_max(c->publisher, how->frame_max);
	enter(c, CONNECTION_PUBLISHING);
	if (c->blocked)
		publisher_set_blocked(c->publisher, c->blocked_reason, c->blocked_reason_len);
	else
		publisher_set_state(c->publisher, PUBLISHER_READY, 0, NULL);
}

/* ---- frames from the broker ---- */

static int forward(struct connection *c, const struct frame *f)
{
	if (!f->raw)
		return 0; /* the body of a return */
	return byte_ring_write(&c->bridge.to_control, f->raw, f->payload_len + AMQP_FRAME_OVERHEAD)
		       ? 0
		       : HW_ERR_AMQP_BRIDGE_FULL;
}

static int on_blocked(struct connection *c, const struct frame *f)
{
	struct amqp_text reason;
	int err = amqp_parse_blocked(f, &reason);
	if (err)
		return err;
	c->blocked = true;
	/* Before hand-over the application may not see a state in which it could publish. */
	c->blocked_reason_len = reason.len;
	memcpy(c->blocked_reason, reason.chars, reason.len);
	if (c->phase == CONNECTION_PUBLISHING)
		publisher_set_blocked(c->publisher, reason.chars, reason.len);
	return 0;
}

static void on_unblocked(struct connection *c)
{
	if (!c->blocked)
		return;
	c->blocked = false;
	if (c->phase == CONNECTION_PUBLISHING)
		publisher_set_state(c->publisher, PUBLISHER_READY, 0, NULL);
}

static int on_confirm(struct connection *c, const struct frame *f, enum message_outcome outcome, uint64_t now_ticks)
{
	struct amqp_confirm confirm;
	int err = amqp_parse_confirm(f, &confirm);
	return err ? err : confirms_settle(&c->confirms, confirm.tag, confirm.multiple, outcome, now_ticks);
}

static int on_return(struct connection *c, const struct frame *f)
{
	struct amqp_reply reply;
	int err = amqp_parse_reply(f, &reply);
	c->return_header_due = true;
	c->return_code = reply.code;
	return err;
}

static int on_return_header(struct connection *c, const struct frame *f)
{
	struct amqp_content content;
	if (!c->return_header_due)
		return HW_ERR_AMQP_UNEXPECTED;
	c->return_header_due = false;
	int err = amqp_parse_content(f, &content);
	if (err)
		return err;
	if (!content.has_id || content.epoch != c->publisher->epoch)
		return HW_ERR_AMQP_UNEXPECTED;
	return confirms_returned(&c->confirms, content.id, c->return_code);
}

/* The channel is gone: no confirm will come any more, so the connection ends too. Control tells why. */
static int on_channel_close(struct connection *c, const struct frame *f, uint64_t now_ns)
{
	uint8_t ok[AMQP_SMALL_FRAME_MAX];
	struct amqp_reply reply;
	int err = amqp_parse_reply(f, &reply);
	if (!err)
		err = forward(c, f);
	if (err)
		return err;
	c->end_code = HW_ERR_AMQP_CHANNEL_CLOSED;
	c->reply_code = reply.code;
	push_control(c, ok, (uint32_t)amqp_write_channel_close_ok(ok, f->channel));
	if (c->phase == CONNECTION_PUBLISHING)
		begin_ending(c, now_ns);
	return 0;
}

static int on_connection_close(struct connection *c, const struct frame *f, uint64_t now_ns)
{
	uint8_t ok[AMQP_SMALL_FRAME_MAX];
	struct amqp_reply reply;
	int err = amqp_parse_reply(f, &reply);
	if (!err)
		err = forward(c, f);
	if (err)
		return err;
	if (!c->end_code)
		c->end_code = HW_ERR_AMQP_CONNECTION_CLOSED;
	c->reply_code = reply.code;
	push_control(c, ok, (uint32_t)amqp_write_connection_close_ok(ok));
	c->ops->close(c->stream, now_ns);
	c->end_deadline_ns = now_ns + END_PATIENCE_NS;
	if (c->phase != CONNECTION_FINISHED)
		enter(c, CONNECTION_FINISHED);
	return 0;
}

static int on_connection_close_ok(struct connection *c, uint64_t now_ns)
{
	if (c->phase != CONNECTION_ENDING)
		return HW_ERR_AMQP_UNEXPECTED;
	c->ops->close(c->stream, now_ns);
	c->end_deadline_ns = now_ns + END_PATIENCE_NS;
	enter(c, CONNECTION_FINISHED);
	return 0;
}

/* Which of the methods below belong to channel 0; the others belong to ours. */
static bool on_its_channel(const struct connection *c, const struct frame *f, uint32_t method)
{
	bool of_connection = method == AMQP_CONNECTION_CLOSE || method == AMQP_CONNECTION_CLOSE_OK;
	return f->channel == (of_connection ? 0 : c->channel);
}

static int on_method(struct connection *c, const struct frame *f, uint64_t now_ns, uint64_t now_ticks)
{
	uint32_t method = amqp_method_id(f);
	if (!on_its_channel(c, f, method))
		return method ? HW_ERR_AMQP_UNEXPECTED : HW_ERR_AMQP_SYNTAX;
	switch (method) {
	case AMQP_BASIC_ACK:
		return on_confirm(c, f, OUTCOME_CONFIRMED, now_ticks);
	case AMQP_BASIC_NACK:
		return on_confirm(c, f, OUTCOME_NACKED, now_ticks);
	case AMQP_BASIC_RETURN:
		return on_return(c, f);
	case AMQP_CHANNEL_CLOSE:
		return on_channel_close(c, f, now_ns);
	case AMQP_CONNECTION_CLOSE:
		return on_connection_close(c, f, now_ns);
	case AMQP_CONNECTION_CLOSE_OK:
		return on_connection_close_ok(c, now_ns);
	default:
		return forward(c, f);
	}
}

static bool is_blocked_news(const struct frame *f)
{
	uint32_t id = f->type == FRAME_METHOD && f->channel == 0 ? amqp_method_id(f) : 0;
	return id == AMQP_CONNECTION_BLOCKED || id == AMQP_CONNECTION_UNBLOCKED;
}

static int on_frame(struct connection *c, const struct frame *f, uint64_t now_ns, uint64_t now_ticks)
{
	if (f->type == FRAME_HEARTBEAT)
		return 0;
	if (is_blocked_news(f)) {
		if (amqp_method_id(f) == AMQP_CONNECTION_BLOCKED)
			return on_blocked(c, f);
		on_unblocked(c);
		return 0;
	}
	if (c->phase < CONNECTION_PUBLISHING)
		return forward(c, f);
	switch (f->type) {
	case FRAME_METHOD:
		return on_method(c, f, now_ns, now_ticks);
	case FRAME_HEADER:
		return on_return_header(c, f);
	default:
		return 0; /* the body of a return: counted by the reader, of no use */
	}
}

/* Reads every octet at hand. Returns 0 or why the stream is beyond use. */
static int read_frames(struct connection *c, uint64_t now_ns, uint64_t now_ticks)
{
	const uint8_t *bytes;
	uint32_t len;
	while ((bytes = c->ops->readable(c->stream, &len)) && len > 0) {
		c->last_received_ns = now_ns;
		uint32_t taken = 0;
		while (taken < len) {
			struct frame frame;
			uint32_t used;
			int got = frame_reader_next(&c->reader, bytes + taken, len - taken, &used, &frame);
			if (got > 0)
				got = on_frame(c, &frame, now_ns, now_ticks);
			if (got < 0)
				return got;
			taken += used;
		}
		c->ops->consume(c->stream, len, now_ns);
	}
	return 0;
}

static void publish_progress(struct connection *c)
{
	struct harewire_publisher *p = c->publisher;
	stamp_wired(c); /* while the records are still ours */
	if (publisher_progress(p, &c->confirms, c->log_start + c->stream->tx.freed[EXTENT_LOG]))
		memcpy(p->outcomes, c->confirms.outcomes, sizeof p->outcomes);
}

void connection_receive(struct connection *c, uint64_t now_ns, uint64_t now_ticks)
{
	if (c->phase == CONNECTION_IDLE)
		return;
	if (c->phase == CONNECTION_CONNECTING && c->stream->state == STREAM_OPEN) {
		enter(c, CONNECTION_HANDSHAKE);
		report(c, EVENT_CONNECTED, 0);
	}
	/* A close that came in front of a reset is read before the reset is acted upon. */
	int err = read_frames(c, now_ns, now_ticks);
	publish_progress(c);
	if (err) {
		c->end_code = c->end_code ? c->end_code : err;
		connection_abort(c, err, now_ns);
	} else if (c->stream->state == STREAM_CLOSED) {
		bool expected = c->phase >= CONNECTION_ENDING; /* we have said goodbye: how it ends matters no more */
		int code = c->stream->error ? c->stream->error : HW_ERR_CONN_CLOSED_BY_PEER;
		release_stream(c);
		report(c, EVENT_CLOSED, c->end_code || expected ? c->end_code : code);
	} else if (c->stream->peer_finished && c->phase != CONNECTION_FINISHED) {
		connection_abort(c, c->phase == CONNECTION_ENDING ? 0 : HW_ERR_CONN_CLOSED_BY_PEER, now_ns);
	}
}

/* ---- time ---- */

/* AMQP 0-9-1, 4.2.7: send one whenever nothing else has gone out; two intervals of silence are the end. */
static void check_heartbeat(struct connection *c, uint64_t now_ns)
{
	uint8_t frame[AMQP_SMALL_FRAME_MAX];
	uint64_t sent = c->ops->sent(c->stream);
	if (sent != c->last_sent_offset) {
		c->last_sent_offset = sent;
		c->last_sent_ns = now_ns;
	}
	if (now_ns - c->last_received_ns >= 2 * c->heartbeat_ns) {
		connection_abort(c, HW_ERR_AMQP_HEARTBEAT, now_ns);
		return;
	}
	bool one_unsent = c->heartbeat_queued_at > sent;
	if (now_ns - c->last_sent_ns >= c->heartbeat_ns / 2 && !one_unsent &&
	    push_control(c, frame, (uint32_t)amqp_write_heartbeat(frame))) {
		c->heartbeat_queued_at = c->stream->tx.end;
		c->last_sent_ns = now_ns;
	}
}

/* Looked at often enough for its figures, and so for heartbeats, whose shortest interval is a second. */
static uint64_t next_look(const struct connection *c, uint64_t now_ns)
{
	uint64_t next = now_ns + FIGURES_EVERY_NS;
	if (c->end_deadline_ns < next)
		next = c->end_deadline_ns;
	return next;
}

uint64_t connection_timer(struct connection *c, uint64_t now_ns)
{
	if (c->phase == CONNECTION_IDLE)
		return UINT64_MAX;
	if (now_ns >= c->end_deadline_ns) {
		/* The broker does not answer our close (it answers nothing while blocked): that is no failure of ours.
		 */
		int code = c->end_code;
		c->end_deadline_ns = UINT64_MAX;
		c->ops->abort(c->stream, now_ns);
		release_stream(c);
		report(c, EVENT_CLOSED, code);
		return UINT64_MAX;
	}
	update_figures(c);
	if (c->heartbeat_ns && c->phase == CONNECTION_PUBLISHING)
		check_heartbeat(c, now_ns);
	if (c->phase == CONNECTION_IDLE)
		return UINT64_MAX;
	connection_send(c, now_ns);
	return next_look(c, now_ns);
}

/* ---- the publisher's end ---- */

void connection_end_publisher(struct connection *c, int code, const char *text)
{
	struct harewire_publisher *p = c->publisher;
	confirms_end(&c->confirms, atomic_load_explicit(&p->committed_id, memory_order_acquire), OUTCOME_UNCONFIRMED);
	publisher_progress(p, &c->confirms, c->confirms.settled_pos);
	memcpy(p->outcomes, c->confirms.outcomes, sizeof p->outcomes);
	publisher_set_state(p, code ? PUBLISHER_FAILED : PUBLISHER_CLOSED, code, text);
	report(c, EVENT_ENDED, 0);
}
