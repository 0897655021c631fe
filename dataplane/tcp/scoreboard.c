/* What the peer has beyond a gap, by its SACK blocks (RFC 2018): sorted ranges in a fixed array. */
#include <string.h>

#include "dataplane/tcp/tcp_internal.h"

static uint32_t range_len(const struct tcp_range *r)
{
	return r->right - r->left;
}

static void remove_at(struct tcp_recovery *r, uint32_t i, uint32_t n)
{
	r->sacked_count -= n;
	memmove(&r->sacked[i], &r->sacked[i + n], (r->sacked_count - i) * sizeof r->sacked[0]);
}

static void insert_at(struct tcp_recovery *r, uint32_t i, struct tcp_range range)
{
	memmove(&r->sacked[i + 1], &r->sacked[i], (r->sacked_count - i) * sizeof r->sacked[0]);
	r->sacked[i] = range;
	r->sacked_count++;
}

/* Adds [left, right), joining what it touches. Returns the octets that are new. */
static uint32_t add(struct tcp *t, uint32_t left, uint32_t right)
{
	struct tcp_recovery *r = &t->recovery;
	struct tcp_range joined = {.left = left, .right = right};
	uint32_t first = 0, known = 0;
	while (first < r->sacked_count && seq_lt(r->sacked[first].right, left))
		first++;
	uint32_t last = first;
	for (; last < r->sacked_count && seq_le(r->sacked[last].left, right); last++) {
		known += range_len(&r->sacked[last]);
		joined.left = seq_min(joined.left, r->sacked[last].left);
		joined.right = seq_max(joined.right, r->sacked[last].right);
		joined.segments += r->sacked[last].segments;
	}
	uint32_t fresh = range_len(&joined) - known;
	if (fresh == 0 || (last == first && r->sacked_count == TCP_SACKED_MAX))
		return 0;
	joined.segments += (fresh + t->mss - 1) / t->mss;
	if (last > first)
		remove_at(r, first, last - first);
	insert_at(r, first, joined);
	r->sacked_octets += fresh;
	return fresh;
}

/*
 * Blocks at or below snd_una are D-SACK or old news, blocks beyond snd_nxt are lies: neither counts. A block is
 * believed until snd_una passes it or a timeout suggests that the peer has dropped it again.
 */
uint32_t tcp_scoreboard_update(struct tcp *t, const struct tcp_segment *s)
{
	uint32_t fresh = 0;
	for (uint32_t i = 0; i < s->sack_count; i++) {
		uint32_t left = s->sack[i].left, right = s->sack[i].right;
		/* distances, not seq_lt: a block may claim more than the 2^31 octets that it can tell apart */
		uint32_t from = left - t->snd_una, to = right - t->snd_una;
		if (from == 0 || from >= to || to > tcp_flight(t))
			continue;
		t->counters.sack_blocks++;
		fresh += add(t, left, right);
	}
	return fresh;
}

void tcp_scoreboard_trim(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t gone = 0;
	while (gone < r->sacked_count && seq_le(r->sacked[gone].right, t->snd_una))
		r->sacked_octets -= range_len(&r->sacked[gone++]);
	if (gone)
		remove_at(r, 0, gone);
	if (r->sacked_count && seq_lt(r->sacked[0].left, t->snd_una)) {
		r->sacked_octets -= t->snd_una - r->sacked[0].left;
		r->sacked[0].left = t->snd_una;
	}
}

void tcp_scoreboard_clear(struct tcp *t)
{
	t->recovery.sacked_count = 0;
	t->recovery.sacked_octets = 0;
}

uint32_t tcp_scoreboard_next_hole(const struct tcp *t, uint32_t seq, uint32_t *end)
{
	const struct tcp_recovery *r = &t->recovery;
	uint32_t i = 0;
	for (; i < r->sacked_count && seq_le(r->sacked[i].left, seq); i++)
		seq = seq_max(seq, r->sacked[i].right);
	*end = i < r->sacked_count ? r->sacked[i].left : t->snd_nxt;
	return seq;
}

uint32_t tcp_scoreboard_octets_in(const struct tcp *t, uint32_t left, uint32_t right)
{
	const struct tcp_recovery *r = &t->recovery;
	uint32_t octets = 0;
	for (uint32_t i = 0; i < r->sacked_count; i++) {
		uint32_t l = seq_max(left, r->sacked[i].left), e = seq_min(right, r->sacked[i].right);
		if (seq_lt(l, e))
			octets += e - l;
	}
	return octets;
}

/*
 * Lost is what lies below three later segments, or below more than two full segments' worth of octets. RFC 6675 counts
 * discontiguous ranges instead of segments; messages smaller than a segment would wait for long with that.
 */
uint32_t tcp_scoreboard_lost_end(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	uint32_t octets = 0, segments = 0;
	for (uint32_t i = r->sacked_count; i-- > 0;) {
		octets += range_len(&r->sacked[i]);
		segments += r->sacked[i].segments;
		if (segments >= TCP_DUPLICATE_ACKS || octets > (TCP_DUPLICATE_ACKS - 1) * t->mss)
			return r->sacked[i].left;
	}
	return t->snd_una;
}
