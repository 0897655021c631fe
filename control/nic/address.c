#include "control/nic/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define VLAN_MAX 4094u

static bool parse_ip(const char *text, uint32_t *ip)
{
	struct in_addr in;
	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	*ip = ntohl(in.s_addr);
	return true;
}

static uint32_t mask_of(uint8_t prefix)
{
	return UINT32_MAX << (32 - prefix);
}

static bool is_on_link(const struct nic_address *a, uint32_t ip)
{
	return ((a->ip ^ ip) & mask_of(a->prefix)) == 0;
}

/* "10.1.2.3/24" into its two parts. */
static bool parse_with_prefix(const char *text, struct nic_address *a)
{
	char ip[16];
	const char *slash = strchr(text, '/');
	if (!slash || (size_t)(slash - text) >= sizeof ip)
		return false;
	snprintf(ip, sizeof ip, "%.*s", (int)(slash - text), text);
	char *end;
	unsigned long prefix = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end || prefix < 1 || prefix > 32)
		return false;
	a->prefix = (uint8_t)prefix;
	return parse_ip(ip, &a->ip);
}

/* An address a host can have: no loopback, no multicast, neither the network's first nor its last. */
static bool is_host_address(const struct nic_address *a)
{
	uint32_t host = a->ip & ~mask_of(a->prefix);
	bool ends = a->prefix < 31 && (host == 0 || host == ~mask_of(a->prefix));
	return a->ip >> 24 != 0 && a->ip >> 24 != 127 && a->ip >> 28 < 14 && !ends;
}

int nic_address_parse(const char *address, const char *gateway, uint32_t vlan, struct nic_address *out, char *why,
		      size_t why_bytes)
{
	memset(out, 0, sizeof *out);
	if (!address || !address[0])
		snprintf(why, why_bytes,
			 "this driver takes the port for itself, so it needs an address of its own: --address "
			 "10.1.2.3/24");
	else if (!parse_with_prefix(address, out))
		snprintf(why, why_bytes, "'%s' is no IPv4 address with a prefix length, such as 10.1.2.3/24", address);
	else if (!is_host_address(out))
		snprintf(why, why_bytes, "%s is no address that a host can have", address);
	else if (gateway && gateway[0] && !parse_ip(gateway, &out->gateway))
		snprintf(why, why_bytes, "the gateway '%s' is no IPv4 address", gateway);
	else if (out->gateway && (!is_on_link(out, out->gateway) || out->gateway == out->ip))
		snprintf(why, why_bytes, "the gateway %s is not another host of the network of %s", gateway, address);
	else if (vlan > VLAN_MAX)
		snprintf(why, why_bytes, "VLAN ids are 1 to 4094, or 0 for none, not %u", vlan);
	else {
		out->vlan = (uint16_t)vlan;
		return 0;
	}
	return HW_ERR_INVALID;
}

uint32_t nic_address_next_hop(const struct nic_address *a, uint32_t destination)
{
	return is_on_link(a, destination) ? destination : a->gateway;
}
