/* The data path. The worker's thread; no system call beyond what a PMD itself makes (virtual devices do). */
#include <assert.h>
#include <pthread.h>
#include <stddef.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/instance.h"

#define IPV4_BYTES 20u /* we send no IPv4 options */

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

/* A packet the device found damaged. */
static __attribute__((noinline)) void drop_received(struct dpdk *dpdk, struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
	counter_add(&dpdk->counters.rx_dropped, 1);
}

/* Whether the device vouches for it; or, with "none", the host that sent it without ever leaving the machine. */
static inline uint16_t flags_of(const struct rte_mbuf *mbuf)
{
	return mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD ? PACKET_CHECKSUM_GOOD : 0;
}

static inline bool damaged(const struct rte_mbuf *mbuf)
{
	return (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

static inline uint32_t receive(struct driver *d, struct packet *packets, uint32_t max, bool checked)
{
	struct dpdk *dpdk = dpdk_of(d);
	struct rte_mbuf *mbufs[DRIVER_BURST_MAX];
	if (unlikely(!dpdk->worker_known))
		make_worker_known(dpdk);
	uint16_t n = rte_eth_rx_burst(dpdk->port_id, dpdk->queue, mbufs, (uint16_t)RTE_MIN(max, DRIVER_BURST_MAX));
	uint32_t count = 0;
	uint64_t bytes = 0;
	for (uint16_t i = 0; i < n; i++) {
		/* In several buffers: a PMD that rounds their size down, or a frame larger than our MTU. */
		bool broken = unlikely(mbufs[i]->nb_segs != 1) && rte_pktmbuf_linearize(mbufs[i]) != 0;
		if (unlikely(broken || (checked && damaged(mbufs[i])))) {
			drop_received(dpdk, mbufs[i]);
			continue;
		}
		packets[count++] = (struct packet){
			.data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
			.len = mbufs[i]->data_len,
			.flags = checked ? flags_of(mbufs[i]) : 0,
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

uint32_t dpdk_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	return receive(d, packets, max, false);
}

uint32_t dpdk_rx_burst_checked(struct driver *d, struct packet *packets, uint32_t max)
{
	return receive(d, packets, max, true);
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
	rte_eth_tx_done_cleanup(dpdk->port_id, dpdk->queue, 0);
	while (n < max && (mbufs[n] = rte_pktmbuf_alloc(dpdk->tx_pool)) != NULL)
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
	if (unlikely(rte_pktmbuf_alloc_bulk(dpdk->tx_pool, mbufs, n) != 0))
		n = alloc_some(dpdk, mbufs, n);
	for (uint32_t i = 0; i < n; i++)
		packets[i] = (struct packet){
			.data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
			.len = dpdk->frame_bytes,
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
		assert(packets[i].len <= dpdk->frame_bytes);
		mbufs[i]->data_len = (uint16_t)packets[i].len;
		mbufs[i]->pkt_len = packets[i].len;
		bytes += packets[i].len;
	}
	if (n < reserved)
		rte_pktmbuf_free_bulk(mbufs + n, reserved - n);
	if (!n)
		return;
	uint32_t sent = rte_eth_tx_burst(dpdk->port_id, dpdk->queue, mbufs, (uint16_t)n);
	counter_add(&dpdk->counters.tx_packets, n);
	counter_add(&dpdk->counters.tx_bytes, bytes);
	if (unlikely(sent < n))
		drop(dpdk, mbufs + sent, n - sent);
}

/* ---- transmit with a device that sums and cuts ---------------------------------------------------------------------
 */

static __attribute__((noinline)) struct rte_mbuf *large_after_cleanup(struct dpdk *dpdk)
{
	rte_eth_tx_done_cleanup(dpdk->port_id, dpdk->queue, 0);
	return rte_pktmbuf_alloc(dpdk->large.pool);
}

uint32_t dpdk_tx_reserve_large(struct driver *d, struct packet *packet)
{
	struct dpdk *dpdk = dpdk_of(d);
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(dpdk->large.pool);
	if (unlikely(!mbuf))
		mbuf = large_after_cleanup(dpdk);
	if (unlikely(!mbuf))
		return 0;
	*packet = (struct packet){
		.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
		.len = d->info.tso_bytes,
		.handle = (uintptr_t)mbuf,
	};
	return 1;
}

/* Where the headers lie, and what is to be done to them. Frames of control's (ARP, ICMP) ask for nothing. */
static inline void ask(const struct dpdk *dpdk, struct rte_mbuf *mbuf, const struct packet *packet)
{
	if (!(packet->flags & PACKET_FILL_CHECKSUM))
		return;
	uint8_t *ip = packet->data + RTE_ETHER_HDR_LEN;
	if (packet->data[12] == RTE_ETHER_TYPE_VLAN >> 8 && packet->data[13] == (RTE_ETHER_TYPE_VLAN & 0xff))
		ip += RTE_VLAN_HLEN;
	mbuf->l2_len = (uint64_t)(ip - packet->data) & 0x7f;
	mbuf->l3_len = IPV4_BYTES;
	mbuf->l4_len = (ip[IPV4_BYTES + 12] >> 4) * 4u;
	mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (!(packet->flags & PACKET_SEGMENT)) {
		mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		return;
	}
	mbuf->tso_segsz = packet->segment_bytes;
	mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (dpdk->ip_checksum) {
		mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
		ip[10] = ip[11] = 0; /* as rte_mbuf_core.h asks for it */
	}
}

/* False: it cannot be sent. */
static inline bool lay_out(const struct dpdk *dpdk, struct rte_mbuf *mbuf, const struct packet *packet)
{
	assert(packet->len <= (uint32_t)(mbuf->buf_len - mbuf->data_off));
	ask(dpdk, mbuf, packet);
	if (unlikely(packet->len > DPDK_PIECE_BYTES))
		return dpdk_large_chain(&dpdk->large, mbuf, packet->len);
	mbuf->data_len = (uint16_t)packet->len;
	mbuf->pkt_len = packet->len;
	return true;
}

/* Many drivers want a say in packets with offloads before they send them; what they refuse is lost. */
static void prepare_and_send(struct dpdk *dpdk, struct rte_mbuf **mbufs, uint32_t n)
{
	for (uint32_t at = 0; at < n;) {
		uint32_t ready = rte_eth_tx_prepare(dpdk->port_id, dpdk->queue, mbufs + at, (uint16_t)(n - at));
		uint32_t sent = rte_eth_tx_burst(dpdk->port_id, dpdk->queue, mbufs + at, (uint16_t)ready);
		if (unlikely(sent < ready)) {
			drop(dpdk, mbufs + at + sent, n - at - sent);
			return;
		}
		at += ready;
		if (unlikely(at < n))
			drop(dpdk, mbufs + at++, 1);
	}
}

void dpdk_tx_submit_offloaded(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct dpdk *dpdk = dpdk_of(d);
	struct rte_mbuf *mbufs[DRIVER_BURST_MAX];
	uint64_t bytes = 0;
	uint32_t count = 0;
	assert(n <= reserved && reserved <= DRIVER_BURST_MAX);
	for (uint32_t i = 0; i < n; i++) {
		mbufs[count] = mbuf_of(&packets[i]);
		bytes += packets[i].len;
		if (likely(lay_out(dpdk, mbufs[count], &packets[i])))
			count++;
		else
			drop(dpdk, &mbufs[count], 1);
	}
	for (uint32_t i = n; i < reserved; i++)
		rte_pktmbuf_free(mbuf_of(&packets[i]));
	if (!n)
		return;
	counter_add(&dpdk->counters.tx_packets, n);
	counter_add(&dpdk->counters.tx_bytes, bytes);
	prepare_and_send(dpdk, mbufs, count);
}
