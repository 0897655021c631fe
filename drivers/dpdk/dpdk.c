#define _GNU_SOURCE
#include "drivers/dpdk/dpdk.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_ethdev.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/instance.h"
#include "drivers/dpdk/ports.h"
#include "drivers/dpdk/stats.h"

static bool link_up(const struct driver *d)
{
	return dpdk_port_link_up(((const struct dpdk *)d)->port);
}

static void destroy(struct driver *d)
{
	struct dpdk *dpdk = (struct dpdk *)d;
	dpdk_flows_end(dpdk);
	dpdk_ports_release(dpdk->port, dpdk->queue);
	free(dpdk);
}

#define DPDK_OPS(rx, tx, large)                                                                                        \
	{                                                                                                              \
		.rx_burst = (rx), .rx_release = dpdk_rx_release, .tx_reserve = dpdk_tx_reserve,                        \
		.tx_reserve_large = (large), .tx_submit = (tx), .flow_add = dpdk_flow_add,                             \
		.flow_remove = dpdk_flow_remove, .flow_queue = dpdk_flow_queue, .flow_strayed = dpdk_flow_strayed,     \
		.flow_wrong_queue = dpdk_flow_wrong_queue, .link_up = link_up, .stats = dpdk_stats,                    \
		.extra_stats = dpdk_extra_stats, .destroy = destroy,                                                   \
	}

/* By: does the device check what is received, does it sum what is sent. Where it does not, nothing is asked. */
static const struct driver_ops OPS[2][2] = {
	{DPDK_OPS(dpdk_rx_burst, dpdk_tx_submit, NULL),
	 DPDK_OPS(dpdk_rx_burst, dpdk_tx_submit_offloaded, dpdk_tx_reserve_large)},
	{DPDK_OPS(dpdk_rx_burst_checked, dpdk_tx_submit, NULL),
	 DPDK_OPS(dpdk_rx_burst_checked, dpdk_tx_submit_offloaded, dpdk_tx_reserve_large)},
};

/* The NUMA node of a CPU, or -1. */
static int node_of_cpu(const char *sysfs, int cpu)
{
	char path[PATH_MAX];
	struct stat s;
	for (int node = 0; node < RTE_MAX_NUMA_NODES; node++) {
		snprintf(path, sizeof path, "%s/devices/system/node/node%d/cpu%d", sysfs, node, cpu);
		if (stat(path, &s) == 0)
			return node;
	}
	return -1;
}

static void describe(struct dpdk *dpdk, const char *sysfs, int cpu)
{
	const struct dpdk_port *port = dpdk->port;
	struct driver_info *info = &dpdk->driver.info;
	snprintf(info->name, sizeof info->name, "dpdk");
	snprintf(info->mode, sizeof info->mode, "%s", port->driver);
	snprintf(info->device, sizeof info->device, "%.31s", port->device.name);
	memcpy(info->mac, port->mac, sizeof info->mac);
	info->mtu = (uint16_t)(port->mtu - port->offloads.mtu_less);
	info->tx_checksum = port->offloads.tx_checksum;
	info->rx_checksum = port->offloads.rx_checksum;
	info->tso_bytes = port->offloads.tso_bytes;
	info->frame_bytes = port->frame_bytes;
	info->queues = port->queues;
	info->queue = dpdk->queue;
	info->shared_address = port->device.share != DPDK_EXCLUSIVE;
	snprintf(info->interface, sizeof info->interface, "%s", port->device.shared_interface);
	info->vlan = port->vlan;
	steering_describe(&dpdk->port->steering, info->steering, sizeof info->steering);
	int node = cpu >= 0 ? node_of_cpu(sysfs, cpu) : -1;
	if (node >= 0 && port->node >= 0 && node != port->node)
		snprintf(info->reason, sizeof info->reason,
			 "slow: CPU %d is on NUMA node %d, the device on node %d; choose a CPU of that node", cpu, node,
			 port->node);
}

static int instance_create(struct dpdk_port *port, uint16_t queue, struct dpdk **out, const struct why *why)
{
	struct dpdk *dpdk = aligned_alloc(CACHE_LINE_BYTES, sizeof *dpdk);
	if (!dpdk)
		return why_say(why, HW_ERR_NOMEM, "no memory for the DPDK driver");
	memset(dpdk, 0, sizeof *dpdk);
	dpdk->driver.ops = &OPS[port->offloads.rx_checksum][port->offloads.tx_checksum];
	dpdk->port = port;
	dpdk->port_id = port->id;
	dpdk->queue = queue;
	dpdk->frame_bytes = port->frame_bytes;
	dpdk->tx_pool = port->queue[queue].tx_pool;
	dpdk->large = port->queue[queue].large;
	dpdk->ip_checksum = port->offloads.ip_checksum;
	*out = dpdk;
	return 0;
}

int dpdk_create_in(const char *sysfs, const struct dpdk_options *options, struct driver **out, const struct why *why)
{
	struct dpdk_options wanted = *options;
	struct dpdk_device device;
	struct dpdk_port *port = NULL;
	struct dpdk *dpdk = NULL;
	if (!options->device || !options->device[0])
		return why_say(why, HW_ERR_INVALID,
			       "DPDK needs a device: a PCI address such as 0000:3b:00.0 or a virtual device such as "
			       "net_tap0");
	if (!wanted.queues)
		wanted.queues = 1;
	int err = dpdk_device_parse(options->device, &device, why); /* before the EAL's 150 ms */
	if (!err)
		err = dpdk_device_check(&device, sysfs, why);
	if (!err && options->shared)
		err = dpdk_device_share(&device, options->interface, sysfs, why);
	if (!err)
		err = eal_start(options->eal, why);
	if (err)
		return err;
	dpdk_device_tune(&device, sysfs);
	err = dpdk_ports_take(&device, &wanted, &port, why);
	if (err)
		return err;
	err = instance_create(port, wanted.queue, &dpdk, why);
	if (err) {
		dpdk_ports_release(port, wanted.queue);
		return err;
	}
	dpdk_worker_init();
	describe(dpdk, sysfs, options->cpu);
	*out = &dpdk->driver;
	return 0;
}

int dpdk_create(const struct dpdk_options *options, struct driver **out, char *why, size_t why_bytes)
{
	return dpdk_create_in("/sys", options, out, &(struct why){why, why_bytes});
}
