/*
 * Packets of several segments, for a device that cuts them: on the wire, and in the books, they have to be what single
 * segments are. Two connections get the same input at the same time; one sums and cuts itself, the other leaves it to
 * tests/lib/nic.h.
 */
#include "tests/lib/nic.h"
#include "tests/lib/prng.h"
#include "tests/unit/tcp/fixture.h"

#define WIRE_MAX (1u << 21)

/* What has gone out since the last look. */
struct wire {
	uint8_t octets[WIRE_MAX];
	size_t len;
	uint32_t packets, segments;
};

struct pair {
	struct fixture *single, *cut; /* the same connection twice */
	struct wire single_wire, cut_wire;
	uint64_t packets, segments; /* of `cut`, so far */
	struct prng random;
};

/* Identification and the header checksum over it are the device's own affair (tcp_output). */
static void emit(void *context, const uint8_t *packet, size_t len)
{
	struct wire *w = context;
	struct wire_segment s;
	uint8_t *copy = w->octets + w->len;
	assert_true(wire_parse(packet, len, &s));
	assert_true(w->len + len <= WIRE_MAX);
	memcpy(copy, packet, len);
	memset(copy + 4, 0, 2);
	memset(copy + 10, 0, 2);
	w->len += len;
	w->segments++;
}

/* Everything due, in packets of at most `cap` octets. */
static void send_all(struct fixture *f, struct wire *w, size_t cap)
{
	static uint8_t packet[65535];
	size_t len;
	w->len = w->packets = w->segments = 0;
	while ((len = tcp_output(f->t, packet, cap, f->now)) > 0) {
		uint32_t segment_bytes = tcp_segment_bytes(f->t, len);
		assert_true(len <= cap);
		assert_true(len == (size_t)(packet[2] << 8 | packet[3]));
		if (f->config.fill_checksum)
			emit(w, packet, len);
		else
			nic_transmit(packet, len, segment_bytes, emit, w);
		w->packets++;
	}
}

static void expect_same(struct pair *p, size_t cap)
{
	const struct tcp *a = p->single->t, *b = p->cut->t;
	send_all(p->single, &p->single_wire, p->single->config.mtu);
	send_all(p->cut, &p->cut_wire, cap);
	p->packets += p->cut_wire.packets;
	p->segments += p->cut_wire.segments;
	assert_int_equal(p->single_wire.segments, p->cut_wire.segments);
	assert_int_equal(p->single_wire.len, p->cut_wire.len);
	assert_memory_equal(p->single_wire.octets, p->cut_wire.octets, p->single_wire.len);
	assert_memory_equal(&a->counters, &b->counters, sizeof a->counters);
	assert_memory_equal(a->timers, b->timers, sizeof a->timers);
	assert_memory_equal(&a->recovery, &b->recovery, sizeof a->recovery);
	assert_memory_equal(&a->congestion, &b->congestion, sizeof a->congestion);
	assert_int_equal(a->snd_nxt, b->snd_nxt);
	assert_int_equal(a->nxt_offset, b->nxt_offset);
	assert_memory_equal(&a->rtt, &b->rtt, sizeof a->rtt);
	assert_memory_equal(&a->rack, &b->rack, sizeof a->rack);
	assert_int_equal(tcp_record_count(a), tcp_record_count(b));
	for (uint32_t i = 0; i < tcp_record_count(a); i++)
		assert_memory_equal(tcp_record_at(a, i), tcp_record_at(b, i), sizeof(struct tcp_record));
	assert_int_equal(a->state, b->state);
	assert_int_equal(tcp_may_push(a), tcp_may_push(b));
}

static void offload(struct fixture *f, uint32_t tso_bytes)
{
	f->config.fill_checksum = false;
	f->config.tso_bytes = tso_bytes;
}

static struct fixture *make(uint32_t isn)
{
	void *state = (void *)(uintptr_t)isn;
	setup(&state);
	return state;
}

static void destroy(struct fixture *f)
{
	void *state = f;
	teardown(&state);
}

/* The handshake, whose segments are to be the same, too. */
static void open_pair(struct pair *p)
{
	struct fixture *both[] = {p->single, p->cut};
	for (int i = 0; i < 2; i++)
		open_connection(both[i]);
	expect_same(p, 65535);
	for (int i = 0; i < 2; i++) {
		both[i]->now += MS;
		struct wire_segment s = syn_ack(both[i]);
		input(both[i], &s);
	}
	expect_same(p, 65535);
}

/* ---- a seeded life ---- */

static void choose_peer(struct pair *p)
{
	static const uint16_t sizes[] = {536, 1000, 1459, 1460, 8960};
	struct fixture *f = p->single;
	f->config.mtu = prng_once_in(&p->random, 4) ? 9000 : 1500;
	f->peer_mss = sizes[prng_below(&p->random, 5)];
	f->peer_scale = prng_once_in(&p->random, 3) ? -1 : (int)prng_below(&p->random, 4);
	f->peer_sack = !prng_once_in(&p->random, 3);
	f->peer_timestamps = !prng_once_in(&p->random, 2);
	f->peer_window = (uint16_t)(2000 + prng_below(&p->random, 60000));
	struct fixture *c = p->cut;
	c->config = f->config;
	c->peer_mss = f->peer_mss;
	c->peer_scale = f->peer_scale;
	c->peer_sack = f->peer_sack;
	c->peer_timestamps = f->peer_timestamps;
	c->peer_window = f->peer_window;
	offload(c, 1000 + (uint32_t)prng_below(&p->random, 65535));
}

/* Extents of odd lengths that do not merge, and long ones. */
static void push_both(struct pair *p)
{
	uint32_t len = 1 + (uint32_t)prng_below(&p->random, prng_once_in(&p->random, 3) ? 40 : 30000);
	enum extent_kind kind = prng_once_in(&p->random, 3) ? EXTENT_CONTROL : EXTENT_LOG;
	struct fixture *both[] = {p->single, p->cut};
	for (int i = 0; i < 2; i++) {
		struct fixture *f = both[i];
		if (f->tx.end + len <= STREAM_BYTES && extents_push(&f->tx, f->stream + f->tx.end, len, kind))
			tcp_pushed(f->t);
	}
}

/* An ACK for some of what is in flight, sometimes an old one, sometimes with another window or a SACK block. */
static void ack_both(struct pair *p)
{
	const struct tcp *t = p->single->t;
	uint32_t flight = t->snd_nxt - t->snd_una;
	uint32_t acked = (uint32_t)(tcp_acked(t) + (flight ? prng_below(&p->random, flight + 1) : 0));
	bool sack = p->single->peer_sack && flight > 3000 && prng_once_in(&p->random, 20);
	uint16_t window =
		prng_once_in(&p->random, 4) ? (uint16_t)prng_below(&p->random, 65536) : p->single->peer_window;
	uint32_t left = t->snd_una + 1 + (uint32_t)prng_below(&p->random, flight + 1);
	struct fixture *both[] = {p->single, p->cut};
	for (int i = 0; i < 2; i++) {
		struct fixture *f = both[i];
		f->peer_window = window;
		struct wire_segment s = from_peer(f, sack ? (uint32_t)tcp_acked(t) : acked);
		if (sack && left - t->snd_una + 100 < flight) {
			s.blocks = 1;
			s.block[0] = (struct wire_block){left, left + 100};
		}
		input(f, &s);
	}
}

/* In order, or beyond a gap, so that our segments carry SACK blocks. */
static void data_for_both(struct pair *p)
{
	uint32_t len = 1 + (uint32_t)prng_below(&p->random, 1000);
	uint32_t gap = prng_once_in(&p->random, 8) ? 500 : 0;
	struct fixture *both[] = {p->single, p->cut};
	for (int i = 0; i < 2; i++) {
		struct fixture *f = both[i];
		data_from_peer(f, f->peer_next + gap, len);
		f->peer_next += gap ? 0 : len;
		uint32_t readable;
		while (tcp_readable(f->t, &readable), readable)
			tcp_consume(f->t, readable, f->now);
	}
}

static void pass_time(struct pair *p)
{
	uint64_t at = p->single->now + prng_below(&p->random, 5 * MS);
	if (prng_once_in(&p->random, 40) && tcp_deadline(p->single->t) != TCP_NEVER)
		at = tcp_deadline(p->single->t);
	struct fixture *both[] = {p->single, p->cut};
	for (int i = 0; i < 2; i++) {
		both[i]->now = at > both[i]->now ? at : both[i]->now;
		both[i]->peer_ts++;
		tcp_timer(both[i]->t, both[i]->now);
	}
}

static void live(struct pair *p)
{
	static const size_t caps[] = {1500, 2034, 5000, 16000, 65535};
	for (int step = 0; step < 400 && p->single->t->state == TCP_ESTABLISHED; step++) {
		switch (prng_below(&p->random, 5)) {
		case 0:
		case 1:
			push_both(p);
			break;
		case 2:
			ack_both(p);
			break;
		case 3:
			data_for_both(p);
			break;
		default:
			pass_time(p);
		}
		size_t cap = caps[prng_below(&p->random, 5)];
		expect_same(p, cap < p->cut->config.mtu ? p->cut->config.mtu : cap);
	}
	tcp_close(p->single->t, p->single->now);
	tcp_close(p->cut->t, p->cut->now);
	expect_same(p, 65535);
}

static void cut_packets_are_on_the_wire_what_single_segments_are(void **state)
{
	struct pair *p = calloc(1, sizeof *p);
	for (uint64_t seed = 1; seed <= 60; seed++) {
		p->random.state = seed;
		uint32_t isn = seed % 2 ? 0x1000u : 0xfffff000u;
		p->single = make(isn);
		p->cut = make(isn);
		choose_peer(p);
		open_pair(p);
		live(p);
		destroy(p->single);
		destroy(p->cut);
	}
	assert_true(p->segments > p->packets + p->packets / 4); /* or this has compared nothing */
	free(p);
}

/* ---- one by one ---- */

/* Established, with windows that allow anything. */
static struct fixture *offloaded_mss(uint32_t tso_bytes, bool timestamps, uint16_t peer_mss)
{
	struct fixture *f = make(0x1000);
	if (peer_mss > 1460)
		f->config.mtu = (uint16_t)(peer_mss + 40);
	f->peer_mss = peer_mss;
	f->peer_timestamps = timestamps;
	offload(f, tso_bytes);
	open_connection(f);
	assert_true(tcp_output(f->t, f->packet, sizeof f->packet, f->now) > 0);
	f->now += MS;
	struct wire_segment s = syn_ack(f);
	input(f, &s);
	while (tcp_output(f->t, f->packet, sizeof f->packet, f->now) > 0)
		;
	f->t->congestion.cwnd = 1u << 20;
	f->t->snd_wnd = f->t->snd_wnd_max = 1u << 20;
	tcp_update_permission(f->t);
	return f;
}

static struct fixture *offloaded(uint32_t tso_bytes, bool timestamps)
{
	return offloaded_mss(tso_bytes, timestamps, 1460);
}

static uint32_t next_payload(struct fixture *f, size_t cap)
{
	size_t len = tcp_output(f->t, f->packet, cap, f->now);
	return len ? (uint32_t)len - f->t->header_len : 0;
}

static void a_packet_is_as_large_as_device_buffer_and_ipv4_allow(void **state)
{
	static const struct {
		uint32_t tso_bytes;
		size_t cap;
		uint32_t payload; /* of the first of 100000 octets */
	} cases[] = {
		{0, 65535, 1448},
		{1447, 65535, 1448},
		{2895, 65535, 1448},
		{2896, 65535, 2896},
		{65535, 1500, 1448},
		{65535, 1500 + 1448, 2896},
		{65535, 2948 - 1, 1448},
		{16000, 65535, 11 * 1448},
		{1u << 20, 70000, 45 * 1448}, /* total length has 16 bits */
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fixture *f = offloaded(cases[i].tso_bytes, true);
		push(f, 100000);
		assert_int_equal(tcp_segments_due(f->t), cases[i].tso_bytes > 1448);
		uint64_t before = f->t->counters.segments_sent;
		assert_int_equal(next_payload(f, cases[i].cap), cases[i].payload);
		assert_int_equal(f->t->counters.segments_sent - before, cases[i].payload / 1448);
		assert_int_equal(tcp_segment_bytes(f->t, cases[i].payload + 52), cases[i].payload > 1448 ? 1448 : 0);
		destroy(f);
	}
}

static void a_packet_has_no_more_segments_than_devices_take(void **state)
{
	struct fixture *f = offloaded_mss(65535, false, 536);
	push(f, 60000);
	assert_int_equal(next_payload(f, 65535), 64 * 536);
	destroy(f);
}

static void small_segments_are_not_left_to_the_device(void **state)
{
	struct fixture *f = offloaded_mss(65535, false, 255);
	push(f, 60000);
	assert_false(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 255);
	destroy(f);
	f = offloaded_mss(65535, false, 256);
	push(f, 60000);
	assert_true(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 64 * 256);
	destroy(f);
}

/* Drivers refuse to have such a packet cut, and it would never leave. */
static void segments_larger_than_devices_cut_are_not_left_to_them(void **state)
{
	struct fixture *f = offloaded_mss(65535, false, 9217);
	push(f, 60000);
	assert_false(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 9217);
	destroy(f);
	f = offloaded_mss(65535, false, 9216);
	push(f, 60000);
	assert_true(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 60000);
	destroy(f);
}

static void the_end_of_what_was_pushed_ends_the_packet(void **state)
{
	struct fixture *f = offloaded(65535, false);
	push(f, 1460);
	assert_false(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 1460);
	assert_int_equal(tcp_segment_bytes(f->t, 1500), 0);
	push(f, 1461);
	assert_true(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 1461);
	assert_int_equal(tcp_segment_bytes(f->t, 1501), 1460);
	assert_true(f->packet[33] & TCP_PSH);
	destroy(f);
}

static void windows_are_filled_with_whole_segments(void **state)
{
	struct fixture *f = offloaded(65535, false);
	f->t->congestion.cwnd = 10 * 1460 - 1;
	tcp_update_permission(f->t);
	push(f, 100000);
	assert_int_equal(next_payload(f, 65535), 9 * 1460);
	assert_false(f->packet[33] & TCP_PSH);
	assert_int_equal(next_payload(f, 65535), 0);
	destroy(f);
}

static void the_first_segment_of_a_packet_is_timed(void **state)
{
	struct fixture *f = offloaded(65535, false);
	push(f, 14600);
	assert_int_equal(next_payload(f, 65535), 14600);
	f->now += 3 * MS;
	ack(f, 1460);
	assert_int_equal(f->t->rtt.srtt_ns, MS - MS / 8 + 3 * MS / 8);
	destroy(f);
}

static void retransmissions_go_out_one_by_one(void **state)
{
	struct fixture *f = offloaded(65535, false);
	push(f, 14600);
	assert_int_equal(next_payload(f, 65535), 14600);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	assert_false(tcp_segments_due(f->t));
	assert_int_equal(next_payload(f, 65535), 1460);
	assert_int_equal(f->t->counters.octets_retransmitted, 1460);
	destroy(f);
}

static void data_in_front_of_a_fin_goes_out_one_by_one(void **state)
{
	struct fixture *f = offloaded(65535, false);
	assert_true(extents_push(&f->tx, f->stream, 4000, EXTENT_LOG));
	tcp_pushed(f->t);
	tcp_close(f->t, f->now);
	assert_int_equal(next_payload(f, 65535), 1460);
	assert_int_equal(next_payload(f, 65535), 1460);
	assert_int_equal(next_payload(f, 65535), 1080);
	assert_true(f->packet[33] & TCP_FIN);
	destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_packets_are_on_the_wire_what_single_segments_are),
		cmocka_unit_test(a_packet_is_as_large_as_device_buffer_and_ipv4_allow),
		cmocka_unit_test(a_packet_has_no_more_segments_than_devices_take),
		cmocka_unit_test(small_segments_are_not_left_to_the_device),
		cmocka_unit_test(segments_larger_than_devices_cut_are_not_left_to_them),
		cmocka_unit_test(the_end_of_what_was_pushed_ends_the_packet),
		cmocka_unit_test(windows_are_filled_with_whole_segments),
		cmocka_unit_test(the_first_segment_of_a_packet_is_timed),
		cmocka_unit_test(retransmissions_go_out_one_by_one),
		cmocka_unit_test(data_in_front_of_a_fin_goes_out_one_by_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
