/* Tail loss probes (RFC 8985, 7), and how long the peer delays its ACKs. */
#include "fixture.h"

#define MSS 1460u

/* After a handshake of 1 ms: two SRTT and TCP_PTO_MIN_NS. */
#define PTO (2 * MS + MS / 10)

static void sack_one(struct fixture *f, uint32_t acked, uint32_t left, uint32_t right)
{
	struct wire_segment s = from_peer(f, acked);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, left), sent(f, right)};
	input(f, &s);
}

static void establish_with_sack(struct fixture *f)
{
	f->peer_sack = true;
	establish(f);
}

static void send_segments(struct fixture *f, uint32_t n)
{
	push(f, n * MSS);
	assert_int_equal(drain(f), n);
}

/* Long after the handshake, with a peer that has answered everything after 1 ms. */
static void establish_with_prompt_peer(struct fixture *f)
{
	establish_with_sack(f);
	for (int period = 0; period < 2; period++) {
		f->now += TCP_RTT_PERIOD_NS;
		for (int i = 0; i < 20; i++) {
			push(f, MSS);
			assert_int_equal(drain(f), 1);
			f->now += MS;
			ack(f, (uint32_t)tcp_sent(f->t));
		}
	}
	assert_int_equal(f->t->rtt.delay_ns, 0);
}

static void the_lost_end_of_a_burst_is_repaired_by_a_probe(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	uint32_t cwnd = f->t->congestion.cwnd;
	send_segments(f, 4);
	pass_deadline(f, PTO);
	expect_data(f, 3 * MSS, MSS);
	expect_silence(f);
	f->now += MS;
	sack_one(f, 2 * MSS, 3 * MSS, 4 * MSS); /* the third was lost as well: RACK's turn */
	expect_data(f, 2 * MSS, MSS);
	f->now += MS;
	ack(f, 4 * MSS);
	assert_int_equal(f->t->counters.rto_fired, 0);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_true(f->t->congestion.cwnd < cwnd); /* it was a loss, if a small one */
}

/* Of what lies beyond a gap a peer echoes no timestamp (RFC 7323, 4.3): the report alone says that the probe has come.
 */
static void with_timestamps_too_a_reported_probe_tells_of_what_was_lost_before_it(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	establish_with_sack(f);
	uint32_t mss = f->t->mss, echo = tcp_timestamp(f->now);
	push(f, 4 * mss);
	assert_int_equal(drain(f), 4);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 3 * mss, mss);
	f->now += 2ull << TCP_TIMESTAMP_SHIFT;
	struct wire_segment s = from_peer(f, 2 * mss);
	s.ts_echo = echo;
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, 3 * mss), sent(f, 4 * mss)};
	input(f, &s);
	expect_data(f, 2 * mss, mss);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

static void the_lost_last_segment_costs_two_round_trips_of_a_prompt_peer(void **state)
{
	struct fixture *f = *state;
	establish_with_prompt_peer(f);
	uint32_t at = (uint32_t)tcp_acked(f->t);
	send_segments(f, 3);
	f->now += MS;
	ack(f, at + 2 * MSS);
	assert_in_range(tcp_deadline(f->t) - f->now, 2 * MS, 2 * MS + MS / 5);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, at + 2 * MSS, MSS);
	f->now += MS;
	ack(f, at + 3 * MSS);
	assert_int_equal(f->t->counters.rto_fired, 0);
	push(f, 100);
	drain(f);
	uint32_t cwnd = f->t->congestion.cwnd;
	ack(f, at + 3 * MSS + 100); /* no D-SACK in between: the probe came once, so the segment had been lost */
	assert_int_equal(f->t->counters.tlp_recovered, 1);
	assert_true(f->t->congestion.cwnd < cwnd);
}

static void a_lone_segment_is_given_the_delay_seen_of_the_peer(void **state)
{
	struct fixture *f = *state;
	establish_with_prompt_peer(f);
	push(f, 100);
	drain(f);
	f->now += 20 * MS; /* not long enough for the timeout: 50 ms */
	f->t->timers[TCP_TIMER_RETRANSMIT] = f->t->rto_at_ns;
	ack(f, (uint32_t)tcp_sent(f->t));
	struct tcp_info info;
	tcp_info_get(f->t, &info);
	assert_int_equal(info.ack_delay_ns, 19 * MS);
	assert_int_equal(f->t->pto_lone_ns - f->t->pto_ns, 19 * MS);
	push(f, 100);
	drain(f);
	pass_deadline(f, f->t->pto_lone_ns);
	assert_true(output(f));
	assert_int_equal(f->t->counters.tlp_probes, 1);
}

static void until_the_peer_is_known_it_may_delay_like_linux(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	push(f, 100);
	drain(f);
	pass_deadline(f, PTO + 40 * MS);
	expect_data(f, 0, 100);
	assert_int_equal(f->t->counters.tlp_probes, 1);
	pass_deadline(f, 50 * MS);
	expect_data(f, 0, 100);
	assert_int_equal(f->t->counters.rto_fired, 1);
}

static void a_probe_comes_before_the_first_timeout_however_short_that_is(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	f->t->rto_ns = MS;
	push(f, 100);
	drain(f);
	pass_deadline(f, MS);
	expect_data(f, 0, 100);
	assert_int_equal(f->t->counters.rto_fired, 0);
	assert_int_equal(f->t->counters.tlp_probes, 1);
}

/* Four segments to send and room for two; the peer has acknowledged `f` so far. */
static uint32_t send_two_of_four(struct fixture *f)
{
	uint32_t at = (uint32_t)tcp_acked(f->t);
	f->t->congestion.cwnd = 2 * MSS;
	tcp_update_permission(f->t);
	push(f, 4 * MSS);
	assert_int_equal(drain(f), 2);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	return at;
}

static void new_data_is_the_better_probe(void **state)
{
	struct fixture *f = *state;
	establish_with_prompt_peer(f);
	uint32_t at = send_two_of_four(f);
	expect_data(f, at + 2 * MSS, MSS);
	expect_silence(f);
	f->now += MS;
	uint32_t cwnd = f->t->congestion.cwnd;
	ack(f, at + 3 * MSS);
	assert_true(f->t->congestion.cwnd >= cwnd);
	assert_int_equal(f->t->counters.octets_retransmitted, 0);
	assert_false(f->t->tlp.open);
}

/* Both may have arrived and their ACK be lost: new data would be answered after the delay, what came before is at once.
 */
static void what_came_before_is_the_better_probe_of_a_peer_that_delays_its_acks(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	assert_int_equal(f->t->rtt.delay_ns, 40 * MS);
	uint32_t at = send_two_of_four(f);
	expect_data(f, at + MSS, MSS);
	f->now += MS;
	sack_one(f, 2 * MSS, MSS, 2 * MSS);
	assert_int_equal(f->t->counters.tlp_needless, 1);
	assert_int_equal(drain(f), 2);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

/* A bulk transfer of 0.1 ms a round trip, and one ACK that the peer delayed. */
static void one_delayed_ack_does_not_put_the_next_probes_off(void **state)
{
	struct fixture *f = *state;
	establish_with_prompt_peer(f);
	uint32_t at = (uint32_t)tcp_acked(f->t);
	send_segments(f, 2);
	f->now += 40 * MS;
	ack(f, at + 2 * MSS);
	uint64_t srtt_ns = f->t->rtt.srtt_ns;
	assert_in_range(srtt_ns, 5 * MS, 6 * MS);
	send_segments(f, 2);
	assert_in_range(tcp_deadline(f->t) - f->now, 2 * srtt_ns, 2 * srtt_ns + MS / 5);
}

/* RFC 8985, 7.4.2: as a fast recovery begun at the probe would have; what is in flight later says nothing. */
static void a_repaired_tail_halves_what_was_in_flight_when_it_was_probed(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 6);
	pass_deadline(f, PTO);
	expect_data(f, 5 * MSS, MSS);
	f->now += MS;
	ack(f, 6 * MSS);
	push(f, 100);
	drain(f);
	ack(f, 6 * MSS + 100);
	assert_int_equal(f->t->counters.tlp_recovered, 1);
	assert_int_equal(f->t->congestion.ssthresh, 3 * MSS);
	assert_int_equal(f->t->congestion.cwnd, 3 * MSS);
}

/* It does not grow first by what the same ACK covers. */
static void the_ack_that_tells_of_a_repaired_tail_opens_no_window(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 10);
	pass_deadline(f, PTO);
	expect_data(f, 9 * MSS, MSS);
	f->now += MS;
	ack(f, 10 * MSS);
	f->t->congestion.cwnd = f->t->congestion.ssthresh = 5 * MSS; /* reduced for something else meanwhile */
	tcp_update_permission(f->t);
	send_segments(f, 5);
	ack(f, 15 * MSS);
	assert_int_equal(f->t->counters.tlp_recovered, 1);
	assert_int_equal(f->t->congestion.ssthresh, 5 * MSS / 2);
	assert_int_equal(f->t->congestion.cwnd, 5 * MSS / 2);
}

/* RFC 2883, 6: of a probe and of a retransmission after a timeout each may be reported once; a third report is the
 * network's. */
static void a_report_counts_for_each_time_something_was_sent_again(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 1);
	pass_deadline(f, PTO + 40 * MS);
	expect_data(f, 0, MSS);
	pass_deadline(f, 50 * MS);
	expect_data(f, 0, MSS);
	assert_int_equal(f->t->counters.rto_fired, 1);
	for (uint32_t i = 1; i <= 3; i++) {
		sack_one(f, MSS, 0, MSS);
		assert_int_equal(f->t->counters.dsack_received, i < 3 ? i : 2);
	}
}

static void a_report_of_what_was_acknowledged_long_ago_is_nothing(void **state)
{
	struct fixture *f = *state;
	const uint32_t last = 47 * MSS;
	establish_with_sack(f);
	for (uint32_t i = 0; i < 48; i++) {
		push(f, MSS);
		assert_int_equal(drain(f), 1);
		f->now += MS;
		if (i < 47)
			ack(f, (i + 1) * MSS);
	}
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, last, MSS);
	sack_one(f, last + MSS, 0, MSS); /* further back than any window of the peer's has reached */
	assert_int_equal(f->t->counters.dsack_received, 0);
	sack_one(f, last + MSS, last, last + MSS);
	assert_int_equal(f->t->counters.dsack_received, 1);
}

static void a_probe_that_came_twice_reduces_nothing(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	uint32_t cwnd = f->t->congestion.cwnd;
	send_segments(f, 2);
	pass_deadline(f, PTO);
	expect_data(f, MSS, MSS);
	ack(f, 2 * MSS);
	sack_one(f, 2 * MSS, MSS, 2 * MSS);
	push(f, 100);
	drain(f);
	ack(f, 2 * MSS + 100);
	assert_int_equal(f->t->counters.tlp_needless, 1);
	assert_int_equal(f->t->counters.tlp_recovered, 0);
	assert_true(f->t->congestion.cwnd >= cwnd);
}

/* What the probe repaired had been lost, whatever becomes of an earlier recovery. */
static void a_repaired_tail_stays_answered_when_an_earlier_recovery_is_undone(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 10);
	sack_one(f, 0, MSS, 9 * MSS);
	expect_data(f, 0, MSS);
	f->now += MS;
	ack(f, 10 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	push(f, 100);
	drain(f);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 10 * MSS, 100);
	f->now += MS;
	ack(f, 10 * MSS + 100);
	push(f, 100);
	drain(f);
	ack(f, 10 * MSS + 200);
	assert_int_equal(f->t->counters.tlp_recovered, 1);
	uint32_t cwnd = f->t->congestion.cwnd;
	sack_one(f, 10 * MSS + 200, 0, MSS);
	assert_int_equal(f->t->counters.dsack_received, 1);
	assert_int_equal(f->t->congestion.cwnd, cwnd);
}

static void one_probe_then_the_timeout(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	pass_deadline(f, PTO);
	expect_data(f, MSS, MSS);
	pass_deadline(f, 50 * MS);
	expect_data(f, 0, MSS);
	assert_int_equal(f->t->counters.rto_fired, 1);
	assert_int_equal(f->t->counters.tlp_probes, 1);
}

/* What is sent meanwhile puts the probe off, the timeout not; and what was sent last serves as the probe. */
static void sending_on_puts_off_the_probe_until_the_timeout_is_due(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	uint64_t start = f->now;
	for (uint32_t i = 0; i < 50; i++) {
		push(f, 100);
		assert_int_equal(drain(f), 1);
		f->now += MS;
		assert_true(tcp_deadline(f->t) > f->now || i == 49);
	}
	assert_int_equal(tcp_deadline(f->t), start + 50 * MS);
	push(f, 100);
	drain(f);
	tcp_timer(f->t, f->now);
	expect_silence(f);
	assert_int_equal(f->t->counters.octets_retransmitted, 0);
	f->now += MS;
	sack_one(f, 0, 5000, 5100);
	expect_data(f, 0, MSS); /* RACK: it has arrived, all the others are overdue */
	assert_int_equal(f->t->counters.rto_fired, 0);
}

/* Its first transmission was late and came just behind the probe: only the report of the second is no ambiguity. */
static void a_reported_duplicate_tells_when_the_probe_arrived(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	pass_deadline(f, PTO);
	expect_data(f, MSS, MSS);
	f->now += MS / 2;
	sack_one(f, 0, MSS, 2 * MSS);
	expect_silence(f);
	f->now += MS / 2;
	struct wire_segment s = from_peer(f, 0);
	s.blocks = 2;
	s.block[0] = s.block[1] = (struct wire_block){sent(f, MSS), sent(f, 2 * MSS)};
	input(f, &s);
	expect_data(f, 0, MSS);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

/* Three small messages, the last two lost: one probe repairs both, and it was no needless one. */
static void a_probe_takes_along_what_fits_a_segment(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	for (int i = 0; i < 3; i++) {
		push(f, 100);
		drain(f);
	}
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, 300);
	f->now += MS;
	struct wire_segment s = from_peer(f, 300);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, 0), sent(f, 100)}; /* only the first came twice */
	input(f, &s);
	assert_int_equal(f->t->counters.tlp_needless, 0);
	push(f, 100);
	drain(f);
	ack(f, 400);
	assert_int_equal(f->t->counters.tlp_recovered, 1);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

/* The first probe's fate is open until something newer is acknowledged; that may be lost as well. */
static void the_next_tail_is_probed_for_as_well(void **state)
{
	struct fixture *f = *state;
	establish_with_prompt_peer(f);
	for (int i = 1; i <= 5; i++) {
		push(f, 100);
		drain(f);
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		assert_true(output(f));
		f->now += MS;
		ack(f, (uint32_t)tcp_sent(f->t));
		assert_int_equal(f->t->counters.tlp_probes, i);
	}
	assert_int_equal(f->t->counters.tlp_recovered, 4);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

static void without_sack_there_is_no_probe(void **state)
{
	struct fixture *f = *state;
	establish(f);
	send_segments(f, 2);
	pass_deadline(f, 50 * MS);
	assert_int_equal(f->t->counters.rto_fired, 1);
}

static void no_probe_while_something_is_known_to_be_missing(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	f->now += MS;
	sack_one(f, 0, MSS, 2 * MSS);
	pass_deadline(f, MS / 4);
	expect_data(f, 0, MSS);
	pass_deadline(f, 50 * MS);
	assert_int_equal(f->t->counters.rto_fired, 1);
	assert_int_equal(f->t->counters.tlp_probes, 0);
}

static void a_lost_fin_is_probed_for(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	push(f, 100);
	tcp_close(f->t, f->now);
	expect_data(f, 0, 100);
	assert_int_equal(f->out.flags & WIRE_FIN, WIRE_FIN);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, 100);
	assert_int_equal(f->out.flags & WIRE_FIN, WIRE_FIN);
	assert_int_equal(f->t->counters.tlp_probes, 1);
}

/* A whole segment and the FIN, which left by itself: one probe repairs both. */
static void a_fin_keeps_nothing_in_front_of_it_out_of_the_probe(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	push(f, MSS);
	tcp_close(f->t, f->now);
	assert_int_equal(drain(f), 2);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, MSS);
	assert_int_equal(f->out.flags & WIRE_FIN, WIRE_FIN);
	assert_int_equal(f->t->counters.tlp_probes, 1);
	f->now += MS;
	ack(f, MSS + 1);
	assert_int_equal(tcp_state_of(f->t), TCP_FIN_WAIT_2);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

static void an_owner_without_buffers_gets_the_timeout_all_the_same(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	for (int i = 0; i < 3; i++) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now); /* and no tcp_output */
	}
	assert_true(f->t->counters.rto_fired >= 1);
	expect_data(f, 0, MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(the_lost_end_of_a_burst_is_repaired_by_a_probe),
		BOTH(with_timestamps_too_a_reported_probe_tells_of_what_was_lost_before_it),
		BOTH(the_lost_last_segment_costs_two_round_trips_of_a_prompt_peer),
		BOTH(a_lone_segment_is_given_the_delay_seen_of_the_peer),
		BOTH(until_the_peer_is_known_it_may_delay_like_linux),
		BOTH(a_probe_comes_before_the_first_timeout_however_short_that_is),
		BOTH(new_data_is_the_better_probe),
		BOTH(what_came_before_is_the_better_probe_of_a_peer_that_delays_its_acks),
		BOTH(one_delayed_ack_does_not_put_the_next_probes_off),
		BOTH(a_repaired_tail_halves_what_was_in_flight_when_it_was_probed),
		BOTH(the_ack_that_tells_of_a_repaired_tail_opens_no_window),
		BOTH(a_report_counts_for_each_time_something_was_sent_again),
		BOTH(a_report_of_what_was_acknowledged_long_ago_is_nothing),
		BOTH(a_probe_that_came_twice_reduces_nothing),
		BOTH(a_repaired_tail_stays_answered_when_an_earlier_recovery_is_undone),
		BOTH(one_probe_then_the_timeout),
		BOTH(sending_on_puts_off_the_probe_until_the_timeout_is_due),
		BOTH(a_reported_duplicate_tells_when_the_probe_arrived),
		BOTH(a_probe_takes_along_what_fits_a_segment),
		BOTH(the_next_tail_is_probed_for_as_well),
		BOTH(without_sack_there_is_no_probe),
		BOTH(no_probe_while_something_is_known_to_be_missing),
		BOTH(a_lost_fin_is_probed_for),
		BOTH(a_fin_keeps_nothing_in_front_of_it_out_of_the_probe),
		BOTH(an_owner_without_buffers_gets_the_timeout_all_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
