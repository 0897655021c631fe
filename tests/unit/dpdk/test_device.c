/* Devices by name, and what this host has to say about them: against a made-up /sys. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/device.h"
#include "drivers/dpdk/hugepages.h"

static char text[256];
static const struct why why = {text, sizeof text};
static char root[] = "/tmp/harewire-sysfs-XXXXXX";

static void make_directory(const char *path)
{
	char whole[256];
	snprintf(whole, sizeof whole, "%s/%s", root, path);
	for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
		*at = '\0';
		mkdir(whole, 0700);
	}
	assert_true(mkdir(whole, 0700) == 0 || access(whole, F_OK) == 0);
}

static void write_file(const char *path, const char *content)
{
	char whole[256];
	snprintf(whole, sizeof whole, "%s/%s", root, path);
	FILE *f = fopen(whole, "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

/* A PCI device of class `class`, bound to `driver` (NULL: to none). */
static void make_pci(const char *address, const char *class, const char *driver)
{
	char path[128], target[128], link[256];
	snprintf(path, sizeof path, "bus/pci/devices/%s", address);
	make_directory(path);
	snprintf(path, sizeof path, "bus/pci/devices/%s/class", address);
	write_file(path, class);
	if (!driver)
		return;
	snprintf(target, sizeof target, "../../drivers/%s", driver);
	snprintf(link, sizeof link, "%s/bus/pci/devices/%s/driver", root, address);
	assert_int_equal(symlink(target, link), 0);
}

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];
	snprintf(command, sizeof command, "rm -rf -- %s", root);
	return system(command);
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
	make_pci("0000:00:1f.2", "0x010601\n", "vfio-pci");
	assert_int_equal(check("00:1f.2"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "no network device"));
}

static void says_how_to_take_a_nic_from_the_kernel(void **state)
{
	make_pci("0000:03:00.0", "0x020000\n", "e1000e");
	assert_int_equal(check("03:00.0"), HW_ERR_BUSY);
	assert_non_null(strstr(text, "'e1000e'"));
	assert_non_null(strstr(text, "--bind=vfio-pci 0000:03:00.0"));
}

static void says_how_to_bind_a_nic_without_a_driver(void **state)
{
	make_pci("0000:04:00.0", "0x020000\n", NULL);
	assert_int_equal(check("04:00.0"), HW_ERR_INVALID);
	assert_non_null(strstr(text, "--bind=vfio-pci 0000:04:00.0"));
}

static void takes_nics_that_are_bound_for_user_space_or_shared(void **state)
{
	make_pci("0000:05:00.0", "0x020000\n", "vfio-pci");
	make_pci("0000:06:00.0", "0x020000\n", "mlx5_core");
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
	make_directory("hugepages/hugepages-2048kB");
	write_file("hugepages/hugepages-2048kB/nr_hugepages", total);
	write_file("hugepages/hugepages-2048kB/free_hugepages", free);
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
	make_directory("hugepages/hugepages-1048576kB");
	write_file("hugepages/hugepages-1048576kB/nr_hugepages", "1\n");
	write_file("hugepages/hugepages-1048576kB/free_hugepages", "1\n");
	assert_int_equal(check_hugepages(), 0);
}

static void is_content_with_enough_hugepages(void **state)
{
	set_hugepages("64\n", "32\n");
	assert_int_equal(check_hugepages(), 0);
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
		cmocka_unit_test(says_how_to_get_hugepages_when_there_are_none),
		cmocka_unit_test(says_how_many_megabytes_are_left_of_how_many),
		cmocka_unit_test(is_content_with_enough_hugepages),
		cmocka_unit_test(counts_pages_of_every_size), /* last: leaves a page of 1 GB behind */
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
