/* The driver without a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/null/null.h"

static struct driver *create(uint32_t buffers)
{
	const struct null_options options = {.buffers = buffers, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}};
	struct driver *d = NULL;
	assert_int_equal(null_create(&options, &d), 0);
	return d;
}

static void every_reserved_buffer_is_writable_over_its_whole_capacity(void **state)
{
	struct driver *d = create(64);
	struct packet packets[DRIVER_BURST_MAX];
	assert_true(d->info.frame_bytes >= 1500 + 18);
	for (int round = 0; round < 5; round++) {
		assert_int_equal(d->ops->tx_reserve(d, packets, DRIVER_BURST_MAX), DRIVER_BURST_MAX);
		for (uint32_t i = 0; i < DRIVER_BURST_MAX; i++) {
			assert_int_equal(packets[i].len, d->info.frame_bytes);
			memset(packets[i].data, (int)i, packets[i].len);
		}
		for (uint32_t i = 0; i < DRIVER_BURST_MAX; i++) /* no two are the same */
			assert_int_equal(packets[i].data[0], i);
		d->ops->tx_submit(d, packets, 7, DRIVER_BURST_MAX);
	}
	d->ops->destroy(d);
}

static void submitted_frames_are_counted_and_cancelled_ones_are_not(void **state)
{
	struct driver *d = create(32);
	struct packet packets[DRIVER_BURST_MAX];
	struct driver_stats stats;
	d->ops->tx_reserve(d, packets, 4);
	packets[0].len = 60;
	packets[1].len = 1514;
	d->ops->tx_submit(d, packets, 2, 4);
	d->ops->tx_reserve(d, packets, 4);
	d->ops->tx_submit(d, packets, 0, 4);
	d->ops->stats(d, &stats);
	assert_int_equal(stats.tx_packets, 2);
	assert_int_equal(stats.tx_bytes, 1574);
	assert_int_equal(stats.kicks, 0);
	d->ops->destroy(d);
}

static void buffers_are_used_in_turn(void **state)
{
	struct driver *d = create(32);
	struct packet a, b;
	d->ops->tx_reserve(d, &a, 1);
	d->ops->tx_submit(d, &a, 1, 1);
	d->ops->tx_reserve(d, &b, 1);
	assert_ptr_not_equal(a.data, b.data);
	for (int i = 0; i < 31; i++) {
		d->ops->tx_submit(d, &b, 1, 1);
		d->ops->tx_reserve(d, &b, 1);
	}
	assert_ptr_equal(a.data, b.data);
	d->ops->destroy(d);
}

static void nothing_is_ever_received(void **state)
{
	struct driver *d = create(32);
	struct packet packets[DRIVER_BURST_MAX];
	assert_int_equal(d->ops->rx_burst(d, packets, DRIVER_BURST_MAX), 0);
	d->ops->rx_release(d, packets, 0);
	d->ops->destroy(d);
}

static void options_that_cannot_work_are_refused(void **state)
{
	struct driver *d = NULL;
	static const struct null_options bad[] = {{.buffers = 0, .mtu = 1500},
						  {.buffers = 16, .mtu = 1500},
						  {.buffers = 48, .mtu = 1500},
						  {.buffers = 32, .mtu = 575}};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(null_create(&bad[i], &d), HW_ERR_INVALID);
	assert_null(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reserved_buffer_is_writable_over_its_whole_capacity),
		cmocka_unit_test(submitted_frames_are_counted_and_cancelled_ones_are_not),
		cmocka_unit_test(buffers_are_used_in_turn),
		cmocka_unit_test(nothing_is_ever_received),
		cmocka_unit_test(options_that_cannot_work_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
