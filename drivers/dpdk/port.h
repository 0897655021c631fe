/*
 * One port of DPDK: found, configured with as many queue pairs as it has workers, each with pools of its own, started;
 * and let go. Control thread.
 */
#ifndef HAREWIRE_DPDK_PORT_H
#define HAREWIRE_DPDK_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/dpdk/device.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/large.h"
#include "drivers/dpdk/offload.h"
#include "drivers/dpdk/steering.h"
#include "drivers/why.h"

#define DPDK_QUEUES_MAX 64u

struct rte_mempool;

/* A pool for each direction: packets that wait to be read never take a transmit buffer away. */
struct dpdk_queue {
	struct rte_mempool *rx_pool, *tx_pool;
	struct dpdk_large large;
};

struct dpdk_port {
	struct dpdk_device device;
	uint16_t id;
	int node; /* NUMA node of the device; -1: any */
	char driver[32];
	uint8_t mac[6];
	uint16_t mtu, vlan;
	uint32_t frame_bytes; /* room in a transmit buffer */
	struct dpdk_offloads offloads;
	uint16_t queues; /* pairs, numbered from 0 */
	struct dpdk_queue queue[DPDK_QUEUES_MAX];
	struct steering steering;
	bool attached, started;
};

/*
 * Opens the port that `device` names, with options->queues (1..DPDK_QUEUES_MAX) queue pairs and options->mtu (0: the
 * device's). A device that filters VLANs is told to let options->vlan in, or that of the kernel's interface. 0, or
 * HW_ERR_* and a sentence; then nothing is left open.
 */
int dpdk_port_open(struct dpdk_port *port, const struct dpdk_device *device, const struct dpdk_options *options,
		   const struct why *why);
void dpdk_port_close(struct dpdk_port *port);

/* Any thread. */
bool dpdk_port_link_up(const struct dpdk_port *port);

#endif
