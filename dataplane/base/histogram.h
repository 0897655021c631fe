/*
 * A latency histogram of fixed size: 64 linear steps per power of two, so a recorded value is known to 1/64 (1.6 %).
 * Values are ns, 0 to 2^40 (18 minutes); larger ones count in the last bucket. One thread records; any other may read
 * meanwhile: every number is whole, and what is asked of one copy (histogram_copy) agrees with itself.
 */
#ifndef HAREWIRE_BASE_HISTOGRAM_H
#define HAREWIRE_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6u
#define HISTOGRAM_MAX_BITS 40u
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	_Atomic uint64_t max;
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
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

/* The two parts of histogram_add: many values may have their maximum noted once. */
static inline void histogram_add_below_max(struct histogram *h, uint64_t value)
{
	_Atomic uint64_t *bucket = &h->buckets[histogram_bucket(value)];
	/* There is one writer: no locked instruction is needed. */
	atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline void histogram_note_max(struct histogram *h, uint64_t value)
{
	if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
		atomic_store_explicit(&h->max, value, memory_order_relaxed);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	histogram_note_max(h, value);
	histogram_add_below_max(h, value);
}

/* What has been recorded by now, for whoever asks more than one thing of it. */
void histogram_copy(struct histogram *copy, const struct histogram *h);
/* How many samples there are. */
uint64_t histogram_count(const struct histogram *h);

/* The largest value its bucket can hold, for the bucket in which the fraction `q` (0..1) of samples is reached; 0 when
 * empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);
void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
