/* How the congestion window grows and shrinks: CUBIC, Reno, and nobody. */
#include "fixture.h"

#define MSS 1460u
#define RTT (100 * MS)

/* The handshake's millisecond would take long to be forgotten. */
static void know_rtt(struct fixture *f)
{
	f->t->rtt.srtt_ns = RTT;
	f->t->pto_ns = f->t->pto_lone_ns = 2 * RTT;
}

static void establish_with(struct fixture *f, enum tcp_control control)
{
	f->config.control = control;
	f->config.rto_min_ns = 5 * SECOND;
	f->peer_sack = true;
	f->peer_scale = 8;
	f->peer_window = 65535;
	establish(f);
	ack(f, 0); /* the window of a SYN is not scaled */
	know_rtt(f);
}

static void fill_window(struct fixture *f)
{
	uint32_t n = (uint32_t)tcp_may_push(f->t);
	if (n)
		assert_true(extents_push(&f->tx, f->stream, n, EXTENT_LOG));
	tcp_pushed(f->t);
	while (tcp_output(f->t, f->packet, sizeof f->packet, f->now))
		;
}

/* One round trip in which the whole window is used, an ACK for every second segment. */
static void use_window(struct fixture *f)
{
	fill_window(f);
	uint32_t end = (uint32_t)tcp_sent(f->t), acks = (end - (uint32_t)tcp_acked(f->t) + 2 * MSS - 1) / (2 * MSS);
	for (uint32_t i = 0; i < acks; i++) {
		f->now += RTT / acks;
		uint32_t left = end - (uint32_t)tcp_acked(f->t);
		ack(f, end - left + (left < 2 * MSS ? left : 2 * MSS));
		know_rtt(f);
		fill_window(f);
	}
}

/* Everything is acknowledged; the window is what it was. */
static void settle(struct fixture *f)
{
	uint32_t cwnd = f->t->congestion.cwnd;
	f->now += RTT;
	ack(f, (uint32_t)tcp_sent(f->t));
	f->t->congestion.cwnd = cwnd;
	know_rtt(f);
}

static double window(const struct fixture *f)
{
	return (double)f->t->congestion.cwnd / MSS;
}

/* A window of so many segments, all of them out, of which the first is lost and repaired. */
static void lose_one_of(struct fixture *f, uint32_t segments)
{
	if (tcp_acked(f->t) != tcp_sent(f->t))
		settle(f);
	f->t->congestion.cwnd = segments * MSS;
	tcp_update_permission(f->t);
	fill_window(f);
	uint32_t at = (uint32_t)tcp_acked(f->t), n = (uint32_t)tcp_sent(f->t) - at;
	f->now += RTT;
	struct wire_segment s = from_peer(f, at);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, at + MSS), sent(f, at + n)};
	input(f, &s);
	while (tcp_output(f->t, f->packet, sizeof f->packet, f->now))
		;
	f->now += RTT;
	ack(f, at + n);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_OPEN);
	know_rtt(f);
}

static void assert_about(double value, double expected, double off)
{
	if (value < expected - off || value > expected + off)
		fail_msg("%f is not %f within %f", value, expected, off);
}

static void cubic_is_the_default(void **state)
{
	struct tcp_config config;
	tcp_config_init(&config);
	assert_int_equal(config.control, TCP_CUBIC);
	assert_false(config.restart_after_idle);
}

static void cubic_keeps_seven_tenths_after_a_loss(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	lose_one_of(f, 100);
	assert_about(window(f), 70, 0.1);
}

/* RFC 9438, figure 1: K = cbrt((100 - 70) / 0.4) = 4.22 s until the window is what it was; flat there, then steeper. */
static void cubic_is_back_after_k_seconds_and_then_probes(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	lose_one_of(f, 100);
	double at[80];
	for (int i = 0; i < 80; i++) {
		use_window(f);
		at[i] = window(f);
	}
	assert_about(at[41], 100, 1.5);
	assert_about(at[20], 100 - 0.4 * 2.1 * 2.1 * 2.1, 2.5);
	assert_about(at[62], 100 + 0.4 * 2.1 * 2.1 * 2.1, 2.5);
	assert_true(at[10] - at[0] > at[45] - at[35]);
	assert_true(at[79] - at[69] > at[45] - at[35]);
}

/* 4.3: where windows are small, the cubic is slower than Reno would be, and Reno's line is followed. */
static void cubic_is_never_slower_than_reno(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	lose_one_of(f, 10);
	double before = window(f);
	assert_about(before, 7, 0.1);
	for (int i = 0; i < 5; i++)
		use_window(f);
	assert_about(window(f) - before, 5 * 0.53, 0.6);
	for (int i = 0; i < 15; i++)
		use_window(f);
	assert_true(window(f) - before > 12); /* above the window before the loss, a segment a round trip */
}

/* 4.7. */
static void cubic_aims_lower_when_losses_follow_each_other(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	lose_one_of(f, 100);
	assert_about(f->t->congestion.cubic.w_max, 100, 0.1);
	lose_one_of(f, 80);
	assert_about(f->t->congestion.cubic.w_max, 80 * 0.85, 0.1);
}

/* 5.8: else the first full window after a pause would leap to where the cubic has got to meanwhile. */
static void cubic_does_not_count_pauses(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	lose_one_of(f, 100);
	use_window(f);
	use_window(f);
	settle(f);
	double before = window(f);
	for (int i = 0; i < 20; i++) { /* seconds of messages that fill no window */
		push(f, 100);
		drain(f);
		f->now += RTT;
		ack(f, (uint32_t)tcp_sent(f->t));
	}
	f->now += 30 * SECOND;
	know_rtt(f);
	use_window(f);
	assert_true(window(f) < before + 6);
}

static void an_undone_loss_gives_cubic_its_curve_back(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	lose_one_of(f, 100);
	for (int i = 0; i < 10; i++)
		use_window(f);
	settle(f);
	struct tcp_cubic before = f->t->congestion.cubic;
	uint32_t at = (uint32_t)tcp_acked(f->t);
	lose_one_of(f, 90);
	assert_true(f->t->congestion.cubic.w_max < before.w_max);
	struct wire_segment s = from_peer(f, (uint32_t)tcp_acked(f->t));
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, at), sent(f, at + MSS)};
	input(f, &s);
	assert_int_equal(f->t->counters.undo, 1);
	assert_true(f->t->congestion.cubic.w_max == before.w_max);
	assert_true(window(f) > 89);
}

static void reno_halves_and_adds_a_segment_a_round_trip(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_RENO);
	lose_one_of(f, 40);
	assert_about(window(f), 20, 0.1);
	for (int i = 0; i < 10; i++)
		use_window(f);
	assert_about(window(f), 30, 1);
}

static void time_out(struct fixture *f)
{
	uint64_t before = f->t->counters.rto_fired;
	while (f->t->counters.rto_fired == before) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		while (tcp_output(f->t, f->packet, sizeof f->packet, f->now))
			;
	}
}

static void sack(struct fixture *f, uint32_t acked, uint32_t left, uint32_t right)
{
	struct wire_segment s = from_peer(f, acked);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, left), sent(f, right)};
	input(f, &s);
	while (tcp_output(f->t, f->packet, sizeof f->packet, f->now))
		;
}

/* After a timeout little is in the network, however much is not acknowledged: half of that is no smaller window. */
static void a_loss_after_a_timeout_makes_no_window_larger(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_RENO);
	f->t->congestion.cwnd = 20 * MSS;
	tcp_update_permission(f->t);
	fill_window(f);
	time_out(f);
	assert_about(window(f), 1, 0.01);
	f->now += RTT;
	ack(f, MSS);
	fill_window(f);
	assert_about(window(f), 2, 0.01);
	f->t->congestion.cwnd = MSS;
	f->now += RTT;
	sack(f, MSS, 2 * MSS, 3 * MSS); /* of the two retransmissions that this made room for, the first is lost */
	assert_int_equal(f->t->counters.rack_losses, 1);
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_LOSS);
	assert_about(window(f), 1, 0.01);
	assert_true(f->t->congestion.ssthresh <= 2 * MSS);
}

static void every_timeout_ends_cubics_curve(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_CUBIC);
	f->t->congestion.cwnd = 20 * MSS;
	tcp_update_permission(f->t);
	fill_window(f);
	time_out(f);
	for (uint32_t n = 1; n <= 16; n++) {
		f->now += RTT / 16;
		ack(f, n * MSS);
		know_rtt(f);
		fill_window(f);
	}
	assert_int_equal(f->t->recovery.phase, TCP_PHASE_LOSS);
	assert_true(f->t->congestion.cubic.growing);
	time_out(f);
	assert_false(f->t->congestion.cubic.growing);
}

static void without_control_nothing_moves_the_window(void **state)
{
	struct fixture *f = *state;
	f->config.cwnd_max_bytes = 50 * MSS;
	establish_with(f, TCP_NO_CONTROL);
	assert_about(window(f), 50, 0.01);
	lose_one_of(f, 50);
	assert_about(window(f), 50, 0.01);
	push(f, 100);
	drain(f);
	while (f->t->counters.rto_fired == 0) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	assert_about(window(f), 50, 0.01);
	ack(f, (uint32_t)tcp_sent(f->t));
	assert_about(window(f), 50, 0.01);
}

static void the_limit_holds_whoever_controls(void **state)
{
	struct fixture *f = *state;
	f->config.cwnd_max_bytes = 15 * MSS;
	establish_with(f, TCP_CUBIC);
	for (int i = 0; i < 5; i++)
		use_window(f);
	assert_about(window(f), 15, 0.01);
}

/* RFC 5681, 4.1. */
static void a_pause_costs_the_window_only_where_it_is_asked_for(void **state)
{
	struct fixture *f = *state;
	f->config.restart_after_idle = true;
	establish_with(f, TCP_RENO);
	f->t->congestion.cwnd = 40 * MSS;
	tcp_update_permission(f->t);
	f->now += f->t->rto_ns / 2;
	push(f, 100);
	drain(f);
	assert_about(window(f), 40, 0.01);
	ack(f, 100);
	f->now += f->t->rto_ns + 1;
	push(f, 40 * MSS);
	assert_int_equal(drain(f), 10);
	assert_about(window(f), 10, 0.01);
}

static void usually_a_pause_costs_nothing(void **state)
{
	struct fixture *f = *state;
	establish_with(f, TCP_RENO);
	f->t->congestion.cwnd = 40 * MSS;
	tcp_update_permission(f->t);
	f->now += 100 * SECOND;
	push(f, 40 * MSS);
	assert_int_equal(drain(f), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(cubic_is_the_default),
		BOTH(cubic_keeps_seven_tenths_after_a_loss),
		BOTH(cubic_is_back_after_k_seconds_and_then_probes),
		BOTH(cubic_is_never_slower_than_reno),
		BOTH(cubic_aims_lower_when_losses_follow_each_other),
		BOTH(cubic_does_not_count_pauses),
		BOTH(an_undone_loss_gives_cubic_its_curve_back),
		BOTH(reno_halves_and_adds_a_segment_a_round_trip),
		BOTH(a_loss_after_a_timeout_makes_no_window_larger),
		BOTH(every_timeout_ends_cubics_curve),
		BOTH(without_control_nothing_moves_the_window),
		BOTH(the_limit_holds_whoever_controls),
		BOTH(a_pause_costs_the_window_only_where_it_is_asked_for),
		BOTH(usually_a_pause_costs_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
