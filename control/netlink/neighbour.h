/*
 * The kernel's neighbour (ARP) table, by rtnetlink (libmnl): where the kernel owns the interface's address, it also
 * resolves. Control thread.
 */
#ifndef HAREWIRE_NETLINK_NEIGHBOUR_H
#define HAREWIRE_NETLINK_NEIGHBOUR_H

#include <stdint.h>

struct mnl_socket;

enum neighbour_state { NEIGHBOUR_UNKNOWN, NEIGHBOUR_PENDING, NEIGHBOUR_KNOWN, NEIGHBOUR_FAILED };

struct neighbours {
	struct mnl_socket *monitor; /* RTNLGRP_NEIGH */
	int fd;                     /* of monitor: readable when something changed */
};

/* 0 or HW_ERR_SYSTEM. */
int neighbours_init(struct neighbours *n);
void neighbours_fini(struct neighbours *n);

/* What the kernel knows now. `mac` is set when KNOWN (reachable, stale, delay, probe, permanent, noarp). */
enum neighbour_state neighbour_lookup(uint32_t interface_index, uint32_t ip, uint8_t mac[6]);

/*
 * Makes the kernel ask again who has `ip`, at the next neighbour_provoke: for a peer that seems to have moved to
 * another link address without saying so. An administrator's permanent entry stays. Needs CAP_NET_ADMIN; without it
 * nothing happens.
 */
void neighbour_forget(uint32_t interface_index, uint32_t ip);

/* Makes the kernel resolve `ip` (one UDP datagram to its discard port through that interface). 0 or HW_ERR_*. */
int neighbour_provoke(uint32_t interface_index, uint32_t ip);

/*
 * Drains the monitor without blocking; calls `changed` for every IPv4 entry that was added, changed or deleted (state
 * FAILED or UNKNOWN: mac is meaningless).
 */
void neighbours_read(struct neighbours *n,
		     void (*changed)(void *context, uint32_t interface_index, uint32_t ip, enum neighbour_state state,
				     const uint8_t mac[6]),
		     void *context);

#endif
