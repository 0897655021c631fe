/*
 * Did every message arrive once and in order? From the sequence slot of consumed messages: per publisher (epoch) the
 * ids 1, 2, 3, ... that never came, came again, or came late; and how long they took from publish to delivery.
 *
 *          start            highest - VERIFY_WINDOW           highest
 *     ───────┼──────────────────────┼────────────────────────────┼─────▶ id
 *            │ missing ones counted │ one bit each: has it come? │
 *
 * Exact for everything up to VERIFY_WINDOW below the highest id seen. An older one is a duplicate for certain while
 * nothing is missing from before the window; otherwise it cannot be judged, is counted so, and the result is not clean.
 */
#ifndef HAREWIRE_SESSION_VERIFY_H
#define HAREWIRE_SESSION_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/histogram.h"

#define VERIFY_WINDOW     (1u << 24)
#define VERIFY_EPOCHS_MAX 512u /* two runs of a command with as many publishers as it can have */

struct verify_report {
	uint64_t received;               /* all messages */
	uint64_t unsequenced;            /* without a sequence number and epoch, or with number 0 */
	uint64_t gaps;                   /* numbers from the start to the highest that never came */
	uint64_t duplicates;             /* came again, and nothing explains it */
	uint64_t duplicates_redelivered; /* came again, and the broker said so */
	uint64_t duplicates_flagged;     /* came again, and the publisher said it may (harewire-dup) */
	uint64_t disorder;               /* came for the first time after a higher number */
	uint64_t unjudged;               /* too old to tell a duplicate from a late one */
	uint64_t epochs;                 /* publishers seen */
	uint64_t epochs_refused;         /* messages of further publishers than can be followed */
	uint64_t clock_skew;             /* sent later than delivered, by the clocks: not in the histogram */
};

struct verify_message {
	bool sequenced; /* sequence and epoch are there */
	uint64_t sequence;
	uint32_t epoch;
	bool redelivered, flagged;
	uint64_t send_time_ns; /* CLOCK_REALTIME; 0: none */
};

/* One publisher. */
struct verify_epoch {
	uint32_t epoch;
	uint64_t start;             /* the first number expected */
	uint64_t highest;           /* seen so far; start - 1 before the first */
	uint64_t distinct;          /* numbers >= start that have come */
	uint64_t missing_behind;    /* numbers >= start, older than the window, that had not come */
	uint64_t *seen;             /* one bit per number, at number % VERIFY_WINDOW */
	uint64_t *only_flagged;     /* likewise: every copy so far was flagged. NULL until a flagged one comes */
	struct verify_report tally; /* but for gaps and epochs */
};

struct verify {
	bool from_first_seen; /* start at the first number seen, not at 1 */
	uint32_t count;
	struct verify_epoch *last; /* of the previous message */
	struct verify_epoch epochs[VERIFY_EPOCHS_MAX];
	uint16_t places[2 * VERIFY_EPOCHS_MAX]; /* by epoch, probed linearly: its index plus 1; 0: free */
	struct verify_report tally;             /* of what belongs to no epoch */
	struct histogram latency_ns;
};

/*
 * Each publisher takes 2 MiB of address space once it is seen, 4 MiB once a flagged message comes; of memory, as much
 * as its numbers touch: a bit each.
 */
void verify_init(struct verify *v, bool from_first_seen);
void verify_fini(struct verify *v);

/* One consumed message, delivered at now_ns (CLOCK_REALTIME). 0 or HW_ERR_NOMEM. */
int verify_add(struct verify *v, const struct verify_message *m, uint64_t now_ns);

/* How it stands with one publisher; epochs[0..count) are in the order in which they were first seen. At any time. */
void verify_summarize_epoch(const struct verify_epoch *epoch, struct verify_report *report);

/* How it stands with all together; at any time. */
void verify_summarize(const struct verify *v, struct verify_report *report);

/* No gap, no unexplained duplicate, no disorder, and everything could be judged. */
bool verify_clean(const struct verify_report *report);

#endif
