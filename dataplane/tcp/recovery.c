/*
 * What is done about losses: RFC 6675's recovery with RACK's detection (rack.c) where the peer speaks SACK, RFC 6582
 * (NewReno) where it does not, and what a timeout leaves behind.
 */
#include "dataplane/tcp/tcp_internal.h"

void tcp_recovery_init(struct tcp *t)
{
	t->recovery = (struct tcp_recovery){0};
}

/* RFC 6582, 3.2: "recover" is kept for as long as the connection lasts, hence as a stream offset, which never wraps. */
static void set_recovery_point(struct tcp *t)
{
	t->recovery.recovery_point = t->snd_nxt;
	t->recovery.duplicates_from = t->nxt_offset + 1;
}

static void lose_first_segment(struct tcp *t)
{
	uint32_t before = t->scoreboard.lost_octets;
	tcp_scoreboard_lose_range(t, t->snd_una, seq_min(t->snd_una + t->mss, t->snd_nxt));
	tcp_note_ours(t, TCP_TRACE_LOST, 1, t->snd_una, t->scoreboard.lost_octets - before);
}

static void note_phase(const struct tcp *t)
{
	tcp_note_ours(t, TCP_TRACE_PHASE, t->recovery.phase, t->recovery.recovery_point, t->congestion.ssthresh);
}

static void leave(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	if (r->phase == TCP_PHASE_RECOVERY)
		tcp_congestion_on_recovered(t);
	r->phase = TCP_PHASE_OPEN;
	r->force = false;
	r->reno_left = 0;
	if (!t->sack_permitted) /* a guess that reached beyond the recovery point */
		tcp_scoreboard_find_all(t);
	tcp_rack_on_recovered(t);
	note_phase(t);
}

/* RFC 6582, 3.2, step 3: a partial ACK means that the next segment was lost, too. */
static void partial_ack(struct tcp *t, uint32_t acked)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t beyond_retransmitted = acked > t->mss ? acked - t->mss : 0;
	r->reno_left -= r->reno_left < beyond_retransmitted ? r->reno_left : beyond_retransmitted;
	lose_first_segment(t);
	r->force = true;
}

void tcp_recovery_on_ack(struct tcp *t, uint32_t acked)
{
	struct tcp_recovery *r = &t->recovery;
	r->dup_acks = 0;
	if (r->phase == TCP_PHASE_OPEN)
		r->reno_left = 0;
	else if (seq_ge(t->snd_una, r->recovery_point))
		leave(t);
	else if (r->phase == TCP_PHASE_RECOVERY && !t->sack_permitted)
		partial_ack(t, acked);
}

static void reduce(struct tcp *t, uint64_t now_ns)
{
	uint32_t before = t->congestion.cwnd;
	tcp_congestion_on_recovery(t, tcp_flight(t));
	t->recovery.reduced_ns = now_ns;
	tcp_note(t, TCP_TRACE_REDUCED, TCP_TRACE_FOR_LOSS, 0, before, t->congestion.ssthresh);
}

static void enter(struct tcp *t, uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	tcp_undo_begin(t);
	reduce(t, now_ns);
	r->phase = TCP_PHASE_RECOVERY;
	set_recovery_point(t);
	t->tlp.open = false;
	r->force = true;
	note_phase(t);
}

/* Without SACK a duplicate ACK says that some segment has left the network, a full one for want of better knowledge. */
static void count_reno(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t flight = tcp_flight(t);
	uint32_t most = flight > t->mss ? flight - t->mss : 0;
	r->reno_left = r->reno_left + t->mss < most ? r->reno_left + t->mss : most;
}

/* RFC 6582, 3.2, step 1: three duplicate ACKs, but not for data that was sent before the last recovery ended. */
static void detect_reno(struct tcp *t, bool duplicate, uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	if (duplicate && r->phase != TCP_PHASE_LOSS)
		count_reno(t);
	if (r->phase != TCP_PHASE_OPEN || r->dup_acks < TCP_DUPLICATE_ACKS || t->tx->start < r->duplicates_from)
		return;
	lose_first_segment(t);
	enter(t, now_ns);
}

/* Whether something lost just now had been sent again since the window was last reduced. */
static bool retransmission_lost(const struct tcp *t)
{
	for (uint32_t i = 0; i < tcp_record_count(t); i++) {
		const struct tcp_record *r = tcp_record_at(t, i);
		if ((r->flags & (TCP_LOST | TCP_AGAIN)) == (TCP_LOST | TCP_AGAIN) && r->at_ns >= t->recovery.reduced_ns)
			return true;
	}
	return false;
}

static void detect_rack(struct tcp *t, uint64_t now_ns)
{
	uint32_t lost = tcp_rack_detect(t, now_ns);
	if (t->recovery.phase == TCP_PHASE_OPEN) {
		if (t->scoreboard.lost_octets) /* just now, or during a recovery that ended before them */
			enter(t, now_ns);
		return;
	}
	if (lost && retransmission_lost(t)) /* RFC 5681, 4.3: to be taken as another indication of congestion */
		reduce(t, now_ns);
}

void tcp_recovery_detect(struct tcp *t, bool duplicate, uint32_t newly_sacked, uint64_t now_ns)
{
	if (t->sack_permitted ? newly_sacked > 0 : duplicate) {
		t->recovery.dup_acks++;
		t->counters.duplicate_acks++;
	}
	if (t->sack_permitted)
		detect_rack(t, now_ns);
	else
		detect_reno(t, duplicate, now_ns);
}

void tcp_recovery_on_wake(struct tcp *t, uint64_t now_ns)
{
	detect_rack(t, now_ns);
	tcp_recovery_pace(t, 0);
}

void tcp_recovery_pace(struct tcp *t, uint32_t delivered)
{
	if (t->recovery.phase == TCP_PHASE_RECOVERY && t->sack_permitted)
		tcp_congestion_pace_recovery(t, delivered);
}

static void enter_loss(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	r->phase = TCP_PHASE_LOSS;
	set_recovery_point(t);
	t->rack.wake_ns = TCP_NEVER;
	t->tlp.open = t->tlp_due = false;
	r->dup_acks = 0;
	r->reno_left = 0;
	r->force = false;
	note_phase(t);
}

static void lose_overdue(struct tcp *t, uint64_t now_ns)
{
	uint64_t patience_ns = t->rack.rtt_ns + tcp_rack_window(t);
	for (uint32_t i = 0; i < tcp_record_count(t); i++) {
		const struct tcp_record *r = tcp_record_at(t, i);
		if (!(r->flags & TCP_SACKED) && (i == 0 || r->at_ns + patience_ns <= now_ns))
			tcp_scoreboard_lose(t, i);
	}
}

/*
 * RFC 8985, 6.3: the first segment is lost, and what was sent too long ago to be still on its way; without SACK,
 * everything (RFC 5681, 3.1). Where the peer claims to hold the very octet it does not acknowledge, it has reneged (RFC
 * 2018, 8), and nothing it said is believed any more.
 */
void tcp_recovery_on_timeout(struct tcp *t, uint64_t now_ns)
{
	bool reneged = tcp_record_at(t, 0)->flags & TCP_SACKED;
	uint32_t before = t->congestion.cwnd;
	tcp_undo_begin(t);
	tcp_congestion_on_timeout(t);
	t->recovery.reduced_ns = now_ns;
	tcp_note(t, TCP_TRACE_REDUCED, TCP_TRACE_FOR_RTO, 0, before, t->congestion.ssthresh);
	if (reneged)
		tcp_scoreboard_forget_sacks(t);
	enter_loss(t);
	if (t->sack_permitted && !reneged)
		lose_overdue(t, now_ns);
	else
		tcp_scoreboard_lose_range(t, t->snd_una, t->snd_nxt);
	t->recovery.force = true;
}

void tcp_recovery_recut(struct tcp *t)
{
	tcp_undo_forget(t);
	enter_loss(t);
	tcp_scoreboard_lose_range(t, t->snd_una, t->snd_nxt);
}

void tcp_recovery_cancel(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	tcp_scoreboard_find_all(t);
	r->phase = TCP_PHASE_OPEN;
	r->force = false;
	r->dup_acks = 0;
	r->reno_left = 0;
	tcp_rack_on_recovered(t);
	note_phase(t);
}

uint32_t tcp_recovery_pipe(const struct tcp *t)
{
	uint32_t out = tcp_flight(t) - t->scoreboard.sacked_octets - t->scoreboard.lost_octets;
	uint32_t gone = t->recovery.reno_left;
	return out > gone ? out - gone : 0;
}
