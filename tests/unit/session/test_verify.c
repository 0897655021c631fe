#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/session/verify.h"

static struct verify verify;

static int set_up(void **state)
{
	verify_init(&verify, false);
	return 0;
}

static int tear_down(void **state)
{
	verify_fini(&verify);
	return 0;
}

static void add_of(uint32_t epoch, uint64_t sequence, bool redelivered, bool flagged)
{
	struct verify_message m = {.sequenced = true, .sequence = sequence, .epoch = epoch};
	m.redelivered = redelivered;
	m.flagged = flagged;
	assert_int_equal(verify_add(&verify, &m, 0), 0);
}

static void add(uint64_t sequence)
{
	add_of(1, sequence, false, false);
}

static struct verify_report report(void)
{
	struct verify_report r;
	verify_summarize(&verify, &r);
	return r;
}

static void once_and_in_order_is_clean(void **state)
{
	for (uint64_t n = 1; n <= 100000; n++)
		add(n);
	struct verify_report r = report();
	assert_true(verify_clean(&r));
	assert_int_equal(r.received, 100000);
	assert_int_equal(r.epochs, 1);
}

static void what_never_came_is_a_gap_from_number_one_on(void **state)
{
	add(3);
	add(6);
	struct verify_report r = report();
	assert_int_equal(r.gaps, 4);
	assert_int_equal(r.disorder, 0);
	assert_false(verify_clean(&r));
}

static void a_late_one_closes_its_gap_and_is_disorder(void **state)
{
	add(1);
	add(3);
	assert_int_equal(report().gaps, 1);
	add(2);
	assert_int_equal(report().gaps, 0);
	assert_int_equal(report().disorder, 1);
	assert_int_equal(report().duplicates, 0);
}

static void counting_may_start_at_the_first_seen(void **state)
{
	verify_init(&verify, true);
	add(50000000);
	add(50000002);
	assert_int_equal(report().gaps, 1);
	add(49999999); /* before the start: late, and no gap closed by it */
	assert_int_equal(report().gaps, 1);
	assert_int_equal(report().disorder, 1);
	add(49999999);
	assert_int_equal(report().duplicates, 1);
}

static void duplicates_are_told_apart_by_what_explains_them(void **state)
{
	for (uint64_t n = 1; n <= 4; n++)
		add(n);
	add_of(1, 1, true, false);
	add_of(1, 2, false, true);
	add_of(1, 3, false, false);
	struct verify_report r = report();
	assert_int_equal(r.duplicates_redelivered, 1);
	assert_int_equal(r.duplicates_flagged, 1);
	assert_int_equal(r.duplicates, 1);
	assert_int_equal(r.gaps, 0);
}

static void the_flag_explains_one_unflagged_copy_in_either_order(void **state)
{
	add_of(1, 1, false, true);  /* the replay arrives first ... */
	add_of(1, 1, false, false); /* ... then the original */
	assert_int_equal(report().duplicates_flagged, 1);
	assert_int_equal(report().duplicates, 0);
	add_of(1, 1, false, false); /* a second original is one too many */
	assert_int_equal(report().duplicates, 1);
}

static void publishers_are_kept_apart_as_many_as_can_be_followed(void **state)
{
	/* Steps of the table's size all want the same place in it. */
	for (uint32_t i = 0; i < VERIFY_EPOCHS_MAX; i++)
		add_of(100 + i * 2 * VERIFY_EPOCHS_MAX, 1, false, false);
	for (uint32_t i = 0; i < VERIFY_EPOCHS_MAX; i++)
		add_of(100 + i * 2 * VERIFY_EPOCHS_MAX, 3, false, false);
	add_of(999, 1, false, false);
	struct verify_report r = report();
	assert_int_equal(r.received, 2 * VERIFY_EPOCHS_MAX + 1);
	assert_int_equal(r.epochs, VERIFY_EPOCHS_MAX);
	assert_int_equal(r.gaps, VERIFY_EPOCHS_MAX);
	assert_int_equal(r.epochs_refused, 1);
	assert_false(verify_clean(&r));
}

static void each_publisher_has_its_own_verdict(void **state)
{
	struct verify_report r;

	for (uint64_t n = 1; n <= 5; n++) {
		add_of(7, n, false, false);
		add_of(0, 6 - n, false, false); /* backwards; and an epoch of 0 is one like others */
		if (n != 3)
			add_of(9, n, false, false);
	}
	add_of(9, 5, false, false);
	assert_int_equal(verify.count, 3);
	verify_summarize_epoch(&verify.epochs[0], &r);
	assert_int_equal(verify.epochs[0].epoch, 7);
	assert_int_equal(r.received, 5);
	assert_true(verify_clean(&r));
	verify_summarize_epoch(&verify.epochs[1], &r);
	assert_int_equal(verify.epochs[1].epoch, 0);
	assert_int_equal(r.disorder, 4);
	assert_int_equal(r.gaps, 0);
	verify_summarize_epoch(&verify.epochs[2], &r);
	assert_int_equal(r.received, 5);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.duplicates, 1);
	r = report();
	assert_int_equal(r.received, 15);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.duplicates, 1);
	assert_int_equal(r.disorder, 4);
}

static void a_message_without_a_number_is_counted_as_such(void **state)
{
	struct verify_message bare = {.sequence = 7};
	assert_int_equal(verify_add(&verify, &bare, 0), 0);
	add(0);
	assert_int_equal(report().unsequenced, 2);
	assert_int_equal(report().gaps, 0);
	assert_int_equal(report().epochs, 0);
}

static void two_to_the_24_numbers_behind_are_judged_exactly(void **state)
{
	add(1);
	add(1ull + VERIFY_WINDOW); /* number 2 is the oldest in the window now */
	assert_int_equal(report().gaps, VERIFY_WINDOW - 1);
	add(2);
	assert_int_equal(report().gaps, VERIFY_WINDOW - 2);
	assert_int_equal(report().disorder, 1);
	add(2);
	add(1); /* before the window, where nothing is missing */
	assert_int_equal(report().duplicates, 2);
	assert_int_equal(report().unjudged, 0);
}

static void beyond_the_window_what_cannot_be_told_is_said(void **state)
{
	add(1);
	add(2ull + VERIFY_WINDOW); /* 2 falls out of the window, missing */
	add(2);
	add(1);
	struct verify_report r = report();
	assert_int_equal(r.unjudged, 2);
	assert_int_equal(r.duplicates, 0);
	assert_int_equal(r.gaps, VERIFY_WINDOW);
	assert_false(verify_clean(&r));
}

static void a_leap_of_any_length_is_counted_exactly(void **state)
{
	add(1);
	add(3);
	add(5 * (uint64_t)VERIFY_WINDOW);
	assert_int_equal(report().gaps, 5 * (uint64_t)VERIFY_WINDOW - 3);
	add(5 * (uint64_t)VERIFY_WINDOW - 1);
	assert_int_equal(report().gaps, 5 * (uint64_t)VERIFY_WINDOW - 4);
	add(INT64_MAX);
	assert_int_equal(report().gaps, (uint64_t)INT64_MAX - 5);
	add(3);
	assert_int_equal(report().unjudged, 1);
}

static void latency_is_delivery_minus_send_time(void **state)
{
	struct verify_message m = {.sequenced = true, .epoch = 1, .send_time_ns = 5000};
	m.sequence = 1;
	verify_add(&verify, &m, 5100);
	m.sequence = 2;
	verify_add(&verify, &m, 9000);
	m.sequence = 3;
	verify_add(&verify, &m, 4999); /* the other clock is ahead */
	m.sequence = 4;
	m.send_time_ns = 0;
	verify_add(&verify, &m, 9000);
	assert_int_equal(histogram_count(&verify.latency_ns), 2);
	assert_int_equal(verify.latency_ns.max, 4000);
	assert_in_range(histogram_quantile(&verify.latency_ns, 0.5), 100, 101);
	assert_int_equal(report().clock_skew, 1);
}

/* ---- against a model that remembers everything ----------------------------------------------------------------- */

#define MODEL_NUMBERS 3000
#define MODEL_EPOCHS  3

struct model {
	struct {
		bool seen, unflagged;
	} of[MODEL_EPOCHS][MODEL_NUMBERS + 1];
	uint64_t highest[MODEL_EPOCHS];
	struct verify_report r;
};

static void model_add(struct model *m, uint32_t epoch, uint64_t n, bool redelivered, bool flagged)
{
	bool seen = m->of[epoch][n].seen, unflagged = m->of[epoch][n].unflagged;
	m->r.received++;
	if (seen && redelivered)
		m->r.duplicates_redelivered++;
	else if (seen && (flagged || !unflagged))
		m->r.duplicates_flagged++;
	else if (seen)
		m->r.duplicates++;
	else if (n < m->highest[epoch])
		m->r.disorder++;
	m->of[epoch][n].seen = true;
	m->of[epoch][n].unflagged |= !flagged;
	if (n > m->highest[epoch])
		m->highest[epoch] = n;
}

static struct verify_report model_report(const struct model *m)
{
	struct verify_report r = m->r;
	for (uint32_t e = 0; e < MODEL_EPOCHS; e++) {
		r.epochs += m->highest[e] > 0;
		for (uint64_t n = 1; n <= m->highest[e]; n++)
			r.gaps += !m->of[e][n].seen;
	}
	return r;
}

/* Mostly forward, with steps back, leaps, repeats and losses. */
static void run_random_stream(uint32_t seed)
{
	static struct model model;
	memset(&model, 0, sizeof model);
	uint64_t next[MODEL_EPOCHS] = {1, 1, 1};
	srandom(seed);
	for (int i = 0; i < 4000; i++) {
		uint32_t epoch = (uint32_t)random() % MODEL_EPOCHS;
		uint64_t n = next[epoch];
		if (random() % 10 == 0)
			n = 1 + (uint64_t)random() % n;
		else if (random() % 20 == 0)
			n += (uint64_t)random() % 40;
		if (n > MODEL_NUMBERS)
			continue;
		bool redelivered = random() % 8 == 0, flagged = random() % 8 == 0;
		add_of(epoch, n, redelivered, flagged);
		model_add(&model, epoch, n, redelivered, flagged);
		next[epoch] = n >= next[epoch] ? n + 1 : next[epoch];
	}
	struct verify_report ours = report(), wanted = model_report(&model);
	assert_memory_equal(&ours, &wanted, sizeof ours);
}

static void random_streams_are_judged_as_by_a_naive_model(void **state)
{
	for (uint32_t seed = 1; seed <= 60; seed++) {
		verify_init(&verify, false);
		run_random_stream(seed);
		verify_fini(&verify);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(once_and_in_order_is_clean),
		CASE(what_never_came_is_a_gap_from_number_one_on),
		CASE(a_late_one_closes_its_gap_and_is_disorder),
		CASE(counting_may_start_at_the_first_seen),
		CASE(duplicates_are_told_apart_by_what_explains_them),
		CASE(the_flag_explains_one_unflagged_copy_in_either_order),
		CASE(publishers_are_kept_apart_as_many_as_can_be_followed),
		CASE(each_publisher_has_its_own_verdict),
		CASE(a_message_without_a_number_is_counted_as_such),
		CASE(two_to_the_24_numbers_behind_are_judged_exactly),
		CASE(beyond_the_window_what_cannot_be_told_is_said),
		CASE(a_leap_of_any_length_is_counted_exactly),
		CASE(latency_is_delivery_minus_send_time),
		CASE(random_streams_are_judged_as_by_a_naive_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
