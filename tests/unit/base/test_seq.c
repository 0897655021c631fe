/* Sequence numbers: comparison by distance, not by value. */
#include "tests/unit/base/base_cmocka.h"

#include "dataplane/base/seq.h"

static const uint32_t origins[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 12345};

static void order_follows_distance_everywhere_on_the_circle(void **state)
{
	static const uint32_t distances[] = {1, 2, 1000, 0x40000000, 0x7fffffff};
	for (unsigned o = 0; o < 7; o++)
		for (unsigned d = 0; d < 5; d++) {
			uint32_t a = origins[o], b = a + distances[d];
			assert_true(seq_lt(a, b) && seq_le(a, b) && !seq_gt(a, b) && !seq_ge(a, b));
			assert_true(!seq_lt(b, a) && !seq_le(b, a) && seq_gt(b, a) && seq_ge(b, a));
			assert_int_equal(seq_max(a, b), b);
			assert_int_equal(seq_max(b, a), b);
			assert_int_equal(seq_min(a, b), a);
			assert_int_equal(seq_min(b, a), a);
		}
}

static void equal_numbers_are_neither_before_nor_after(void **state)
{
	for (unsigned o = 0; o < 7; o++) {
		uint32_t a = origins[o];
		assert_true(seq_le(a, a) && seq_ge(a, a) && !seq_lt(a, a) && !seq_gt(a, a));
		assert_int_equal(seq_min(a, a), a);
		assert_int_equal(seq_max(a, a), a);
	}
}

static void between_includes_both_ends_and_wraps(void **state)
{
	for (unsigned o = 0; o < 7; o++) {
		uint32_t a = origins[o], b = a + 1000;
		assert_true(seq_between(a, a, b));
		assert_true(seq_between(a, b, b));
		assert_true(seq_between(a, a + 500, b));
		assert_false(seq_between(a, a - 1, b));
		assert_false(seq_between(a, b + 1, b));
		assert_true(seq_between(a, a, a));
		assert_false(seq_between(a, a + 1, a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_follows_distance_everywhere_on_the_circle),
		cmocka_unit_test(equal_numbers_are_neither_before_nor_after),
		cmocka_unit_test(between_includes_both_ends_and_wraps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
