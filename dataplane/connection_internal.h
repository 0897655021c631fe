/* What the connection's files owe each other. */
#ifndef HAREWIRE_CONNECTION_INTERNAL_H
#define HAREWIRE_CONNECTION_INTERNAL_H

#include "dataplane/amqp/method.h"
#include "dataplane/connection.h"

#define END_PATIENCE_NS 1000000000u /* for the broker's close-ok, then for the peer's FIN */
#define LOOK_EVERY_NS   50000000u   /* connection_timer: figures, heartbeats, watches */

/* ---- connection.c ---- */

/* The one place where the phase changes; asserts that the step is one of those drawn there. */
void connection_enter(struct connection *c, enum connection_phase phase);
/* An event for control: type, code, and what the type has besides. */
void connection_report(struct connection *c, struct worker_event event);
/* The application is told that the connection is lost, once: in the broker's words, or NULL. */
void connection_tell_lost(struct connection *c, int code, const struct amqp_text *words);
/* Goes on giving outcomes to what has been given up, and what that frees to the application. True: all is done. */
bool connection_catch_up(struct connection *c, uint32_t *records);

/* ---- connection_send.c ---- */

/* Copies octets into the control buffer and queues them. False when there is no room, or our FIN is out. */
bool connection_push_control(struct connection *c, const void *bytes, uint32_t len);
/* All messages before `id` are on the wire once everything pushed by now is. */
void connection_mark_wire(struct connection *c, uint64_t offset, uint64_t id);
/* Messages whose last octet has gone out get their call-to-wire time. Before their records are given back. */
void connection_stamp_pending(struct connection *c);
static inline void connection_stamp_wired(struct connection *c)
{
	if (c->marks_head != c->marks_tail || c->wired_id < c->confirms.settled_id)
		connection_stamp_pending(c);
}

/* Sends connection.close, and waits for close-ok for a while. */
void connection_begin_ending(struct connection *c, uint64_t now_ns);

/* ---- connection_replay.c ---- */

/* A channel begins: which messages it is to send again, and where in the log its new ones start. */
void connection_start_channel(struct connection *c);
/*
 * Sends again what may be sent now, and looks at `records` for it; PUBLISHING follows the last of it. Returns whether
 * any went to the stream, or more records are to be looked at.
 */
bool connection_replay(struct connection *c, uint32_t *records);
/* While replayed octets are not all acked: the log position up to which TCP needs none. */
uint64_t connection_walk_acked(struct connection *c);

/* How far a channel had come. */
struct channel_end {
	uint64_t oldest_id, outcomes; /* as in struct worker_event */
	bool oldest_sent;
};
/*
 * Its channel is over, if it has one: nothing will be confirmed any more. `stream_goes_on`: what it was given still
 * goes out, though the broker drops it. `lost`: at_most_once, too, is served by what has not been sent only.
 */
struct channel_end connection_end_channel(struct connection *c, bool stream_goes_on, bool lost);

/* ---- connection_watch.c ---- */

void connection_watch_start(struct connection *c, uint64_t now_ns);
/* Looks for blockages and time-outs. Returns 0, or why the connection is to be given up. */
int connection_watch(struct connection *c, const struct stream_info *info, uint64_t now_ns);

/* ---- connection_frames.c ---- */

/* Reads every octet at hand. Returns 0 or why the stream is beyond use. */
int connection_read_frames(struct connection *c, uint64_t now_ns, uint64_t now_ticks);

#endif
