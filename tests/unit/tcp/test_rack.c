/* RACK (RFC 8985, 6): losses are found by time, whatever the number of duplicate ACKs. */
#include "fixture.h"

#define MSS 1460u

static void sacks(struct fixture *f, uint32_t acked, uint32_t n, const uint32_t blocks[][2])
{
	struct wire_segment s = from_peer(f, acked);
	s.blocks = n;
	for (uint32_t i = 0; i < n; i++)
		s.block[i] = (struct wire_block){sent(f, blocks[i][0]), sent(f, blocks[i][1])};
	input(f, &s);
}

static void sack_one(struct fixture *f, uint32_t acked, uint32_t left, uint32_t right)
{
	sacks(f, acked, 1, (const uint32_t[][2]){{left, right}});
}

/* The round trip of the handshake, 1 ms, is the only one measured. */
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

static void one_later_arrival_and_a_quarter_round_trip_tell_a_loss(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	f->now += MS;
	sack_one(f, 0, MSS, 2 * MSS);
	expect_silence(f);
	pass_deadline(f, MS / 4);
	expect_data(f, 0, MSS);
	expect_silence(f);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_RECOVERY);
	assert_int_equal(f->t->counters.rack_losses, 1);
	f->now += MS;
	ack(f, 2 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_int_equal(f->t->counters.rto_fired, 0);
	assert_false(f->t->rack.reordering_seen);
}

static void reordering_within_the_window_costs_nothing(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	f->now += MS;
	sack_one(f, 0, MSS, 2 * MSS);
	f->now += MS / 5;
	ack(f, 2 * MSS);
	expect_silence(f);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
	assert_int_equal(f->t->counters.octets_retransmitted, 0);
	assert_true(f->t->rack.reordering_seen);
}

/* Once seen, it is allowed for, however many segments have come before the missing one. */
static void after_reordering_three_duplicates_are_no_reason(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	f->now += MS;
	sack_one(f, 0, MSS, 2 * MSS);
	ack(f, 2 * MSS);
	send_segments(f, 6);
	f->now += MS;
	sack_one(f, 2 * MSS, 3 * MSS, 8 * MSS);
	expect_silence(f);
	pass_deadline(f, MS / 4);
	expect_data(f, 2 * MSS, MSS);
}

static void three_later_arrivals_tell_it_at_once(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 4);
	f->now += MS;
	sack_one(f, 0, MSS, 3 * MSS);
	expect_silence(f);
	sack_one(f, 0, MSS, 4 * MSS);
	expect_data(f, 0, MSS);
}

static void blocks_told_newest_first_are_no_reordering(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 6);
	f->now += MS;
	sacks(f, 0, 2, (const uint32_t[][2]){{4 * MSS, 5 * MSS}, {MSS, 2 * MSS}});
	assert_false(f->t->rack.reordering_seen);
}

static void a_lost_retransmission_is_found_without_a_timeout(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 10);
	f->now += MS;
	sack_one(f, 0, MSS, 6 * MSS);
	expect_data(f, 0, MSS);
	push(f, 4 * MSS);
	f->now += MS / 2;
	sack_one(f, 0, MSS, 10 * MSS);
	uint32_t fresh = drain(f);
	assert_true(fresh > 0);
	assert_int_equal(f->t->congestion.ssthresh, 5 * MSS);
	f->now += MS; /* what was sent behind the retransmission has arrived, the retransmission has not */
	sack_one(f, 0, MSS, 10 * MSS + fresh * MSS);
	assert_true(output(f));
	assert_int_equal(f->out.seq, sent(f, 0));
	assert_int_equal(f->t->counters.rto_fired, 0);
	assert_int_equal(f->t->recovery.reduced_ns, f->now); /* a second sign of congestion */
}

static void what_was_sent_just_before_a_timeout_is_not_lost_by_it(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 1);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, MSS); /* the probe of the tail */
	uint64_t timeout_ns = tcp_deadline(f->t);
	f->now = timeout_ns - MS / 2;
	push(f, 100);
	drain(f);
	f->now = timeout_ns;
	tcp_timer(f->t, f->now);
	assert_int_equal(f->t->counters.rto_fired, 1);
	expect_data(f, 0, MSS);
	assert_int_equal(f->t->scoreboard.lost_octets, 0);
	f->now += MS;
	ack(f, MSS + 100);
	assert_int_equal(f->t->counters.octets_retransmitted, 2 * MSS);
}

/* The peer is answering: a timeout that would come a moment before RACK decides waits for that. */
static void no_timeout_while_an_arrival_is_weighed(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 2);
	f->t->rto_at_ns = f->now + MS + MS / 10;
	f->now += MS;
	sack_one(f, 0, MSS, 2 * MSS);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	expect_data(f, 0, MSS);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

/* Segment 0 was late, not lost: the ACK that tells it echoes the first transmission. */
static void an_answer_to_the_first_transmission_does_not_stand_for_the_second(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	establish_with_sack(f);
	push(f, 5 * MSS);
	uint32_t first = f->t->mss;
	drain(f);
	uint32_t echo = (uint32_t)(f->now >> TCP_TIMESTAMP_SHIFT);
	f->now += 3ull << TCP_TIMESTAMP_SHIFT;
	sack_one(f, 0, first, 4 * first);
	assert_true(output(f));
	assert_int_equal(f->out.seq, sent(f, 0));
	uint64_t before = f->t->rack.at_ns;
	f->now += 2ull << TCP_TIMESTAMP_SHIFT;
	struct wire_segment s = from_peer(f, 4 * first);
	s.ts_echo = echo;
	input(f, &s);
	assert_int_equal(f->t->rack.at_ns, before);
}

/* Lost while the first loss was being repaired: found then, and a recovery of its own. */
static void what_is_lost_behind_the_recovery_point_is_recovered_next(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	send_segments(f, 10);
	f->now += MS;
	sack_one(f, 0, MSS, 6 * MSS);
	expect_data(f, 0, MSS);
	drain(f);
	push(f, 3 * MSS);
	sack_one(f, 0, MSS, 10 * MSS);
	assert_int_equal(drain(f), 3);
	f->now += MS / 2;
	sack_one(f, 0, MSS, 10 * MSS);
	f->now += MS / 2;
	sack_one(f, 0, 12 * MSS, 13 * MSS); /* 10 and 11 are found lost, and there is no room to send them */
	f->t->congestion.cwnd = 0;
	expect_silence(f);
	ack(f, 11 * MSS); /* 10 was only late, and the recovery is over */
	expect_data(f, 11 * MSS, MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_RECOVERY);
	f->now += MS;
	ack(f, 13 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
}

/* One recovery: the second of two segments is lost for us, arrives late, and its retransmission is reported. */
static void needless_recovery(struct fixture *f)
{
	uint32_t at = (uint32_t)tcp_acked(f->t);
	send_segments(f, 2);
	f->now += MS;
	sack_one(f, at, at + MSS, at + 2 * MSS);
	while (!output(f)) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
	}
	assert_int_equal(f->out.seq, sent(f, at));
	f->now += MS;
	ack(f, at + 2 * MSS);
}

static void a_dsack_widens_the_window_and_sixteen_recoveries_without_narrow_it(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	needless_recovery(f);
	uint32_t at = (uint32_t)tcp_acked(f->t);
	sack_one(f, at, at - 2 * MSS, at - MSS);
	assert_int_equal(f->t->counters.dsack_received, 1);
	sack_one(f, at, at - 2 * MSS, at - MSS); /* we sent it again only once: the network's duplicate */
	assert_int_equal(f->t->counters.dsack_received, 1);
	send_segments(f, 2);
	f->now += MS;
	sack_one(f, at, at + MSS, at + 2 * MSS);
	pass_deadline(f, MS / 2); /* twice a quarter of the round trip */
	expect_data(f, at, MSS);
	f->now += MS;
	ack(f, at + 2 * MSS);
	for (int i = 0; i < 15; i++) {
		assert_int_equal(f->t->rack.window_mult, 2);
		needless_recovery(f);
	}
	assert_int_equal(f->t->rack.window_mult, 1);
}

static void several_dsacks_of_one_round_trip_count_once(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	needless_recovery(f);
	needless_recovery(f);
	send_segments(f, 1);
	uint32_t at = (uint32_t)tcp_acked(f->t);
	sack_one(f, at, at - 2 * MSS, at - MSS);
	sack_one(f, at, at - 4 * MSS, at - 3 * MSS);
	assert_int_equal(f->t->counters.dsack_received, 2);
	assert_int_equal(f->t->rack.window_mult, 2);
}

static void a_dsack_inside_the_next_block_counts(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	needless_recovery(f);
	uint32_t at = (uint32_t)tcp_acked(f->t);
	f->t->congestion.cwnd = 10 * MSS;
	send_segments(f, 4);
	f->now += MS;
	sacks(f, at, 2, (const uint32_t[][2]){{at + 2 * MSS, at + 3 * MSS}, {at + MSS, at + 3 * MSS}});
	assert_int_equal(f->t->counters.dsack_received, 1);
}

/* Twice as many messages in flight as there are records: joined in pairs, they are still repaired by time. */
static void joined_records_are_still_found_lost(void **state)
{
	struct fixture *f = *state;
	establish_with_sack(f);
	f->t->congestion.cwnd = 65535;
	for (uint32_t i = 0; i < TCP_RECORDS + 100; i++) {
		push(f, 100);
		drain(f);
		f->now += 1000;
	}
	assert_true(tcp_record_count(f->t) <= TCP_RECORDS);
	uint32_t end = 100 * (TCP_RECORDS + 100);
	f->now += MS;
	sack_one(f, 0, 300, end);
	assert_true(output(f));
	assert_int_equal(f->out.seq, sent(f, 0));
	assert_int_equal(f->out.len, 300);
	expect_silence(f);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(one_later_arrival_and_a_quarter_round_trip_tell_a_loss),
		BOTH(reordering_within_the_window_costs_nothing),
		BOTH(after_reordering_three_duplicates_are_no_reason),
		BOTH(three_later_arrivals_tell_it_at_once),
		BOTH(blocks_told_newest_first_are_no_reordering),
		BOTH(a_lost_retransmission_is_found_without_a_timeout),
		BOTH(what_was_sent_just_before_a_timeout_is_not_lost_by_it),
		BOTH(no_timeout_while_an_arrival_is_weighed),
		BOTH(an_answer_to_the_first_transmission_does_not_stand_for_the_second),
		BOTH(what_is_lost_behind_the_recovery_point_is_recovered_next),
		BOTH(a_dsack_widens_the_window_and_sixteen_recoveries_without_narrow_it),
		BOTH(several_dsacks_of_one_round_trip_count_once),
		BOTH(a_dsack_inside_the_next_block_counts),
		BOTH(joined_records_are_still_found_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
