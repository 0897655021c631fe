/* Counters: ours, and the device's own. */
#include "drivers/dpdk/stats.h"

#include <stdlib.h>

#include <rte_ethdev.h>

#include "drivers/dpdk/instance.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/*
 * What the device lost of ours. Some devices count it for each queue (the first RTE_ETHDEV_QUEUE_STAT_CNTRS), all count
 * it for the port. The queues' share is mostly in that, and then what no other queue accounts for is told by queue 0;
 * but ixgbe's port does not count what a queue was told to drop, and counts it for queue 0.
 */
static uint64_t device_dropped(const struct dpdk *dpdk, const struct rte_eth_stats *port)
{
	uint16_t counted = RTE_MIN(dpdk->port->queues, (uint16_t)RTE_ETHDEV_QUEUE_STAT_CNTRS);
	if (dpdk->queue)
		return dpdk->queue < counted ? port->q_errors[dpdk->queue] : 0;
	uint64_t total = port->imissed + port->rx_nombuf, others = 0;
	for (uint16_t i = 1; i < counted; i++)
		others += port->q_errors[i];
	uint64_t rest = total > others ? total - others : 0;
	return RTE_MAX(rest, port->q_errors[0]);
}

void dpdk_stats(const struct driver *d, struct driver_stats *out)
{
	const struct dpdk *dpdk = (const struct dpdk *)d;
	const struct counters *c = &dpdk->counters;
	struct rte_eth_stats port = {0};
	*out = (struct driver_stats){
		.rx_packets = load(&c->rx_packets),
		.rx_bytes = load(&c->rx_bytes),
		.rx_dropped = load(&c->rx_dropped),
		.tx_packets = load(&c->tx_packets),
		.tx_bytes = load(&c->tx_bytes),
		.tx_no_buffer = load(&c->tx_no_buffer),
		.tx_dropped = load(&c->tx_dropped),
	};
	if (rte_eth_stats_get(dpdk->port_id, &port) == 0)
		out->rx_dropped += device_dropped(dpdk, &port);
}

uint32_t dpdk_extra_stats(const struct driver *d, driver_stat_visitor *each, void *context)
{
	uint16_t id = ((const struct dpdk *)d)->port_id;
	int count = rte_eth_xstats_get_names(id, NULL, 0);
	if (count <= 0)
		return 0;
	struct rte_eth_xstat_name *names = calloc((size_t)count, sizeof *names);
	struct rte_eth_xstat *values = calloc((size_t)count, sizeof *values);
	uint32_t told = 0;
	if (names && values && rte_eth_xstats_get_names(id, names, (unsigned)count) == count &&
	    rte_eth_xstats_get(id, values, (unsigned)count) == count)
		for (; told < (uint32_t)count; told++)
			each(context, names[values[told].id].name, values[told].value);
	free(values);
	free(names);
	return told;
}
