/* What may leave: which octets, when, and how they look. */
#include <string.h>

#include "tests/sim/sim_tcp_check.h"

/* One segment may go beyond the congestion window: see RFC 6675, 5, (4.3); 6582, 3.2, 3; 6298, 5.4; 8985, 7.3. */
static bool may_pass(struct sim_world *w, uint32_t seq, uint32_t len, uint32_t pipe)
{
	uint32_t lost;
	uint32_t gone = w->duplicates * w->t->mss;
	uint32_t cwnd = larger(w->before.congestion.cwnd, w->t->congestion.cwnd);
	if (len <= cwnd && (pipe > gone ? pipe - gone : 0) + len <= cwnd)
		return true;
	if (w->t->counters.tlp_probes > w->before.counters.tlp_probes)
		return len <= w->t->mss + w->t->fin_sent; /* so much data, and the FIN behind it */
	if (w->window_probe) {
		w->window_probe = false;
		return len <= w->t->mss;
	}
	bool forced = w->force && seq_lt(seq, w->before.nxt) && sim_model_first_lost(&w->model, &lost) && lost == seq;
	w->force = false;
	return forced && len <= w->t->mss;
}

/* The peer's window, once; a probe may go beyond it, and so may what was in it before it shrank. */
static bool may_fill(const struct sim_world *w, uint32_t seq, uint32_t len)
{
	bool tail_probe = w->t->counters.tlp_probes > w->before.counters.tlp_probes;
	uint32_t end = seq + len - w->before.una;
	if (end <= w->before.window || (w->window_probe && len == 1))
		return true;
	return tail_probe && seq_lt(seq, w->before.nxt);
}

static void check_octets(struct sim_world *w, uint32_t seq, uint32_t len, bool syn)
{
	if (len && !syn) {
		uint32_t in_flight = sim_model_pipe(&w->model), lost;
		bool again = seq_lt(seq, w->model.nxt);
		require(w, may_fill(w, seq, len), "a segment lies beyond the peer's window");
		if (again && !(sim_model_first_lost(&w->model, &lost) && seq == lost)) {
			bool probe = w->window_probe || w->t->counters.tlp_probes > w->before.counters.tlp_probes;
			require(w, probe, "something is sent again that is not lost");
		}
		require(w, may_pass(w, seq, len, in_flight), "a segment goes beyond the congestion window");
		if (w->t->recovery.phase == TCP_PHASE_RECOVERY)
			w->prr_sent += len;
		if (again && w->t->recovery.phase != TCP_PHASE_OPEN)
			w->resent += len;
	}
	bool keepalive = seq == w->t->snd_nxt - 1 && tcp_flight(w->t) == 0;
	require(w, len || syn || keepalive || seq == w->t->snd_nxt, "an empty segment is out of place");
	if (len)
		sim_model_sent(&w->model, seq, len, w->now_ns);
}

static void check_payload(struct sim_world *w, const struct wire_segment *s)
{
	uint32_t at = s->seq - w->t->isn - 1;
	require(w, s->len <= w->t->mss, "a segment is larger than the MSS");
	require(w, (uint64_t)at + s->len <= w->tx.end && memcmp(s->payload, sim_stream + at, s->len) == 0,
		"an octet is sent in the wrong place");
}

/* RFC 3168, 6.1: new data alone is ECT, but for probes of a closed window. */
static void check_ect(struct sim_world *w, const struct wire_segment *s)
{
	bool fresh = s->len && seq_gt(s->seq + s->len, w->highest);
	w->highest = fresh ? s->seq + s->len : w->highest;
	require(w, !s->ecn || (fresh && w->t->ecn.on), "a segment is ECT and should not be");
	require(w, s->ecn || !fresh || !w->t->ecn.on || w->t->snd_wnd == 0, "new data is not ECT");
}

void sim_check_sent(struct sim_world *w, const uint8_t *packet, size_t len)
{
	struct wire_segment s;
	if (!wire_parse(packet, len, &s)) {
		sim_fail(w, "a segment of ours is malformed");
		return;
	}
	sim_count(w, COUNT_SEGMENTS);
	w->sent_segments++;
	if (s.flags & WIRE_RST)
		return;
	uint32_t octets = s.len + !!(s.flags & WIRE_SYN) + !!(s.flags & WIRE_FIN);
	require(w, s.flags & WIRE_SYN || s.ack == w->t->rcv_nxt, "an ACK is not where we are");
	require(w, len <= w->t->path_mtu, "a packet is larger than the path's MTU");
	if (s.len)
		check_payload(w, &s);
	check_octets(w, s.seq, octets, s.flags & WIRE_SYN);
	check_ect(w, &s);
	w->counts[COUNT_AFTER_IDLE] +=
		w->before.flight == 0 && octets && w->t->congestion.cwnd < w->before.congestion.cwnd;
	if (w->model.failure)
		sim_fail(w, w->model.failure);
}

/* What a squeeze has made lost is sent again next: the model has to know. */
void sim_check_output_done(struct sim_world *w)
{
	static const struct model_excuse none = {0};
	if (w->model.squeezed)
		sim_compare(w, &none);
}
