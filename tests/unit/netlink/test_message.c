/* rtnetlink messages made by hand, whole and mutilated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink/message.h"

static _Alignas(struct nlmsghdr) char buffer[1024];
static const uint8_t MAC[6] = {2, 0, 0, 0, 0, 9};

static struct nlmsghdr *begin(uint16_t type, void *header, size_t header_bytes)
{
	memset(buffer, 0, sizeof buffer);
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(message, header_bytes), header, header_bytes);
	return message;
}

static struct nlmsghdr *neighbour_message(uint16_t type, uint16_t nud, size_t mac_bytes)
{
	struct ndmsg header = {.ndm_family = AF_INET, .ndm_ifindex = 7, .ndm_state = nud};
	struct nlmsghdr *message = begin(type, &header, sizeof header);
	mnl_attr_put_u32(message, NDA_DST, htonl(0x0a000001));
	if (mac_bytes)
		mnl_attr_put(message, NDA_LLADDR, mac_bytes, MAC);
	return message;
}

static enum neighbour_state state_of(uint16_t type, uint16_t nud, size_t mac_bytes)
{
	struct neighbour_message neighbour;
	assert_true(neighbour_message_parse(neighbour_message(type, nud, mac_bytes), &neighbour));
	assert_int_equal(neighbour.interface_index, 7);
	assert_int_equal(neighbour.ip, 0x0a000001);
	if (neighbour.state == NEIGHBOUR_KNOWN)
		assert_memory_equal(neighbour.mac, MAC, 6);
	return neighbour.state;
}

static void neighbour_states_follow_the_kernels(void **state)
{
	static const uint16_t known[] = {NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_PERMANENT, NUD_NOARP};
	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		assert_int_equal(state_of(RTM_NEWNEIGH, known[i], 6), NEIGHBOUR_KNOWN);
	assert_int_equal(state_of(RTM_NEWNEIGH, NUD_INCOMPLETE, 0), NEIGHBOUR_PENDING);
	assert_int_equal(state_of(RTM_NEWNEIGH, NUD_FAILED, 0), NEIGHBOUR_FAILED);
	assert_int_equal(state_of(RTM_NEWNEIGH, NUD_FAILED, 6), NEIGHBOUR_FAILED);
	assert_int_equal(state_of(RTM_NEWNEIGH, NUD_NONE, 0), NEIGHBOUR_UNKNOWN);
	assert_int_equal(state_of(RTM_DELNEIGH, NUD_REACHABLE, 6), NEIGHBOUR_UNKNOWN);
}

static void a_neighbour_without_six_octets_of_address_is_not_known(void **state)
{
	assert_int_equal(state_of(RTM_NEWNEIGH, NUD_REACHABLE, 0), NEIGHBOUR_UNKNOWN);
	assert_int_equal(state_of(RTM_NEWNEIGH, NUD_REACHABLE, 5), NEIGHBOUR_UNKNOWN);
}

static void other_families_and_types_are_no_neighbours_of_ours(void **state)
{
	struct neighbour_message neighbour;
	struct nlmsghdr *message = neighbour_message(RTM_NEWNEIGH, NUD_REACHABLE, 6);
	((struct ndmsg *)mnl_nlmsg_get_payload(message))->ndm_family = AF_BRIDGE;
	assert_false(neighbour_message_parse(message, &neighbour));
	assert_false(neighbour_message_parse(neighbour_message(RTM_NEWLINK, NUD_REACHABLE, 6), &neighbour));
	struct ndmsg header = {.ndm_family = AF_INET6};
	message = begin(RTM_NEWNEIGH, &header, sizeof header);
	mnl_attr_put(message, NDA_DST, 16, buffer);
	assert_false(neighbour_message_parse(message, &neighbour));
}

static struct nlmsghdr *route_message_of(uint8_t type, bool gateway, uint32_t mtu)
{
	struct rtmsg header = {.rtm_family = AF_INET, .rtm_type = type, .rtm_dst_len = 32};
	struct nlmsghdr *message = begin(RTM_NEWROUTE, &header, sizeof header);
	mnl_attr_put_u32(message, RTA_OIF, 3);
	mnl_attr_put_u32(message, RTA_PREFSRC, htonl(0x0a000002));
	if (gateway)
		mnl_attr_put_u32(message, RTA_GATEWAY, htonl(0x0a0000fe));
	struct nlattr *metrics = mnl_attr_nest_start(message, RTA_METRICS);
	mnl_attr_put_u32(message, RTAX_HOPLIMIT, 64);
	if (mtu)
		mnl_attr_put_u32(message, RTAX_MTU, mtu);
	mnl_attr_nest_end(message, metrics);
	return message;
}

static void a_route_names_interface_source_gateway_and_path_mtu(void **state)
{
	struct route_message route;
	assert_true(route_message_parse(route_message_of(RTN_UNICAST, true, 1400), &route));
	assert_int_equal(route.type, RTN_UNICAST);
	assert_int_equal(route.interface_index, 3);
	assert_int_equal(route.source_ip, 0x0a000002);
	assert_int_equal(route.gateway, 0x0a0000fe);
	assert_int_equal(route.mtu, 1400);
	assert_false(route.gateway_is_ipv6);
	assert_true(route_message_parse(route_message_of(RTN_LOCAL, false, 0), &route));
	assert_int_equal(route.type, RTN_LOCAL);
	assert_int_equal(route.gateway, 0);
	assert_int_equal(route.mtu, 0);
}

static void an_ipv6_next_hop_is_seen(void **state)
{
	struct route_message route;
	struct nlmsghdr *message = route_message_of(RTN_UNICAST, false, 0);
	mnl_attr_put(message, RTA_VIA, 18, buffer);
	assert_true(route_message_parse(message, &route));
	assert_true(route.gateway_is_ipv6);
}

static struct nlmsghdr *link_message_of(size_t mac_bytes, const char *name)
{
	struct ifinfomsg header = {.ifi_index = 3, .ifi_flags = IFF_UP | IFF_RUNNING};
	struct nlmsghdr *message = begin(RTM_NEWLINK, &header, sizeof header);
	mnl_attr_put(message, IFLA_IFNAME, strlen(name), name);
	mnl_attr_put_u32(message, IFLA_MTU, 9000);
	mnl_attr_put(message, IFLA_ADDRESS, mac_bytes, MAC);
	return message;
}

static void a_link_has_name_mtu_flags_and_mac(void **state)
{
	static const uint8_t none[6];
	struct link_message link;
	assert_true(link_message_parse(link_message_of(6, "eth0"), &link));
	assert_int_equal(link.interface_index, 3);
	assert_int_equal(link.flags, IFF_UP | IFF_RUNNING);
	assert_int_equal(link.mtu, 9000);
	assert_string_equal(link.name, "eth0");
	assert_memory_equal(link.mac, MAC, 6);
	assert_true(link_message_parse(link_message_of(4, "a-name-that-is-longer-than-any"), &link));
	assert_string_equal(link.name, "a-name-that-is-");
	assert_memory_equal(link.mac, none, 6);
}

/* Cut at every octet, in a heap block of just that size for the sanitizer's and valgrind's sake. */
static void cut_everywhere(const struct nlmsghdr *whole)
{
	for (uint32_t len = NLMSG_HDRLEN; len <= whole->nlmsg_len; len++) {
		struct nlmsghdr *message = malloc(len);
		struct neighbour_message neighbour;
		struct route_message route;
		struct link_message link;
		memcpy(message, whole, len);
		message->nlmsg_len = len;
		neighbour_message_parse(message, &neighbour);
		route_message_parse(message, &route);
		link_message_parse(message, &link);
		free(message);
	}
}

static void truncated_messages_are_never_read_past_their_end(void **state)
{
	cut_everywhere(neighbour_message(RTM_NEWNEIGH, NUD_REACHABLE, 6));
	cut_everywhere(route_message_of(RTN_UNICAST, true, 1400));
	cut_everywhere(link_message_of(6, "eth0"));
	struct neighbour_message neighbour;
	struct nlmsghdr *message = neighbour_message(RTM_NEWNEIGH, NUD_REACHABLE, 6);
	message->nlmsg_len = NLMSG_HDRLEN + sizeof(struct ndmsg) - 1;
	assert_false(neighbour_message_parse(message, &neighbour));
	message->nlmsg_len = 3;
	assert_false(neighbour_message_parse(message, &neighbour));
}

static void attributes_that_lie_about_their_length_are_ignored(void **state)
{
	struct neighbour_message neighbour;
	struct nlmsghdr *message = neighbour_message(RTM_NEWNEIGH, NUD_REACHABLE, 6);
	struct nlattr *destination = mnl_nlmsg_get_payload_offset(message, sizeof(struct ndmsg));
	destination->nla_len = 0xffff;
	assert_false(neighbour_message_parse(message, &neighbour));
	destination->nla_len = NLA_HDRLEN + 3;
	assert_false(neighbour_message_parse(message, &neighbour));
	destination->nla_len = 0;
	assert_false(neighbour_message_parse(message, &neighbour));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbour_states_follow_the_kernels),
		cmocka_unit_test(a_neighbour_without_six_octets_of_address_is_not_known),
		cmocka_unit_test(other_families_and_types_are_no_neighbours_of_ours),
		cmocka_unit_test(a_route_names_interface_source_gateway_and_path_mtu),
		cmocka_unit_test(an_ipv6_next_hop_is_seen),
		cmocka_unit_test(a_link_has_name_mtu_flags_and_mac),
		cmocka_unit_test(truncated_messages_are_never_read_past_their_end),
		cmocka_unit_test(attributes_that_lie_about_their_length_are_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
