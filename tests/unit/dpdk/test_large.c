/*
 * What the data path asks of a device that sums and cuts, seen from the device's side: net_ring hands on what it is
 * given, chains and flags included. net_ring itself does neither, so the driver's large pools are put in by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/instance.h"

#define WHOLE   (DPDK_PIECES_MAX * DPDK_PIECE_BYTES)
#define HELD    256u
#define SUM_BIT PACKET_FILL_CHECKSUM

struct bench {
	struct driver *d;
	struct dpdk *dpdk;
	unsigned large_free, pieces_free; /* when nothing is in flight */
};

static int setup(void **state)
{
	static struct bench b;
	static char why[512];
	const struct dpdk_options options = {.device = "net_ring0", .eal = "--no-huge -m 128", .cpu = -1};
	if (dpdk_create(&options, &b.d, why, sizeof why) != 0)
		fail_msg("%s", why);
	b.dpdk = (struct dpdk *)b.d;
	b.d->info.tso_bytes = WHOLE;
	assert_true(dpdk_large_create(&b.dpdk->large, b.dpdk->port_id, 0, WHOLE, -1));
	b.large_free = rte_mempool_avail_count(b.dpdk->large.pool);
	b.pieces_free = rte_mempool_avail_count(b.dpdk->large.pieces);
	*state = &b;
	return 0;
}

static struct rte_mbuf *wire(struct bench *b)
{
	struct rte_mbuf *mbuf = NULL;
	return rte_eth_rx_burst(b->dpdk->port_id, 0, &mbuf, 1) ? mbuf : NULL;
}

/* Everything has come back. */
static int teardown(void **state)
{
	struct bench *b = *state;
	struct rte_mbuf *mbuf;
	while ((mbuf = wire(b)) != NULL)
		rte_pktmbuf_free(mbuf);
	assert_int_equal(rte_mempool_avail_count(b->dpdk->large.pool), b->large_free);
	assert_int_equal(rte_mempool_avail_count(b->dpdk->large.pieces), b->pieces_free);
	dpdk_large_destroy(&b->dpdk->large);
	b->d->ops->destroy(b->d);
	return 0;
}

static uint8_t octet(uint32_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7);
}

/* Ethernet, a tag or not, IPv4, TCP of `tcp_len` octets of header. */
static void write_frame(struct packet *p, uint32_t len, bool tagged, uint8_t tcp_len)
{
	for (uint32_t i = 0; i < len; i++)
		p->data[i] = octet(i);
	uint32_t at = 12;
	if (tagged) {
		p->data[at++] = 0x81;
		p->data[at++] = 0x00;
		at += 2;
	}
	p->data[at++] = 0x08;
	p->data[at++] = 0x00;
	p->data[at] = 0x45;
	p->data[at + 20 + 12] = (uint8_t)(tcp_len / 4 << 4);
	p->len = len;
}

static struct packet large(struct bench *b)
{
	struct packet p;
	assert_int_equal(dpdk_tx_reserve_large(b->d, &p), 1);
	assert_int_equal(p.len, WHOLE);
	assert_int_equal(p.flags, 0);
	return p;
}

static void send_large(struct bench *b, uint32_t len)
{
	struct packet p = large(b);
	write_frame(&p, len, false, 32);
	p.flags = SUM_BIT | PACKET_SEGMENT;
	p.segment_bytes = 1448;
	dpdk_tx_submit_offloaded(b->d, &p, 1, 1);
}

static void check_chain(const struct rte_mbuf *head, uint32_t len)
{
	const uint8_t *start = rte_pktmbuf_mtod(head, const uint8_t *);
	uint32_t at = 0, segments = 0;
	assert_int_equal(head->pkt_len, len);
	for (const struct rte_mbuf *m = head; m; m = m->next, segments++) {
		assert_ptr_equal(rte_pktmbuf_mtod(m, const uint8_t *), start + at);
		assert_int_equal(rte_pktmbuf_iova(m) - rte_pktmbuf_iova(head), at);
		assert_in_range(m->data_len, 1, DPDK_PIECE_BYTES);
		at += m->data_len;
	}
	assert_int_equal(at, len);
	assert_int_equal(segments, head->nb_segs);
	assert_int_equal(segments, (len + DPDK_PIECE_BYTES - 1) / DPDK_PIECE_BYTES);
	for (uint32_t i = 100; i < len; i++)
		if (start[i] != octet(i))
			fail_msg("octet %u", i);
}

static void a_long_frame_is_a_chain_over_one_buffer(void **state)
{
	static const uint32_t lengths[] = {
		100,  1514, DPDK_PIECE_BYTES, DPDK_PIECE_BYTES + 1, 2 * DPDK_PIECE_BYTES, 3 * DPDK_PIECE_BYTES + 17,
		WHOLE};
	struct bench *b = *state;
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		send_large(b, lengths[i]);
		struct rte_mbuf *m = wire(b);
		assert_non_null(m);
		check_chain(m, lengths[i]);
		rte_pktmbuf_free(m);
	}
	struct driver_stats s;
	b->d->ops->stats(b->d, &s);
	assert_int_equal(s.tx_packets, 7);
	assert_int_equal(s.tx_dropped, 0);
}

/* Devices let go of a chain piece by piece, from whichever end. */
static void a_buffer_is_back_when_its_last_piece_is(void **state)
{
	static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}};
	struct bench *b = *state;
	for (int round = 0; round < 4; round++) {
		struct rte_mbuf *pieces[4];
		send_large(b, WHOLE);
		struct rte_mbuf *m = wire(b);
		assert_non_null(m);
		for (int i = 0; i < 4; i++, m = m->next)
			pieces[i] = m;
		for (int i = 0; i < 4; i++) {
			assert_int_equal(rte_mempool_avail_count(b->dpdk->large.pool), b->large_free - 1);
			rte_pktmbuf_free_seg(pieces[orders[round][i]]);
		}
		assert_int_equal(rte_mempool_avail_count(b->dpdk->large.pool), b->large_free);
		send_large(b, WHOLE); /* and fit for use */
		m = wire(b);
		check_chain(m, WHOLE);
		rte_pktmbuf_free(m);
	}
}

static void a_cancelled_buffer_goes_back(void **state)
{
	struct bench *b = *state;
	struct packet p = large(b);
	dpdk_tx_submit_offloaded(b->d, &p, 0, 1);
	assert_null(wire(b));
}

static void says_when_no_large_buffer_is_left_and_ordinary_ones_do(void **state)
{
	struct bench *b = *state;
	static struct packet held[HELD], packets[DRIVER_BURST_MAX];
	uint32_t n = 0;
	while (n < HELD && dpdk_tx_reserve_large(b->d, &held[n]))
		n++;
	assert_int_equal(n, b->large_free);
	assert_int_equal(dpdk_tx_reserve(b->d, packets, DRIVER_BURST_MAX), DRIVER_BURST_MAX);
	dpdk_tx_submit_offloaded(b->d, packets, 0, DRIVER_BURST_MAX);
	for (uint32_t i = 0; i < n; i++) { /* all at once in flight: the pieces suffice */
		write_frame(&held[i], WHOLE, false, 20);
		held[i].flags = SUM_BIT | PACKET_SEGMENT;
		dpdk_tx_submit_offloaded(b->d, &held[i], 1, 1);
	}
	struct driver_stats s;
	b->d->ops->stats(b->d, &s);
	assert_int_equal(s.tx_dropped, 0);
	struct rte_mbuf *m;
	while ((m = wire(b)) != NULL)
		rte_pktmbuf_free(m);
	struct packet p = large(b);
	dpdk_tx_submit_offloaded(b->d, &p, 0, 1);
}

static void a_chain_the_device_has_no_room_for_is_lost_and_its_buffers_are_not(void **state)
{
	struct bench *b = *state;
	struct packet packets[DRIVER_BURST_MAX];
	struct driver_stats s;
	do {
		uint32_t n = dpdk_tx_reserve(b->d, packets, DRIVER_BURST_MAX);
		for (uint32_t i = 0; i < n; i++)
			write_frame(&packets[i], 100, false, 20);
		dpdk_tx_submit_offloaded(b->d, packets, n, n);
		b->d->ops->stats(b->d, &s);
	} while (s.tx_dropped == 0);
	uint64_t dropped = s.tx_dropped;
	send_large(b, WHOLE);
	b->d->ops->stats(b->d, &s);
	assert_int_equal(s.tx_dropped, dropped + 1);
}

static void the_device_is_told_where_headers_lie_and_what_to_do(void **state)
{
	struct bench *b = *state;
	b->dpdk->ip_checksum = true;
	for (int tagged = 0; tagged < 2; tagged++) {
		struct packet p = large(b);
		write_frame(&p, 10000, tagged, 32);
		p.flags = SUM_BIT | PACKET_SEGMENT;
		p.segment_bytes = 1448;
		dpdk_tx_submit_offloaded(b->d, &p, 1, 1);
		struct rte_mbuf *m = wire(b);
		assert_int_equal(m->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM);
		assert_int_equal(m->l2_len, tagged ? 18 : 14);
		assert_int_equal(m->l3_len, 20);
		assert_int_equal(m->l4_len, 32);
		assert_int_equal(m->tso_segsz, 1448);
		const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, m->l2_len);
		assert_int_equal(ip[10] | ip[11], 0);
		rte_pktmbuf_free(m);
	}
	b->dpdk->ip_checksum = false;
}

static void a_single_segment_keeps_its_ip_checksum_and_controls_frames_everything(void **state)
{
	struct bench *b = *state;
	struct packet packets[2];
	assert_int_equal(dpdk_tx_reserve(b->d, packets, 2), 2);
	write_frame(&packets[0], 200, false, 20);
	packets[0].flags = SUM_BIT;
	write_frame(&packets[1], 60, false, 20);
	dpdk_tx_submit_offloaded(b->d, packets, 2, 2);
	struct rte_mbuf *m = wire(b);
	assert_int_equal(m->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
	assert_int_equal(m->l4_len, 20);
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	assert_int_equal(ip[10], octet(24));
	rte_pktmbuf_free(m);
	m = wire(b);
	assert_int_equal(m->ol_flags, 0);
	assert_int_equal(m->tx_offload, 0);
	assert_int_equal(m->data_len, 60);
	rte_pktmbuf_free(m);
}

static void what_the_device_found_damaged_is_dropped_and_what_it_vouches_for_says_so(void **state)
{
	static const struct {
		uint64_t flags;
		bool arrives, good;
	} cases[] = {
		{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, true, false},
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, false, false},
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, true},
		{RTE_MBUF_F_RX_L4_CKSUM_NONE, true, true},
	};
	struct bench *b = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct driver_stats before, after;
		struct packet p;
		b->d->ops->stats(b->d, &before);
		assert_int_equal(dpdk_tx_reserve(b->d, &p, 1), 1);
		write_frame(&p, 60, false, 20);
		((struct rte_mbuf *)(uintptr_t)p.handle)->ol_flags = cases[i].flags;
		dpdk_tx_submit(b->d, &p, 1, 1);
		assert_int_equal(dpdk_rx_burst_checked(b->d, &p, 1), cases[i].arrives);
		if (cases[i].arrives) {
			assert_int_equal(p.flags, cases[i].good ? PACKET_CHECKSUM_GOOD : 0);
			dpdk_rx_release(b->d, &p, 1);
		}
		b->d->ops->stats(b->d, &after);
		assert_int_equal(after.rx_dropped - before.rx_dropped, !cases[i].arrives);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_long_frame_is_a_chain_over_one_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_is_back_when_its_last_piece_is, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancelled_buffer_goes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(says_when_no_large_buffer_is_left_and_ordinary_ones_do, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_chain_the_device_has_no_room_for_is_lost_and_its_buffers_are_not,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_device_is_told_where_headers_lie_and_what_to_do, setup, teardown),
		cmocka_unit_test_setup_teardown(a_single_segment_keeps_its_ip_checksum_and_controls_frames_everything,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_the_device_found_damaged_is_dropped_and_what_it_vouches_for_says_so, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
