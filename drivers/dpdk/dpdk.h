/*
 * DPDK: any poll-mode driver, one receive/transmit queue pair of one port for each instance. The port is taken
 * exclusively: the kernel does not see its packets, so its address, ARP and ping are ours (control/nic).
 *
 * The EAL is started once per process, by the first instance, and lasts as long as the process.
 */
#ifndef HAREWIRE_DPDK_H
#define HAREWIRE_DPDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/driver.h"

/* A capability of the device. AUTO: used where it is there and does not cost the device's fast transmit path. */
enum dpdk_use { DPDK_USE_AUTO, DPDK_USE_ON, DPDK_USE_OFF };

struct dpdk_options {
	const char
		*device; /* "0000:3b:00.0", "net_tap0,iface=hw0": a PCI address or virtual device, and its arguments */
	const char *eal; /* more EAL arguments, separated by spaces; "--no-huge" does without hugepages. May be NULL */
	uint16_t mtu;    /* octets of an IP packet; 0: what the device has */
	int cpu;         /* the worker's, to be compared with the device's NUMA node; -1: not pinned */
	/* The port's queue pairs, all set up when its first instance is created, and this instance's: one each. */
	uint16_t queue, queues; /* queues 0: one */
	/*
	 * Share the kernel's interface and its address instead of taking the port exclusively: only packets of our
	 * flows come to us, by exact steering. For devices that the kernel keeps driving (mlx5), and virtual functions
	 * of an interface the kernel has. `interface`: that interface; NULL: the device's own, or its physical
	 * function's.
	 */
	bool shared;
	const char *interface;
	enum dpdk_use checksum, tso;
};

/*
 * Starts the EAL if it does not run yet, takes the device, configures and starts it. Control thread. 0, or HW_ERR_* and
 * one sentence in `why`: HW_ERR_INVALID (no device of that name, wrong address), _BUSY (somebody else has it), _NOMEM
 * (hugepages), _UNSUPPORTED (not built in, no driver), _SYSTEM.
 */
int dpdk_create(const struct dpdk_options *options, struct driver **out, char *why, size_t why_bytes);

#endif
