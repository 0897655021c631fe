#include "control/netlink/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink/message.h"
#include "control/netlink/request.h"
#include "dataplane/base/error.h"

#define QUESTION_BYTES 256

static int note_route(const struct nlmsghdr *message, void *context)
{
	return route_message_parse(message, context) ? MNL_CB_STOP : MNL_CB_ERROR;
}

static int note_link(const struct nlmsghdr *message, void *context)
{
	return link_message_parse(message, context) ? MNL_CB_STOP : MNL_CB_ERROR;
}

/* How the kernel reports having no usable route: none, throw, unreachable, prohibit, blackhole. */
static bool means_no_route(int error)
{
	return error == ENETUNREACH || error == EHOSTUNREACH || error == EAGAIN || error == EACCES || error == EINVAL;
}

static int system_error(int error)
{
	errno = error;
	return HW_ERR_SYSTEM;
}

static int ask_route(uint32_t destination_ip, struct route_message *route)
{
	_Alignas(struct nlmsghdr) char buffer[QUESTION_BYTES];
	struct nlmsghdr *question = mnl_nlmsg_put_header(buffer);
	question->nlmsg_type = RTM_GETROUTE;
	question->nlmsg_flags = NLM_F_REQUEST;
	struct rtmsg *header = mnl_nlmsg_put_extra_header(question, sizeof *header);
	header->rtm_family = AF_INET;
	header->rtm_dst_len = 32;
	header->rtm_flags = RTM_F_LOOKUP_TABLE;
	mnl_attr_put_u32(question, RTA_DST, htonl(destination_ip));
	int rc = netlink_request(question, note_route, route);
	if (rc == 0)
		return route->type == RTN_UNICAST || route->type == RTN_LOCAL ? 0 : HW_ERR_HOST_UNREACHABLE;
	return means_no_route(-rc) ? HW_ERR_HOST_UNREACHABLE : system_error(-rc);
}

static int ask_link(uint32_t interface_index, struct link_message *link)
{
	_Alignas(struct nlmsghdr) char buffer[QUESTION_BYTES];
	struct nlmsghdr *question = mnl_nlmsg_put_header(buffer);
	question->nlmsg_type = RTM_GETLINK;
	question->nlmsg_flags = NLM_F_REQUEST;
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(question, sizeof *header);
	header->ifi_family = AF_UNSPEC;
	header->ifi_index = (int)interface_index;
	int rc = netlink_request(question, note_link, link);
	return rc ? system_error(-rc) : 0;
}

/* What a packet may have: the path's MTU where the kernel knows one, never more than the interface takes. */
static uint16_t usable_mtu(uint32_t route_mtu, uint32_t link_mtu)
{
	uint32_t mtu = route_mtu && route_mtu < link_mtu ? route_mtu : link_mtu;
	return mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
}

int route_lookup(uint32_t destination_ip, struct route *route)
{
	struct route_message found;
	struct link_message link;
	int rc = ask_route(destination_ip, &found);
	if (rc == 0 && found.gateway_is_ipv6)
		rc = HW_ERR_UNSUPPORTED;
	rc = rc ? rc : ask_link(found.interface_index, &link);
	if (rc)
		return rc;
	*route = (struct route){
		.interface_index = found.interface_index,
		.source_ip = found.source_ip,
		.next_hop = found.gateway ? found.gateway : destination_ip,
		.mtu = usable_mtu(found.mtu, link.mtu),
		.loopback = found.type == RTN_LOCAL || (link.flags & IFF_LOOPBACK),
		.up = (link.flags & IFF_UP) && (link.flags & IFF_RUNNING),
	};
	memcpy(route->interface, link.name, sizeof route->interface);
	memcpy(route->mac, link.mac, sizeof route->mac);
	return 0;
}
