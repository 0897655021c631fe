#define _GNU_SOURCE
#include "drivers/dpdk/dpdk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_ethdev.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/instance.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void stats(const struct driver *d, struct driver_stats *out)
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
	if (rte_eth_stats_get(dpdk->port.id, &port) == 0)
		out->rx_dropped += port.imissed + port.rx_nombuf;
}

static bool link_up(const struct driver *d)
{
	return dpdk_port_link_up(&((const struct dpdk *)d)->port);
}

static void destroy(struct driver *d)
{
	struct dpdk *dpdk = (struct dpdk *)d;
	dpdk_port_close(&dpdk->port);
	free(dpdk);
}

static const struct driver_ops OPS = {
	.rx_burst = dpdk_rx_burst,
	.rx_release = dpdk_rx_release,
	.tx_reserve = dpdk_tx_reserve,
	.tx_submit = dpdk_tx_submit,
	.link_up = link_up,
	.stats = stats,
	.destroy = destroy,
};

/* The NUMA node of a CPU, or -1. */
static int node_of_cpu(int cpu)
{
	char path[80];
	struct stat s;
	for (int node = 0; node < RTE_MAX_NUMA_NODES; node++) {
		snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpu%d", node, cpu);
		if (stat(path, &s) == 0)
			return node;
	}
	return -1;
}

static void describe(struct dpdk *dpdk, int cpu)
{
	const struct dpdk_port *port = &dpdk->port;
	struct driver_info *info = &dpdk->driver.info;
	snprintf(info->name, sizeof info->name, "dpdk");
	snprintf(info->mode, sizeof info->mode, "%s", port->driver);
	snprintf(info->device, sizeof info->device, "%.31s", port->device.name);
	memcpy(info->mac, port->mac, sizeof info->mac);
	info->mtu = port->mtu;
	info->frame_bytes = port->frame_bytes;
	info->queues = 1;
	int node = cpu >= 0 ? node_of_cpu(cpu) : -1;
	if (node >= 0 && port->node >= 0 && node != port->node)
		snprintf(info->reason, sizeof info->reason,
			 "slow: CPU %d is on NUMA node %d, the device on node %d; choose a CPU of that node", cpu, node,
			 port->node);
}

int dpdk_create(const struct dpdk_options *options, struct driver **out, char *why, size_t why_bytes)
{
	const struct why reason = {why, why_bytes};
	if (!options->device || !options->device[0])
		return why_say(&reason, HW_ERR_INVALID,
			       "DPDK needs a device: a PCI address such as 0000:3b:00.0 or a virtual device such as "
			       "net_tap0");
	struct dpdk_device device;
	int err = dpdk_device_parse(options->device, &device, &reason); /* before the EAL's 150 ms */
	if (!err)
		err = dpdk_device_check(&device, "/sys", &reason);
	if (!err)
		err = eal_start(options->eal, &reason);
	if (err)
		return err;
	struct dpdk *dpdk = aligned_alloc(CACHE_LINE_BYTES, sizeof *dpdk);
	if (!dpdk)
		return why_say(&reason, HW_ERR_NOMEM, "no memory for the DPDK driver");
	memset(dpdk, 0, sizeof *dpdk);
	dpdk->driver.ops = &OPS;
	err = dpdk_port_open(&dpdk->port, options->device, options->mtu, &reason);
	if (!err)
		err = dpdk_port_admit_vlan(&dpdk->port, options->vlan, &reason);
	if (err) {
		free(dpdk);
		return err;
	}
	dpdk_worker_init();
	describe(dpdk, options->cpu);
	*out = &dpdk->driver;
	return 0;
}
