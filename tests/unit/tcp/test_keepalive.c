/* Keepalive (RFC 1122, 4.2.3.6). */
#include "fixture.h"

#define IDLE     (10 * SECOND)
#define INTERVAL SECOND
#define PROBES   3u

static void establish_with_keepalive(struct fixture *f)
{
	f->config.keepalive_idle_ns = IDLE;
	f->config.keepalive_interval_ns = INTERVAL;
	f->config.keepalive_probes = PROBES;
	establish(f);
}

static void expect_probe(struct fixture *f, uint32_t next)
{
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_ACK);
	assert_int_equal(f->out.len, 0);
	assert_int_equal(f->out.seq, sent(f, next) - 1);
	expect_silence(f);
}

static void it_is_off_unless_configured(void **state)
{
	struct fixture *f = *state;
	establish(f);
	assert_int_equal(tcp_deadline(f->t), TCP_NEVER);
}

static void a_silent_peer_is_probed_and_then_given_up(void **state)
{
	struct fixture *f = *state;
	establish_with_keepalive(f);
	pass_deadline(f, IDLE);
	expect_probe(f, 0);
	for (uint32_t i = 1; i < PROBES; i++) {
		pass_deadline(f, INTERVAL);
		expect_probe(f, 0);
	}
	assert_int_equal(f->t->counters.keepalive_probes, PROBES);
	pass_deadline(f, INTERVAL);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_LOST);
}

/* The timer finds out an interval after the probe; a silence is counted from the answer all the same. */
static void an_answer_starts_the_wait_anew(void **state)
{
	struct fixture *f = *state;
	establish_with_keepalive(f);
	pass_deadline(f, IDLE);
	for (uint32_t i = 0; i < 5 * PROBES; i++) {
		expect_probe(f, 0);
		f->now += MS;
		uint64_t answered_ns = f->now;
		ack(f, 0);
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		expect_silence(f);
		assert_int_equal(tcp_deadline(f->t), answered_ns + IDLE);
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
	}
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
}

static void traffic_needs_no_probe(void **state)
{
	struct fixture *f = *state;
	establish_with_keepalive(f);
	uint64_t start = f->now;
	for (uint32_t i = 1; f->now - start < 5 * IDLE; i++) {
		push(f, 10);
		drain(f);
		f->now += MS;
		ack(f, 10 * i);
		for (uint64_t until = f->now + IDLE / 2; tcp_deadline(f->t) < until;) {
			f->now = tcp_deadline(f->t);
			tcp_timer(f->t, f->now);
			expect_silence(f);
		}
		f->now += IDLE / 2;
	}
	assert_int_equal(f->t->counters.keepalive_probes, 0);
}

/* What is in flight is watched by the retransmission timer, and that has a user timeout of its own. */
static void data_in_flight_is_not_probed_for(void **state)
{
	struct fixture *f = *state;
	establish_with_keepalive(f);
	f->t->config.user_timeout_ns = 0;
	push(f, 10);
	drain(f);
	uint64_t start = f->now;
	while (f->now - start < 5 * IDLE) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	assert_int_equal(f->t->counters.keepalive_probes, 0);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
}

static void the_peers_probe_is_answered(void **state)
{
	struct fixture *f = *state;
	establish(f);
	struct wire_segment s = from_peer(f, 0);
	s.seq--;
	input(f, &s);
	expect_ack(f, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(it_is_off_unless_configured),      BOTH(a_silent_peer_is_probed_and_then_given_up),
		BOTH(an_answer_starts_the_wait_anew),   BOTH(traffic_needs_no_probe),
		BOTH(data_in_flight_is_not_probed_for), BOTH(the_peers_probe_is_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
