/*
 * What is kept when something happens to a connection: with harewire_options.trace_dir its trace is written into a file
 * there, one for each incident, INCIDENT_FILES at most (then the oldest is replaced). The control thread copies the
 * trace at once, a pool thread writes.
 *
 * All of it is the control thread's.
 */
#ifndef HAREWIRE_INCIDENT_H
#define HAREWIRE_INCIDENT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define INCIDENT_FILES   64u
#define INCIDENT_PENDING 8u /* being written; what comes on top is counted and left out */

struct charge;
struct supervisor;

struct incidents {
	char directory[PATH_MAX]; /* "": nothing is kept */
	uint64_t taken, left_out;
	struct incident *pending[INCIDENT_PENDING];
};

/* Of a charge's. */
struct incident_watch {
	uint64_t timeouts;   /* seen so far on this connection, or the last one */
	uint64_t timeout_ns; /* when they last rose */
	uint64_t look_ns;    /* not before: the worker's cache lines are read */
	uint64_t quiet_ns;   /* until then no incident is kept but the end of one that was running */
};

/* Whether files can be made there: 0, or HW_ERR_* and a sentence. Any thread. */
int incident_check_directory(const char *directory, char *why, size_t why_bytes);

/* The connection was lost, for the reason `code`; of which one that had been handed over for a while always counts. */
void incident_closed(struct charge *charge, int code, uint64_t now_ns);
/* Now and then: retransmission timeouts, of which an episode's first counts, and one in ten seconds. */
void incident_step(struct charge *charge, uint64_t now_ns);
/* Says of those that are written where they are. */
void incidents_step(struct supervisor *supervisor);
/* Before pool_destroy, and after: none is lost. */
void incidents_stop(struct supervisor *supervisor);
void incidents_fini(struct supervisor *supervisor);

#endif
