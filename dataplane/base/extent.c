#include "dataplane/base/extent.h"

#include <assert.h>
#include <string.h>

static inline struct extent *slot(struct extent_queue *q, uint32_t i)
{
	return &q->ring[i & (EXTENTS_MAX - 1)];
}

void extents_init(struct extent_queue *q)
{
	memset(q, 0, sizeof *q);
}

bool extents_push(struct extent_queue *q, const uint8_t *bytes, uint64_t len, enum extent_kind kind)
{
	assert(len > 0);
	if (q->tail != q->head) {
		struct extent *last = slot(q, q->tail - 1);
		if (last->kind == kind && last->bytes + last->len == bytes) {
			last->len += len;
			q->end += len;
			return true;
		}
	}
	if (extents_full(q))
		return false;
	*slot(q, q->tail++) = (struct extent){.bytes = bytes, .offset = q->end, .len = len, .kind = kind};
	q->end += len;
	return true;
}

/* New data is read at the tail, retransmissions near the head: look from the tail, which is the hot case. */
static const struct extent *find(const struct extent_queue *q, uint64_t offset)
{
	assert(offset >= q->start && offset < q->end);
	uint32_t i = q->tail - 1;
	while (q->ring[i & (EXTENTS_MAX - 1)].offset > offset)
		i--;
	return &q->ring[i & (EXTENTS_MAX - 1)];
}

const uint8_t *extents_at(const struct extent_queue *q, uint64_t offset, uint64_t *len)
{
	const struct extent *e = find(q, offset);
	*len = e->offset + e->len - offset;
	return e->bytes + (offset - e->offset);
}

void extents_copy(const struct extent_queue *q, uint64_t offset, uint8_t *dst, size_t len)
{
	while (len > 0) {
		uint64_t run;
		const uint8_t *p = extents_at(q, offset, &run);
		size_t n = run < len ? run : len;
		memcpy(dst, p, n);
		dst += n;
		offset += n;
		len -= n;
	}
}

uint64_t extents_count(const struct extent_queue *q, uint64_t from, enum extent_kind kind)
{
	assert(from >= q->start && from <= q->end);
	uint64_t octets = 0;
	for (uint32_t i = q->head; i != q->tail; i++) {
		const struct extent *e = &q->ring[i & (EXTENTS_MAX - 1)];
		uint64_t before = from <= e->offset ? 0 : from - e->offset;
		if ((enum extent_kind)e->kind == kind && before < e->len)
			octets += e->len - before;
	}
	return octets;
}

void extents_pop_slow(struct extent_queue *q, uint64_t offset)
{
	assert(offset >= q->start && offset <= q->end);
	while (q->start < offset) {
		struct extent *e = slot(q, q->head);
		uint64_t left = offset - q->start;
		uint64_t n = left < e->len ? left : e->len;
		q->freed[e->kind] += n;
		e->bytes += n;
		e->offset += n;
		e->len -= n;
		q->start += n;
		if (e->len == 0)
			q->head++;
	}
}
