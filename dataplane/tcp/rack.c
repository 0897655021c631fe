/*
 * RACK (RFC 8985, 6): a segment is lost when one sent later has arrived and its own answer is overdue by more than
 * reordering explains. Time replaces the counting of duplicate ACKs; lost retransmissions are found like any other.
 */
#include "dataplane/tcp/tcp_internal.h"

#define DSACK_FREE_RECOVERIES 16u /* RFC 8985, 6.2, step 4: then the reordering window is what it was at first */

void tcp_rack_init(struct tcp *t)
{
	t->rack = (struct tcp_rack){.window_mult = 1, .wake_ns = TCP_NEVER};
}

/* RACK_sent_after(): what went out in the same turn is told apart by its place in the stream. */
static bool sent_after(uint64_t a_ns, uint32_t a_end, uint64_t b_ns, uint32_t b_end)
{
	return a_ns > b_ns || (a_ns == b_ns && seq_gt(a_end, b_end));
}

/* Step 3. What the plain path acknowledged is below snd_una and need not have been noted. */
static void watch_order(struct tcp *t, const struct tcp_record *r)
{
	struct tcp_rack *k = &t->rack;
	if (k->fack - t->snd_una > tcp_flight(t))
		k->fack = t->snd_una;
	if (seq_ge(r->end, k->fack))
		k->fack = r->end;
	else if (!(r->flags & TCP_AGAIN))
		k->reordering_seen = true;
}

/*
 * Step 2: whether it is rather the first transmission that has arrived, and this one was needless. The echo tells of
 * what is acknowledged only: beyond a gap the peer goes on echoing what came before it (RFC 7323, 4.3).
 */
static bool ambiguous(const struct tcp *t, const struct tcp_record *r, const struct tcp_segment *s, uint64_t now_ns)
{
	if (!(r->flags & TCP_AGAIN))
		return false;
	bool echoed = t->timestamps && s->has_timestamps && seq_le(r->end, s->ack);
	if (echoed && seq_lt(s->ts_echo, tcp_timestamp(r->at_ns)))
		return true;
	return now_ns - r->at_ns < tcp_rtt_min(t);
}

static void advance(struct tcp *t, const struct tcp_record *r, uint64_t now_ns)
{
	struct tcp_rack *k = &t->rack;
	if (!sent_after(r->at_ns, r->end, k->at_ns, k->end))
		return;
	k->at_ns = r->at_ns;
	k->end = r->end;
	k->rtt_ns = now_ns - r->at_ns;
}

void tcp_rack_arrived(struct tcp *t, const struct tcp_record *r, const struct tcp_segment *s, uint64_t now_ns)
{
	watch_order(t, r);
	if (!ambiguous(t, r, s, now_ns))
		advance(t, r, now_ns);
}

/* Step 4, RACK_update_reo_wnd(): once per round trip. */
static void widen_window(struct tcp *t)
{
	struct tcp_rack *k = &t->rack;
	if (k->in_dsack_round && k->dsack_round - t->snd_una - 1 < tcp_flight(t))
		return;
	k->in_dsack_round = true;
	k->dsack_round = t->snd_nxt;
	k->window_mult += k->window_mult < UINT8_MAX;
	k->window_persist = DSACK_FREE_RECOVERIES;
}

void tcp_rack_on_dsack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	widen_window(t);
	if (s->sack[0].left - t->snd_una >= tcp_flight(t))
		return;
	const struct tcp_record *r = tcp_scoreboard_find(t, s->sack[0].left);
	if (r->flags & TCP_SACKED)
		advance(t, r, now_ns);
}

void tcp_rack_on_recovered(struct tcp *t)
{
	struct tcp_rack *k = &t->rack;
	if (k->window_persist && --k->window_persist == 0)
		k->window_mult = 1;
}

uint64_t tcp_rack_window(const struct tcp *t)
{
	const struct tcp_rack *k = &t->rack;
	if (!k->reordering_seen && (t->recovery.phase != TCP_PHASE_OPEN || tcp_scoreboard_three_sacked(t)))
		return 0;
	uint64_t window_ns = tcp_rtt_min(t) / 4 * k->window_mult;
	return window_ns < t->rtt.srtt_ns ? window_ns : t->rtt.srtt_ns;
}

/* RACK_detect_loss(). */
uint32_t tcp_rack_detect(struct tcp *t, uint64_t now_ns)
{
	struct tcp_rack *k = &t->rack;
	uint32_t before = t->scoreboard.lost_octets;
	k->wake_ns = TCP_NEVER;
	if (k->at_ns == 0 || (t->scoreboard.sacked_octets == 0 && t->recovery.phase == TCP_PHASE_OPEN))
		return 0; /* nothing that has arrived was sent after anything that has not */
	uint64_t patience_ns = k->rtt_ns + tcp_rack_window(t), wake_ns = 0;
	for (uint32_t i = 0; i < tcp_record_count(t); i++) {
		const struct tcp_record *r = tcp_record_at(t, i);
		if (r->flags & (TCP_SACKED | TCP_LOST) || !sent_after(k->at_ns, k->end, r->at_ns, r->end))
			continue;
		if (r->at_ns + patience_ns <= now_ns)
			tcp_scoreboard_lose(t, i);
		else if (r->at_ns + patience_ns > wake_ns)
			wake_ns = r->at_ns + patience_ns;
	}
	k->wake_ns = wake_ns ? wake_ns : TCP_NEVER;
	uint32_t lost = t->scoreboard.lost_octets - before;
	t->counters.rack_losses += lost > 0;
	if (lost)
		tcp_note_ours(t, TCP_TRACE_LOST, 0, t->snd_una, lost);
	return lost;
}
