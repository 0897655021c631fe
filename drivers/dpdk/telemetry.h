/*
 * Figures for DPDK's telemetry socket, which dpdk-telemetry.py reads: /harewire/workers, /harewire/connections and
 * /harewire/publishers list ids; with an id behind a comma they describe that one.
 *
 * One source for each process. The EAL opens the socket unless it is started without telemetry.
 */
#ifndef HAREWIRE_DPDK_TELEMETRY_H
#define HAREWIRE_DPDK_TELEMETRY_H

#include <stdbool.h>
#include <stdint.h>

enum telemetry_list { TELEMETRY_WORKERS, TELEMETRY_CONNECTIONS, TELEMETRY_PUBLISHERS, TELEMETRY_LISTS };

#define TELEMETRY_IDS_MAX     512u /* what one answer can hold */
#define TELEMETRY_FIGURES_MAX 40u
#define TELEMETRY_TEXT_MAX    128u

struct telemetry_figure {
	const char *name; /* static */
	bool is_text;
	uint64_t number;
	char text[TELEMETRY_TEXT_MAX];
};

/* Both are called by a thread of DPDK's. */
struct telemetry_source {
	/* Fills in ids, ascending, the lowest where not all fit, and returns how many. */
	uint32_t (*list)(void *context, enum telemetry_list list, uint64_t *ids, uint32_t max);
	/* Fills in up to TELEMETRY_FIGURES_MAX figures and returns how many; 0: there is no such id. */
	uint32_t (*describe)(void *context, enum telemetry_list list, uint64_t id, struct telemetry_figure *figures);
	void *context;
};

/* `source` is copied. 0; HW_ERR_BUSY: the process has one already; HW_ERR_UNSUPPORTED: built without DPDK;
 * HW_ERR_SYSTEM. */
int dpdk_telemetry_open(const struct telemetry_source *source);
/* Once it returns nothing is called any more. Waits for an answer under way. */
void dpdk_telemetry_close(void);

#endif
