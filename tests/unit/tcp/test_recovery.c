/* Retransmission timeout, fast retransmit, SACK and NewReno recovery. */
#include "fixture.h"

#define MSS 1460u

static void ack_with_sack(struct fixture *f, uint32_t acked, uint32_t n, const uint32_t blocks[][2])
{
	struct wire_segment s = from_peer(f, acked);
	s.blocks = n;
	for (uint32_t i = 0; i < n; i++)
		s.block[i] = (struct wire_block){sent(f, blocks[i][0]), sent(f, blocks[i][1])};
	input(f, &s);
}

static void sack_one(struct fixture *f, uint32_t acked, uint32_t left, uint32_t right)
{
	ack_with_sack(f, acked, 1, (const uint32_t[][2]){{left, right}});
}

static void data_carries_the_stream_and_psh_on_its_end(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 2 * MSS + 10);
	expect_data(f, 0, MSS);
	assert_int_equal(f->out.flags, WIRE_ACK);
	expect_data(f, MSS, MSS);
	expect_data(f, 2 * MSS, 10);
	assert_int_equal(f->out.flags, WIRE_ACK | WIRE_PSH);
	expect_silence(f);
	assert_int_equal(tcp_sent(f->t), 2 * MSS + 10);
	ack(f, 2 * MSS + 10);
	assert_int_equal(tcp_acked(f->t), 2 * MSS + 10);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
}

static void segments_span_extents_of_odd_lengths(void **state)
{
	struct fixture *f = *state;
	establish(f);
	for (uint32_t i = 0; i < 9; i++)
		assert_true(extents_push(&f->tx, f->stream + f->tx.end, 33 + 2 * i, i & 1));
	tcp_pushed(f->t);
	expect_data(f, 0, 9 * 33 + 72);
}

static void initial_window_is_ten_segments(void **state)
{
	struct fixture *f = *state;
	establish(f);
	assert_int_equal(tcp_may_push(f->t), 14600);
	push(f, 20000);
	assert_int_equal(drain(f), 10);
	assert_int_equal(tcp_may_push(f->t), 0);
	ack(f, 14600);
	assert_int_equal(tcp_may_push(f->t), 29200 - 5400);
}

static void checksum_is_left_to_the_device(void **state)
{
	struct fixture *f = *state;
	establish(f);
	f->t->config.fill_checksum = false;
	push(f, 101);
	size_t len = tcp_output(f->t, f->packet, sizeof f->packet, f->now);
	uint8_t pseudo[12] = {10, 0, 0, 1, 10, 0, 0, 2, 0, 6, (uint8_t)((len - 20) >> 8), (uint8_t)(len - 20)};
	uint16_t expected = (uint16_t)~wire_checksum(0, pseudo, sizeof pseudo);
	assert_int_equal(f->packet[36] << 8 | f->packet[37], expected);
	wire_repair(f->packet, len);
	assert_true(wire_parse(f->packet, len, &f->out));
}

static void retransmits_after_rto_and_doubles_it(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 100);
	expect_data(f, 0, 100);
	uint64_t rto = 50 * MS;
	for (int i = 0; i < 4; i++, rto *= 2) {
		pass_deadline(f, rto);
		expect_data(f, 0, 100);
		expect_silence(f);
	}
	assert_int_equal(f->t->counters.rto_fired, 4);
	assert_int_equal(f->t->congestion.cwnd, MSS);
}

/* Karn: an ACK of something sent twice measures nothing, so the back-off stays until one does. */
static void ambiguous_ack_keeps_back_off_and_the_next_sample_ends_it(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 100);
	drain(f);
	uint64_t srtt = f->t->rtt.srtt_ns;
	pass_deadline(f, 50 * MS);
	drain(f);
	f->now += 30 * MS;
	ack(f, 100);
	assert_int_equal(f->t->rtt.srtt_ns, srtt);
	push(f, 100);
	drain(f);
	assert_int_equal(tcp_deadline(f->t) - f->now, 100 * MS);
	f->now += MS;
	ack(f, 200);
	push(f, 100);
	drain(f);
	assert_int_equal(tcp_deadline(f->t) - f->now, 50 * MS);
}

static void timestamps_measure_retransmissions(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	establish(f);
	push(f, 100);
	drain(f);
	pass_deadline(f, 50 * MS);
	drain(f);
	struct wire_segment s = from_peer(f, 100);
	f->now += 20ull << TCP_TIMESTAMP_SHIFT;
	input(f, &s);
	assert_int_equal(f->t->rtt.srtt_ns, MS - MS / 8 + (20ull << TCP_TIMESTAMP_SHIFT) / 8);
	assert_int_equal(f->t->rto_ns, f->t->rto_base_ns);
}

static void rto_follows_rfc_6298(void **state)
{
	struct fixture *f = *state;
	f->config.rto_min_ns = 0;
	establish(f);                                 /* first sample: 1 ms */
	assert_int_equal(f->t->rto_ns, MS + 45 * MS); /* and the peer may delay its ACKs by 40 ms, or a little more */
	push(f, 1);
	drain(f);
	f->now += 81 * MS;
	ack(f, 1);
	assert_int_equal(f->t->rtt.rttvar_ns, 375000 + 20 * MS);
	assert_int_equal(f->t->rtt.srtt_ns, 11 * MS);
	assert_int_equal(f->t->rto_ns, 11 * MS + 4 * (375000 + 20 * MS));
}

/* What a peer has been seen to take is waited for, and forgotten after one to two minutes. */
static void the_timeout_is_above_the_delay_seen_of_the_peer(void **state)
{
	struct fixture *f = *state;
	f->config.rto_min_ns = 5 * MS;
	establish(f);
	uint32_t total = 0;
	for (int period = 0; period < 6; period++) {
		for (int i = 0; i < 40; i++) {
			push(f, 1);
			drain(f);
			f->now += period == 3 && i == 0 ? 25 * MS : MS;
			ack(f, ++total);
		}
		uint64_t expected_ns = period < 1 ? 46 * MS : period == 3 || period == 4 ? 28 * MS : 5 * MS;
		assert_int_equal(f->t->rto_ns, expected_ns);
		f->now += TCP_RTT_PERIOD_NS;
	}
}

static void each_ack_of_new_data_restarts_the_timer(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 2 * MSS);
	drain(f);
	f->now += 40 * MS;
	ack(f, MSS);
	assert_true(tcp_deadline(f->t) - f->now >= 50 * MS);
}

static void after_a_timeout_all_is_sent_again_in_slow_start(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 6 * MSS);
	assert_int_equal(drain(f), 6);
	pass_deadline(f, 50 * MS);
	expect_data(f, 0, MSS);
	expect_silence(f);
	ack(f, MSS);
	expect_data(f, MSS, MSS);
	expect_data(f, 2 * MSS, MSS);
	expect_silence(f);
	ack(f, 6 * MSS);
	expect_silence(f);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_int_equal(f->t->congestion.ssthresh, 3 * MSS);
}

static void third_duplicate_ack_retransmits_without_sack(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 10 * MSS);
	assert_int_equal(drain(f), 10);
	ack(f, 0);
	ack(f, 0);
	expect_silence(f);
	ack(f, 0);
	expect_data(f, 0, MSS);
	expect_silence(f);
	assert_int_equal(f->t->congestion.ssthresh, 5 * MSS);
	ack(f, 10 * MSS);
	assert_int_equal(f->t->congestion.cwnd, 5 * MSS);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

static void fast_retransmit_spoils_the_timed_segment(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 4 * MSS);
	drain(f);
	for (int i = 0; i < 3; i++)
		ack(f, 0);
	expect_data(f, 0, MSS);
	uint64_t srtt = f->t->rtt.srtt_ns;
	f->now += 30 * MS;
	ack(f, 4 * MSS);
	assert_int_equal(f->t->rtt.srtt_ns, srtt);
}

static void window_updates_and_data_are_no_duplicate_acks(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 4 * MSS);
	drain(f);
	for (uint32_t i = 0; i < 5; i++) {
		f->peer_window--;
		ack(f, 0);
	}
	for (uint32_t i = 0; i < 5; i++) {
		data_from_peer(f, f->peer_next, 10);
		f->peer_next += 10;
	}
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_int_equal(f->t->recovery.dup_acks, 0);
}

static void partial_ack_retransmits_the_next_hole(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 8 * MSS);
	drain(f);
	for (int i = 0; i < 3; i++)
		ack(f, 0);
	expect_data(f, 0, MSS);
	ack(f, 3 * MSS);
	expect_data(f, 3 * MSS, MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_RECOVERY);
	ack(f, 8 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
}

/* RFC 6582, 3.2, step 1: our own needless retransmissions cause duplicate ACKs, too. */
static void duplicates_after_a_timeout_start_no_fast_retransmit(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 5 * MSS);
	drain(f);
	pass_deadline(f, 50 * MS);
	drain(f);
	ack(f, 5 * MSS);
	push(f, 4 * MSS);
	drain(f);
	for (int i = 0; i < 4; i++)
		ack(f, 5 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
}

static void sack_recovers_several_holes_in_one_go(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 10 * MSS);
	assert_int_equal(drain(f), 10);
	/* 0, 2 and 4 are lost */
	f->now += MS;
	sack_one(f, 0, MSS, 2 * MSS);
	ack_with_sack(f, 0, 2, (const uint32_t[][2]){{3 * MSS, 4 * MSS}, {MSS, 2 * MSS}});
	expect_silence(f);
	ack_with_sack(f, 0, 3, (const uint32_t[][2]){{5 * MSS, 8 * MSS}, {3 * MSS, 4 * MSS}, {MSS, 2 * MSS}});
	expect_data(f, 0, MSS);
	expect_data(f, 2 * MSS, MSS);
	expect_data(f, 4 * MSS, MSS);
	expect_silence(f);
	f->now += MS / 2;
	ack_with_sack(f, 0, 1, (const uint32_t[][2]){{5 * MSS, 10 * MSS}});
	expect_silence(f);
	ack(f, 10 * MSS);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	assert_int_equal(f->t->scoreboard.sacked_octets, 0);
	assert_int_equal(tcp_record_count(f->t), 0);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

/* RFC 3042: the first two duplicate ACKs let new data out, which brings the third. */
static void duplicate_acks_let_new_data_out(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 20 * MSS);
	assert_int_equal(drain(f), 10);
	for (uint32_t i = 0; i < 2; i++) {
		ack(f, 0);
		expect_data(f, (10 + i) * MSS, MSS);
		expect_silence(f);
	}
}

static void sacked_segments_let_new_data_out(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 20 * MSS);
	assert_int_equal(drain(f), 10);
	f->now += MS;
	for (uint32_t i = 0; i < 2; i++) {
		sack_one(f, 0, MSS, (2 + i) * MSS);
		expect_data(f, (10 + i) * MSS, MSS);
		expect_silence(f);
	}
}

/* RFC 6937: one segment out for every two in, while more is in flight than ssthresh. */
static void recovery_sends_in_proportion_to_what_arrives(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	f->t->congestion.cwnd = 20 * MSS;
	push(f, 40 * MSS);
	assert_int_equal(drain(f), 20);
	f->now += MS;
	sack_one(f, 0, MSS, 4 * MSS);
	expect_data(f, 0, MSS);
	uint32_t out = drain(f), most = 0;
	for (uint32_t i = 5; i <= 20; i++) {
		sack_one(f, 0, MSS, i * MSS);
		uint32_t now_out = drain(f);
		most = now_out > most ? now_out : most;
		out += now_out;
	}
	assert_int_equal(most, 1);
	assert_int_equal(out + 1, 10); /* ssthresh: half of the twenty */
	f->now += MS;
	ack(f, 20 * MSS);
	assert_int_equal(f->t->congestion.cwnd, 10 * MSS);
}

/* RFC 6937, 3.1: the share is rounded up, so that small ones are not lost. */
static void recovery_rounds_its_share_up(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	f->t->congestion.cwnd = 20 * MSS;
	push(f, 40 * MSS);
	assert_int_equal(drain(f), 20);
	f->now += MS;
	sack_one(f, 0, MSS, 4 * MSS);
	expect_data(f, 0, MSS);
	expect_silence(f);
	sack_one(f, 0, MSS, 4 * MSS + 1);
	uint32_t arrived = 3 * MSS + 1, share = arrived / 2 + 1; /* half of it, rounded up */
	assert_int_equal(f->t->congestion.cwnd - tcp_recovery_pipe(f->t), share - MSS);
}

/* RFC 6937, 3.1: what arrived while there was nothing to send may be made up for, up to ssthresh. */
static void recovery_makes_up_for_what_could_not_be_sent(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	f->t->congestion.cwnd = 20 * MSS;
	push(f, 20 * MSS);
	assert_int_equal(drain(f), 20);
	f->now += MS;
	sack_one(f, 0, MSS, 4 * MSS);
	expect_data(f, 0, MSS);
	for (uint32_t i = 5; i <= 16; i++) {
		sack_one(f, 0, MSS, i * MSS);
		expect_silence(f);
	}
	assert_int_equal(f->t->congestion.cwnd, 10 * MSS);
	push(f, 10 * MSS);
	assert_int_equal(drain(f), 5); /* four and the first are still on their way */
}

/* Most of the window lost: the window is not sent as one burst, but doubled like in slow start. */
static void recovery_from_heavy_losses_grows_from_what_arrives(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	f->t->congestion.cwnd = 20 * MSS;
	push(f, 20 * MSS);
	assert_int_equal(drain(f), 20);
	f->now += MS;
	sack_one(f, 0, 17 * MSS, 20 * MSS);
	assert_int_equal(drain(f), 4); /* three have arrived, and one */
	f->now += MS;
	ack(f, 2 * MSS);
	assert_int_equal(drain(f), 3);
	ack(f, 4 * MSS);
	assert_int_equal(drain(f), 3);
}

static void lost_ranges_are_cut_at_todays_mss(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 4 * MSS);
	drain(f);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 1000, f->now);
	assert_int_equal(f->t->mss, 960);
	expect_data(f, 0, 960);
	expect_data(f, 960, 960);
	sack_one(f, 0, 960, 2 * 960);
	ack(f, 2 * 960);
	expect_data(f, 2 * 960, 960);
}

static void small_messages_are_recovered_by_counting_segments(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	for (int i = 0; i < 5; i++) {
		push(f, 100);
		drain(f);
	}
	sack_one(f, 0, 100, 200);
	sack_one(f, 0, 100, 300);
	expect_silence(f);
	sack_one(f, 0, 100, 400);
	expect_data(f, 0, 100); /* exactly the hole */
	expect_silence(f);
}

static void sack_blocks_that_lie_are_ignored(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 4 * MSS);
	drain(f);
	ack(f, MSS);
	sack_one(f, MSS, 5 * MSS, 6 * MSS); /* never sent */
	sack_one(f, MSS, 0, MSS);           /* D-SACK */
	sack_one(f, MSS, 3 * MSS, 2 * MSS); /* inside out */
	sack_one(f, MSS, 0, 4 * MSS);
	assert_int_equal(f->t->scoreboard.sacked_octets, 0);
	assert_int_equal(f->t->recovery.dup_acks, 0);
}

/* It has acknowledged what was missing, but not what it had SACKed beyond. */
static void a_peer_that_reneges_gets_everything_again(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 3 * MSS);
	drain(f);
	f->now += MS;
	sack_one(f, 0, MSS, 3 * MSS);
	pass_deadline(f, MS / 4);
	expect_data(f, 0, MSS);
	ack(f, MSS); /* not beyond, although the rest was SACKed */
	expect_silence(f);
	pass_deadline(f, 50 * MS);
	assert_int_equal(f->t->scoreboard.sacked_octets, 0);
	expect_data(f, MSS, MSS);
	ack(f, 2 * MSS);
	expect_data(f, 2 * MSS, MSS);
}

static void more_holes_than_the_scoreboard_holds_are_repaired_all_the_same(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	f->t->congestion.cwnd = 65535;
	for (uint32_t i = 0; i < 2 * TCP_RECORDS; i++) {
		push(f, 100);
		drain(f);
	}
	assert_in_range(tcp_record_count(f->t), TCP_RECORDS / 2, TCP_RECORDS);
	for (uint32_t i = 0; i < TCP_RECORDS; i++) {
		sack_one(f, 0, 200 * i + 100, 200 * i + 200);
		assert_in_range(f->t->congestion.cwnd, 0, 65535); /* what is forgotten opens no window */
	}
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_RECOVERY);
	assert_in_range(tcp_record_count(f->t), TCP_RECORDS / 2, TCP_RECORDS);
	for (uint32_t i = 0; i < 2000 && tcp_acked(f->t) < tcp_sent(f->t); i++) {
		if (output(f))
			ack(f, f->out.seq - sent(f, 0) + f->out.len);
		else
			tcp_timer(f->t, f->now = tcp_deadline(f->t));
	}
	assert_int_equal(tcp_acked(f->t), 200 * TCP_RECORDS);
}

static void user_timeout_ends_it(void **state)
{
	struct fixture *f = *state;
	f->config.user_timeout_ns = SECOND;
	establish(f);
	push(f, 1);
	uint64_t start = f->now;
	drain(f);
	while (tcp_state_of(f->t) != TCP_CLOSED) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	assert_int_equal(f->now - start, SECOND);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_LOST);
}

static void without_user_timeout_it_never_gives_up(void **state)
{
	struct fixture *f = *state;
	f->config.user_timeout_ns = 0;
	establish(f);
	push(f, 1);
	drain(f);
	for (int i = 0; i < 100; i++) {
		tcp_timer(f->t, f->now = tcp_deadline(f->t));
		expect_data(f, 0, 1);
	}
	ack(f, 1);
	assert_int_equal(tcp_acked(f->t), 1);
}

static void congestion_avoidance_adds_a_segment_per_window(void **state)
{
	struct fixture *f = *state;
	establish(f);
	f->t->congestion.ssthresh = f->t->congestion.cwnd;
	push(f, 40 * MSS);
	uint32_t acked = 0;
	assert_int_equal(drain(f), 10);
	for (int i = 0; i < 10; i++, drain(f))
		ack(f, acked += MSS);
	assert_int_equal(f->t->congestion.cwnd, 11 * MSS);
}

static void a_window_the_application_does_not_fill_does_not_grow(void **state)
{
	struct fixture *f = *state;
	establish(f);
	for (uint32_t i = 1; i < 50; i++) {
		push(f, 100);
		drain(f);
		ack(f, 100 * i);
	}
	assert_int_equal(f->t->congestion.cwnd, 10 * MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(data_carries_the_stream_and_psh_on_its_end),
		BOTH(segments_span_extents_of_odd_lengths),
		BOTH(initial_window_is_ten_segments),
		BOTH(checksum_is_left_to_the_device),
		BOTH(retransmits_after_rto_and_doubles_it),
		BOTH(ambiguous_ack_keeps_back_off_and_the_next_sample_ends_it),
		BOTH(timestamps_measure_retransmissions),
		BOTH(rto_follows_rfc_6298),
		BOTH(the_timeout_is_above_the_delay_seen_of_the_peer),
		BOTH(each_ack_of_new_data_restarts_the_timer),
		BOTH(after_a_timeout_all_is_sent_again_in_slow_start),
		BOTH(third_duplicate_ack_retransmits_without_sack),
		BOTH(fast_retransmit_spoils_the_timed_segment),
		BOTH(window_updates_and_data_are_no_duplicate_acks),
		BOTH(partial_ack_retransmits_the_next_hole),
		BOTH(duplicates_after_a_timeout_start_no_fast_retransmit),
		BOTH(sack_recovers_several_holes_in_one_go),
		BOTH(duplicate_acks_let_new_data_out),
		BOTH(sacked_segments_let_new_data_out),
		BOTH(recovery_sends_in_proportion_to_what_arrives),
		BOTH(recovery_rounds_its_share_up),
		BOTH(recovery_makes_up_for_what_could_not_be_sent),
		BOTH(recovery_from_heavy_losses_grows_from_what_arrives),
		BOTH(lost_ranges_are_cut_at_todays_mss),
		BOTH(small_messages_are_recovered_by_counting_segments),
		BOTH(sack_blocks_that_lie_are_ignored),
		BOTH(a_peer_that_reneges_gets_everything_again),
		BOTH(more_holes_than_the_scoreboard_holds_are_repaired_all_the_same),
		BOTH(user_timeout_ends_it),
		BOTH(without_user_timeout_it_never_gives_up),
		BOTH(congestion_avoidance_adds_a_segment_per_window),
		BOTH(a_window_the_application_does_not_fill_does_not_grow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
