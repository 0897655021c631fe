#include "drivers/dpdk/large.h"

#include <stdio.h>
#include <string.h>

#include <rte_mbuf.h>

#include "drivers/dpdk/offload.h"

/*
 * 8 MB in flight, twice what 25 Gbit/s carry in a millisecond, and 2 MB in the worker's cache. When all are with a
 * device that gives them back late, messages leave in single segments, whose descriptors make it do so.
 */
#define LARGE_BUFFERS 160u
#define LARGE_CACHE   32u

static struct rte_mempool *make_pool(const char *kind, uint16_t port, uint16_t queue, uint32_t count, uint32_t room,
				     int node)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof name, "hw-%s-%u-%u", kind, port, queue);
	return rte_pktmbuf_pool_create(name, count, LARGE_CACHE, 0, (uint16_t)room, node);
}

bool dpdk_large_create(struct dpdk_large *large, uint16_t port, uint16_t queue, uint32_t tso_bytes, int node)
{
	large->pool = make_pool("large", port, queue, LARGE_BUFFERS, RTE_PKTMBUF_HEADROOM + tso_bytes, node);
	/* enough for all of them, hence a chain is never left without */
	large->pieces =
		make_pool("piece", port, queue, LARGE_BUFFERS * (DPDK_PIECES_MAX - 1) + 2 * LARGE_CACHE, 0, node);
	if (large->pool && large->pieces)
		return true;
	dpdk_large_destroy(large);
	return false;
}

void dpdk_large_destroy(struct dpdk_large *large)
{
	rte_mempool_free(large->pool);
	rte_mempool_free(large->pieces);
	*large = (struct dpdk_large){0};
}

bool dpdk_large_chain(const struct dpdk_large *large, struct rte_mbuf *head, uint32_t len)
{
	struct rte_mbuf *pieces[DPDK_PIECES_MAX - 1], *last = head;
	uint32_t n = (len - 1) / DPDK_PIECE_BYTES, at = DPDK_PIECE_BYTES;
	if (rte_pktmbuf_alloc_bulk(large->pieces, pieces, n) != 0)
		return false;
	for (uint32_t i = 0; i < n; i++, at += DPDK_PIECE_BYTES) {
		rte_pktmbuf_attach(pieces[i], head);
		pieces[i]->data_off = (uint16_t)(head->data_off + at);
		pieces[i]->data_len = (uint16_t)RTE_MIN(len - at, DPDK_PIECE_BYTES);
		last->next = pieces[i];
		last = pieces[i];
	}
	head->data_len = (uint16_t)RTE_MIN(len, DPDK_PIECE_BYTES);
	head->pkt_len = len;
	head->nb_segs = (uint16_t)(n + 1);
	return true;
}
