/* What a seed has met, counted when it is over. */
#include "tests/sim/sim_tcp_check.h"

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

void sim_total(struct sim_world *w)
{
	count_links(w);
	count_peer(w);
	count_ours(w);
	count_ending(w);
}
