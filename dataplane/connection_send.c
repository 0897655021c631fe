/* What a connection says: handshake octets, control frames, messages; and when the last of them was on the wire. */
#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/connection_internal.h"

/* Copies octets into the control buffer and queues them. False when there is no room. */
bool connection_push_control(struct connection *c, const void *bytes, uint32_t len)
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
		if (!connection_push_control(c, chunk, n))
			return;
		byte_ring_consume(&c->bridge.to_wire, n);
	}
}

void connection_mark_wire(struct connection *c, uint64_t offset, uint64_t id)
{
	struct wire_mark mark = {.offset = offset, .id = id};
	if (c->marks_tail - c->marks_head == WIRE_MARKS)
		c->marks_tail--; /* the newest two become one: their stamps come a little late, none is lost */
	c->marks[c->marks_tail++ & (WIRE_MARKS - 1)] = mark;
}

/* Hands over messages while the stream could send their first octet. They lie one behind the other: one extent. */
static inline __attribute__((always_inline)) bool push_messages(struct connection *c)
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
		connection_mark_wire(c, c->stream->tx.end - last_len, id - 1);
	connection_mark_wire(c, c->stream->tx.end, id);
	return true;
}

void connection_stamp_pending(struct connection *c)
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
	struct histogram *h = &c->publisher->call_to_wire_ticks;
	uint64_t ticks = clock_ticks(c->publisher->clock), longest = 0;
	const struct message_index *index = c->confirms.index;
	do {
		uint64_t took = clock_ticks_between(message_at(index, c->wired_id)->committed_ticks, ticks);
		histogram_add_below_max(h, took);
		longest = took > longest ? took : longest;
	} while (++c->wired_id < id);
	histogram_note_max(h, longest);
}

void connection_begin_ending(struct connection *c, uint64_t now_ns)
{
	uint8_t frame[AMQP_SMALL_FRAME_MAX];
	connection_push_control(c, frame, (uint32_t)amqp_write_connection_close(frame));
	c->end_deadline_ns = now_ns + END_PATIENCE_NS;
	connection_enter(c, CONNECTION_ENDING);
}

/* The application has asked to close: go as soon as every message has its outcome, or when the deadline is over. */
static inline __attribute__((always_inline)) void check_closing(struct connection *c, uint64_t now_ns)
{
	struct harewire_publisher *p = c->publisher;
	uint64_t deadline = atomic_load_explicit(&p->close_deadline_ns, memory_order_acquire);
	if (deadline == PUBLISHER_NOT_CLOSING)
		return;
	if (c->confirms.settled_id == atomic_load_explicit(&p->committed_id, memory_order_acquire) ||
	    now_ns >= deadline)
		connection_begin_ending(c, now_ns);
}

static __attribute__((noinline)) bool push_otherwise(struct connection *c, uint64_t now_ns)
{
	uint32_t records = c->options.walk_records;
	bool handed = confirms_behind(&c->confirms);
	if (handed)
		connection_catch_up(c, &records);
	if (c->phase == CONNECTION_HANDSHAKE) {
		push_handshake(c);
	} else if (c->phase == CONNECTION_REPLAYING) {
		handed |= connection_replay(c, &records);
		if (c->phase == CONNECTION_PUBLISHING)
			handed |= push_messages(c);
		check_closing(c, now_ns);
	}
	return handed;
}

bool connection_wanted_otherwise(struct connection *c)
{
	if (confirms_behind(&c->confirms))
		return true;
	if (c->phase == CONNECTION_HANDSHAKE)
		return byte_ring_held(&c->bridge.to_wire) > 0;
	return (c->phase == CONNECTION_REPLAYING && !c->blocked) ||
	       atomic_load_explicit(&c->publisher->close_deadline_ns, memory_order_relaxed) != PUBLISHER_NOT_CLOSING;
}

bool connection_send(struct connection *c, uint64_t now_ns)
{
	bool handed;
	if (__builtin_expect(c->phase == CONNECTION_PUBLISHING, 1)) {
		handed = push_messages(c);
		check_closing(c, now_ns);
	} else if (c->phase == CONNECTION_IDLE) {
		return push_otherwise(c, now_ns);
	} else {
		handed = push_otherwise(c, now_ns);
	}
	c->ops->transmit(c->stream, now_ns);
	connection_stamp_wired(c);
	return handed;
}
