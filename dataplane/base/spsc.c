#include "dataplane/base/spsc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

static uint32_t pow2_at_least(uint32_t v)
{
	return v <= 1 ? 1 : 1u << (32 - __builtin_clz(v - 1));
}

int spsc_init(struct spsc *r, uint32_t records, uint32_t record_bytes)
{
	memset(r, 0, sizeof *r);
	uint32_t n = pow2_at_least(records);
	r->slots = calloc(n, record_bytes);
	if (!r->slots)
		return HW_ERR_NOMEM;
	r->record_bytes = record_bytes;
	r->mask = n - 1;
	return 0;
}

void spsc_fini(struct spsc *r)
{
	free(r->slots);
	r->slots = NULL;
}

bool spsc_push(struct spsc *r, const void *record)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	if (tail - r->cached_head > r->mask) {
		r->cached_head = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail - r->cached_head > r->mask)
			return false;
	}
	memcpy(r->slots + (size_t)(tail & r->mask) * r->record_bytes, record, r->record_bytes);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

const void *spsc_peek(struct spsc *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (head == r->cached_tail) {
		r->cached_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head == r->cached_tail)
			return NULL;
	}
	return r->slots + (size_t)(head & r->mask) * r->record_bytes;
}

void spsc_pop(struct spsc *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

int byte_ring_init(struct byte_ring *r, uint32_t capacity_bytes)
{
	memset(r, 0, sizeof *r);
	uint32_t n = pow2_at_least(capacity_bytes);
	r->bytes = calloc(1, n);
	if (!r->bytes)
		return HW_ERR_NOMEM;
	r->mask = n - 1;
	return 0;
}

void byte_ring_fini(struct byte_ring *r)
{
	free(r->bytes);
	r->bytes = NULL;
}

uint32_t byte_ring_space(struct byte_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	return r->mask + 1 - (tail - atomic_load_explicit(&r->head, memory_order_acquire));
}

bool byte_ring_write(struct byte_ring *r, const void *bytes, uint32_t len)
{
	if (len > byte_ring_space(r))
		return false;
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t at = tail & r->mask;
	uint32_t first = r->mask + 1 - at < len ? r->mask + 1 - at : len;
	memcpy(r->bytes + at, bytes, first);
	memcpy(r->bytes, (const uint8_t *)bytes + first, len - first);
	atomic_store_explicit(&r->tail, tail + len, memory_order_release);
	return true;
}

uint32_t byte_ring_held(struct byte_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	return atomic_load_explicit(&r->tail, memory_order_acquire) - head;
}

void byte_ring_peek(struct byte_ring *r, uint32_t skip, void *dst, uint32_t len)
{
	assert(skip <= byte_ring_held(r) && len <= byte_ring_held(r) - skip);
	uint32_t at = (atomic_load_explicit(&r->head, memory_order_relaxed) + skip) & r->mask;
	uint32_t first = r->mask + 1 - at < len ? r->mask + 1 - at : len;
	memcpy(dst, r->bytes + at, first);
	memcpy((uint8_t *)dst + first, r->bytes, len - first);
}

void byte_ring_consume(struct byte_ring *r, uint32_t len)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	atomic_store_explicit(&r->head, head + len, memory_order_release);
}
