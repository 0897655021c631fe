/* The log: one ring seen twice, so that nothing ever wraps for its user. */
#include "tests/unit/base/base_cmocka.h"

#include <unistd.h>

#include "dataplane/base/error.h"
#include "dataplane/base/log.h"

static void capacity_is_rounded_up_to_a_power_of_two_of_at_least_a_page(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t asked[] = {1, page, page + 1, 3 * page, 1u << 20, (1u << 20) + 1};
	const uint64_t got[] = {page, page, 2 * page, 4 * page, 1u << 20, 1u << 21};
	for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
		struct log log;
		assert_int_equal(log_init(&log, asked[i]), 0);
		assert_int_equal(log.capacity, got[i]);
		assert_int_equal(log.mask, got[i] - 1);
		log_fini(&log);
	}
}

static void both_mappings_show_the_same_octets(void **state)
{
	struct log log;
	assert_int_equal(log_init(&log, 1 << 16), 0);
	for (uint64_t i = 0; i < log.capacity; i++)
		log.base[i] = (uint8_t)(i * 31);
	assert_memory_equal(log.base, log.base + log.capacity, log.capacity);
	log.base[2 * log.capacity - 1] = 0xaa;
	assert_int_equal(log.base[log.capacity - 1], 0xaa);
	log_fini(&log);
}

static void run_across_the_wrap_is_contiguous(void **state)
{
	struct log log;
	assert_int_equal(log_init(&log, 1), 0);
	uint64_t pos = 1000 * log.capacity - 5;
	uint8_t *p = log_at(&log, pos);
	memcpy(p, "0123456789", 10);
	assert_memory_equal(log_at(&log, pos), "0123456789", 10);
	assert_ptr_equal(log_at(&log, pos + 5), log.base);
	assert_memory_equal(log_at(&log, pos + 5), "56789", 5);
	log_fini(&log);
}

static void every_position_can_hold_a_run_of_the_whole_capacity(void **state)
{
	struct log log;
	assert_int_equal(log_init(&log, 1), 0);
	for (uint64_t pos = 0; pos < log.capacity; pos += 511) {
		memset(log_at(&log, pos), (int)(pos % 251), log.capacity);
		for (uint64_t i = 0; i < log.capacity; i += 97)
			assert_int_equal(log.base[i], pos % 251);
	}
	log_fini(&log);
}

static void new_log_is_zero_and_two_logs_share_nothing(void **state)
{
	struct log a, b;
	assert_int_equal(log_init(&a, 1), 0);
	assert_int_equal(log_init(&b, 1), 0);
	memset(a.base, 1, a.capacity);
	for (uint64_t i = 0; i < b.capacity; i++)
		assert_int_equal(b.base[i], 0);
	log_fini(&a);
	log_fini(&b);
}

static void impossible_capacities_are_refused(void **state)
{
	struct log log;
	assert_int_equal(log_init(&log, 0), HW_ERR_INVALID);
	assert_int_equal(log_init(&log, (1ull << 40) + 1), HW_ERR_INVALID);
	assert_int_equal(log_init(&log, UINT64_MAX), HW_ERR_INVALID);
	assert_null(log.base);
	log_fini(&log); /* harmless */
}

static void log_can_be_finished_twice(void **state)
{
	struct log log;
	assert_int_equal(log_init(&log, 1), 0);
	log_fini(&log);
	assert_null(log.base);
	log_fini(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_is_rounded_up_to_a_power_of_two_of_at_least_a_page),
		cmocka_unit_test(both_mappings_show_the_same_octets),
		cmocka_unit_test(run_across_the_wrap_is_contiguous),
		cmocka_unit_test(every_position_can_hold_a_run_of_the_whole_capacity),
		cmocka_unit_test(new_log_is_zero_and_two_logs_share_nothing),
		cmocka_unit_test(impossible_capacities_are_refused),
		cmocka_unit_test(log_can_be_finished_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
