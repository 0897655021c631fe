/* What RFC 5681, 3465, 6937, 9438, 3168 and 8985 let the congestion window do. */
#include "tests/sim/sim_tcp_check.h"

/* RFC 5681, equation 4, and RFC 9438, 4.6: at most this much is left of a window that has met congestion. */
static uint32_t reduced(const struct sim_world *w)
{
	double share = w->config.control == TCP_CUBIC ? 0.7 : 0.5;
	return larger((uint32_t)(w->before.flight * share) + 1, 2 * w->before.mss);
}

void sim_check_limits(struct sim_world *w)
{
	const struct tcp_congestion *c = &w->t->congestion;
	require(w, c->cwnd <= w->config.cwnd_max_bytes, "the congestion window is beyond its limit");
	require(w, controlled(w) || c->cwnd == w->config.cwnd_max_bytes, "a window that nobody controls has moved");
	require(w, w->t->recovery.phase == TCP_PHASE_RECOVERY || c->cwnd >= w->t->mss,
		"the congestion window holds no segment");
}

/* A recovery has begun. One may end, or be undone, and another one begin in the same ACK. */
bool sim_recovery_begun(const struct sim_world *w)
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
	bool anew = sim_recovery_begun(w) || c->recover_flight != w->before.congestion.recover_flight ||
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
	if (!sim_recovery_begun(w))
		return;
	sim_count(w, t->sack_permitted ? COUNT_PRR : COUNT_NEWRENO);
	w->force = true;
	require(w, !controlled(w) || t->congestion.ssthresh <= reduced(w), "a loss has not reduced ssthresh");
}

/* RFC 3168, 6.1.2: an echo of a mark reduces the window, or leaves it as it is. */
void sim_check_ecn(struct sim_world *w, const struct tcp_segment *s)
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

/* After whatever may have moved the window; `acked`: octets by which UNA has moved. */
void sim_check_congestion(struct sim_world *w, uint32_t acked)
{
	check_recovery_begun(w);
	check_reduction(w);
	check_threshold(w, acked);
	check_growth(w, acked);
	check_tail(w);
}
