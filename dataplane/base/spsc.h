/*
 * Rings between two threads, one producer and one consumer each, wait-free, of fixed size.
 *
 * `struct spsc` carries records of one size (commands, events); `struct byte_ring` carries octets (the handshake
 * bridge). Each side keeps a cached copy of the other's cursor, so that an uncontended step touches one shared line.
 */
#ifndef HAREWIRE_BASE_SPSC_H
#define HAREWIRE_BASE_SPSC_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_LINE 64

struct spsc {
	/* fixed after init */
	uint8_t *slots;
	uint32_t record_bytes;
	uint32_t mask;
	/* producer's line */
	alignas(CACHE_LINE) _Atomic uint32_t tail;
	uint32_t cached_head;
	/* consumer's line */
	alignas(CACHE_LINE) _Atomic uint32_t head;
	uint32_t cached_tail;
};

_Static_assert(offsetof(struct spsc, head) - offsetof(struct spsc, tail) == CACHE_LINE, "cursors share no line");

/* `records` is rounded up to a power of two. Returns 0 or HW_ERR_NOMEM. */
int spsc_init(struct spsc *r, uint32_t records, uint32_t record_bytes);
void spsc_fini(struct spsc *r);

/* Producer. Copies one record in; false when full. */
bool spsc_push(struct spsc *r, const void *record);
/* Producer. How many records lie in it, at most: the consumer may take some meanwhile. */
static inline uint32_t spsc_held(const struct spsc *r)
{
	return atomic_load_explicit(&r->tail, memory_order_relaxed) -
	       atomic_load_explicit(&r->head, memory_order_acquire);
}

/* Consumer. The oldest record, valid until spsc_pop, or NULL when empty. */
const void *spsc_peek(struct spsc *r);
void spsc_pop(struct spsc *r);

struct byte_ring {
	uint8_t *bytes;
	uint32_t mask;
	alignas(CACHE_LINE) _Atomic uint32_t tail;
	alignas(CACHE_LINE) _Atomic uint32_t head;
};

_Static_assert(offsetof(struct byte_ring, head) - offsetof(struct byte_ring, tail) == CACHE_LINE,
	       "cursors share no line");

/* `capacity_bytes` is rounded up to a power of two. Returns 0 or HW_ERR_NOMEM. */
int byte_ring_init(struct byte_ring *r, uint32_t capacity_bytes);
void byte_ring_fini(struct byte_ring *r);

/* Producer. Free octets; and all-or-nothing write (false when they do not fit). */
uint32_t byte_ring_space(struct byte_ring *r);
bool byte_ring_write(struct byte_ring *r, const void *bytes, uint32_t len);

/* Consumer. Octets held; copy without consuming (len <= held, from `skip` octets on); consume. */
uint32_t byte_ring_held(struct byte_ring *r);
void byte_ring_peek(struct byte_ring *r, uint32_t skip, void *dst, uint32_t len);
void byte_ring_consume(struct byte_ring *r, uint32_t len);

#endif
