/*
 * A TCP client (RFC 9293) as a pure function of packets and time: no I/O, no clock, no allocation, no threads.
 *
 * The owner feeds it parsed segments and the time, asks it for the next segment that is due, and calls it again by
 * `tcp_deadline`. What it sends lies in an extent queue that the owner fills; what it receives, in order, lies in a
 * ring that the owner drains.
 *
 *     owner ── tcp_open ─────────────▶ ┌─────┐
 *     NIC ──── tcp_input(segment) ───▶ │     │ ── tcp_output(buffer) ──▶ NIC      one segment a call, 0: none is due
 *     clock ── tcp_timer(now) ───────▶ │ tcp │ ── tcp_deadline() ──────▶ when to call tcp_timer next
 *     extents ── tcp_pushed ─────────▶ │     │ ── tcp_readable() ──────▶ received octets, in order
 *                                      └─────┘
 *
 * All times are ns of one monotonic clock of the owner's. Packets start at the IPv4 header; link headers are the
 * owner's.
 */
#ifndef HAREWIRE_TCP_TCP_H
#define HAREWIRE_TCP_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/extent.h"
#include "dataplane/tcp/trace.h"

#define TCP_NEVER UINT64_MAX /* no deadline */

enum tcp_state {
	TCP_CLOSED,
	TCP_SYN_SENT,
	TCP_SYN_RECEIVED, /* simultaneous open only */
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
};

struct tcp_tuple {
	uint32_t local_ip, remote_ip; /* host byte order */
	uint16_t local_port, remote_port;
};

/* Who decides how much may be in flight, besides the peer's window. */
enum tcp_control {
	TCP_CUBIC,
	TCP_RENO,
	TCP_NO_CONTROL, /* nobody: for a LAN provisioned for it. Losses are repaired, and answered by nothing else */
};

struct tcp_config {
	uint16_t mtu;           /* octets of an IPv4 packet, 576..65535; our MSS is mtu - 40 */
	uint32_t receive_bytes; /* size of the receive ring, a power of two, 4096..2^20 */
	uint64_t rto_min_ns;    /* floor of the retransmission timeout */
	uint64_t rto_max_ns;
	uint64_t connect_timeout_ns;    /* SYN unanswered for so long: HW_ERR_CONN_TIMEOUT */
	uint64_t user_timeout_ns;       /* data unacked for so long (persist aside): HW_ERR_CONN_LOST; 0: never */
	uint64_t time_wait_ns;          /* 2 MSL */
	uint64_t keepalive_idle_ns;     /* nothing heard and nothing to send for so long: a probe; 0: never */
	uint64_t keepalive_interval_ns; /* then one every so often */
	uint32_t keepalive_probes;      /* so many of them unanswered: HW_ERR_CONN_LOST */
	uint64_t delayed_ack_ns;        /* 0: ack at once */
	enum tcp_control control;
	uint32_t cwnd_max_bytes; /* the congestion window is never larger, 2 MSS..2^30; TCP_NO_CONTROL: it is this */
	bool ecn;                /* RFC 3168: ask for it */
	bool restart_after_idle; /* RFC 5681, 4.1: after a silence of a timeout, from the first window again */
	uint8_t ttl;
	bool verify_checksum; /* false where the device or the link (veth) vouches for it */
	bool fill_checksum;   /* false: leave the pseudo-header sum for the device to finish */
	/*
	 * Payload octets of a packet that the device cuts into segments (TSO); 0: never more than one segment. Only
	 * without fill_checksum.
	 */
	uint32_t tso_bytes;
	struct tcp_trace *trace; /* what happens is noted there; NULL: nowhere */
};

/* LAN defaults. */
void tcp_config_init(struct tcp_config *config);

/* A received segment, its header checked and its options taken apart. Pointers go into the packet. */
struct tcp_sack_block {
	uint32_t left, right;
};

struct tcp_segment {
	struct tcp_tuple tuple; /* from our point of view: local_* is the packet's destination */
	uint32_t seq, ack;
	uint16_t window; /* unscaled, as on the wire */
	uint8_t flags;   /* TCP_FIN ... */
	bool has_timestamps, has_window_scale, sack_permitted;
	uint8_t window_scale;
	uint16_t mss; /* 0: option absent */
	uint32_t ts_value, ts_echo;
	uint32_t sack_count;
	struct tcp_sack_block sack[4];
	const uint8_t *payload;
	uint32_t payload_len;
	bool ecn_ce;
};

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

/*
 * Takes an IPv4 packet of `len` octets (link header removed; trailing padding allowed) apart. 0, or HW_ERR_PACKET_*:
 * nothing in `segment` may be used then.
 */
int tcp_segment_parse(const uint8_t *packet, size_t len, bool verify_checksum, struct tcp_segment *segment);

/* What happened so far; free-running. */
struct tcp_counters {
	uint64_t segments_sent, segments_received;
	uint64_t octets_sent, octets_retransmitted;
	uint64_t retransmits_fast, retransmits_rto, rto_fired, persist_probes;
	uint64_t rack_losses; /* times that RACK found something lost */
	uint64_t tlp_probes;  /* tail loss probes; that repaired a loss; that came twice */
	uint64_t tlp_recovered, tlp_needless;
	uint64_t keepalive_probes;
	uint64_t ecn_ce, ecn_reductions; /* marks received; windows reduced because the peer received some */
	uint64_t undo, spurious_rto;     /* recoveries taken back, and those of them that a timeout had begun */
	uint64_t dsack_received;         /* reports that something we sent again had arrived before */
	uint64_t duplicate_acks, sack_blocks, out_of_window, out_of_order, challenge_acks, resets_ignored;
};

/* The connection itself; defined in tcp_internal.h for the files of this folder and for tests. */
struct tcp;

/* Octets and alignment for owners that embed connections in their own memory. */
size_t tcp_size(const struct tcp_config *config);

/* Places a closed connection at `memory` (tcp_size octets, 64-aligned). The config is copied. No failure. */
struct tcp *tcp_init(void *memory, const struct tcp_config *config);

/*
 * Active open. `isn` from tcp_initial_sequence. Starts the byte stream at offset 0 in `tx` (empty, owned by the caller,
 * which may push to it from now on; only tcp pops it). The SYN is due at once. HW_ERR_BUSY unless TCP_CLOSED.
 */
int tcp_open(struct tcp *t, const struct tcp_tuple *tuple, uint32_t isn, struct extent_queue *tx, uint64_t now_ns);

/* RFC 6528: a clock of 4 us plus a keyed hash of the tuple. */
uint32_t tcp_initial_sequence(const uint8_t secret[16], const struct tcp_tuple *tuple, uint64_t now_ns);

/*
 * A segment for this connection's tuple has arrived. Answers, if any, become due for tcp_output. False: it was data in
 * order or an ACK, and neither the state nor tcp_error nor tcp_peer_finished has changed.
 */
bool tcp_input(struct tcp *t, const struct tcp_segment *segment, uint64_t now_ns);

/* Runs whatever timers are due. Harmless when none is. */
void tcp_timer(struct tcp *t, uint64_t now_ns);

/* When tcp_timer wants to be called next, or TCP_NEVER. Changes with every other call. */
uint64_t tcp_deadline(const struct tcp *t);

/*
 * Writes the next segment that is due, IPv4 and TCP headers first, and books it as sent. Returns its length, or 0: none
 * is due. `cap` must be at least the configured MTU. Call until 0 or until out of buffers.
 *
 * With config.tso_bytes and room for it, new data comes as several segments in one packet, for the device to cut
 * (tcp_segment_bytes). What then reaches the wire is what as many calls at this instant would have written one by one:
 * every octet, but for the IPv4 identification, which devices count up, and which means nothing with DF (RFC 6864,
 * 4.1), and the header checksum over it. SYN, FIN, RST, retransmissions and probes are always segments of their own.
 */
size_t tcp_output(struct tcp *t, uint8_t *packet, size_t cap, uint64_t now_ns);

/*
 * Of a packet of `len` octets that tcp_output has just written: the payload octets of each segment but the last that it
 * is to be cut into, or 0: it is one segment. Where it is to be cut, the pseudo header's sum in its checksum field is
 * without the length, and IPv4's total length is the whole packet's.
 */
uint32_t tcp_segment_bytes(const struct tcp *t, size_t len);

/* Whether tcp_output has more than one segment for a packet with room for it. */
bool tcp_segments_due(const struct tcp *t);

/* Whether tcp_output may have something to say: false is certain, and saves its caller a buffer. */
bool tcp_output_due(const struct tcp *t);

/*
 * Octets that could go out now beyond those already in the extent queue: what the owner may usefully push. 0 while the
 * queue still holds unsent octets that the window or the congestion window keeps back. In front of a closed window with
 * nothing left unsent it is 1: the octet that probes it.
 */
uint64_t tcp_may_push(const struct tcp *t);

/* The owner has pushed: new octets may be due. O(1); call after extents_push. Returns tcp_output_due. */
bool tcp_pushed(struct tcp *t);

/* Stream offsets: octets ever sent (high-water mark), and acknowledged. tx->start == acked after every tcp_input. */
uint64_t tcp_sent(const struct tcp *t);
uint64_t tcp_acked(const struct tcp *t);

/* Received octets, in order: the first contiguous run and its length (0: none). tcp_consume takes `len` of them. */
const uint8_t *tcp_readable(const struct tcp *t, uint32_t *len);
void tcp_consume(struct tcp *t, uint32_t len, uint64_t now_ns);

/* Sends FIN after everything pushed; further pushes are errors. */
void tcp_close(struct tcp *t, uint64_t now_ns);

/* To TCP_CLOSED at once; a RST becomes due if the peer could still know us. tcp_output then yields it, once. */
void tcp_abort(struct tcp *t, uint64_t now_ns);

/* An ICMP error quoting this connection (RFC 5927 checks inside): type and code, the quoted sequence number, next MTU.
 */
void tcp_icmp(struct tcp *t, uint8_t type, uint8_t code, uint32_t quoted_seq, uint16_t next_mtu, uint64_t now_ns);

/* The driver had no buffer for what is due: for the trace. */
void tcp_refused(struct tcp *t, uint64_t now_ns);

enum tcp_state tcp_state_of(const struct tcp *t);
const char *tcp_state_name(enum tcp_state state);

/* Why it is TCP_CLOSED: 0 (orderly, or never opened) or HW_ERR_CONN_*. */
int tcp_error(const struct tcp *t);

/* The peer has sent FIN and everything before it has been consumed. */
bool tcp_peer_finished(const struct tcp *t);

struct tcp_info {
	enum tcp_state state;
	uint64_t srtt_ns, rttvar_ns, rto_ns;
	bool ecn;              /* negotiated */
	uint64_t min_rtt_ns;   /* of the last one or two minutes; 0: nothing measured yet */
	uint64_t ack_delay_ns; /* how long the peer has kept back an ACK in that time */
	uint32_t cwnd, ssthresh, peer_window, receive_window, in_flight, mss;
	struct tcp_counters counters;
};

void tcp_info_get(const struct tcp *t, struct tcp_info *info);

#endif
