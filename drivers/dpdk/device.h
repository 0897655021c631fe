/*
 * A device by name: what kind it is, whether this host can give it to DPDK, and how it could be shared with the kernel.
 * Knows no DPDK.
 */
#ifndef HAREWIRE_DPDK_DEVICE_H
#define HAREWIRE_DPDK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/why.h"

/* Whose the address is, and who brings our packets past the kernel if it is the kernel's. */
enum dpdk_share {
	DPDK_EXCLUSIVE,       /* ours: every packet of the port comes to us */
	DPDK_SHARED_ISOLATED, /* the kernel drives the device as well: its rules take our flows out (mlx5) */
	DPDK_SHARED_PARENT    /* a virtual function: rules of its physical function's interface send our flows to it */
};

struct dpdk_device {
	bool pci;
	char name[64];      /* "0000:3b:00.0", "net_tap0" */
	char devargs[256];  /* name and arguments, as DPDK takes them */
	char interface[16]; /* the kernel's interface it works on (iface= of net_af_packet and net_af_xdp), or "" */

	enum dpdk_share share;
	char shared_interface[16]; /* has the address, if shared */
	uint16_t vlan;             /* its frames' tag, if shared_interface is a VLAN; else 0 */
	char rule_interface[16];   /* DPDK_SHARED_PARENT: takes the rules */
	int vf;                    /* DPDK_SHARED_PARENT: the device's number among the virtual functions */
};

/* Takes "name[,key=value]..." apart. 0 or HW_ERR_INVALID. */
int dpdk_device_parse(const char *text, struct dpdk_device *device, const struct why *why);

/*
 * What DPDK would only fail over with a code is found out here: there is such a device, it is a network device, it is
 * bound to a driver that lets DPDK in. `sysfs` is "/sys". 0, HW_ERR_INVALID or HW_ERR_BUSY (the kernel uses it).
 */
int dpdk_device_check(const struct dpdk_device *device, const char *sysfs, const struct why *why);

/*
 * How the device shares the address of a kernel's interface: `interface`, or where that is NULL its own, or its
 * physical function's. 0, or HW_ERR_UNSUPPORTED (it cannot).
 */
int dpdk_device_share(struct dpdk_device *device, const char *interface, const char *sysfs, const struct why *why);

/*
 * Arguments that make a family of devices fast and that DPDK does not choose by itself, where `device` does not have
 * them yet: found by the kernel's driver or the PCI ids, because DPDK's driver is known only when it is too late.
 */
void dpdk_device_tune(struct dpdk_device *device, const char *sysfs);

#endif
