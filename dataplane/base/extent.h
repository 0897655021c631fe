/*
 * What a connection sends: a queue of extents, runs of bytes that stay put until acked.
 *
 *      stream offset   start                                   end
 *                        | log | heartbeat |      log           |
 *                        ^ acked and popped up to here          ^ pushed here
 *
 * Offsets count the octets of the byte stream from 0. The queue never copies: the log owns message bytes, the
 * connection's control buffer owns the rest. Whoever pushes promises that the bytes outlive the extent.
 */
#ifndef HAREWIRE_BASE_EXTENT_H
#define HAREWIRE_BASE_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXTENTS_MAX 64u /* a power of two */

/* Whose bytes an extent holds; the queue only hands it back. Only neighbours of the same kind merge. */
enum extent_kind { EXTENT_LOG, EXTENT_CONTROL };

struct extent {
	const uint8_t *bytes;
	uint64_t offset; /* of its first octet in the stream */
	uint64_t len;
	uint32_t kind; /* enum extent_kind */
};

struct extent_queue {
	struct extent ring[EXTENTS_MAX];
	uint32_t head, tail; /* free-running; head: oldest */
	uint64_t start, end; /* stream offsets held: [start, end) */
	uint64_t freed[2];   /* by enum extent_kind: octets popped so far */
};

void extents_init(struct extent_queue *q);

static inline bool extents_full(const struct extent_queue *q)
{
	return q->tail - q->head == EXTENTS_MAX;
}

/*
 * Appends `len` (> 0) bytes; merges with the last extent when they follow it in memory and are of its kind. Returns
 * false, changing nothing, when a new slot is needed and none is free.
 */
bool extents_push(struct extent_queue *q, const uint8_t *bytes, uint64_t len, enum extent_kind kind);

/* The longest run at stream offset `offset` (start <= offset < end): its address, and its length through `len`. */
const uint8_t *extents_at(const struct extent_queue *q, uint64_t offset, uint64_t *len);

/* Copies [offset, offset + len) to dst; the range must be held. */
void extents_copy(const struct extent_queue *q, uint64_t offset, uint8_t *dst, size_t len);

/* Octets of one kind at stream offset `from` (start <= from <= end) and behind it. */
uint64_t extents_count(const struct extent_queue *q, uint64_t from, enum extent_kind kind);

/* extents_pop's general case. */
void extents_pop_slow(struct extent_queue *q, uint64_t offset);

/*
 * Drops everything before `offset` (start <= offset <= end) and adds to q->freed[kind] the octets of each kind dropped.
 * Nearly always that lies inside the oldest extent, or is all of it.
 */
static inline void extents_pop(struct extent_queue *q, uint64_t offset)
{
	struct extent *e = &q->ring[q->head & (EXTENTS_MAX - 1)];
	uint64_t n = offset - q->start;
	if (__builtin_expect(q->head == q->tail || n > e->len, 0)) {
		extents_pop_slow(q, offset);
		return;
	}
	q->freed[e->kind] += n;
	e->bytes += n;
	e->offset += n;
	e->len -= n;
	q->head += e->len == 0;
	q->start = offset;
}

#endif
