/* The clock: conversions that agree with each other. How fast time passes is not tested. */
#include "tests/unit/base/base_cmocka.h"

#include "dataplane/base/clock.h"

/* 2.5 GHz: 0.4 ns a tick. */
static const struct clock_scale tsc = {
	.tick0 = 1000, .ns0 = 5000000, .mult = (uint64_t)(0.4 * 4294967296.0), .tsc = true};
static const struct clock_scale plain = {0};

static void ticks_become_ns_in_proportion(void **state)
{
	assert_int_equal(clock_ticks_to_ns(&tsc, 0), 0);
	assert_in_range(clock_ticks_to_ns(&tsc, 2500000000), 999999998, 1000000000);
	assert_int_equal(clock_ticks_to_ns(&plain, 12345), 12345);
}

static void a_century_of_ticks_does_not_overflow(void **state)
{
	uint64_t century_ticks = 2500000000ull * 86400 * 365 * 100;
	uint64_t century_ns = 1000000000ull * 86400 * 365 * 100;
	uint64_t got = clock_ticks_to_ns(&tsc, century_ticks);
	assert_true(got <= century_ns && century_ns - got < century_ns / 1000000);
}

static void moments_are_anchored_where_the_clock_was_calibrated(void **state)
{
	assert_int_equal(clock_ns_at(&tsc, 1000), 5000000);
	assert_in_range(clock_ns_at(&tsc, 1000 + 2500), 5000999, 5001000);
	assert_int_equal(clock_ns_at(&plain, 777), 777);
}

static void calibrated_clock_never_runs_backwards(void **state)
{
	struct clock_scale scale;
	clock_calibrate(&scale);
	for (int i = 0; i < 1000; i++) {
		uint64_t ticks = clock_ticks(&scale);
		uint64_t ns = clock_ns(&scale);
		assert_true(clock_ticks(&scale) >= ticks);
		assert_true(clock_ns(&scale) >= ns);
	}
	assert_true(clock_ns_at(&scale, scale.tick0) == scale.ns0);
	if (scale.tsc)
		assert_true(scale.mult > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ticks_become_ns_in_proportion),
		cmocka_unit_test(a_century_of_ticks_does_not_overflow),
		cmocka_unit_test(moments_are_anchored_where_the_clock_was_calibrated),
		cmocka_unit_test(calibrated_clock_never_runs_backwards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
