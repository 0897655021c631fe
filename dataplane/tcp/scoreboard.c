/* What is in flight, record by record (struct tcp_record): when it was sent, and what became of it. */
#include <assert.h>
#include <string.h>

#include "dataplane/tcp/tcp_internal.h"

void tcp_scoreboard_init(struct tcp *t)
{
	t->scoreboard = (struct tcp_scoreboard){0};
}

static uint32_t record_len(const struct tcp *t, uint32_t i)
{
	return tcp_record_at(t, i)->end - tcp_record_start(t, i);
}

/* Record `i` stops counting as what its flags say, or starts to (`sign` -1 or 1). */
static void account(struct tcp *t, uint32_t i, uint32_t sign)
{
	struct tcp_scoreboard *b = &t->scoreboard;
	uint32_t flags = tcp_record_at(t, i)->flags, octets = record_len(t, i) * sign;
	b->sacked_octets += flags & TCP_SACKED ? octets : 0;
	b->lost_octets += flags & TCP_LOST ? octets : 0;
}

static void set_flags(struct tcp *t, uint32_t i, uint32_t flags)
{
	account(t, i, UINT32_MAX);
	tcp_record_at(t, i)->flags = (uint16_t)flags;
	account(t, i, 1);
}

/* The first record that ends beyond `seq`. */
static uint32_t find(const struct tcp *t, uint32_t seq)
{
	uint32_t low = 0, high = tcp_record_count(t);
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (seq_le(tcp_record_at(t, middle)->end, seq))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct tcp_record *tcp_scoreboard_find(const struct tcp *t, uint32_t seq)
{
	return tcp_record_at(t, find(t, seq));
}

/* ---- joining ---- */

/* Of records joined, SACKed wins only over SACKed (to forget costs a needless retransmission), lost over in flight. */
static uint16_t joined_flags(uint16_t a, uint16_t b)
{
	if (a == b)
		return a;
	uint16_t either = (a | b) & (TCP_LOST | TCP_AGAIN);
	if (a & b & TCP_SACKED)
		return TCP_SACKED | (either & TCP_AGAIN);
	return (a | b) & TCP_SACKED ? either | TCP_AGAIN : either; /* what is forgotten is not to be timed */
}

static struct tcp_record joined(const struct tcp_record *a, const struct tcp_record *b)
{
	uint32_t segments = (uint32_t)a->segments + b->segments;
	return (struct tcp_record){
		.at_ns = a->at_ns > b->at_ns ? a->at_ns : b->at_ns,
		.end = b->end,
		.segments = (uint16_t)(segments < UINT16_MAX ? segments : UINT16_MAX),
		.flags = joined_flags(a->flags, b->flags),
	};
}

static void recount(struct tcp *t)
{
	t->scoreboard.sacked_octets = t->scoreboard.lost_octets = 0;
	for (uint32_t i = 0; i < tcp_record_count(t); i++)
		account(t, i, 1);
}

/* Joins every record with the next one, where `any` or where their flags agree. */
static void join_pairs(struct tcp *t, bool any)
{
	uint32_t count = tcp_record_count(t), kept = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct tcp_record *to = tcp_record_at(t, kept++), *from = tcp_record_at(t, i);
		bool pair = i + 1 < count && (any || from->flags == tcp_record_at(t, i + 1)->flags);
		*to = pair ? joined(from, tcp_record_at(t, i + 1)) : *from;
		i += pair;
	}
	t->scoreboard.tail = t->scoreboard.head + kept;
	recount(t);
}

/*
 * Half the resolution for what is in flight is enough for a while. Where that does not help, gaps alternate with what
 * has arrived: then some of that is forgotten.
 */
void tcp_scoreboard_squeeze(struct tcp *t)
{
	join_pairs(t, false);
	if (tcp_record_count(t) > TCP_RECORDS / 4 * 3)
		join_pairs(t, true);
}

/* Records [first, last) become one. */
static void join_run(struct tcp *t, uint32_t first, uint32_t last)
{
	uint32_t gone = last - first - 1, count = tcp_record_count(t);
	for (uint32_t i = first + 1; i < last; i++)
		*tcp_record_at(t, first) = joined(tcp_record_at(t, first), tcp_record_at(t, i));
	if (gone == 0)
		return;
	for (uint32_t i = last; i < count; i++)
		*tcp_record_at(t, i - gone) = *tcp_record_at(t, i);
	t->scoreboard.tail -= gone;
}

/* ---- cutting ---- */

static uint16_t share(uint32_t segments, uint32_t part, uint32_t whole)
{
	uint32_t n = (uint32_t)((uint64_t)segments * part / whole);
	return (uint16_t)(n ? n : 1);
}

/* Makes `seq` a border between two records, if it is not one already. There has to be room for one more. */
static void cut(struct tcp *t, uint32_t seq)
{
	uint32_t i = find(t, seq), start = tcp_record_start(t, i);
	if (i == tcp_record_count(t) || start == seq)
		return;
	for (uint32_t j = tcp_record_count(t); j > i; j--)
		*tcp_record_at(t, j) = *tcp_record_at(t, j - 1);
	t->scoreboard.tail++;
	struct tcp_record *left = tcp_record_at(t, i), *right = tcp_record_at(t, i + 1);
	uint32_t whole = left->end - start, segments = left->segments;
	left->end = seq;
	left->segments = share(segments, seq - start, whole);
	right->segments = share(segments, right->end - seq, whole);
}

struct run {
	uint32_t first, last; /* records [first, last) */
};

/* The records that hold exactly [left, right), which is in flight. */
static struct run carve(struct tcp *t, uint32_t left, uint32_t right)
{
	if (TCP_RECORDS - tcp_record_count(t) < 2)
		tcp_scoreboard_squeeze(t);
	cut(t, left);
	cut(t, right);
	return (struct run){find(t, left), find(t, right - 1) + 1};
}

/* ---- what has arrived ---- */

static void arrived(struct tcp *t, uint32_t i, const struct tcp_segment *s, uint64_t now_ns)
{
	if (t->sack_permitted)
		tcp_rack_arrived(t, tcp_record_at(t, i), s, now_ns);
}

/* What an ACK covers, oldest first; `una`: where it began. Records that it ends inside of stay, shortened. */
static void pop(struct tcp *t, uint32_t una, uint32_t ack)
{
	struct tcp_scoreboard *b = &t->scoreboard;
	uint32_t start = una;
	while (b->head != b->tail && seq_lt(start, ack)) {
		const struct tcp_record *r = tcp_record_at(t, 0);
		uint32_t end = seq_min(r->end, ack), octets = end - start;
		b->sacked_octets -= r->flags & TCP_SACKED ? octets : 0;
		b->lost_octets -= r->flags & TCP_LOST ? octets : 0;
		if (end != r->end)
			return;
		b->head++;
		start = end;
	}
}

/*
 * RFC 6298, 3 (Karn): what was sent more than once is not timed; nor is what was SACKed, whose answer came earlier. An
 * ACK with a D-SACK repeats one that was lost: the echo in it is of what that one answered (RFC 7323, 4.3), and the
 * time since then is no round trip.
 */
static void measure(struct tcp *t, uint32_t whole, const struct tcp_segment *s, uint64_t now_ns)
{
	const struct tcp_record *oldest = NULL, *newest = NULL;
	for (uint32_t i = 0; i < whole; i++) {
		const struct tcp_record *r = tcp_record_at(t, i);
		if (r->flags & TCP_SACKED)
			continue;
		oldest = oldest ? oldest : r;
		newest = r;
	}
	if (!oldest || tcp_scoreboard_is_dsack(t, s))
		return;
	if ((oldest->flags | newest->flags) & TCP_AGAIN)
		tcp_rtt_on_echo(t, s, now_ns);
	else if (t->recovery.phase == TCP_PHASE_OPEN)
		tcp_rtt_on_ack(t, s->ack, oldest->at_ns, newest->at_ns, now_ns);
}

void tcp_scoreboard_on_ack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	uint32_t una = t->snd_una, whole = 0;
	for (; whole < tcp_record_count(t) && seq_le(tcp_record_at(t, whole)->end, s->ack); whole++)
		if (!(tcp_record_at(t, whole)->flags & TCP_SACKED))
			arrived(t, whole, s, now_ns);
	measure(t, whole, s, now_ns);
	pop(t, una, s->ack);
}

/* One block: what of it is news. Neighbours SACKed already are joined with it. */
static uint32_t take_block(struct tcp *t, uint32_t left, uint32_t right, const struct tcp_segment *s, uint64_t now_ns)
{
	uint32_t i = find(t, left), fresh = 0;
	if (tcp_record_at(t, i)->flags & TCP_SACKED && seq_ge(tcp_record_at(t, i)->end, right))
		return 0;
	struct run run = carve(t, left, right);
	for (i = run.first; i < run.last; i++) {
		struct tcp_record *r = tcp_record_at(t, i);
		if (r->flags & TCP_SACKED)
			continue;
		uint32_t len = record_len(t, i), segments = (len + t->mss - 1) / t->mss;
		if (r->segments < segments)
			r->segments = (uint16_t)(segments < UINT16_MAX ? segments : UINT16_MAX);
		arrived(t, i, s, now_ns);
		set_flags(t, i, TCP_SACKED | (r->flags & TCP_AGAIN));
		fresh += len;
	}
	while (run.first > 0 && tcp_record_at(t, run.first - 1)->flags & TCP_SACKED)
		run.first--;
	while (run.last < tcp_record_count(t) && tcp_record_at(t, run.last)->flags & TCP_SACKED)
		run.last++;
	join_run(t, run.first, run.last);
	return fresh;
}

/*
 * The blocks that may count, in ascending order, so that what arrived in order is not taken for reordered. Blocks at or
 * below snd_una are D-SACK or old news, blocks beyond snd_nxt are lies.
 */
static uint32_t sort_blocks(const struct tcp *t, const struct tcp_segment *s, struct tcp_sack_block *blocks)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->sack_count; i++) {
		/* distances, not seq_lt: a block may claim more than the 2^31 octets that it can tell apart */
		uint32_t from = s->sack[i].left - t->snd_una, to = s->sack[i].right - t->snd_una, at = n;
		if (from == 0 || from >= to || to > tcp_flight(t))
			continue;
		for (; at > 0 && blocks[at - 1].left - t->snd_una > from; at--)
			blocks[at] = blocks[at - 1];
		blocks[at] = s->sack[i];
		n++;
	}
	return n;
}

/* A block is believed until snd_una passes it or a timeout suggests that the peer has dropped it again. */
uint32_t tcp_scoreboard_on_sack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	struct tcp_sack_block blocks[4];
	uint32_t fresh = 0, n = sort_blocks(t, s, blocks);
	t->counters.sack_blocks += n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t news = take_block(t, blocks[i].left, blocks[i].right, s, now_ns);
		if (news)
			tcp_note(t, TCP_TRACE_SACK, 0, blocks[i].left - t->isn, blocks[i].right - t->isn, news);
		fresh += news;
	}
	return fresh;
}

/* RFC 2883, 4: the first block lies below the ACK, or inside the second block. */
bool tcp_scoreboard_is_dsack(const struct tcp *t, const struct tcp_segment *s)
{
	const struct tcp_counters *c = &t->counters;
	if (s->sack_count == 0 || c->dsack_received >= c->retransmits_fast + c->retransmits_rto + c->tlp_probes)
		return false;
	const struct tcp_sack_block *b = s->sack;
	uint32_t len = b[0].right - b[0].left;
	if (len == 0 || len > t->snd_wnd_max)
		return false;
	if (seq_le(b[0].right, s->ack))
		return s->ack - b[0].left <= t->snd_wnd_max;
	return s->sack_count > 1 && seq_ge(b[0].left, b[1].left) && seq_le(b[0].right, b[1].right) &&
	       b[1].right - t->snd_una <= tcp_flight(t);
}

bool tcp_scoreboard_three_sacked(const struct tcp *t)
{
	uint32_t segments = 0;
	for (uint32_t i = 0; i < tcp_record_count(t) && segments < TCP_DUPLICATE_ACKS; i++)
		segments += tcp_record_at(t, i)->flags & TCP_SACKED ? tcp_record_at(t, i)->segments : 0;
	return segments >= TCP_DUPLICATE_ACKS;
}

void tcp_scoreboard_forget_sacks(struct tcp *t)
{
	for (uint32_t i = 0; i < tcp_record_count(t); i++)
		if (tcp_record_at(t, i)->flags & TCP_SACKED)
			set_flags(t, i, TCP_AGAIN); /* it will be, and its answer came long ago: not to be timed */
}

/* ---- what has not ---- */

void tcp_scoreboard_lose(struct tcp *t, uint32_t i)
{
	assert(!(tcp_record_at(t, i)->flags & TCP_SACKED));
	set_flags(t, i, tcp_record_at(t, i)->flags | TCP_LOST);
}

void tcp_scoreboard_lose_range(struct tcp *t, uint32_t left, uint32_t right)
{
	if (left == right)
		return;
	struct run run = carve(t, left, right);
	for (uint32_t i = run.first; i < run.last; i++)
		if (!(tcp_record_at(t, i)->flags & TCP_SACKED))
			tcp_scoreboard_lose(t, i);
}

void tcp_scoreboard_find_all(struct tcp *t)
{
	for (uint32_t i = 0; i < tcp_record_count(t); i++)
		set_flags(t, i, tcp_record_at(t, i)->flags & ~TCP_LOST);
}

void tcp_scoreboard_resent(struct tcp *t, uint32_t seq, uint32_t len, uint64_t now_ns)
{
	struct run run = carve(t, seq, seq + len);
	for (uint32_t i = run.first; i < run.last; i++) {
		set_flags(t, i, TCP_AGAIN);
		tcp_record_at(t, i)->at_ns = now_ns;
	}
	join_run(t, run.first, run.last);
	tcp_record_at(t, run.first)->segments = 1;
}

bool tcp_scoreboard_first_lost(const struct tcp *t, uint32_t *seq, uint32_t *len)
{
	if (t->scoreboard.lost_octets == 0)
		return false;
	uint32_t i = 0, count = tcp_record_count(t);
	while (!(tcp_record_at(t, i)->flags & TCP_LOST))
		i++;
	*seq = tcp_record_start(t, i);
	while (i < count && tcp_record_at(t, i)->flags & TCP_LOST)
		i++;
	*len = tcp_record_at(t, i - 1)->end - *seq;
	return true;
}
