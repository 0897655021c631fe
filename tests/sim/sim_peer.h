/*
 * A model of the broker's TCP: a receiver simple enough to be right (one flag per octet of its window) that also sends
 * a little stream of its own, go-back-N. What it offers and how it behaves is drawn from the seed.
 */
#ifndef HAREWIRE_TESTS_SIM_PEER_H
#define HAREWIRE_TESTS_SIM_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/prng.h"
#include "tests/lib/tcp_peer.h"
#include "tests/sim/sim_link.h"

#define PEER_WINDOW_MAX (1u << 18)

/* What it did that not every peer does, and not on every seed: packets, or times. */
struct sim_peer_hits {
	uint64_t sacked, twice, delayed, zero_window, shrunk, reneged, forged, reset, stalled, stale;
};

struct sim_peer {
	struct prng *random;
	struct sim_link *link; /* to us */
	const uint8_t *stream;
	/* choices */
	uint32_t isn, window, full_window; /* a peer that shrinks has less than all of it at times */
	uint16_t mss;
	int scale;
	bool sack, timestamps;
	bool ecn;     /* then: negotiated */
	bool dsack;   /* says so when something comes twice */
	bool reneges; /* forgets at times what it has SACKed */
	bool shrinks; /* takes back at times what its window allowed (RFC 9293, 3.8.6: it should not) */
	bool forges;  /* somebody else sends resets and SYNs in its name at times, with numbers that are not quite right
		       */
	bool hasty;   /* its FIN does not wait for ours */
	uint64_t ack_delay_ns;
	uint64_t read_every_ns; /* its application reads in turns, and stalls at times */
	uint32_t read_octets;
	uint64_t send_total;   /* octets it sends us */
	uint64_t reset_offset; /* it crashes when so much has come; UINT64_MAX: never */

	/* receiving */
	bool syn_seen, established, fin_seen;
	bool dead; /* it has crashed: all it knows is how to reset */
	uint32_t their_isn;
	uint64_t received; /* in order, stream offset */
	uint64_t consumed; /* read by its application */
	uint64_t fin_offset;
	uint8_t have[PEER_WINDOW_MAX]; /* by offset modulo size: an octet beyond a gap is here */
	uint64_t highest;              /* offset behind the last of them */
	uint64_t recent;               /* offset of what came last, for the first SACK block */
	bool echo, slowed;             /* ECE is due; CWR is */
	uint64_t twice, twice_end;     /* what came twice and has not been reported; nothing when equal */
	uint64_t edge;                 /* the window's */
	uint64_t furthest;             /* offset that it has ever been at */
	uint32_t unacked_segments;
	uint32_t ts_recent;
	uint32_t last_ack;

	/* sending */
	uint64_t acked, next;
	uint32_t send_window;
	bool fin_sent, fin_acked;
	uint16_t their_mss;

	uint64_t ack_at_ns, retransmit_at_ns, read_at_ns;
	bool wrong; /* an octet arrived that was never sent there */
	struct sim_peer_hits hits;
};

/* `stream`: the octets of both streams, as many as either has. */
void sim_peer_init(struct sim_peer *p, struct prng *random, struct sim_link *link, const uint8_t *stream);
void sim_peer_input(struct sim_peer *p, const struct sim_packet *packet, uint64_t now_ns);
uint64_t sim_peer_next(const struct sim_peer *p);
void sim_peer_timer(struct sim_peer *p, uint64_t now_ns);

/* The faults are over: it behaves from now on. */
void sim_peer_heal(struct sim_peer *p);

#endif
