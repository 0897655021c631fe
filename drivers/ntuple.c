#include "drivers/ntuple.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <stdbool.h>
#include <stdlib.h>

#include "drivers/driver.h"
#include "drivers/ethtool.h"

#define RULES_MAX 65536u

/* The highest location nobody uses: where rules have priorities the lower come first, and those are the user's. */
static int64_t free_location(const uint32_t *used, uint32_t n, uint32_t table_size)
{
	bool *taken = calloc(table_size, sizeof *taken);
	if (!taken)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (used[i] < table_size)
			taken[used[i]] = true;
	int64_t location = (int64_t)table_size - 1;
	while (location >= 0 && taken[location])
		location--;
	free(taken);
	return location;
}

/* For drivers that do not choose: reads which locations are in use. */
static int64_t choose_location(const char *interface, uint32_t rules)
{
	struct ethtool_rxnfc *all = calloc(1, sizeof *all + rules * sizeof all->rule_locs[0]);
	if (!all)
		return -1;
	all->cmd = ETHTOOL_GRXCLSRLALL;
	all->rule_cnt = rules;
	int64_t location = -1;
	if (ethtool_request(interface, all) == 0 && all->rule_cnt <= rules && all->data <= RULES_MAX)
		location = free_location(all->rule_locs, all->rule_cnt, (uint32_t)all->data);
	free(all);
	return location;
}

/* Where the rule may go: a location, RX_CLS_LOC_ANY where the driver chooses, or -1: no rules here. */
static int64_t rule_location(const char *interface)
{
	struct ethtool_rxnfc count = {.cmd = ETHTOOL_GRXCLSRLCNT};
	if (ethtool_request(interface, &count) || count.rule_cnt > RULES_MAX)
		return -1;
	return count.data & RX_CLS_LOC_SPECIAL ? (int64_t)RX_CLS_LOC_ANY : choose_location(interface, count.rule_cnt);
}

bool ntuple_is_possible(const char *interface)
{
	return rule_location(interface) >= 0;
}

/* Virtual functions are numbered from 1 there: 0 is the interface itself. */
static uint64_t ring_cookie(int vf, uint32_t queue)
{
	return (uint64_t)(vf + 1) << ETHTOOL_RX_FLOW_SPEC_RING_VF_OFF | queue;
}

int64_t ntuple_add(const char *interface, const struct driver_flow *flow, int vf, uint32_t queue)
{
	int64_t location = rule_location(interface);
	if (location < 0)
		return -1;
	struct ethtool_rxnfc rule = {.cmd = ETHTOOL_SRXCLSRLINS};
	rule.fs.flow_type = TCP_V4_FLOW;
	rule.fs.h_u.tcp_ip4_spec = (struct ethtool_tcpip4_spec){
		.ip4src = htonl(flow->remote_ip),
		.ip4dst = htonl(flow->local_ip),
		.psrc = htons(flow->remote_port),
		.pdst = htons(flow->local_port),
	};
	rule.fs.m_u.tcp_ip4_spec = (struct ethtool_tcpip4_spec){
		.ip4src = 0xffffffff,
		.ip4dst = 0xffffffff,
		.psrc = 0xffff,
		.pdst = 0xffff,
	};
	rule.fs.ring_cookie = ring_cookie(vf, queue);
	rule.fs.location = (uint32_t)location;
	return ethtool_request(interface, &rule) ? -1 : (int64_t)rule.fs.location;
}

void ntuple_remove(const char *interface, int64_t location)
{
	struct ethtool_rxnfc rule = {.cmd = ETHTOOL_SRXCLSRLDEL};
	rule.fs.location = (uint32_t)location;
	ethtool_request(interface, &rule);
}
