/* The AF_XDP driver's own state, shared by its set-up (af_xdp.c) and its data path (data.c). */
#ifndef HAREWIRE_AF_XDP_INSTANCE_H
#define HAREWIRE_AF_XDP_INSTANCE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "drivers/af_xdp/device.h"
#include "drivers/af_xdp/program.h"
#include "drivers/af_xdp/queue.h"
#include "drivers/driver.h"

#define CACHE_LINE_BYTES 64
#define OWNED_FLOWS_MAX  1024u

/* Written by the worker, read by anyone. */
struct counters {
	_Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, tx_no_buffer, tx_dropped, kicks;
};

struct owned_flow {
	struct driver_flow flow;
	int64_t steering; /* location of its rule in the NIC, or -1 */
	bool used;
};

struct af_xdp {
	struct driver driver; /* first: what the caller holds */

	/* fixed once created */
	struct device device;
	struct flow_program *program; /* the interface's, shared with its other instances */
	uint32_t rx_flags;            /* PACKET_* of every received packet */
	uint16_t bind_flags;          /* XDP_ZEROCOPY or XDP_COPY */
	struct owned_flow *flows;     /* OWNED_FLOWS_MAX of them; control thread */
	bool takes_all_queues;        /* receive_all_queues has been called; control thread */

	/*
	 * queues[0] is ours, the only one that transmits; the others are added by receive_all_queues. Control writes an
	 * entry, then publishes it through queue_count; the worker owns published queues. No entry moves or goes before
	 * destroy.
	 */
	struct xsk_queue *queues; /* one for each receive queue of the device */
	_Atomic uint32_t queue_count;

	_Alignas(CACHE_LINE_BYTES) struct counters counters;
	uint32_t rx_next; /* the queue to begin the next rx_burst with */
};

/* Worker only, hence no read-modify-write. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Data operations of struct driver_ops. */
uint32_t af_xdp_rx_burst(struct driver *d, struct packet *packets, uint32_t max);
void af_xdp_rx_release(struct driver *d, const struct packet *packets, uint32_t n);
uint32_t af_xdp_tx_reserve(struct driver *d, struct packet *packets, uint32_t max);
void af_xdp_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved);

#endif
