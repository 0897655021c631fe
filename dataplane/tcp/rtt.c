/* How long an answer takes: RFC 6298, with one timed segment at a time and timestamps where that one was spoilt. */
#include "dataplane/tcp/tcp_internal.h"

void tcp_rtt_init(struct tcp *t)
{
	t->rtt_valid = false;
	t->rtt_timing = t->rtt_spoilt = false;
	t->srtt_ns = t->rttvar_ns = 0;
	t->backoff = 0;
	t->rto_ns = TCP_RTO_INITIAL_NS;
}

static uint64_t clamp_rto(const struct tcp *t, uint64_t rto_ns)
{
	if (rto_ns < t->config.rto_min_ns)
		return t->config.rto_min_ns;
	return rto_ns < t->config.rto_max_ns ? rto_ns : t->config.rto_max_ns;
}

/* RFC 6298, 2.2 and 2.3. A valid sample also ends the back-off (Karn: nothing else does). */
void tcp_rtt_sample(struct tcp *t, uint64_t rtt_ns)
{
	if (!t->rtt_valid) {
		t->srtt_ns = rtt_ns;
		t->rttvar_ns = rtt_ns / 2;
		t->rtt_valid = true;
	} else {
		uint64_t off = t->srtt_ns > rtt_ns ? t->srtt_ns - rtt_ns : rtt_ns - t->srtt_ns;
		t->rttvar_ns = t->rttvar_ns - (t->rttvar_ns >> 2) + (off >> 2);
		t->srtt_ns = t->srtt_ns - (t->srtt_ns >> 3) + (rtt_ns >> 3);
	}
	t->backoff = 0;
	t->rto_ns = clamp_rto(t, t->srtt_ns + 4 * t->rttvar_ns);
}

/*
 * The clock times one segment at a time in ns. After a retransmission that is ambiguous (Karn) and timing stops; then
 * the echoed timestamp serves, in its coarse ticks (RFC 7323, 4.1): half a tick for "less than one".
 */
void tcp_rtt_on_ack(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (t->rtt_timing) {
		if (seq_ge(s->ack, t->rtt_seq)) {
			t->rtt_timing = false;
			tcp_rtt_sample(t, now_ns - t->rtt_start_ns);
		}
		return;
	}
	if (!t->rtt_spoilt || !t->timestamps || !s->has_timestamps || s->ts_echo == 0)
		return;
	uint32_t ticks = tcp_timestamp(now_ns) - s->ts_echo;
	if (ticks >> 31 || (uint64_t)ticks << TCP_TIMESTAMP_SHIFT > t->config.rto_max_ns)
		return; /* an echo of something we never sent */
	t->rtt_spoilt = false;
	tcp_rtt_sample(t, ticks ? (uint64_t)ticks << TCP_TIMESTAMP_SHIFT : 1u << (TCP_TIMESTAMP_SHIFT - 1));
}
