#include "tests/sim/sim_tcp_count.h"

#include <inttypes.h>
#include <string.h>

static const char *const names[] = {
#define X(name, text) text,
	SIM_COUNT_TABLE(X)
#undef X
};

void sim_counts_add(uint64_t *sum, const uint64_t *counts)
{
	for (int i = 0; i < SIM_COUNTS; i++) {
		if (i != COUNT_DRAIN_MS)
			sum[i] += counts[i];
		else if (counts[i] > sum[i])
			sum[i] = counts[i];
	}
}

/* A name with a colon begins a part of the table; two columns. */
void sim_counts_print(FILE *to, const uint64_t *counts)
{
	int column = 0;
	for (int i = 0; i < SIM_DEMANDED; i++) {
		const char *name = names[i], *colon = strchr(name, ':');
		if (colon) {
			fprintf(to, "%s%.*s\n", column ? "\n" : "", (int)(colon - name), name);
			name = colon + 2;
			column = 0;
		}
		fprintf(to, "  %-36s %12" PRIu64 "%s", name, counts[i], column ? "\n" : "");
		column = !column;
	}
	fprintf(to,
		"%s%" PRIu64 " octets in %" PRIu64 " segments of %" PRIu64 " packets; scoreboards compared %" PRIu64
		" times; the slowest healed after %.1f s\n",
		column ? "\n" : "", counts[COUNT_OCTETS], counts[COUNT_SEGMENTS], counts[COUNT_PACKETS],
		counts[COUNT_COMPARED], (double)counts[COUNT_DRAIN_MS] / 1000);
}

int sim_counts_missing(FILE *to, const uint64_t *counts)
{
	int missing = 0;
	for (int i = 0; i < SIM_DEMANDED; i++) {
		if (counts[i])
			continue;
		const char *colon = strchr(names[i], ':');
		fprintf(to, "never met: %s\n", colon ? colon + 2 : names[i]);
		missing++;
	}
	return missing;
}
