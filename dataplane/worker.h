/*
 * The poll loop of one pinned core: one transport, up to STREAMS_MAX connections.
 *
 * A turn: commands, receive, frames, send, timers. It receives before it looks at timers, so that our own absence is
 * not taken for loss. Publishers are not all scanned every turn: the hot ones are, and a few of the others in rotation.
 */
#ifndef HAREWIRE_WORKER_H
#define HAREWIRE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/deadlines.h"
#include "dataplane/command.h"
#include "dataplane/connection.h"

struct worker_options {
	const struct clock_scale *clock;
	bool backoff; /* sleep when idle for long */
	int cpu;      /* -1: not pinned */
};

struct worker {
	const struct clock_scale *clock;
	struct transport *transport;
	struct connection *connections[STREAMS_MAX]; /* by slot; the slot is also the stream's index */
	uint16_t order[STREAMS_MAX];                 /* slots in use, the hot ones first */
	uint16_t place[STREAMS_MAX];                 /* by slot: where in order */
	uint8_t idle_turns[STREAMS_MAX];             /* by slot: turns a hot one has had nothing to send */
	uint32_t count, hot, rotation;
	struct deadlines deadlines; /* by slot: connection_timer */
	uint64_t last_turn_ns;
	uint64_t stale_records; /* commands for a generation that is gone */
	_Atomic uint64_t longest_gap_ns;
	_Atomic uint64_t turns;

	struct command_channel channel;

	/* threaded mode */
	bool backoff;
	int cpu;
	bool started;
	_Atomic bool stop;
	pthread_t thread;
};

/* 0 or HW_ERR_NOMEM. */
int worker_init(struct worker *w, const struct worker_options *options);
void worker_fini(struct worker *w);

/* One turn. Returns how much was done; 0: idle. */
uint32_t worker_turn(struct worker *w);

/* Threaded mode. HW_ERR_SYSTEM or HW_ERR_NO_CPU. */
int worker_start(struct worker *w);
void worker_stop(struct worker *w);

/* Inline mode: sends this connection's messages now, without waiting for the next turn. */
void worker_push(struct worker *w, struct connection *c);

#endif
