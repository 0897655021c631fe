/* A host with one played NIC in it, and drivers on its queues. */
#ifndef HAREWIRE_DPDK_PLAYED_H
#define HAREWIRE_DPDK_PLAYED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/instance.h"
#include "tests/lib/fake_ethdev/fake_ethdev.h"
#include "tests/lib/fake_sysfs.h"

#define DEVICE "0000:03:00.0"

static char why[512];
static const char *sysfs;

static int create_with(struct dpdk_options options, struct driver **d)
{
	options.device = options.device ? options.device : DEVICE;
	options.eal = "--no-huge -m 128";
	options.cpu = -1;
	why[0] = '\0';
	return dpdk_create_in(sysfs, &options, d, &(struct why){why, sizeof why});
}

static inline int create_queue(uint16_t queue, uint16_t queues, struct driver **d)
{
	return create_with((struct dpdk_options){.queue = queue, .queues = queues}, d);
}

static inline void create_all(uint16_t queues, struct driver **d)
{
	for (uint16_t i = 0; i < queues; i++)
		if (create_queue(i, queues, &d[i]) != 0)
			fail_msg("%s", why);
}

static inline void destroy_all(uint32_t queues, struct driver **d)
{
	for (uint32_t i = 0; i < queues; i++)
		d[i]->ops->destroy(d[i]);
	assert_int_equal(nic.rules, 0);
	assert_true(nic.closed);
	assert_false(nic.probed);
}

static inline struct driver_flow flow_of_port(uint16_t port)
{
	return (struct driver_flow){0x0a000001, 0x0a000002, port, 5672};
}

/* As control does it: the first local port from `port` on that is said to be ours, or of which nothing is said. */
static inline struct driver_flow connect_from(struct driver *d, uint16_t port)
{
	for (uint32_t tried = 0; tried < 4096; tried++, port++) {
		struct driver_flow flow = flow_of_port(port);
		int queue = d->ops->flow_queue(d, &flow);
		if (queue >= 0 && (uint32_t)queue != d->info.queue)
			continue;
		assert_int_equal(d->ops->flow_add(d, &flow), 0);
		return flow;
	}
	fail_msg("no local port leads to queue %u", d->info.queue);
	return flow_of_port(0);
}

/* Connections of every driver, each of which arrives where it should. */
static inline void all_connections_arrive(struct driver **d, uint32_t queues, uint32_t connections)
{
	for (uint32_t i = 0; i < connections * queues; i++) {
		struct driver *one = d[i % queues];
		struct driver_flow flow = connect_from(one, (uint16_t)(40000 + 100 * i));
		assert_int_equal(fake_ethdev_arrival(&flow), one->info.queue);
	}
}

static inline int new_nic(void **state)
{
	fake_ethdev_reset();
	sysfs = fake_sysfs_open();
	fake_sysfs_pci(DEVICE, "0x020000\n", "vfio-pci");
	return 0;
}

static inline int no_nic(void **state)
{
	fake_sysfs_close();
	return 0;
}

#define played(test) cmocka_unit_test_setup_teardown(test, new_nic, no_nic)

#endif
