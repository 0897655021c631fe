/* RFC 9293, 3.10.7.3: what arrives in SYN-SENT. */
#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

/* Options count in a SYN only; the window of a SYN is never scaled (RFC 7323, 2.2). */
static void learn(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	t->irs = s->seq;
	tcp_receive_init(t, s->seq + 1);
	tcp_negotiate(t, s, now_ns);
	t->snd_wnd = t->snd_wnd_max = s->window;
	t->snd_wl1 = s->seq;
	t->snd_wl2 = s->ack;
}

static void establish(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	tcp_scoreboard_on_ack(t, s, now_ns);
	t->snd_una = s->ack;
	if (!t->rtt.valid) /* the SYN was lost, and nothing tells which one was answered */
		t->rto_base_ns =
			TCP_RTO_AFTER_SYN_LOSS < t->config.rto_max_ns ? TCP_RTO_AFTER_SYN_LOSS : t->config.rto_max_ns;
	t->rto_ns = t->rto_base_ns;
	tcp_timer_clear(t, TCP_TIMER_RETRANSMIT);
	tcp_timer_clear(t, TCP_TIMER_USER);
	t->syn_due = false;
	t->ack_due = true;
	t->progress_ns = now_ns;
	tcp_keepalive_start(t, now_ns);
	tcp_set_state(t, TCP_ESTABLISHED);
}

/* Simultaneous open: our SYN and theirs have crossed. */
static void cross(struct tcp *t, uint64_t now_ns)
{
	t->syn_due = true;
	tcp_timer_clear(t, TCP_TIMER_RETRANSMIT);
	tcp_set_state(t, TCP_SYN_RECEIVED);
}

void tcp_input_syn_sent(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns)
{
	bool has_ack = s->flags & TCP_ACK;
	/* first, check the ACK bit: only our SYN can be acknowledged, and only once it is out */
	if (has_ack && (s->ack != t->isn + 1 || t->snd_nxt != t->isn + 1)) {
		if (!(s->flags & TCP_RST))
			tcp_reset_answer(t, s);
		return;
	}
	/* second, check the RST bit */
	if (s->flags & TCP_RST) {
		if (has_ack)
			tcp_enter_closed(t, HW_ERR_CONN_REFUSED);
		else
			t->counters.resets_ignored++;
		return;
	}
	/* fourth, check the SYN bit */
	if (!(s->flags & TCP_SYN))
		return;
	learn(t, s, now_ns);
	if (!has_ack) {
		cross(t, now_ns);
		return;
	}
	establish(t, s, now_ns);
	/* data or FIN may come with it: steps six to eight, behind the SYN */
	struct tcp_segment rest = *s;
	rest.seq++;
	tcp_input_data(t, &rest, now_ns);
}
