/* DPDK's environment abstraction layer: started once per process, never stopped before it ends. */
#ifndef HAREWIRE_DPDK_EAL_H
#define HAREWIRE_DPDK_EAL_H

#include <stdbool.h>

#include "drivers/why.h"

#define EAL_ARGUMENTS_MAX 64

/* The EAL's command line; the strings live in `text`. */
struct eal_arguments {
	int count;
	char *values[EAL_ARGUMENTS_MAX + 1];
	char text[2048];
	bool hugepages;
};

/*
 * What we start the EAL with: `extra` (separated by spaces, may be NULL) at the end, and in front of it what it leaves
 * open: nothing shared with other processes, one lcore that may run wherever this thread may, no telemetry socket, no
 * device taken unasked. 0 or HW_ERR_INVALID.
 */
int eal_arguments_build(const char *extra, struct eal_arguments *arguments, const struct why *why);

/*
 * Starts the EAL, hugepages checked first, or finds it running: then `extra` must be what it was started with. 0 or
 * HW_ERR_*. Any thread; its CPU affinity stays.
 */
int eal_start(const char *extra, const struct why *why);

#endif
