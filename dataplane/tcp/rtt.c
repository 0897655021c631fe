/* How long an answer takes: RFC 6298, one sample a round trip, and the extremes that loss detection goes by. */
#include "dataplane/tcp/tcp_internal.h"

void tcp_rtt_init(struct tcp *t)
{
	t->rtt = (struct tcp_rtt){.min_ns = TCP_NEVER, .min_before_ns = TCP_NEVER, .next_seq = t->isn};
	t->backoff = 0;
	t->rto_ns = TCP_RTO_INITIAL_NS;
}

static inline uint64_t clamp_rto(const struct tcp *t, uint64_t rto_ns)
{
	if (rto_ns < t->config.rto_min_ns)
		return t->config.rto_min_ns;
	return rto_ns < t->config.rto_max_ns ? rto_ns : t->config.rto_max_ns;
}

/* RFC 6298, 2.2 and 2.3. A valid sample also ends the back-off (Karn: nothing else does). */
static inline void sample(struct tcp *t, uint64_t rtt_ns)
{
	struct tcp_rtt *r = &t->rtt;
	if (__builtin_expect(!r->valid, 0)) {
		r->srtt_ns = rtt_ns;
		r->rttvar_ns = rtt_ns / 2;
		r->valid = true;
	} else {
		uint64_t off = r->srtt_ns > rtt_ns ? r->srtt_ns - rtt_ns : rtt_ns - r->srtt_ns;
		r->rttvar_ns = r->rttvar_ns - (r->rttvar_ns >> 2) + (off >> 2);
		r->srtt_ns = r->srtt_ns - (r->srtt_ns >> 3) + (rtt_ns >> 3);
	}
	t->backoff = 0;
	t->rto_ns = clamp_rto(t, r->srtt_ns + 4 * r->rttvar_ns);
}

static __attribute__((noinline)) void next_period(struct tcp_rtt *r, uint64_t now_ns)
{
	r->min_before_ns = r->min_ns;
	r->most_before_ns = r->most_ns;
	r->min_ns = TCP_NEVER;
	r->most_ns = 0;
	r->turn_ns = now_ns + TCP_RTT_PERIOD_NS;
}

void tcp_rtt_on_ack(struct tcp *t, uint32_t ack, uint64_t oldest_ns, uint64_t newest_ns, uint64_t now_ns)
{
	struct tcp_rtt *r = &t->rtt;
	uint64_t most_ns = now_ns - oldest_ns, least_ns = now_ns - newest_ns;
	if (__builtin_expect(now_ns >= r->turn_ns, 0))
		next_period(r, now_ns);
	if (__builtin_expect(least_ns < r->min_ns, 0))
		r->min_ns = least_ns;
	if (__builtin_expect(most_ns > r->most_ns, 0))
		r->most_ns = most_ns;
	if (seq_le(ack, r->next_seq))
		return;
	r->next_seq = t->snd_nxt;
	sample(t, most_ns);
}

/* In the echo's coarse ticks (RFC 7323, 4.1): half a tick for "less than one". */
void tcp_rtt_on_echo(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	if (!t->timestamps || !s->has_timestamps || s->ts_echo == 0)
		return;
	uint32_t ticks = tcp_timestamp(now_ns) - s->ts_echo;
	if (ticks >> 31 || (uint64_t)ticks << TCP_TIMESTAMP_SHIFT > t->config.rto_max_ns)
		return; /* an echo of something we never sent */
	sample(t, ticks ? (uint64_t)ticks << TCP_TIMESTAMP_SHIFT : 1u << (TCP_TIMESTAMP_SHIFT - 1));
}
