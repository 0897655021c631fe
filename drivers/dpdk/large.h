/*
 * Frames for a device to cut, longer than one descriptor takes: one buffer, into which the stack writes without knowing
 * of pieces, and one mbuf for each piece of it.
 *
 *     large pool   | mbuf | piece 0 | piece 1 | piece 2 | piece 3 |
 *                     │ next            ▲         ▲         ▲
 *     piece pool      └─▶ mbuf ─────────┘  mbuf ──┘  mbuf ──┘        indirect: each holds a reference
 *
 * These are DPDK's indirect mbufs, which every driver that takes chains frees rightly, whenever it likes and in any
 * order: the buffer is back in its pool when the last piece has gone. Copying into a chain would touch every octet
 * twice; external buffers would need a free function of ours and gain nothing.
 */
#ifndef HAREWIRE_DPDK_LARGE_H
#define HAREWIRE_DPDK_LARGE_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

struct dpdk_large {
	struct rte_mempool *pool, *pieces; /* NULL: the device does not cut */
};

/* Pools of queue `queue` of port `port`, for frames of up to tso_bytes. False: no memory; nothing is left. */
bool dpdk_large_create(struct dpdk_large *large, uint16_t port, uint16_t queue, uint32_t tso_bytes, int node);
void dpdk_large_destroy(struct dpdk_large *large);

/*
 * Lays `len` octets of an mbuf's buffer out as a chain that begins with it. Worker's thread. False: no mbufs are left
 * for the pieces; nothing has changed.
 */
bool dpdk_large_chain(const struct dpdk_large *large, struct rte_mbuf *head, uint32_t len);

#endif
