#include "tests/unit/feed/feed_cmocka.h"

#include <stdbool.h>
#include <string.h>

#include "control/feed/synthetic.h"

#define HASH_START 14695981039346656037u /* FNV-1a */

static uint64_t hash_feed(uint32_t symbols, uint64_t seed, uint64_t count)
{
	struct synthetic_options options = {.symbols = symbols, .seed = seed, .count = count};
	struct feed *feed;
	struct feed_message m;
	uint64_t hash = HASH_START, n = 0;

	assert_int_equal(synthetic_feed_create(&options, &feed), 0);
	while (feed_next(feed, &m) == 1) {
		for (uint32_t i = 0; i < m.len; i++)
			hash = (hash ^ m.bytes[i]) * 1099511628211u;
		n++;
		assert_int_equal(m.sequence, n);
	}
	assert_int_equal(n, count);
	feed_destroy(feed);
	return hash;
}

static void the_same_seed_makes_the_same_octets_and_another_makes_others(void **state)
{
	assert_int_equal(hash_feed(100, 1, 10000), hash_feed(100, 1, 10000));
	assert_int_not_equal(hash_feed(100, 1, 10000), hash_feed(100, 2, 10000));
}

/* Committed figure: the generator's octets are part of what benchmarks compare. */
static void the_octets_are_those_they_always_were(void **state)
{
	assert_int_equal(hash_feed(1000, 0, 1000), 0xb9c3faf0cecda27fu);
}

static void has_the_types_and_sizes_of_the_real_feed(void **state)
{
	struct synthetic_options options = {.symbols = 50, .seed = 3, .count = 20000};
	static const struct {
		char type;
		uint32_t len;
	} expected[] = {{'S', 10}, {'8', 30}, {'5', 30}, {'T', 38}, {'H', 22}, {'O', 18}, {'P', 19}, {'E', 18}};
	uint32_t seen[sizeof expected / sizeof expected[0]] = {0};
	struct feed *feed;
	struct feed_message m;
	uint64_t last_ns = 0;

	assert_int_equal(synthetic_feed_create(&options, &feed), 0);
	while (feed_next(feed, &m) == 1) {
		size_t i = 0;
		while (expected[i].type != m.type)
			assert_true(++i < sizeof expected / sizeof expected[0]);
		assert_int_equal(m.len, expected[i].len);
		assert_true((m.symbol_len == 0) == (m.type == 'S'));
		assert_true(m.time_ns > last_ns);
		last_ns = m.time_ns;
		seen[i]++;
	}
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		assert_true(seen[i] > 0);
	feed_destroy(feed);
}

static void every_symbol_occurs_and_each_is_another(void **state)
{
	struct synthetic_options options = {.symbols = 40, .seed = 9, .count = 50000};
	char names[64][FEED_SYMBOL_MAX];
	uint32_t count = 0;
	struct feed *feed;
	struct feed_message m;

	assert_int_equal(synthetic_feed_create(&options, &feed), 0);
	while (feed_next(feed, &m) == 1) {
		uint32_t i = 0;
		while (i < count && memcmp(names[i], m.symbol, FEED_SYMBOL_MAX) != 0)
			i++;
		if (m.symbol_len && i == count) {
			assert_true(count < 64);
			memcpy(names[count++], m.symbol, FEED_SYMBOL_MAX);
		}
	}
	assert_int_equal(count, 40);
	feed_destroy(feed);
}

static void a_million_symbols_fit_and_more_are_refused(void **state)
{
	struct synthetic_options options = {.symbols = SYNTHETIC_SYMBOLS_MAX, .count = 10};
	struct feed *feed;

	assert_int_equal(synthetic_feed_create(&options, &feed), 0);
	feed_destroy(feed);
	options.symbols++;
	assert_true(synthetic_feed_create(&options, &feed) < 0);
	options.symbols = 0;
	assert_true(synthetic_feed_create(&options, &feed) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_makes_the_same_octets_and_another_makes_others),
		cmocka_unit_test(the_octets_are_those_they_always_were),
		cmocka_unit_test(has_the_types_and_sizes_of_the_real_feed),
		cmocka_unit_test(every_symbol_occurs_and_each_is_another),
		cmocka_unit_test(a_million_symbols_fit_and_more_are_refused),
	};
	return cmocka_run_group_tests_name("synthetic", tests, NULL, NULL);
}
