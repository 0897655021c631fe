/* Devices by name, and what this host has to say about them: against a made-up /sys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/device.h"
#include "drivers/dpdk/hugepages.h"
#include "tests/lib/fake_sysfs.h"

static char text[256];
static const struct why why = {text, sizeof text};
static const char *root;

static int set_up(void **state)
{
	root = fake_sysfs_open();
	return 0;
}

static int tear_down(void **state)
{
	fake_sysfs_close();
	return 0;
}

static int parse(const char *name, struct dpdk_device *device)
{
	return dpdk_device_parse(name, device, &why);
}

static void makes_pci_addresses_canonical_and_keeps_their_arguments(void **state)
{
	struct dpdk_device d;
	assert_int_equal(parse("3B:0.1,rx_low_latency=1", &d), 0);
	assert_true(d.pci);
	assert_string_equal(d.name, "0000:3b:00.1");
	assert_string_equal(d.devargs, "0000:3b:00.1,rx_low_latency=1");
	assert_int_equal(parse("0001:03:1f.7", &d), 0);
	assert_string_equal(d.devargs, "0001:03:1f.7");
}

static void finds_the_interface_a_virtual_device_works_on(void **state)
{
	struct dpdk_device d;
	assert_int_equal(parse("net_af_packet0,blocksz=4096,iface=eth7,framecnt=64", &d), 0);
	assert_false(d.pci);
	assert_string_equal(d.name, "net_af_packet0");
	assert_string_equal(d.interface, "eth7");
	assert_int_equal(parse("net_tap0,iface=made0", &d), 0); /* this one is to be made */
	assert_string_equal(d.interface, "");
}

static void refuses_what_is_no_device(void **state)
{
	struct dpdk_device d;
	static const char *const wrong[] = {"",        "eth0",     "3b:00", "3b:00.8",
					    "3b:20.0", "3b:00.0x", "net_",  "0000:3b:00.0.1"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(parse(wrong[i], &d), HW_ERR_INVALID);
		assert_non_null(strstr(text, "0000:3b:00.0"));
	}
	char endless[400];
	memset(endless, 'x', sizeof endless - 1);
	endless[sizeof endless - 1] = '\0';
	memcpy(endless, "net_null0,", 10);
	assert_int_equal(parse(endless, &d), HW_ERR_INVALID);
}

static int check(const char *name)
{
	struct dpdk_device d;
	assert_int_equal(parse(name, &d), 0);
	return dpdk_device_check(&d, root, &why);
}

static void says_that_there_is_no_such_pci_device(void **state)
{
	assert_int_equal(check("0000:77:00.0"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "0000:77:00.0"));
	assert_non_null(strstr(text, "lspci"));
}

static void refuses_a_pci_device_that_is_no_nic(void **state)
{
	fake_sysfs_pci("0000:00:1f.2", "0x010601\n", "vfio-pci");
	assert_int_equal(check("00:1f.2"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "no network device"));
}

static void says_how_to_take_a_nic_from_the_kernel(void **state)
{
	fake_sysfs_pci("0000:03:00.0", "0x020000\n", "e1000e");
	assert_int_equal(check("03:00.0"), HW_ERR_BUSY);
	assert_non_null(strstr(text, "'e1000e'"));
	assert_non_null(strstr(text, "--bind=vfio-pci 0000:03:00.0"));
}

static void says_how_to_bind_a_nic_without_a_driver(void **state)
{
	fake_sysfs_pci("0000:04:00.0", "0x020000\n", NULL);
	assert_int_equal(check("04:00.0"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "--bind=vfio-pci 0000:04:00.0"));
}

static void takes_nics_that_are_bound_for_user_space_or_shared(void **state)
{
	fake_sysfs_pci("0000:05:00.0", "0x020000\n", "vfio-pci");
	fake_sysfs_pci("0000:06:00.0", "0x020000\n", "mlx5_core");
	assert_int_equal(check("05:00.0"), 0);
	assert_int_equal(check("06:00.0"), 0);
}

static void says_that_there_is_no_such_interface(void **state)
{
	assert_int_equal(check("net_af_packet0,iface=hw-missing0"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "'hw-missing0'"));
	assert_int_equal(check("net_af_packet0"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "iface="));
	assert_int_equal(check("net_af_packet0,iface=lo"), 0);
}

static void set_hugepages(const char *total, const char *free)
{
	fake_sysfs_file("hugepages/hugepages-2048kB/nr_hugepages", total);
	fake_sysfs_file("hugepages/hugepages-2048kB/free_hugepages", free);
}

static int check_hugepages(void)
{
	char path[128];
	snprintf(path, sizeof path, "%s/hugepages", root);
	return hugepages_check(path, &why);
}

static void says_how_to_get_hugepages_when_there_are_none(void **state)
{
	set_hugepages("0\n", "0\n");
	assert_int_equal(check_hugepages(), HW_ERR_NOMEM);
	assert_non_null(strstr(text, "sysctl vm.nr_hugepages"));
}

static void says_how_many_megabytes_are_left_of_how_many(void **state)
{
	set_hugepages("100\n", "31\n");
	assert_int_equal(check_hugepages(), HW_ERR_NOMEM);
	assert_non_null(strstr(text, "200 MB"));
	assert_non_null(strstr(text, "62 MB"));
}

static void counts_pages_of_every_size(void **state)
{
	set_hugepages("100\n", "31\n");
	fake_sysfs_file("hugepages/hugepages-1048576kB/nr_hugepages", "1\n");
	fake_sysfs_file("hugepages/hugepages-1048576kB/free_hugepages", "1\n");
	assert_int_equal(check_hugepages(), 0);
}

static void is_content_with_enough_hugepages(void **state)
{
	set_hugepages("64\n", "32\n");
	assert_int_equal(check_hugepages(), 0);
}

static const char *tuned(const char *name)
{
	static struct dpdk_device d;
	assert_int_equal(parse(name, &d), 0);
	dpdk_device_tune(&d, root);
	return d.devargs;
}

static void gives_a_family_of_devices_the_arguments_that_make_it_fast(void **state)
{
	fake_sysfs_pci("0000:10:00.0", "0x020000\n", "mlx5_core");
	fake_sysfs_pci("0000:11:00.0", "0x020000\n", "vfio-pci");
	fake_sysfs_pci_file("0000:11:00.0", "vendor", "0x8086\n");
	fake_sysfs_pci_file("0000:11:00.0", "device", "0x159b\n");
	assert_string_equal(tuned("10:00.0"), "0000:10:00.0,txqs_min_inline=0");
	assert_string_equal(tuned("11:00.0,safe-mode-support=1"), "0000:11:00.0,safe-mode-support=1,rx_low_latency=1");
}

static void leaves_an_argument_alone_that_the_operator_has_given(void **state)
{
	assert_string_equal(tuned("10:00.0,txqs_min_inline=8"), "0000:10:00.0,txqs_min_inline=8");
	assert_string_equal(tuned("11:00.0,rx_low_latency=0"), "0000:11:00.0,rx_low_latency=0");
}

static void leaves_devices_alone_that_it_has_nothing_for(void **state)
{
	fake_sysfs_pci("0000:12:00.0", "0x020000\n", "vfio-pci");
	fake_sysfs_pci_file("0000:12:00.0", "vendor", "0x1af4\n");
	fake_sysfs_pci_file("0000:12:00.0", "device", "0x159b\n"); /* of another vendor */
	fake_sysfs_pci("0000:13:00.0", "0x020000\n", "vfio-pci");
	fake_sysfs_pci_file("0000:13:00.0", "vendor", "0x8086\n");
	fake_sysfs_pci_file("0000:13:00.0", "device", "0x10fb\n");
	assert_string_equal(tuned("12:00.0"), "0000:12:00.0");
	assert_string_equal(tuned("13:00.0"), "0000:13:00.0");
	assert_string_equal(tuned("net_null0"), "net_null0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_pci_addresses_canonical_and_keeps_their_arguments),
		cmocka_unit_test(finds_the_interface_a_virtual_device_works_on),
		cmocka_unit_test(refuses_what_is_no_device),
		cmocka_unit_test(says_that_there_is_no_such_pci_device),
		cmocka_unit_test(refuses_a_pci_device_that_is_no_nic),
		cmocka_unit_test(says_how_to_take_a_nic_from_the_kernel),
		cmocka_unit_test(says_how_to_bind_a_nic_without_a_driver),
		cmocka_unit_test(takes_nics_that_are_bound_for_user_space_or_shared),
		cmocka_unit_test(says_that_there_is_no_such_interface),
		cmocka_unit_test(gives_a_family_of_devices_the_arguments_that_make_it_fast),
		cmocka_unit_test(leaves_an_argument_alone_that_the_operator_has_given),
		cmocka_unit_test(leaves_devices_alone_that_it_has_nothing_for),
		cmocka_unit_test(says_how_to_get_hugepages_when_there_are_none),
		cmocka_unit_test(says_how_many_megabytes_are_left_of_how_many),
		cmocka_unit_test(is_content_with_enough_hugepages),
		cmocka_unit_test(counts_pages_of_every_size), /* last: leaves a page of 1 GB behind */
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
