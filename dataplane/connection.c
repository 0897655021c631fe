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

#define CONTROL_BYTES    65536u
#define FIGURES_EVERY_NS 50000000u

int connection_create(struct harewire_publisher *publisher, const struct connection_options *options,
		      struct connection **out)
{
	struct connection *c = aligned_alloc(CACHE_LINE, (sizeof *c + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!c)
		return HW_ERR_NOMEM;
	memset(c, 0, sizeof *c);
	c->publisher = publisher;
	c->options = *options;
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

void connection_enter(struct connection *c, enum connection_phase phase)
{
	assert(phase_after[c->phase] & (1u << phase));
	c->phase = phase;
}

void connection_report(struct connection *c, enum worker_event_type type, int code)
{
	struct worker_event e = {
		.type = type, .generation = c->generation, .connection = c, .code = code, .reply_code = c->reply_code};
	/* Bounded: a connection reports each kind at most once a generation, and the ring holds four for every one. */
	bool pushed = spsc_push(c->events, &e);
	assert(pushed);
	(void)pushed;
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
	connection_enter(c, CONNECTION_CONNECTING);
	int err = c->ops->open(stream->transport, stream->index, address, now_ns);
	if (err)
		connection_abort(c, err, now_ns);
}

static void update_figures(struct connection *c)
{
	struct stream_info info;
	c->ops->info(c->stream, &info);
	struct publisher_figures f = {.srtt_ns = info.srtt_ns,
				      .rttvar_ns = info.rttvar_ns,
				      .retransmits = info.retransmits,
				      .retransmits_fast = info.retransmits_fast,
				      .retransmits_rto = info.retransmits_rto,
				      .tlp_probes = info.tlp_probes,
				      .rack_losses = info.rack_losses,
				      .spurious = info.spurious,
				      .rto_fired = info.rto_fired,
				      .octets_sent = info.octets_sent,
				      .segments_sent = info.segments_sent,
				      .segments_received = info.segments_received,
				      .cwnd = info.cwnd,
				      .ssthresh = info.ssthresh,
				      .peer_window = info.peer_window,
				      .receive_window = info.receive_window,
				      .in_flight = info.in_flight,
				      .mss = info.mss};
	memcpy(f.tcp_state, info.state, sizeof f.tcp_state);
	publisher_set_figures(c->publisher, &f);
}

static void release_stream(struct connection *c)
{
	update_figures(c);
	c->stream = NULL;
	connection_enter(c, CONNECTION_IDLE);
}

void connection_abort(struct connection *c, int code, uint64_t now_ns)
{
	if (c->phase == CONNECTION_IDLE)
		return;
	if (c->stream->state != STREAM_CLOSED)
		c->ops->abort(c->stream, now_ns);
	release_stream(c);
	connection_report(c, EVENT_CLOSED, c->end_code ? c->end_code : code);
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
	connection_enter(c, CONNECTION_PUBLISHING);
	if (c->blocked)
		publisher_set_blockage(c->publisher, HAREWIRE_BLOCKAGE_ALARM, true, c->blocked_reason,
				       c->blocked_reason_len);
	publisher_count_connection(c->publisher, false);
	publisher_set_ready(c->publisher, how->host);
}

/* ---- receiving ---- */

static void publish_progress(struct connection *c)
{
	struct harewire_publisher *p = c->publisher;
	connection_stamp_wired(c); /* while the records are still ours */
	if (publisher_progress(p, &c->confirms, c->log_start + c->stream->tx.freed[EXTENT_LOG]))
		memcpy(p->outcomes, c->confirms.outcomes, sizeof p->outcomes);
}

void connection_receive(struct connection *c, uint64_t now_ns, uint64_t now_ticks)
{
	if (c->phase == CONNECTION_IDLE)
		return;
	if (c->phase == CONNECTION_CONNECTING && c->stream->state == STREAM_OPEN) {
		connection_enter(c, CONNECTION_HANDSHAKE);
		connection_report(c, EVENT_CONNECTED, 0);
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
		release_stream(c);
		connection_report(c, EVENT_CLOSED, c->end_code || expected ? c->end_code : code);
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
	    connection_push_control(c, frame, (uint32_t)amqp_write_heartbeat(frame))) {
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
		connection_report(c, EVENT_CLOSED, code);
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
	connection_report(c, EVENT_ENDED, 0);
}
