/* How a device shares the address of an interface that the kernel has. */
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/device.h"
#include "drivers/dpdk/pci.h"
#include "drivers/ntuple.h"

static int cannot_share(const struct dpdk_device *device, const struct why *why)
{
	return why_say(
		why, HW_ERR_UNSUPPORTED,
		"%s cannot share an interface with the kernel, so it is taken for this driver alone and needs an "
		"address of its own: --address 10.1.2.3/24",
		device->name);
}

/* The kernel tags what leaves through a VLAN's interface; what goes past it we have to tag ourselves. 0: it is none. */
static uint16_t vlan_of(const char *interface)
{
	struct vlan_ioctl_args vlan = {.cmd = GET_VLAN_VID_CMD};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(vlan.device1, sizeof vlan.device1, "%s", interface);
	int rc = fd < 0 ? -1 : ioctl(fd, SIOCGIFVLAN, &vlan);
	if (fd >= 0)
		close(fd);
	return rc ? 0 : (uint16_t)vlan.u.VID;
}

/* `interface` if the user names one: a bond or a VLAN of the device's own is none of its interfaces. */
static int share_interface(struct dpdk_device *device, const char *own, const char *interface, const struct why *why)
{
	if (!own[0])
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "%s has no interface in the kernel, or in another network namespace, so it needs an "
			       "address of its own: --address 10.1.2.3/24",
			       device->name);
	if (interface && if_nametoindex(interface) == 0)
		return why_say(why, HW_ERR_INVALID, "%s: there is no interface '%s' here ('ip link' lists them)",
			       device->name, interface);
	snprintf(device->shared_interface, sizeof device->shared_interface, "%.15s", interface ? interface : own);
	device->vlan = vlan_of(device->shared_interface);
	return 0;
}

static int share_parent(struct dpdk_device *device, const char *physical, const char *interface, const char *sysfs,
			const struct why *why)
{
	pci_interface(sysfs, physical, device->rule_interface);
	int err = share_interface(device, device->rule_interface, interface, why);
	if (err)
		return err;
	if (!ntuple_is_possible(device->rule_interface))
		return why_say(
			why, HW_ERR_UNSUPPORTED,
			"%s takes no rules that send connections to its virtual function %s: switch them on with "
			"'ethtool -K %s ntuple on', or give %s an address of its own: --address 10.1.2.3/24",
			device->rule_interface, device->name, device->rule_interface, device->name);
	device->share = DPDK_SHARED_PARENT;
	return 0;
}

int dpdk_device_share(struct dpdk_device *device, const char *interface, const char *sysfs, const struct why *why)
{
	char physical[64], own[16];
	if (!device->pci)
		return cannot_share(device, why);
	if (pci_is_bifurcated(sysfs, device->name)) {
		pci_interface(sysfs, device->name, own);
		device->share = DPDK_SHARED_ISOLATED;
		return share_interface(device, own, interface, why);
	}
	device->vf = pci_physical_function(sysfs, device->name, physical, sizeof physical);
	return device->vf < 0 ? cannot_share(device, why) : share_parent(device, physical, interface, sysfs, why);
}
