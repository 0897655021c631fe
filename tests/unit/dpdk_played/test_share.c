/* The kernel's address: devices that the kernel keeps driving, and virtual functions of its interfaces. */
#define _GNU_SOURCE
#include "tests/unit/dpdk_played/played.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARENT "0000:03:00.7"
#define TABLE  4

/* The physical function's kernel driver: it chooses the rules' places. */
static struct {
	bool no_rules;
	bool off;        /* it has rules, and they are switched off */
	bool no_virtual; /* it has rules, but not for its virtual functions: ice */
	int mtu;         /* 0: of no interface */
	int vlan;        /* 0: no interface is one */
	char interface[IFNAMSIZ];
	uint32_t used;
	struct ethtool_rx_flow_spec rules[TABLE];
} parent;

static int insert(struct ethtool_rxnfc *request)
{
	uint32_t place = 0;
	if (parent.no_virtual && ethtool_get_flow_spec_ring_vf(request->fs.ring_cookie))
		return EINVAL;
	if (parent.off)
		return EOPNOTSUPP;
	while (place < TABLE && parent.used >> place & 1)
		place++;
	if (place == TABLE)
		return ENOSPC;
	parent.used |= 1u << place;
	parent.rules[place] = request->fs;
	request->fs.location = place;
	return 0;
}

static int answer(struct ethtool_rxnfc *request)
{
	if (parent.no_rules)
		return EOPNOTSUPP;
	switch (request->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		request->data = TABLE | RX_CLS_LOC_SPECIAL;
		return 0;
	case ETHTOOL_SRXCLSRLINS:
		return insert(request);
	case ETHTOOL_SRXCLSRLDEL:
		parent.used &= ~(1u << request->fs.location);
		return 0;
	default:
		return EOPNOTSUPP;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == SIOCGIFVLAN && parent.vlan) {
		((struct vlan_ioctl_args *)argument)->u.VID = parent.vlan;
		return 0;
	}
	struct ifreq *ifr = argument;
	if (request == SIOCGIFMTU && parent.mtu) {
		ifr->ifr_mtu = parent.mtu;
		return 0;
	}
	if (request != SIOCETHTOOL)
		return (int)syscall(SYS_ioctl, fd, request, argument);
	memcpy(parent.interface, ifr->ifr_name, IFNAMSIZ);
	errno = answer((struct ethtool_rxnfc *)ifr->ifr_data);
	return errno ? -1 : 0;
}

static bool any_exact_rule(const struct fake_rule *rule)
{
	return rule->by_addresses && rule->by_remote_port && rule->by_local_port;
}

static bool rule_by_local_port(const struct fake_rule *rule)
{
	return rule->by_local_port && !rule->by_remote_port;
}

/* One that the kernel keeps driving. */
static void be_bifurcated(void)
{
	fake_sysfs_pci("0000:05:00.0", "0x020000\n", "mlx5_core");
	fake_sysfs_pci_interface("0000:05:00.0", "eth9");
	fake_sysfs_pci_interface("0000:05:00.0", "eth5");
	nic.driver = "mlx5_pci";
	nic.queues_max = 8;
	nic.rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	nic.key_bytes = 40;
	nic.reta_size = 128;
	nic.takes_rule = any_exact_rule;
	nic.isolates = true;
}

static int share(const char *device, uint16_t queue, uint16_t queues, const char *interface, struct driver **d)
{
	return create_with(
		(struct dpdk_options){
			.device = device, .queue = queue, .queues = queues, .shared = true, .interface = interface},
		d);
}

static void must_share(const char *device, uint16_t queue, uint16_t queues, struct driver **d)
{
	if (share(device, queue, queues, NULL, d) != 0)
		fail_msg("%s", why);
}

static int new_host(void **state)
{
	memset(&parent, 0, sizeof parent);
	return new_nic(state);
}
#define on_a_host(test) cmocka_unit_test_setup_teardown(test, new_host, no_nic)

/* ---- bifurcated ---- */

static void only_our_connections_are_taken_from_the_kernel(void **state)
{
	struct driver *d[2];
	struct driver_flow others = flow_of_port(22);
	be_bifurcated();
	must_share("05:00.0", 0, 2, &d[0]);
	must_share("05:00.0", 1, 2, &d[1]);
	assert_true(nic.isolated_before_configure);
	assert_int_equal(nic.asked_types, 0);
	for (int i = 0; i < 2; i++) {
		assert_true(d[i]->info.shared_address);
		assert_string_equal(d[i]->info.interface, "eth5");
		assert_string_equal(d[i]->info.steering, "a rule for each connection (rte_flow), isolated");
	}
	all_connections_arrive(d, 2, 3);
	assert_int_equal(nic.rules, 6);
	assert_int_equal(fake_ethdev_arrival(&others), -1);
	destroy_all(2, d);
}

static void one_queue_needs_its_rules_as_well_when_shared(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	must_share("05:00.0", 0, 1, &d);
	all_connections_arrive(&d, 1, 1);
	assert_int_equal(nic.rules, 1);
	destroy_all(1, &d);
}

static void a_shared_connection_without_room_for_its_rule_is_refused(void **state)
{
	struct driver *d = NULL;
	struct driver_flow flow = flow_of_port(50000);
	be_bifurcated();
	nic.rules_max = 1;
	must_share("05:00.0", 0, 1, &d);
	connect_from(d, 40000);
	assert_int_equal(d->ops->flow_add(d, &flow), HW_ERR_NO_RULE);
	destroy_all(1, &d);
}

static void the_kernels_mtu_is_left_alone(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	assert_int_equal(create_with((struct dpdk_options){.device = "05:00.0", .shared = true, .mtu = 1400}, &d), 0);
	assert_int_equal(d->info.mtu, 1400);
	assert_int_equal(nic.mtu_set, 0);
	destroy_all(1, &d);
}

/* Configuring without an MTU gives the device one of 1500, and mlx5's driver hands that on to the interface. */
static void configuring_does_not_change_the_kernels_mtu(void **state)
{
	static const struct {
		uint16_t kernels, wanted, used;
	} cases[] = {{9000, 0, 9000}, {9000, 1500, 1500}, {1400, 0, 1400}, {9978, 0, 9600}, {1500, 1500, 1500}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct driver *d = NULL;
		fake_ethdev_reset();
		if (i == 0)
			be_bifurcated();
		nic.takes_rule = any_exact_rule;
		nic.isolates = true;
		nic.mtu = cases[i].kernels;
		if (create_with((struct dpdk_options){.device = "05:00.0", .shared = true, .mtu = cases[i].wanted},
				&d) != 0)
			fail_msg("%s", why);
		assert_int_equal(nic.mtu, cases[i].kernels);
		assert_int_equal(d->info.mtu, cases[i].used);
		destroy_all(1, &d);
	}
}

static void more_than_the_kernels_mtu_is_refused(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	assert_int_equal(create_with((struct dpdk_options){.device = "05:00.0", .shared = true, .mtu = 9000}, &d),
			 HW_ERR_INVALID);
	assert_non_null(strstr(why, "0000:05:00.0 has an MTU of 1500 in the kernel"));
	assert_int_equal(nic.mtu_set, 0);
	assert_false(nic.probed);
}

static void packets_fit_what_the_address_is_on(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	nic.mtu = 9000;
	parent.mtu = 1450; /* a tunnel, say */
	assert_int_equal(share("05:00.0", 0, 1, "lo", &d), 0);
	assert_int_equal(d->info.mtu, 1450);
	assert_int_equal(nic.mtu, 9000);
	destroy_all(1, &d);
}

/* The kernel is not there to put the tag on, or to take it off. */
static void frames_of_a_vlans_interface_are_tagged(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	parent.vlan = 300;
	assert_int_equal(share("05:00.0", 0, 1, "lo", &d), 0);
	assert_int_equal(d->info.vlan, 300);
	destroy_all(1, &d);
	parent.vlan = 0;
	assert_int_equal(share("05:00.0", 0, 1, "lo", &d), 0);
	assert_int_equal(d->info.vlan, 0);
	destroy_all(1, &d);
	parent.vlan = 300; /* an interface that has nothing to do with it */
	assert_int_equal(create_with((struct dpdk_options){.device = "05:00.0", .vlan = 5}, &d), 0);
	assert_int_equal(d->info.vlan, 5);
	destroy_all(1, &d);
}

static void a_device_on_an_interface_has_its_mtu(void **state) /* net_af_packet */
{
	struct driver *d = NULL;
	parent.mtu = 1400;
	assert_int_equal(create_with((struct dpdk_options){.device = "net_af_packet0,iface=lo"}, &d), 0);
	assert_int_equal(d->info.mtu, 1400);
	destroy_all(1, &d);
	fake_ethdev_reset();
	parent.mtu = 9000; /* its buffers are smaller, it has 1500 unless told otherwise */
	assert_int_equal(create_with((struct dpdk_options){.device = "net_af_packet0,iface=lo"}, &d), 0);
	assert_int_equal(d->info.mtu, 1500);
	destroy_all(1, &d);
}

static void with_an_address_of_its_own_the_port_is_not_isolated(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	assert_int_equal(create_with((struct dpdk_options){.device = "05:00.0", .mtu = 1400}, &d), 0);
	assert_false(nic.isolated);
	assert_false(d->info.shared_address);
	assert_string_equal(d->info.interface, "");
	assert_int_equal(nic.mtu_set, 1400);
	assert_string_equal(nic.devargs, "0000:05:00.0,txqs_min_inline=0");
	destroy_all(1, &d);
}

static void an_interface_on_top_of_the_devices_may_be_named(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	assert_int_equal(share("05:00.0", 0, 1, "lo", &d), 0);
	assert_string_equal(d->info.interface, "lo");
	destroy_all(1, &d);
	assert_int_equal(share("05:00.0", 0, 1, "nowhere0", &d), HW_ERR_INVALID);
	assert_non_null(strstr(why, "no interface 'nowhere0'"));
}

static void says_why_a_device_cannot_be_shared(void **state)
{
	struct driver *d = NULL;
	be_bifurcated();
	nic.isolates = false;
	assert_int_equal(share("05:00.0", 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "no isolated mode"));
	nic.isolates = true;
	nic.takes_rule = rule_by_local_port; /* would take the kernel's as well */
	assert_int_equal(share("05:00.0", 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "no rules for single connections"));
	fake_sysfs_pci("0000:06:00.0", "0x020000\n", "mlx5_core"); /* its interface is in a container */
	assert_int_equal(share("06:00.0", 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "0000:06:00.0 has no interface in the kernel"));
	assert_int_equal(share(DEVICE, 0, 1, NULL, &d), HW_ERR_UNSUPPORTED); /* all of it is ours */
	assert_non_null(strstr(why, DEVICE " cannot share an interface with the kernel"));
	assert_int_equal(share("net_fake0", 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "--address 10.1.2.3/24"));
	assert_false(nic.probed);
}

/* ---- virtual functions ---- */

/* DEVICE is the third of the functions of PARENT, which the kernel has as eth7. */
static void be_virtual(void)
{
	fake_sysfs_pci(PARENT, "0x020000\n", "ixgbe");
	fake_sysfs_pci_interface(PARENT, "eth7");
	fake_sysfs_pci("0000:03:00.5", "0x020000\n", "ixgbevf");
	fake_sysfs_pci_virtual(PARENT, 0, "0000:03:00.5");
	fake_sysfs_pci_virtual(PARENT, 2, DEVICE);
	nic.queues_max = 4;
}

static void rules_of_the_physical_function_send_connections_to_the_virtual_one(void **state)
{
	struct driver *d = NULL;
	be_virtual();
	must_share(DEVICE, 1, 2, &d);
	assert_true(d->info.shared_address);
	assert_string_equal(d->info.interface, "eth7");
	assert_string_equal(d->info.steering, "a rule for each connection (ntuple of eth7, virtual function 2)");
	assert_int_equal(parent.used, 0); /* what it was asked with is gone */
	struct driver_flow flow = connect_from(d, 40000);
	assert_string_equal(parent.interface, "eth7");
	assert_int_equal(parent.used, 1);
	assert_int_equal(ethtool_get_flow_spec_ring_vf(parent.rules[0].ring_cookie), 3);
	assert_int_equal(ethtool_get_flow_spec_ring(parent.rules[0].ring_cookie), 1);
	assert_int_equal(parent.rules[0].h_u.tcp_ip4_spec.pdst, rte_cpu_to_be_16(40000));
	assert_int_equal(parent.rules[0].m_u.tcp_ip4_spec.psrc, 0xffff);
	connect_from(d, 40001);
	assert_int_equal(parent.used, 3);
	d->ops->flow_remove(d, &flow);
	assert_int_equal(parent.used, 2);
	destroy_all(1, &d);
	assert_int_equal(parent.used, 0); /* none is left behind */
	assert_int_equal(nic.rules_made, 0);
}

static void a_full_table_of_the_physical_function_refuses_the_connection(void **state)
{
	struct driver *d = NULL;
	struct driver_flow flow = flow_of_port(50000);
	be_virtual();
	must_share(DEVICE, 0, 1, &d);
	for (uint16_t i = 0; i < TABLE; i++)
		connect_from(d, (uint16_t)(40000 + i));
	assert_int_equal(d->ops->flow_add(d, &flow), HW_ERR_NO_RULE);
	destroy_all(1, &d);
	assert_int_equal(parent.used, 0);
}

static void says_how_to_switch_the_physical_functions_rules_on(void **state)
{
	struct driver *d = NULL;
	be_virtual();
	parent.no_rules = true;
	assert_int_equal(share(DEVICE, 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "eth7 takes no rules"));
	assert_non_null(strstr(why, "ethtool -K eth7 ntuple on"));
	assert_non_null(strstr(why, "--address"));
}

static void a_parent_that_refuses_such_rules_is_found_out_at_once(void **state)
{
	struct driver *d = NULL;
	be_virtual();
	parent.no_virtual = true;
	assert_int_equal(share(DEVICE, 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "eth7 refuses a rule that sends a connection to its virtual function " DEVICE));
	assert_non_null(strstr(why, "--address"));
	parent.no_virtual = false;
	parent.off = true;
	assert_int_equal(share(DEVICE, 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "ethtool -K eth7 ntuple on"));
	assert_false(nic.probed);
}

static void a_virtual_function_whose_parent_is_not_the_kernels_needs_an_address(void **state)
{
	struct driver *d = NULL;
	fake_sysfs_pci(PARENT, "0x020000\n", "vfio-pci");
	fake_sysfs_pci_virtual(PARENT, 0, DEVICE);
	assert_int_equal(share(DEVICE, 0, 1, NULL, &d), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "--address"));
}

static void all_workers_of_a_port_share_or_none(void **state)
{
	struct driver *d = NULL, *other = NULL;
	be_bifurcated();
	must_share("05:00.0", 0, 2, &d);
	assert_int_equal(create_with((struct dpdk_options){.device = "05:00.0", .queue = 1, .queues = 2}, &other),
			 HW_ERR_INVALID);
	assert_non_null(strstr(why, "with the kernel's address: give all its workers the same"));
	assert_int_equal(share("05:00.0", 1, 2, "lo", &other), HW_ERR_INVALID);
	assert_non_null(strstr(why, "another interface"));
	destroy_all(1, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_host(only_our_connections_are_taken_from_the_kernel),
		on_a_host(one_queue_needs_its_rules_as_well_when_shared),
		on_a_host(a_shared_connection_without_room_for_its_rule_is_refused),
		on_a_host(the_kernels_mtu_is_left_alone),
		on_a_host(configuring_does_not_change_the_kernels_mtu),
		on_a_host(more_than_the_kernels_mtu_is_refused),
		on_a_host(packets_fit_what_the_address_is_on),
		on_a_host(frames_of_a_vlans_interface_are_tagged),
		on_a_host(a_device_on_an_interface_has_its_mtu),
		on_a_host(with_an_address_of_its_own_the_port_is_not_isolated),
		on_a_host(an_interface_on_top_of_the_devices_may_be_named),
		on_a_host(says_why_a_device_cannot_be_shared),
		on_a_host(rules_of_the_physical_function_send_connections_to_the_virtual_one),
		on_a_host(a_full_table_of_the_physical_function_refuses_the_connection),
		on_a_host(says_how_to_switch_the_physical_functions_rules_on),
		on_a_host(a_parent_that_refuses_such_rules_is_found_out_at_once),
		on_a_host(a_virtual_function_whose_parent_is_not_the_kernels_needs_an_address),
		on_a_host(all_workers_of_a_port_share_or_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
