#include "drivers/null/null.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define LINK_HEADER_BYTES 18u /* Ethernet with one tag */
#define CACHE_LINE_BYTES  64u

struct null_driver {
	struct driver driver;
	struct driver_stats stats;
	uint8_t *memory;
	uint32_t mask;
	uint32_t next; /* buffer to be reserved next; free-running */
};

static struct null_driver *null_of(struct driver *d)
{
	return (struct null_driver *)d;
}

static uint32_t null_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	return 0;
}

static void null_rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	assert(n == 0);
}

/* What was submitted is gone at once, so every buffer is free; they are taken in turn as a device's would be. */
static uint32_t null_tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	struct null_driver *n = null_of(d);
	uint32_t count = max <= n->mask + 1 ? max : n->mask + 1;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t buffer = (n->next + i) & n->mask;
		packets[i] = (struct packet){.data = n->memory + (size_t)buffer * d->info.frame_bytes,
					     .len = d->info.frame_bytes,
					     .handle = buffer};
	}
	return count;
}

static void null_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct null_driver *null = null_of(d);
	assert(n <= reserved);
	null->next += n;
	null->stats.tx_packets += n;
	for (uint32_t i = 0; i < n; i++)
		null->stats.tx_bytes += packets[i].len;
}

static void null_stats(const struct driver *d, struct driver_stats *stats)
{
	*stats = ((const struct null_driver *)d)->stats;
}

static void null_destroy(struct driver *d)
{
	free(null_of(d)->memory);
	free(d);
}

static const struct driver_ops null_ops = {
	.rx_burst = null_rx_burst,
	.rx_release = null_rx_release,
	.tx_reserve = null_tx_reserve,
	.tx_submit = null_tx_submit,
	.stats = null_stats,
	.destroy = null_destroy,
};

int null_create(const struct null_options *options, struct driver **out)
{
	uint32_t buffers = options->buffers;
	if (buffers < DRIVER_BURST_MAX || (buffers & (buffers - 1)) != 0 || options->mtu < 576)
		return HW_ERR_INVALID;
	uint32_t frame_bytes =
		(options->mtu + LINK_HEADER_BYTES + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
	struct null_driver *n = calloc(1, sizeof *n);
	if (!n)
		return HW_ERR_NOMEM;
	n->memory = aligned_alloc(CACHE_LINE_BYTES, (size_t)buffers * frame_bytes);
	if (!n->memory) {
		free(n);
		return HW_ERR_NOMEM;
	}
	memset(n->memory, 0, (size_t)buffers * frame_bytes);
	n->mask = buffers - 1;
	n->driver.ops = &null_ops;
	struct driver_info *info = &n->driver.info;
	*info = (struct driver_info){.mtu = options->mtu, .frame_bytes = frame_bytes, .queues = 1};
	memcpy(info->mac, options->mac, sizeof info->mac);
	snprintf(info->name, sizeof info->name, "null");
	snprintf(info->mode, sizeof info->mode, "discard");
	snprintf(info->device, sizeof info->device, "none");
	*out = &n->driver;
	return 0;
}
