/* Explicit congestion notification (RFC 3168): routers mark instead of dropping, receivers echo, senders slow down. */
#include "dataplane/tcp/tcp_internal.h"

/*
 * Section 6.1.1. Our first SYN asked with ECE and CWR, a SYN-ACK agrees with ECE alone; a SYN that crossed ours asks as
 * ours did. A SYN that had to be sent again asked for nothing (6.1.1.1): something on the way may drop those that do.
 */
void tcp_ecn_negotiate(struct tcp *t, const struct tcp_segment *syn)
{
	uint8_t asked = syn->flags & (TCP_ECE | TCP_CWR);
	bool agreed = syn->flags & TCP_ACK ? asked == TCP_ECE : asked == (TCP_ECE | TCP_CWR);
	t->ecn.on = t->config.ecn && agreed && !t->syn_retransmitted;
}

/* Section 6.1.3: a mark is echoed in every ACK until the sender says that it has slowed down. */
void tcp_ecn_on_data(struct tcp *t, const struct tcp_segment *s)
{
	if (!t->ecn.on)
		return;
	if (s->flags & TCP_CWR)
		t->ecn.echo = false;
	if (!s->ecn_ce)
		return;
	t->ecn.echo = true;
	t->counters.ecn_ce++;
}

/* Section 6.1.2: an echo is answered like a loss, once a round trip, and not on top of one. */
void tcp_ecn_on_ack(struct tcp *t, const struct tcp_segment *s)
{
	struct tcp_ecn *e = &t->ecn;
	if (!e->on || !(s->flags & TCP_ECE))
		return;
	e->cwr_due = true;
	bool answered = e->waiting && seq_le(s->ack, e->until); /* CWR lies behind it */
	if (answered || t->recovery.phase != TCP_PHASE_OPEN)
		return;
	e->waiting = true;
	e->until = t->snd_nxt;
	t->counters.ecn_reductions++;
	uint32_t before = t->congestion.cwnd;
	tcp_undo_forget(t); /* an earlier recovery may turn out needless; this is not */
	tcp_congestion_on_loss(t, tcp_flight(t));
	tcp_note(t, TCP_TRACE_REDUCED, TCP_TRACE_FOR_ECN, 0, before, t->congestion.ssthresh);
}
