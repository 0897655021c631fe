/*
 * Retransmissions that were not needed: found by the echoed timestamp (Eifel, RFC 3522) or by reports that all of them
 * came twice (D-SACK, RFC 3708), and answered (RFC 4015) by taking back what was done to the congestion window.
 */
#include "dataplane/tcp/tcp_internal.h"

void tcp_undo_begin(struct tcp *t)
{
	if (t->recovery.phase == TCP_PHASE_OPEN)
		t->undo = (struct tcp_undo){.valid = true, .from = t->snd_una, .congestion = t->congestion};
	t->undo.waiting = t->timestamps;
}

void tcp_undo_forget(struct tcp *t)
{
	t->undo.valid = false;
}

void tcp_undo_on_resend(struct tcp *t, uint32_t len, uint64_t now_ns)
{
	struct tcp_undo *u = &t->undo;
	if (t->recovery.phase == TCP_PHASE_OPEN || !u->valid)
		return;
	if (!u->resent)
		u->first_timestamp = tcp_timestamp(now_ns);
	u->resent = true;
	u->octets += len;
}

/*
 * RFC 4015, 3.2, but with the whole window: what it filled is still in flight, and a feed should not have to grow it
 * again. The round trip that was longer than the timeout has been measured by its echo.
 */
static void undo(struct tcp *t, bool by_dsack)
{
	struct tcp_congestion now = t->congestion;
	t->counters.undo++;
	t->counters.spurious_rto += t->recovery.phase == TCP_PHASE_LOSS;
	t->congestion = t->undo.congestion;
	if (now.cwnd > t->congestion.cwnd)
		t->congestion.cwnd = now.cwnd;
	tcp_note(t, TCP_TRACE_UNDO, by_dsack, 0, now.cwnd, t->congestion.ssthresh);
	t->rto_ns = t->rto_base_ns;
	t->undo.valid = false;
	if (t->recovery.phase != TCP_PHASE_OPEN)
		tcp_recovery_cancel(t);
}

void tcp_undo_on_ack(struct tcp *t, const struct tcp_segment *s)
{
	struct tcp_undo *u = &t->undo;
	if (!u->valid || !u->waiting || !u->resent)
		return;
	u->waiting = false; /* RFC 3522, 3.2, step 4: only the first ACK tells */
	if (s->has_timestamps && seq_lt(s->ts_echo, u->first_timestamp))
		undo(t, false);
}

void tcp_undo_on_dsack(struct tcp *t, const struct tcp_segment *s)
{
	struct tcp_undo *u = &t->undo;
	uint32_t left = s->sack[0].left, len = s->sack[0].right - left;
	if (!u->valid || !u->resent || seq_lt(left, u->from) || seq_gt(left + len, t->recovery.recovery_point))
		return;
	u->octets -= u->octets < len ? u->octets : len;
	if (u->octets == 0)
		undo(t, true);
}
