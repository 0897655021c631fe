/*
 * Loss detection and recovery: RFC 6675 with SACK, RFC 6582 (NewReno) without, and what a timeout leaves behind. Both
 * are the same three cursors (struct tcp_recovery); without SACK, only the first segment is ever deemed lost.
 */
#include <assert.h>

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

static uint32_t first_segment_end(const struct tcp *t)
{
	return seq_min(t->snd_una + t->mss, t->snd_nxt);
}

static void leave(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	if (r->phase == TCP_PHASE_RECOVERY)
		t->congestion.cwnd = t->congestion.ssthresh;
	r->phase = TCP_PHASE_OPEN;
	r->force = false;
	r->reno_left = 0;
}

/* RFC 6582, 3.2, step 3: a partial ACK means that the next segment was lost, too. */
static void partial_ack(struct tcp *t, uint32_t acked)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t beyond_retransmitted = acked > t->mss ? acked - t->mss : 0;
	r->reno_left -= r->reno_left < beyond_retransmitted ? r->reno_left : beyond_retransmitted;
	r->high_rxt = t->snd_una;
	r->lost_end = first_segment_end(t);
	r->force = true;
}

void tcp_recovery_on_ack(struct tcp *t, uint32_t acked)
{
	struct tcp_recovery *r = &t->recovery;
	tcp_scoreboard_trim(t);
	r->dup_acks = 0;
	if (r->phase == TCP_PHASE_OPEN) {
		r->reno_left = 0;
		return;
	}
	r->high_rxt = seq_max(r->high_rxt, t->snd_una);
	r->lost_end = seq_max(r->lost_end, t->snd_una);
	if (seq_ge(t->snd_una, r->recovery_point))
		leave(t);
	else if (r->phase == TCP_PHASE_RECOVERY && !t->sack_permitted)
		partial_ack(t, acked);
}

static void enter(struct tcp *t, uint32_t lost_end)
{
	struct tcp_recovery *r = &t->recovery;
	tcp_congestion_on_loss(t);
	r->phase = TCP_PHASE_RECOVERY;
	set_recovery_point(t);
	r->high_rxt = t->snd_una;
	r->lost_end = lost_end;
	r->force = true;
}

/* Without SACK a duplicate ACK says that some segment has left the network, a full one for want of better knowledge. */
static void count_reno(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t flight = tcp_flight(t);
	uint32_t most = flight > t->mss ? flight - t->mss : 0;
	r->reno_left = r->reno_left + t->mss < most ? r->reno_left + t->mss : most;
}

/* Three duplicate ACKs, of whatever size their segments were: everything below the lowest SACKed range is lost. */
static uint32_t lost_by_duplicates(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	if (r->dup_acks < TCP_DUPLICATE_ACKS)
		return t->snd_una;
	if (r->sacked_count)
		return r->sacked[0].left;
	/* RFC 6582, 3.2, step 1: not for data that was sent before the last recovery ended */
	return t->sack_permitted || t->tx->start >= r->duplicates_from ? first_segment_end(t) : t->snd_una;
}

void tcp_recovery_detect(struct tcp *t, bool duplicate, uint32_t newly_sacked)
{
	struct tcp_recovery *r = &t->recovery;
	if (t->sack_permitted ? newly_sacked > 0 : duplicate) {
		r->dup_acks++;
		t->counters.duplicate_acks++;
		if (!t->sack_permitted && r->phase != TCP_PHASE_LOSS)
			count_reno(t);
	}
	uint32_t lost_end = tcp_scoreboard_lost_end(t);
	if (r->phase != TCP_PHASE_OPEN) {
		r->lost_end = seq_max(r->lost_end, lost_end);
		return;
	}
	lost_end = seq_max(lost_end, lost_by_duplicates(t));
	if (seq_gt(lost_end, t->snd_una))
		enter(t, lost_end);
}

/*
 * Everything not SACKed is deemed lost. Where the peer claims to hold the very octet it does not acknowledge, it has
 * reneged (RFC 2018, 8), and nothing it said is believed any more.
 */
void tcp_recovery_on_timeout(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	tcp_congestion_on_timeout(t);
	if (r->sacked_count && r->sacked[0].left == t->snd_una)
		tcp_scoreboard_clear(t);
	tcp_recovery_recut(t);
}

void tcp_recovery_recut(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	r->phase = TCP_PHASE_LOSS;
	set_recovery_point(t);
	r->lost_end = t->snd_nxt;
	r->high_rxt = t->snd_una;
	r->dup_acks = 0;
	r->reno_left = 0;
	r->force = false;
}

uint32_t tcp_recovery_pipe(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	uint32_t out = tcp_flight(t) - r->sacked_octets;
	uint32_t gone = r->reno_left;
	if (r->phase != TCP_PHASE_OPEN && seq_lt(r->high_rxt, r->lost_end))
		gone += r->lost_end - r->high_rxt - tcp_scoreboard_octets_in(t, r->high_rxt, r->lost_end);
	return out > gone ? out - gone : 0;
}

bool tcp_recovery_next(const struct tcp *t, uint32_t *seq, uint32_t *len)
{
	const struct tcp_recovery *r = &t->recovery;
	if (r->phase == TCP_PHASE_OPEN)
		return false;
	uint32_t end;
	*seq = tcp_scoreboard_next_hole(t, r->high_rxt, &end);
	end = seq_min(end, r->lost_end);
	if (!seq_lt(*seq, end))
		return false;
	*len = end - *seq;
	return true;
}
