/* FIN in every state, and how connections end. */
#include "fixture.h"

static void expect_fin(struct fixture *f, uint32_t offset)
{
	assert_true(output(f));
	assert_true(f->out.flags & WIRE_FIN);
	assert_int_equal(f->out.seq + f->out.len, sent(f, offset));
}

static void orderly_close_from_our_side(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 100);
	tcp_close(f->t, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_FIN_WAIT_1);
	assert_int_equal(tcp_may_push(f->t), 0);
	expect_fin(f, 100);
	assert_int_equal(f->out.len, 100);
	ack(f, 101);
	assert_int_equal(tcp_state_of(f->t), TCP_FIN_WAIT_2);
	assert_int_equal(tcp_acked(f->t), 100);
	data_from_peer(f, 0, 30); /* half closed: the peer may go on */
	expect_ack(f, 30);
	f->peer_next = 30;
	ack_flags(f, 101, WIRE_ACK | WIRE_FIN);
	assert_int_equal(tcp_state_of(f->t), TCP_TIME_WAIT);
	expect_ack(f, 31);
	assert_false(tcp_peer_finished(f->t));
	tcp_consume(f->t, 30, f->now);
	assert_true(tcp_peer_finished(f->t));
	ack_flags(f, 101, WIRE_ACK | WIRE_FIN); /* our ACK was lost */
	expect_ack(f, 31);
	pass_deadline(f, f->config.time_wait_ns);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), 0);
}

static void orderly_close_from_the_peers_side(void **state)
{
	struct fixture *f = *state;
	establish(f);
	ack_flags(f, 0, WIRE_ACK | WIRE_FIN);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSE_WAIT);
	assert_true(tcp_peer_finished(f->t));
	expect_ack(f, 1);
	push(f, 10); /* our side is still open */
	expect_data(f, 0, 10);
	f->peer_next = 1;
	ack(f, 10);
	tcp_close(f->t, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_LAST_ACK);
	expect_fin(f, 10);
	ack(f, 11);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), 0);
}

static void simultaneous_close(void **state)
{
	struct fixture *f = *state;
	establish(f);
	tcp_close(f->t, f->now);
	expect_fin(f, 0);
	ack_flags(f, 0, WIRE_ACK | WIRE_FIN);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSING);
	expect_ack(f, 1);
	f->peer_next = 1;
	ack(f, 1);
	assert_int_equal(tcp_state_of(f->t), TCP_TIME_WAIT);
}

static void fin_that_acknowledges_ours_goes_to_time_wait(void **state)
{
	struct fixture *f = *state;
	establish(f);
	tcp_close(f->t, f->now);
	expect_fin(f, 0);
	ack_flags(f, 1, WIRE_ACK | WIRE_FIN);
	assert_int_equal(tcp_state_of(f->t), TCP_TIME_WAIT);
}

static void lost_fin_is_retransmitted(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 100);
	drain(f);
	tcp_close(f->t, f->now);
	expect_fin(f, 100);
	pass_deadline(f, 50 * MS);
	expect_fin(f, 100);
	assert_int_equal(f->out.len, 100); /* cut anew, with the data before it */
	ack(f, 100);
	pass_deadline(f, 100 * MS);
	expect_fin(f, 100);
	assert_int_equal(f->out.len, 0);
	ack(f, 101);
	assert_int_equal(tcp_state_of(f->t), TCP_FIN_WAIT_2);
}

static void close_while_opening(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	drain(f);
	tcp_close(f->t, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), 0);
}

static void close_in_simultaneous_open_waits_for_its_end(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	drain(f);
	struct wire_segment s = syn_ack(f);
	s.flags = WIRE_SYN;
	input(f, &s);
	drain(f);
	tcp_close(f->t, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_RECEIVED);
	ack(f, 0);
	assert_int_equal(tcp_state_of(f->t), TCP_FIN_WAIT_1);
	expect_fin(f, 0);
}

static void fin_beyond_a_gap_waits_for_it(void **state)
{
	struct fixture *f = *state;
	establish(f);
	struct wire_segment s = from_peer(f, 0);
	s.seq = theirs(f, 50);
	s.flags |= WIRE_FIN;
	s.payload = f->stream + 50;
	s.len = 50;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	expect_ack(f, 0);
	data_from_peer(f, 0, 50);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSE_WAIT);
	expect_ack(f, 101);
}

static void data_after_fin_is_not_taken(void **state)
{
	struct fixture *f = *state;
	establish(f);
	ack_flags(f, 0, WIRE_ACK | WIRE_FIN);
	expect_ack(f, 1);
	f->peer_next = 1;
	data_from_peer(f, 1, 10);
	uint32_t len;
	tcp_readable(f->t, &len);
	assert_int_equal(len, 0);
	expect_ack(f, 1);
}

static void a_fin_in_front_of_held_octets_is_a_lie(void **state)
{
	struct fixture *f = *state;
	establish(f);
	data_from_peer(f, 100, 100);
	struct wire_segment s = from_peer(f, 0);
	s.seq = theirs(f, 50);
	s.flags |= WIRE_FIN;
	input(f, &s);
	data_from_peer(f, 0, 100);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
}

/* Brings a connection to each synchronized state, in the order of enum tcp_state. */
static void reach(struct fixture *f, enum tcp_state state)
{
	establish(f);
	if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK) {
		ack_flags(f, 0, WIRE_ACK | WIRE_FIN);
		f->peer_next = 1;
	}
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		tcp_close(f->t, f->now);
	drain(f);
	if (state == TCP_FIN_WAIT_2 || state == TCP_TIME_WAIT)
		ack(f, 1);
	if (state == TCP_CLOSING || state == TCP_TIME_WAIT) {
		ack_flags(f, state == TCP_TIME_WAIT, WIRE_ACK | WIRE_FIN);
		f->peer_next = 1;
	}
	drain(f);
	assert_int_equal(tcp_state_of(f->t), state);
}

static void for_each_synchronized(void **state, void (*check)(struct fixture *f, enum tcp_state in))
{
	uint32_t isn = ((struct fixture *)*state)->isn;
	teardown(state);
	for (int in = TCP_ESTABLISHED; in <= TCP_TIME_WAIT; in++) {
		*state = (void *)(uintptr_t)isn;
		setup(state);
		reach(*state, in);
		check(*state, in);
		if (in != TCP_TIME_WAIT)
			teardown(state);
	}
}

static void check_exact_reset(struct fixture *f, enum tcp_state in)
{
	ack_flags(f, 0, WIRE_RST);
	bool finished = in == TCP_CLOSING || in == TCP_LAST_ACK || in == TCP_TIME_WAIT;
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), finished ? 0 : HW_ERR_CONN_RESET);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
	expect_silence(f);
}

static void exact_reset_ends_every_state(void **state)
{
	for_each_synchronized(state, check_exact_reset);
}

static void check_syn(struct fixture *f, enum tcp_state in)
{
	ack_flags(f, 0, WIRE_SYN);
	assert_int_equal(tcp_state_of(f->t), in);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_ACK);
	expect_silence(f);
}

static void syn_is_challenged_in_every_state(void **state)
{
	for_each_synchronized(state, check_syn);
}

static void check_abort(struct fixture *f, enum tcp_state in)
{
	uint32_t nxt = f->t->snd_nxt;
	tcp_abort(f->t, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_ABORTED);
	if (in < TCP_CLOSING)
		expect_reset(f, nxt);
	expect_silence(f);
}

static void abort_resets_unless_both_sides_have_finished(void **state)
{
	for_each_synchronized(state, check_abort);
}

static void check_no_ack_bit(struct fixture *f, enum tcp_state in)
{
	struct wire_segment s = from_peer(f, 0);
	s.flags = WIRE_PSH;
	s.payload = f->stream;
	s.len = 10;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), in);
	expect_silence(f);
}

static void segments_without_ack_bit_are_dropped_in_every_state(void **state)
{
	for_each_synchronized(state, check_no_ack_bit);
}

/* RabbitMQ sends connection.close and, microseconds later, a reset. */
static void data_before_a_reset_stays_readable(void **state)
{
	struct fixture *f = *state;
	establish(f);
	data_from_peer(f, 0, 60);
	f->peer_next = 60;
	ack_flags(f, 0, WIRE_RST | WIRE_ACK);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_RESET);
	uint32_t len;
	assert_memory_equal(tcp_readable(f->t, &len), f->stream, 60);
	assert_int_equal(len, 60);
	tcp_consume(f->t, 60, f->now);
	tcp_readable(f->t, &len);
	assert_int_equal(len, 0);
}

static void abort_while_opening_resets_only_what_the_peer_can_know(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	tcp_abort(f->t, f->now);
	expect_silence(f);
	struct tcp_tuple tuple = {US_IP, PEER_IP, US_PORT, PEER_PORT};
	assert_int_equal(tcp_open(f->t, &tuple, f->isn, &f->tx, f->now), 0);
	drain(f);
	tcp_abort(f->t, f->now);
	expect_reset(f, f->isn + 1);
}

/* RFC 7323, 3.2. The wire's parser has checked the length and the checksum. */
static void a_reset_carries_timestamps_where_they_were_agreed(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 1000;
	establish(f);
	uint32_t agreed = f->out.ts_value;
	f->now += 100 * MS;
	tcp_abort(f->t, f->now);
	expect_reset(f, sent(f, 0));
	assert_true(f->out.timestamps);
	assert_int_equal(f->out.ts_echo, f->peer_ts);
	assert_true(f->out.ts_value > agreed);
	expect_silence(f);
}

static void a_reset_carries_no_timestamps_where_none_were_agreed(void **state)
{
	struct fixture *f = *state;
	establish(f);
	tcp_abort(f->t, f->now);
	expect_reset(f, sent(f, 0));
	assert_false(f->out.timestamps);
}

static void a_reset_without_an_ack_echoes_nothing(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 1000;
	establish(f);
	tcp_abort(f->t, f->now);
	drain(f);
	ack(f, 5);
	expect_reset(f, sent(f, 5));
	assert_true(f->out.timestamps);
	assert_int_equal(f->out.flags & WIRE_ACK, 0);
	assert_int_equal(f->out.ts_echo, 0);
}

static void a_closed_connection_answers_with_a_reset(void **state)
{
	struct fixture *f = *state;
	establish(f);
	tcp_abort(f->t, f->now);
	drain(f);
	ack(f, 5);
	expect_reset(f, sent(f, 5));
	struct wire_segment s = from_peer(f, 0);
	s.flags = 0;
	s.payload = f->stream;
	s.len = 9;
	input(f, &s);
	expect_reset(f, 0);
	assert_int_equal(f->out.ack, theirs(f, 9));
	ack_flags(f, 0, WIRE_RST);
	expect_silence(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(orderly_close_from_our_side),
		BOTH(orderly_close_from_the_peers_side),
		BOTH(simultaneous_close),
		BOTH(fin_that_acknowledges_ours_goes_to_time_wait),
		BOTH(lost_fin_is_retransmitted),
		BOTH(close_while_opening),
		BOTH(close_in_simultaneous_open_waits_for_its_end),
		BOTH(fin_beyond_a_gap_waits_for_it),
		BOTH(data_after_fin_is_not_taken),
		BOTH(a_fin_in_front_of_held_octets_is_a_lie),
		BOTH(exact_reset_ends_every_state),
		BOTH(syn_is_challenged_in_every_state),
		BOTH(abort_resets_unless_both_sides_have_finished),
		BOTH(segments_without_ack_bit_are_dropped_in_every_state),
		BOTH(data_before_a_reset_stays_readable),
		BOTH(abort_while_opening_resets_only_what_the_peer_can_know),
		BOTH(a_reset_carries_timestamps_where_they_were_agreed),
		BOTH(a_reset_carries_no_timestamps_where_none_were_agreed),
		BOTH(a_reset_without_an_ack_echoes_nothing),
		BOTH(a_closed_connection_answers_with_a_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
