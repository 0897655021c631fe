/* The data path. The worker's thread; no system call beyond what a PMD itself makes (virtual devices do). */
#include <assert.h>
#include <pthread.h>
#include <stddef.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/instance.h"

#define QUEUE 0

static struct dpdk *dpdk_of(struct driver *d)
{
	return (struct dpdk *)d;
}

static inline struct rte_mbuf *mbuf_of(const struct packet *packet)
{
	return (struct rte_mbuf *)(uintptr_t)packet->handle;
}

/* Worker only, hence no read-modify-write. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---- the worker's thread ---- */

/* The EAL's register of threads is the process's, and so is the key that takes them off it again. */
static pthread_key_t registered;
static pthread_once_t registered_once = PTHREAD_ONCE_INIT;

static void forget_thread(void *value)
{
	rte_thread_unregister();
}

static void make_key(void)
{
	pthread_key_create(&registered, forget_thread);
}

void dpdk_worker_init(void)
{
	pthread_once(&registered_once, make_key);
}

/*
 * The worker is a thread of ours or, in inline mode, of the application; only an lcore has a buffer cache in the pools.
 * When there is no lcore left all works without, a little slower.
 */
static __attribute__((noinline)) void make_worker_known(struct dpdk *dpdk)
{
	dpdk->worker_known = true;
	if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0)
		pthread_setspecific(registered, &registered);
}

/* ---- receive ---------------------------------------------------------------------------------------------------- */

uint32_t dpdk_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct dpdk *dpdk = dpdk_of(d);
	struct rte_mbuf *mbufs[DRIVER_BURST_MAX];
	if (unlikely(!dpdk->worker_known))
		make_worker_known(dpdk);
	uint16_t n = rte_eth_rx_burst(dpdk->port.id, QUEUE, mbufs, (uint16_t)RTE_MIN(max, DRIVER_BURST_MAX));
	uint32_t count = 0;
	uint64_t bytes = 0;
	for (uint16_t i = 0; i < n; i++) {
		/* In several buffers: a PMD that rounds their size down, or a frame larger than our MTU. */
		if (unlikely(mbufs[i]->nb_segs != 1) && rte_pktmbuf_linearize(mbufs[i]) != 0) {
			rte_pktmbuf_free(mbufs[i]);
			counter_add(&dpdk->counters.rx_dropped, 1);
			continue;
		}
		packets[count++] = (struct packet){
			.data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
			.len = mbufs[i]->data_len,
			.handle = (uintptr_t)mbufs[i],
		};
		bytes += mbufs[i]->data_len;
	}
	if (n) {
		counter_add(&dpdk->counters.rx_packets, count);
		counter_add(&dpdk->counters.rx_bytes, bytes);
	}
	return count;
}

void dpdk_rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	struct rte_mbuf *mbufs[DRIVER_BURST_MAX];
	assert(n <= DRIVER_BURST_MAX);
	for (uint32_t i = 0; i < n; i++)
		mbufs[i] = mbuf_of(&packets[i]);
	rte_pktmbuf_free_bulk(mbufs, n);
}

/* ---- transmit --------------------------------------------------------------------------------------------------- */

/* Fewer buffers are left than asked for: what there is, once the device has let go of what it has sent. */
static __attribute__((noinline)) uint32_t alloc_some(struct dpdk *dpdk, struct rte_mbuf **mbufs, uint32_t max)
{
	uint32_t n = 0;
	rte_eth_tx_done_cleanup(dpdk->port.id, QUEUE, 0);
	while (n < max && (mbufs[n] = rte_pktmbuf_alloc(dpdk->port.tx_pool)) != NULL)
		n++;
	if (!n && max)
		counter_add(&dpdk->counters.tx_no_buffer, 1);
	return n;
}

uint32_t dpdk_tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	struct dpdk *dpdk = dpdk_of(d);
	struct rte_mbuf *mbufs[DRIVER_BURST_MAX];
	uint32_t n = RTE_MIN(max, DRIVER_BURST_MAX);
	if (unlikely(rte_pktmbuf_alloc_bulk(dpdk->port.tx_pool, mbufs, n) != 0))
		n = alloc_some(dpdk, mbufs, n);
	for (uint32_t i = 0; i < n; i++)
		packets[i] = (struct packet){
			.data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
			.len = dpdk->port.frame_bytes,
			.handle = (uintptr_t)mbufs[i],
		};
	return n;
}

/* What the device has no descriptor for is lost, as it would be further on: TCP repairs it. */
static __attribute__((noinline)) void drop(struct dpdk *dpdk, struct rte_mbuf **mbufs, uint32_t n)
{
	rte_pktmbuf_free_bulk(mbufs, n);
	counter_add(&dpdk->counters.tx_dropped, n);
}

void dpdk_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct dpdk *dpdk = dpdk_of(d);
	struct rte_mbuf *mbufs[DRIVER_BURST_MAX];
	uint64_t bytes = 0;
	assert(n <= reserved && reserved <= DRIVER_BURST_MAX);
	for (uint32_t i = 0; i < reserved; i++)
		mbufs[i] = mbuf_of(&packets[i]);
	for (uint32_t i = 0; i < n; i++) {
		assert(packets[i].len <= dpdk->port.frame_bytes);
		mbufs[i]->data_len = (uint16_t)packets[i].len;
		mbufs[i]->pkt_len = packets[i].len;
		bytes += packets[i].len;
	}
	if (n < reserved)
		rte_pktmbuf_free_bulk(mbufs + n, reserved - n);
	if (!n)
		return;
	uint32_t sent = rte_eth_tx_burst(dpdk->port.id, QUEUE, mbufs, (uint16_t)n);
	counter_add(&dpdk->counters.tx_packets, n);
	counter_add(&dpdk->counters.tx_bytes, bytes);
	if (unlikely(sent < n))
		drop(dpdk, mbufs + sent, n - sent);
}
