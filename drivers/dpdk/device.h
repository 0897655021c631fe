/* A device by name: what kind it is, and whether this host can give it to DPDK. Knows no DPDK. */
#ifndef HAREWIRE_DPDK_DEVICE_H
#define HAREWIRE_DPDK_DEVICE_H

#include <stdbool.h>

#include "drivers/why.h"

struct dpdk_device {
	bool pci;
	char name[64];      /* "0000:3b:00.0", "net_tap0" */
	char devargs[256];  /* name and arguments, as DPDK takes them */
	char interface[16]; /* the kernel's interface it works on (iface= of net_af_packet and net_af_xdp), or "" */
};

/* Takes "name[,key=value]..." apart. 0 or HW_ERR_INVALID. */
int dpdk_device_parse(const char *text, struct dpdk_device *device, const struct why *why);

/*
 * What DPDK would only fail over with a code is found out here: there is such a device, it is a network device, it is
 * bound to a driver that lets DPDK in. `sysfs` is "/sys". 0, HW_ERR_INVALID or HW_ERR_BUSY (the kernel uses it).
 */
int dpdk_device_check(const struct dpdk_device *device, const char *sysfs, const struct why *why);

#endif
