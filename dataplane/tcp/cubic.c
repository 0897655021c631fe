/* CUBIC (RFC 9438): how the window grows once it is above ssthresh. Windows are counted in segments here, as there. */
#include <math.h>

#include "dataplane/tcp/tcp_internal.h"

#define C     0.4
#define BETA  TCP_CUBIC_BETA
#define ALPHA (3.0 * (1.0 - BETA) / (1.0 + BETA)) /* 4.3: what makes it as fast as Reno where Reno is faster */

/* 4.7: a flow whose windows shrink from one loss to the next makes room for others. */
void tcp_cubic_on_loss(struct tcp *t)
{
	struct tcp_cubic *q = &t->congestion.cubic;
	/* during fast recovery the window follows what arrives, and is on its way to ssthresh */
	bool recovering = t->recovery.phase == TCP_PHASE_RECOVERY;
	double cwnd = (double)(recovering ? t->congestion.ssthresh : t->congestion.cwnd) / t->mss;
	q->w_max = cwnd < q->w_max ? cwnd * (1.0 + BETA) / 2.0 : cwnd;
	q->cwnd_prior = cwnd;
	q->growing = false;
}

/* 4.2: the first growth since a loss, or since slow start ended. */
static void begin(struct tcp_cubic *q, double cwnd)
{
	if (q->w_max < cwnd)
		q->w_max = cwnd;
	q->k_s = cbrt((q->w_max - cwnd) / C);
	q->w_est = cwnd;
	q->elapsed_ns = 0;
	q->growing = true;
}

/* Time in which the application did not fill the window does not count (5.8): the clock runs from ACK to ACK. */
static void run_clock(struct tcp_cubic *q, uint64_t now_ns)
{
	if (q->last_ns)
		q->elapsed_ns += now_ns - q->last_ns;
	q->last_ns = now_ns;
}

static double w_cubic(const struct tcp_cubic *q, double at_s)
{
	double from_k = at_s - q->k_s;
	return C * from_k * from_k * from_k + q->w_max;
}

void tcp_cubic_on_ack(struct tcp *t, uint32_t acked, uint64_t now_ns)
{
	struct tcp_cubic *q = &t->congestion.cubic;
	double cwnd = (double)t->congestion.cwnd / t->mss, segments = (double)acked / t->mss;
	if (!q->growing)
		begin(q, cwnd);
	run_clock(q, now_ns);
	double at_s = (double)q->elapsed_ns / 1e9, rtt_s = (double)t->rtt.srtt_ns / 1e9;
	q->w_est += (q->w_est < q->cwnd_prior ? ALPHA : 1.0) * segments / cwnd;
	double target = w_cubic(q, at_s + rtt_s), next;
	if (w_cubic(q, at_s) < q->w_est) { /* 4.3 */
		next = q->w_est > cwnd ? q->w_est : cwnd;
	} else { /* 4.4 and 4.5 */
		target = target < cwnd ? cwnd : target > 1.5 * cwnd ? 1.5 * cwnd : target;
		next = cwnd + (target - cwnd) * segments / cwnd;
	}
	tcp_congestion_set(t, (uint64_t)(next * t->mss + 0.5));
}
