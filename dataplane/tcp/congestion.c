/* How much may be in flight: Reno (RFC 5681) with a first window of ten segments (RFC 6928), counted in octets (RFC
 * 3465). */
#include "dataplane/tcp/tcp_internal.h"

/* RFC 6928, 2. After a lost SYN one segment is enough to start with (RFC 5681, 3.1). */
void tcp_congestion_init(struct tcp *t)
{
	uint32_t initial = 10 * t->mss;
	if (initial > 14600)
		initial = 2 * t->mss > 14600 ? 2 * t->mss : 14600;
	t->congestion = (struct tcp_congestion){
		.cwnd = t->syn_retransmitted ? t->mss : initial,
		.ssthresh = UINT32_MAX,
	};
}

/* More than the largest advertisable window (RFC 7323, 2.3) is of no use and might overflow. */
static uint32_t capped(uint64_t cwnd)
{
	return cwnd < 1u << 30 ? (uint32_t)cwnd : 1u << 30;
}

/* RFC 7661's concern: a window the application did not fill has proved nothing and does not grow. */
static bool window_used(const struct tcp *t, uint32_t flight)
{
	const struct tcp_congestion *c = &t->congestion;
	if (c->cwnd < c->ssthresh)
		return (uint64_t)flight * 2 >= c->cwnd;
	return (uint64_t)flight + t->mss >= c->cwnd;
}

void tcp_congestion_on_ack(struct tcp *t, uint32_t acked, uint32_t flight)
{
	struct tcp_congestion *c = &t->congestion;
	if (!window_used(t, flight))
		return;
	if (c->cwnd < c->ssthresh) {
		/*
		 * Slow start. Receivers that merge segments acknowledge many at once, so all octets count; after a
		 * timeout an ACK may cover data that was never lost, and RFC 3465, 2.3 allows one segment.
		 */
		uint32_t step = t->recovery.phase == TCP_PHASE_LOSS && acked > t->mss ? t->mss : acked;
		c->cwnd = capped((uint64_t)c->cwnd + step);
		return;
	}
	c->acked += acked;
	if (c->acked >= c->cwnd) {
		c->acked -= c->cwnd;
		c->cwnd = capped((uint64_t)c->cwnd + t->mss);
	}
}

/* RFC 5681, equation 4. */
static uint32_t half_of(const struct tcp *t, uint32_t flight)
{
	uint32_t half = flight / 2;
	return half > 2 * t->mss ? half : 2 * t->mss;
}

void tcp_congestion_on_loss(struct tcp *t, uint32_t flight)
{
	t->congestion.ssthresh = half_of(t, flight);
	t->congestion.cwnd = t->congestion.ssthresh;
	t->congestion.acked = 0;
}

void tcp_congestion_on_recovery(struct tcp *t, uint32_t flight)
{
	tcp_congestion_on_loss(t, flight);
	t->congestion.recover_flight = flight;
	t->congestion.delivered = t->congestion.sent = 0;
}

/*
 * Proportional rate reduction (RFC 6937, 3.1) with its slow-start reduction bound: what leaves follows what arrives, so
 * that the window comes down to ssthresh over the round trip instead of in one silence, and is not undershot by losses.
 */
void tcp_congestion_pace_recovery(struct tcp *t, uint32_t delivered)
{
	struct tcp_congestion *c = &t->congestion;
	uint32_t pipe = tcp_recovery_pipe(t);
	c->delivered += delivered;
	int64_t owed = (int64_t)c->delivered - c->sent, may;
	if (pipe > c->ssthresh) {
		uint64_t share = (uint64_t)c->delivered * c->ssthresh + c->recover_flight - 1;
		may = (int64_t)(share / c->recover_flight) - c->sent;
	} else {
		int64_t limit = (owed > (int64_t)delivered ? owed : (int64_t)delivered) + t->mss;
		may = c->ssthresh - pipe;
		may = may < limit ? may : limit;
	}
	c->cwnd = capped(pipe + (uint64_t)(may > 0 ? may : 0));
}

/* RFC 5681, 3.1: ssthresh is halved by the first timeout only, not by every retransmission of the same data. */
void tcp_congestion_on_timeout(struct tcp *t)
{
	if (t->recovery.phase != TCP_PHASE_LOSS)
		t->congestion.ssthresh = half_of(t, tcp_flight(t));
	t->congestion.cwnd = t->mss;
	t->congestion.acked = 0;
}
