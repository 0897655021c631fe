/*
 * Tail loss probes (RFC 8985, 7): when nothing has been heard for two round trips, one segment more is sent to provoke
 * an answer, so that a loss at the end of what was sent costs neither a timeout nor the congestion window.
 */
#include "dataplane/tcp/tcp_internal.h"

/* One probe at a time; one that has been acknowledged while its fate is unknown stands in nobody's way. */
bool tcp_tlp_allowed(const struct tcp *t)
{
	bool waiting = t->tlp_due || (t->tlp.open && seq_lt(t->snd_una, t->tlp.end));
	return t->pto_ns != TCP_PTO_NONE && !waiting && t->recovery.phase == TCP_PHASE_OPEN &&
	       t->scoreboard.sacked_octets == 0 && t->snd_wnd > 0 && tcp_flight(t) > 0 && tcp_may_send_data(t);
}

static void note_fate(const struct tcp *t, enum tcp_trace_tail fate)
{
	tcp_note_ours(t, TCP_TRACE_TAIL, fate, t->tlp.end, t->tlp.again);
}

/* It came once, so what it repeated had been lost: to be answered like any loss. */
static void conclude_recovered(struct tcp *t)
{
	uint32_t before = t->congestion.cwnd;
	t->tlp.open = false;
	t->counters.tlp_recovered++;
	note_fate(t, TCP_TRACE_TAIL_REPAIRED);
	if (t->recovery.phase != TCP_PHASE_OPEN)
		return;
	tcp_undo_forget(t); /* an earlier recovery may turn out needless; this is not */
	tcp_congestion_on_loss(t, t->tlp.flight);
	tcp_note(t, TCP_TRACE_REDUCED, TCP_TRACE_FOR_TAIL, 0, before, t->congestion.ssthresh);
}

void tcp_tlp_note(struct tcp *t, uint32_t again)
{
	if (t->tlp.open) /* of an earlier tail: two round trips ago, and no report that it came twice */
		conclude_recovered(t);
	t->tlp = (struct tcp_tlp){.open = true, .again = again, .end = t->snd_nxt, .flight = tcp_flight(t)};
}

/* All of the probe came twice, not only a part of it; a FIN is in nobody's report. */
static bool covers(const struct tcp_segment *s, const struct tcp_tlp *p)
{
	return seq_le(s->sack[0].left, p->end - p->again) && seq_ge(s->sack[0].right + 1, p->end);
}

bool tcp_tlp_repaired(const struct tcp *t, const struct tcp_segment *s)
{
	const struct tcp_tlp *p = &t->tlp;
	if (!p->open || !p->again || !seq_gt(s->ack, p->end))
		return false;
	return !(t->sack_permitted && tcp_scoreboard_is_dsack(t, s) && covers(s, p));
}

/* Section 7.4.2. Before `s` says otherwise it is not known whether the probe repaired a loss or came twice. */
void tcp_tlp_on_ack(struct tcp *t, const struct tcp_segment *s, bool duplicate, bool dsack)
{
	struct tcp_tlp *p = &t->tlp;
	if (!p->open || seq_lt(s->ack, p->end))
		return;
	if (!p->again) {
		p->open = false;
		note_fate(t, TCP_TRACE_TAIL_ANSWERED);
	} else if ((dsack && covers(s, p)) || (duplicate && s->sack_count == 0)) {
		p->open = false;
		t->counters.tlp_needless++;
		note_fate(t, TCP_TRACE_TAIL_NEEDLESS);
	} else if (seq_gt(s->ack, p->end)) {
		conclude_recovered(t);
	}
}
