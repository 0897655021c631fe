/*
 * What harewire_create makes of its options: one transport request for each worker, checked against each other.
 * Pure: nothing is opened, no CPU is looked at.
 */
#ifndef HAREWIRE_WORKER_PLAN_H
#define HAREWIRE_WORKER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/transports.h"
#include "dataplane/harewire.h"

struct worker_plan {
	struct transport_request workers[HAREWIRE_WORKERS_MAX]; /* strings: the options' own */
	uint32_t count;
	bool telemetry;
	char warning[256]; /* something an operator should know; "": nothing */
};

/* 0, or HW_ERR_INVALID and a sentence in `why`. */
int worker_plan_make(const struct harewire_options *options, struct worker_plan *plan, char *why, size_t why_bytes);

#endif
