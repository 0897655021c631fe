/*
 * How the connections of a run stand: without one, or with one over which nothing flows; since when, how often, how
 * long at most. What begins and ends is said on standard error, of each kind at most once a second.
 */
#ifndef HAREWIRE_COMMAND_STANDING_H
#define HAREWIRE_COMMAND_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/harewire.h"

struct run;
struct run_publisher;

/* What keeps messages from flowing: no connection, or an enum harewire_blockage. */
enum { HINDRANCE_DISCONNECTED = 0, HINDRANCES = HAREWIRE_BLOCKAGE_LOG_FULL + 1 };

/* "alarm", "window", "silence", "log_full"; "disconnected". */
const char *hindrance_name(unsigned hindrance);

/* Something that comes and goes. */
struct spell {
	uint64_t since_ns; /* CLOCK_MONOTONIC; 0: not now */
	uint64_t count;
	uint64_t longest_ns; /* of those that are over */
};

struct standing {
	struct spell spells[HINDRANCES];
};

/* Of all publishers together. */
struct standings {
	uint32_t now[HINDRANCES]; /* publishers that are hindered so */
	bool told[HINDRANCES];    /* that they are, on standard error */
	/* of what is said */
	uint64_t said_ns[2 * HINDRANCES], unsaid[2 * HINDRANCES];
};

/* Takes a READY after the first, a DISCONNECTED, a BLOCKED or an UNBLOCKED. */
void standing_take(struct run *run, struct run_publisher *p, const struct harewire_event *event);

/* Says what lasts by now and is told only then: to be called every second or so. */
void standing_watch(struct run *run, uint64_t now_ns);

/* Ends what has not ended, when the run does. */
void standing_end(struct run *run, struct run_publisher *p, uint64_t now_ns);

/* Counts summed, the longest of all. */
void standing_add(struct standing *sum, const struct standing *other);

/* "" while all flows; else what hinders it now and since when: "no connection for 1.2 s", for the live line. */
const char *standing_describe(const struct run *run, uint64_t now_ns, char *text, size_t bytes);

#endif
