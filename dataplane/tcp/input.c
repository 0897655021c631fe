/* RFC 9293, 3.10.7: a segment arrives. The steps are numbered as there; SYN-SENT's are in input_syn_sent.c. */
#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

/* RFC 5961, 7: no more than so many in so long. */
#define CHALLENGES       10u
#define CHALLENGE_PERIOD 5000000000ull

void tcp_challenge(struct tcp *t, uint64_t now_ns)
{
	if (now_ns - t->challenge_window_ns >= CHALLENGE_PERIOD) {
		t->challenge_window_ns = now_ns;
		t->challenge_count = 0;
	}
	if (t->challenge_count >= CHALLENGES)
		return;
	t->challenge_count++;
	t->counters.challenge_acks++;
	t->ack_due = true;
}

/* ---- what both paths do with an ACK ---- */

/* RFC 6298, 5.2 and 5.3. */
static inline void restart_retransmit(struct tcp *t, uint64_t now_ns)
{
	t->progress_ns = now_ns;
	tcp_timer_clear(t, TCP_TIMER_USER);
	tcp_rearm(t, now_ns);
}

/* Nothing of what is in flight has been SACKed or lost: records in front of `ack` just go. */
static inline void drop_records(struct tcp *t, uint32_t ack, uint64_t now_ns)
{
	uint32_t head = t->scoreboard.head, tail = t->scoreboard.tail;
	const struct tcp_record *oldest = &t->records[head & (TCP_RECORDS - 1)], *r = oldest, *newest = NULL;
	while (head != tail && seq_le(r->end, ack)) {
		newest = r;
		r = &t->records[++head & (TCP_RECORDS - 1)];
	}
	t->scoreboard.head = head;
	if (newest && !((oldest->flags | newest->flags) & TCP_AGAIN))
		tcp_rtt_on_ack(t, ack, oldest->at_ns, newest->at_ns, now_ns);
}

/*
 * `octets` of stream data (`acked` counts our FIN as well) have been acknowledged up to s->ack. `congested`: with news
 * of congestion, which is no reason to send more.
 */
static inline void take_acknowledged(struct tcp *t, const struct tcp_segment *s, uint32_t acked, uint32_t octets,
				     bool congested, uint64_t now_ns)
{
	uint32_t flight = tcp_flight(t);
	t->snd_una = s->ack;
	extents_pop(t->tx, t->tx->start + octets);
	if (!congested && t->recovery.phase != TCP_PHASE_RECOVERY)
		tcp_congestion_on_ack(t, acked, flight, now_ns);
}

/* RFC 7323, 4.3: only what reaches our last ACK may update, so that delayed ACKs are measured in full. */
static inline void take_timestamp(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (seq_le(s->seq, t->last_ack_sent)) {
		t->ts_recent = s->ts_value;
		t->ts_recent_ns = now_ns;
	}
}

/* ---- header prediction ---- */

/*
 * The next segment in order, from a peer that has nothing unusual to say: new data, or an ACK of ours, or both.
 * Everything else is left to the numbered steps, untouched. Its window is news (RFC 9293, 3.10.7.4, fifth step): WL1 is
 * not beyond rcv_nxt while t->predicted, and WL2 never beyond snd_una.
 */
static inline bool predicted(const struct tcp *t, const struct tcp_segment *s, uint32_t acked, uint32_t window)
{
	if ((s->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_URG | TCP_ACK | TCP_ECE | TCP_CWR)) != TCP_ACK ||
	    s->seq != t->rcv_nxt)
		return false;
	if (s->has_timestamps != t->timestamps || s->sack_count || s->ecn_ce || window == 0 || acked > tcp_flight(t))
		return false;
	if (t->timestamps && seq_lt(s->ts_value, t->ts_recent))
		return false;
	if (acked == 0 && s->payload_len == 0)
		return tcp_flight(t) == 0 || window != t->snd_wnd; /* else a duplicate */
	return s->payload_len <= tcp_receive_window(t);
}

static inline void input_predicted(struct tcp *t, const struct tcp_segment *s, uint32_t acked, uint32_t window,
				   uint64_t now_ns)
{
	if (t->timestamps)
		take_timestamp(t, s, now_ns);
	t->snd_wnd = window;
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
	if (window > t->snd_wnd_max)
		t->snd_wnd_max = window;
	if (acked) {
		drop_records(t, s->ack, now_ns);
		take_acknowledged(t, s, acked, acked, false, now_ns);
		restart_retransmit(t, now_ns);
	}
	if (s->payload_len) {
		tcp_receive_copy_in_order(t, s->payload, s->payload_len);
		tcp_ack_later(t, s->payload_len, now_ns);
	}
	uint32_t cwnd = t->congestion.cwnd;
	t->send_limit = t->push_limit = t->tx->start + (window < cwnd ? window : cwnd);
	tcp_set_fast_until(t);
}

/* ---- the numbered steps ---- */

/* RFC 7323, 5.3, R1. A reset is exempt; so is a ts_recent too old to say anything. */
static bool paws_rejects(const struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (!t->timestamps || s->flags & TCP_RST)
		return false;
	return s->has_timestamps && seq_lt(s->ts_value, t->ts_recent) && now_ns - t->ts_recent_ns < TCP_PAWS_IDLE_NS;
}

/* RFC 7323, 3.2: once negotiated, they are in every segment but resets; one without is dropped, silently. */
static bool lacks_timestamps(const struct tcp *t, const struct tcp_segment *s)
{
	return t->timestamps && !s->has_timestamps && !(s->flags & TCP_RST);
}

/*
 * Table 6 of RFC 9293, with two liberties: an empty segment just at the window's end is taken (its sender has filled
 * the window), and of a segment at rcv_nxt the ACK counts even if no octet of its payload fits.
 */
static bool acceptable(const struct tcp *t, const struct tcp_segment *s)
{
	uint32_t edge = t->receive.edge;
	uint32_t len = s->payload_len + !!(s->flags & TCP_FIN);
	if (len == 0)
		return seq_between(t->rcv_nxt, s->seq, edge);
	if (s->seq == t->rcv_nxt)
		return true;
	return seq_lt(s->seq, edge) && seq_gt(s->seq + len, t->rcv_nxt);
}

/* First step failed. What carries data or a FIN was retransmitted because our ACK got lost; the rest may be forged. */
static void answer_unacceptable(struct tcp *t, const struct tcp_segment *s, enum tcp_trace_drop why, uint64_t now_ns)
{
	t->counters.out_of_window++;
	tcp_note_segment(t, TCP_TRACE_DROPPED, why, s);
	if (s->flags & TCP_RST) {
		t->counters.resets_ignored++;
		return;
	}
	if (s->payload_len && seq_lt(s->seq, t->rcv_nxt))
		tcp_receive_came_twice(t, s->seq, seq_min(s->seq + s->payload_len, t->rcv_nxt));
	if (s->payload_len || s->flags & TCP_FIN)
		t->ack_due = true;
	else
		tcp_challenge(t, now_ns);
	if (t->state == TCP_TIME_WAIT && s->flags & TCP_FIN)
		tcp_timer_set(t, TCP_TIMER_IDLE, now_ns + t->config.time_wait_ns);
}

/* Second step, as RFC 5961, 3.2 has it: only a reset that names exactly the next octet is believed. */
static void take_reset(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (s->seq != t->rcv_nxt) {
		t->counters.resets_ignored++;
		tcp_challenge(t, now_ns);
		return;
	}
	switch (t->state) {
	case TCP_SYN_RECEIVED:
		tcp_enter_closed(t, HW_ERR_CONN_REFUSED);
		break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
	case TCP_TIME_WAIT: /* orderly, unless data of ours was still on its way */
		tcp_enter_closed(t, t->tx->start == t->tx->end ? 0 : HW_ERR_CONN_RESET);
		break;
	default:
		tcp_enter_closed(t, HW_ERR_CONN_RESET);
	}
}

/* RFC 7323, 2.2: the window of a SYN is never scaled. */
static uint32_t segment_window(const struct tcp *t, const struct tcp_segment *s)
{
	return s->flags & TCP_SYN ? s->window : (uint32_t)s->window << t->snd_scale;
}

/* Fifth step in SYN-RECEIVED. False: the segment is done with. */
static bool complete_open(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (s->ack != t->isn + 1 || t->snd_nxt != t->isn + 1) { /* the latter: our SYN has not left yet */
		tcp_reset_answer(t, s);
		return false;
	}
	tcp_scoreboard_on_ack(t, s, now_ns);
	t->snd_una = s->ack;
	t->snd_wnd = segment_window(t, s);
	t->snd_wnd_max = t->snd_wnd;
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
	t->rto_ns = t->rto_base_ns;
	t->syn_due = false;
	t->ack_due = true;
	restart_retransmit(t, now_ns);
	tcp_keepalive_start(t, now_ns);
	tcp_set_state(t, TCP_ESTABLISHED);
	return true;
}

/* RFC 9293, 3.10.7.4, fifth step: SEG.WND counts when the segment is not older than the last one that told it. */
static void update_send_window(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (!seq_lt(t->snd_wl1, s->seq) && !(t->snd_wl1 == s->seq && seq_le(t->snd_wl2, s->ack)))
		return;
	uint32_t before = t->snd_wnd;
	t->snd_wnd = segment_window(t, s);
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
	if (t->snd_wnd > t->snd_wnd_max)
		t->snd_wnd_max = t->snd_wnd;
	if (!t->snd_wnd != !before)
		tcp_note_ours(t, TCP_TRACE_WINDOW, 0, t->snd_una, t->snd_wnd);
	if (t->snd_wnd == 0) { /* perhaps the answer to a probe */
		t->probe_answered = true;
		tcp_timer_clear(t, TCP_TIMER_USER);
	}
	if (t->snd_wnd <= before)
		return;
	tcp_timer_clear(t, TCP_TIMER_PERSIST);
	t->probe_due = false;
	if (before == 0) {
		/* what went into the closed window was dropped: again, now that there is room, with timeouts as usual
		 */
		t->rto_ns = t->rto_base_ns;
		if (tcp_flight(t)) {
			tcp_recovery_recut(t);
			restart_retransmit(t, now_ns);
		}
	}
}

/* RFC 5681, 2: it says nothing new while data is outstanding. (In front of a closed window it answers a probe.) */
static bool is_duplicate(const struct tcp *t, const struct tcp_segment *s)
{
	return s->ack == t->snd_una && s->payload_len == 0 && !(s->flags & (TCP_SYN | TCP_FIN)) && tcp_flight(t) > 0 &&
	       t->snd_wnd > 0 && segment_window(t, s) == t->snd_wnd;
}

/* Our FIN has been acknowledged. */
static void finish_sending(struct tcp *t, uint64_t now_ns)
{
	if (t->state == TCP_FIN_WAIT_1)
		tcp_set_state(t, TCP_FIN_WAIT_2);
	else if (t->state == TCP_CLOSING)
		tcp_enter_time_wait(t, now_ns);
	else if (t->state == TCP_LAST_ACK)
		tcp_enter_closed(t, 0);
}

/* An echo of a mark (RFC 3168, 6.1.2), or a loss that a probe has repaired: `s` reduces the window. */
static bool tells_congestion(const struct tcp *t, const struct tcp_segment *s)
{
	return (t->ecn.on && s->flags & TCP_ECE) || tcp_tlp_repaired(t, s);
}

/* Fifth step in synchronized states. False: the segment is done with. */
static bool take_ack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	/* RFC 5961, 5.2: too old to be a delayed one, or of what was never sent */
	if (seq_gt(s->ack, t->snd_nxt) || seq_lt(s->ack, t->snd_una - t->snd_wnd_max)) {
		tcp_note_segment(t, TCP_TRACE_DROPPED, TCP_TRACE_DROP_ACK, s);
		tcp_challenge(t, now_ns);
		return false;
	}
	/* not before: what is refused, or a reset, which PAWS exempts, must not raise ts_recent beyond the peer's clock
	 */
	if (t->timestamps)
		take_timestamp(t, s, now_ns);
	if (seq_lt(s->ack, t->snd_una))
		return true;
	bool duplicate = is_duplicate(t, s);
	/* RFC 6937's DeliveredData. Not told by sacked_octets at the end: a full scoreboard forgets, and that may fall.
	 */
	uint32_t acked = s->ack - t->snd_una, delivered = acked;
	bool fin_acked = t->fin_sent && acked && s->ack == t->fin_seq + 1;
	tcp_ecn_on_ack(t, s);
	if (acked) {
		bool congested = tells_congestion(t, s);
		uint32_t sacked_before = t->scoreboard.sacked_octets;
		tcp_scoreboard_on_ack(t, s, now_ns);
		delivered -= sacked_before - t->scoreboard.sacked_octets;
		take_acknowledged(t, s, acked, acked - fin_acked, congested, now_ns);
		tcp_undo_on_ack(t, s);
		tcp_recovery_on_ack(t, acked);
		restart_retransmit(t, now_ns);
	}
	update_send_window(t, s, now_ns);
	bool dsack = t->sack_permitted && tcp_scoreboard_is_dsack(t, s);
	if (dsack) {
		t->counters.dsack_received++;
		tcp_note(t, TCP_TRACE_DSACK, 0, s->sack[0].left - t->isn, s->sack[0].right - t->isn, 0);
		tcp_rack_on_dsack(t, s, now_ns);
		tcp_undo_on_dsack(t, s);
	}
	tcp_tlp_on_ack(t, s, duplicate, dsack);
	uint32_t newly_sacked = t->sack_permitted ? tcp_scoreboard_on_sack(t, s, now_ns) : 0;
	tcp_recovery_detect(t, duplicate, newly_sacked, now_ns);
	tcp_recovery_pace(t, delivered + newly_sacked);
	tcp_settle_retransmit(t);
	if (fin_acked)
		finish_sending(t, now_ns);
	return t->state != TCP_CLOSED;
}

/* Seventh step: what fits the window of the payload, wherever it belongs. */
static void take_payload(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	struct tcp_receive *r = &t->receive;
	uint32_t seq = s->seq, len = s->payload_len;
	const uint8_t *payload = s->payload;
	if (seq_lt(seq, t->rcv_nxt)) {
		uint32_t old = t->rcv_nxt - seq < len ? t->rcv_nxt - seq : len;
		tcp_receive_came_twice(t, seq, seq + old);
		seq += old;
		payload += old;
		len -= old;
	}
	uint32_t end = r->fin_known ? r->fin_seq : r->edge;
	if (!seq_lt(seq, end))
		len = 0;
	else if (len > end - seq)
		len = end - seq;
	if (len == 0) {
		t->ack_due = true; /* all old, or no room: the peer should know where we are */
		return;
	}
	bool gap = r->out_of_order_count > 0;
	uint32_t moved = tcp_receive_store(t, seq, payload, len);
	if (moved == 0 || gap)
		t->ack_due = true; /* RFC 5681, 4.2: out of order, or filling a gap */
	else
		tcp_ack_later(t, moved, now_ns);
}

/* A FIN in front of octets we hold already is a lie. */
static bool fin_plausible(const struct tcp *t, uint32_t fin_seq)
{
	const struct tcp_receive *r = &t->receive;
	for (uint32_t i = 0; i < r->out_of_order_count; i++)
		if (seq_gt(r->out_of_order[i].right, fin_seq))
			return false;
	return seq_ge(fin_seq, t->rcv_nxt) && seq_lt(fin_seq, r->edge);
}

/* Eighth step, for a FIN whose turn has come. */
static void take_fin(struct tcp *t, uint64_t now_ns)
{
	struct tcp_receive *r = &t->receive;
	if (!r->fin_known || r->fin_taken || r->fin_seq != t->rcv_nxt)
		return;
	r->fin_taken = true;
	t->rcv_nxt++;
	t->ack_due = true;
	tcp_receive_update_window(t);
	if (t->state == TCP_ESTABLISHED)
		tcp_set_state(t, TCP_CLOSE_WAIT);
	else if (t->state == TCP_FIN_WAIT_1)
		tcp_set_state(t, TCP_CLOSING);
	else if (t->state == TCP_FIN_WAIT_2)
		tcp_enter_time_wait(t, now_ns);
}

/* Sixth to eighth steps. Urgent data is data like any other (RFC 6093). */
void tcp_input_data(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	struct tcp_receive *r = &t->receive;
	bool receiving = t->state == TCP_ESTABLISHED || t->state == TCP_FIN_WAIT_1 || t->state == TCP_FIN_WAIT_2;
	if (!receiving) {
		/* the peer has finished: only its FIN may come again */
		if (s->payload_len || s->flags & TCP_FIN)
			t->ack_due = true;
		return;
	}
	if (s->payload_len) {
		take_payload(t, s, now_ns);
		tcp_ecn_on_data(t, s);
	}
	uint32_t fin_seq = s->seq + s->payload_len;
	if (s->flags & TCP_FIN && !r->fin_known && fin_plausible(t, fin_seq)) {
		r->fin_known = true;
		r->fin_seq = fin_seq;
	}
	if (s->flags & TCP_FIN)
		t->ack_due = true;
	take_fin(t, now_ns);
}

/* RFC 9293, 3.5, figure 8: the peer's SYN-ACK repeats a SYN we have already; what follows it is new. */
static struct tcp_segment without_syn(const struct tcp_segment *s)
{
	struct tcp_segment rest = *s;
	rest.seq++;
	return rest;
}

static void input_synchronized(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	/* first step; RFC 7323's check comes before it */
	if (lacks_timestamps(t, s)) {
		t->counters.out_of_window++;
		tcp_note_segment(t, TCP_TRACE_DROPPED, TCP_TRACE_DROP_TIMESTAMP, s);
		return;
	}
	bool old = paws_rejects(t, s, now_ns);
	if (old || !acceptable(t, s)) {
		answer_unacceptable(t, s, old ? TCP_TRACE_DROP_PAWS : TCP_TRACE_DROP_WINDOW, now_ns);
		return;
	}
	if (s->flags & TCP_RST) {
		take_reset(t, s, now_ns);
		return;
	}
	/* third step: security compartments are not implemented by anyone; fourth step is tcp_input's */
	if (!(s->flags & TCP_ACK))
		return;
	if (t->state == TCP_SYN_RECEIVED && !complete_open(t, s, now_ns))
		return;
	if (take_ack(t, s, now_ns))
		tcp_input_data(t, s, now_ns);
}

/*
 * RFC 9293, 3.10.7.4, fourth step: an ACK answers it. To the very SYN that crossed ours it has to be the SYN-ACK once
 * more, which got lost: without a SYN the peer, in SYN-SENT, can do nothing with it.
 */
static void challenge_syn(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	bool again = t->state == TCP_SYN_RECEIVED && s->seq == t->irs && t->snd_nxt == t->isn + 1;
	bool pending = t->ack_due;
	tcp_challenge(t, now_ns);
	if (again && t->ack_due && !pending)
		t->syn_due = true;
}

static __attribute__((noinline)) void input_slow(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	t->called_ns = now_ns;
	tcp_note_segment(t, TCP_TRACE_RECEIVED, s->flags, s);
	if (t->state == TCP_CLOSED) {
		if (t->opened && !(s->flags & TCP_RST))
			tcp_reset_answer(t, s);
		return;
	}
	if (t->state == TCP_SYN_SENT) {
		tcp_input_syn_sent(t, s, now_ns);
	} else if (s->flags & TCP_SYN && !(s->flags & TCP_RST)) {
		/* fourth step, before the first: RFC 5961, 4.2 answers a SYN wherever it lies */
		if (t->state == TCP_SYN_RECEIVED && s->flags & TCP_ACK && s->seq == t->irs) {
			struct tcp_segment rest = without_syn(s);
			input_synchronized(t, &rest, now_ns);
		} else {
			challenge_syn(t, s, now_ns);
		}
	} else {
		input_synchronized(t, s, now_ns);
	}
	tcp_update_permission(t);
}

bool tcp_input(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	t->counters.segments_received++;
	t->heard_ns = now_ns;
	if (__builtin_expect(t->predicted, 1)) {
		uint32_t acked = s->ack - t->snd_una, window = (uint32_t)s->window << t->snd_scale;
		if (__builtin_expect(predicted(t, s, acked, window), 1)) {
			input_predicted(t, s, acked, window, now_ns);
			return false;
		}
	}
	input_slow(t, s, now_ns);
	return true;
}
