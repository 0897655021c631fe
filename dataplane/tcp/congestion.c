/*
 * How much may be in flight: slow start and the answers to loss (RFC 5681) with a first window of ten segments (RFC
 * 6928), counted in octets (RFC 3465); congestion avoidance as Reno's or CUBIC's (cubic.c).
 */
#include "dataplane/tcp/tcp_internal.h"

void tcp_congestion_set(struct tcp *t, uint64_t cwnd)
{
	uint32_t most = t->config.cwnd_max_bytes;
	t->congestion.cwnd = cwnd < most ? (uint32_t)cwnd : most;
}

static bool controlled(const struct tcp *t)
{
	return t->config.control != TCP_NO_CONTROL;
}

/* RFC 6928, 2. */
static uint32_t first_window(const struct tcp *t)
{
	uint32_t ten = 10 * t->mss, two = 2 * t->mss, least = two > 14600 ? two : 14600;
	return ten < least ? ten : least;
}

/* After a lost SYN one segment is enough to start with (RFC 5681, 3.1). */
void tcp_congestion_init(struct tcp *t)
{
	t->congestion = (struct tcp_congestion){.ssthresh = UINT32_MAX};
	if (controlled(t))
		tcp_congestion_set(t, t->syn_retransmitted ? t->mss : first_window(t));
	else
		tcp_congestion_set(t, UINT32_MAX);
}

void tcp_congestion_after_idle(struct tcp *t, uint64_t since_ns, uint64_t now_ns)
{
	if (!controlled(t) || now_ns - since_ns <= t->rto_ns || t->congestion.cwnd <= first_window(t))
		return;
	uint32_t before = t->congestion.cwnd;
	tcp_congestion_set(t, first_window(t));
	t->congestion.cubic.growing = false;
	t->called_ns = now_ns;
	tcp_note(t, TCP_TRACE_REDUCED, TCP_TRACE_FOR_IDLE, 0, before, t->congestion.ssthresh);
	tcp_update_permission(t);
}

/* RFC 7661's concern: a window the application did not fill has proved nothing and does not grow. */
static bool window_used(const struct tcp *t, uint32_t flight)
{
	const struct tcp_congestion *c = &t->congestion;
	if (c->cwnd < c->ssthresh)
		return (uint64_t)flight * 2 >= c->cwnd;
	return (uint64_t)flight + t->mss >= c->cwnd;
}

static void avoid_congestion(struct tcp *t, uint32_t acked, uint64_t now_ns)
{
	struct tcp_congestion *c = &t->congestion;
	if (t->config.control == TCP_CUBIC) {
		tcp_cubic_on_ack(t, acked, now_ns);
		return;
	}
	c->acked += acked;
	if (c->acked >= c->cwnd) {
		c->acked -= c->cwnd;
		tcp_congestion_set(t, (uint64_t)c->cwnd + t->mss);
	}
}

void tcp_congestion_on_ack(struct tcp *t, uint32_t acked, uint32_t flight, uint64_t now_ns)
{
	struct tcp_congestion *c = &t->congestion;
	if (!window_used(t, flight)) {
		c->cubic.last_ns = 0;
		return;
	}
	if (c->cwnd < c->ssthresh) {
		/*
		 * Slow start. Receivers that merge segments acknowledge many at once, so all octets count; after a
		 * timeout an ACK may cover data that was never lost, and RFC 3465, 2.3 allows one segment.
		 */
		uint32_t step = t->recovery.phase == TCP_PHASE_LOSS && acked > t->mss ? t->mss : acked;
		tcp_congestion_set(t, (uint64_t)c->cwnd + step);
	} else if (controlled(t)) {
		avoid_congestion(t, acked, now_ns);
	}
}

/*
 * RFC 5681, equation 4; RFC 9438, 4.6. What is in flight beyond the window does not count (5681, 3.2, step 2): it was
 * sent for duplicate ACKs, or before the window was last reduced. In fast recovery the window says nothing.
 */
static void reduce_threshold(struct tcp *t, uint32_t flight)
{
	if (t->recovery.phase != TCP_PHASE_RECOVERY && flight > t->congestion.cwnd)
		flight = t->congestion.cwnd;
	uint32_t less = flight / 2, least = 2 * t->mss;
	if (t->config.control == TCP_CUBIC) {
		tcp_cubic_on_loss(t);
		less = (uint32_t)(flight * TCP_CUBIC_BETA);
	}
	t->congestion.ssthresh = less > least ? less : least;
	t->congestion.acked = 0;
}

void tcp_congestion_on_loss(struct tcp *t, uint32_t flight)
{
	if (!controlled(t))
		return;
	reduce_threshold(t, flight);
	if (t->congestion.ssthresh < t->congestion.cwnd) /* after a timeout it is less already */
		tcp_congestion_set(t, t->congestion.ssthresh);
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
	if (!controlled(t))
		return;
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
	tcp_congestion_set(t, pipe + (uint64_t)(may > 0 ? may : 0));
}

void tcp_congestion_on_recovered(struct tcp *t)
{
	if (controlled(t))
		tcp_congestion_set(t, t->congestion.ssthresh);
}

/* RFC 5681, 3.1: ssthresh is reduced by the first timeout only, not by every retransmission of the same data. */
void tcp_congestion_on_timeout(struct tcp *t)
{
	if (!controlled(t))
		return;
	if (t->recovery.phase != TCP_PHASE_LOSS)
		reduce_threshold(t, tcp_flight(t));
	t->congestion.cwnd = t->mss;
	t->congestion.acked = 0;
	t->congestion.cubic.growing = false; /* RFC 9438, 4.8 */
}
