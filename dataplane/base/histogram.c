#include "dataplane/base/histogram.h"

static uint64_t bucket_upper(uint32_t bucket)
{
	if (bucket < (1u << HISTOGRAM_SUB_BITS))
		return bucket;
	uint32_t exponent = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	uint64_t step = (bucket & ((1u << HISTOGRAM_SUB_BITS) - 1)) + (1u << HISTOGRAM_SUB_BITS);
	return ((step + 1) << exponent) - 1;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t count = h->count, seen = 0;
	if (count == 0)
		return 0;
	uint64_t rank = (uint64_t)(q * (double)count + 0.9999999);
	rank = rank < 1 ? 1 : rank > count ? count : rank;
	/* The last bucket has no upper end but the maximum: larger values count in it. */
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += h->buckets[i];
		if (seen >= rank) {
			uint64_t upper = bucket_upper(i);
			return upper < h->max ? upper : h->max;
		}
	}
	return h->max;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->count += from->count;
	into->max = from->max > into->max ? from->max : into->max;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}
