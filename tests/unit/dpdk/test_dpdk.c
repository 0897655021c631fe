/* The driver over virtual devices, without hugepages and without root: net_ring gives back what it is given. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/instance.h"
#include "tests/lib/fake_sysfs.h"

#define NO_HUGE "--no-huge -m 256"
/* Sends come back: the transmit ring is the receive ring. */
#define LOOP "net_ring0"

static char why[512];

static int create(const char *device, struct driver **d)
{
	const struct dpdk_options options = {.device = device, .eal = NO_HUGE, .cpu = -1};
	why[0] = '\0';
	return dpdk_create(&options, d, why, sizeof why);
}

/* Takes its frames and brings none; has as many queues as one likes. */
#define SILENT "net_null0,no-rx=1"

static int create_queue(const char *device, uint16_t queue, uint16_t queues, struct driver **d)
{
	const struct dpdk_options options = {
		.device = device, .eal = NO_HUGE, .cpu = -1, .queue = queue, .queues = queues};
	why[0] = '\0';
	return dpdk_create(&options, d, why, sizeof why);
}

static struct driver *must_create(const char *device)
{
	struct driver *d = NULL;
	if (create(device, &d) != 0)
		fail_msg("%s", why);
	return d;
}

/* A net_ring outlives its port with what is in it, and that would be buffers of a pool that is gone. */
static void destroy(struct driver *d)
{
	struct packet packets[DRIVER_BURST_MAX];
	uint32_t n;
	while ((n = d->ops->rx_burst(d, packets, DRIVER_BURST_MAX)) > 0)
		d->ops->rx_release(d, packets, n);
	d->ops->destroy(d);
}

static struct driver_stats stats_of(const struct driver *d)
{
	struct driver_stats s;
	d->ops->stats(d, &s);
	return s;
}

static void send_frames(struct driver *d, uint32_t n, uint32_t len, uint8_t mark)
{
	struct packet packets[DRIVER_BURST_MAX];
	assert_int_equal(d->ops->tx_reserve(d, packets, n), n);
	for (uint32_t i = 0; i < n; i++) {
		packets[i].len = len;
		memset(packets[i].data, mark + (int)i, len);
	}
	d->ops->tx_submit(d, packets, n, n);
}

static void says_what_it_is(void **state)
{
	struct driver *d = must_create("net_null0,no-rx=1");
	assert_string_equal(d->info.name, "dpdk");
	assert_string_equal(d->info.mode, "net_null");
	assert_string_equal(d->info.device, "net_null0");
	assert_int_equal(d->info.mtu, 1500);
	assert_true(d->info.frame_bytes >= 1518);
	assert_false(d->info.shared_address);
	assert_string_equal(d->info.steering, "one queue");
	assert_true(d->ops->link_up(d));
	destroy(d);
}

static void every_reserved_buffer_is_writable_over_its_whole_capacity(void **state)
{
	struct driver *d = must_create("net_null0,no-rx=1");
	struct packet packets[DRIVER_BURST_MAX];
	for (int round = 0; round < 200; round++) { /* more than the pool holds: buffers come back */
		assert_int_equal(d->ops->tx_reserve(d, packets, DRIVER_BURST_MAX), DRIVER_BURST_MAX);
		for (uint32_t i = 0; i < DRIVER_BURST_MAX; i++) {
			assert_int_equal(packets[i].len, d->info.frame_bytes);
			memset(packets[i].data, (int)i, packets[i].len);
		}
		for (uint32_t i = 0; i < DRIVER_BURST_MAX; i++)
			assert_int_equal(packets[i].data[packets[i].len - 1], i);
		for (uint32_t i = 0; i < DRIVER_BURST_MAX; i++)
			packets[i].len = 60;
		d->ops->tx_submit(d, packets, (uint32_t)round % (DRIVER_BURST_MAX + 1), DRIVER_BURST_MAX);
	}
	destroy(d);
}

static void frames_arrive_as_they_were_sent(void **state)
{
	struct driver *d = must_create(LOOP);
	struct packet packets[DRIVER_BURST_MAX];
	for (uint32_t round = 0; round < 300; round++) {
		uint32_t n = round % DRIVER_BURST_MAX + 1, len = 60 + round;
		send_frames(d, n, len, (uint8_t)round);
		assert_int_equal(d->ops->rx_burst(d, packets, DRIVER_BURST_MAX), n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(packets[i].len, len);
			assert_int_equal(packets[i].flags, 0);
			assert_int_equal(packets[i].data[0], (uint8_t)(round + i));
			assert_int_equal(packets[i].data[len - 1], (uint8_t)(round + i));
		}
		d->ops->rx_release(d, packets, n);
	}
	assert_int_equal(d->ops->rx_burst(d, packets, DRIVER_BURST_MAX), 0);
	destroy(d);
}

static void counts_what_it_sends_and_receives(void **state)
{
	struct driver *d = must_create(LOOP);
	struct packet packets[DRIVER_BURST_MAX];
	send_frames(d, 5, 100, 0);
	uint32_t n = d->ops->rx_burst(d, packets, 3);
	d->ops->rx_release(d, packets, n);
	struct driver_stats s = stats_of(d);
	assert_int_equal(s.tx_packets, 5);
	assert_int_equal(s.tx_bytes, 500);
	assert_int_equal(s.rx_packets, 3);
	assert_int_equal(s.rx_bytes, 300);
	assert_int_equal(s.tx_dropped, 0);
	destroy(d);
}

/* The ring takes 1023: what does not fit is lost, said so, and its buffer is not. */
static void a_frame_the_device_refuses_is_counted_as_lost(void **state)
{
	struct driver *d = must_create(LOOP);
	struct packet packets[DRIVER_BURST_MAX];
	uint64_t received = 0;
	for (int round = 0; round < 3; round++) {
		for (uint32_t sent = 0; sent < 40; sent++)
			send_frames(d, DRIVER_BURST_MAX, 64, 0);
		uint32_t n;
		while ((n = d->ops->rx_burst(d, packets, DRIVER_BURST_MAX)) > 0) {
			received += n;
			d->ops->rx_release(d, packets, n);
		}
	}
	struct driver_stats s = stats_of(d);
	assert_int_equal(s.tx_packets, 3 * 40 * DRIVER_BURST_MAX);
	assert_true(s.tx_dropped > 0);
	assert_int_equal(received + s.tx_dropped, s.tx_packets);
	destroy(d);
}

/* Received packets that nobody releases hold their buffers: on net_ring those are the transmit pool's. */
static void reserves_what_there_is_and_says_when_there_is_none(void **state)
{
	struct driver *d = must_create(LOOP);
	static struct packet held[8192];
	struct packet packets[DRIVER_BURST_MAX];
	uint32_t total = 0, reserved;
	do {
		reserved = d->ops->tx_reserve(d, packets, DRIVER_BURST_MAX);
		for (uint32_t i = 0; i < reserved; i++)
			packets[i].len = 64;
		d->ops->tx_submit(d, packets, reserved, reserved);
		total += d->ops->rx_burst(d, held + total, DRIVER_BURST_MAX);
	} while (reserved == DRIVER_BURST_MAX && total < 8000);
	assert_true(total < 8000);
	assert_int_equal(d->ops->tx_reserve(d, packets, 1), 0);
	assert_true(stats_of(d).tx_no_buffer > 0);
	for (uint32_t i = 0; i < total; i += DRIVER_BURST_MAX)
		d->ops->rx_release(d, held + i, total - i < DRIVER_BURST_MAX ? total - i : DRIVER_BURST_MAX);
	assert_int_equal(d->ops->tx_reserve(d, packets, DRIVER_BURST_MAX), DRIVER_BURST_MAX);
	d->ops->tx_submit(d, packets, 0, DRIVER_BURST_MAX);
	destroy(d);
}

static void *poll_once(void *arg)
{
	struct driver *d = arg;
	struct packet packets[DRIVER_BURST_MAX];
	send_frames(d, 4, 64, 1);
	uint32_t n = d->ops->rx_burst(d, packets, DRIVER_BURST_MAX);
	d->ops->rx_release(d, packets, n);
	return (void *)(uintptr_t)n;
}

/* More threads, one after the other, than the EAL has lcores: each gives its own back. */
static void any_thread_may_be_the_worker_and_many_may_follow_each_other(void **state)
{
	for (int i = 0; i < 150; i++) {
		struct driver *d = must_create(LOOP);
		pthread_t thread;
		void *received = NULL;
		assert_int_equal(pthread_create(&thread, NULL, poll_once, d), 0);
		pthread_join(thread, &received);
		assert_int_equal((uintptr_t)received, 4);
		destroy(d);
	}
}

static void starting_leaves_the_threads_affinity_alone(void **state)
{
	cpu_set_t before, after;
	pthread_getaffinity_np(pthread_self(), sizeof before, &before);
	struct driver *d = must_create("net_null0,no-rx=1");
	pthread_getaffinity_np(pthread_self(), sizeof after, &after);
	assert_true(CPU_EQUAL(&before, &after));
	destroy(d);
}

static void a_device_is_given_once_and_again_after_its_end(void **state)
{
	struct driver *d = must_create(LOOP), *second = NULL;
	assert_int_equal(create(LOOP, &second), HW_ERR_BUSY);
	assert_non_null(strstr(why, "queue 0 of net_ring0 is already in use"));
	destroy(d);
	d = must_create(LOOP);
	destroy(d);
}

static void the_queues_of_a_port_go_to_one_instance_each(void **state)
{
	struct driver *d[3], *other = NULL;
	for (uint16_t i = 0; i < 3; i++) {
		if (create_queue(SILENT, 2 - i, 3, &d[i]) != 0)
			fail_msg("%s", why);
		assert_int_equal(d[i]->info.queue, 2 - i);
		assert_int_equal(d[i]->info.queues, 3);
	}
	assert_int_equal(create_queue(SILENT, 1, 3, &other), HW_ERR_BUSY);
	assert_non_null(strstr(why, "queue 1 of net_null0 is already in use"));
	for (int round = 0; round < 4; round++)
		for (uint32_t i = 0; i < 3; i++)
			send_frames(d[i], i + 1, 100, 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(stats_of(d[i]).tx_packets, 4 * (i + 1));
	destroy(d[1]);
	assert_int_equal(create_queue(SILENT, 1, 3, &d[1]), 0); /* the port is still there, and its queue is free */
	send_frames(d[1], 1, 100, 0);
	for (uint32_t i = 0; i < 3; i++)
		destroy(d[i]);
	assert_int_equal(create_queue(SILENT, 0, 2, &d[0]), 0); /* it was closed with the last */
	destroy(d[0]);
}

/* A queue may use all its buffers up without the others lacking one. */
static void each_queue_has_buffers_of_its_own(void **state)
{
	struct driver *a = NULL, *b = NULL;
	struct packet packets[DRIVER_BURST_MAX];
	assert_int_equal(create_queue(SILENT, 0, 2, &a), 0);
	assert_int_equal(create_queue(SILENT, 1, 2, &b), 0);
	static struct packet held[8192];
	uint32_t total = 0, n;
	while ((n = a->ops->tx_reserve(a, held + total, DRIVER_BURST_MAX)) > 0 && total < 8000)
		total += n;
	assert_true(total < 8000);
	assert_int_equal(b->ops->tx_reserve(b, packets, DRIVER_BURST_MAX), DRIVER_BURST_MAX);
	b->ops->tx_submit(b, packets, 0, DRIVER_BURST_MAX);
	for (uint32_t i = 0; i < total; i += n) {
		n = total - i < DRIVER_BURST_MAX ? total - i : DRIVER_BURST_MAX;
		a->ops->tx_submit(a, held + i, 0, n);
	}
	destroy(a);
	destroy(b);
}

static void all_workers_of_a_port_ask_for_the_same(void **state)
{
	struct driver *first = NULL, *second = NULL;
	assert_int_equal(create_queue(SILENT, 0, 2, &first), 0);
	const struct dpdk_options same = {.device = SILENT, .eal = NO_HUGE, .cpu = -1, .queue = 1, .queues = 2};
	struct dpdk_options other[5] = {same, same, same, same, same};
	static const char *const words[5] = {"number of queues", "MTU", "checksum", "TSO", "arguments"};
	other[0].queues = 3;
	other[1].mtu = 1400;
	other[2].checksum = DPDK_USE_ON;
	other[3].tso = DPDK_USE_OFF;
	other[4].device = "net_null0,no-rx=1,size=60";
	for (int i = 0; i < 5; i++) {
		assert_int_equal(dpdk_create(&other[i], &second, why, sizeof why), HW_ERR_INVALID);
		assert_non_null(strstr(why, "net_null0 is already open in this process with"));
		assert_non_null(strstr(why, words[i]));
	}
	assert_int_equal(dpdk_create(&same, &second, why, sizeof why), 0);
	destroy(first);
	destroy(second);
}

static void says_how_many_queues_a_device_has(void **state)
{
	struct driver *d = NULL;
	assert_int_equal(create_queue(LOOP, 1, 17, &d), HW_ERR_UNSUPPORTED);
	assert_string_equal(why, "net_ring0 has 16 queues, not 17: give it at most 16 workers");
	assert_int_equal(create_queue(SILENT, 2, 2, &d), HW_ERR_INVALID);
	assert_non_null(strstr(why, "queue 2 of net_null0 is out of range"));
	assert_int_equal(create_queue(SILENT, 0, 65, &d), HW_ERR_INVALID);
	assert_non_null(strstr(why, "at most 64"));
	d = must_create(LOOP); /* nothing of it was left */
	destroy(d);
}

static void warns_of_a_cpu_on_another_numa_node_than_the_device(void **state)
{
	const struct why reason = {why, sizeof why};
	struct dpdk_options options = {.device = SILENT, .eal = NO_HUGE, .cpu = 0};
	struct driver *d = NULL;
	const char *sysfs = fake_sysfs_open(); /* net_null is on node 0, as the EAL's only lcore */
	fake_sysfs_directory("devices/system/node/node0/cpu0");
	fake_sysfs_directory("devices/system/node/node1/cpu1");
	assert_int_equal(dpdk_create_in(sysfs, &options, &d, &reason), 0);
	assert_string_equal(d->info.reason, "");
	destroy(d);
	options.cpu = 1;
	assert_int_equal(dpdk_create_in(sysfs, &options, &d, &reason), 0);
	assert_string_equal(d->info.reason,
			    "slow: CPU 1 is on NUMA node 1, the device on node 0; choose a CPU of that node");
	destroy(d);
	fake_sysfs_close();
}

struct found {
	uint32_t count;
	uint64_t sent;
};

static void look_for_sent(void *context, const char *name, uint64_t value)
{
	struct found *found = context;
	found->count++;
	if (strcmp(name, "tx_good_packets") == 0)
		found->sent = value;
}

static void lists_the_counters_the_device_keeps(void **state)
{
	struct driver *d = must_create(LOOP);
	struct found found = {0, 0};
	send_frames(d, 7, 64, 0);
	uint32_t told = d->ops->extra_stats(d, look_for_sent, &found);
	assert_true(told > 0);
	assert_int_equal(found.count, told);
	assert_int_equal(found.sent, 7);
	destroy(d);
}

static void two_devices_live_side_by_side(void **state)
{
	struct driver *a = must_create("net_ring0"), *b = must_create("net_ring1");
	struct packet packets[DRIVER_BURST_MAX];
	send_frames(a, 3, 64, 7);
	assert_int_equal(b->ops->rx_burst(b, packets, DRIVER_BURST_MAX), 0);
	assert_int_equal(a->ops->rx_burst(a, packets, DRIVER_BURST_MAX), 3);
	a->ops->rx_release(a, packets, 3);
	destroy(a);
	destroy(b);
}

static void says_that_there_is_no_driver_for_a_name(void **state)
{
	struct driver *d = NULL;
	assert_int_not_equal(create("net_nonesuch0", &d), 0);
	assert_non_null(strstr(why, "net_nonesuch0"));
	assert_non_null(strstr(why, "driver"));
}

static void refuses_a_second_eal_in_the_process(void **state)
{
	struct driver *d = must_create("net_null0,no-rx=1"), *other = NULL;
	const struct dpdk_options options = {.device = "net_null1", .eal = "--no-huge -m 64", .cpu = -1};
	assert_int_equal(dpdk_create(&options, &other, why, sizeof why), HW_ERR_INVALID);
	assert_non_null(strstr(why, NO_HUGE));
	destroy(d);
}

static void refuses_an_mtu_the_device_does_not_take(void **state)
{
	const struct dpdk_options options = {.device = "net_null0,no-rx=1", .eal = NO_HUGE, .mtu = 100, .cpu = -1};
	struct driver *d = NULL;
	assert_int_equal(dpdk_create(&options, &d, why, sizeof why), HW_ERR_INVALID);
	assert_non_null(strstr(why, "MTU of 100"));
	d = must_create("net_null0,no-rx=1"); /* nothing of it was left */
	destroy(d);
}

static bool has(const struct eal_arguments *a, const char *argument)
{
	for (int i = 0; i < a->count; i++)
		if (strncmp(a->values[i], argument, strlen(argument)) == 0)
			return true;
	return false;
}

static void shares_nothing_with_other_processes_unless_told_to(void **state)
{
	static struct eal_arguments a;
	const struct why reason = {why, sizeof why};
	assert_int_equal(eal_arguments_build(NULL, &a, &reason), 0);
	assert_true(a.hugepages && has(&a, "--in-memory") && has(&a, "--no-telemetry") && has(&a, "--allow=") &&
		    has(&a, "--lcores"));
	assert_int_equal(eal_arguments_build("--no-huge -m 64", &a, &reason), 0);
	assert_true(!a.hugepages && !has(&a, "--in-memory") && has(&a, "--no-shconf") && has(&a, "--file-prefix"));
	assert_string_equal(a.values[a.count - 1], "64");
	assert_int_equal(eal_arguments_build("--lcores=0@3 -a 0000:03:00.0 --file-prefix=mine", &a, &reason), 0);
	assert_false(has(&a, "--in-memory") || has(&a, "--allow="));
	assert_int_equal(a.count, 6);
}

static void refuses_endless_arguments(void **state)
{
	static struct eal_arguments a;
	static char many[4096];
	memset(many, 'x', sizeof many - 1);
	assert_int_equal(eal_arguments_build(many, &a, &(struct why){why, sizeof why}), HW_ERR_INVALID);
	for (size_t i = 0; i + 1 < sizeof many; i += 2)
		many[i] = ' ';
	assert_int_equal(eal_arguments_build(many, &a, &(struct why){why, sizeof why}), HW_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_nothing_with_other_processes_unless_told_to),
		cmocka_unit_test(refuses_endless_arguments),
		cmocka_unit_test(starting_leaves_the_threads_affinity_alone),
		cmocka_unit_test(says_what_it_is),
		cmocka_unit_test(every_reserved_buffer_is_writable_over_its_whole_capacity),
		cmocka_unit_test(frames_arrive_as_they_were_sent),
		cmocka_unit_test(counts_what_it_sends_and_receives),
		cmocka_unit_test(a_frame_the_device_refuses_is_counted_as_lost),
		cmocka_unit_test(reserves_what_there_is_and_says_when_there_is_none),
		cmocka_unit_test(any_thread_may_be_the_worker_and_many_may_follow_each_other),
		cmocka_unit_test(a_device_is_given_once_and_again_after_its_end),
		cmocka_unit_test(the_queues_of_a_port_go_to_one_instance_each),
		cmocka_unit_test(each_queue_has_buffers_of_its_own),
		cmocka_unit_test(all_workers_of_a_port_ask_for_the_same),
		cmocka_unit_test(says_how_many_queues_a_device_has),
		cmocka_unit_test(warns_of_a_cpu_on_another_numa_node_than_the_device),
		cmocka_unit_test(lists_the_counters_the_device_keeps),
		cmocka_unit_test(two_devices_live_side_by_side),
		cmocka_unit_test(says_that_there_is_no_driver_for_a_name),
		cmocka_unit_test(refuses_a_second_eal_in_the_process),
		cmocka_unit_test(refuses_an_mtu_the_device_does_not_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
