/* What the peer sends: order, SACK blocks, windows, delayed ACKs. */
#include "fixture.h"

static void expect_readable(struct fixture *f, uint32_t offset, uint32_t len)
{
	uint32_t n;
	const uint8_t *p = tcp_readable(f->t, &n);
	assert_int_equal(n, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(p[i], octet_at(offset + i));
}

static void in_order_data_is_readable_and_acknowledged(void **state)
{
	struct fixture *f = *state;
	establish(f);
	data_from_peer(f, 0, 100);
	expect_ack(f, 100);
	data_from_peer(f, 100, 50);
	expect_readable(f, 0, 150);
	tcp_consume(f->t, 120, f->now);
	expect_readable(f, 120, 30);
}

static void the_ring_wraps(void **state)
{
	struct fixture *f = *state;
	f->config.receive_bytes = 4096;
	establish(f);
	for (uint32_t at = 0; at < 40000; at += 1000) {
		data_from_peer(f, at, 1000);
		for (uint32_t left = 1000, n; left; left -= n) {
			const uint8_t *p = tcp_readable(f->t, &n);
			assert_true(n > 0 && n <= left);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(p[i], octet_at(at + 1000 - left + i));
			tcp_consume(f->t, n, f->now);
		}
		drain(f);
	}
}

static void gaps_are_sacked_most_recent_first(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	data_from_peer(f, 100, 100);
	expect_ack(f, 0);
	assert_int_equal(f->out.blocks, 1);
	data_from_peer(f, 500, 100);
	data_from_peer(f, 300, 100);
	expect_ack(f, 0);
	assert_int_equal(f->out.blocks, 3);
	const uint32_t lefts[] = {300, 500, 100};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(f->out.block[i].left, theirs(f, lefts[i]));
		assert_int_equal(f->out.block[i].right, theirs(f, lefts[i] + 100));
	}
	data_from_peer(f, 400, 100); /* joins two */
	expect_ack(f, 0);
	assert_int_equal(f->out.blocks, 2);
	assert_int_equal(f->out.block[0].left, theirs(f, 300));
	assert_int_equal(f->out.block[0].right, theirs(f, 600));
	data_from_peer(f, 0, 100);
	expect_ack(f, 200);
	data_from_peer(f, 150, 150);
	expect_ack(f, 600);
	assert_int_equal(f->out.blocks, 1); /* a D-SACK: what overlapped */
	assert_int_equal(f->out.block[0].left, theirs(f, 150));
	assert_int_equal(f->out.block[0].right, theirs(f, 200));
	expect_readable(f, 0, 600);
}

static void expect_block(const struct fixture *f, uint32_t i, uint32_t left, uint32_t right)
{
	assert_true(i < f->out.blocks);
	assert_int_equal(f->out.block[i].left, theirs(f, left));
	assert_int_equal(f->out.block[i].right, theirs(f, right));
}

/* RFC 2883, 4.1: in the first block, of one segment. */
static void what_came_twice_is_told_once(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	data_from_peer(f, 0, 300);
	expect_ack(f, 300);
	data_from_peer(f, 100, 100); /* all of it old */
	expect_ack(f, 300);
	assert_int_equal(f->out.blocks, 1);
	expect_block(f, 0, 100, 200);
	data_from_peer(f, 250, 100); /* partly */
	expect_ack(f, 350);
	assert_int_equal(f->out.blocks, 1);
	expect_block(f, 0, 250, 300);
	data_from_peer(f, 350, 10);
	expect_ack(f, 360);
	assert_int_equal(f->out.blocks, 0);
}

/* RFC 2883, 4.2 and 4.3: the block behind it is the larger one that it lies in; more gaps follow. */
static void what_came_twice_beyond_a_gap_is_told_with_its_block(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	data_from_peer(f, 1000, 500);
	data_from_peer(f, 2000, 500);
	drain(f);
	data_from_peer(f, 1200, 100);
	expect_ack(f, 0);
	assert_int_equal(f->out.blocks, 3);
	expect_block(f, 0, 1200, 1300);
	expect_block(f, 1, 1000, 1500);
	expect_block(f, 2, 2000, 2500);
	data_from_peer(f, 2400, 300); /* its second half is new */
	expect_ack(f, 0);
	assert_int_equal(f->out.blocks, 3);
	expect_block(f, 0, 2400, 2500);
	expect_block(f, 1, 2000, 2700);
}

static void what_came_twice_rides_on_data_that_leaves_room_for_it(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = f->peer_timestamps = true;
	establish(f);
	data_from_peer(f, 0, 100);
	drain(f);
	data_from_peer(f, 0, 100);
	push(f, 3000);
	assert_true(output(f));
	expect_block(f, 0, 0, 100);
	assert_int_equal(f->out.len, 1500 - 40 - 12 - 12);
	assert_int_equal(f->out_len, 1500);
	assert_true(output(f));
	assert_int_equal(f->out.blocks, 0);
	assert_int_equal(f->out.len, 1500 - 40 - 12);
}

static void without_sack_nothing_is_said_of_what_came_twice(void **state)
{
	struct fixture *f = *state;
	establish(f);
	data_from_peer(f, 0, 100);
	drain(f);
	data_from_peer(f, 0, 100);
	expect_ack(f, 100);
	assert_int_equal(f->out.blocks, 0);
	data_from_peer(f, 50, 100);
	expect_ack(f, 150);
	assert_int_equal(f->out.blocks, 0);
}

static void blocks_leave_room_for_timestamps_and_data(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = f->peer_timestamps = true;
	establish(f);
	for (uint32_t i = 0; i < 5; i++)
		data_from_peer(f, 100 + 200 * i, 100);
	push(f, 3000);
	assert_true(output(f));
	assert_int_equal(f->out.blocks, 3);
	assert_int_equal(f->out_len, 1500);
	assert_int_equal(f->out.len, 1500 - 40 - 12 - 28);
}

static void a_ninth_gap_is_dropped_and_nothing_sacked_is(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	for (uint32_t i = 0; i < 9; i++)
		data_from_peer(f, 100 + 200 * i, 100);
	drain(f);
	for (uint32_t i = 0; i < 8; i++)
		data_from_peer(f, 200 * i, 100);
	assert_true(output(f));
	assert_int_equal(f->out.ack, theirs(f, 1600));
	data_from_peer(f, 1600, 200);
	expect_readable(f, 0, 1800);
}

static void old_and_overlapping_octets_count_once(void **state)
{
	struct fixture *f = *state;
	establish(f);
	data_from_peer(f, 0, 100);
	drain(f);
	data_from_peer(f, 0, 100);
	expect_ack(f, 100);
	data_from_peer(f, 50, 100);
	expect_ack(f, 150);
	expect_readable(f, 0, 150);
}

static void octets_beyond_the_window_are_cut_off(void **state)
{
	struct fixture *f = *state;
	f->config.receive_bytes = 4096;
	establish(f);
	for (uint32_t i = 0; i < 4; i++)
		data_from_peer(f, 1000 * i, 1000);
	drain(f);
	data_from_peer(f, 4000, 1000);
	expect_ack(f, 4096);
	assert_int_equal(f->out.window, 0);
	data_from_peer(f, 4096, 10); /* a probe */
	expect_ack(f, 4096);
	assert_int_equal(f->t->counters.out_of_window, 0); /* its ACK counted */
}

static void freed_room_is_advertised_in_worthwhile_steps(void **state)
{
	struct fixture *f = *state;
	f->config.receive_bytes = 4096;
	establish(f);
	for (uint32_t i = 0; i < 4; i++)
		data_from_peer(f, 1024 * i, 1024);
	drain(f);
	tcp_consume(f->t, 1000, f->now);
	expect_silence(f);
	tcp_consume(f->t, 1000, f->now);
	expect_ack(f, 4096);
	assert_int_equal(f->out.window, 2000);
}

static void the_windows_edge_never_moves_left(void **state)
{
	struct fixture *f = *state;
	f->config.receive_bytes = 16384;
	establish(f);
	uint32_t edge = f->out.ack + f->out.window;
	for (uint32_t i = 0; i < 20; i++) {
		data_from_peer(f, i * 700, 700);
		assert_true(output(f));
		assert_true(seq_ge(f->out.ack + f->out.window, edge));
		edge = f->out.ack + f->out.window;
	}
}

static void a_large_ring_is_advertised_scaled(void **state)
{
	struct fixture *f = *state;
	f->config.receive_bytes = 1u << 18;
	f->peer_scale = 0;
	establish(f);
	assert_int_equal(f->out.window, (1u << 18) >> 2 > 65535 ? 65535 : (1u << 18) >> 2);
}

static void ack_is_delayed_and_rides_on_data(void **state)
{
	struct fixture *f = *state;
	f->config.delayed_ack_ns = MS;
	establish(f);
	data_from_peer(f, 0, 40);
	expect_silence(f);
	push(f, 100);
	expect_data(f, 0, 100);
	assert_int_equal(f->out.ack, theirs(f, 40));
	f->peer_next = 40;
	ack(f, 100);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
	data_from_peer(f, 40, 40);
	expect_silence(f);
	pass_deadline(f, MS);
	expect_ack(f, 80);
}

static void two_full_segments_or_four_small_ones_are_acknowledged_at_once(void **state)
{
	struct fixture *f = *state;
	f->config.delayed_ack_ns = MS;
	establish(f);
	data_from_peer(f, 0, 1460);
	expect_silence(f);
	data_from_peer(f, 1460, 1460);
	expect_ack(f, 2920);
	for (uint32_t i = 0; i < 3; i++)
		data_from_peer(f, 2920 + i, 1);
	expect_silence(f);
	data_from_peer(f, 2923, 1);
	expect_ack(f, 2924);
}

static void gaps_are_never_acknowledged_late(void **state)
{
	struct fixture *f = *state;
	f->config.delayed_ack_ns = MS;
	establish(f);
	data_from_peer(f, 10, 10);
	expect_ack(f, 0);
	data_from_peer(f, 0, 10);
	expect_ack(f, 20);
}

static void urgent_data_is_data(void **state)
{
	struct fixture *f = *state;
	establish(f);
	struct wire_segment s = from_peer(f, 0);
	s.flags |= WIRE_URG;
	s.payload = f->stream;
	s.len = 7;
	input(f, &s);
	expect_readable(f, 0, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(in_order_data_is_readable_and_acknowledged),
		BOTH(the_ring_wraps),
		BOTH(gaps_are_sacked_most_recent_first),
		BOTH(what_came_twice_is_told_once),
		BOTH(what_came_twice_beyond_a_gap_is_told_with_its_block),
		BOTH(what_came_twice_rides_on_data_that_leaves_room_for_it),
		BOTH(without_sack_nothing_is_said_of_what_came_twice),
		BOTH(blocks_leave_room_for_timestamps_and_data),
		BOTH(a_ninth_gap_is_dropped_and_nothing_sacked_is),
		BOTH(old_and_overlapping_octets_count_once),
		BOTH(octets_beyond_the_window_are_cut_off),
		BOTH(freed_room_is_advertised_in_worthwhile_steps),
		BOTH(the_windows_edge_never_moves_left),
		BOTH(a_large_ring_is_advertised_scaled),
		BOTH(ack_is_delayed_and_rides_on_data),
		BOTH(two_full_segments_or_four_small_ones_are_acknowledged_at_once),
		BOTH(gaps_are_never_acknowledged_late),
		BOTH(urgent_data_is_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
