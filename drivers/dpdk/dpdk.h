/*
 * DPDK: any poll-mode driver, one receive/transmit queue pair of one port for each instance. The port is taken
 * exclusively: the kernel does not see its packets, so its address, ARP and ping are ours (control/port).
 *
 * The EAL is started once per process, by the first instance, and lasts as long as the process.
 */
#ifndef HAREWIRE_DPDK_H
#define HAREWIRE_DPDK_H

#include <stddef.h>
#include <stdint.h>

#include "drivers/driver.h"

struct dpdk_options {
	const char
		*device; /* "0000:3b:00.0", "net_tap0,iface=hw0": a PCI address or virtual device, and its arguments */
	const char *eal; /* more EAL arguments, separated by spaces; "--no-huge" does without hugepages. May be NULL */
	uint16_t mtu;    /* octets of an IP packet; 0: what the device has */
	int cpu;         /* the worker's, to be compared with the device's NUMA node; -1: not pinned */
};

/*
 * Starts the EAL if it does not run yet, takes the device, configures and starts it. Control thread. 0, or HW_ERR_* and
 * one sentence in `why`: HW_ERR_INVALID (no device of that name, wrong address), _BUSY (somebody else has it), _NOMEM
 * (hugepages), _UNSUPPORTED (not built in, no driver), _SYSTEM.
 */
int dpdk_create(const struct dpdk_options *options, struct driver **out, char *why, size_t why_bytes);

#endif
