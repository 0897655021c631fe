/*
 * Up to `capacity` deadlines, one per index, as a binary heap: set and clear cost O(log n), the earliest O(1).
 * No allocation after init; one thread.
 */
#ifndef HAREWIRE_BASE_DEADLINES_H
#define HAREWIRE_BASE_DEADLINES_H

#include <stdint.h>

#define DEADLINE_NEVER UINT64_MAX

struct deadlines {
	uint64_t *at_ns; /* by index; DEADLINE_NEVER when not in the heap */
	uint32_t *heap;  /* indices, heap order */
	uint32_t *place; /* by index: where in the heap */
	uint32_t count, capacity;
};

/* 0 or HW_ERR_NOMEM. */
int deadlines_init(struct deadlines *d, uint32_t capacity);
void deadlines_fini(struct deadlines *d);

/* DEADLINE_NEVER clears it. */
void deadlines_set(struct deadlines *d, uint32_t index, uint64_t at_ns);

static inline uint64_t deadlines_get(const struct deadlines *d, uint32_t index)
{
	return d->at_ns[index];
}

/* The earliest deadline, or DEADLINE_NEVER. */
static inline uint64_t deadlines_next(const struct deadlines *d)
{
	return d->count ? d->at_ns[d->heap[0]] : DEADLINE_NEVER;
}

/* The index whose deadline is the earliest; only while deadlines_next is not NEVER. */
static inline uint32_t deadlines_first(const struct deadlines *d)
{
	return d->heap[0];
}

#endif
