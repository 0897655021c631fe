/* What goes wrong with a device, in one sentence each. */
#include "tests/unit/dpdk_played/played.h"

#include <errno.h>

static void assert_fails(int code, const char *sentence)
{
	struct driver *d = NULL;
	assert_int_equal(create_queue(0, 1, &d), code);
	assert_string_equal(why, sentence);
	assert_null(d);
	assert_false(nic.probed);
	assert_false(nic.held); /* or a second attempt finds it in use */
	assert_false(nic.started);
}

static void a_device_that_another_process_has_is_busy(void **state)
{
	nic.probe_error = -EIO;
	nic.words = "EAL: Cannot open /dev/vfio/12: Device or resource busy";
	assert_fails(HW_ERR_BUSY, DEVICE " is in use by another program: end that first (EAL: Cannot open "
					 "/dev/vfio/12: Device or resource busy)");
	nic.probe_error = -EBUSY;
	nic.words = NULL;
	assert_fails(HW_ERR_BUSY, DEVICE " is in use by another program: end that first (Device or resource busy)");
}

static void a_device_without_a_driver_says_so(void **state)
{
	nic.probes_to_nothing = true;
	assert_fails(HW_ERR_UNSUPPORTED, "DPDK has no driver for " DEVICE ": is the package of its poll-mode driver "
					 "installed (librte-meta-net)?");
}

static void what_dpdk_says_of_a_failure_is_quoted(void **state)
{
	nic.words = "EAL: Driver cannot attach the device";
	nic.probe_error = -ENODEV;
	assert_fails(HW_ERR_INVALID, "DPDK cannot find a driver for " DEVICE ": No such device; it says: EAL: Driver "
				     "cannot attach the device");
	nic.probe_error = 0;
	nic.words = "no memory for the rings";
	nic.start_error = -ENOMEM;
	assert_fails(HW_ERR_SYSTEM,
		     "DPDK cannot start " DEVICE ": Cannot allocate memory; it says: no memory for the rings");
	nic.start_error = 0;
	nic.words = NULL;
	nic.configure_error = -EIO;
	assert_fails(HW_ERR_SYSTEM, "DPDK cannot configure " DEVICE ": Input/output error");
}

static void an_address_where_there_is_nothing_is_wrong(void **state)
{
	struct driver *d = NULL;
	assert_int_equal(create_with((struct dpdk_options){.device = "03:00.1"}, &d), HW_ERR_INVALID);
	assert_string_equal(why, "there is no PCI device 0000:03:00.1 ('lspci -D' lists them)");
}

static void a_queue_is_one_workers(void **state)
{
	struct driver *d[2], *third = NULL;
	nic.queues_max = 2;
	nic.rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	create_all(2, d);
	assert_int_equal(create_queue(1, 2, &third), HW_ERR_BUSY);
	assert_string_equal(why, "queue 1 of " DEVICE " is already in use by this process: give each worker a queue "
				 "or a device of its own");
	destroy_all(2, d);
}

static void a_port_the_application_has_is_not_taken_from_it(void **state)
{
	struct driver *d = NULL;
	nic.probed = true;
	assert_int_equal(create_queue(0, 1, &d), HW_ERR_BUSY);
	assert_string_equal(why, DEVICE " is already in use by the application itself, through DPDK: give Harewire a "
					"device of its own");
	assert_false(nic.closed);
}

static void a_port_that_is_not_named_like_its_device_is_found(void **state) /* mlx5, of a bond */
{
	struct driver *d = NULL, *again = NULL;
	nic.port_name = true;
	create_all(1, &d);
	destroy_all(1, &d);
	nic.probed = true;
	assert_int_equal(create_queue(0, 1, &again), HW_ERR_BUSY);
	assert_non_null(strstr(why, "by the application itself"));
}

static void a_link_that_is_down_is_told_and_does_not_keep_the_port_from_opening(void **state)
{
	struct driver *d = NULL;
	nic.down = true;
	create_all(1, &d);
	assert_false(d->ops->link_up(d));
	nic.down = false;
	assert_true(d->ops->link_up(d));
	destroy_all(1, &d);
}

static void buffers_are_of_the_devices_own_node_and_each_queues_own(void **state)
{
	struct driver *d[2];
	nic.queues_max = 2;
	nic.rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	nic.node = 0;
	create_all(2, d);
	assert_non_null(nic.rx_pool[0]);
	assert_ptr_not_equal(nic.rx_pool[0], nic.rx_pool[1]);
	assert_int_equal(nic.rx_pool[1]->socket_id, 0);
	destroy_all(2, d);
	nic.node = 5; /* where this host has no memory */
	struct driver *none = NULL;
	assert_int_equal(create_queue(0, 2, &none), HW_ERR_NOMEM);
	assert_non_null(strstr(why, "on NUMA node 5: set aside more hugepages ('sysctl vm.nr_hugepages=128'"));
}

/* One that is not polled yet, or not any more, or seldom. */
static void a_full_queue_does_not_hold_up_the_others(void **state)
{
	struct driver *d[2];
	nic.queues_max = 2;
	nic.rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	create_all(2, d);
	assert_true(nic.drops_when_full[0] && nic.drops_when_full[1]);
	destroy_all(2, d);
	create_all(1, d); /* nobody to hold up: as the driver has it */
	assert_false(nic.drops_when_full[0]);
	destroy_all(1, d);
}

static void each_instance_sends_on_its_own_queue(void **state)
{
	struct driver *d[3];
	struct packet packets[4];
	nic.queues_max = 3;
	nic.rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	create_all(3, d);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(d[i]->ops->tx_reserve(d[i], packets, i + 1), i + 1);
		for (uint32_t k = 0; k <= i; k++)
			packets[k].len = 60;
		d[i]->ops->tx_submit(d[i], packets, i + 1, i + 1);
	}
	assert_int_equal(nic.sent[0], 1);
	assert_int_equal(nic.sent[1], 2);
	assert_int_equal(nic.sent[2], 3);
	destroy_all(3, d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		played(a_device_that_another_process_has_is_busy),
		played(a_device_without_a_driver_says_so),
		played(what_dpdk_says_of_a_failure_is_quoted),
		played(an_address_where_there_is_nothing_is_wrong),
		played(a_queue_is_one_workers),
		played(a_port_the_application_has_is_not_taken_from_it),
		played(a_port_that_is_not_named_like_its_device_is_found),
		played(a_link_that_is_down_is_told_and_does_not_keep_the_port_from_opening),
		played(buffers_are_of_the_devices_own_node_and_each_queues_own),
		played(a_full_queue_does_not_hold_up_the_others),
		played(each_instance_sends_on_its_own_queue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
