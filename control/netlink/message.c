#include "control/netlink/message.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink/request.h"

#define MAC_BYTES 6

/* An attribute of exactly four octets; `absent` for one that is missing or has another length. */
static uint32_t attribute_u32(const struct nlattr *attribute, uint32_t absent)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != sizeof(uint32_t))
		return absent;
	return mnl_attr_get_u32(attribute);
}

static uint32_t attribute_ip(const struct nlattr *attribute)
{
	return ntohl(attribute_u32(attribute, 0));
}

static bool attribute_mac(const struct nlattr *attribute, uint8_t mac[MAC_BYTES])
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != MAC_BYTES)
		return false;
	memcpy(mac, mnl_attr_get_payload(attribute), MAC_BYTES);
	return true;
}

static int note_mtu(const struct nlattr *metric, void *context)
{
	if (mnl_attr_get_type(metric) == RTAX_MTU)
		*(uint32_t *)context = attribute_u32(metric, 0);
	return MNL_CB_OK;
}

bool route_message_parse(const struct nlmsghdr *message, struct route_message *route)
{
	const struct nlattr *table[RTA_MAX + 1];
	if (message->nlmsg_type != RTM_NEWROUTE || !netlink_attributes(message, sizeof(struct rtmsg), table, RTA_MAX))
		return false;
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	if (header->rtm_family != AF_INET)
		return false;
	*route = (struct route_message){
		.type = header->rtm_type,
		.interface_index = attribute_u32(table[RTA_OIF], 0),
		.source_ip = attribute_ip(table[RTA_PREFSRC]),
		.gateway = attribute_ip(table[RTA_GATEWAY]),
		.gateway_is_ipv6 = table[RTA_VIA] != NULL,
	};
	if (table[RTA_METRICS])
		mnl_attr_parse_nested(table[RTA_METRICS], note_mtu, &route->mtu);
	return true;
}

bool link_message_parse(const struct nlmsghdr *message, struct link_message *link)
{
	const struct nlattr *table[IFLA_MAX + 1];
	if (message->nlmsg_type != RTM_NEWLINK ||
	    !netlink_attributes(message, sizeof(struct ifinfomsg), table, IFLA_MAX) || !table[IFLA_IFNAME])
		return false;
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	*link = (struct link_message){
		.interface_index = (uint32_t)header->ifi_index,
		.flags = header->ifi_flags,
		.mtu = attribute_u32(table[IFLA_MTU], 0),
	};
	size_t name_bytes = mnl_attr_get_payload_len(table[IFLA_IFNAME]);
	if (name_bytes > sizeof link->name - 1)
		name_bytes = sizeof link->name - 1;
	memcpy(link->name, mnl_attr_get_payload(table[IFLA_IFNAME]), name_bytes);
	attribute_mac(table[IFLA_ADDRESS], link->mac);
	return link->interface_index != 0;
}

static enum neighbour_state state_of(uint16_t nud, bool has_mac)
{
	if (nud & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP))
		return has_mac ? NEIGHBOUR_KNOWN : NEIGHBOUR_UNKNOWN;
	if (nud & NUD_FAILED)
		return NEIGHBOUR_FAILED;
	return nud & NUD_INCOMPLETE ? NEIGHBOUR_PENDING : NEIGHBOUR_UNKNOWN;
}

bool neighbour_message_parse(const struct nlmsghdr *message, struct neighbour_message *neighbour)
{
	const struct nlattr *table[NDA_MAX + 1];
	bool deleted = message->nlmsg_type == RTM_DELNEIGH;
	if ((!deleted && message->nlmsg_type != RTM_NEWNEIGH) ||
	    !netlink_attributes(message, sizeof(struct ndmsg), table, NDA_MAX))
		return false;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	*neighbour = (struct neighbour_message){
		.interface_index = (uint32_t)header->ndm_ifindex,
		.ip = attribute_ip(table[NDA_DST]),
		.fixed = header->ndm_state & (NUD_PERMANENT | NUD_NOARP),
	};
	bool has_mac = attribute_mac(table[NDA_LLADDR], neighbour->mac);
	neighbour->state = deleted ? NEIGHBOUR_UNKNOWN : state_of(header->ndm_state, has_mac);
	return header->ndm_family == AF_INET && neighbour->ip != 0;
}
