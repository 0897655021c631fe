#include "drivers/dpdk/device.h"

#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/pci.h"

#define PCI_CLASS_NETWORK 0x02u

static const char *const user_space_drivers[] = {"vfio-pci", "uio_pci_generic", "igb_uio"};
static bool is_for_user_space(const char *driver)
{
	for (size_t i = 0; i < sizeof user_space_drivers / sizeof user_space_drivers[0]; i++)
		if (strcmp(driver, user_space_drivers[i]) == 0)
			return true;
	return false;
}

/* [domain:]bus:device.function, the whole of `text`; made canonical. */
static bool parse_pci(const char *text, char *name, size_t name_bytes)
{
	unsigned domain = 0, bus, slot, function;
	int end = 0;
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 || text[end]) {
		domain = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 || text[end])
			return false;
	}
	snprintf(name, name_bytes, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return slot < 32 && function < 8;
}

static void find_interface(struct dpdk_device *device)
{
	const char *at = strstr(device->devargs, ",iface=");
	bool works_on_interface =
		strncmp(device->name, "net_af_packet", 13) == 0 || strncmp(device->name, "net_af_xdp", 10) == 0;
	if (!at || !works_on_interface)
		return;
	at += strlen(",iface=");
	snprintf(device->interface, sizeof device->interface, "%.*s", (int)strcspn(at, ","), at);
}

int dpdk_device_parse(const char *text, struct dpdk_device *device, const struct why *why)
{
	memset(device, 0, sizeof *device);
	size_t name_len = strcspn(text, ",");
	if (name_len >= sizeof device->name || strlen(text) >= sizeof device->devargs - sizeof "0000:")
		return why_say(why, HW_ERR_INVALID, "the device '%.60s...' is too long", text);
	char name[sizeof device->name];
	snprintf(name, sizeof name, "%.*s", (int)name_len, text);
	device->pci = parse_pci(name, device->name, sizeof device->name);
	bool virtual = !device->pci && strncmp(name, "net_", 4) == 0 && name[4];
	if (!device->pci && !virtual)
		return why_say(
			why, HW_ERR_INVALID,
			"'%s' is neither a PCI address such as 0000:3b:00.0 nor a virtual device of DPDK such as "
			"net_tap0",
			name);
	if (virtual)
		memcpy(device->name, name, name_len + 1);
	snprintf(device->devargs, sizeof device->devargs, "%s%s", device->name, text + name_len);
	find_interface(device);
	return 0;
}

static int check_virtual(const struct dpdk_device *device, const struct why *why)
{
	if (strncmp(device->name, "net_af_", 7) == 0 && !device->interface[0])
		return why_say(why, HW_ERR_INVALID, "%s needs an interface: '%s,iface=eth1'", device->name,
			       device->name);
	if (device->interface[0] && if_nametoindex(device->interface) == 0)
		return why_say(why, HW_ERR_INVALID, "%s: there is no interface '%s' here ('ip link' lists them)",
			       device->name, device->interface);
	if (strncmp(device->name, "net_tap", 7) == 0 && access("/dev/net/tun", R_OK | W_OK) != 0)
		return why_say(why, HW_ERR_SYSTEM,
			       "%s: /dev/net/tun cannot be opened: run as root, and load the kernel module tun",
			       device->name);
	return 0;
}

static int check_pci(const struct dpdk_device *device, const char *sysfs, const struct why *why)
{
	char driver[64];
	if (!pci_exists(sysfs, device->name))
		return why_say(why, HW_ERR_INVALID, "there is no PCI device %s ('lspci -D' lists them)", device->name);
	if (pci_number(sysfs, device->name, "class") >> 16 != PCI_CLASS_NETWORK)
		return why_say(why, HW_ERR_INVALID, "PCI device %s is no network device ('lspci -D' says what it is)",
			       device->name);
	pci_driver(sysfs, device->name, driver, sizeof driver);
	if (is_for_user_space(driver) || pci_is_bifurcated(sysfs, device->name))
		return 0;
	if (driver[0])
		return why_say(why, HW_ERR_BUSY,
			       "%s belongs to the kernel's driver '%s': give it to DPDK with 'dpdk-devbind.py "
			       "--bind=vfio-pci %s' (its interface disappears)",
			       device->name, driver, device->name);
	return why_say(why, HW_ERR_INVALID,
		       "%s has no driver: give it to DPDK with 'modprobe vfio-pci' and 'dpdk-devbind.py "
		       "--bind=vfio-pci %s'",
		       device->name, device->name);
}

int dpdk_device_check(const struct dpdk_device *device, const char *sysfs, const struct why *why)
{
	return device->pci ? check_pci(device, sysfs, why) : check_virtual(device, why);
}
