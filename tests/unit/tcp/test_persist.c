/* The peer's window: closed, silly, shrinking, reopened by an update that got lost. */
#include "fixture.h"

static void close_window(struct fixture *f, uint32_t acked)
{
	f->peer_window = 0;
	ack(f, acked);
}

static void closed_window_is_probed_with_back_off(void **state)
{
	struct fixture *f = *state;
	establish(f);
	close_window(f, 0);
	assert_int_equal(tcp_may_push(f->t), 1); /* something to probe with */
	push(f, 500);
	assert_int_equal(tcp_may_push(f->t), 0);
	expect_silence(f);
	uint64_t wait = 50 * MS;
	for (int i = 0; i < 4; i++, wait *= 2) {
		pass_deadline(f, wait);
		expect_data(f, 0, 1);
		expect_silence(f);
		ack(f, 0);
		expect_silence(f);
	}
	assert_int_equal(f->t->counters.persist_probes, 4);
	assert_int_equal(f->t->counters.rto_fired, 0);
}

static void answered_probes_never_give_up(void **state)
{
	struct fixture *f = *state;
	establish(f);
	close_window(f, 0);
	push(f, 500);
	expect_silence(f);
	uint64_t start = f->now;
	while (f->now - start < 7200 * SECOND) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		if (output(f))
			ack(f, 0);
	}
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	f->peer_window = 1000;
	ack(f, 0);
	expect_data(f, 0, 1); /* the octet of the probe was dropped */
	expect_data(f, 1, 499);
}

static void unanswered_probes_meet_the_user_timeout(void **state)
{
	struct fixture *f = *state;
	establish(f);
	close_window(f, 0);
	push(f, 500);
	expect_silence(f);
	uint64_t start = f->now;
	while (tcp_state_of(f->t) != TCP_CLOSED) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	assert_int_equal(f->now - start, 50 * MS + f->config.user_timeout_ns); /* from the first probe on */
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_LOST);
}

static void probe_finds_out_that_an_update_was_lost(void **state)
{
	struct fixture *f = *state;
	establish(f);
	close_window(f, 0);
	push(f, 500);
	expect_silence(f);
	pass_deadline(f, 50 * MS);
	expect_data(f, 0, 1);
	f->peer_window = 4000;
	ack(f, 1); /* it was taken: the window had been open for long */
	expect_data(f, 1, 499);
	ack(f, 500);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
}

static void update_reopens_at_once(void **state)
{
	struct fixture *f = *state;
	establish(f);
	close_window(f, 0);
	push(f, 500);
	expect_silence(f);
	f->peer_window = 4000;
	ack(f, 0);
	expect_data(f, 0, 500);
	expect_silence(f);
}

static void window_closing_over_data_in_flight_is_probed_not_collapsed(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 3000);
	assert_int_equal(drain(f), 3);
	uint32_t cwnd = f->t->congestion.cwnd;
	close_window(f, 1460);
	pass_deadline(f, 50 * MS);
	expect_data(f, 1460, 1);
	expect_silence(f);
	assert_int_equal(f->t->congestion.cwnd, cwnd);
	f->peer_window = 8000;
	ack(f, 1460);
	expect_data(f, 1460, 1460);
	expect_data(f, 2920, 80);
}

static void silly_windows_are_waited_out(void **state)
{
	struct fixture *f = *state;
	f->peer_window = 8000;
	establish(f);
	f->peer_window = 300;
	ack(f, 0);
	push(f, 1000);
	expect_silence(f);
	pass_deadline(f, 50 * MS); /* override: what fits goes */
	expect_data(f, 0, 300);
}

static void a_small_window_takes_a_message_that_fits(void **state)
{
	struct fixture *f = *state;
	f->peer_window = 8000;
	establish(f);
	f->peer_window = 300;
	ack(f, 0);
	push(f, 200);
	expect_data(f, 0, 200);
}

static void old_segments_do_not_move_the_window(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 100);
	drain(f);
	data_from_peer(f, 0, 50);
	f->peer_next = 50;
	ack(f, 100);
	struct wire_segment old = from_peer(f, 0);
	old.window = 1;
	input(f, &old);
	assert_int_equal(f->t->snd_wnd, 65535);
}

/* What came from behind it told of a newer window: RFC 9293, 3.10.7.4, SND.WL1. Not to be predicted. */
static void a_segment_that_comes_late_does_not_bring_its_window_back(void **state)
{
	struct fixture *f = *state;
	establish(f);
	f->peer_next = 50;
	f->peer_window = 30000;
	ack(f, 0); /* behind 50 octets that have not arrived */
	uint32_t newer = f->t->snd_wnd;
	f->peer_next = 0;
	f->peer_window = 300;
	data_from_peer(f, 0, 50); /* now they do */
	assert_int_equal(f->t->rcv_nxt, theirs(f, 50));
	assert_int_equal(f->t->snd_wnd, newer);
	f->peer_next = 50;
	f->peer_window = 20000;
	ack(f, 0); /* and the next in order counts again */
	assert_true(f->t->snd_wnd < newer && f->t->snd_wnd > 300);
	assert_true(f->t->predicted);
}

static void fin_waits_for_the_window(void **state)
{
	struct fixture *f = *state;
	establish(f);
	close_window(f, 0);
	tcp_close(f->t, f->now);
	expect_silence(f);
	pass_deadline(f, 50 * MS);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_ACK | WIRE_FIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(closed_window_is_probed_with_back_off),
		BOTH(answered_probes_never_give_up),
		BOTH(unanswered_probes_meet_the_user_timeout),
		BOTH(probe_finds_out_that_an_update_was_lost),
		BOTH(update_reopens_at_once),
		BOTH(window_closing_over_data_in_flight_is_probed_not_collapsed),
		BOTH(silly_windows_are_waited_out),
		BOTH(a_small_window_takes_a_message_that_fits),
		BOTH(old_segments_do_not_move_the_window),
		BOTH(a_segment_that_comes_late_does_not_bring_its_window_back),
		BOTH(fin_waits_for_the_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
