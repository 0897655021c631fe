/*
 * Everything that one seed decides: our TCP with an application and a NIC, two links, a peer, and what befalls them.
 *
 *     sim_tcp_draw.c   what a seed decides              sim_tcp_run.c    time
 *     sim_tcp_check*.c what has to be true, always      sim_tcp_model.c  and what is in flight, told independently
 *     sim_tcp_trace.c  lines to read                    sim_tcp_total.c  how often everything has really happened
 */
#ifndef HAREWIRE_TESTS_SIM_TCP_WORLD_H
#define HAREWIRE_TESTS_SIM_TCP_WORLD_H

#include "dataplane/tcp/tcp_internal.h"
#include "tests/sim/sim_peer.h"
#include "tests/sim/sim_tcp_count.h"
#include "tests/sim/sim_tcp_model.h"

#define MS           1000000ull
#define NEVER        UINT64_MAX
#define FAULTS_UNTIL (60000 * MS)  /* then the network heals at the latest ... */
#define DRAIN_WITHIN (300000 * MS) /* ... and everything has to end within so long */
#define TOTAL_MIN    (1u << 18)
#define TOTAL_MAX    (3u << 17)
#define TSO_MAX      65000u
#define SLOTS_MAX    256u
#define INCIDENTS    6u

/* Something that happens once, when so much has been acknowledged. */
struct sim_incident {
	enum { CUT_OUT, CUT_IN, CUT_BOTH, JUMP, SMALLER_MTU, LARGER_MTU, ABORT, SILENCE } kind;
	uint64_t at_offset, for_ns;
	uint32_t mtu;
	bool happened;
};

enum sim_ending { ORDERLY, RESET, LOST, ABORTED, UNANSWERED };

/* Our NIC: packets that it has taken leave one after the other; what comes while we are away waits, or is dropped. */
struct sim_nic {
	uint32_t slots;     /* of either ring */
	uint64_t packet_ns; /* between two packets; 0: they leave at once */
	uint32_t refuse;    /* chance in 1000 that a packet is taken and never leaves */
	uint32_t head, tail;
	uint64_t left_at_ns[SLOTS_MAX];
	uint32_t received;
	struct sim_packet ring[SLOTS_MAX];
};

/* tcp before a call, for what the call may have done to it. */
struct sim_before {
	struct tcp_counters counters;
	struct tcp_congestion congestion;
	enum tcp_phase phase;
	uint32_t recovery_point, una, nxt, window, mss, flight, records, edge;
	uint16_t path_mtu;
	bool sacked_first;
	uint64_t rto_ns;
};

struct sim_world {
	uint64_t seed, now_ns, started_ns, healed_ns, total;
	struct prng network, manners, application, device;
	struct tcp *t;
	struct tcp_config config;
	struct extent_queue tx;
	struct sim_peer peer;
	enum sim_ending ending;
	struct sim_incident incidents[INCIDENTS];
	uint32_t incident_count;
	uint64_t heal_offset, silent_ns;
	bool healed, closed, tails_only;
	uint32_t mtu; /* of the path */

	/* the application */
	uint64_t read, read_after_ns;
	uint64_t push_at_ns; /* a feed: bursts of messages, with pauses; else as much as TCP takes */
	bool feed;
	uint64_t freed_until, freed_control; /* of the octets up to there, those of that kind */

	/* the device, and us */
	uint64_t away_until_ns; /* nobody polls before */
	uint64_t icmp_at_ns;    /* a router's message; NEVER: none is on its way */
	uint32_t icmp_seq;
	uint16_t icmp_mtu;
	bool refused; /* the packet that is being sent is lost in the device */

	/* checking */
	uint32_t highest; /* sequence number that has left */
	struct sim_before before;
	bool predicted;      /* tcp says that the segment just taken in was nothing special */
	bool believed;       /* the segment just taken in was an ACK that counts, ... */
	uint32_t delivered;  /* ... and says that so many octets more have arrived */
	uint32_t duplicates; /* without SACK: duplicate ACKs since the last recovery ended */
	bool force;          /* one retransmission may go beyond the congestion window */
	bool tail_probe, window_probe;
	uint64_t prr_delivered, prr_sent; /* in this recovery */
	/* octets, since nothing was known to be lost: sent again; and said to have come twice */
	uint64_t resent, reported;
	uint32_t window, told_seq, told_ack; /* the peer's, in octets, and which segment says so */
	uint64_t sent_segments, sent_before; /* so far; and when a step last ended */
	uint32_t ours_furthest;              /* right edge of the window that the peer has ever allowed */
	uint32_t states;                     /* seen, a bit each */
	const char *failure;
	char failure_text[160];
	bool verbose;

	uint64_t counts[SIM_COUNTS];
	uint8_t control[TOTAL_MAX]; /* 1: pushed as EXTENT_CONTROL */
	struct sim_model model;
	struct sim_nic nic;
	struct sim_link out, in; /* ours to theirs, theirs to ours */
};

/* The octets of both streams. */
extern const uint8_t *const sim_stream;

/* ---- sim_tcp_draw.c ---- */

void sim_world_draw(struct sim_world *w, uint64_t seed);

/* ---- sim_tcp_run.c ---- */

/* False: w->failure says why. */
bool sim_world_run(struct sim_world *w);

/* ---- sim_tcp_check.c ---- */

void sim_fail(struct sim_world *w, const char *why);

/* Before and after every call that lets tcp hear, wait, or speak. */
void sim_check_before(struct sim_world *w);
void sim_check_input(struct sim_world *w, const struct tcp_segment *s);
void sim_check_input_done(struct sim_world *w, const struct tcp_segment *s);
void sim_check_timer_done(struct sim_world *w);
/* A segment of ours, before anything happens to it. */
void sim_check_sent(struct sim_world *w, const uint8_t *packet, size_t len);
/* All of a packet's segments have been. */
void sim_check_output_done(struct sim_world *w);
/* All is said for now; `drained`: tcp_output has nothing more. */
void sim_check_step(struct sim_world *w, bool drained);
void sim_check_end(struct sim_world *w);

/* ---- sim_tcp_trace.c ---- */

void sim_trace_segment(const struct sim_world *w, const char *way, const uint8_t *packet, size_t len, const char *fate);
void sim_trace_event(const struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a call has changed, if anything worth a line. */
void sim_trace_change(const struct sim_world *w);

static inline void sim_count(struct sim_world *w, enum sim_count which)
{
	w->counts[which]++;
}

static inline struct sim_link *sim_links(struct sim_world *w, int i)
{
	return i ? &w->in : &w->out;
}

#endif
