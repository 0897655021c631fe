/*
 * The connections of a run. The first declares alone and the others follow once it is ready, so that a mistake is said
 * once; all declare, for after a broker's restart any may be the first to be back. They go to the workers in turn. When
 * one fails the run has failed; the others are closed in order.
 */
#ifndef HAREWIRE_COMMAND_PUBLISHERS_H
#define HAREWIRE_COMMAND_PUBLISHERS_H

#include "control/command/run.h"

/* Opens them and waits until all are ready, or one has failed, or the run should stop. 0 or HW_ERR_NOMEM. */
int publishers_open(struct run *run);

/* Takes the events of up to `most` publishers, in rotation. True if there were any. */
bool publishers_take_events(struct run *run, uint32_t most);

/* Counts a message as accepted, refused, dropped, or as waiting for its publisher's log. */
void publishers_count_accepted(struct run *run, struct run_publisher *p);
void publishers_count_refused(struct run *run, struct run_publisher *p);
void publishers_count_dropped(struct run *run, struct run_publisher *p);
void publishers_count_wait(struct run *run, struct run_publisher *p);

/* A connection that has failed says why in its last event: waits for that. */
void publishers_await_end(struct run *run, const struct run_publisher *p);

/* Closes those that were ready, waits for their outcomes and takes the figures of all. */
void publishers_close(struct run *run);
/* The figures stay. */
void publishers_destroy(struct run *run);

#endif
