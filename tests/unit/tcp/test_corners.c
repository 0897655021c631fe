/* Corners in which a connection once stalled, ended or believed something without need. */
#include "fixture.h"

#define MSS 1460u

static void sack_one(struct fixture *f, uint32_t left, uint32_t right)
{
	struct wire_segment s = from_peer(f, 0);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, left), sent(f, right)};
	input(f, &s);
}

/* A whole lost segment that waits for room in the congestion window must not be passed by small new messages for ever.
 */
static void new_data_waits_behind_lost_segments(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	push(f, 10 * MSS);
	drain(f);
	f->now += MS;
	sack_one(f, 3 * MSS, 6 * MSS);
	expect_data(f, 0, MSS); /* asks no congestion window; the next lost segment has to */
	bool resent = false;
	for (uint32_t i = 1; i <= 5; i++) {
		push(f, 1000);
		sack_one(f, 3 * MSS, 6 * MSS + 1000 * i);
		while (output(f))
			resent |= f->out.seq == sent(f, MSS);
	}
	assert_true(resent);
}

/* Left of it lies less than 2^31 ahead, right more: by comparison alone both ends look harmless. */
static void a_sack_block_longer_than_half_the_sequence_space_is_a_lie(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	sack_one(f, 1258291327, 2344117323);
	assert_int_equal(f->t->scoreboard.sacked_octets, 0);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	expect_silence(f);
}

/* A window closed for hours: one answer that gets lost is no reason to give up. */
static void one_lost_probe_of_a_long_closed_window_ends_nothing(void **state)
{
	struct fixture *f = *state;
	establish(f);
	f->peer_window = 0;
	ack(f, 0);
	push(f, 500);
	expect_silence(f);
	uint64_t start = f->now;
	while (f->now - start < 600 * SECOND) {
		tcp_timer(f->t, f->now = tcp_deadline(f->t));
		if (output(f))
			ack(f, 0);
	}
	bool lost = false;
	for (int i = 0; i < 10 && tcp_state_of(f->t) != TCP_CLOSED; i++) {
		tcp_timer(f->t, f->now = tcp_deadline(f->t));
		if (output(f) && lost)
			ack(f, 0);
		lost = true;
	}
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
}

/* RFC 6582, 3.2, step 1 looks back to the last recovery; that may be more than 2^31 octets ago. */
static void newreno_works_after_two_gigabytes(void **state)
{
	struct fixture *f = *state;
	f->peer_scale = 8;
	establish(f);
	uint64_t total = 0;
	while (total < (1ull << 31) + (1u << 20)) {
		uint64_t n = tcp_may_push(f->t);
		n = n < STREAM_BYTES ? n : STREAM_BYTES;
		assert_true(extents_push(&f->tx, f->stream, n, EXTENT_LOG));
		tcp_pushed(f->t);
		while (tcp_output(f->t, f->packet, sizeof f->packet, f->now))
			;
		ack(f, (uint32_t)(total += n));
	}
	assert_true(extents_push(&f->tx, f->stream, 8 * MSS, EXTENT_LOG));
	tcp_pushed(f->t);
	drain(f);
	for (int i = 0; i < 3; i++)
		ack(f, (uint32_t)total);
	assert_true(output(f));
	assert_int_equal(f->out.seq, sent(f, (uint32_t)total));
	assert_int_equal(f->t->counters.retransmits_fast, 1);
}

/* What RFC 5961, 5.2 refuses must not move ts_recent, or PAWS would refuse the peer from then on. */
static void a_refused_segment_leaves_ts_recent_alone(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 1000;
	establish(f);
	data_from_peer(f, 0, 50);
	drain(f);
	f->peer_next = 50;
	struct wire_segment forged = from_peer(f, 0);
	forged.seq = theirs(f, 40);
	forged.payload = f->stream + 40;
	forged.len = 20;
	forged.ts_value = 1000 + (1u << 30);
	forged.ack = sent(f, 1u << 30);
	input(f, &forged);
	forged.flags = WIRE_RST;
	input(f, &forged);
	assert_int_equal(f->t->ts_recent, 1000);
}

static void an_ack_of_a_syn_that_has_not_left_is_refused(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	struct wire_segment s = syn_ack(f);
	s.flags = WIRE_SYN;
	input(f, &s);
	ack(f, 0);
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_RECEIVED);
	expect_reset(f, sent(f, 0));
}

static void close_after_the_peer_with_data_left(struct fixture *f)
{
	establish(f);
	f->peer_window = 1000;
	ack_flags(f, 0, WIRE_ACK | WIRE_FIN);
	f->peer_next++;
	drain(f);
	push(f, 3000);
	drain(f);
	tcp_close(f->t, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_LAST_ACK);
	assert_false(f->t->fin_sent);
}

static void abort_before_our_fin_is_out_sends_a_reset(void **state)
{
	struct fixture *f = *state;
	close_after_the_peer_with_data_left(f);
	tcp_abort(f->t, f->now);
	assert_true(output(f));
	assert_true(f->out.flags & WIRE_RST);
}

static void reset_with_data_unacknowledged_is_no_orderly_end(void **state)
{
	struct fixture *f = *state;
	close_after_the_peer_with_data_left(f);
	ack_flags(f, 0, WIRE_RST);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_RESET);
}

/* SACK blocks of ours shorten segments, so that one fits a window it was too long for: nothing is left to probe with.
 */
static void no_probe_when_nothing_is_pending_any_more(void **state)
{
	struct fixture *f = *state;
	f->peer_sack = true;
	establish(f);
	f->peer_window = 1450;
	ack(f, 0);
	push(f, 1460);
	expect_silence(f);
	data_from_peer(f, 100, 10);
	drain(f);
	ack(f, (uint32_t)tcp_sent(f->t));
	drain(f);
	ack(f, 1460);
	for (int i = 0; i < 5 && tcp_deadline(f->t) != TCP_NEVER; i++) {
		tcp_timer(f->t, f->now = tcp_deadline(f->t));
		drain(f);
	}
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	assert_int_equal(f->t->counters.persist_probes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(new_data_waits_behind_lost_segments),
		BOTH(a_sack_block_longer_than_half_the_sequence_space_is_a_lie),
		BOTH(one_lost_probe_of_a_long_closed_window_ends_nothing),
		BOTH(newreno_works_after_two_gigabytes),
		BOTH(a_refused_segment_leaves_ts_recent_alone),
		BOTH(an_ack_of_a_syn_that_has_not_left_is_refused),
		BOTH(abort_before_our_fin_is_out_sends_a_reset),
		BOTH(reset_with_data_unacknowledged_is_no_orderly_end),
		BOTH(no_probe_when_nothing_is_pending_any_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
