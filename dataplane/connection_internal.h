/* What the connection's files owe each other. */
#ifndef HAREWIRE_CONNECTION_INTERNAL_H
#define HAREWIRE_CONNECTION_INTERNAL_H

#include "dataplane/connection.h"

#define END_PATIENCE_NS 1000000000u /* for the broker's close-ok, then for the peer's FIN */

/* ---- connection.c ---- */

/* The one place where the phase changes; asserts that the step is one of those drawn there. */
void connection_enter(struct connection *c, enum connection_phase phase);
/* An event for control. */
void connection_report(struct connection *c, enum worker_event_type type, int code);

/* ---- connection_send.c ---- */

/* Copies octets into the control buffer and queues them. False when there is no room, or our FIN is out. */
bool connection_push_control(struct connection *c, const void *bytes, uint32_t len);
/* Messages whose last octet has gone out get their call-to-wire time. Before their records are given back. */
void connection_stamp_pending(struct connection *c);
static inline void connection_stamp_wired(struct connection *c)
{
	if (c->marks_head != c->marks_tail || c->wired_id < c->confirms.settled_id)
		connection_stamp_pending(c);
}

/* Sends connection.close, and waits for close-ok for a while. */
void connection_begin_ending(struct connection *c, uint64_t now_ns);

/* ---- connection_frames.c ---- */

/* Reads every octet at hand. Returns 0 or why the stream is beyond use. */
int connection_read_frames(struct connection *c, uint64_t now_ns, uint64_t now_ticks);

#endif
