/* What has to be true, whatever the network does: after every segment, every timer, every step. */
#include <stdio.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "tests/sim/sim_tcp_check.h"

void sim_fail(struct sim_world *w, const char *why)
{
	if (!w->failure)
		w->failure = why;
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

void sim_compare(struct sim_world *w, const struct model_excuse *excuse)
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
	if (sim_recovery_begun(w) || (w->before.phase == TCP_PHASE_OPEN && w->t->recovery.phase != TCP_PHASE_OPEN))
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
		sim_check_limits(w);
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
	sim_compare(w, &excuse);
	note_reports(w, s);
	count_undo(w);
	note_episode(w);
	if (tcp_synchronized(t))
		check_window(w, s);
	if (tcp_synchronized(t) && w->believed) {
		sim_check_congestion(w, acked);
		sim_check_ecn(w, s);
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
	sim_compare(w, &excuse);
	note_episode(w);
	w->delivered = 0;
	if (tcp_synchronized(t))
		sim_check_congestion(w, 0);
	trace_and_limit(w);
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
		sim_compare(w, &none);
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

void sim_check_end(struct sim_world *w)
{
	require(w, !w->tails_only || w->t->counters.rto_fired == 0, "a lost tail took a timeout");
	if (w->ending == ORDERLY)
		require(w, w->peer.received == w->total && w->read == w->peer.send_total,
			"ended before everything was delivered");
	bool all_arrived = w->closed && tcp_acked(w->t) == w->total && tcp_error(w->t) == 0; /* before it could */
	require(w, tcp_error(w->t) == expected_error(w) || all_arrived, "the connection ended for another reason");
	sim_total(w);
}
