/* One port of DPDK: found, configured with one queue pair and pools of its own, started; and let go. Control thread. */
#ifndef HAREWIRE_DPDK_PORT_H
#define HAREWIRE_DPDK_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/dpdk/device.h"
#include "drivers/why.h"

struct rte_mempool;

struct dpdk_port {
	struct dpdk_device device;
	uint16_t id;
	int node; /* NUMA node of the device; -1: any */
	char driver[32];
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t frame_bytes; /* room in a transmit buffer */
	bool fast_free;       /* transmitted buffers go back to their pool in bulk, unlooked at */
	/* A pool for each direction: packets that wait to be read never take a transmit buffer away. */
	struct rte_mempool *rx_pool, *tx_pool;
	bool attached, started;
};

/* mtu 0: the device's. 0, or HW_ERR_* and a sentence; then nothing is left open. */
int dpdk_port_open(struct dpdk_port *port, const char *device, uint16_t mtu, const struct why *why);
void dpdk_port_close(struct dpdk_port *port);

/*
 * A device that filters VLANs lets frames of this one in; one that does not lets in all. 0: nothing is to be done.
 * After dpdk_port_open. 0, or HW_ERR_SYSTEM and a sentence; then the port is closed.
 */
int dpdk_port_admit_vlan(struct dpdk_port *port, uint16_t vlan, const struct why *why);

/* Any thread. */
bool dpdk_port_link_up(const struct dpdk_port *port);

#endif
