/*
 * Frames that a device has put into several buffers: some PMDs program their buffers' size in steps so large (e1000:
 * powers of two) that a jumbo frame does not fit although the buffer has room. net_ring gives back the chains it is
 * given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/dpdk.h"

#define DEVICE     "net_ring0"
#define ROOM_BYTES 2048u

struct loop {
	struct driver *driver;
	struct rte_mempool *pool;
	uint16_t port_id;
};

static int set_up(void **state)
{
	static struct loop loop;
	char why[512];
	const struct dpdk_options options = {.device = DEVICE, .eal = "--no-huge -m 128", .cpu = -1};
	if (dpdk_create(&options, &loop.driver, why, sizeof why) != 0)
		fail_msg("%s", why);
	assert_int_equal(rte_eth_dev_get_port_by_name(DEVICE, &loop.port_id), 0);
	loop.pool = rte_pktmbuf_pool_create("chains", 127, 0, 0, RTE_PKTMBUF_HEADROOM + ROOM_BYTES, SOCKET_ID_ANY);
	assert_non_null(loop.pool);
	*state = &loop;
	return 0;
}

static int tear_down(void **state)
{
	struct loop *loop = *state;
	loop->driver->ops->destroy(loop->driver);
	rte_mempool_free(loop->pool);
	return 0;
}

/* A frame of two buffers, with the octets 0, 1, 2... */
static void send_chain(struct loop *loop, uint16_t first_bytes, uint16_t second_bytes)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(loop->pool), *second = rte_pktmbuf_alloc(loop->pool);
	uint8_t next = 0;
	char *at = rte_pktmbuf_append(first, first_bytes);
	for (uint16_t i = 0; i < first_bytes; i++)
		at[i] = (char)next++;
	at = rte_pktmbuf_append(second, second_bytes);
	for (uint16_t i = 0; i < second_bytes; i++)
		at[i] = (char)next++;
	assert_int_equal(rte_pktmbuf_chain(first, second), 0);
	assert_int_equal(rte_eth_tx_burst(loop->port_id, 0, &first, 1), 1);
}

static void a_frame_in_two_buffers_is_handed_over_whole(void **state)
{
	struct loop *loop = *state;
	struct driver *d = loop->driver;
	struct packet packet;
	send_chain(loop, 1024, 590);
	assert_int_equal(d->ops->rx_burst(d, &packet, 1), 1);
	assert_int_equal(packet.len, 1614);
	for (uint32_t i = 0; i < packet.len; i++)
		assert_int_equal(packet.data[i], (uint8_t)i);
	d->ops->rx_release(d, &packet, 1);
	assert_int_equal(rte_mempool_in_use_count(loop->pool), 0);
}

static void a_frame_larger_than_a_buffer_is_lost_and_counted(void **state)
{
	struct loop *loop = *state;
	struct driver *d = loop->driver;
	struct driver_stats before, after;
	struct packet packet;
	d->ops->stats(d, &before);
	send_chain(loop, 1024, ROOM_BYTES - 1023);
	assert_int_equal(d->ops->rx_burst(d, &packet, 1), 0);
	d->ops->stats(d, &after);
	assert_int_equal(after.rx_dropped - before.rx_dropped, 1);
	assert_int_equal(rte_mempool_in_use_count(loop->pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_in_two_buffers_is_handed_over_whole),
		cmocka_unit_test(a_frame_larger_than_a_buffer_is_lost_and_counted),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
