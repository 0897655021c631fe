#include "fixture.h"

static void syn_offers_all_options(void **state)
{
	struct fixture *f = *state;
	f->config.receive_bytes = 1u << 20;
	open_connection(f);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN);
	assert_int_equal(f->out.seq, f->isn);
	assert_int_equal(f->out.mss, 1460);
	assert_int_equal(f->out.scale, 4);
	assert_true(f->out.sack_permitted);
	assert_true(f->out.timestamps);
	assert_int_equal(f->out.window, 65535);
	expect_silence(f);
}

static void syn_ack_establishes_and_is_acknowledged(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 77;
	establish(f);
	assert_true(f->out.timestamps);
	assert_int_equal(f->out.ts_echo, 77);
	assert_int_equal(f->t->rtt.srtt_ns, MS);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
}

static void options_the_peer_lacks_are_not_used(void **state)
{
	struct fixture *f = *state;
	f->peer_mss = 0;
	establish(f);
	push(f, 600);
	expect_data(f, 0, 536);
	assert_false(f->out.timestamps);
	assert_int_equal(f->out.window, 65535);
}

static void peer_window_is_scaled_after_the_syn_only(void **state)
{
	struct fixture *f = *state;
	f->peer_scale = 7;
	f->peer_window = 1000;
	establish(f);
	assert_int_equal(tcp_may_push(f->t), 1000);
	ack(f, 0);
	assert_int_equal(f->t->snd_wnd, 1000 << 7);
}

static void a_scale_above_14_counts_as_14(void **state)
{
	struct fixture *f = *state;
	f->peer_scale = 200;
	establish(f);
	assert_int_equal(f->t->snd_scale, 14);
}

static void unanswered_syn_is_repeated_with_back_off_until_the_timeout(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	uint64_t wait = SECOND;
	assert_true(output(f));
	for (int i = 0; i < 3; i++, wait *= 2) {
		pass_deadline(f, wait);
		assert_true(output(f));
		assert_int_equal(f->out.flags, WIRE_SYN);
		assert_int_equal(f->out.seq, f->isn);
		expect_silence(f);
	}
	pass_deadline(f, 3 * SECOND); /* 1 + 2 + 4 + 3: the connect timeout */
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_TIMEOUT);
	expect_silence(f);
}

static void lost_syn_starts_with_one_segment_and_a_cautious_timeout(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	pass_deadline(f, SECOND);
	assert_true(output(f));
	struct wire_segment s = syn_ack(f);
	input(f, &s);
	assert_int_equal(f->t->congestion.cwnd, f->t->mss);
	assert_int_equal(f->t->rto_ns, 3 * SECOND);
}

static void reset_refuses(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	struct wire_segment s = syn_ack(f);
	s.flags = WIRE_RST | WIRE_ACK;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_REFUSED);
}

static void reset_that_acknowledges_something_else_is_ignored(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	struct wire_segment s = syn_ack(f);
	s.flags = WIRE_RST | WIRE_ACK;
	s.ack = f->isn;
	input(f, &s);
	s.ack = f->isn + 2;
	input(f, &s);
	s.flags = WIRE_RST;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_SENT);
	expect_silence(f);
}

static void ack_of_an_older_connection_is_answered_with_a_reset(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	struct wire_segment s = from_peer(f, 5000);
	input(f, &s);
	expect_reset(f, s.ack);
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_SENT);
	s = syn_ack(f);
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
}

static void simultaneous_open(void **state)
{
	struct fixture *f = *state;
	f->peer_scale = 2;
	open_connection(f);
	assert_true(output(f));
	struct wire_segment s = syn_ack(f);
	s.flags = WIRE_SYN;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_RECEIVED);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN | WIRE_ACK);
	assert_int_equal(f->out.seq, f->isn);
	assert_int_equal(f->out.ack, theirs(f, 0));
	s.flags = WIRE_SYN | WIRE_ACK;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	assert_int_equal(f->t->snd_wnd, 65535); /* a SYN's window is unscaled */
	expect_ack(f, 0);
	push(f, 100);
	expect_data(f, 0, 100);
	ack(f, 100);
	assert_int_equal(tcp_acked(f->t), 100);
}

static void simultaneous_open_completes_with_a_bare_ack_after_a_lost_syn_ack(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	struct wire_segment s = syn_ack(f);
	s.flags = WIRE_SYN;
	input(f, &s);
	assert_true(output(f));
	pass_deadline(f, SECOND);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN | WIRE_ACK);
	ack(f, 0);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
}

static void data_on_the_syn_ack_is_taken(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	struct wire_segment s = syn_ack(f);
	s.payload = f->stream;
	s.len = 10;
	input(f, &s);
	uint32_t len;
	assert_memory_equal(tcp_readable(f->t, &len), f->stream, 10);
	assert_int_equal(len, 10);
	expect_ack(f, 10);
}

static void pushed_before_open_goes_out_after(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_int_equal(tcp_may_push(f->t), 0);
	push(f, 50);
	assert_true(output(f));
	expect_silence(f);
	struct wire_segment s = syn_ack(f);
	input(f, &s);
	expect_data(f, 0, 50); /* and carries the ACK */
	assert_int_equal(f->out.ack, theirs(f, 0));
	expect_silence(f);
}

static void opening_twice_is_refused(void **state)
{
	struct fixture *f = *state;
	establish(f);
	struct tcp_tuple tuple = {US_IP, PEER_IP, US_PORT, PEER_PORT};
	assert_int_equal(tcp_open(f->t, &tuple, 1, &f->tx, f->now), HW_ERR_BUSY);
}

static void can_be_opened_again_after_its_end(void **state)
{
	struct fixture *f = *state;
	establish(f);
	tcp_abort(f->t, f->now);
	drain(f);
	struct tcp_tuple tuple = {US_IP, PEER_IP, US_PORT, PEER_PORT};
	extents_init(&f->tx);
	assert_int_equal(tcp_open(f->t, &tuple, f->isn, &f->tx, f->now), 0);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN);
	assert_int_equal(tcp_error(f->t), 0);
}

static void initial_sequence_depends_on_tuple_secret_and_time(void **state)
{
	struct tcp_tuple a = {1, 2, 3, 4}, b = {1, 2, 3, 5};
	uint8_t s1[16] = {1}, s2[16] = {2};
	uint32_t x = tcp_initial_sequence(s1, &a, 0);
	assert_int_not_equal(x, tcp_initial_sequence(s1, &b, 0));
	assert_int_not_equal(x, tcp_initial_sequence(s2, &a, 0));
	assert_int_equal(tcp_initial_sequence(s1, &a, 4096 * 1000) - x, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(syn_offers_all_options),
		BOTH(syn_ack_establishes_and_is_acknowledged),
		BOTH(options_the_peer_lacks_are_not_used),
		BOTH(peer_window_is_scaled_after_the_syn_only),
		BOTH(a_scale_above_14_counts_as_14),
		BOTH(unanswered_syn_is_repeated_with_back_off_until_the_timeout),
		BOTH(lost_syn_starts_with_one_segment_and_a_cautious_timeout),
		BOTH(reset_refuses),
		BOTH(reset_that_acknowledges_something_else_is_ignored),
		BOTH(ack_of_an_older_connection_is_answered_with_a_reset),
		BOTH(simultaneous_open),
		BOTH(simultaneous_open_completes_with_a_bare_ack_after_a_lost_syn_ack),
		BOTH(data_on_the_syn_ack_is_taken),
		BOTH(pushed_before_open_goes_out_after),
		BOTH(opening_twice_is_refused),
		BOTH(can_be_opened_again_after_its_end),
		cmocka_unit_test(initial_sequence_depends_on_tuple_secret_and_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
