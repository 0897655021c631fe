/* What the referee's BPF program (drop.bpf.c) and its loader share. */
#ifndef HAREWIRE_TESTS_REFEREE_DROP_H
#define HAREWIRE_TESTS_REFEREE_DROP_H

#include <linux/types.h>

enum { DROP_DATA, DROP_ACKS, DROP_DIRECTIONS };

struct drop_direction {
	__u64 seen, dropped;
	__u64 dropped_numbers; /* the sum of the dropped packets' numbers: which ones, not only how many */
};

struct drop_counts {
	struct drop_direction directions[DROP_DIRECTIONS];
	__u64 oversize; /* packets of several segments: then packets are no segments, and the comparison is off */
	__u64 first_ns; /* CLOCK_MONOTONIC of the first segment with data, lost or not; 0: none yet */
	__u64 last_ns, silence_ns; /* of the last such segment let in; and the longest time without one */
};

#endif
