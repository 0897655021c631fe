#include "dataplane/base/deadlines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

int deadlines_init(struct deadlines *d, uint32_t capacity)
{
	memset(d, 0, sizeof *d);
	d->at_ns = malloc(capacity * sizeof *d->at_ns);
	d->heap = calloc(capacity, sizeof *d->heap);
	d->place = calloc(capacity, sizeof *d->place);
	if (!d->at_ns || !d->heap || !d->place) {
		deadlines_fini(d);
		return HW_ERR_NOMEM;
	}
	memset(d->at_ns, 0xff, capacity * sizeof *d->at_ns);
	d->capacity = capacity;
	return 0;
}

void deadlines_fini(struct deadlines *d)
{
	free(d->at_ns);
	free(d->heap);
	free(d->place);
	memset(d, 0, sizeof *d);
}

static void put(struct deadlines *d, uint32_t at, uint32_t index)
{
	d->heap[at] = index;
	d->place[index] = at;
}

static void sift_up(struct deadlines *d, uint32_t at)
{
	uint32_t index = d->heap[at];
	while (at > 0 && d->at_ns[d->heap[(at - 1) / 2]] > d->at_ns[index]) {
		put(d, at, d->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(d, at, index);
}

static void sift_down(struct deadlines *d, uint32_t at)
{
	uint32_t index = d->heap[at];
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= d->count)
			break;
		if (child + 1 < d->count && d->at_ns[d->heap[child + 1]] < d->at_ns[d->heap[child]])
			child++;
		if (d->at_ns[d->heap[child]] >= d->at_ns[index])
			break;
		put(d, at, d->heap[child]);
		at = child;
	}
	put(d, at, index);
}

static void take_out(struct deadlines *d, uint32_t index)
{
	uint32_t at = d->place[index];
	uint32_t last = d->heap[--d->count];
	d->at_ns[index] = DEADLINE_NEVER;
	if (last == index)
		return;
	put(d, at, last);
	sift_up(d, at);
	sift_down(d, d->place[last]);
}

void deadlines_set(struct deadlines *d, uint32_t index, uint64_t at_ns)
{
	assert(index < d->capacity);
	uint64_t was = d->at_ns[index];
	if (was == at_ns)
		return;
	if (at_ns == DEADLINE_NEVER) {
		take_out(d, index);
		return;
	}
	d->at_ns[index] = at_ns;
	if (was == DEADLINE_NEVER)
		put(d, d->count++, index);
	if (was == DEADLINE_NEVER || at_ns < was)
		sift_up(d, d->place[index]);
	else
		sift_down(d, d->place[index]);
}
