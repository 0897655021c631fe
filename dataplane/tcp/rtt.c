/* How long an answer takes: RFC 6298, one sample a round trip, and the extremes that loss detection goes by. */
#include "dataplane/tcp/tcp_internal.h"

void tcp_rtt_init(struct tcp *t)
{
	t->rtt = (struct tcp_rtt){.min_ns = TCP_NEVER,
				  .min_before_ns = TCP_NEVER,
				  .assumed_ns = TCP_ACK_DELAY_ASSUMED_NS,
				  .next_seq = t->isn};
	t->pto_ns = t->pto_lone_ns = TCP_PTO_NONE;
	t->rto_base_ns = t->rto_ns =
		TCP_RTO_INITIAL_NS < t->config.rto_max_ns ? TCP_RTO_INITIAL_NS : t->config.rto_max_ns;
}

/* Not below the configured floor, nor below what the peer may take to answer. */
static inline uint64_t clamp_rto(const struct tcp *t, uint64_t rto_ns)
{
	if (rto_ns < t->rtt.floor_ns)
		return t->rtt.floor_ns;
	return rto_ns < t->config.rto_max_ns ? rto_ns : t->config.rto_max_ns;
}

/*
 * RFC 8985, 7.2. The peer may delay the ACK of a lone segment, for as long as it has been seen to, not for a worst case
 * of 200 ms. RTTVAR is left out: one late ACK would put the next probes off to where the timeout is.
 */
static inline void set_pto(struct tcp *t)
{
	if (__builtin_expect(!t->sack_permitted, 0))
		return;
	t->pto_ns = 2 * t->rtt.srtt_ns + TCP_PTO_MIN_NS;
	t->pto_lone_ns = t->pto_ns + t->rtt.delay_ns;
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
	uint64_t varied_ns = r->srtt_ns + 4 * r->rttvar_ns;
	t->rto_base_ns = t->rto_ns = clamp_rto(t, varied_ns);
	set_pto(t);
}

static __attribute__((noinline)) void set_extremes(struct tcp *t, uint64_t least_ns, uint64_t most_ns, uint64_t now_ns)
{
	struct tcp_rtt *r = &t->rtt;
	if (now_ns >= r->turn_ns) {
		r->min_before_ns = r->min_ns;
		r->most_before_ns = r->most_ns;
		r->min_ns = TCP_NEVER;
		r->most_ns = 0;
		r->assumed_ns = r->turn_ns ? 0 : r->assumed_ns;
		r->turn_ns = now_ns + TCP_RTT_PERIOD_NS;
	}
	r->min_ns = least_ns < r->min_ns ? least_ns : r->min_ns;
	r->most_ns = most_ns > r->most_ns ? most_ns : r->most_ns;
	uint64_t max_ns = r->most_ns > r->most_before_ns ? r->most_ns : r->most_before_ns, min_ns = tcp_rtt_min(t);
	r->delay_ns = max_ns > min_ns + r->assumed_ns ? max_ns - min_ns : r->assumed_ns;
	uint64_t slowest_ns = min_ns + r->delay_ns + r->delay_ns / 8; /* an eighth: their timers are coarse */
	r->floor_ns = slowest_ns > t->config.rto_min_ns ? slowest_ns : t->config.rto_min_ns;
	if (r->floor_ns > t->config.rto_max_ns)
		r->floor_ns = t->config.rto_max_ns;
}

void tcp_rtt_on_ack(struct tcp *t, uint32_t ack, uint64_t oldest_ns, uint64_t newest_ns, uint64_t now_ns)
{
	struct tcp_rtt *r = &t->rtt;
	uint64_t most_ns = now_ns - oldest_ns, least_ns = now_ns - newest_ns;
	if (__builtin_expect(now_ns >= r->turn_ns || least_ns < r->min_ns || most_ns > r->most_ns, 0))
		set_extremes(t, least_ns, most_ns, now_ns);
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
	if (ticks)      /* a late answer to a first transmission: the next timeout should wait for its like */
		set_extremes(t, TCP_NEVER, (uint64_t)ticks << TCP_TIMESTAMP_SHIFT, now_ns);
	sample(t, ticks ? (uint64_t)ticks << TCP_TIMESTAMP_SHIFT : 1u << (TCP_TIMESTAMP_SHIFT - 1));
}
