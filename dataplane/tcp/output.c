/*
 * What is due next. New data in the plain case is decided by one compare (nxt_offset < fast_until) and built at once;
 * everything else asks, in this order: a reset, a SYN, what was lost, a probe, new data or FIN, a bare ACK.
 */
#include <assert.h>

#include "dataplane/tcp/tcp_internal.h"

void tcp_update_permission(struct tcp *t)
{
	bool sending = t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT;
	t->plain = sending && !t->fin_queued && !t->probe_due && !t->keepalive.due && !t->reset_due &&
		   tcp_recovery_quiet(t) && t->receive.out_of_order_count == 0 && !t->receive.came_twice &&
		   !t->ecn.echo && !t->ecn.cwr_due;
	t->predicted = t->plain && t->state == TCP_ESTABLISHED && !t->receive.fin_known && t->snd_wnd > 0 &&
		       !tcp_timer_armed(t, TCP_TIMER_PERSIST) && seq_le(t->snd_wl1, t->rcv_nxt);
	t->send_limit = t->push_limit = t->fast_until = 0;
	if (!tcp_may_send_data(t) || t->fin_sent)
		return;
	uint32_t flight = tcp_flight(t), pipe = tcp_recovery_pipe(t);
	uint32_t window = t->snd_wnd > flight ? t->snd_wnd - flight : 0;
	uint32_t congestion = t->congestion.cwnd > pipe ? t->congestion.cwnd - pipe : 0;
	t->send_limit = t->nxt_offset + (window < congestion ? window : congestion);
	/* A closed window is probed with an octet: there has to be one, or a lost window update stops us for good. */
	if (!t->fin_queued)
		t->push_limit = window == 0 && flight == 0 ? t->nxt_offset + 1 : t->send_limit;
	tcp_set_fast_until(t);
}

uint64_t tcp_may_push(const struct tcp *t)
{
	uint64_t end = t->tx ? t->tx->end : 0;
	return t->push_limit > end ? t->push_limit - end : 0;
}

/* Options that only some segments carry take room from their data (RFC 6691). */
static uint32_t payload_max(const struct tcp *t)
{
	uint32_t blocks = tcp_receive_sack_count(t), most = t->timestamps ? 3 : 4;
	if (blocks == 0)
		return t->mss;
	return t->mss - (4 + 8 * (blocks < most ? blocks : most));
}

static uint64_t offset_of(const struct tcp *t, uint32_t seq)
{
	return t->tx->start + (seq - t->snd_una);
}

/* Sends stream octets [seq, seq + len); the last of them may be our FIN. */
static size_t send_range(struct tcp *t, uint8_t *packet, uint32_t seq, uint32_t len, bool fresh, uint64_t now_ns)
{
	bool fin = t->fin_sent && seq + len == t->fin_seq + 1;
	struct tcp_outgoing out = {.seq = seq, .len = len - fin, .offset = offset_of(t, seq), .flags = TCP_ACK};
	out.fresh = fresh && out.len;
	if (out.fresh && t->ecn.cwr_due)
		out.flags |= TCP_CWR;
	t->ecn.cwr_due &= !out.fresh;
	if (fin)
		out.flags |= TCP_FIN;
	if (out.len && out.offset + out.len == t->tx->end)
		out.flags |= TCP_PSH;
	t->counters.octets_sent += out.len;
	t->congestion.sent += len;
	return tcp_build(t, packet, &out, now_ns);
}

/* Sends the next `len` octets never sent before, FIN included. */
static size_t send_new(struct tcp *t, uint8_t *packet, uint32_t len, bool fin, uint64_t now_ns)
{
	uint32_t seq = t->snd_nxt;
	t->snd_nxt += len;
	t->nxt_offset += len - fin;
	if (fin) {
		t->fin_sent = true;
		t->fin_seq = t->snd_nxt - 1;
	}
	tcp_record_sent(t, now_ns);
	tcp_arm_after_new(t, now_ns);
	tcp_settle_retransmit(t);
	tcp_note_sent(t, TCP_ACK | (fin ? TCP_FIN : 0), seq, len);
	return send_range(t, packet, seq, len, t->snd_wnd > 0, now_ns);
}

static size_t resend(struct tcp *t, uint8_t *packet, uint32_t seq, uint32_t len, enum tcp_trace_cause why,
		     uint64_t now_ns)
{
	tcp_note_ours(t, TCP_TRACE_RESENT, why, seq, len);
	tcp_scoreboard_resent(t, seq, len, now_ns);
	tcp_undo_on_resend(t, len, now_ns);
	tcp_arm_if_unarmed(t, now_ns);
	t->counters.octets_retransmitted += len;
	return send_range(t, packet, seq, len, false, now_ns);
}

static size_t output_ack(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	struct tcp_outgoing out = {.seq = t->snd_nxt, .flags = TCP_ACK};
	if (!t->ack_due)
		return 0;
	if (!t->plain) /* else it is one of many that say nothing unusual */
		tcp_note_sent(t, out.flags, out.seq, 0);
	return tcp_build(t, packet, &out, now_ns);
}

static size_t output_syn(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	if (t->syn_due) {
		struct tcp_outgoing out = {.seq = t->isn, .flags = TCP_SYN};
		if (t->state == TCP_SYN_RECEIVED)
			out.flags |= TCP_ACK | (t->ecn.on ? TCP_ECE : 0);
		else if (t->config.ecn && !t->syn_retransmitted)
			out.flags |= TCP_ECE | TCP_CWR;
		t->syn_due = false;
		t->snd_nxt = t->isn + 1;
		if (tcp_record_count(t) == 0)
			tcp_record_sent(t, now_ns);
		else
			tcp_scoreboard_resent(t, t->isn, 1, now_ns);
		tcp_arm_if_unarmed(t, now_ns);
		tcp_note_sent(t, out.flags, t->isn, 0);
		return tcp_build(t, packet, &out, now_ns);
	}
	return output_ack(t, packet, now_ns); /* in SYN-RECEIVED: to what has to be challenged */
}

/* Lost octets go first, cut to today's MSS, within both windows; the first of a recovery asks no congestion window. */
static size_t output_lost(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t seq, len, max = payload_max(t);
	if (!tcp_scoreboard_first_lost(t, &seq, &len) || seq - t->snd_una >= t->snd_wnd)
		return 0;
	if (len > max)
		len = max;
	if (len > t->snd_wnd - (seq - t->snd_una))
		len = t->snd_wnd - (seq - t->snd_una);
	if (!r->force && tcp_recovery_pipe(t) + len > t->congestion.cwnd)
		return 0;
	bool by_timeout = r->phase == TCP_PHASE_LOSS;
	if (by_timeout) {
		t->counters.retransmits_rto++;
	} else {
		t->counters.retransmits_fast++;
		if (r->force) /* the answer to this one is what the timer has to wait for now */
			tcp_timer_clear(t, TCP_TIMER_RETRANSMIT);
	}
	r->force = false;
	return resend(t, packet, seq, len, by_timeout ? TCP_TRACE_BY_RTO : TCP_TRACE_BY_FAST, now_ns);
}

/*
 * RFC 9293, 3.8.6.2.1, without Nagle: whole segments and whole rests go out; a piece cut off by the peer's window only
 * when it is half of the largest window seen. A piece cut off by the congestion window waits for ACKs, which will come.
 */
static uint32_t new_data_fitting(const struct tcp *t, uint64_t pending)
{
	uint32_t flight = tcp_flight(t), max = payload_max(t);
	uint32_t window = t->snd_wnd > flight ? t->snd_wnd - flight : 0;
	uint32_t len = pending < max ? (uint32_t)pending : max;
	if (len > window)
		len = window && window >= t->snd_wnd_max / 2 ? window : 0;
	return len;
}

static uint32_t new_data_len(const struct tcp *t, uint64_t pending)
{
	uint32_t len = new_data_fitting(t, pending);
	return tcp_recovery_pipe(t) + len <= t->congestion.cwnd ? len : 0;
}

static uint64_t pending_octets(const struct tcp *t)
{
	return t->tx->end - t->nxt_offset + (t->fin_queued && !t->fin_sent);
}

/* Whether the next `len` of the pending octets include our FIN. */
static bool reaches_fin(const struct tcp *t, uint32_t len)
{
	return t->fin_queued && !t->fin_sent && len == pending_octets(t);
}

/* What was lost and waits for the congestion window keeps its place: small messages would pass it for ever. */
static size_t output_new(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	if (t->scoreboard.lost_octets)
		return 0;
	uint32_t len = new_data_len(t, pending_octets(t));
	return len ? send_new(t, packet, len, reaches_fin(t, len), now_ns) : 0;
}

/*
 * RFC 9293, 3.8.6.1: an octet into a closed window; or, when silly-window avoidance alone held data back for so long,
 * as much as the window takes.
 */
static size_t output_probe(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	if (!t->probe_due)
		return 0;
	t->probe_due = false;
	if (tcp_flight(t) > 0)
		return resend(t, packet, t->snd_una, 1, TCP_TRACE_BY_WINDOW, now_ns);
	uint64_t pending = pending_octets(t);
	uint32_t len = t->snd_wnd ? t->snd_wnd : 1;
	len = len < payload_max(t) ? len : payload_max(t);
	len = len < pending ? len : (uint32_t)pending;
	return len ? send_new(t, packet, len, reaches_fin(t, len), now_ns) : 0;
}

/*
 * RFC 8985, 7.3: new data if there is any, whatever the congestion window says; else the end of what was sent once
 * more, a whole segment of it: several small messages, or the data in front of a FIN, may have been lost together. (A
 * FIN takes no room from them: else the first octet of a whole segment stayed behind.)
 * Where the peer delays its ACKs for longer than we wait, the RFC's first choice is no probe: if only the last ACK was
 * lost, one new segment is answered after that delay. What came before is answered at once (RFC 9293, 3.10.7.4).
 */
static size_t output_tail_probe(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	bool wanted = t->tlp_due;
	t->tlp_due = false;
	if (!wanted || !tcp_tlp_allowed(t)) /* an ACK may have come meanwhile */
		return 0;
	bool held_back = t->rtt.delay_ns > t->pto_ns;
	uint32_t fresh = held_back ? 0 : new_data_fitting(t, pending_octets(t)), max = payload_max(t);
	uint32_t most = max + t->fin_sent, last = tcp_flight(t) < most ? tcp_flight(t) : most;
	size_t len = fresh ? send_new(t, packet, fresh, reaches_fin(t, fresh), now_ns)
			   : resend(t, packet, t->snd_nxt - last, last, TCP_TRACE_BY_TAIL, now_ns);
	tcp_tlp_note(t, fresh ? 0 : last);
	t->counters.tlp_probes++;
	tcp_timer_set(t, TCP_TIMER_RETRANSMIT, t->rto_at_ns);
	return len;
}

/* RFC 1122, 4.2.3.6: the sequence number before the next one, no data; the answer is an ACK (RFC 9293, 3.10.7.4). */
static size_t output_keepalive(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	struct tcp_outgoing out = {.seq = t->snd_nxt - 1, .flags = TCP_ACK};
	bool due = t->keepalive.due;
	t->keepalive.due = false;
	if (!due || tcp_flight(t) > 0)
		return 0;
	tcp_note_sent(t, out.flags, out.seq, 0);
	return tcp_build(t, packet, &out, now_ns);
}

static size_t output_synchronized(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	size_t len = 0;
	if (tcp_may_send_data(t)) {
		len = output_lost(t, packet, now_ns);
		len = len ? len : output_probe(t, packet, now_ns);
		len = len ? len : output_tail_probe(t, packet, now_ns);
		len = len ? len : output_new(t, packet, now_ns);
	}
	len = len ? len : output_keepalive(t, packet, now_ns);
	len = len ? len : output_ack(t, packet, now_ns);
	if (len == 0 && tcp_may_send_data(t))
		tcp_arm_persist(t, now_ns);
	tcp_update_permission(t);
	return len;
}

static __attribute__((noinline)) size_t output_slow(struct tcp *t, uint8_t *packet, size_t cap, uint64_t now_ns)
{
	assert(cap >= t->config.mtu);
	t->called_ns = now_ns;
	if (t->reset_due) {
		tcp_note(t, TCP_TRACE_SENT, TCP_RST | (t->reset_has_ack ? TCP_ACK : 0), t->reset_seq - t->isn,
			 t->reset_has_ack ? t->reset_ack - t->irs : 0, 0);
		return tcp_build_reset(t, packet, now_ns);
	}
	if (t->state == TCP_CLOSED)
		return 0;
	if (!tcp_synchronized(t))
		return output_syn(t, packet, now_ns);
	return output_synchronized(t, packet, now_ns);
}

bool tcp_output_due(const struct tcp *t)
{
	/* In the plain case everything pushed is out and no ACK is owed; else the slow path has to be asked. */
	return !t->plain || t->ack_due || t->nxt_offset != t->tx->end;
}

bool tcp_pushed(struct tcp *t)
{
	assert(!t->fin_queued || t->tx->end == t->fin_offset);
	tcp_set_fast_until(t);
	return t->nxt_offset < t->fast_until || tcp_output_due(t);
}

uint32_t tcp_segment_bytes(const struct tcp *t, size_t len)
{
	return len > (size_t)t->header_len + t->mss ? t->mss : 0; /* options beyond the template take room from data */
}

static inline bool cuts(const struct tcp *t)
{
	return t->config.tso_bytes > t->mss && t->mss >= TCP_CUT_MSS_MIN && t->mss <= TCP_CUT_MSS_MAX;
}

bool tcp_segments_due(const struct tcp *t)
{
	return t->fast_until > t->nxt_offset + t->mss && cuts(t);
}

/*
 * How much of `left` (at least an MSS) goes into one packet: exactly what calls with room for one segment would send
 * one after the other, hence whole segments, and a short one only at the end of what was pushed.
 */
static uint32_t packet_octets(const struct tcp *t, uint64_t left, size_t cap)
{
	uint32_t most = t->config.tso_bytes, room = (uint32_t)(cap < UINT16_MAX ? cap : UINT16_MAX) - t->header_len;
	if (!cuts(t))
		return t->mss;
	most = most < room ? most : room;
	most = most < TCP_SEGMENTS_MAX * t->mss ? most : TCP_SEGMENTS_MAX * t->mss;
	if (left <= most && t->fast_until == t->tx->end)
		return (uint32_t)left;
	most = left < most ? (uint32_t)left : most;
	return most - most % t->mss;
}

static __attribute__((noinline)) size_t output_full(struct tcp *t, uint8_t *packet, size_t cap, uint64_t left,
						    uint64_t now_ns)
{
	uint32_t len = packet_octets(t, left, cap);
	return len > t->mss ? tcp_build_segments(t, packet, len, now_ns) : tcp_build_hot(t, packet, t->mss, now_ns);
}

size_t tcp_output(struct tcp *t, uint8_t *packet, size_t cap, uint64_t now_ns)
{
	if (__builtin_expect(t->nxt_offset < t->fast_until, 1)) {
		uint64_t left = t->fast_until - t->nxt_offset;
		if (__builtin_expect(left < t->mss && t->fast_until == t->tx->end, 1))
			return tcp_build_hot(t, packet, (uint32_t)left, now_ns);
		if (left >= t->mss)
			return output_full(t, packet, cap, left, now_ns);
	}
	return output_slow(t, packet, cap, now_ns);
}

void tcp_reset_answer(struct tcp *t, const struct tcp_segment *s)
{
	t->reset_due = true;
	t->reset_has_ack = !(s->flags & TCP_ACK);
	t->reset_seq = t->reset_has_ack ? 0 : s->ack;
	t->reset_ack = s->seq + s->payload_len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
}
