#include "dataplane/base/histogram.h"

/* Of the last bucket: without the larger values that count in it, too. */
static uint64_t bucket_upper(uint32_t bucket)
{
	if (bucket < (1u << HISTOGRAM_SUB_BITS))
		return bucket;
	uint32_t exponent = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	uint64_t step = (bucket & ((1u << HISTOGRAM_SUB_BITS) - 1)) + (1u << HISTOGRAM_SUB_BITS);
	return ((step + 1) << exponent) - 1;
}

static uint64_t read_bucket(const struct histogram *h, uint32_t bucket)
{
	return atomic_load_explicit(&h->buckets[bucket], memory_order_relaxed);
}

/* The maximum may be of a sample that is not in its bucket yet, or not yet of one that is: the buckets decide. */
static uint64_t max_among(uint64_t max, uint32_t buckets)
{
	uint32_t last = buckets - 1;
	if (buckets == 0)
		return 0;
	if (last > 0 && max <= bucket_upper(last - 1))
		return bucket_upper(last);
	return last == HISTOGRAM_BUCKETS - 1 || max < bucket_upper(last) ? max : bucket_upper(last);
}

void histogram_copy(struct histogram *copy, const struct histogram *h)
{
	uint32_t used = 0;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t count = read_bucket(h, i);
		atomic_init(&copy->buckets[i], count);
		used = count ? i + 1 : used;
	}
	atomic_init(&copy->max, max_among(atomic_load_explicit(&h->max, memory_order_relaxed), used));
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += read_bucket(h, i);
	return count;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t count = histogram_count(h), seen = 0, max = atomic_load_explicit(&h->max, memory_order_relaxed);
	if (count == 0)
		return 0;
	uint64_t rank = (uint64_t)(q * (double)count + 0.9999999);
	rank = rank < 1 ? 1 : rank > count ? count : rank;
	/* The last bucket has no upper end but the maximum: larger values count in it. */
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += read_bucket(h, i);
		if (seen >= rank) {
			uint64_t upper = bucket_upper(i);
			return upper < max ? upper : max;
		}
	}
	return max;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->max = from->max > into->max ? from->max : into->max;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}
