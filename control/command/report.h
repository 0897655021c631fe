/* What a run came to: one JSON object on standard output (--json), else a summary on standard error. */
#ifndef HAREWIRE_COMMAND_REPORT_H
#define HAREWIRE_COMMAND_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "control/command/run.h"
#include "control/feed/feed.h"
#include "control/session/verify.h"

struct publish_report {
	const struct run *run;           /* closed */
	const struct feed_figures *feed; /* NULL: not a feed */
	uint64_t feed_keys, feed_symbols;
};

struct consume_report {
	const char *queue;
	const struct verify *verify;
	const struct verify_report *sum;    /* of all its publishers */
	const struct histogram *latency_ns; /* from the send-time slot */
	uint64_t redelivered, bytes;
	uint64_t span_ns; /* from the first message to the last */
	bool verified;    /* --verify */
	bool good;
	int code; /* what went wrong; 0: nothing */
	const char *text;
};

/* A subcommand that could not even begin: says why on standard error and, with --json, as the one object on standard
 * output. */
void report_refused(enum subcommand command, bool as_json, const char *why);
void report_publish(const struct publish_report *report, const struct settings *settings);
void report_consume(const struct consume_report *report, const struct settings *settings);

#endif
