/*
 * The connection, and what the rooms of this folder owe each other.
 *
 *     tcp.c         life of a connection, the one function that changes its state
 *     segment.c     a received packet becomes struct tcp_segment       options.c  and its options
 *     input.c       RFC 9293, 3.10.7, step by step                     input_syn_sent.c  its SYN-SENT part
 *     receive.c     what has arrived: ring, out-of-order ranges, our window, our SACK blocks
 *     output.c      what is due next                                   build.c    its octets
 *     recovery.c    what is deemed lost (RFC 6675, 6582)               scoreboard.c  what the peer has beyond a gap
 *     congestion.c  how much may be in flight                          rtt.c      how long an answer takes
 *     timers.c      what happens when none comes                       icmp.c     what routers say
 *     isn.c         where sequence numbers start
 */
#ifndef HAREWIRE_TCP_INTERNAL_H
#define HAREWIRE_TCP_INTERNAL_H

#include "dataplane/base/seq.h"
#include "dataplane/tcp/tcp.h"

#define TCP_HEADER_BYTES       20u
#define TCP_HEADERS_BYTES      40u  /* IPv4 and TCP, without options */
#define TCP_TIMESTAMP_BYTES    12u  /* NOP NOP timestamps: padded as RFC 7323, appendix A, recommends */
#define TCP_DEFAULT_PEER_MSS   536u /* RFC 9293, 3.7.1: when the option is absent */
#define TCP_MSS_FLOOR          64u  /* a peer asking for less wants our packet rate, not our data */
#define TCP_MTU_MIN            576u
#define TCP_SEGMENTS_MAX       64u           /* in a packet that the device cuts: net_tap takes no more */
#define TCP_CUT_MSS_MIN        256u          /* i40e and its relatives cut nothing smaller */
#define TCP_CUT_MSS_MAX        9216u         /* igb and igc cut nothing larger, whatever their MTU */
#define TCP_WINDOW_SCALE_MAX   14u           /* RFC 7323, 2.3 */
#define TCP_DUPLICATE_ACKS     3u            /* RFC 5681, 3.2 */
#define TCP_RTO_INITIAL_NS     1000000000ull /* RFC 6298, 2.1 */
#define TCP_RTO_AFTER_SYN_LOSS 3000000000ull /* RFC 6298, 5.7 */

/*
 * Timestamps tick every 2^20 ns (1.05 ms, RFC 7323, 5.4 asks for 1 ms to 1 s): a shift, no division. They carry the
 * owner's clock without an offset, so that a new connection on an old tuple never seems older to a peer in TIME-WAIT
 * (RFC 6191).
 */
#define TCP_TIMESTAMP_SHIFT 20

/* RFC 7323, 5.5: after 24 days without a segment ts_recent says nothing any more. */
#define TCP_PAWS_IDLE_NS (24ull * 24 * 3600 * 1000000000ull)

enum tcp_timer_kind {
	TCP_TIMER_RETRANSMIT,
	TCP_TIMER_PERSIST,
	TCP_TIMER_DELAYED_ACK,
	TCP_TIMER_USER, /* connect timeout in SYN-SENT and SYN-RECEIVED, then the user timeout */
	TCP_TIMER_TIME_WAIT,
	TCP_TIMERS,
};

/* ---- loss recovery ---- */

enum tcp_phase {
	TCP_PHASE_OPEN,     /* nothing is known to be lost */
	TCP_PHASE_RECOVERY, /* fast recovery */
	TCP_PHASE_LOSS,     /* after a retransmission timeout */
};

/* Octets the peer has beyond a gap. `segments`: how many segments that was at least, for IsLost with small ones. */
struct tcp_range {
	uint32_t left, right;
	uint32_t segments;
};

#define TCP_SACKED_MAX 64u /* ranges; more are forgotten, which costs needless retransmissions only */

/*
 * Everything between una and nxt, as cursors over sequence space. Which segments it was once cut into is not
 * remembered: retransmissions are cut anew.
 *
 *     snd_una          high_rxt           lost_end           snd_nxt
 *        |  retransmitted  |   lost, to send   |  in flight      |
 *             [sacked]         [sacked] [sacked]     [sacked]
 */
struct tcp_recovery {
	enum tcp_phase phase;
	uint32_t high_rxt;       /* everything before it that is not SACKed has been retransmitted in this phase */
	uint32_t lost_end;       /* everything before it that is not SACKed is deemed lost */
	uint32_t recovery_point; /* the phase ends when this is acknowledged */
	uint32_t dup_acks;
	uint64_t duplicates_from; /* stream offset: below it, duplicate ACKs answer our own retransmissions */
	uint32_t reno_left;       /* without SACK: octets that duplicate ACKs say have left the network */
	bool force;               /* the first retransmission does not ask the congestion window (RFC 6675, 5, 4.3) */
	uint32_t sacked_count;
	uint32_t sacked_octets;
	struct tcp_range sacked[TCP_SACKED_MAX]; /* ascending, apart from each other, inside (snd_una, snd_nxt] */
};

/* ---- congestion ---- */

struct tcp_congestion {
	uint32_t cwnd, ssthresh; /* octets */
	uint32_t acked;          /* octets acked towards the next step of congestion avoidance */
};

/* ---- receiving ---- */

#define TCP_OUT_OF_ORDER_MAX 8u

/*
 * The receive ring holds sequence number s at (s - receive_origin) & mask; segments beyond a gap are stored in place.
 *
 *     consumed            rcv_nxt                              consumed + size
 *        |  readable octets  |   gap   [out of order]   gap    |
 *                                                 edge: highest sequence number ever allowed to the peer
 */
struct tcp_receive {
	uint8_t *ring;
	uint32_t mask; /* size - 1 */
	uint32_t origin;
	uint32_t consumed;
	uint32_t edge;
	uint32_t edge_sent; /* as of the last segment sent */
	uint32_t fin_seq;   /* valid when fin_known */
	bool fin_known;     /* a FIN has been seen, perhaps beyond a gap */
	bool fin_taken;     /* and counted in rcv_nxt */
	uint32_t out_of_order_count;
	struct tcp_range
		out_of_order[TCP_OUT_OF_ORDER_MAX]; /* most recently changed first, as RFC 2018, 4 wants them sent */
};

struct tcp {
	/* the send path, written per segment */
	struct extent_queue *tx;
	uint64_t fast_until; /* stream offset up to which tcp_output needs no thought; 0: it does */
	uint64_t nxt_offset; /* stream offset of snd_nxt */
	uint64_t send_limit; /* stream offset up to which both windows allow new data */
	uint64_t push_limit; /* send_limit, or one octet more to probe a closed window with */
	uint64_t rtt_start_ns;
	uint32_t rtt_seq; /* timed segment's end (RFC 6298, 3); valid when rtt_timing */
	uint32_t snd_una, snd_nxt;
	uint32_t rcv_nxt;
	uint32_t ts_recent;
	uint32_t last_ack_sent; /* RFC 7323, 4.3 */
	uint32_t mss;           /* octets of data per segment, options allowed for */
	uint32_t header_len;    /* of a data segment: IPv4, TCP, timestamps */
	uint16_t window_wire;   /* our window as the header carries it */
	bool rtt_timing;
	bool rtt_spoilt; /* a retransmission ended the timing (Karn): the next ACK's timestamp serves instead */
	bool plain;      /* established, nothing lost, nothing out of order: fast_until may be set */
	bool predicted;  /* plain, and input may be predicted as well */
	bool timestamps;
	bool ack_due;
	uint32_t ack_pending_octets, ack_pending_segments; /* received since the last ACK */
	uint64_t timers[TCP_TIMERS];
	uint64_t header_sum; /* partial checksum of what never changes in the TCP header, and of the pseudo header */
	uint64_t ip_sum;     /* the same of the IPv4 header */
	uint8_t header[64];  /* template: IPv4, TCP, timestamps */

	/* acknowledgements, written per received segment */
	uint32_t snd_wnd, snd_wl1, snd_wl2; /* RFC 9293, 3.3.1; snd_wnd in octets */
	uint32_t snd_wnd_max;
	uint8_t snd_scale, rcv_scale;
	uint8_t backoff; /* RTOs or probes in a row, unanswered */
	uint64_t rto_ns; /* without back-off */
	uint64_t srtt_ns, rttvar_ns;
	bool rtt_valid;
	uint64_t progress_ns; /* when the peer last acknowledged something, or we began to wait for it */
	uint64_t ts_recent_ns;
	struct tcp_congestion congestion;
	struct tcp_counters counters;

	/* slower matters */
	enum tcp_state state;
	int error, soft_error;
	struct tcp_config config;
	struct tcp_tuple tuple;
	uint32_t isn, irs;
	uint16_t peer_mss;
	uint16_t path_mtu;
	bool opened;
	bool sack_permitted;
	bool scaling; /* both sides offered a window scale */
	bool syn_due, syn_retransmitted;
	bool fin_queued; /* tcp_close was called, with the stream ending at fin_offset */
	uint64_t fin_offset;
	bool fin_sent;
	uint32_t fin_seq;
	bool probe_due;
	bool probe_answered; /* nothing is known to be wrong behind the closed window */
	bool reset_due, reset_has_ack;
	uint32_t reset_seq, reset_ack;
	uint64_t challenge_window_ns; /* start of the current period of RFC 5961, 7 */
	uint32_t challenge_count;
	struct tcp_recovery recovery;
	struct tcp_receive receive;
};

/* ---- tcp.c ---- */

void tcp_set_state(struct tcp *t, enum tcp_state state);
void tcp_enter_closed(struct tcp *t, int error);
void tcp_enter_time_wait(struct tcp *t, uint64_t now_ns);
/* Windows, options and header template as the peer's SYN settles them. */
void tcp_negotiate(struct tcp *t, const struct tcp_segment *syn, uint64_t now_ns);
void tcp_set_mss(struct tcp *t);

static inline bool tcp_synchronized(const struct tcp *t)
{
	return t->state >= TCP_ESTABLISHED;
}

/* States in which data may leave: RFC 9293, 3.10.2, and what is left to send after CLOSE. */
static inline bool tcp_may_send_data(const struct tcp *t)
{
	return t->state >= TCP_ESTABLISHED && t->state != TCP_FIN_WAIT_2 && t->state != TCP_TIME_WAIT;
}

static inline uint32_t tcp_flight(const struct tcp *t)
{
	return t->snd_nxt - t->snd_una;
}

static inline uint32_t tcp_timestamp(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> TCP_TIMESTAMP_SHIFT);
}

/* ---- options.c ---- */

int tcp_options_parse(const uint8_t *p, size_t len, struct tcp_segment *segment);
/* Writes the options of a SYN, or timestamps and SACK blocks of any other segment; returns octets, a multiple of 4. */
uint32_t tcp_options_build_syn(const struct tcp *t, uint8_t *p, uint64_t now_ns);
uint32_t tcp_options_build(const struct tcp *t, uint8_t *p, uint64_t now_ns);
uint8_t tcp_window_scale_wanted(const struct tcp_config *config);

/* ---- build.c ---- */

struct tcp_outgoing {
	uint32_t seq;
	uint32_t len; /* octets of stream data at `offset` */
	uint64_t offset;
	uint8_t flags;
};

void tcp_build_template(struct tcp *t);
size_t tcp_build_hot(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns);
/* Several segments in one packet: whole ones, the last may be shorter. */
size_t tcp_build_segments(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns);
size_t tcp_build(struct tcp *t, uint8_t *packet, const struct tcp_outgoing *out, uint64_t now_ns);
size_t tcp_build_reset(struct tcp *t, uint8_t *packet);

/* ---- output.c ---- */

/* Recomputes fast_until, send_limit and push_limit: after anything that moves windows, phases or states. */
void tcp_update_permission(struct tcp *t);
/* RFC 9293, 3.10.7.1: the reset that answers `segment`. */
void tcp_reset_answer(struct tcp *t, const struct tcp_segment *segment);

static inline void tcp_set_fast_until(struct tcp *t)
{
	uint64_t end = t->tx->end;
	t->fast_until = !t->plain ? 0 : end < t->send_limit ? end : t->send_limit;
}

/* ---- input.c, input_syn_sent.c ---- */

void tcp_input_syn_sent(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);
void tcp_input_data(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);
/* An ACK in answer to something suspicious, unless there have been too many of late (RFC 5961, 7). */
void tcp_challenge(struct tcp *t, uint64_t now_ns);

/* ---- receive.c ---- */

void tcp_receive_init(struct tcp *t, uint32_t first_seq);
/* Stores payload at `seq`, trimmed to the window by the caller; returns octets by which rcv_nxt moved. */
uint32_t tcp_receive_store(struct tcp *t, uint32_t seq, const uint8_t *payload, uint32_t len);
void tcp_receive_copy_in_order(struct tcp *t, const uint8_t *payload, uint32_t len);
/* Moves the window's edge as far as silly-window avoidance allows, and recomputes window_wire. */
void tcp_receive_update_window(struct tcp *t);
/* Writes up to `max` blocks, most recent first; returns how many. */
uint32_t tcp_receive_sack_blocks(const struct tcp *t, uint8_t *p, uint32_t max);
uint32_t tcp_receive_available(const struct tcp *t);

/* What of the advertised window is left. */
static inline uint32_t tcp_receive_window(const struct tcp *t)
{
	return t->receive.edge - t->rcv_nxt;
}

/* ---- timers.c ---- */

static inline void tcp_timer_set(struct tcp *t, enum tcp_timer_kind kind, uint64_t at_ns)
{
	t->timers[kind] = at_ns;
}

static inline void tcp_timer_clear(struct tcp *t, enum tcp_timer_kind kind)
{
	t->timers[kind] = TCP_NEVER;
}

static inline bool tcp_timer_armed(const struct tcp *t, enum tcp_timer_kind kind)
{
	return t->timers[kind] != TCP_NEVER;
}

void tcp_timers_clear(struct tcp *t);
/* Data has come and is not acked yet: at once or later, as RFC 5681, 4.2 and the configuration say. */
void tcp_ack_later(struct tcp *t, uint32_t octets, uint64_t now_ns);
/* Nothing is in flight but the window holds data back: probe it, or the lost update would be waited for in vain. */
void tcp_arm_persist(struct tcp *t, uint64_t now_ns);

/* ---- rtt.c ---- */

void tcp_rtt_init(struct tcp *t);
void tcp_rtt_sample(struct tcp *t, uint64_t rtt_ns);
/* The timed segment, or failing that the echoed timestamp, says how long this ACK took. */
void tcp_rtt_on_ack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);

/* The timeout with back-off (RFC 6298, 5.5) and the configured ceiling. */
static inline uint64_t tcp_rto(const struct tcp *t)
{
	uint64_t rto_ns = t->rto_ns << t->backoff;
	return rto_ns < t->config.rto_max_ns ? rto_ns : t->config.rto_max_ns;
}

/* ---- congestion.c ---- */

void tcp_congestion_init(struct tcp *t);
/* `acked` octets have been acknowledged; `flight` were in flight before. Not during fast recovery. */
void tcp_congestion_on_ack(struct tcp *t, uint32_t acked, uint32_t flight);
void tcp_congestion_on_loss(struct tcp *t);
void tcp_congestion_on_timeout(struct tcp *t);

/* ---- scoreboard.c ---- */

/* Takes the segment's SACK blocks in; returns octets newly known to have arrived. */
uint32_t tcp_scoreboard_update(struct tcp *t, const struct tcp_segment *s);
/* snd_una has moved. */
void tcp_scoreboard_trim(struct tcp *t);
void tcp_scoreboard_clear(struct tcp *t);
/* The first octet at or after `seq` that is not SACKed; *end: where the next SACKed range begins, or snd_nxt. */
uint32_t tcp_scoreboard_next_hole(const struct tcp *t, uint32_t seq, uint32_t *end);
/* SACKed octets within [left, right). */
uint32_t tcp_scoreboard_octets_in(const struct tcp *t, uint32_t left, uint32_t right);
/* RFC 6675, 4, IsLost(): the sequence number below which every octet not SACKed is lost; snd_una: none. */
uint32_t tcp_scoreboard_lost_end(const struct tcp *t);

/* ---- recovery.c ---- */

void tcp_recovery_init(struct tcp *t);
/* An ACK that moved snd_una by `acked`. */
void tcp_recovery_on_ack(struct tcp *t, uint32_t acked);
/* Any acceptable ACK, afterwards: duplicates are counted and losses detected. `duplicate` as RFC 5681, 2 defines it. */
void tcp_recovery_detect(struct tcp *t, bool duplicate, uint32_t newly_sacked);
void tcp_recovery_on_timeout(struct tcp *t);
/* Everything in flight was too large for the path: again, in smaller pieces, and no sign of congestion. */
void tcp_recovery_recut(struct tcp *t);
/* RFC 6675, 4, Pipe: octets thought to be in the network. */
uint32_t tcp_recovery_pipe(const struct tcp *t);
/* The next range to retransmit: its start, and its length through `len`; false when there is none. */
bool tcp_recovery_next(const struct tcp *t, uint32_t *seq, uint32_t *len);

/* Nothing lost, nothing SACKed, no duplicate ACK: the case in which cursors need no upkeep. */
static inline bool tcp_recovery_quiet(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	return r->phase == TCP_PHASE_OPEN && r->sacked_count == 0 && r->dup_acks == 0;
}

#endif
