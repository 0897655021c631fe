/* rtnetlink messages of the kernel, taken apart. Pure: one message in, one struct out; false for a malformed one. */
#ifndef HAREWIRE_NETLINK_MESSAGE_H
#define HAREWIRE_NETLINK_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/netlink/neighbour.h"

struct nlmsghdr;

/* RTM_NEWROUTE, as answered to RTM_GETROUTE. Addresses in host byte order, 0: absent. */
struct route_message {
	uint8_t type; /* RTN_UNICAST, RTN_LOCAL, ... */
	uint32_t interface_index;
	uint32_t source_ip;
	uint32_t gateway;
	bool gateway_is_ipv6; /* RFC 5549: IPv4 through an IPv6 next hop */
	uint32_t mtu;         /* 0: none of its own */
};

bool route_message_parse(const struct nlmsghdr *message, struct route_message *route);

/* RTM_NEWLINK. */
struct link_message {
	uint32_t interface_index;
	uint32_t flags; /* IFF_* */
	char name[16];
	uint32_t mtu;
	uint8_t mac[6]; /* zero where the link layer has none of six octets */
};

bool link_message_parse(const struct nlmsghdr *message, struct link_message *link);

/* RTM_NEWNEIGH, RTM_DELNEIGH. False also for other families than IPv4, and for entries without an address. */
struct neighbour_message {
	uint32_t interface_index;
	uint32_t ip;
	enum neighbour_state state; /* UNKNOWN for RTM_DELNEIGH */
	uint8_t mac[6];             /* when KNOWN */
	bool fixed;                 /* an administrator's entry, or a link without ARP: not to be resolved anew */
};

bool neighbour_message_parse(const struct nlmsghdr *message, struct neighbour_message *neighbour);

#endif
