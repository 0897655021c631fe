#include "drivers/interceptors/peer.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "drivers/interceptors/peer_internal.h"

static struct peer *peer_of(struct driver *d)
{
	return (struct peer *)d;
}

/* The peer's own segments come first; only when there are none is the wrapped driver asked. */
static uint32_t peer_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct peer *p = peer_of(d);
	uint32_t n = peer_fill_burst(p, packets, max);
	p->burst_is_inner = n == 0;
	return n > 0 ? n : p->inner->ops->rx_burst(p->inner, packets, max);
}

static void peer_rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	struct peer *p = peer_of(d);
	if (p->burst_is_inner)
		p->inner->ops->rx_release(p->inner, packets, n);
	else
		p->head += n;
}

static uint32_t peer_tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	struct driver *inner = peer_of(d)->inner;
	return inner->ops->tx_reserve(inner, packets, max);
}

static uint32_t peer_tx_reserve_large(struct driver *d, struct packet *packet)
{
	struct driver *inner = peer_of(d)->inner;
	return inner->ops->tx_reserve_large ? inner->ops->tx_reserve_large(inner, packet) : 0;
}

static void peer_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct peer *p = peer_of(d);
	for (uint32_t i = 0; i < n; i++)
		peer_take_frame(p, packets[i].data, packets[i].len);
	p->inner->ops->tx_submit(p->inner, packets, n, reserved);
}

static int peer_flow_add(struct driver *d, const struct driver_flow *flow)
{
	struct driver *inner = peer_of(d)->inner;
	return inner->ops->flow_add ? inner->ops->flow_add(inner, flow) : 0;
}

static void peer_flow_remove(struct driver *d, const struct driver_flow *flow)
{
	struct driver *inner = peer_of(d)->inner;
	if (inner->ops->flow_remove)
		inner->ops->flow_remove(inner, flow);
}

static int peer_flow_wrong_queue(struct driver *d, const struct driver_flow *flow)
{
	struct driver *inner = peer_of(d)->inner;
	return inner->ops->flow_wrong_queue ? inner->ops->flow_wrong_queue(inner, flow) : -1;
}

static int peer_receive_all_queues(struct driver *d)
{
	struct driver *inner = peer_of(d)->inner;
	return inner->ops->receive_all_queues ? inner->ops->receive_all_queues(inner) : 0;
}

static void peer_driver_stats(const struct driver *d, struct driver_stats *stats)
{
	const struct peer *p = (const struct peer *)d;
	memset(stats, 0, sizeof *stats);
	if (p->inner->ops->stats)
		p->inner->ops->stats(p->inner, stats);
	stats->rx_packets += p->rx.rx_packets;
	stats->rx_bytes += p->rx.rx_bytes;
}

static void peer_destroy(struct driver *d)
{
	struct driver *inner = peer_of(d)->inner;
	inner->ops->destroy(inner);
	free(d);
}

static const struct driver_ops peer_ops = {
	.rx_burst = peer_rx_burst,
	.rx_release = peer_rx_release,
	.tx_reserve = peer_tx_reserve,
	.tx_reserve_large = peer_tx_reserve_large,
	.tx_submit = peer_tx_submit,
	.flow_add = peer_flow_add,
	.flow_remove = peer_flow_remove,
	.flow_wrong_queue = peer_flow_wrong_queue,
	.receive_all_queues = peer_receive_all_queues,
	.stats = peer_driver_stats,
	.destroy = peer_destroy,
};

void peer_options_init(struct peer_options *options)
{
	*options = (struct peer_options){.mss = 1460,
					 .window = UINT16_MAX,
					 .window_scale = 7,
					 .timestamps = true,
					 .verify_checksum = true,
					 .isn = 0x10000000,
					 .ack_every = 1};
}

int peer_create(const struct peer_options *options, struct driver *inner, struct driver **out)
{
	if (options->ack_every == 0 || options->window_scale > 14)
		return HW_ERR_INVALID;
	struct peer *p = calloc(1, sizeof *p);
	if (!p)
		return HW_ERR_NOMEM;
	p->driver.ops = &peer_ops;
	p->driver.info = inner->info;
	p->inner = inner;
	p->options = *options;
	if (p->options.mss == 0)
		p->options.mss = 1460;
	*out = &p->driver;
	return 0;
}

int peer_confirm(struct driver *peer, uint16_t client_port, uint64_t tag, bool multiple)
{
	struct peer *p = peer_of(peer);
	for (uint32_t i = 0; i < PEER_CONNECTIONS; i++) {
		struct peer_connection *c = &p->connections[i];
		if (c->open && c->client_port == client_port)
			return peer_send_acks(p, c, tag, 1, multiple) ? 0 : HW_ERR_BUSY;
	}
	return HW_ERR_INVALID;
}

void peer_stats_get(const struct driver *peer, struct peer_stats *stats)
{
	*stats = ((const struct peer *)peer)->stats;
}
