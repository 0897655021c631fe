#include "tests/sim/sim_tcp_model.h"

#include <assert.h>
#include <string.h>

static void fail(struct sim_model *m, const char *why)
{
	if (!m->failure)
		m->failure = why;
}

void sim_model_init(struct sim_model *m, uint32_t isn)
{
	memset(m, 0, offsetof(struct sim_model, runs));
	m->una = m->nxt = isn;
}

static uint32_t start_of(const struct sim_model *m, uint32_t i)
{
	return i == m->first ? m->una : m->runs[i - 1].end;
}

/* Room for `n` runs more: what has been acknowledged makes some. Indices are not kept. */
static void make_room(struct sim_model *m, uint32_t n)
{
	if (m->last + n <= MODEL_RUNS)
		return;
	memmove(m->runs, m->runs + m->first, (m->last - m->first) * sizeof m->runs[0]);
	m->last -= m->first;
	m->first = 0;
	assert(m->last + n <= MODEL_RUNS);
}

/* The run that begins at `seq`, after cutting what lies around it; `last`: none does, it is the end. */
static uint32_t cut(struct sim_model *m, uint32_t seq)
{
	uint32_t i = m->first;
	while (i < m->last && seq_le(m->runs[i].end, seq))
		i++;
	if (i == m->last || start_of(m, i) == seq)
		return i;
	memmove(m->runs + i + 1, m->runs + i, (m->last - i) * sizeof m->runs[0]);
	m->last++;
	m->runs[i].end = seq;
	return i + 1;
}

static void note_arrival(struct sim_model *m, const struct model_run *r)
{
	bool newer = r->at_ns > m->newest_ns || (r->at_ns == m->newest_ns && seq_gt(r->end, m->newest_end));
	if (m->arrived && !newer)
		return;
	m->arrived = true;
	m->newest_ns = r->at_ns;
	m->newest_end = r->end;
}

static void send_again(struct sim_model *m, uint32_t seq, uint32_t end, uint64_t now_ns)
{
	uint32_t i = cut(m, seq);
	cut(m, end);
	for (; i < m->last && seq_lt(start_of(m, i), end); i++) {
		struct model_run *r = &m->runs[i];
		if (r->sacked && end - seq > 1) /* a single octet may probe a closed window */
			fail(m, "what the peer has reported is sent again");
		r->sacked = r->lost = false;
		r->at_ns = now_ns;
		r->times++;
	}
}

void sim_model_sent(struct sim_model *m, uint32_t seq, uint32_t len, uint64_t now_ns)
{
	uint32_t end = seq + len;
	if (seq_lt(seq, m->una) || seq_gt(seq, m->nxt)) {
		fail(m, "a segment lies outside of what may be sent");
		return;
	}
	make_room(m, 3);
	if (seq_lt(seq, m->nxt))
		send_again(m, seq, seq_min(end, m->nxt), now_ns);
	if (seq_le(end, m->nxt))
		return;
	m->runs[m->last++] = (struct model_run){.at_ns = now_ns, .end = end, .times = 1};
	m->nxt = end;
}

static uint32_t take_block(struct sim_model *m, uint32_t left, uint32_t right)
{
	uint32_t fresh = 0, i = cut(m, left);
	cut(m, right);
	for (; i < m->last && seq_lt(start_of(m, i), right); i++) {
		struct model_run *r = &m->runs[i];
		if (r->sacked)
			continue;
		note_arrival(m, r);
		r->sacked = true;
		r->lost = false;
		fresh += r->end - start_of(m, i);
	}
	return fresh;
}

uint32_t sim_model_acked(struct sim_model *m, uint32_t ack, const struct tcp_sack_block *blocks, uint32_t count)
{
	make_room(m, 1 + 2 * count);
	uint32_t fresh = 0, to = cut(m, ack);
	for (; m->first < to; m->first++) {
		if (!m->runs[m->first].sacked) {
			note_arrival(m, &m->runs[m->first]);
			fresh += m->runs[m->first].end - m->una;
		}
		m->una = m->runs[m->first].end;
	}
	for (uint32_t i = 0; i < count; i++) { /* RFC 2018: beyond a gap, and of what was sent */
		uint64_t left = blocks[i].left - m->una, right = blocks[i].right - m->una;
		if (left > 0 && left < right && right <= m->nxt - m->una)
			fresh += take_block(m, blocks[i].left, blocks[i].right);
	}
	return fresh;
}

uint32_t sim_model_pipe(const struct sim_model *m)
{
	uint32_t pipe = 0;
	for (uint32_t i = m->first; i < m->last; i++)
		if (!m->runs[i].sacked && !m->runs[i].lost)
			pipe += m->runs[i].end - start_of(m, i);
	return pipe;
}

bool sim_model_first_lost(const struct sim_model *m, uint32_t *seq)
{
	for (uint32_t i = m->first; i < m->last; i++) {
		*seq = start_of(m, i);
		if (m->runs[i].lost)
			return true;
	}
	return false;
}

/* ---- comparing ---- */

static bool may_be_lost(const struct sim_model *m, const struct tcp *t, const struct model_run *r,
			const struct model_excuse *e)
{
	if (e->timeout || e->recut || e->duplicates)
		return true;
	bool earlier = r->at_ns < m->newest_ns || (r->at_ns == m->newest_ns && seq_lt(r->end, m->newest_end));
	return t->sack_permitted && m->arrived && (earlier || m->blurred);
}

static void compare_lost(struct sim_model *m, const struct tcp *t, struct model_run *r, bool lost,
			 const struct model_excuse *e)
{
	if (lost == r->lost)
		return;
	if (lost && !may_be_lost(m, t, r, e))
		fail(m, "something is deemed lost without a reason");
	if (!lost && !(e->undone || (m->squeezed && r->sacked)))
		fail(m, "a loss is forgotten");
	r->lost = lost;
}

static void compare_sacked(struct sim_model *m, struct model_run *r, bool sacked, const struct model_excuse *e)
{
	if (sacked == r->sacked)
		return;
	if (sacked)
		fail(m, "something is taken for SACKed that is not");
	else if (!m->squeezed && !e->reneged)
		fail(m, "a SACK is forgotten");
	m->forgiven++;
	m->amnesia = true;
	r->sacked = sacked;
}

/* The record that holds all of the run `i`. */
static void compare_run(struct sim_model *m, const struct tcp *t, uint32_t i, const struct tcp_record *record,
			const struct model_excuse *e)
{
	struct model_run *r = &m->runs[i];
	compare_sacked(m, r, record->flags & TCP_SACKED, e);
	compare_lost(m, t, r, record->flags & TCP_LOST, e);
	if (record->flags & TCP_SACKED)
		return;
	if (r->times > 1 && !(record->flags & TCP_AGAIN))
		fail(m, "something was sent again, and the scoreboard does not know");
	if (r->times == 1 && record->flags & TCP_AGAIN && !m->blurred && !m->amnesia)
		fail(m, "something was sent once, and the scoreboard takes it for sent again");
	if (record->at_ns < r->at_ns || (record->at_ns > r->at_ns && !m->blurred && !m->amnesia))
		fail(m, "the scoreboard has a wrong time");
}

void sim_model_compare(struct sim_model *m, const struct tcp *t, const struct model_excuse *excuse)
{
	make_room(m, TCP_RECORDS);
	uint32_t i = m->first, start = t->snd_una;
	m->compared++;
	m->blurred |= m->squeezed;
	if (m->una != t->snd_una || m->nxt != t->snd_nxt) {
		fail(m, "snd_una or snd_nxt is not where the segments say");
		return;
	}
	for (uint32_t n = 0; n < tcp_record_count(t); n++) {
		const struct tcp_record *record = tcp_record_at(t, n);
		if (i < m->last && seq_gt(m->runs[i].end, record->end)) /* a border that only the scoreboard has */
			cut(m, record->end);
		for (; i < m->last && seq_le(m->runs[i].end, record->end); i++)
			compare_run(m, t, i, record, excuse);
		if (!seq_lt(start, record->end))
			fail(m, "a record is empty");
		start = record->end;
	}
	if (i != m->last || start != m->nxt)
		fail(m, "the records do not cover what is in flight");
	m->squeezed = false;
}
