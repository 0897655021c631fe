/* Routes, by rtnetlink (libmnl). Control thread. */
#ifndef HAREWIRE_NETLINK_ROUTE_H
#define HAREWIRE_NETLINK_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

struct route {
	uint32_t interface_index;
	char interface[16];
	uint32_t source_ip; /* the kernel's choice; host byte order */
	uint32_t next_hop;  /* gateway, or the destination itself when on-link */
	uint16_t mtu;       /* of the route or else the interface */
	bool loopback;      /* leads back to this host */
	bool up;            /* interface is up with carrier */
	uint8_t mac[6];     /* of the interface */
};

/*
 * The route this network namespace would use to `destination_ip` (host byte order). 0; HW_ERR_HOST_UNREACHABLE (no
 * route, prohibited, blackhole); HW_ERR_UNSUPPORTED (its next hop is an IPv6 address); HW_ERR_SYSTEM (errno).
 */
int route_lookup(uint32_t destination_ip, struct route *route);

/*
 * Reserves a local TCP port so that the kernel gives it to nobody else: binds, does not listen. `*port` 0: any free
 * one, chosen here. Returns the socket (close it to release the port) or HW_ERR_BUSY / HW_ERR_SYSTEM.
 */
int port_reserve(uint32_t local_ip, uint16_t *port);

#endif
