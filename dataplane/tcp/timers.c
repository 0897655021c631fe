/* What happens when no answer comes. */
#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

/*
 * An ACK goes out at once for two full segments (RFC 5681, 4.2) or for four of any size: a peer whose messages are
 * small counts its congestion window in segments.
 */
#define ACK_EVERY_SEGMENTS 4u

void tcp_timers_clear(struct tcp *t)
{
	for (int i = 0; i < TCP_TIMERS; i++)
		t->timers[i] = TCP_NEVER;
}

uint64_t tcp_deadline(const struct tcp *t)
{
	uint64_t first_ns = t->timers[0];
	for (int i = 1; i < TCP_TIMERS; i++)
		first_ns = t->timers[i] < first_ns ? t->timers[i] : first_ns;
	return first_ns;
}

void tcp_ack_later(struct tcp *t, uint32_t octets, uint64_t now_ns)
{
	t->ack_pending_octets += octets;
	t->ack_pending_segments++;
	if (t->config.delayed_ack_ns == 0 || t->ack_pending_octets >= 2 * t->mss ||
	    t->ack_pending_segments >= ACK_EVERY_SEGMENTS)
		t->ack_due = true;
	else if (!tcp_timer_armed(t, TCP_TIMER_DELAYED_ACK))
		tcp_timer_set(t, TCP_TIMER_DELAYED_ACK, now_ns + t->config.delayed_ack_ns);
}

static bool something_pending(const struct tcp *t)
{
	return t->nxt_offset < t->tx->end || (t->fin_queued && !t->fin_sent);
}

void tcp_arm_persist(struct tcp *t, uint64_t now_ns)
{
	if (!something_pending(t) || tcp_flight(t) != 0 || t->probe_due || tcp_timer_armed(t, TCP_TIMER_PERSIST))
		return;
	t->probe_answered = true;
	tcp_timer_set(t, TCP_TIMER_PERSIST, now_ns + t->rto_ns);
}

/* RFC 6298, 5.5. */
static void back_off(struct tcp *t)
{
	t->rto_ns = 2 * t->rto_ns < t->config.rto_max_ns ? 2 * t->rto_ns : t->config.rto_max_ns;
}

/*
 * Nothing has been acknowledged for the user timeout. In front of a closed window only unanswered probes count (RFC
 * 9293, 3.8.6.1): a peer may keep its window closed for as long as it likes.
 */
static bool out_of_patience(const struct tcp *t, uint64_t now_ns)
{
	return t->config.user_timeout_ns && now_ns - t->progress_ns >= t->config.user_timeout_ns;
}

static void watch_user_timeout(struct tcp *t)
{
	if (t->config.user_timeout_ns && tcp_synchronized(t))
		tcp_timer_set(t, TCP_TIMER_USER, t->progress_ns + t->config.user_timeout_ns);
}

static void on_user(struct tcp *t, uint64_t now_ns)
{
	tcp_timer_clear(t, TCP_TIMER_USER);
	if (!tcp_synchronized(t))
		tcp_enter_closed(t, t->soft_error ? t->soft_error : HW_ERR_CONN_TIMEOUT);
	else if (out_of_patience(t, now_ns))
		tcp_enter_closed(t, HW_ERR_CONN_LOST);
	else
		watch_user_timeout(t);
}

static void probe(struct tcp *t, uint64_t now_ns)
{
	if (t->probe_answered) /* the wait for an answer begins now, however long ago the last one was */
		t->progress_ns = now_ns;
	t->probe_answered = false;
	t->probe_due = true;
	t->counters.persist_probes++;
	back_off(t);
	watch_user_timeout(t);
}

static void note_timeout(const struct tcp *t)
{
	tcp_note(t, TCP_TRACE_RTO, 0, t->snd_una - t->isn, t->snd_nxt - t->isn, (uint32_t)(t->rto_ns / 1000));
}

/* RFC 6298, 5.4 to 5.6. Behind a closed window a retransmission is a probe: nothing has been lost. */
static void on_timeout(struct tcp *t, uint64_t now_ns)
{
	if (!tcp_synchronized(t)) {
		t->syn_due = t->syn_retransmitted = true;
		t->counters.rto_fired++;
		note_timeout(t);
		back_off(t);
	} else if (t->snd_wnd == 0) {
		probe(t, now_ns);
	} else {
		t->counters.rto_fired++;
		note_timeout(t);
		tcp_recovery_on_timeout(t, now_ns);
		back_off(t);
		watch_user_timeout(t);
	}
	t->rto_at_ns = now_ns + t->rto_ns;
}

void tcp_settle_retransmit(struct tcp *t)
{
	if (!tcp_timer_armed(t, TCP_TIMER_RETRANSMIT))
		return;
	if (!tcp_tlp_allowed(t))
		tcp_timer_set(t, TCP_TIMER_RETRANSMIT, t->rto_at_ns);
	if (t->rack.wake_ns != TCP_NEVER) /* the peer is answering: no timeout in the last moment before that */
		tcp_timer_set(t, TCP_TIMER_RETRANSMIT, t->rack.wake_ns);
}

/*
 * RFC 8985, 7.3: the answer to the probe is what the timeout has to wait for now. Where sending went on until just now,
 * the last segment is as good a probe as any, and its answer is waited for first; but not for ever.
 */
static void probe_tail(struct tcp *t, uint64_t now_ns)
{
	const struct tcp_record *last = tcp_record_at(t, tcp_record_count(t) - 1);
	bool on_its_way = last->at_ns + t->rtt.srtt_ns > now_ns && now_ns - t->progress_ns <= t->rto_ns;
	t->tlp_due = !on_its_way;
	t->rto_at_ns = on_its_way ? last->at_ns + t->pto_ns : now_ns + t->rto_ns;
}

/*
 * One timer for what comes first (RFC 8985, 8): the end of RACK's patience, a probe of the tail, or the timeout. No
 * timeout comes before a probe has been tried.
 */
static void on_retransmit(struct tcp *t, uint64_t now_ns)
{
	if (t->rack.wake_ns <= now_ns)
		tcp_recovery_on_wake(t, now_ns);
	else if (tcp_tlp_allowed(t))
		probe_tail(t, now_ns);
	else if (t->rto_at_ns <= now_ns)
		on_timeout(t, now_ns);
	tcp_timer_set(t, TCP_TIMER_RETRANSMIT, t->rto_at_ns);
	tcp_settle_retransmit(t);
}

static void on_persist(struct tcp *t, uint64_t now_ns)
{
	tcp_timer_clear(t, TCP_TIMER_PERSIST);
	if (tcp_flight(t) == 0 && something_pending(t)) /* else the retransmission timer watches, or nothing need */
		probe(t, now_ns);
}

static void on_delayed_ack(struct tcp *t)
{
	tcp_timer_clear(t, TCP_TIMER_DELAYED_ACK);
	t->ack_due = true;
}

static void on_idle(struct tcp *t, uint64_t now_ns)
{
	if (t->state == TCP_TIME_WAIT)
		tcp_enter_closed(t, 0);
	else
		tcp_keepalive_on_timer(t, now_ns);
}

void tcp_timer(struct tcp *t, uint64_t now_ns)
{
	uint64_t deadline_ns = tcp_deadline(t);
	if (deadline_ns > now_ns) {
		tcp_note_time(t, deadline_ns, now_ns);
		return;
	}
	t->called_ns = now_ns;
	tcp_note_time(t, deadline_ns, now_ns);
	if (t->timers[TCP_TIMER_USER] <= now_ns)
		on_user(t, now_ns);
	if (t->timers[TCP_TIMER_IDLE] <= now_ns)
		on_idle(t, now_ns);
	if (t->timers[TCP_TIMER_RETRANSMIT] <= now_ns)
		on_retransmit(t, now_ns);
	if (t->timers[TCP_TIMER_PERSIST] <= now_ns)
		on_persist(t, now_ns);
	if (t->timers[TCP_TIMER_DELAYED_ACK] <= now_ns)
		on_delayed_ack(t);
	tcp_update_permission(t);
}
