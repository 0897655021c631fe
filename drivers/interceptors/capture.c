#include "drivers/interceptors/capture.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/base/log.h"
#include "dataplane/base/spsc.h"

/* A packet in the ring: this, its octets, and up to the next multiple of 8 nothing. */
struct record {
	uint64_t ticks;
	uint32_t len, captured;
	uint32_t sent;
	uint32_t reserved;
};

#define RECORD_ALIGN 8u

struct capture {
	struct driver driver;
	/* fixed */
	struct driver *inner;
	struct clock_scale clock;
	uint32_t snap_bytes;
	struct log ring; /* mapped twice: a record never wraps */
	/* worker's line */
	alignas(CACHE_LINE) _Atomic uint64_t tail; /* records end here */
	uint64_t seen_head;
	_Atomic uint64_t packets, dropped;
	/* reader's line */
	alignas(CACHE_LINE) _Atomic uint64_t head;
};

_Static_assert(offsetof(struct capture, head) - offsetof(struct capture, tail) >= CACHE_LINE, "cursors share no line");

static struct capture *capture_of(struct driver *d)
{
	return (struct capture *)d;
}

static uint64_t record_bytes(uint32_t captured)
{
	return (sizeof(struct record) + captured + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

/* ---- the worker ---- */

static bool has_room(struct capture *c, uint64_t tail, uint64_t bytes)
{
	if (bytes <= c->ring.capacity - (tail - c->seen_head))
		return true;
	c->seen_head = atomic_load_explicit(&c->head, memory_order_acquire);
	return bytes <= c->ring.capacity - (tail - c->seen_head);
}

static uint64_t copy_packet(struct capture *c, const struct packet *p, bool sent, uint64_t ticks, uint64_t tail)
{
	struct record r = {.ticks = ticks, .len = p->len, .captured = p->len, .sent = sent};
	if (r.captured > c->snap_bytes)
		r.captured = c->snap_bytes;
	uint64_t bytes = record_bytes(r.captured);
	if (!has_room(c, tail, bytes)) {
		uint64_t dropped = atomic_load_explicit(&c->dropped, memory_order_relaxed);
		atomic_store_explicit(&c->dropped, dropped + 1, memory_order_relaxed);
		return tail;
	}
	uint8_t *at = log_at(&c->ring, tail);
	memcpy(at, &r, sizeof r);
	memcpy(at + sizeof r, p->data, r.captured);
	return tail + bytes;
}

static void copy_burst(struct capture *c, const struct packet *packets, uint32_t n, bool sent)
{
	uint64_t ticks = clock_ticks(&c->clock);
	uint64_t tail = atomic_load_explicit(&c->tail, memory_order_relaxed);
	for (uint32_t i = 0; i < n; i++)
		tail = copy_packet(c, &packets[i], sent, ticks, tail);
	uint64_t seen = atomic_load_explicit(&c->packets, memory_order_relaxed);
	atomic_store_explicit(&c->packets, seen + n, memory_order_relaxed);
	atomic_store_explicit(&c->tail, tail, memory_order_release);
}

static uint32_t capture_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct capture *c = capture_of(d);
	uint32_t n = c->inner->ops->rx_burst(c->inner, packets, max);
	if (n)
		copy_burst(c, packets, n, false);
	return n;
}

static void capture_rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	struct driver *inner = capture_of(d)->inner;
	inner->ops->rx_release(inner, packets, n);
}

static uint32_t capture_tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	struct driver *inner = capture_of(d)->inner;
	return inner->ops->tx_reserve(inner, packets, max);
}

static uint32_t capture_tx_reserve_large(struct driver *d, struct packet *packet)
{
	struct driver *inner = capture_of(d)->inner;
	return inner->ops->tx_reserve_large ? inner->ops->tx_reserve_large(inner, packet) : 0;
}

/* Copied first: a submitted buffer is the device's. */
static void capture_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct capture *c = capture_of(d);
	if (n)
		copy_burst(c, packets, n, true);
	c->inner->ops->tx_submit(c->inner, packets, n, reserved);
}

/* ---- the reader ---- */

bool capture_peek(struct driver *d, struct capture_packet *packet)
{
	struct capture *c = capture_of(d);
	struct record r;
	uint64_t head = atomic_load_explicit(&c->head, memory_order_relaxed);
	if (head == atomic_load_explicit(&c->tail, memory_order_acquire))
		return false;
	memcpy(&r, log_at(&c->ring, head), sizeof r);
	*packet = (struct capture_packet){.data = log_at(&c->ring, head) + sizeof r,
					  .captured = r.captured,
					  .len = r.len,
					  .ticks = r.ticks,
					  .sent = r.sent};
	return true;
}

void capture_pop(struct driver *d)
{
	struct capture *c = capture_of(d);
	struct record r;
	uint64_t head = atomic_load_explicit(&c->head, memory_order_relaxed);
	assert(head != atomic_load_explicit(&c->tail, memory_order_acquire));
	memcpy(&r, log_at(&c->ring, head), sizeof r);
	atomic_store_explicit(&c->head, head + record_bytes(r.captured), memory_order_release);
}

void capture_counts_get(const struct driver *d, struct capture_counts *counts)
{
	const struct capture *c = (const struct capture *)d;
	counts->packets = atomic_load_explicit(&c->packets, memory_order_relaxed);
	counts->dropped = atomic_load_explicit(&c->dropped, memory_order_relaxed);
}

/* ---- life ---- */

static const struct driver_ops capture_ops = {
	.rx_burst = capture_rx_burst,
	.rx_release = capture_rx_release,
	.tx_reserve = capture_tx_reserve,
	.tx_reserve_large = capture_tx_reserve_large,
	.tx_submit = capture_tx_submit,
	.destroy = capture_destroy,
};

int capture_create(const struct capture_options *options, struct driver *inner, struct driver **out)
{
	if (options->ring_bytes < 2 * CAPTURE_FRAME_MAX)
		return HW_ERR_INVALID;
	size_t bytes = (sizeof(struct capture) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	struct capture *c = aligned_alloc(CACHE_LINE, bytes);
	if (!c)
		return HW_ERR_NOMEM;
	memset(c, 0, bytes);
	int err = log_init(&c->ring, options->ring_bytes);
	if (err) {
		free(c);
		return err;
	}
	c->driver.ops = &capture_ops;
	c->driver.info = inner->info;
	c->inner = inner;
	c->clock = *options->clock;
	c->snap_bytes = options->snap_bytes ? options->snap_bytes : UINT32_MAX;
	*out = &c->driver;
	return 0;
}

void capture_destroy(struct driver *d)
{
	struct capture *c = capture_of(d);
	log_fini(&c->ring);
	free(c);
}
