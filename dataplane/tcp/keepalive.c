/* RFC 1122, 4.2.3.6: whether a peer that has nothing to say is still there. Off unless configured. */
#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

static void wait_from(struct tcp *t, uint64_t from_ns)
{
	t->keepalive.unanswered = 0;
	tcp_timer_set(t, TCP_TIMER_IDLE, from_ns + t->config.keepalive_idle_ns);
}

void tcp_keepalive_start(struct tcp *t, uint64_t now_ns)
{
	t->heard_ns = now_ns;
	if (t->config.keepalive_idle_ns)
		wait_from(t, now_ns);
}

/* What is in flight, or waits for the window, is watched by timers of its own. */
static bool watched_otherwise(const struct tcp *t)
{
	return tcp_flight(t) > 0 || t->nxt_offset < t->tx->end || (t->fin_queued && !t->fin_sent);
}

/*
 * The timer is not moved by every segment: when it fires, it looks whether one has come since. An answer to a probe is
 * a segment like any other.
 */
void tcp_keepalive_on_timer(struct tcp *t, uint64_t now_ns)
{
	struct tcp_keepalive *k = &t->keepalive;
	const struct tcp_config *c = &t->config;
	if (watched_otherwise(t)) {
		wait_from(t, now_ns);
	} else if (now_ns - t->heard_ns < c->keepalive_idle_ns) {
		wait_from(t, t->heard_ns);
	} else if (k->unanswered == c->keepalive_probes) {
		tcp_enter_closed(t, HW_ERR_CONN_LOST);
	} else {
		k->unanswered++;
		k->due = true;
		t->counters.keepalive_probes++;
		tcp_timer_set(t, TCP_TIMER_IDLE, now_ns + c->keepalive_interval_ns);
	}
}
