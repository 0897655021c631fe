#include "dataplane/tcp/trace.h"

#include <string.h>

#include "dataplane/tcp/tcp_internal.h"

#define SAMPLE_EVERY_NS 100000000ull
#define LATE_NS         1000000ull /* a worker that polls looks at its timers every few microseconds */

void tcp_trace_init(struct tcp_trace *trace)
{
	memset(trace, 0, offsetof(struct tcp_trace, words));
}

void tcp_trace_touch(struct tcp_trace *trace)
{
	memset(trace->words, 0, sizeof trace->words);
	tcp_trace_forget(trace);
}

void tcp_trace_add(struct tcp_trace *trace, const struct tcp_trace_record *record)
{
	uint64_t words[TCP_TRACE_WORDS], n = atomic_load_explicit(&trace->next, memory_order_relaxed);
	memcpy(words, record, sizeof words);
	/* who copies a word of this record sees that the ring has come this far: pairs with the fence there */
	atomic_thread_fence(memory_order_release);
	for (uint32_t i = 0; i < TCP_TRACE_WORDS; i++)
		atomic_store_explicit(&trace->words[n & (TCP_TRACE_RECORDS - 1)][i], words[i], memory_order_relaxed);
	atomic_store_explicit(&trace->next, n + 1, memory_order_release);
}

void tcp_trace_forget(struct tcp_trace *trace)
{
	atomic_store_explicit(&trace->from, atomic_load_explicit(&trace->next, memory_order_relaxed),
			      memory_order_release);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint32_t tcp_trace_copy(const struct tcp_trace *trace, struct tcp_trace_record *records)
{
	uint64_t end = atomic_load_explicit(&trace->next, memory_order_acquire);
	uint64_t from = atomic_load_explicit(&trace->from, memory_order_acquire);
	uint64_t first = end > TCP_TRACE_RECORDS ? later(from, end - TCP_TRACE_RECORDS) : from;
	if (first >= end)
		return 0;
	for (uint64_t n = first; n < end; n++) {
		uint64_t words[TCP_TRACE_WORDS];
		for (uint32_t i = 0; i < TCP_TRACE_WORDS; i++)
			words[i] = atomic_load_explicit(&trace->words[n & (TCP_TRACE_RECORDS - 1)][i],
							memory_order_relaxed);
		memcpy(&records[n - first], words, sizeof words);
	}
	atomic_thread_fence(memory_order_acquire);
	/* the one being written now lies where number `now - TCP_TRACE_RECORDS` was */
	uint64_t now = atomic_load_explicit(&trace->next, memory_order_relaxed);
	uint64_t whole = now >= TCP_TRACE_RECORDS ? later(first, now - TCP_TRACE_RECORDS + 1) : first;
	if (whole >= end)
		return 0;
	memmove(records, records + (whole - first), (end - whole) * sizeof *records);
	return (uint32_t)(end - whole);
}

/* ---- what TCP notes ---- */

void tcp_note(const struct tcp *t, enum tcp_trace_kind kind, uint32_t detail, uint32_t seq, uint32_t ack,
	      uint32_t value)
{
	uint64_t srtt_us = t->rtt.srtt_ns / 1000;
	if (!t->config.trace)
		return;
	const struct tcp_trace_record record = {.at_ns = t->called_ns,
						.seq = seq,
						.ack = ack,
						.value = value,
						.cwnd = t->congestion.cwnd,
						.in_flight = tcp_flight(t),
						.srtt_us = (uint16_t)(srtt_us < UINT16_MAX ? srtt_us : UINT16_MAX),
						.kind = (uint8_t)kind,
						.detail = (uint8_t)detail};
	tcp_trace_add(t->config.trace, &record);
}

void tcp_note_segment(const struct tcp *t, enum tcp_trace_kind kind, uint32_t detail, const struct tcp_segment *s)
{
	uint32_t ack = s->flags & TCP_ACK ? s->ack - t->isn : 0;
	tcp_note(t, kind, detail, t->state == TCP_SYN_SENT ? 0 : s->seq - t->irs, ack, s->payload_len);
}

void tcp_note_sent(const struct tcp *t, uint32_t flags, uint32_t seq, uint32_t octets)
{
	tcp_note(t, TCP_TRACE_SENT, flags, seq - t->isn, flags & TCP_ACK ? t->rcv_nxt - t->irs : 0, octets);
}

void tcp_note_ours(const struct tcp *t, enum tcp_trace_kind kind, uint32_t detail, uint32_t seq, uint32_t value)
{
	tcp_note(t, kind, detail, seq - t->isn, 0, value);
}

void tcp_note_time(struct tcp *t, uint64_t deadline_ns, uint64_t now_ns)
{
	if (deadline_ns > now_ns) {
		if (now_ns < t->sample_ns)
			return;
		t->sample_ns = now_ns + SAMPLE_EVERY_NS;
		t->called_ns = now_ns;
		tcp_note(t, TCP_TRACE_SAMPLE, 0, t->snd_una - t->isn, t->snd_nxt - t->isn, t->snd_wnd);
	} else if (now_ns - deadline_ns >= LATE_NS) {
		uint64_t us = (now_ns - deadline_ns) / 1000;
		tcp_note(t, TCP_TRACE_LATE, 0, 0, 0, us < UINT32_MAX ? (uint32_t)us : UINT32_MAX);
	}
}

void tcp_refused(struct tcp *t, uint64_t now_ns)
{
	struct tcp_trace *trace = t->config.trace;
	uint64_t unsent = t->tx ? t->tx->end - t->nxt_offset : 0;
	if (!trace || trace->refused_seq == t->snd_nxt) /* every turn until there is one: said once */
		return;
	trace->refused_seq = t->snd_nxt;
	t->called_ns = now_ns;
	tcp_note_ours(t, TCP_TRACE_REFUSED, 0, t->snd_nxt, unsent < UINT32_MAX ? (uint32_t)unsent : UINT32_MAX);
}
