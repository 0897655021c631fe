/*
 * One direction of a network that loses, repeats, reorders, cuts, corrupts and congests, all of it decided by a seed. A
 * link that is all zeroes but for `random` is perfect: set what is wanted, before or between packets.
 */
#ifndef HAREWIRE_TESTS_SIM_LINK_H
#define HAREWIRE_TESTS_SIM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/prng.h"

#define LINK_PACKETS      1024u
#define LINK_PACKET_BYTES 9216u

struct sim_packet {
	uint64_t at_ns;
	uint32_t len;
	bool altered; /* since it was sent */
	uint8_t bytes[LINK_PACKET_BYTES];
};

/* What a link can do to a packet; the indices of sim_link.hits, which count packets. */
enum sim_hit {
	SIM_LOSS,
	SIM_BURST, /* losses that come together */
	SIM_DUPLICATE,
	SIM_REORDER,
	SIM_FLIP,
	SIM_TRUNCATE,
	SIM_TAIL,
	SIM_SPIKE,
	SIM_MARK,
	SIM_MEND,
	SIM_STALE,
	SIM_OVERFLOW,
	SIM_CUT,
	SIM_LINK_HITS
};

/*
 * Chances in 1000. `tail`: that the end of what was pushed is lost when it is sent for the first time, but never that
 * of two pushes in a row, since the second may be what probes for the first. `spike`: that all waits for a while.
 * `mark`: that what is ECT is marked CE. `flip`: one bit of the packet. `mend`: one bit of the headers, with checksums
 * that are right again: what a broken switch makes of a segment, as far as TCP can survive it (a wrong octet, or an
 * acknowledgement of what never arrived, nobody could). `stale`: that a copy comes once more after up to five seconds.
 */
struct sim_faults {
	uint32_t loss, burst_loss, duplicate, reorder, flip, truncate, tail, spike, mark, mend, stale;
};

struct sim_link {
	struct prng *random;
	struct sim_faults faults;
	uint64_t delay_ns, jitter_ns;
	uint64_t octet_ns;     /* bandwidth; 0: none is too much */
	uint64_t queue_ns;     /* what waits for longer is dropped */
	uint64_t cut_until_ns; /* a partition: nothing gets in before */
	uint64_t free_at_ns;   /* the queue is empty */
	uint32_t burst_left;   /* packets still to be lost */
	uint32_t highest;      /* sequence number that has come, for `tail` */
	bool tail_spared;
	uint64_t stalled_until_ns; /* a spike: nothing arrives before */
	uint64_t hits[SIM_LINK_HITS];

	/* packets on their way: a heap of indices, the earliest first */
	uint32_t count, used, unused_count;
	uint64_t number; /* of packets so far: those of one instant arrive in order */
	uint32_t heap[LINK_PACKETS], unused[LINK_PACKETS];
	uint64_t numbers[LINK_PACKETS];
	struct sim_packet packets[LINK_PACKETS];
};

void sim_link_send(struct sim_link *l, const uint8_t *packet, size_t len, uint64_t now_ns);

/* When the next packet arrives, or UINT64_MAX. */
uint64_t sim_link_next(const struct sim_link *l);

/* Takes the earliest packet that has arrived by now; false: none. */
bool sim_link_receive(struct sim_link *l, uint64_t now_ns, struct sim_packet *packet);

#endif
