/*
 * Publishing from start to end, the same for every source of messages: connect, wait for READY, publish at the source's
 * pace with the log's back-pressure, wait for the outcomes, close.
 *
 *     engine.h      the library and its workers          publishers.h   the connections and what becomes of messages
 *     schedule.h    due times and how late               standing.h     what keeps messages from flowing, and when
 *     run.h         the run that holds them together
 *
 * Waiting never blocks: in inline mode every wait is a turn of the workers; otherwise a short sleep, or none with
 * --idle spin.
 */
#ifndef HAREWIRE_COMMAND_RUN_H
#define HAREWIRE_COMMAND_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/command/engine.h"
#include "control/command/schedule.h"
#include "control/command/settings.h"
#include "control/command/standing.h"
#include "dataplane/harewire.h"

#define RUN_TEXT_MAX 512u

/* What a source says about the next message. */
enum source_result {
	SOURCE_END,
	SOURCE_MESSAGE,
	SOURCE_WAIT,   /* nothing yet: ask again soon */
	SOURCE_FAILED, /* run_fail has been called */
};

struct run_message {
	uint32_t publisher; /* its index */
	uint32_t template_id;
	const void *body; /* valid until the source is asked again */
	size_t len;
	uint64_t due_ns; /* CLOCK_MONOTONIC; 0: at once */
};

/* Messages and what became of them, from events. */
struct tally {
	uint64_t accepted, confirmed, nacked, returned, lost, unconfirmed;
	uint64_t refused, dropped; /* messages not accepted, and gone: what the policy says */
	uint64_t waits_for_log;    /* messages that had to wait because the log was full */
};

/* Messages the source has brought to an end: not one that still waits to be accepted. */
static inline uint64_t tally_attempted(const struct tally *t)
{
	return t->accepted + t->refused + t->dropped;
}

static inline uint64_t tally_in_flight(const struct tally *t)
{
	return t->accepted - t->confirmed - t->nacked - t->returned - t->lost - t->unconfirmed;
}

/* One of the run's connections. */
struct run_publisher {
	struct harewire_publisher *handle;
	uint32_t worker;
	bool ready; /* has been */
	bool closing, ended;
	struct tally tally;
	struct standing standing;
	/* once the run is closed */
	struct harewire_publisher_stats stats;
	uint32_t epoch;
};

struct run {
	const struct settings *settings;
	struct harewire *hw;
	struct engine_log log;
	struct run_publisher *publishers;
	uint32_t publisher_count;
	uint32_t ready_count; /* publishers that have been */
	uint32_t next_polled; /* the publisher whose events are looked at next */
	struct standings standings;
	/* how it stands */
	bool ready;    /* all publishers have been */
	bool stopped;  /* by an interrupt or --duration */
	bool finished; /* every message of the source has been accepted */
	int code;      /* of the first failure; 0: none */
	char text[RUN_TEXT_MAX];
	char return_text[RUN_TEXT_MAX]; /* why the first returned message came back */
	struct tally total;             /* of all publishers */
	/* time: CLOCK_MONOTONIC */
	uint64_t created_ns, ready_ns, last_publish_ns, end_ns;
	uint64_t deadline_ns; /* of --duration */
	struct schedule schedule;
	uint32_t naps; /* since something last happened */
	/* the live line */
	uint64_t shown_ns, shown_confirmed;
	bool line_open;
	/* once the run is closed: by worker */
	struct harewire_driver_info drivers[HAREWIRE_WORKERS_MAX];
	uint32_t worker_count;
};

/* Connects and declares, and waits until every publisher is READY. False when it failed: code and text say why;
 * run_close it all the same. */
bool run_open(struct run *run, const struct settings *settings);

/* Publishes all of the source. */
void run_publish(struct run *run, enum source_result (*next)(void *source, struct run_message *message), void *source);

/* Waits for outcomes, closes the connections, takes the last figures and frees everything but them. */
void run_close(struct run *run);
/* Frees the figures. */
void run_fini(struct run *run);

/* Records the first failure. */
void run_fail(struct run *run, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Every message has been accepted and confirmed, none refused or dropped, and nothing failed. */
bool run_good(const struct run *run);

/* One step of waiting, not longer than until due_ns (0: whatever comes first). Takes what has happened. */
void run_wait(struct run *run, uint64_t due_ns);
/* An interrupt, the end of --duration, or a failure. */
bool run_should_stop(struct run *run);

#endif
