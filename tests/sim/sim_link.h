/* One direction of a network that loses, repeats, reorders, cuts and corrupts, all of it decided by a seed. */
#ifndef HAREWIRE_TESTS_SIM_LINK_H
#define HAREWIRE_TESTS_SIM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/prng.h"

#define LINK_PACKETS      1024u
#define LINK_PACKET_BYTES 1600u

struct sim_packet {
	uint64_t at_ns;
	uint32_t len;
	uint8_t bytes[LINK_PACKET_BYTES];
};

/*
 * Chances in 1000. `tail`: that the end of what was pushed is lost when it is sent for the first time, but never that
 * of two pushes in a row, since the second may be what probes for the first. `spike`: that all waits for a while.
 * `mark`: that what is ECT is marked CE.
 */
struct sim_faults {
	uint32_t loss, burst_loss, duplicate, reorder, flip, truncate, tail, spike, mark;
};

struct sim_link {
	struct prng *random;
	struct sim_faults faults;
	uint64_t delay_ns, jitter_ns;
	uint32_t burst_left; /* packets still to be lost */
	uint32_t highest;    /* sequence number that has come, for `tail` */
	bool tail_spared;
	uint64_t stalled_until_ns; /* a spike: nothing arrives before */
	uint32_t count;
	struct sim_packet packets[LINK_PACKETS];
	uint64_t hits[9]; /* in the order of struct sim_faults */
};

void sim_link_send(struct sim_link *l, const uint8_t *packet, size_t len, uint64_t now_ns);

/* When the next packet arrives, or UINT64_MAX. */
uint64_t sim_link_next(const struct sim_link *l);

/* Takes the earliest packet that has arrived by now; false: none. */
bool sim_link_receive(struct sim_link *l, uint64_t now_ns, struct sim_packet *packet);

#endif
