/* The histogram: what a quantile may be off by, compared with the sorted samples themselves. */
#include "tests/unit/base/base_cmocka.h"

#include "dataplane/base/histogram.h"

#define SAMPLES 20000u

static struct histogram h, other;
static uint64_t samples[SAMPLES];

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void every_bucket_follows_the_one_before(void **state)
{
	uint32_t bucket = 0;
	for (uint64_t v = 0; v < 1u << 20; v++) {
		uint32_t next = histogram_bucket(v);
		assert_true(next == bucket || next == bucket + 1);
		bucket = next;
	}
	assert_int_equal(histogram_bucket((1ull << 40) - 1), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(1ull << 40), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void one_sample_is_known_to_a_sixty_fourth(void **state)
{
	struct prng g = {8};
	for (int i = 0; i < 20000; i++) {
		uint64_t v = prng_next(&g) >> (25 + prng_below(&g, 39)); /* below the last bucket */
		memset(&h, 0, sizeof h);
		histogram_add(&h, v);
		histogram_add(&h, UINT64_MAX); /* so that the maximum does not bound the answer */
		uint64_t q = histogram_quantile(&h, 0.5);
		assert_true(q >= v);
		assert_true(q - v <= v / 64);
	}
}

static void quantiles_bound_those_of_the_sorted_samples(void **state)
{
	static const double fractions[] = {0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
	struct prng g = {9};
	for (int shape = 0; shape < 4; shape++) {
		memset(&h, 0, sizeof h);
		for (uint32_t i = 0; i < SAMPLES; i++) {
			samples[i] = prng_next(&g) >> (shape == 0 ? 44 : 28 + prng_below(&g, 9 * (uint64_t)shape));
			histogram_add(&h, samples[i]);
		}
		qsort(samples, SAMPLES, sizeof *samples, by_value);
		for (unsigned f = 0; f < sizeof fractions / sizeof *fractions; f++) {
			uint64_t rank = (uint64_t)(fractions[f] * SAMPLES + 0.999999);
			uint64_t want = samples[rank == 0 ? 0 : rank - 1];
			uint64_t got = histogram_quantile(&h, fractions[f]);
			assert_true(got >= want && got - want <= want / 64);
		}
		assert_int_equal(histogram_quantile(&h, 1), samples[SAMPLES - 1]);
		assert_int_equal(h.max, samples[SAMPLES - 1]);
	}
}

static void empty_histogram_answers_zero(void **state)
{
	memset(&h, 0, sizeof h);
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
}

/* The writer was between the two: the maximum and the bucket. */
static void a_copy_agrees_with_itself(void **state)
{
	memset(&h, 0, sizeof h);
	histogram_note_max(&h, 5000);
	histogram_copy(&other, &h);
	assert_int_equal(histogram_count(&other), 0);
	assert_int_equal(other.max, 0);
	memset(&h, 0, sizeof h);
	histogram_add(&h, 100);
	histogram_add_below_max(&h, 5000);
	histogram_copy(&other, &h);
	assert_int_equal(histogram_bucket(other.max), histogram_bucket(5000));
	assert_int_equal(histogram_quantile(&other, 1), other.max);
	memset(&h, 0, sizeof h);
	histogram_add(&h, 100);
	histogram_note_max(&h, 5000);
	histogram_copy(&other, &h);
	assert_int_equal(histogram_bucket(other.max), histogram_bucket(100));
	histogram_add(&h, 5000);
	histogram_add(&h, UINT64_MAX);
	histogram_copy(&other, &h);
	assert_true(other.max == UINT64_MAX);
	memset(&h, 0, sizeof h);
	histogram_add(&h, 5000);
	histogram_copy(&other, &h);
	assert_int_equal(other.max, 5000);
}

static void fraction_falls_on_the_right_sample(void **state)
{
	memset(&h, 0, sizeof h);
	for (uint64_t v = 1; v <= 10; v++)
		histogram_add(&h, v);
	assert_int_equal(histogram_quantile(&h, 0.1), 1);
	assert_int_equal(histogram_quantile(&h, 0.11), 2);
	assert_int_equal(histogram_quantile(&h, 0.5), 5);
	assert_int_equal(histogram_quantile(&h, 1), 10);
}

static void values_beyond_the_range_count_and_keep_their_maximum(void **state)
{
	memset(&h, 0, sizeof h);
	histogram_add(&h, 5);
	histogram_add(&h, 1ull << 50);
	assert_int_equal(histogram_count(&h), 2);
	assert_int_equal(h.max, 1ull << 50);
	assert_int_equal(histogram_quantile(&h, 0.5), 5);
	assert_int_equal(histogram_quantile(&h, 1), 1ull << 50);
}

static void merged_histograms_are_those_of_all_samples(void **state)
{
	struct prng g = {10};
	static struct histogram all;
	memset(&h, 0, sizeof h);
	memset(&other, 0, sizeof other);
	for (uint32_t i = 0; i < SAMPLES; i++) {
		uint64_t v = prng_next(&g) >> 30;
		histogram_add(prng_once_in(&g, 3) ? &h : &other, v);
		histogram_add(&all, v);
	}
	histogram_merge(&h, &other);
	assert_memory_equal(&h, &all, sizeof all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bucket_follows_the_one_before),
		cmocka_unit_test(one_sample_is_known_to_a_sixty_fourth),
		cmocka_unit_test(quantiles_bound_those_of_the_sorted_samples),
		cmocka_unit_test(empty_histogram_answers_zero),
		cmocka_unit_test(a_copy_agrees_with_itself),
		cmocka_unit_test(fraction_falls_on_the_right_sample),
		cmocka_unit_test(values_beyond_the_range_count_and_keep_their_maximum),
		cmocka_unit_test(merged_histograms_are_those_of_all_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
