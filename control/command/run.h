/*
 * Publishing from start to end, the same for every source of messages: connect, wait for READY, publish at the source's
 * pace with the log's back-pressure, wait for the outcomes, close.
 *
 * Waiting never blocks: in inline mode every wait is a turn of the worker; otherwise a short sleep, or none with --idle
 * spin.
 */
#ifndef HAREWIRE_COMMAND_RUN_H
#define HAREWIRE_COMMAND_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/command/settings.h"
#include "dataplane/base/histogram.h"
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
	uint32_t template_id;
	const void *body; /* valid until the source is asked again */
	size_t len;
	uint64_t due_ns; /* CLOCK_MONOTONIC; 0: at once */
};

struct run {
	const struct settings *settings;
	struct harewire *hw;
	struct harewire_publisher *publisher;
	/* how it stands */
	bool ready, ended;
	bool stopped;  /* by an interrupt or --duration */
	bool finished; /* every message of the source has been accepted */
	int code;      /* of the first failure; 0: none */
	char text[RUN_TEXT_MAX];
	char return_text[RUN_TEXT_MAX]; /* why the first returned message came back */
	/* outcomes, from events */
	uint64_t accepted, confirmed, nacked, returned, unconfirmed, blocked;
	uint64_t waits_for_log; /* messages that had to wait because the log was full */
	/* time: CLOCK_MONOTONIC */
	uint64_t created_ns, ready_ns, last_publish_ns, end_ns;
	uint64_t deadline_ns; /* of --duration */
	/* paced runs: how late messages were published, and from due to the sight of the confirm */
	struct histogram slip, due_to_confirm;
	uint64_t *due_ns; /* by message id, modulo */
	uint64_t due_mask;
	/* the live line */
	uint64_t shown_ns, shown_confirmed;
	bool line_open;
};

/* Connects and declares, and waits for READY. False when it failed: code and text say why; run_close it all the same.
 */
bool run_open(struct run *run, const struct settings *settings);

/* Publishes all of the source. */
void run_publish(struct run *run, enum source_result (*next)(void *source, struct run_message *message), void *source);

/* Waits for outcomes, closes the connection and frees everything but the figures; `publisher_stats` etc. are taken
 * before. */
void run_close(struct run *run, struct harewire_publisher_stats *stats, struct harewire_driver_info *driver);

/* Records the first failure. */
void run_fail(struct run *run, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Every message has been accepted and confirmed, and nothing failed. */
bool run_good(const struct run *run);

static inline uint64_t run_in_flight(const struct run *run)
{
	return run->accepted - run->confirmed - run->nacked - run->returned - run->unconfirmed;
}

#endif
