/*
 * A connection's life: phases, what it reports, time. What it says is in connection_send.c, what it hears in
 * connection_frames.c.
 */
#include "dataplane/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/error.h"
#include "dataplane/connection_internal.h"

#define CONTROL_BYTES 65536u

int connection_create(struct harewire_publisher *publisher, const struct connection_options *options,
		      struct connection **out)
{
	struct connection *c = aligned_alloc(CACHE_LINE, (sizeof *c + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!c)
		return HW_ERR_NOMEM;
	memset(c, 0, sizeof *c);
	c->publisher = publisher;
	c->options = *options;
	if (!c->options.walk_records)
		c->options.walk_records = WALK_RECORDS;
	uint64_t messages = publisher->index.mask + 1;
	struct replayed *replay = aligned_alloc(CACHE_LINE, messages < 4 ? CACHE_LINE : messages * sizeof *replay);
	confirms_init(&c->confirms, &publisher->index, replay, &publisher->publish_to_confirm_ticks);
	c->wired_id = c->confirms.settled_id;
	if (!replay || log_init(&c->control, CONTROL_BYTES) || byte_ring_init(&c->bridge.to_control, BRIDGE_BYTES) ||
	    byte_ring_init(&c->bridge.to_wire, BRIDGE_BYTES)) {
		connection_destroy(c);
		return HW_ERR_NOMEM;
	}
	memset(replay, 0, messages * sizeof *replay); /* touched now: a replay must not fault */
	*out = c;
	return 0;
}

void connection_destroy(struct connection *c)
{
	log_fini(&c->control);
	byte_ring_fini(&c->bridge.to_control);
	byte_ring_fini(&c->bridge.to_wire);
	free(c->confirms.replay);
	free(c);
}

/* Which phase may follow which: bit n of row p. */
static const uint8_t phase_after[] = {
	[CONNECTION_IDLE] = 1u << CONNECTION_CONNECTING,
	[CONNECTION_CONNECTING] = 1u << CONNECTION_HANDSHAKE | 1u << CONNECTION_IDLE,
	[CONNECTION_HANDSHAKE] = 1u << CONNECTION_REPLAYING | 1u << CONNECTION_FINISHED | 1u << CONNECTION_IDLE,
	[CONNECTION_REPLAYING] = 1u << CONNECTION_PUBLISHING | 1u << CONNECTION_HANDSHAKE | 1u << CONNECTION_ENDING |
				 1u << CONNECTION_FINISHED | 1u << CONNECTION_IDLE,
	[CONNECTION_PUBLISHING] = 1u << CONNECTION_HANDSHAKE | 1u << CONNECTION_ENDING | 1u << CONNECTION_FINISHED |
				  1u << CONNECTION_IDLE,
	[CONNECTION_ENDING] = 1u << CONNECTION_FINISHED | 1u << CONNECTION_IDLE,
	[CONNECTION_FINISHED] = 1u << CONNECTION_IDLE,
};

void connection_enter(struct connection *c, enum connection_phase phase)
{
	assert(phase_after[c->phase] & (1u << phase));
	c->phase = phase;
}

void connection_report(struct connection *c, struct worker_event event)
{
	event.generation = c->generation;
	event.connection = c;
	event.reply_code = c->reply_code;
	/*
	 * Bounded: there are five kinds, the ring holds eight for every connection, and none comes twice before control
	 * has answered it: CLOSED by COMMAND_OPEN, CHANNEL_CLOSED by COMMAND_HAND_OVER.
	 */
	bool pushed = spsc_push(c->events, &event);
	assert(pushed);
	(void)pushed;
}

void connection_tell_lost(struct connection *c, int code, const struct amqp_text *words)
{
	if (!c->told_ready)
		return;
	c->told_ready = false;
	publisher_set_disconnected(c->publisher, code, words ? words->chars : NULL, words ? words->len : 0);
}

/* ---- the stream's life ---- */

void connection_open(struct connection *c, struct stream *stream, const struct stream_address *address,
		     uint32_t generation, uint64_t now_ns)
{
	c->stream = stream;
	c->ops = stream->transport->ops;
	c->generation = generation;
	c->blocked = c->return_header_due = c->handed_over = false;
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
	c->walking = false;
	c->log_start = UINT64_MAX; /* nothing is in flight */
	byte_ring_consume(&c->bridge.to_wire,
			  byte_ring_held(&c->bridge.to_wire)); /* of a handshake that was given up */
	connection_enter(c, CONNECTION_CONNECTING);
	int err = c->ops->open(stream->transport, stream->index, address, now_ns);
	atomic_store_explicit(&c->trace, c->ops->trace ? c->ops->trace(stream) : NULL, memory_order_release);
	if (err)
		connection_abort(c, err, now_ns);
}

static void update_figures(struct connection *c, struct stream_info *info)
{
	c->ops->info(c->stream, info);
	struct publisher_figures f = {.srtt_ns = info->srtt_ns,
				      .rttvar_ns = info->rttvar_ns,
				      .retransmits = info->retransmits,
				      .retransmits_fast = info->retransmits_fast,
				      .retransmits_rto = info->retransmits_rto,
				      .tlp_probes = info->tlp_probes,
				      .rack_losses = info->rack_losses,
				      .spurious = info->spurious,
				      .rto_fired = info->rto_fired,
				      .octets_sent = info->octets_sent,
				      .segments_sent = info->segments_sent,
				      .segments_received = info->segments_received,
				      .cwnd = info->cwnd,
				      .ssthresh = info->ssthresh,
				      .peer_window = info->peer_window,
				      .receive_window = info->receive_window,
				      .in_flight = info->in_flight,
				      .mss = info->mss};
	memcpy(f.tcp_state, info->state, sizeof f.tcp_state);
	publisher_set_figures(c->publisher, &f);
}

/* Outcomes and log space go back to the application. Stamps are taken before: the records go with them. */
static inline __attribute__((always_inline)) void give_back(struct connection *c, uint64_t acked_pos)
{
	struct harewire_publisher *p = c->publisher;
	if (publisher_progress(p, &c->confirms, acked_pos))
		publisher_set_outcomes(p, c->confirms.outcomes);
}

/* The stream is over: what it was given is accounted for, nothing of it is in flight any more. `code` 0: in order. */
static void finish_stream(struct connection *c, int code)
{
	struct stream_info info;
	connection_stamp_wired(c);
	struct channel_end end = connection_end_channel(c, false, code != 0);
	update_figures(c, &info);
	c->stream = NULL;
	connection_enter(c, CONNECTION_IDLE);
	give_back(c, c->confirms.settled_pos);
	if (code)
		connection_tell_lost(c, code, NULL);
	connection_report(c, (struct worker_event){.type = EVENT_CLOSED,
						   .code = code,
						   .oldest_id = end.oldest_id,
						   .outcomes = end.outcomes,
						   .oldest_sent = end.oldest_sent});
}

void connection_abort(struct connection *c, int code, uint64_t now_ns)
{
	if (c->phase == CONNECTION_IDLE)
		return;
	if (c->stream->state != STREAM_CLOSED)
		c->ops->abort(c->stream, now_ns);
	finish_stream(c, c->end_code ? c->end_code : code);
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
	struct harewire_publisher *p = c->publisher;
	uint32_t body_max = atomic_load_explicit(&p->body_max, memory_order_relaxed);
	assert(how->frame_max >= AMQP_FRAME_OVERHEAD + body_max); /* messages of that size may be in the log */
	publisher_set_frame_max(p, how->frame_max);
	publisher_count_connection(p, c->handed_over);
	c->heartbeat_ns = how->heartbeat_ns;
	c->channel = how->channel;
	c->reader.frame_max = how->frame_max; /* bodies of returned messages come in frames of this size */
	c->handed_over = true;
	connection_start_channel(c);
	connection_watch_start(c, now_ns);
	/* Before hand-over the application may not see a state in which it could publish. */
	if (c->blocked)
		publisher_set_blockage(p, HAREWIRE_BLOCKAGE_ALARM, true, c->blocked_reason, c->blocked_reason_len);
	publisher_set_ready(p, how->host);
	c->told_ready = true;
}

/* ---- receiving ---- */

static inline __attribute__((always_inline)) void publish_progress(struct connection *c)
{
	connection_stamp_wired(c);
	uint64_t acked_pos = c->log_start + c->stream->tx.freed[EXTENT_LOG];
	if (__builtin_expect(c->walking, 0))
		acked_pos = connection_walk_acked(c);
	give_back(c, acked_pos);
}

void connection_receive(struct connection *c, uint64_t now_ns, uint64_t now_ticks)
{
	if (__builtin_expect(c->phase < CONNECTION_HANDSHAKE, 0)) {
		if (c->phase == CONNECTION_IDLE)
			return;
		if (c->stream->state == STREAM_OPEN) {
			connection_enter(c, CONNECTION_HANDSHAKE);
			connection_report(c, (struct worker_event){.type = EVENT_CONNECTED});
		}
	}
	/* A close that came in front of a reset is read before the reset is acted upon. */
	int err = connection_read_frames(c, now_ns, now_ticks);
	publish_progress(c);
	if (err) {
		c->end_code = c->end_code ? c->end_code : err;
		connection_abort(c, err, now_ns);
	} else if (c->stream->state == STREAM_CLOSED) {
		bool expected = c->phase >= CONNECTION_ENDING; /* we have said goodbye: how it ends matters no more */
		int code = c->stream->error ? c->stream->error : HW_ERR_CONN_CLOSED_BY_PEER;
		finish_stream(c, c->end_code || expected ? c->end_code : code);
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
	/* Control's octets may have been taken up to the middle of a frame. */
	bool amid_frame = c->phase == CONNECTION_HANDSHAKE && byte_ring_held(&c->bridge.to_wire) > 0;
	if (now_ns - c->last_sent_ns >= c->heartbeat_ns / 2 && !one_unsent && !amid_frame &&
	    connection_push_control(c, frame, (uint32_t)amqp_write_heartbeat(frame))) {
		c->heartbeat_queued_at = c->stream->tx.end;
		c->last_sent_ns = now_ns;
	}
}

/* Looked at often enough for its figures, and so for heartbeats, whose shortest interval is a second. */
static uint64_t next_look(const struct connection *c, uint64_t now_ns)
{
	uint64_t next = now_ns + LOOK_EVERY_NS;
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
		c->end_deadline_ns = UINT64_MAX;
		c->ops->abort(c->stream, now_ns);
		finish_stream(c, c->end_code);
		return UINT64_MAX;
	}
	struct stream_info info;
	update_figures(c, &info);
	int err = 0;
	if (c->phase == CONNECTION_REPLAYING || c->phase == CONNECTION_PUBLISHING)
		err = connection_watch(c, &info, now_ns);
	if (err)
		connection_abort(c, err, now_ns);
	else if (c->heartbeat_ns && c->phase <= CONNECTION_PUBLISHING)
		check_heartbeat(c, now_ns);
	if (c->phase == CONNECTION_IDLE)
		return UINT64_MAX;
	connection_send(c, now_ns);
	return next_look(c, now_ns);
}

/* ---- the publisher's end, and whatever else takes several turns ---- */

/* Nobody is told before the last message has its outcome: until then its records are the worker's. */
static void tell_publisher_end(struct connection *c)
{
	int code = c->publisher_end.code;
	c->publisher_end.due = false;
	publisher_set_state(c->publisher, code ? PUBLISHER_FAILED : PUBLISHER_CLOSED, code, c->publisher_end.text);
	c->told_ready = false;
	connection_report(c, (struct worker_event){.type = EVENT_ENDED});
}

bool connection_catch_up(struct connection *c, uint32_t *records)
{
	confirms_catch_up(&c->confirms, records);
	if (c->wired_id < c->confirms.settled_id)
		c->wired_id = c->confirms.settled_id; /* what has been given up has no time to be stamped with */
	if (c->stream)
		publish_progress(c);
	else
		give_back(c, c->confirms.settled_pos);
	if (confirms_behind(&c->confirms))
		return false;
	if (c->publisher_end.due)
		tell_publisher_end(c);
	return true;
}

void connection_end_publisher(struct connection *c, int code, const char *text)
{
	uint32_t records = c->options.walk_records;
	c->publisher_end.due = true;
	c->publisher_end.code = code;
	c->publisher_end.text = text;
	confirms_end(&c->confirms, atomic_load_explicit(&c->publisher->committed_id, memory_order_acquire));
	connection_catch_up(c, &records);
}
