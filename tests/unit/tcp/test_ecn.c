/* Explicit congestion notification (RFC 3168). */
#include "fixture.h"

#define MSS 1460u
#define ECT 2
#define CE  3

static void establish_with_ecn(struct fixture *f)
{
	f->config.ecn = true;
	open_connection(f);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN | WIRE_ECE | WIRE_CWR);
	assert_int_equal(f->out.ecn, 0);
	f->now += MS;
	struct wire_segment s = syn_ack(f);
	s.flags |= WIRE_ECE;
	input(f, &s);
	expect_ack(f, 0);
	assert_int_equal(f->out.ecn, 0);
	struct tcp_info info;
	tcp_info_get(f->t, &info);
	assert_true(info.ecn);
}

static void new_data_is_ect_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	establish_with_ecn(f);
	push(f, 2 * MSS);
	expect_data(f, 0, MSS);
	assert_int_equal(f->out.ecn, ECT);
	expect_data(f, MSS, MSS);
	assert_int_equal(f->out.ecn, ECT);
	data_from_peer(f, 10, 10); /* beyond a gap: SACKed, and new data leaves the slow way */
	expect_ack(f, 0);
	assert_int_equal(f->out.ecn, 0);
	push(f, 100);
	expect_data(f, 2 * MSS, 100);
	assert_int_equal(f->out.ecn, ECT);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, MSS);
	assert_int_equal(f->out.ecn, 0);
	ack(f, 2 * MSS + 100);
	tcp_close(f->t, f->now);
	assert_true(output(f));
	assert_true(f->out.flags & WIRE_FIN);
	assert_int_equal(f->out.ecn, 0);
	tcp_abort(f->t, f->now);
	assert_true(output(f));
	assert_int_equal(f->out.ecn, 0);
}

static void not_asked_for_is_not_used(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN);
	struct wire_segment s = syn_ack(f);
	s.flags |= WIRE_ECE;
	input(f, &s);
	drain(f);
	push(f, 100);
	expect_data(f, 0, 100);
	assert_int_equal(f->out.ecn, 0);
	struct wire_segment marked = from_peer(f, 0);
	marked.payload = f->stream;
	marked.len = 10;
	marked.ecn = CE;
	input(f, &marked);
	expect_ack(f, 10);
	assert_int_equal(f->t->counters.ecn_ce, 0);
}

static void a_peer_that_mirrors_the_flags_has_not_agreed(void **state)
{
	struct fixture *f = *state;
	f->config.ecn = true;
	open_connection(f);
	drain(f);
	struct wire_segment s = syn_ack(f);
	s.flags |= WIRE_ECE | WIRE_CWR;
	input(f, &s);
	drain(f);
	push(f, 100);
	expect_data(f, 0, 100);
	assert_int_equal(f->out.ecn, 0);
}

static void a_repeated_syn_asks_for_nothing(void **state)
{
	struct fixture *f = *state;
	f->config.ecn = true;
	open_connection(f);
	drain(f);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN);
	struct wire_segment s = syn_ack(f);
	s.flags |= WIRE_ECE;
	input(f, &s);
	assert_false(f->t->ecn.on);
}

static void an_echo_is_answered_once_a_round_trip_and_with_cwr(void **state)
{
	struct fixture *f = *state;
	establish_with_ecn(f);
	push(f, 10 * MSS);
	assert_int_equal(drain(f), 10);
	ack_flags(f, MSS, WIRE_ACK | WIRE_ECE);
	assert_int_equal(f->t->congestion.cwnd, 5 * MSS);
	ack_flags(f, 8 * MSS, WIRE_ACK | WIRE_ECE); /* nor does it make the window grow */
	assert_int_equal(f->t->congestion.cwnd, 5 * MSS);
	assert_int_equal(f->t->counters.ecn_reductions, 1);
	push(f, 2 * MSS);
	expect_data(f, 10 * MSS, MSS);
	assert_true(f->out.flags & WIRE_CWR);
	expect_data(f, 11 * MSS, MSS);
	assert_false(f->out.flags & WIRE_CWR);
	ack_flags(f, 10 * MSS, WIRE_ACK | WIRE_ECE); /* the peer has not seen the CWR yet */
	assert_int_equal(f->t->counters.ecn_reductions, 1);
	ack_flags(f, 11 * MSS, WIRE_ACK | WIRE_ECE);
	assert_int_equal(f->t->counters.ecn_reductions, 2);
}

static void an_echo_during_recovery_reduces_nothing_further(void **state)
{
	struct fixture *f = *state;
	establish_with_ecn(f);
	push(f, 10 * MSS);
	drain(f);
	for (int i = 0; i < 3; i++)
		ack(f, 0);
	expect_data(f, 0, MSS);
	assert_int_equal(f->out.ecn, 0);
	assert_false(f->out.flags & WIRE_CWR);
	uint32_t ssthresh = f->t->congestion.ssthresh;
	ack_flags(f, 2 * MSS, WIRE_ACK | WIRE_ECE);
	assert_int_equal(f->t->congestion.ssthresh, ssthresh);
	assert_int_equal(f->t->counters.ecn_reductions, 0);
}

static void report_twice(struct fixture *f, uint32_t acked, uint32_t left, uint32_t right)
{
	struct wire_segment s = from_peer(f, acked);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, left), sent(f, right)};
	input(f, &s);
}

/* The mark came after the recovery, and says something of its own. */
static void an_echo_stays_answered_when_an_earlier_recovery_is_undone(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish_with_ecn(f);
	push(f, 10 * MSS);
	assert_int_equal(drain(f), 10);
	report_twice(f, 0, MSS, 9 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_RECOVERY);
	expect_data(f, 0, MSS);
	drain(f);
	ack(f, 10 * MSS);
	push(f, 4 * MSS);
	assert_int_equal(drain(f), 4);
	ack_flags(f, 11 * MSS, WIRE_ACK | WIRE_ECE);
	assert_int_equal(f->t->counters.ecn_reductions, 1);
	uint32_t cwnd = f->t->congestion.cwnd;
	report_twice(f, 11 * MSS, 0, MSS);
	assert_int_equal(f->t->counters.dsack_received, 1);
	assert_int_equal(f->t->congestion.cwnd, cwnd);
	assert_int_equal(f->t->counters.undo, 0);
}

static void marked_data_is_echoed_until_the_peer_has_slowed_down(void **state)
{
	struct fixture *f = *state;
	establish_with_ecn(f);
	struct wire_segment s = from_peer(f, 0);
	s.payload = f->stream;
	s.len = 10;
	s.ecn = CE;
	input(f, &s);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_ACK | WIRE_ECE);
	push(f, 100);
	expect_data(f, 0, 100);
	assert_true(f->out.flags & WIRE_ECE);
	data_from_peer(f, 10, 10);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_ACK | WIRE_ECE);
	f->peer_next = 20;
	s = from_peer(f, 0);
	s.payload = f->stream + 20;
	s.len = 10;
	s.flags |= WIRE_CWR;
	input(f, &s);
	expect_ack(f, 30);
	assert_int_equal(f->t->counters.ecn_ce, 1);
}

static void a_probe_of_a_closed_window_is_not_ect(void **state)
{
	struct fixture *f = *state;
	establish_with_ecn(f);
	f->peer_window = 0;
	ack(f, 0);
	push(f, 100);
	expect_silence(f);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, 1);
	assert_int_equal(f->out.ecn, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(new_data_is_ect_and_nothing_else),
		BOTH(not_asked_for_is_not_used),
		BOTH(a_peer_that_mirrors_the_flags_has_not_agreed),
		BOTH(a_repeated_syn_asks_for_nothing),
		BOTH(an_echo_is_answered_once_a_round_trip_and_with_cwr),
		BOTH(an_echo_stays_answered_when_an_earlier_recovery_is_undone),
		BOTH(an_echo_during_recovery_reduces_nothing_further),
		BOTH(marked_data_is_echoed_until_the_peer_has_slowed_down),
		BOTH(a_probe_of_a_closed_window_is_not_ect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
