/*
 * The connection, and what the rooms of this folder owe each other.
 *
 *     tcp.c         life of a connection, the one function that changes its state
 *     segment.c     a received packet becomes struct tcp_segment       options.c  and its options
 *     input.c       RFC 9293, 3.10.7, step by step                     input_syn_sent.c  its SYN-SENT part
 *     receive.c     what has arrived: ring, out-of-order ranges, our window, our SACK blocks
 *     output.c      what is due next                                   build.c    its octets
 *     scoreboard.c  what is in flight, when it was sent, what of it has arrived
 *     rack.c        what of it is lost (RFC 8985)                      recovery.c    and what is done about that
 *     congestion.c  how much may be in flight                          cubic.c    how that grows (RFC 9438)
 *     rtt.c         how long an answer takes
 *     tlp.c         the probe that is sent when no answer comes (8985)
 *     keepalive.c   whether the peer is still there (1122)
 *     ecn.c         marks instead of losses (3168)
 *     undo.c        and what is taken back when it was not lost (3522, 4015)
 *     timers.c      what happens when no answer comes at all                       icmp.c     what routers say
 *     isn.c         where sequence numbers start
 *     trace.c       what has happened lately                                       trace_text.c  in words
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
	TCP_TIMER_IDLE, /* the end of TIME-WAIT; before, the next look whether the peer is still there */
	TCP_TIMERS,
};

/* ---- loss recovery ---- */

enum tcp_phase {
	TCP_PHASE_OPEN,     /* nothing is known to be lost */
	TCP_PHASE_RECOVERY, /* fast recovery */
	TCP_PHASE_LOSS,     /* after a retransmission timeout */
};

/*
 * What is in flight, [snd_una, snd_nxt), as records: each begins where the one before it ends, the first at snd_una,
 * and the last ends at snd_nxt. A new segment is a new record. Records are cut where the peer's SACK blocks or our
 * retransmissions (cut anew at today's MSS) end inside one, joined where neighbours have been SACKed, and joined in
 * pairs when there are too many: a joined record counts as sent when its later part was, which delays the detection of
 * a loss and never invents one.
 *
 *     snd_una                                                          snd_nxt
 *        | LOST | AGAIN | SACKED          |      |      | SACKED |     |
 */
struct tcp_record {
	uint64_t at_ns; /* last sent */
	uint32_t end;
	uint16_t segments; /* how many it was at least */
	uint16_t flags;    /* TCP_SACKED ... */
};

#define TCP_SACKED 1u /* the peer has it beyond a gap */
#define TCP_LOST   2u /* deemed lost, to be sent again */
#define TCP_AGAIN  4u /* has been sent again at least once */

#define TCP_RECORDS 256u /* a power of two */

struct tcp_scoreboard {
	uint32_t head, tail; /* of struct tcp's records, free-running; head: oldest */
	uint32_t sacked_octets, lost_octets;
};

/* RFC 8985, 6: the segment sent most recently of those that have arrived, and what reordering there has been. */
struct tcp_rack {
	uint64_t at_ns;       /* RACK.xmit_ts */
	uint64_t rtt_ns;      /* RACK.rtt; 0: nothing measured yet */
	uint64_t wake_ns;     /* when a record in doubt turns out lost; TCP_NEVER: none is */
	uint32_t end;         /* RACK.end_seq */
	uint32_t fack;        /* RACK.fack: the highest sequence number that has arrived */
	uint32_t dsack_round; /* RACK.dsack_round; valid when in_dsack_round */
	bool in_dsack_round;
	bool reordering_seen;
	uint8_t window_mult, window_persist;
};

/* RFC 8985, 7: a probe whose fate is not known yet. */
struct tcp_tlp {
	bool open;
	uint32_t again;  /* TLP.is_retrans: octets that were sent before; 0: new data */
	uint32_t end;    /* TLP.end_seq */
	uint32_t flight; /* octets in flight when it was sent */
};

#define TCP_PTO_MIN_NS 100000u      /* sooner, silence is rather the peer's scheduler than a loss */
#define TCP_PTO_NONE   (1ull << 62) /* later than any timeout, and no overflow when added to a time */

struct tcp_recovery {
	enum tcp_phase phase;
	uint32_t recovery_point; /* the phase ends when this is acknowledged */
	uint32_t dup_acks;
	uint64_t duplicates_from; /* stream offset: below it, duplicate ACKs answer our own retransmissions */
	uint64_t reduced_ns;      /* when the congestion window was last reduced for a loss */
	uint32_t reno_left;       /* without SACK: octets that duplicate ACKs say have left the network */
	bool force;               /* the first retransmission does not ask the congestion window (RFC 6675, 5, 4.3) */
};

/* ---- round trips ---- */

/*
 * How long an answer takes. The two extremes are those of the current period and of the one before, so that what was
 * once is forgotten in time.
 */
struct tcp_rtt {
	uint64_t srtt_ns, rttvar_ns;
	uint64_t min_ns, min_before_ns;   /* the path alone: of the newest segment an ACK covered */
	uint64_t most_ns, most_before_ns; /* the path and the peer's delay: of the oldest */
	uint64_t delay_ns;                /* how long the peer has been seen to keep back an ACK: most - min */
	uint64_t assumed_ns;              /* ... or assumed, before it is known */
	uint64_t floor_ns;                /* no timeout below: the configured floor, or what the peer may take */
	uint64_t turn_ns;                 /* when the next period begins */
	uint32_t next_seq;                /* one sample a round trip: when something beyond it is acknowledged */
	bool valid;
};

#define TCP_RTT_PERIOD_NS 60000000000ull

/* Until the first period has passed: Linux delays ACKs by so much, once a connection is some segments old. */
#define TCP_ACK_DELAY_ASSUMED_NS 40000000ull

/* ---- congestion ---- */

/* RFC 9438, 4.1.2, in segments and seconds. */
struct tcp_cubic {
	double w_max, w_est, cwnd_prior, k_s;
	uint64_t elapsed_ns; /* t: since growth began, as far as the window was used */
	uint64_t last_ns;    /* when it was used last; 0: not by the last ACK */
	bool growing;        /* k_s, w_est and elapsed_ns are valid */
};

#define TCP_CUBIC_BETA 0.7

struct tcp_congestion {
	uint32_t cwnd, ssthresh; /* octets */
	uint32_t acked;          /* octets acked towards the next step of congestion avoidance */
	/* RFC 6937: RecoverFS, prr_delivered and prr_out; valid during fast recovery with SACK */
	uint32_t recover_flight, delivered, sent;
	struct tcp_cubic cubic;
};

struct tcp_keepalive {
	bool due;
	uint32_t unanswered;
};

struct tcp_ecn {
	bool on;        /* negotiated */
	bool echo;      /* marked data has come, and no CWR since */
	bool cwr_due;   /* our next new data says that we have slowed down */
	bool waiting;   /* the window was reduced, and `until` has not been acknowledged */
	uint32_t until; /* snd_nxt then */
};

/* What a recovery or a timeout may turn out to have done needlessly. */
struct tcp_undo {
	bool valid;
	bool waiting;                     /* for the ACK whose echoed timestamp tells */
	bool resent;                      /* something has been sent again */
	uint32_t first_timestamp;         /* of the first retransmission: RFC 3522's RetransmitTS; valid when resent */
	uint32_t from;                    /* snd_una at the beginning */
	uint32_t octets;                  /* sent again and not reported to have come twice */
	struct tcp_congestion congestion; /* as it was */
};

/* ---- receiving ---- */

#define TCP_OUT_OF_ORDER_MAX 8u

struct tcp_range {
	uint32_t left, right;
};

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
	bool came_twice;    /* octets that we had already, `twice`: the next segment says so (RFC 2883) */
	struct tcp_range twice;
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
	uint64_t rto_ns;     /* the timeout, doubled for each that went unanswered (RFC 6298, 5.5) */
	uint64_t rto_at_ns; /* when the retransmission timeout would be, whatever its timer waits for; valid while armed
			     */
	uint64_t pto_ns;    /* after so long without an answer the tail is probed; TCP_PTO_NONE: it is not */
	uint64_t pto_lone_ns; /* where one segment is in flight, whose ACK the peer may delay */
	struct tcp_scoreboard scoreboard;
	uint32_t snd_una, snd_nxt;
	uint32_t rcv_nxt;
	uint32_t ts_recent;
	uint32_t last_ack_sent; /* RFC 7323, 4.3 */
	uint32_t mss;           /* octets of data per segment, options allowed for */
	uint32_t header_len;    /* of a data segment: IPv4, TCP, timestamps */
	uint16_t window_wire;   /* our window as the header carries it */
	bool plain;             /* established, nothing lost, nothing out of order: fast_until may be set */
	bool predicted;         /* plain, and input may be predicted as well */
	bool timestamps;
	bool ack_due;
	bool tlp_due;                                      /* a tail loss probe */
	uint32_t ack_pending_octets, ack_pending_segments; /* received since the last ACK */
	uint64_t timers[TCP_TIMERS];
	uint64_t pseudo_sum;  /* partial checksum of the pseudo header without its length */
	uint64_t header_sum;  /* and of what never changes in the TCP header */
	uint64_t ip_sum;      /* the same of the IPv4 header, without ECT */
	uint64_t ip_sum_data; /* and with it, where ECN is on: as new data has it */
	uint8_t header[64];   /* template: IPv4, TCP, timestamps */

	/* acknowledgements, written per received segment */
	uint32_t snd_wnd, snd_wl1, snd_wl2; /* RFC 9293, 3.3.1; snd_wnd in octets */
	uint32_t snd_wnd_max;
	uint8_t snd_scale, rcv_scale;
	uint64_t rto_base_ns; /* rto_ns without back-off */
	struct tcp_rtt rtt;
	uint64_t progress_ns; /* when the peer last acknowledged something, or we began to wait for it */
	uint64_t ts_recent_ns;
	uint64_t heard_ns;  /* when the last segment came */
	uint64_t called_ns; /* when the slow path was last taken: the time of what is noted */
	uint64_t sample_ns; /* when the trace wants a sample next */
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
	struct tcp_rack rack;
	struct tcp_tlp tlp;
	struct tcp_undo undo;
	struct tcp_ecn ecn;
	struct tcp_keepalive keepalive;
	struct tcp_receive receive;
	struct tcp_record records[TCP_RECORDS];
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

static inline uint32_t tcp_record_count(const struct tcp *t)
{
	return t->scoreboard.tail - t->scoreboard.head;
}

static inline uint32_t tcp_timestamp(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> TCP_TIMESTAMP_SHIFT);
}

/* ---- trace.c: notes for config.trace, at called_ns, if there is one ---- */

void tcp_note(const struct tcp *t, enum tcp_trace_kind kind, uint32_t detail, uint32_t seq, uint32_t ack,
	      uint32_t value);
/* One of the peer's; one of ours; something at `seq` of ours. */
void tcp_note_segment(const struct tcp *t, enum tcp_trace_kind kind, uint32_t detail, const struct tcp_segment *s);
void tcp_note_sent(const struct tcp *t, uint32_t flags, uint32_t seq, uint32_t octets);
void tcp_note_ours(const struct tcp *t, enum tcp_trace_kind kind, uint32_t detail, uint32_t seq, uint32_t value);
/* The timers are looked at: a sample of a connection to which nothing happens, or how late we are. */
void tcp_note_time(struct tcp *t, uint64_t deadline_ns, uint64_t now_ns);

/* ---- options.c ---- */

int tcp_options_parse(const uint8_t *p, size_t len, struct tcp_segment *segment);
/* Writes the options of a SYN, or timestamps and SACK blocks of any other segment; returns octets, a multiple of 4. */
uint32_t tcp_options_build_syn(const struct tcp *t, uint8_t *p, uint64_t now_ns);
uint32_t tcp_options_build(const struct tcp *t, uint8_t *p, uint64_t now_ns);
uint32_t tcp_options_build_reset(const struct tcp *t, uint8_t *p, uint64_t now_ns);
uint8_t tcp_window_scale_wanted(const struct tcp_config *config);

/* ---- build.c ---- */

struct tcp_outgoing {
	uint32_t seq;
	uint32_t len; /* octets of stream data at `offset` */
	uint64_t offset;
	uint8_t flags;
	bool fresh; /* new data, and no probe of a closed window: what RFC 3168, 6.1.5 and 6.1.6 allow to be ECT */
};

void tcp_build_template(struct tcp *t);
size_t tcp_build_hot(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns);
/* Several segments in one packet: whole ones, the last may be shorter. */
size_t tcp_build_segments(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns);
size_t tcp_build(struct tcp *t, uint8_t *packet, const struct tcp_outgoing *out, uint64_t now_ns);
size_t tcp_build_reset(struct tcp *t, uint8_t *packet, uint64_t now_ns);

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
/* Writes up to `max` blocks, a D-SACK first, then the most recent; returns how many. */
uint32_t tcp_receive_sack_blocks(const struct tcp *t, uint8_t *p, uint32_t max);
/* [left, right), all of which we have had: worth a D-SACK. */
void tcp_receive_came_twice(struct tcp *t, uint32_t left, uint32_t right);
/* Blocks there are to tell. */
uint32_t tcp_receive_sack_count(const struct tcp *t);
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

/* New data is on its way: the timeout runs from the first of it. */
static inline void tcp_arm_if_unarmed(struct tcp *t, uint64_t now_ns)
{
	if (t->timers[TCP_TIMER_RETRANSMIT] != TCP_NEVER)
		return;
	t->progress_ns = now_ns;
	t->rto_at_ns = now_ns + t->rto_ns;
	tcp_timer_set(t, TCP_TIMER_RETRANSMIT, t->rto_at_ns);
}

/* Something goes out, and nothing was in flight since `since_ns` (congestion.c). */
void tcp_congestion_after_idle(struct tcp *t, uint64_t since_ns, uint64_t now_ns);

/* And a probe of the tail from the last of it (RFC 8985, 7.2). */
static inline void tcp_arm_after_new(struct tcp *t, uint64_t now_ns)
{
	uint64_t pto_at_ns = now_ns + t->pto_ns;
	if (t->timers[TCP_TIMER_RETRANSMIT] == TCP_NEVER) {
		pto_at_ns = now_ns + t->pto_lone_ns;
		if (__builtin_expect(t->config.restart_after_idle, 0))
			tcp_congestion_after_idle(t, t->progress_ns, now_ns);
		t->progress_ns = now_ns;
		t->rto_at_ns = now_ns + t->rto_ns;
	}
	tcp_timer_set(t, TCP_TIMER_RETRANSMIT, pto_at_ns < t->rto_at_ns ? pto_at_ns : t->rto_at_ns);
}

/* Timeout and probe begin anew (RFC 6298, 5.2 and 5.3), or ends where nothing is in flight. */
static inline void tcp_rearm(struct tcp *t, uint64_t now_ns)
{
	if (tcp_flight(t) == 0) {
		tcp_timer_clear(t, TCP_TIMER_RETRANSMIT);
		return;
	}
	uint64_t pto_at_ns = now_ns + (tcp_record_count(t) == 1 ? t->pto_lone_ns : t->pto_ns);
	t->rto_at_ns = now_ns + t->rto_ns;
	tcp_timer_set(t, TCP_TIMER_RETRANSMIT, pto_at_ns < t->rto_at_ns ? pto_at_ns : t->rto_at_ns);
}

static inline bool tcp_timer_armed(const struct tcp *t, enum tcp_timer_kind kind)
{
	return t->timers[kind] != TCP_NEVER;
}

void tcp_timers_clear(struct tcp *t);
/* The armed retransmission timer waits for no probe that is not allowed, and for rack.wake_ns before all else. */
void tcp_settle_retransmit(struct tcp *t);
/* Data has come and is not acked yet: at once or later, as RFC 5681, 4.2 and the configuration say. */
void tcp_ack_later(struct tcp *t, uint32_t octets, uint64_t now_ns);
/* Nothing is in flight but the window holds data back: probe it, or the lost update would be waited for in vain. */
void tcp_arm_persist(struct tcp *t, uint64_t now_ns);

/* ---- rtt.c ---- */

void tcp_rtt_init(struct tcp *t);
/* `ack` covers segments sent once only, the oldest and the newest of them at these times. */
void tcp_rtt_on_ack(struct tcp *t, uint32_t ack, uint64_t oldest_ns, uint64_t newest_ns, uint64_t now_ns);
/* The oldest one has been sent again: the echoed timestamp says which one was answered. */
void tcp_rtt_on_echo(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);

static inline uint64_t tcp_rtt_min(const struct tcp *t)
{
	return t->rtt.min_ns < t->rtt.min_before_ns ? t->rtt.min_ns : t->rtt.min_before_ns;
}

/* ---- congestion.c ---- */

void tcp_congestion_init(struct tcp *t);
/* `acked` octets have been acknowledged; `flight` were in flight before. Not during fast recovery. */
void tcp_congestion_on_ack(struct tcp *t, uint32_t acked, uint32_t flight, uint64_t now_ns);
/* With `flight` octets in flight, some were lost. */
void tcp_congestion_on_loss(struct tcp *t, uint32_t flight);
void tcp_congestion_on_timeout(struct tcp *t);
/* Fast recovery has ended. */
void tcp_congestion_on_recovered(struct tcp *t);
/* The window, within the configured limit. */
void tcp_congestion_set(struct tcp *t, uint64_t cwnd);
/* Fast recovery begins, or begins anew: with `flight` octets in flight, some were lost. */
void tcp_congestion_on_recovery(struct tcp *t, uint32_t flight);
/* An ACK during fast recovery with SACK says that so many octets more have arrived. */
void tcp_congestion_pace_recovery(struct tcp *t, uint32_t delivered);

/* ---- cubic.c ---- */

/* Before cwnd and ssthresh are reduced. */
void tcp_cubic_on_loss(struct tcp *t);
/* Congestion avoidance: sets cwnd. */
void tcp_cubic_on_ack(struct tcp *t, uint32_t acked, uint64_t now_ns);

/* ---- scoreboard.c ---- */

void tcp_scoreboard_init(struct tcp *t);
/* Too many records: joins them in pairs. */
void tcp_scoreboard_squeeze(struct tcp *t);
/* snd_una has moved to s->ack: what it covers has arrived. Round trips are measured and RACK is told. */
void tcp_scoreboard_on_ack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);
/* Takes the segment's SACK blocks in; returns octets newly known to have arrived. */
uint32_t tcp_scoreboard_on_sack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);
/*
 * Whether the segment reports (RFC 2883) octets that came twice because we sent them twice. More reports than we sent
 * anything again are the network's duplicates.
 */
bool tcp_scoreboard_is_dsack(const struct tcp *t, const struct tcp_segment *s);
/* Whether there are SACKed segments, three or more of them. */
bool tcp_scoreboard_three_sacked(const struct tcp *t);
/* Deems record `i` lost, or every octet of [left, right) that is not SACKed. */
void tcp_scoreboard_lose(struct tcp *t, uint32_t i);
void tcp_scoreboard_lose_range(struct tcp *t, uint32_t left, uint32_t right);
/* RFC 2018, 8: nothing the peer said about octets beyond a gap is believed any more. */
void tcp_scoreboard_forget_sacks(struct tcp *t);
/* [seq, seq + len) is sent again. */
void tcp_scoreboard_resent(struct tcp *t, uint32_t seq, uint32_t len, uint64_t now_ns);
/* Nothing is lost after all. */
void tcp_scoreboard_find_all(struct tcp *t);
/* The record that holds `seq`, which is in flight. */
const struct tcp_record *tcp_scoreboard_find(const struct tcp *t, uint32_t seq);
/* The first run of lost octets; false: none is lost. */
bool tcp_scoreboard_first_lost(const struct tcp *t, uint32_t *seq, uint32_t *len);

/* Record `i` of them, oldest first. */
static inline struct tcp_record *tcp_record_at(const struct tcp *t, uint32_t i)
{
	return (struct tcp_record *)&t->records[(t->scoreboard.head + i) & (TCP_RECORDS - 1)];
}

static inline uint32_t tcp_record_start(const struct tcp *t, uint32_t i)
{
	return i ? tcp_record_at(t, i - 1)->end : t->snd_una;
}

/* A new segment, up to `end`, goes out now. */
static inline void tcp_record_until(struct tcp *t, uint32_t end, uint64_t now_ns)
{
	if (__builtin_expect(tcp_record_count(t) == TCP_RECORDS, 0))
		tcp_scoreboard_squeeze(t);
	t->records[t->scoreboard.tail++ & (TCP_RECORDS - 1)] =
		(struct tcp_record){.at_ns = now_ns, .end = end, .segments = 1};
}

static inline void tcp_record_sent(struct tcp *t, uint64_t now_ns)
{
	tcp_record_until(t, t->snd_nxt, now_ns);
}

/* ---- rack.c ---- */

void tcp_rack_init(struct tcp *t);
/* `r`, which ends beyond everything that `s` is an answer to, or with it, has arrived (RFC 8985, 6.2, steps 1 to 3). */
void tcp_rack_arrived(struct tcp *t, const struct tcp_record *r, const struct tcp_segment *s, uint64_t now_ns);
/* A D-SACK block has come (RFC 8985, 6.2, step 4): our window for reordering is too short. And what it names has now
 * arrived as it was last sent, which an ACK between two transmissions could not tell. */
void tcp_rack_on_dsack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns);
/* A recovery has ended. */
void tcp_rack_on_recovered(struct tcp *t);
/* Step 5: deems lost what is; returns how many octets that is. Sets rack.wake_ns for what is in doubt. */
uint32_t tcp_rack_detect(struct tcp *t, uint64_t now_ns);
/* How long after its due time a record is lost. */
uint64_t tcp_rack_window(const struct tcp *t);

/* ---- tlp.c ---- */

bool tcp_tlp_allowed(const struct tcp *t);
/* A probe is out, up to snd_nxt: new data, or so many octets sent before. */
void tcp_tlp_note(struct tcp *t, uint32_t again);
/* Whether tcp_tlp_on_ack is going to take `s`, which acknowledges something new, for the news of a loss repaired. */
bool tcp_tlp_repaired(const struct tcp *t, const struct tcp_segment *s);
void tcp_tlp_on_ack(struct tcp *t, const struct tcp_segment *s, bool duplicate, bool dsack);

/* ---- keepalive.c ---- */

/* The connection is established. */
void tcp_keepalive_start(struct tcp *t, uint64_t now_ns);
void tcp_keepalive_on_timer(struct tcp *t, uint64_t now_ns);

/* ---- ecn.c ---- */

void tcp_ecn_negotiate(struct tcp *t, const struct tcp_segment *syn);
/* A segment with data or a FIN has been taken. */
void tcp_ecn_on_data(struct tcp *t, const struct tcp_segment *s);
/* An acceptable ACK, before it moves anything. */
void tcp_ecn_on_ack(struct tcp *t, const struct tcp_segment *s);

/* ---- undo.c ---- */

/* A recovery begins, or a timeout has come: before anything is changed. */
void tcp_undo_begin(struct tcp *t);
/* What is done now is no answer to congestion. */
void tcp_undo_forget(struct tcp *t);
void tcp_undo_on_resend(struct tcp *t, uint32_t len, uint64_t now_ns);
/* An ACK that moved snd_una, before it is taken for the success of a retransmission. */
void tcp_undo_on_ack(struct tcp *t, const struct tcp_segment *s);
void tcp_undo_on_dsack(struct tcp *t, const struct tcp_segment *s);

/* ---- recovery.c ---- */

void tcp_recovery_init(struct tcp *t);
/* An ACK that moved snd_una by `acked`. */
void tcp_recovery_on_ack(struct tcp *t, uint32_t acked);
/* Any acceptable ACK, afterwards: duplicates are counted and losses detected. `duplicate` as RFC 5681, 2 defines it. */
void tcp_recovery_detect(struct tcp *t, bool duplicate, uint32_t newly_sacked, uint64_t now_ns);
/* rack.wake_ns has come. */
void tcp_recovery_on_wake(struct tcp *t, uint64_t now_ns);
void tcp_recovery_on_timeout(struct tcp *t, uint64_t now_ns);
/* It was not needed: what is deemed lost is in flight after all. */
void tcp_recovery_cancel(struct tcp *t);
/* Any acceptable ACK, last: `delivered` octets more have arrived. */
void tcp_recovery_pace(struct tcp *t, uint32_t delivered);
/* Everything in flight was too large for the path: again, in smaller pieces, and no sign of congestion. */
void tcp_recovery_recut(struct tcp *t);
/* RFC 6675, 4, Pipe: octets thought to be in the network. */
uint32_t tcp_recovery_pipe(const struct tcp *t);

/* Nothing lost, nothing SACKed, no duplicate ACK: the case in which ACKs need no thought. */
static inline bool tcp_recovery_quiet(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	return r->phase == TCP_PHASE_OPEN && t->scoreboard.sacked_octets == 0 && r->dup_acks == 0 && !t->tlp.open &&
	       !t->tlp_due;
}

#endif
