/*
 * A connection driven by a script of octets: hostile segments near (or far from) what is expected, ICMP, time, pushes,
 * reads, close, abort and re-open, in any order and state. After every step the cursors have to agree with each other.
 */
#include <string.h>

#include "dataplane/tcp/tcp_internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tcp_peer.h"

#define STREAM_BYTES 65536u
#define SEGMENTS_MAX 4096u /* that one call sequence of tcp_output may yield: else it does not end */

struct world {
	struct tcp *t;
	struct extent_queue tx;
	struct tcp_config config;
	uint64_t now_ns;
	uint32_t isn;
};

static uint8_t stream[STREAM_BYTES];
static _Alignas(64) uint8_t memory[1 << 17];

static void check_scoreboard(const struct tcp *t)
{
	uint32_t sacked = 0, lost = 0, start = t->snd_una;
	REQUIRE(tcp_record_count(t) <= TCP_RECORDS);
	for (uint32_t i = 0; i < tcp_record_count(t); i++) {
		const struct tcp_record *r = tcp_record_at(t, i);
		REQUIRE(seq_lt(start, r->end) && r->segments > 0);
		REQUIRE((r->flags & (TCP_SACKED | TCP_LOST)) != (TCP_SACKED | TCP_LOST));
		sacked += r->flags & TCP_SACKED ? r->end - start : 0;
		lost += r->flags & TCP_LOST ? r->end - start : 0;
		start = r->end;
	}
	REQUIRE(start == t->snd_nxt);
	REQUIRE(sacked == t->scoreboard.sacked_octets && lost == t->scoreboard.lost_octets);
	REQUIRE(sacked + lost <= tcp_flight(t));
	REQUIRE(tcp_recovery_pipe(t) <= tcp_flight(t));
	if (t->recovery.phase != TCP_PHASE_OPEN)
		REQUIRE(seq_between(t->snd_una, t->recovery.recovery_point, t->snd_nxt));
	else
		REQUIRE(lost == 0);
}

static void check_receive(const struct tcp *t)
{
	const struct tcp_receive *r = &t->receive;
	uint32_t size = r->mask + 1;
	REQUIRE(seq_ge(r->edge + 1, t->rcv_nxt)); /* a FIN may lie on the edge */
	REQUIRE(r->edge - r->consumed <= size);
	REQUIRE(tcp_receive_available(t) <= size);
	for (uint32_t i = 0; i < r->out_of_order_count; i++) {
		REQUIRE(seq_gt(r->out_of_order[i].left, t->rcv_nxt));
		REQUIRE(seq_lt(r->out_of_order[i].left, r->out_of_order[i].right));
		REQUIRE(seq_le(r->out_of_order[i].right, r->edge));
	}
}

static void check(const struct world *w)
{
	const struct tcp *t = w->t;
	if (t->state == TCP_CLOSED)
		return;
	if (tcp_synchronized(t)) {
		REQUIRE(t->congestion.cwnd > 0 && t->mss >= TCP_MSS_FLOOR - TCP_TIMESTAMP_BYTES);
		REQUIRE(t->nxt_offset - w->tx.start + t->fin_sent - (t->fin_sent && t->snd_una == t->fin_seq + 1) ==
			tcp_flight(t));
		REQUIRE(t->nxt_offset <= w->tx.end);
		check_scoreboard(t);
		check_receive(t);
	}
	bool unsent = tcp_may_send_data(t) && (w->tx.end > t->nxt_offset || (t->fin_queued && !t->fin_sent));
	if (tcp_flight(t) || unsent || t->state == TCP_SYN_SENT)
		REQUIRE(tcp_deadline(t) != TCP_NEVER);
}

static void drain(struct world *w)
{
	uint8_t packet[2048];
	struct wire_segment out;
	for (uint32_t n = 0; tcp_output_due(w->t); n++) {
		size_t len = tcp_output(w->t, packet, sizeof packet, w->now_ns);
		if (len == 0)
			return;
		REQUIRE(n < SEGMENTS_MAX && len <= w->config.mtu);
		REQUIRE(wire_parse(packet, len, &out));
	}
}

static void open_connection(struct world *w, struct script *s)
{
	struct tcp_tuple tuple = {1, 2, 40000, 5672};
	tcp_config_init(&w->config);
	uint32_t choice = take(s, 1);
	w->config.mtu = choice & 1 ? 576 : 1500;
	w->config.receive_bytes = choice & 2 ? 4096 : 65536;
	w->config.delayed_ack_ns = choice & 4 ? 0 : w->config.delayed_ack_ns;
	w->config.user_timeout_ns = choice & 8 ? 0 : w->config.user_timeout_ns;
	w->config.control = (enum tcp_control)(take(s, 1) % 3);
	w->config.cwnd_max_bytes = 1u << 16;
	w->config.restart_after_idle = choice & 1;
	w->config.keepalive_idle_ns = choice & 4 ? 1000000000u : 0;
	w->config.ecn = choice & 2;
	w->isn = choice & 16 ? 0xfffffff0u : 1000;
	w->t = tcp_init(memory, &w->config);
	extents_init(&w->tx);
	REQUIRE(tcp_open(w->t, &tuple, w->isn, &w->tx, w->now_ns) == 0);
	if (choice & 32)
		return;
	struct tcp_segment syn = {.tuple = tuple, .seq = choice & 64 ? 0xfffffff8u : 5000, .ack = w->isn + 1};
	syn.flags = TCP_SYN | TCP_ACK | TCP_ECE;
	syn.window = (uint16_t)take(s, 2);
	uint32_t offers = take(s, 1);
	syn.mss = offers & 1 ? 1460 : (uint16_t)take(s, 2);
	syn.has_timestamps = offers & 2;
	syn.ts_value = 100;
	syn.sack_permitted = offers & 4;
	syn.has_window_scale = offers & 8;
	syn.window_scale = (uint8_t)(offers >> 4) < 14 ? (uint8_t)(offers >> 4) : 14;
	drain(w);
	tcp_input(w->t, &syn, w->now_ns);
}

static void segment(struct world *w, struct script *s)
{
	static const uint8_t usual[] = {TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN, TCP_RST, TCP_SYN};
	struct tcp *t = w->t;
	struct tcp_segment in = {.tuple = t->tuple};
	uint32_t shape = take(s, 1);
	in.flags = (shape & 7) < 6 ? usual[shape & 7] : (uint8_t)take(s, 1);
	in.seq = take_near(s, t->rcv_nxt, t->receive.edge);
	in.ack = take_near(s, t->snd_una, t->snd_nxt);
	in.window = shape & 8 ? 65535 : (uint16_t)take(s, 2);
	in.ecn_ce = shape & 64;
	in.has_timestamps = t->timestamps != ((shape & 0xc0) == 0xc0);
	in.ts_value = take_near(s, t->ts_recent, 0);
	in.ts_echo = tcp_timestamp(w->now_ns);
	in.sack_count = shape & 16 ? take(s, 1) % 5 : 0;
	for (uint32_t i = 0; i < in.sack_count; i++) {
		in.sack[i].left = take_near(s, t->snd_una, t->snd_nxt);
		in.sack[i].right = take_near(s, in.sack[i].left + t->mss, t->snd_nxt);
	}
	if (in.flags & TCP_SYN) {
		in.mss = (uint16_t)take(s, 2);
		in.sack_permitted = in.mss & 1;
	}
	in.payload_len = shape & 32 ? take(s, 2) % 3000 : 0;
	uint8_t *payload = malloc(in.payload_len ? in.payload_len : 1); /* of its own: reads beyond it are seen */
	memset(payload, 0x5a, in.payload_len);
	in.payload = payload;
	tcp_input(t, &in, w->now_ns);
	free(payload);
	REQUIRE(w->tx.start == tcp_acked(t));
}

static void push(struct world *w, uint32_t len)
{
	if (w->t->fin_queued || w->t->state == TCP_CLOSED || len == 0)
		return;
	uint64_t allowed = tcp_may_push(w->t);
	len = len < allowed ? len : (uint32_t)allowed;
	len = len < STREAM_BYTES / 2 ? len : STREAM_BYTES / 2;
	if (len && extents_push(&w->tx, stream + w->tx.end % (STREAM_BYTES / 2), len, len & 1))
		tcp_pushed(w->t);
}

static void advance(struct world *w, uint32_t how)
{
	uint64_t at_ns = tcp_deadline(w->t);
	if (how & 1)
		w->now_ns += (uint64_t)how << 14;
	else if (at_ns != TCP_NEVER && at_ns > w->now_ns)
		w->now_ns = at_ns;
	tcp_timer(w->t, w->now_ns);
}

static void consume(struct world *w, uint32_t how)
{
	uint32_t len;
	tcp_readable(w->t, &len);
	tcp_consume(w->t, how & 1 ? len : len / 2, w->now_ns);
}

static void step(struct world *w, struct script *s)
{
	uint32_t op = take(s, 1);
	switch (op & 15) {
	case 0:
	case 1:
		push(w, take(s, 2));
		break;
	case 2:
	case 3:
		advance(w, op >> 4);
		break;
	case 4:
		consume(w, op >> 4);
		break;
	case 5:
		tcp_icmp(w->t, 3, (uint8_t)take(s, 1) & 15, take_near(s, w->t->snd_una, w->t->snd_nxt),
			 (uint16_t)take(s, 2), w->now_ns);
		break;
	case 6:
		if (op >> 4 == 0)
			tcp_abort(w->t, w->now_ns);
		else if (op >> 4 < 4)
			tcp_close(w->t, w->now_ns);
		break;
	default:
		segment(w, s);
	}
	if (!(op & 0x80)) { /* else several things happen between two looks at the output */
		drain(w);
		check(w);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct world w = {.now_ns = 1000000000000ull};
	open_connection(&w, &s);
	while (s.left)
		step(&w, &s);
	drain(&w);
	check(&w);
	return 0;
}
