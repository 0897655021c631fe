/*
 * A paced run's account of time: how late messages were published (slip), and how long they took from when they were
 * due to the sight of their confirm. Due times are kept by message id, in one ring for each publisher.
 */
#ifndef HAREWIRE_COMMAND_SCHEDULE_H
#define HAREWIRE_COMMAND_SCHEDULE_H

#include <stdint.h>

#include "control/command/settings.h"
#include "dataplane/base/histogram.h"

struct schedule {
	uint64_t *due_ns; /* publisher * (mask + 1) + (id & mask); NULL: as fast as possible, nothing is kept */
	uint64_t mask;
	struct histogram slip, due_to_confirm;
};

/* 0 or HW_ERR_NOMEM. */
int schedule_init(struct schedule *schedule, const struct settings *settings, uint32_t publishers);
/* The histograms stay. */
void schedule_fini(struct schedule *schedule);

/* Message `id` of a publisher, due at due_ns (0: at once), is about to be published. Times are CLOCK_MONOTONIC. */
void schedule_publish(struct schedule *schedule, uint32_t publisher, uint64_t id, uint64_t due_ns, uint64_t now_ns);
/* Its messages first..last are confirmed. */
void schedule_confirm(struct schedule *schedule, uint32_t publisher, uint64_t first, uint64_t last);

#endif
