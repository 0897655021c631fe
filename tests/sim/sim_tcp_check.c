/* What has to be true, whatever the network does: after every segment, every timer, every step. */
#include <stdio.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "tests/sim/sim_tcp_world.h"

void sim_fail(struct sim_world *w, const char *why)
{
	if (!w->failure)
		w->failure = why;
}

static void require(struct sim_world *w, bool holds, const char *otherwise)
{
	if (__builtin_expect(!holds, 0))
		sim_fail(w, otherwise);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

void sim_check_before(struct sim_world *w)
{
	const struct tcp *t = w->t;
	w->before = (struct sim_before){
		.counters = t->counters,
		.congestion = t->congestion,
		.phase = t->recovery.phase,
		.recovery_point = t->recovery.recovery_point,
		.una = t->snd_una,
		.nxt = t->snd_nxt,
		.window = t->snd_wnd,
		.mss = t->mss,
		.flight = tcp_flight(t),
		.records = tcp_record_count(t),
		.edge = t->receive.edge,
		.path_mtu = t->path_mtu,
		.sacked_first = tcp_record_count(t) && tcp_record_at(t, 0)->flags & TCP_SACKED,
		.rto_ns = t->rto_ns,
	};
	/* records may be joined for want of room during the call */
	w->model.squeezed |= w->before.records + TCP_SEGMENTS_MAX + 12 >= TCP_RECORDS;
}

/* ---- what was believed ---- */

/* RFC 9293, table 6: whether a segment is one of those that may be looked at. */
static bool acceptable(const struct tcp *t, const struct tcp_segment *s)
{
	int64_t at = (int32_t)(s->seq - t->rcv_nxt), window = (int32_t)(t->receive.edge - t->rcv_nxt);
	int64_t len = s->payload_len + !!(s->flags & TCP_FIN);
	if (len == 0)
		return at >= 0 && at <= window;
	return at == 0 || (at < window && at + len > 0);
}

static bool old(const struct tcp *t, const struct tcp_segment *s)
{
	return t->timestamps && s->has_timestamps && (int32_t)(s->ts_value - t->ts_recent) < 0;
}

/* Whether the ACK of a segment that comes now counts. */
static bool believable(struct sim_world *w, const struct tcp_segment *s)
{
	const struct tcp *t = w->t;
	if (!tcp_synchronized(t) || s->flags & (TCP_SYN | TCP_RST))
		return false;
	if (t->timestamps && !s->has_timestamps) {
		sim_count(w, COUNT_NO_TIMESTAMP);
		return false;
	}
	if (old(t, s)) {
		sim_count(w, COUNT_PAWS);
		return false;
	}
	if (!acceptable(t, s) || !(s->flags & TCP_ACK))
		return false;
	int64_t ahead = (int32_t)(s->ack - t->snd_una);
	return ahead >= 0 && ahead <= (int64_t)tcp_flight(t);
}

/* The peer may send, or the last ACK was: what counts the duplicates of RFC 5681, but counts too many rather than few.
 */
static bool may_be_duplicate(const struct tcp *t, const struct tcp_segment *s)
{
	return s->ack == t->snd_una && s->payload_len == 0 && tcp_flight(t) > 0;
}

void sim_check_input(struct sim_world *w, const struct tcp_segment *s)
{
	struct tcp *t = w->t;
	w->believed = believable(w, s);
	w->delivered = 0;
	if (t->state == TCP_SYN_SENT && s->flags & TCP_SYN && s->flags & TCP_ACK && s->ack == t->isn + 1 &&
	    t->snd_nxt == t->isn + 1 && !(s->flags & TCP_RST)) {
		sim_model_acked(&w->model, s->ack, NULL, 0);
	}
	if (!w->believed)
		return;
	if (!t->sack_permitted && may_be_duplicate(t, s))
		w->duplicates++;
	w->delivered = sim_model_acked(&w->model, s->ack, s->sack, t->sack_permitted ? s->sack_count : 0);
}

/* ---- the scoreboard ---- */

static void compare(struct sim_world *w, const struct model_excuse *excuse)
{
	uint64_t forgiven = w->model.forgiven;
	if (tcp_state_of(w->t) == TCP_CLOSED)
		return;
	bool squeezed = w->model.squeezed;
	sim_model_compare(&w->model, w->t, excuse);
	w->counts[COUNT_SQUEEZED] += squeezed && !excuse->reneged && w->model.forgiven > forgiven;
	if (w->model.failure)
		sim_fail(w, w->model.failure);
}

/* ---- the congestion window ---- */

static bool controlled(const struct sim_world *w)
{
	return w->config.control != TCP_NO_CONTROL;
}

/* RFC 5681, equation 4, and RFC 9438, 4.6: at most this much is left of a window that has met congestion. */
static uint32_t reduced(const struct sim_world *w)
{
	double share = w->config.control == TCP_CUBIC ? 0.7 : 0.5;
	return larger((uint32_t)(w->before.flight * share) + 1, 2 * w->before.mss);
}

static void check_limits(struct sim_world *w)
{
	const struct tcp_congestion *c = &w->t->congestion;
	require(w, c->cwnd <= w->config.cwnd_max_bytes, "the congestion window is beyond its limit");
	require(w, controlled(w) || c->cwnd == w->config.cwnd_max_bytes, "a window that nobody controls has moved");
	require(w, w->t->recovery.phase == TCP_PHASE_RECOVERY || c->cwnd >= w->t->mss,
		"the congestion window holds no segment");
}

/* A recovery has begun. One may end, or be undone, and another one begin in the same ACK. */
static bool begun(const struct sim_world *w)
{
	const struct tcp *t = w->t;
	bool same = w->before.phase == TCP_PHASE_RECOVERY && t->recovery.recovery_point == w->before.recovery_point &&
		    t->counters.undo == w->before.counters.undo;
	return t->recovery.phase == TCP_PHASE_RECOVERY && !same;
}

/*
 * RFC 6937: while more is in the network than may stay, what has left since the recovery began is to what has arrived
 * as ssthresh is to what was in flight; one segment goes ahead of it.
 */
static void check_reduction(struct sim_world *w)
{
	const struct tcp_congestion *c = &w->t->congestion;
	bool recovering = w->t->recovery.phase == TCP_PHASE_RECOVERY && w->t->sack_permitted && controlled(w);
	bool anew = begun(w) || c->recover_flight != w->before.congestion.recover_flight ||
		    c->delivered < w->before.congestion.delivered;
	if (!recovering || anew)
		w->prr_delivered = w->prr_sent = 0;
	w->prr_delivered += w->delivered;
	if (!recovering || c->cwnd == w->before.congestion.cwnd)
		return;
	uint64_t pipe = sim_model_pipe(&w->model), share = w->prr_delivered * c->ssthresh / c->recover_flight + 1;
	uint64_t most = pipe <= c->ssthresh ? c->ssthresh : pipe + (share > w->prr_sent ? share - w->prr_sent : 0);
	require(w, c->cwnd <= most, "recovery sends more than what arrives makes room for");
}

/*
 * A threshold that has changed has been reduced for something: to a share of what the window allowed. (In fast recovery
 * the window says less than what is in flight does.)
 */
static void check_threshold(struct sim_world *w, uint32_t acked)
{
	const struct tcp_congestion *then = &w->before.congestion, *now = &w->t->congestion;
	double share = w->config.control == TCP_CUBIC ? 0.7 : 0.5;
	uint64_t window = (uint64_t)then->cwnd + larger(acked, w->t->mss); /* it may have grown first */
	if (now->ssthresh == then->ssthresh || w->t->counters.undo > w->before.counters.undo)
		return;
	if (w->before.phase == TCP_PHASE_RECOVERY) {
		window = larger(then->cwnd, then->ssthresh);
		window = window > w->before.flight ? window : w->before.flight;
	}
	require(w, now->ssthresh <= larger((uint32_t)((double)window * share) + 1, 2 * w->before.mss),
		"congestion has not reduced ssthresh");
}

/* What an ACK may do to the window when nothing is wrong: RFC 3465. */
static void check_growth(struct sim_world *w, uint32_t acked)
{
	uint32_t before = w->before.congestion.cwnd, now = w->t->congestion.cwnd;
	bool recovering = w->before.phase == TCP_PHASE_RECOVERY || w->t->recovery.phase == TCP_PHASE_RECOVERY;
	bool undone = w->t->counters.undo > w->before.counters.undo;
	if (recovering || undone)
		return;
	require(w, now <= before + larger(acked, w->t->mss), "the window grows by more than what was acknowledged");
	if (w->before.congestion.ssthresh <= before && w->config.control == TCP_RENO)
		require(w, now <= before + w->t->mss, "congestion avoidance grows by more than a segment");
	require(w, acked || now <= before, "the window grows without an ACK");
}

static void check_recovery_begun(struct sim_world *w)
{
	const struct tcp *t = w->t;
	if (!begun(w))
		return;
	sim_count(w, t->sack_permitted ? COUNT_PRR : COUNT_NEWRENO);
	w->force = true;
	require(w, !controlled(w) || t->congestion.ssthresh <= reduced(w), "a loss has not reduced ssthresh");
}

/* RFC 3168, 6.1.2: an echo of a mark reduces the window, or leaves it as it is. */
static void check_ecn(struct sim_world *w, const struct tcp_segment *s)
{
	const struct tcp *t = w->t;
	bool open = w->before.phase == TCP_PHASE_OPEN && t->recovery.phase == TCP_PHASE_OPEN;
	bool undone = t->counters.undo > w->before.counters.undo;
	uint32_t cwnd = t->congestion.cwnd, before = w->before.congestion.cwnd;
	if (!controlled(w) || !open || !t->ecn.on || !(s->flags & TCP_ECE))
		return;
	require(w, undone || cwnd <= before, "a mark makes the window grow");
	if (t->counters.ecn_reductions > w->before.counters.ecn_reductions)
		require(w, cwnd <= reduced(w) || before <= 2 * w->before.mss, "a mark has not reduced the window");
}

/* ---- after a call ---- */

/*
 * RFC 9293, 3.10.7.4: the peer's window is what the latest of its segments says, not the last that came; but for what
 * comes in order and is predicted, which may be a retransmission with news of the window.
 */
static void check_window(struct sim_world *w, const struct tcp_segment *s)
{
	const struct tcp *t = w->t;
	bool first = w->before.una == t->isn && t->snd_una != t->isn;
	bool later = seq_gt(s->seq, w->told_seq) || (s->seq == w->told_seq && seq_ge(s->ack, w->told_ack));
	if (first || (w->believed && (later || w->predicted))) {
		w->window = s->flags & TCP_SYN ? s->window : (uint32_t)s->window << t->snd_scale;
		w->told_seq = s->seq;
		w->told_ack = s->ack;
	}
	require(w, t->snd_wnd == w->window, "the peer's window is not what it says");
	w->ours_furthest = seq_max(w->ours_furthest, t->snd_una + t->snd_wnd);
}

/* What was sent again, and what the peer says has come twice, since nothing was known to be lost. */
static void note_reports(struct sim_world *w, const struct tcp_segment *s)
{
	if (w->t->counters.dsack_received > w->before.counters.dsack_received)
		w->reported += s->sack[0].right - s->sack[0].left;
}

static void note_episode(struct sim_world *w)
{
	if (begun(w) || (w->before.phase == TCP_PHASE_OPEN && w->t->recovery.phase != TCP_PHASE_OPEN))
		w->resent = w->reported = 0;
}

static void count_undo(struct sim_world *w)
{
	const struct tcp_counters *now = &w->t->counters, *then = &w->before.counters;
	if (now->undo == then->undo)
		return;
	sim_count(w, now->dsack_received > then->dsack_received ? COUNT_UNDO_DSACK : COUNT_UNDO_EIFEL);
	bool reports = now->dsack_received > then->dsack_received;
	require(w, w->before.phase != TCP_PHASE_OPEN || reports, "something is undone that had not been done");
	require(w, !reports || w->reported >= w->resent || w->t->timestamps, "undone before all was reported");
}

/* Without SACK the end of a recovery makes everything found again; so does an undo. */
static bool found_again(const struct sim_world *w)
{
	bool left = w->before.phase != TCP_PHASE_OPEN && w->t->recovery.phase == TCP_PHASE_OPEN;
	return w->t->counters.undo > w->before.counters.undo || (left && !w->t->sack_permitted);
}

static bool reopened(const struct sim_world *w)
{
	return w->before.window == 0 && w->t->snd_wnd > 0;
}

/* NewReno: the third duplicate, or a partial ACK. */
static bool reno_loses(const struct sim_world *w)
{
	bool partial = w->before.phase == TCP_PHASE_RECOVERY && w->t->snd_una != w->before.una;
	return !w->t->sack_permitted && (partial || w->duplicates >= TCP_DUPLICATE_ACKS);
}

/* RFC 8985, 7.4: what a probe of the tail has repaired was lost. */
static void check_tail(struct sim_world *w)
{
	const struct tcp *t = w->t;
	bool open = w->before.phase == TCP_PHASE_OPEN && t->recovery.phase == TCP_PHASE_OPEN;
	if (t->counters.tlp_recovered == w->before.counters.tlp_recovered || !open || !controlled(w))
		return;
	require(w, t->congestion.cwnd < w->before.congestion.cwnd || t->congestion.cwnd <= 2 * w->before.mss,
		"a lost tail has not reduced the window");
}

static void check_received(struct sim_world *w)
{
	const struct tcp *t = w->t;
	const struct tcp_receive *r = &t->receive;
	if (t->state < TCP_ESTABLISHED)
		return;
	uint64_t arrived = t->rcv_nxt - r->fin_taken - r->origin;
	require(w, arrived <= w->peer.send_total, "more was received than was ever sent");
	require(w, seq_ge(r->edge, w->before.edge) || w->before.edge == 0 || r->origin == t->rcv_nxt,
		"our window's edge went back");
	require(w, r->edge - r->consumed <= larger(r->mask + 1, UINT16_MAX) || seq_lt(r->edge, r->consumed),
		"our window is larger than the ring");
	require(w, r->out_of_order_count <= TCP_OUT_OF_ORDER_MAX, "too many ranges");
	for (uint32_t i = 0; i < r->out_of_order_count; i++) {
		const struct tcp_range *a = &r->out_of_order[i];
		require(w, seq_gt(a->left, t->rcv_nxt) && seq_lt(a->left, a->right) && seq_le(a->right, r->edge),
			"a range lies outside of the window");
		for (uint32_t j = 0; j < i; j++)
			require(w,
				seq_lt(a->right, r->out_of_order[j].left) || seq_gt(a->left, r->out_of_order[j].right),
				"ranges touch");
	}
}

static void trace_and_limit(struct sim_world *w)
{
	w->states |= 1u << w->t->state;
	if (w->verbose)
		sim_trace_change(w);
	require(w, w->t->rto_ns <= w->t->config.rto_max_ns, "the timeout is beyond its limit");
	if (tcp_synchronized(w->t))
		check_limits(w);
}

void sim_check_input_done(struct sim_world *w, const struct tcp_segment *s)
{
	const struct tcp *t = w->t;
	uint32_t acked = t->snd_una - w->before.una;
	struct model_excuse excuse = {.recut = reopened(w), .duplicates = reno_loses(w), .undone = found_again(w)};
	if (w->believed && acked && !t->sack_permitted && w->before.phase == TCP_PHASE_RECOVERY &&
	    t->recovery.phase == TCP_PHASE_RECOVERY) {
		w->force = true;
		sim_count(w, COUNT_PARTIAL_ACK);
		require(w, t->scoreboard.lost_octets > 0, "a partial ACK makes nothing lost");
	}
	w->counts[COUNT_REOPENED] += w->believed && excuse.recut;
	w->counts[COUNT_RANGES_FULL] += t->counters.out_of_order > w->before.counters.out_of_order &&
					t->receive.out_of_order_count == TCP_OUT_OF_ORDER_MAX;
	compare(w, &excuse);
	note_reports(w, s);
	count_undo(w);
	note_episode(w);
	if (tcp_synchronized(t))
		check_window(w, s);
	if (tcp_synchronized(t) && w->believed) {
		check_recovery_begun(w);
		check_reduction(w);
		check_threshold(w, acked);
		check_growth(w, acked);
		check_tail(w);
		check_ecn(w, s);
	}
	require(w, w->believed || t->snd_una == w->before.una || t->snd_una == t->isn + 1,
		"an ACK was believed that should not be");
	require(w,
		w->believed || !tcp_synchronized(t) || w->before.una == t->isn ||
			t->congestion.cwnd == w->before.congestion.cwnd,
		"a segment that does not count has moved the window");
	if (acked && t->recovery.phase == TCP_PHASE_OPEN)
		w->duplicates = 0;
	check_received(w);
	trace_and_limit(w);
}

/* A timer, or a router's message. */
void sim_check_timer_done(struct sim_world *w)
{
	const struct tcp *t = w->t;
	const struct tcp_counters *then = &w->before.counters;
	struct model_excuse excuse = {.timeout = t->counters.rto_fired > then->rto_fired,
				      .recut = t->path_mtu < w->before.path_mtu};
	excuse.reneged = excuse.timeout && w->before.sacked_first;
	if (excuse.timeout && t->state != TCP_CLOSED) {
		w->force = true;
		w->duplicates = 0;
		sim_count(w, t->state == TCP_SYN_SENT ? COUNT_SYN_AGAIN : COUNT_RTO);
		w->counts[COUNT_RTO_BACKED_OFF] += w->before.phase == TCP_PHASE_LOSS;
		w->counts[COUNT_RENEGING] += excuse.reneged;
		require(w, !controlled(w) || !tcp_synchronized(t) || t->congestion.cwnd == t->mss,
			"a timeout has not closed the window");
		require(w, t->rto_ns > w->before.rto_ns || t->rto_ns == t->config.rto_max_ns, "no back-off");
	}
	w->window_probe |= t->counters.persist_probes > then->persist_probes;
	w->counts[COUNT_PERSIST_OPEN] += t->counters.persist_probes > then->persist_probes && t->snd_wnd > 0;
	w->counts[COUNT_RACK_WOKE] += t->counters.rack_losses > then->rack_losses;
	compare(w, &excuse);
	note_episode(w);
	w->delivered = 0;
	if (tcp_synchronized(t)) {
		check_recovery_begun(w);
		check_reduction(w);
		check_threshold(w, 0);
	}
	trace_and_limit(w);
}

/* ---- what leaves ---- */

/* One segment may go beyond the congestion window: see RFC 6675, 5, (4.3); 6582, 3.2, 3; 6298, 5.4; 8985, 7.3. */
static bool may_pass(struct sim_world *w, uint32_t seq, uint32_t len, uint32_t pipe)
{
	uint32_t lost;
	uint32_t gone = w->duplicates * w->t->mss;
	uint32_t cwnd = larger(w->before.congestion.cwnd, w->t->congestion.cwnd);
	if (len <= cwnd && (pipe > gone ? pipe - gone : 0) + len <= cwnd)
		return true;
	if (w->t->counters.tlp_probes > w->before.counters.tlp_probes)
		return len <= w->t->mss;
	if (w->window_probe) {
		w->window_probe = false;
		return len <= w->t->mss;
	}
	bool forced = w->force && seq_lt(seq, w->before.nxt) && sim_model_first_lost(&w->model, &lost) && lost == seq;
	w->force = false;
	return forced && len <= w->t->mss;
}

/* The peer's window, once; a probe may go beyond it, and so may what was in it before it shrank. */
static bool may_fill(const struct sim_world *w, uint32_t seq, uint32_t len)
{
	bool tail_probe = w->t->counters.tlp_probes > w->before.counters.tlp_probes;
	uint32_t end = seq + len - w->before.una;
	if (end <= w->before.window || (w->window_probe && len == 1))
		return true;
	return tail_probe && seq_lt(seq, w->before.nxt);
}

static void check_octets(struct sim_world *w, uint32_t seq, uint32_t len, bool syn)
{
	if (len && !syn) {
		uint32_t in_flight = sim_model_pipe(&w->model), lost;
		bool again = seq_lt(seq, w->model.nxt);
		require(w, may_fill(w, seq, len), "a segment lies beyond the peer's window");
		if (again && !(sim_model_first_lost(&w->model, &lost) && seq == lost)) {
			bool probe = w->window_probe || w->t->counters.tlp_probes > w->before.counters.tlp_probes;
			require(w, probe, "something is sent again that is not lost");
		}
		require(w, may_pass(w, seq, len, in_flight), "a segment goes beyond the congestion window");
		if (w->t->recovery.phase == TCP_PHASE_RECOVERY)
			w->prr_sent += len;
		if (again && w->t->recovery.phase != TCP_PHASE_OPEN)
			w->resent += len;
	}
	bool keepalive = seq == w->t->snd_nxt - 1 && tcp_flight(w->t) == 0;
	require(w, len || syn || keepalive || seq == w->t->snd_nxt, "an empty segment is out of place");
	if (len)
		sim_model_sent(&w->model, seq, len, w->now_ns);
}

static void check_payload(struct sim_world *w, const struct wire_segment *s)
{
	uint32_t at = s->seq - w->t->isn - 1;
	require(w, s->len <= w->t->mss, "a segment is larger than the MSS");
	require(w, (uint64_t)at + s->len <= w->tx.end && memcmp(s->payload, sim_stream + at, s->len) == 0,
		"an octet is sent in the wrong place");
}

/* RFC 3168, 6.1: new data alone is ECT, but for probes of a closed window. */
static void check_ect(struct sim_world *w, const struct wire_segment *s)
{
	bool fresh = s->len && seq_gt(s->seq + s->len, w->highest);
	w->highest = fresh ? s->seq + s->len : w->highest;
	require(w, !s->ecn || (fresh && w->t->ecn.on), "a segment is ECT and should not be");
	require(w, s->ecn || !fresh || !w->t->ecn.on || w->t->snd_wnd == 0, "new data is not ECT");
}

void sim_check_sent(struct sim_world *w, const uint8_t *packet, size_t len)
{
	struct wire_segment s;
	if (!wire_parse(packet, len, &s)) {
		sim_fail(w, "a segment of ours is malformed");
		return;
	}
	sim_count(w, COUNT_SEGMENTS);
	w->sent_segments++;
	if (s.flags & WIRE_RST)
		return;
	uint32_t octets = s.len + !!(s.flags & WIRE_SYN) + !!(s.flags & WIRE_FIN);
	require(w, s.flags & WIRE_SYN || s.ack == w->t->rcv_nxt, "an ACK is not where we are");
	require(w, len <= w->t->path_mtu, "a packet is larger than the path's MTU");
	if (s.len)
		check_payload(w, &s);
	check_octets(w, s.seq, octets, s.flags & WIRE_SYN);
	check_ect(w, &s);
	w->counts[COUNT_AFTER_IDLE] +=
		w->before.flight == 0 && octets && w->t->congestion.cwnd < w->before.congestion.cwnd;
	if (w->model.failure)
		sim_fail(w, w->model.failure);
}

/* What a squeeze has made lost is sent again next: the model has to know. */
void sim_check_output_done(struct sim_world *w)
{
	static const struct model_excuse none = {0};
	if (w->model.squeezed)
		compare(w, &none);
}

/* ---- at rest ---- */

static void check_timers(struct sim_world *w, bool drained)
{
	const struct tcp *t = w->t;
	uint64_t far_ns = w->now_ns + 2 * t->config.rto_max_ns;
	bool pending = w->tx.end > tcp_sent(t) || (t->fin_queued && !t->fin_sent);
	if (t->state == TCP_CLOSED) {
		require(w, tcp_deadline(t) == TCP_NEVER, "a timer runs without a connection");
		return;
	}
	if (tcp_flight(t) && t->state != TCP_TIME_WAIT) {
		require(w, tcp_timer_armed(t, TCP_TIMER_RETRANSMIT), "data is in flight and no timer runs");
		require(w, t->timers[TCP_TIMER_RETRANSMIT] <= far_ns, "the timer is too far away");
	} else {
		require(w, !tcp_timer_armed(t, TCP_TIMER_RETRANSMIT), "a timer runs and nothing is in flight");
	}
	if (drained && tcp_may_send_data(t) && pending && tcp_flight(t) == 0) {
		require(w, tcp_timer_armed(t, TCP_TIMER_PERSIST), "data waits and no timer runs");
		require(w, t->timers[TCP_TIMER_PERSIST] <= far_ns, "the persist timer is too far away");
	}
	if (t->ack_pending_octets && !t->ack_due)
		require(w, t->timers[TCP_TIMER_DELAYED_ACK] <= w->now_ns + t->config.delayed_ack_ns,
			"an ACK is owed and no timer runs");
	require(w, t->state != TCP_TIME_WAIT || tcp_timer_armed(t, TCP_TIMER_IDLE), "TIME-WAIT never ends");
}

/* Every octet pushed is in the queue or was freed, once, as what it was pushed as. */
static void check_buffers(struct sim_world *w)
{
	const struct extent_queue *q = &w->tx;
	uint64_t held = 0, at = q->start;
	for (; w->freed_until < q->start; w->freed_until++)
		w->freed_control += w->control[w->freed_until];
	require(w, q->freed[EXTENT_CONTROL] == w->freed_control && q->freed[EXTENT_LOG] == q->start - w->freed_control,
		"octets are freed as what they were not");
	for (uint32_t i = q->head; i != q->tail; i++) {
		const struct extent *e = &q->ring[i & (EXTENTS_MAX - 1)];
		require(w, e->offset == at && e->bytes == sim_stream + at && e->len > 0, "an extent is out of place");
		held += e->len;
		at += e->len;
	}
	require(w, q->start + held == q->end, "octets are missing from the queue");
}

void sim_check_step(struct sim_world *w, bool drained)
{
	const struct tcp *t = w->t;
	uint64_t acked = tcp_acked(t), sent = tcp_sent(t);
	static const struct model_excuse none = {0};
	if (w->sent_segments != w->sent_before) /* else nothing has changed since it was compared */
		compare(w, &none);
	w->sent_before = w->sent_segments;
	require(w, !w->peer.wrong, "an octet was delivered in the wrong place");
	require(w, acked <= w->peer.received, "acknowledged what was not received");
	require(w, sent <= w->tx.end && acked <= sent, "cursors out of order");
	if (tcp_synchronized(t))
		require(w, seq_le(t->snd_una, t->snd_nxt) && seq_le(t->snd_nxt, w->ours_furthest + 1),
			"more in flight than any window allowed");
	require(w, w->sent_segments == t->counters.segments_sent, "segments are miscounted");
	require(w, !drained || !t->plain || w->tx.end == sent || t->fast_until <= sent || t->fast_until < w->tx.end,
		"something could go, and does not");
	/* RFC 5961, 7, as we keep to it: ten in five seconds */
	require(w, t->counters.challenge_acks <= 10 * (1 + (w->now_ns - w->started_ns) / (5000 * MS)),
		"too many challenges");
	check_timers(w, drained);
	check_buffers(w);
	if (t->state == TCP_CLOSED && tcp_error(t) && w->ending == ORDERLY)
		sim_fail(w, "the connection was lost");
}

/* ---- at the end ---- */

static int expected_error(const struct sim_world *w)
{
	static const int errors[] = {[ORDERLY] = 0,
				     [RESET] = HW_ERR_CONN_RESET,
				     [LOST] = HW_ERR_CONN_LOST,
				     [ABORTED] = HW_ERR_CONN_ABORTED,
				     [UNANSWERED] = HW_ERR_CONN_TIMEOUT};
	return errors[w->ending];
}

static void count_links(struct sim_world *w)
{
	static const enum sim_count names[SIM_LINK_HITS] = {
		[SIM_LOSS] = COUNT_LOSS,       [SIM_BURST] = COUNT_BURST, [SIM_DUPLICATE] = COUNT_DUPLICATE,
		[SIM_REORDER] = COUNT_REORDER, [SIM_FLIP] = COUNT_FLIP,   [SIM_TRUNCATE] = COUNT_TRUNCATE,
		[SIM_TAIL] = COUNT_TAIL,       [SIM_SPIKE] = COUNT_SPIKE, [SIM_MARK] = COUNT_MARK,
		[SIM_MEND] = COUNT_MEND,       [SIM_STALE] = COUNT_STALE, [SIM_OVERFLOW] = COUNT_OVERFLOW,
		[SIM_CUT] = COUNT_CUT,
	};
	for (int i = 0; i < SIM_LINK_HITS; i++)
		w->counts[names[i]] += w->out.hits[i] + w->in.hits[i];
}

static void count_peer(struct sim_world *w)
{
	const struct sim_peer_hits *h = &w->peer.hits;
	w->counts[COUNT_PEER_SACKED] += h->sacked;
	w->counts[COUNT_PEER_TWICE] += h->twice;
	w->counts[COUNT_PEER_DELAYED] += h->delayed;
	w->counts[COUNT_PEER_CLOSED] += h->zero_window;
	w->counts[COUNT_PEER_SHRUNK] += h->shrunk;
	w->counts[COUNT_PEER_RENEGED] += h->reneged;
	w->counts[COUNT_PEER_STALLED] += h->stalled;
	w->counts[COUNT_PEER_FORGED] += h->forged;
	w->counts[COUNT_PEER_RESET] += h->reset;
	w->counts[COUNT_PEER_STALE] += h->stale;
	w->counts[COUNT_WRAP_THEIRS] += w->peer.isn + (uint32_t)w->peer.next < w->peer.isn;
}

static void count_ours(struct sim_world *w)
{
	const struct tcp_counters *c = &w->t->counters;
	w->counts[COUNT_FAST] += c->retransmits_fast;
	w->counts[COUNT_RACK_LOST] += c->rack_losses;
	w->counts[COUNT_TLP] += c->tlp_probes;
	w->counts[COUNT_TLP_RECOVERED] += c->tlp_recovered;
	w->counts[COUNT_TLP_NEEDLESS] += c->tlp_needless;
	w->counts[COUNT_DSACK] += c->dsack_received;
	w->counts[COUNT_UNDO_TIMEOUT] += c->spurious_rto;
	w->counts[COUNT_PERSIST] += c->persist_probes;
	w->counts[COUNT_UNACCEPTABLE] += c->out_of_window;
	w->counts[COUNT_CHALLENGE] += c->challenge_acks;
	w->counts[COUNT_RESET_IGNORED] += c->resets_ignored;
	w->counts[COUNT_OUT_OF_ORDER] += c->out_of_order;
	w->counts[COUNT_CE] += c->ecn_ce;
	w->counts[COUNT_ECN_REDUCED] += c->ecn_reductions;
	w->counts[COUNT_KEEPALIVE] += c->keepalive_probes;
	w->counts[COUNT_WRAP_OURS] += w->t->snd_nxt < w->t->isn;
	w->counts[COUNT_CUBIC] += w->config.control == TCP_CUBIC;
	w->counts[COUNT_RENO] += w->config.control == TCP_RENO;
	w->counts[COUNT_UNCONTROLLED] += w->config.control == TCP_NO_CONTROL;
	w->counts[COUNT_CLOSE_WAIT] += w->states >> TCP_CLOSE_WAIT & 1;
	w->counts[COUNT_CLOSING] += w->states >> TCP_CLOSING & 1;
	w->counts[COUNT_TIME_WAIT] += w->states >> TCP_TIME_WAIT & 1;
	w->counts[COUNT_OCTETS] += tcp_acked(w->t);
	w->counts[COUNT_COMPARED] += w->model.compared;
}

static void count_ending(struct sim_world *w)
{
	static const enum sim_count names[] = {[RESET] = COUNT_END_RESET,
					       [LOST] = COUNT_END_LOST,
					       [ABORTED] = COUNT_END_ABORTED,
					       [UNANSWERED] = COUNT_END_UNANSWERED};
	if (w->ending != ORDERLY)
		w->counts[names[w->ending]]++;
	if (w->healed)
		w->counts[COUNT_DRAIN_MS] = (w->now_ns - w->healed_ns) / MS;
}

void sim_check_end(struct sim_world *w)
{
	require(w, !w->tails_only || w->t->counters.rto_fired == 0, "a lost tail took a timeout");
	if (w->ending == ORDERLY)
		require(w, w->peer.received == w->total && w->read == w->peer.send_total,
			"ended before everything was delivered");
	bool all_arrived = w->closed && tcp_acked(w->t) == w->total && tcp_error(w->t) == 0; /* before it could */
	require(w, tcp_error(w->t) == expected_error(w) || all_arrived, "the connection ended for another reason");
	count_links(w);
	count_peer(w);
	count_ours(w);
	count_ending(w);
}
