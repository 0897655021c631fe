#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/base/deadlines.h"

static void an_empty_heap_is_never_due(void **state)
{
	struct deadlines d;
	assert_int_equal(deadlines_init(&d, 4), 0);
	assert_true(deadlines_next(&d) == DEADLINE_NEVER);
	deadlines_set(&d, 2, DEADLINE_NEVER);
	assert_true(deadlines_next(&d) == DEADLINE_NEVER);
	deadlines_fini(&d);
}

static void the_earliest_is_first_after_any_change(void **state)
{
	struct deadlines d;
	assert_int_equal(deadlines_init(&d, 4), 0);
	deadlines_set(&d, 0, 30);
	deadlines_set(&d, 1, 10);
	deadlines_set(&d, 2, 20);
	assert_int_equal(deadlines_first(&d), 1);
	deadlines_set(&d, 1, 40);
	assert_int_equal(deadlines_first(&d), 2);
	deadlines_set(&d, 0, 5);
	assert_int_equal(deadlines_first(&d), 0);
	deadlines_set(&d, 0, DEADLINE_NEVER);
	assert_int_equal(deadlines_first(&d), 2);
	assert_int_equal(deadlines_next(&d), 20);
	deadlines_fini(&d);
}

static void agrees_with_a_plain_array_over_random_changes(void **state)
{
	enum { N = 64 };
	struct deadlines d;
	uint64_t plain[N];
	assert_int_equal(deadlines_init(&d, N), 0);
	for (int i = 0; i < N; i++)
		plain[i] = DEADLINE_NEVER;
	srand(1);
	for (int step = 0; step < 200000; step++) {
		uint32_t i = (uint32_t)rand() % N;
		uint64_t at = rand() % 4 ? (uint64_t)(rand() % 1000) : DEADLINE_NEVER;
		deadlines_set(&d, i, at);
		plain[i] = at;
		uint64_t least = DEADLINE_NEVER;
		for (int k = 0; k < N; k++)
			least = plain[k] < least ? plain[k] : least;
		assert_true(deadlines_next(&d) == least);
		assert_true(deadlines_get(&d, i) == at);
		if (least != DEADLINE_NEVER)
			assert_true(plain[deadlines_first(&d)] == least);
	}
	deadlines_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_heap_is_never_due),
		cmocka_unit_test(the_earliest_is_first_after_any_change),
		cmocka_unit_test(agrees_with_a_plain_array_over_random_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
