/* What both forms of a report show of a run: figures of several publishers and workers as one. */
#ifndef HAREWIRE_COMMAND_REPORT_SUM_H
#define HAREWIRE_COMMAND_REPORT_SUM_H

#include "control/command/run.h"

struct harewire_percentiles report_percentiles(const struct histogram *h);

/* From ready to closed. */
double report_publish_seconds(const struct run *run);
/* Messages accepted a second while they were being published. */
double report_acceptance_rate(const struct run *run);

/*
 * Counters are summed. Percentiles of several publishers cannot be: each is then the largest of theirs, which the
 * percentile of all their messages together does not exceed; count and max are exact. What is a state of one connection
 * (tcp_state, srtt, windows, mss) is the first publisher's.
 */
struct harewire_publisher_stats report_sum_stats(const struct run *run);

/* Counts summed, the longest spells. */
struct standing report_sum_standing(const struct run *run);

/* Counters are summed, the longest gap is the longest; texts that differ between workers become "mixed". */
struct harewire_driver_info report_sum_drivers(const struct run *run);

/* Whether the worker serves a queue of a NIC. */
bool report_has_queue(const struct harewire_driver_info *driver);

#endif
