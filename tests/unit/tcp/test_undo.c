/* Retransmissions that were not needed: noticed, and taken back. */
#include "fixture.h"

#define TICK (1ull << TCP_TIMESTAMP_SHIFT)

static uint32_t echo_now(const struct fixture *f)
{
	return (uint32_t)(f->now >> TCP_TIMESTAMP_SHIFT);
}

static void ack_echoing(struct fixture *f, uint32_t acked, uint32_t echo)
{
	struct wire_segment s = from_peer(f, acked);
	s.ts_echo = echo;
	input(f, &s);
}

static void sacks(struct fixture *f, uint32_t acked, uint32_t n, const uint32_t blocks[][2], uint32_t echo)
{
	struct wire_segment s = from_peer(f, acked);
	s.blocks = n;
	s.ts_echo = echo;
	for (uint32_t i = 0; i < n; i++)
		s.block[i] = (struct wire_block){sent(f, blocks[i][0]), sent(f, blocks[i][1])};
	input(f, &s);
}

static void sack_one(struct fixture *f, uint32_t acked, uint32_t left, uint32_t right, uint32_t echo)
{
	sacks(f, acked, 1, (const uint32_t[][2]){{left, right}}, echo);
}

/* Six segments out, then a timeout; returns the timestamp they carried. */
static uint32_t time_out(struct fixture *f)
{
	f->peer_timestamps = true;
	establish(f);
	push(f, 6 * f->t->mss);
	assert_int_equal(drain(f), 6);
	uint32_t echo = echo_now(f);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	assert_int_equal(f->t->counters.rto_fired, 1);
	assert_true(output(f));
	assert_int_equal(f->t->congestion.cwnd, f->t->mss);
	return echo;
}

static void a_timeout_that_came_too_early_is_taken_back(void **state)
{
	struct fixture *f = *state;
	uint32_t echo = time_out(f), mss = f->t->mss;
	uint64_t rto_ns = f->t->rto_base_ns;
	f->now += 2 * TICK;
	ack_echoing(f, mss, echo);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_true(f->t->congestion.cwnd >= 10 * mss);
	assert_int_equal(f->t->congestion.ssthresh, UINT32_MAX);
	assert_int_equal(f->t->counters.spurious_rto, 1);
	assert_int_equal(f->t->scoreboard.lost_octets, 0);
	assert_true(f->t->rto_ns > rto_ns); /* the next one will wait for an answer as late */
	assert_true(f->t->rtt.delay_ns > 45 * MS);
	expect_silence(f);
	ack_echoing(f, 6 * mss, echo);
	expect_silence(f);
	assert_int_equal(f->t->counters.octets_retransmitted, mss);
}

static void a_timeout_that_was_needed_is_not(void **state)
{
	struct fixture *f = *state;
	time_out(f);
	uint32_t mss = f->t->mss, echo = echo_now(f);
	f->now += 2 * TICK;
	ack_echoing(f, mss, echo);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_LOSS);
	assert_int_equal(f->t->counters.undo, 0);
	assert_true(drain(f) > 0);
}

/* RFC 3522, 3.2: later ACKs may well echo what was sent before. */
static void only_the_first_ack_tells(void **state)
{
	struct fixture *f = *state;
	uint32_t old = time_out(f), mss = f->t->mss;
	f->now += 2 * TICK;
	ack_echoing(f, mss, echo_now(f));
	drain(f);
	ack_echoing(f, 2 * mss, old);
	assert_int_equal(f->t->counters.undo, 0);
}

static void a_second_timeout_keeps_what_the_first_one_found(void **state)
{
	struct fixture *f = *state;
	uint32_t echo = time_out(f), mss = f->t->mss;
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	drain(f);
	assert_int_equal(f->t->counters.rto_fired, 2);
	ack_echoing(f, 6 * mss, echo);
	assert_true(f->t->congestion.cwnd >= 10 * mss);
	assert_int_equal(f->t->rto_ns, f->t->rto_base_ns);
}

/* The answer to the first retransmission shows no more than that the second one was not needed. */
static void a_retransmission_answered_late_takes_nothing_back(void **state)
{
	struct fixture *f = *state;
	time_out(f);
	uint32_t mss = f->t->mss, echo = echo_now(f);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	drain(f);
	ack_echoing(f, mss, echo);
	assert_int_equal(f->t->counters.undo, 0);
}

/* Karn's rule keeps the back-off while nothing tells; a D-SACK does. */
static void a_report_about_a_timeout_ends_the_back_off(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 100);
	drain(f);
	while (f->t->counters.rto_fired == 0) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	ack(f, 100);
	assert_true(f->t->rto_ns > f->t->rto_base_ns);
	sack_one(f, 100, 0, 100, 0);
	assert_int_equal(f->t->rto_ns, f->t->rto_base_ns);
	assert_int_equal(f->t->counters.undo, 1);
}

/*
 * Both segments arrive, their ACK is lost, and so are two of three retransmissions or their ACKs. The peer's echo is
 * then of what it took in order last, and says how long the answer was missing, not how long one takes.
 */
static void an_ack_that_repeats_a_lost_one_is_no_round_trip(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = f->peer_timestamps = true;
	establish(f);
	uint32_t mss = f->t->mss;
	push(f, 2 * mss);
	assert_int_equal(drain(f), 2);
	uint32_t echo = echo_now(f);
	while (f->t->counters.rto_fired < 3) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	uint64_t srtt_ns = f->t->rtt.srtt_ns, base_ns = f->t->rto_base_ns, floor_ns = f->t->rtt.floor_ns;
	assert_true(f->t->rto_ns > base_ns);
	f->now += TICK;
	sack_one(f, 2 * mss, 0, mss, echo);
	assert_int_equal(tcp_flight(f->t), 0);
	assert_int_equal(f->t->rtt.srtt_ns, srtt_ns);
	assert_int_equal(f->t->rto_base_ns, base_ns);
	assert_int_equal(f->t->rtt.floor_ns, floor_ns);
	assert_int_equal(f->t->rto_ns, base_ns);
}

/* Reordering by more than RACK allowed for. */
static void a_recovery_that_reordering_began_is_taken_back(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = f->peer_timestamps = true;
	establish(f);
	uint32_t mss = f->t->mss;
	push(f, 8 * mss);
	drain(f);
	uint32_t echo = echo_now(f);
	f->now += 3 * TICK;
	sack_one(f, 0, mss, 5 * mss, echo);
	assert_true(output(f));
	assert_int_equal(f->out.seq, sent(f, 0));
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_RECOVERY);
	drain(f);
	f->now += TICK;
	ack_echoing(f, 5 * mss, echo);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_true(f->t->congestion.cwnd >= 10 * mss);
	assert_int_equal(f->t->counters.undo, 1);
	assert_int_equal(f->t->counters.spurious_rto, 0);
}

/* Without timestamps: two segments sent again, and both reported to have come twice, the second after all is over. */
static void reports_of_every_retransmission_take_it_back(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	uint32_t mss = f->t->mss;
	push(f, 10 * mss);
	drain(f);
	f->now += MS;
	sack_one(f, 0, 2 * mss, 8 * mss, 0);
	assert_int_equal(drain(f), 2);
	f->now += MS;
	ack(f, 10 * mss);
	assert_int_equal(f->t->congestion.cwnd, 5 * mss);
	sack_one(f, 10 * mss, 0, mss, 0);
	assert_int_equal(f->t->congestion.cwnd, 5 * mss);
	sack_one(f, 10 * mss, mss, 2 * mss, 0);
	assert_int_equal(f->t->congestion.cwnd, 10 * mss);
	assert_int_equal(f->t->congestion.ssthresh, UINT32_MAX);
	assert_int_equal(f->t->counters.undo, 1);
}

static void reports_about_an_earlier_recovery_take_nothing_back(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	uint32_t mss = f->t->mss;
	for (uint32_t at = 0; at <= 10 * mss; at += 10 * mss) {
		f->t->congestion.cwnd = 10 * mss;
		tcp_update_permission(f->t);
		push(f, 10 * mss);
		drain(f);
		f->now += MS;
		sack_one(f, at, at + mss, at + 8 * mss, 0);
		assert_int_equal(drain(f), 1);
		f->now += MS;
		ack(f, at + 10 * mss);
	}
	sack_one(f, 20 * mss, 0, mss, 0);
	assert_int_equal(f->t->counters.dsack_received, 1);
	assert_int_equal(f->t->counters.undo, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_timeout_that_came_too_early_is_taken_back),
		BOTH(a_timeout_that_was_needed_is_not),
		BOTH(only_the_first_ack_tells),
		BOTH(a_second_timeout_keeps_what_the_first_one_found),
		BOTH(a_retransmission_answered_late_takes_nothing_back),
		BOTH(a_report_about_a_timeout_ends_the_back_off),
		BOTH(an_ack_that_repeats_a_lost_one_is_no_round_trip),
		BOTH(a_recovery_that_reordering_began_is_taken_back),
		BOTH(reports_of_every_retransmission_take_it_back),
		BOTH(reports_about_an_earlier_recovery_take_nothing_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
