#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/reconnect.h"
#include "dataplane/base/error.h"

#define MS     1000000ull
#define SECOND (1000 * MS)
#define NOW    1 /* where it does not matter */

/* ---- what a failure means ---- */

static void refusals_end_it_and_what_can_pass_is_tried_again(void **state)
{
	static const struct {
		int code;
		uint16_t reply_code;
		const char *text;
		enum reconnect_verdict first, later;
	} table[] = {
		/* the login, the vhost */
		{HW_ERR_AMQP_LOGIN_REFUSED, 403, "403 ACCESS_REFUSED - Login was refused", RECONNECT_NEVER,
		 RECONNECT_REFUSED},
		{HW_ERR_AMQP_LOGIN_REFUSED, 530, "530 NOT_ALLOWED - vhost x not found", RECONNECT_NEVER,
		 RECONNECT_NEVER},
		{HW_ERR_AMQP_LOGIN_REFUSED, 530, "530 NOT_ALLOWED - access to vhost 'x' refused for user 'y'",
		 RECONNECT_NEVER, RECONNECT_NEVER},
		{HW_ERR_AMQP_LOGIN_REFUSED, 530,
		 "530 NOT_ALLOWED - access to vhost 'x' refused for user 'y', backend b returned an error: "
		 "econnrefused",
		 RECONNECT_NEVER, RECONNECT_REFUSED},
		{HW_ERR_AMQP_LOGIN_REFUSED, 0, "the broker does not offer SASL PLAIN", RECONNECT_NEVER,
		 RECONNECT_NEVER},
		{HW_ERR_AMQP_LOGIN_REFUSED, 530,
		 "530 NOT_ALLOWED - access to vhost 'x' refused for user 'y': vhost 'x' is down", RECONNECT_AGAIN,
		 RECONNECT_AGAIN},
		{HW_ERR_AMQP_LOGIN_REFUSED, 530,
		 "530 NOT_ALLOWED - access to vhost 'x' refused for user 'y': connection limit (1) is reached",
		 RECONNECT_AGAIN, RECONNECT_AGAIN},
		{HW_ERR_AMQP_LOGIN_REFUSED, 504, "504 CHANNEL_ERROR", RECONNECT_AGAIN, RECONNECT_AGAIN},
		{HW_ERR_AMQP_CONNECTION_CLOSED, 541, "541 INTERNAL_ERROR - vhost 'x' is down", RECONNECT_AGAIN,
		 RECONNECT_AGAIN},
		{HW_ERR_AMQP_CONNECTION_CLOSED, 320, "320 CONNECTION_FORCED", RECONNECT_AGAIN, RECONNECT_AGAIN},
		/* declarations */
		{HW_ERR_AMQP_SETUP, 403, "403 ACCESS_REFUSED - access to queue", RECONNECT_NEVER, RECONNECT_REFUSED},
		{HW_ERR_AMQP_SETUP, 406, "406 PRECONDITION_FAILED - inequivalent arg 'durable'", RECONNECT_NEVER,
		 RECONNECT_NEVER},
		{HW_ERR_AMQP_SETUP, 404,
		 "404 NOT_FOUND - home node 'a@b' of durable queue 'q' in vhost '/' is down or inaccessible",
		 RECONNECT_NEVER, RECONNECT_AGAIN},
		{HW_ERR_AMQP_SETUP, 404, "404 NOT_FOUND - no exchange 'x' in vhost '/'", RECONNECT_NEVER,
		 RECONNECT_AGAIN},
		{HW_ERR_AMQP_SETUP, 405, "405 RESOURCE_LOCKED - cannot obtain exclusive access", RECONNECT_NEVER,
		 RECONNECT_AGAIN},
		/* the password file */
		{HW_ERR_SYSTEM, 0, "cannot read the password file", RECONNECT_NEVER, RECONNECT_AGAIN},
		{HW_ERR_INVALID, 0, "the password file has mode 0644", RECONNECT_NEVER, RECONNECT_AGAIN},
		/* the way */
		{HW_ERR_TIMEOUT, 0, "timed out", RECONNECT_AGAIN, RECONNECT_AGAIN},
		{HW_ERR_CONN_RESET, 0, "the connection was lost", RECONNECT_AGAIN, RECONNECT_AGAIN},
		{HW_ERR_AMQP_PROTOCOL_HEADER, 0, "no broker", RECONNECT_AGAIN, RECONNECT_AGAIN},
		{HW_ERR_AMQP_CHANNEL_CLOSED, 406, "406 PRECONDITION_FAILED", RECONNECT_AGAIN, RECONNECT_AGAIN},
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (reconnect_judge(table[i].code, table[i].reply_code, table[i].text, false) != table[i].first ||
		    reconnect_judge(table[i].code, table[i].reply_code, table[i].text, true) != table[i].later)
			fail_msg("%s", table[i].text);
	}
}

/* ---- where and when ---- */

static struct reconnect hosts(uint32_t count)
{
	struct reconnect r;
	reconnect_init(&r, count, false, 10 * MS, 100 * MS, 7);
	reconnect_attempt(&r);
	return r;
}

static void the_first_connection_asks_each_host_once_without_a_pause(void **state)
{
	struct reconnect r = hosts(3);
	uint64_t pause = 1;
	assert_int_equal(reconnect_host(&r), 0);
	for (uint32_t i = 1; i < 3; i++) {
		assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
		assert_int_equal(pause, 0);
		assert_int_equal(reconnect_host(&r), i);
	}
	assert_false(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
	r = hosts(3);
	assert_false(reconnect_failed(&r, RECONNECT_NEVER, NOW, &pause));
}

static void assert_pause(uint64_t pause, uint64_t whole)
{
	assert_true(pause >= whole / 2 && pause <= whole);
}

static void after_a_loss_the_same_host_comes_first_then_the_others_with_pauses_that_double(void **state)
{
	static const uint64_t pauses[] = {10, 20, 40, 80, 100, 100, 100};
	struct reconnect r = hosts(3);
	uint64_t pause;
	assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	assert_int_equal(pause, 0);
	assert_int_equal(reconnect_host(&r), 1);
	for (uint32_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
		assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
		assert_pause(pause, pauses[i] * MS);
		assert_int_equal(reconnect_host(&r), (2 + i) % 3);
	}
	assert_false(reconnect_failed(&r, RECONNECT_NEVER, NOW, &pause));
}

static void attempts_are_counted_from_the_loss_on(void **state)
{
	struct reconnect r = hosts(1);
	uint64_t pause;
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	for (int i = 0; i < 3; i++) {
		reconnect_attempt(&r);
		assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
	}
	reconnect_attempt(&r);
	assert_int_equal(r.attempts, 4);
	reconnect_ready(&r);
	assert_int_equal(r.attempts, 4); /* for whoever tells of it */
	reconnect_lost(&r, true, false, &pause);
	assert_int_equal(r.attempts, 0);
}

/* Also the least and the most that may be configured. */
static void pauses_never_pass_their_bounds_and_vary(void **state)
{
	static const uint64_t bounds[][2] = {{1 * MS, 1 * MS}, {1 * MS, 3600000 * MS}, {7, 1000}, {10 * MS, 15 * MS}};
	for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
		uint64_t least = UINT64_MAX, most = 0;
		for (uint64_t seed = 0; seed < 200; seed++) {
			struct reconnect r;
			uint64_t pause, whole = bounds[b][0];
			reconnect_init(&r, 1, false, bounds[b][0], bounds[b][1], seed);
			reconnect_ready(&r);
			reconnect_lost(&r, true, false, &pause);
			for (int i = 0; i < 60; i++) {
				assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
				assert_true(pause >= whole - whole / 2 && pause <= whole);
				whole = 2 * whole > bounds[b][1] ? bounds[b][1] : 2 * whole;
			}
			least = pause < least ? pause : least;
			most = pause > most ? pause : most;
		}
		assert_true(most - least > bounds[b][1] / 4);
	}
}

static void a_broker_that_accepts_and_closes_is_no_endless_loop(void **state)
{
	static const uint64_t pauses[] = {10, 20, 40, 80, 100, 100};
	struct reconnect r = hosts(1);
	uint64_t pause;
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	assert_int_equal(pause, 0);
	for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
		reconnect_ready(&r);
		reconnect_lost(&r, false, false, &pause);
		assert_pause(pause, pauses[i] * MS);
	}
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	assert_int_equal(pause, 0);
}

static void a_host_that_accepts_and_closes_keeps_nobody_from_the_others(void **state)
{
	struct reconnect r = hosts(3);
	uint64_t pause;
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	assert_int_equal(reconnect_host(&r), 0);
	reconnect_ready(&r);
	reconnect_lost(&r, false, false, &pause);
	assert_int_equal(reconnect_host(&r), 1);
	assert_pause(pause, 10 * MS);
}

static void a_host_that_stalls_is_left_for_the_next(void **state)
{
	struct reconnect r = hosts(2);
	uint64_t pause = 1;
	reconnect_ready(&r);
	reconnect_lost(&r, true, true, &pause);
	assert_int_equal(reconnect_host(&r), 1);
	assert_int_equal(pause, 0);
	reconnect_ready(&r);
	reconnect_lost(&r, true, true, &pause);
	assert_int_equal(reconnect_host(&r), 0);
}

static void an_unfit_host_is_passed_over_until_a_connection_works(void **state)
{
	struct reconnect r = hosts(3);
	uint64_t pause;
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	assert_true(reconnect_failed(&r, RECONNECT_ELSEWHERE, NOW, &pause));
	for (int i = 0; i < 6; i++) {
		assert_int_equal(reconnect_host(&r), 1 + i % 2);
		assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
	}
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
	assert_true(reconnect_failed(&r, RECONNECT_AGAIN, NOW, &pause));
	assert_int_equal(reconnect_host(&r), 0);
	assert_true(reconnect_failed(&r, RECONNECT_ELSEWHERE, NOW, &pause));
	assert_true(reconnect_failed(&r, RECONNECT_ELSEWHERE, NOW, &pause));
	assert_false(reconnect_failed(&r, RECONNECT_ELSEWHERE, NOW, &pause));
}

/* ---- refusals that may pass ---- */

/* A login that was good once: for a while, not too often. */
static void a_refusal_is_believed_after_a_while(void **state)
{
	struct reconnect r = hosts(1);
	uint64_t pause, now = 7 * SECOND, attempts = 0;
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	for (; reconnect_failed(&r, RECONNECT_REFUSED, now, &pause); now += pause, attempts++)
		assert_pause(pause, REFUSED_PAUSE_NS);
	assert_true(now >= 27 * SECOND && now < 31 * SECOND);
	assert_true(attempts >= 5 && attempts <= 10);
}

static void anything_else_between_refusals_begins_that_while_anew(void **state)
{
	struct reconnect r = hosts(1);
	uint64_t pause;
	reconnect_ready(&r);
	assert_true(reconnect_failed(&r, RECONNECT_REFUSED, SECOND, &pause));
	assert_true(reconnect_failed(&r, RECONNECT_AGAIN, 20 * SECOND, &pause));
	assert_true(reconnect_failed(&r, RECONNECT_REFUSED, 21 * SECOND, &pause));
	reconnect_ready(&r);
	assert_true(reconnect_failed(&r, RECONNECT_REFUSED, 41 * SECOND, &pause));
	assert_true(reconnect_failed(&r, RECONNECT_REFUSED, 60 * SECOND, &pause));
	assert_false(reconnect_failed(&r, RECONNECT_REFUSED, 61 * SECOND, &pause));
}

/* That another is down, too, is no reason to go on for ever. */
static void a_host_that_refuses_is_left_for_the_next_and_its_while_goes_on(void **state)
{
	struct reconnect r = hosts(2);
	uint64_t pause;
	reconnect_ready(&r);
	reconnect_lost(&r, true, false, &pause);
	for (uint64_t second = 1; second < 21; second += 5) {
		assert_int_equal(reconnect_host(&r), 0);
		assert_true(reconnect_failed(&r, RECONNECT_REFUSED, second * SECOND, &pause));
		assert_int_equal(reconnect_host(&r), 1);
		assert_true(pause <= 100 * MS);
		assert_true(reconnect_failed(&r, RECONNECT_AGAIN, second * SECOND + 1, &pause));
		assert_pause(pause, REFUSED_PAUSE_NS);
	}
	assert_false(reconnect_failed(&r, RECONNECT_REFUSED, 21 * SECOND, &pause));
}

static void shuffled_hosts_are_all_there_and_come_in_every_order(void **state)
{
	uint32_t first[3] = {0};
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct reconnect r;
		uint32_t seen = 0;
		reconnect_init(&r, 3, true, MS, MS, seed);
		for (uint32_t i = 0; i < 3; i++)
			seen |= 1u << r.order[i];
		assert_int_equal(seen, 7);
		first[reconnect_host(&r)]++;
	}
	for (int i = 0; i < 3; i++)
		assert_true(first[i] > 900 && first[i] < 1100);
}

/* ---- poison ---- */

static struct poison_loss loss(uint64_t at_ns, int code, uint16_t reply_code, uint64_t oldest_id)
{
	return (struct poison_loss){.at_ns = at_ns,
				    .code = code,
				    .reply_code = reply_code,
				    .oldest_id = oldest_id,
				    .outcomes = 5,
				    .oldest_sent = true};
}

static bool shown(struct poison *p, uint64_t at_ns, int code, uint16_t reply_code, uint64_t oldest_id)
{
	const struct poison_loss l = loss(at_ns, code, reply_code, oldest_id);
	return poison_shown(p, &l);
}

static void two_closes_on_the_same_message_are_poison(void **state)
{
	struct poison p = {0};
	assert_false(shown(&p, 3 * SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 406, 9));
	assert_true(shown(&p, 4 * SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 406, 9));
	p = (struct poison){0};
	assert_false(shown(&p, 3 * SECOND, HW_ERR_AMQP_CONNECTION_CLOSED, 501, 9));
	assert_true(shown(&p, 8 * SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9));
}

/* Somebody may just be declaring the exchange anew. */
static void closes_within_a_second_are_not_poison_yet(void **state)
{
	struct poison p = {0};
	for (uint64_t i = 0; i < 20; i++)
		assert_false(shown(&p, 3 * SECOND + i * 52 * MS, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9));
	assert_true(shown(&p, 4 * SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9));
}

/* What decides is a close: the loss behind it may be of a broker that is restarted. */
static void a_loss_without_a_word_is_no_second_close(void **state)
{
	struct poison p = {0};
	assert_false(shown(&p, 3 * SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9));
	assert_false(shown(&p, 3 * SECOND + MS, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9));
	assert_false(shown(&p, 9 * SECOND, HW_ERR_CONN_RESET, 0, 9));
	assert_true(shown(&p, 10 * SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9));
}

static void progress_or_another_message_begins_the_count_anew(void **state)
{
	struct poison p = {0};
	struct poison_loss l = loss(SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 404, 9);
	assert_false(poison_shown(&p, &l));
	l.oldest_id = 10;
	l.at_ns += SECOND;
	assert_false(poison_shown(&p, &l));
	l.outcomes++; /* of newer messages: the connection did work */
	l.at_ns += SECOND;
	assert_false(poison_shown(&p, &l));
	l.oldest_sent = false; /* it was not this message, then */
	l.at_ns += SECOND;
	assert_false(poison_shown(&p, &l));
	l.oldest_sent = true;
	l.at_ns += SECOND;
	assert_false(poison_shown(&p, &l));
	l.at_ns += SECOND;
	assert_true(poison_shown(&p, &l));
}

static void losses_without_a_word_need_eight_in_a_row(void **state)
{
	static const int codes[] = {HW_ERR_CONN_RESET, HW_ERR_CONN_CLOSED_BY_PEER};
	struct poison p = {0};
	uint64_t now = 0;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 7; i++)
			assert_false(shown(&p, now += 9 * SECOND, codes[i % 2], 0, 9));
		if (round == 0) /* a broker that is sick, not the message */
			assert_false(shown(&p, now += SECOND, HW_ERR_AMQP_HEARTBEAT, 0, 9));
	}
	assert_true(shown(&p, now, HW_ERR_CONN_RESET, 0, 9));
}

/* A firewall that is reloaded resets whoever comes back for a while. */
static void losses_without_a_word_need_ten_seconds_too(void **state)
{
	struct poison p = {0};
	for (uint64_t now = 100 * SECOND; now < 110 * SECOND; now += 50 * MS)
		assert_false(shown(&p, now, HW_ERR_CONN_RESET, 0, 9));
	assert_true(shown(&p, 110 * SECOND, HW_ERR_CONN_RESET, 0, 9));
}

static void a_permission_withdrawn_is_believed_after_a_while_without_an_outcome(void **state)
{
	struct forbidden f = {0};
	struct poison_loss l = loss(SECOND, HW_ERR_AMQP_CHANNEL_CLOSED, 403, 1);
	for (; l.at_ns < 21 * SECOND; l.at_ns += SECOND, l.oldest_id++)
		assert_false(forbidden_shown(&f, &l));
	assert_true(forbidden_shown(&f, &l));
	l.outcomes++;
	assert_false(forbidden_shown(&f, &l));
	l.at_ns += 100 * SECOND;
	l.reply_code = 404;
	assert_false(forbidden_shown(&f, &l));
	l.reply_code = 403;
	assert_true(forbidden_shown(&f, &l));
}

static void a_broker_that_is_away_or_goes_down_is_no_poison(void **state)
{
	static const struct {
		int code;
		uint16_t reply_code;
	} table[] = {{HW_ERR_AMQP_HEARTBEAT, 0},          {HW_ERR_AMQP_CONFIRM_TIMEOUT, 0},
		     {HW_ERR_AMQP_BLOCKED_TIMEOUT, 0},    {HW_ERR_CONN_LOST, 0},
		     {HW_ERR_HOST_UNREACHABLE, 0},        {HW_ERR_AMQP_CONNECTION_CLOSED, 320},
		     {HW_ERR_AMQP_CONNECTION_CLOSED, 541}};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct poison p = {0};
		for (int n = 0; n < 100; n++)
			assert_false(shown(&p, (uint64_t)n * SECOND, table[i].code, table[i].reply_code, 9));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_end_it_and_what_can_pass_is_tried_again),
		cmocka_unit_test(the_first_connection_asks_each_host_once_without_a_pause),
		cmocka_unit_test(after_a_loss_the_same_host_comes_first_then_the_others_with_pauses_that_double),
		cmocka_unit_test(attempts_are_counted_from_the_loss_on),
		cmocka_unit_test(pauses_never_pass_their_bounds_and_vary),
		cmocka_unit_test(a_broker_that_accepts_and_closes_is_no_endless_loop),
		cmocka_unit_test(a_host_that_accepts_and_closes_keeps_nobody_from_the_others),
		cmocka_unit_test(a_host_that_stalls_is_left_for_the_next),
		cmocka_unit_test(an_unfit_host_is_passed_over_until_a_connection_works),
		cmocka_unit_test(shuffled_hosts_are_all_there_and_come_in_every_order),
		cmocka_unit_test(a_refusal_is_believed_after_a_while),
		cmocka_unit_test(anything_else_between_refusals_begins_that_while_anew),
		cmocka_unit_test(a_host_that_refuses_is_left_for_the_next_and_its_while_goes_on),
		cmocka_unit_test(two_closes_on_the_same_message_are_poison),
		cmocka_unit_test(closes_within_a_second_are_not_poison_yet),
		cmocka_unit_test(a_loss_without_a_word_is_no_second_close),
		cmocka_unit_test(progress_or_another_message_begins_the_count_anew),
		cmocka_unit_test(losses_without_a_word_need_eight_in_a_row),
		cmocka_unit_test(losses_without_a_word_need_ten_seconds_too),
		cmocka_unit_test(a_permission_withdrawn_is_believed_after_a_while_without_an_outcome),
		cmocka_unit_test(a_broker_that_is_away_or_goes_down_is_no_poison),
	};
	return cmocka_run_group_tests_name("reconnect", tests, NULL, NULL);
}
