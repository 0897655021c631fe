/* The DPDK driver's own state, shared by its set-up (dpdk.c) and its data path (data.c). */
#ifndef HAREWIRE_DPDK_INSTANCE_H
#define HAREWIRE_DPDK_INSTANCE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "drivers/dpdk/flows.h"
#include "drivers/dpdk/port.h"
#include "drivers/driver.h"

#define CACHE_LINE_BYTES 64

/* Written by the worker, read by anyone. */
struct counters {
	_Atomic uint64_t rx_packets, rx_bytes, rx_dropped, tx_packets, tx_bytes, tx_no_buffer, tx_dropped;
};

struct dpdk {
	struct driver driver; /* first: what the caller holds */

	/* fixed once created */
	uint16_t port_id, queue;
	uint32_t frame_bytes; /* room in a transmit buffer */
	struct rte_mempool *tx_pool;
	struct dpdk_large large;
	bool ip_checksum;       /* dpdk_offloads */
	struct dpdk_port *port; /* shared with the instances of its other queues */

	_Alignas(CACHE_LINE_BYTES) struct counters counters;
	bool worker_known; /* the worker's thread has been made known to the EAL */

	_Alignas(CACHE_LINE_BYTES) struct steered_flow flows[DPDK_FLOWS_MAX]; /* control thread */
};

/* Data operations of struct driver_ops. */
uint32_t dpdk_rx_burst(struct driver *d, struct packet *packets, uint32_t max);
void dpdk_rx_release(struct driver *d, const struct packet *packets, uint32_t n);
uint32_t dpdk_tx_reserve(struct driver *d, struct packet *packets, uint32_t max);
void dpdk_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved);
/* The same for devices with checksums, with and without those of received packets. */
uint32_t dpdk_rx_burst_checked(struct driver *d, struct packet *packets, uint32_t max);
uint32_t dpdk_tx_reserve_large(struct driver *d, struct packet *packet);
void dpdk_tx_submit_offloaded(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved);

/* dpdk_create on a host whose /sys is `sysfs`: for tests. */
int dpdk_create_in(const char *sysfs, const struct dpdk_options *options, struct driver **out, const struct why *why);

/* Once per process, before the first worker polls. */
void dpdk_worker_init(void);

#endif
