/* A broker that neither closes nor answers, on a clock of the test's own: closed windows, silence, and the time-outs.
 */
#include <stdio.h>

#include "tests/unit/plane/replay.h"

#define SECOND  1000000000u
#define LOOK_NS 50000000u

static uint64_t now_ns;

static uint32_t watched(struct plane *p, const struct connection_options *options)
{
	plane_init_with(p, 65536, 64, options, true);
	plane_ready(p);
	now_ns = p->connection->watch.looked_ns;
	return plane_template(p, REPLAY_SLOTS, 0);
}

/* Time passes, looked at as the worker does, until the connection is given up. Returns for how long. */
static uint64_t pass(struct plane *p, uint64_t ns)
{
	uint64_t passed = 0;
	for (; passed < ns && p->connection->phase != CONNECTION_IDLE; passed += LOOK_NS) {
		now_ns += LOOK_NS;
		connection_timer(p->connection, now_ns);
	}
	return passed;
}

static void expect_blockage(struct plane *p, enum harewire_event_type type, enum harewire_blockage which)
{
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p->publisher, &e), 1);
	assert_int_equal(e.type, type);
	assert_int_equal(e.code, which);
}

static void a_broker_that_confirms_nothing_for_a_second_is_silent_until_it_does(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){0});
	pass(&p, 5ull * SECOND);
	expect_no_event(&p); /* nothing waits */
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	pass(&p, SECOND);
	expect_no_event(&p);
	pass(&p, 2 * LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	assert_int_equal(plane_publish(&p, t, "buffered"), 3);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false);
	plane_turn(&p);
	pass(&p, LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	pass(&p, SECOND - LOOK_NS);
	expect_no_event(&p); /* a second anew */
	pass(&p, 2 * LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	plane_turn(&p);
	pass(&p, LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	pass(&p, 5ull * SECOND);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 3);
	expect_no_event(&p);
	plane_fini(&p);
}

static void a_slow_broker_is_not_silent(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = SECOND});
	plane_publish_many(&p, t, 20);
	plane_turn(&p);
	for (uint64_t tag = 1; tag <= 20; tag++) {
		pass(&p, SECOND - 2 * LOOK_NS);
		plane_confirm(&p, AMQP_BASIC_ACK, tag, false);
		plane_turn(&p);
	}
	assert_int_equal(p.connection->phase, CONNECTION_PUBLISHING);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 20);
	plane_fini(&p);
}

static void without_an_outcome_the_connection_is_given_up_after_the_confirm_timeout(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = 30ull * SECOND});
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	uint64_t passed = pass(&p, 60ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_CONFIRM_TIMEOUT);
	assert_true(passed >= 30ull * SECOND && passed <= 30ull * SECOND + 2 * LOOK_NS);
	assert_true(p.net.streams[0].aborted);
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_DISCONNECTED);
	assert_int_equal(e.code, HW_ERR_AMQP_CONFIRM_TIMEOUT);
	assert_true(strstr(e.text, "confirm timeout") != NULL);
	plane_fini(&p);
}

static void time_under_an_alarm_does_not_count_against_the_confirm_timeout(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = 10ull * SECOND});
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	pass(&p, 5ull * SECOND);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	pass(&p, 3600ull * SECOND);
	plane_no_event(&p);
	plane_method(&p, 0, AMQP_CONNECTION_UNBLOCKED, "", 0);
	plane_turn(&p);
	uint64_t passed = pass(&p, 60ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_CONFIRM_TIMEOUT);
	assert_true(passed >= 5ull * SECOND - LOOK_NS && passed <= 5ull * SECOND + 2 * LOOK_NS);
	plane_fini(&p);
}

/* A worker that did not run for an hour looks once afterwards: what it missed was not the broker's silence. */
static void our_own_absence_is_not_the_brokers_silence(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = 10ull * SECOND,
							      .blocked_timeout_ns = 10ull * SECOND});
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	pass(&p, 2 * LOOK_NS);
	now_ns += 3600ull * SECOND;
	connection_timer(p.connection, now_ns);
	plane_no_event(&p);
	expect_no_event(&p);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	now_ns += 3600ull * SECOND;
	connection_timer(p.connection, now_ns);
	plane_no_event(&p);
	plane_fini(&p);
}

static void a_window_closed_for_half_a_second_is_a_blockage_until_it_has_opened_for_a_while(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){0});
	struct fake_stream *wire = &p.net.streams[0];
	wire->mss = 1460;
	wire->peer_window = 0;
	pass(&p, SECOND);
	expect_no_event(&p); /* nothing waits for it */
	wire->window = 0;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	pass(&p, SECOND / 2);
	expect_no_event(&p);
	pass(&p, LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	wire->peer_window = 1459; /* less than a segment: TCP does not send that (RFC 9293, 3.8.6.2.1) */
	pass(&p, 10ull * SECOND);
	expect_no_event(&p);
	for (int i = 0; i < 21; i++) { /* a broker that reads a little now and then */
		wire->peer_window = i & 1 ? 65535 : 0;
		pass(&p, 3 * LOOK_NS);
	}
	expect_no_event(&p);
	wire->peer_window = 1460;
	pass(&p, 4 * LOOK_NS);
	expect_no_event(&p);
	pass(&p, LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	plane_fini(&p);
}

/* A channel whose queue has lost its majority: the broker reads it no more and will never confirm. */
static void a_broker_that_closes_its_window_and_confirms_nothing_is_given_up(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = 5ull * SECOND});
	struct fake_stream *wire = &p.net.streams[0];
	wire->mss = 1460;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	wire->window = wire->peer_window = 0;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	uint64_t passed = pass(&p, 60ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_CONFIRM_TIMEOUT);
	assert_true(passed >= 5ull * SECOND && passed <= 5ull * SECOND + 2 * LOOK_NS);
	plane_fini(&p);
}

static void a_window_closed_for_a_moment_is_none(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){0});
	struct fake_stream *wire = &p.net.streams[0];
	wire->mss = 1460;
	wire->window = 0;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	for (int i = 0; i < 20; i++) {
		wire->peer_window = i & 1 ? 65535 : 0;
		pass(&p, 9 * LOOK_NS);
	}
	expect_no_event(&p);
	plane_fini(&p);
}

/* The last octets of a message fit the window although a whole segment would not. */
static void a_window_that_takes_all_there_is_is_open(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){0});
	struct fake_stream *wire = &p.net.streams[0];
	wire->mss = 1460;
	plane_publish_many(&p, t, 1);
	wire->no_buffers = true;
	plane_turn(&p);
	wire->peer_window = (uint32_t)wire->stream.tx.end;
	pass(&p, 4 * LOOK_NS);
	expect_no_event(&p);
	wire->peer_window--;
	pass(&p, SECOND / 2 + LOOK_NS);
	expect_blockage(&p, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	plane_fini(&p);
}

static void an_alarm_longer_than_the_blocked_timeout_ends_the_connection(void **state)
{
	struct plane p;
	watched(&p, &(struct connection_options){.blocked_timeout_ns = 5ull * SECOND});
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	pass(&p, 4ull * SECOND);
	plane_method(&p, 0, AMQP_CONNECTION_UNBLOCKED, "", 0);
	plane_turn(&p);
	pass(&p, LOOK_NS);
	plane_blocked(&p, "low on disk"); /* another: counted anew */
	plane_turn(&p);
	uint64_t passed = pass(&p, 60ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_BLOCKED_TIMEOUT);
	assert_true(passed >= 5ull * SECOND && passed <= 5ull * SECOND + 2 * LOOK_NS);
	plane_fini(&p);
}

static void so_does_a_window_closed_for_so_long_even_with_an_alarm_in_between(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.blocked_timeout_ns = 5ull * SECOND});
	struct fake_stream *wire = &p.net.streams[0];
	wire->mss = 1460;
	wire->window = 0;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	uint64_t passed = pass(&p, 3ull * SECOND);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	pass(&p, LOOK_NS);
	wire->peer_window = 65535;
	passed += LOOK_NS + pass(&p, 60ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_BLOCKED_TIMEOUT);
	assert_true(passed >= 5ull * SECOND && passed <= 5ull * SECOND + 3 * LOOK_NS);
	plane_fini(&p);
}

static void without_timeouts_it_waits_for_ever(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){0});
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	pass(&p, 86400ull * SECOND);
	plane_no_event(&p);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	pass(&p, 86400ull * SECOND);
	plane_no_event(&p);
	plane_fini(&p);
}

static void the_confirm_timeout_runs_while_the_application_is_closing(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = 2ull * SECOND});
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	publisher_close(p.publisher, UINT64_MAX);
	pass(&p, 10ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_CONFIRM_TIMEOUT);
	plane_fini(&p);
}

static void the_next_connection_is_watched_anew_during_its_replay_too(void **state)
{
	struct plane p;
	uint32_t t = watched(&p, &(struct connection_options){.confirm_timeout_ns = 3ull * SECOND});
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	pass(&p, 2ull * SECOND);
	expect_blockage(&p, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	plane_lose(&p);
	expect_blockage(&p, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	plane_open_again(&p);
	p.net.streams[0].window = one;
	p.net.streams[0].ack_at_once = false;
	plane_connect(&p);
	now_ns = p.connection->watch.looked_ns;
	expect_event(&p, HAREWIRE_EVENT_READY, 0, 0);
	assert_int_equal(p.connection->phase, CONNECTION_REPLAYING);
	uint64_t passed = pass(&p, 60ull * SECOND);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_CONFIRM_TIMEOUT);
	assert_true(passed >= 3ull * SECOND && passed <= 3ull * SECOND + 2 * LOOK_NS);
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broker_that_confirms_nothing_for_a_second_is_silent_until_it_does),
		cmocka_unit_test(a_slow_broker_is_not_silent),
		cmocka_unit_test(without_an_outcome_the_connection_is_given_up_after_the_confirm_timeout),
		cmocka_unit_test(time_under_an_alarm_does_not_count_against_the_confirm_timeout),
		cmocka_unit_test(our_own_absence_is_not_the_brokers_silence),
		cmocka_unit_test(a_window_closed_for_half_a_second_is_a_blockage_until_it_has_opened_for_a_while),
		cmocka_unit_test(a_broker_that_closes_its_window_and_confirms_nothing_is_given_up),
		cmocka_unit_test(a_window_closed_for_a_moment_is_none),
		cmocka_unit_test(a_window_that_takes_all_there_is_is_open),
		cmocka_unit_test(an_alarm_longer_than_the_blocked_timeout_ends_the_connection),
		cmocka_unit_test(so_does_a_window_closed_for_so_long_even_with_an_alarm_in_between),
		cmocka_unit_test(without_timeouts_it_waits_for_ever),
		cmocka_unit_test(the_confirm_timeout_runs_while_the_application_is_closing),
		cmocka_unit_test(the_next_connection_is_watched_anew_during_its_replay_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
