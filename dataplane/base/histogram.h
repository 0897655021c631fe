/*
 * A latency histogram of fixed size: 64 linear steps per power of two, so a recorded value is known to 1/64 (1.6 %).
 * Values are ns, 0 to 2^40 (18 minutes); larger ones count in the last bucket. One thread records; others may read a
 * slightly torn but never wild snapshot.
 */
#ifndef HAREWIRE_BASE_HISTOGRAM_H
#define HAREWIRE_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6u
#define HISTOGRAM_MAX_BITS 40u
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
	if (value < (1u << HISTOGRAM_SUB_BITS))
		return (uint32_t)value;
	if (value >= 1ull << HISTOGRAM_MAX_BITS)
		return HISTOGRAM_BUCKETS - 1;
	uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return ((exponent + 1) << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> exponent) - (1u << HISTOGRAM_SUB_BITS);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->count++;
	h->max = value > h->max ? value : h->max;
	h->buckets[histogram_bucket(value)]++;
}

/* The largest value its bucket can hold, for the bucket in which the fraction `q` (0..1) of samples is reached; 0 when
 * empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);
void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
