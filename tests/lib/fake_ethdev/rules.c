/* The NIC's rules (rte_flow), as far as one of ours can be expressed in them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>

#include <rte_flow.h>

#include "tests/lib/fake_ethdev/internal.h"

struct rte_flow {
	bool used;
	struct fake_rule rule;
};

static struct rte_flow rules[FAKE_RULES_MAX];

void fake_rules_reset(void)
{
	for (int i = 0; i < FAKE_RULES_MAX; i++)
		rules[i].used = false;
}

static bool is_whole(uint32_t mask, uint32_t all)
{
	return mask == 0 || mask == all;
}

static void read_masks(struct fake_rule *rule, const struct rte_ipv4_hdr *ip, const struct rte_tcp_hdr *tcp)
{
	rule->by_addresses = ip->src_addr && ip->dst_addr;
	rule->by_protocol = ip->next_proto_id;
	rule->by_remote_port = tcp->src_port;
	rule->by_local_port = tcp->dst_port;
	rule->partial_mask = !is_whole(ip->src_addr, UINT32_MAX) || !is_whole(ip->dst_addr, UINT32_MAX) ||
			     (ip->src_addr != 0) != (ip->dst_addr != 0) || !is_whole(ip->next_proto_id, UINT8_MAX) ||
			     !is_whole(tcp->src_port, UINT16_MAX) || !is_whole(tcp->dst_port, UINT16_MAX) ||
			     ip->version_ihl || ip->time_to_live || ip->type_of_service || tcp->tcp_flags;
}

/* ETH without a word, IPV4, TCP; to a queue. */
static int read_rule(const struct rte_flow_attr *attr, const struct rte_flow_item *pattern,
		     const struct rte_flow_action *actions, struct fake_rule *rule)
{
	static const enum rte_flow_item_type shape[] = {RTE_FLOW_ITEM_TYPE_ETH, RTE_FLOW_ITEM_TYPE_IPV4,
							RTE_FLOW_ITEM_TYPE_TCP, RTE_FLOW_ITEM_TYPE_END};
	for (int i = 0; i < 4; i++)
		if (pattern[i].type != shape[i] || pattern[i].last)
			return -ENOTSUP;
	if (!attr->ingress || attr->egress || attr->transfer || pattern[0].spec || pattern[0].mask ||
	    actions[0].type != RTE_FLOW_ACTION_TYPE_QUEUE || actions[1].type != RTE_FLOW_ACTION_TYPE_END)
		return -ENOTSUP;
	const struct rte_flow_item_ipv4 *ip = pattern[1].spec, *ip_mask = pattern[1].mask;
	const struct rte_flow_item_tcp *tcp = pattern[2].spec, *tcp_mask = pattern[2].mask;
	read_masks(rule, &ip_mask->hdr, &tcp_mask->hdr);
	if (rule->by_protocol && ip->hdr.next_proto_id != IPPROTO_TCP)
		return -EINVAL;
	rule->flow = (struct driver_flow){ntohl(ip->hdr.dst_addr), ntohl(ip->hdr.src_addr), ntohs(tcp->hdr.dst_port),
					  ntohs(tcp->hdr.src_port)};
	rule->queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	if (rule->queue >= nic.queues || rule->partial_mask || !nic.takes_rule || !nic.takes_rule(rule))
		return -ENOTSUP;
	return 0;
}

int rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
		      const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	struct fake_rule rule;
	return nic.takes_rule ? read_rule(attr, pattern, actions, &rule) : -ENOSYS;
}

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
				 const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
				 struct rte_flow_error *error)
{
	struct fake_rule rule;
	if (!nic.started || read_rule(attr, pattern, actions, &rule) != 0 || nic.rules >= nic.rules_max)
		return NULL;
	for (int i = 0; i < FAKE_RULES_MAX; i++)
		if (!rules[i].used) {
			rules[i] = (struct rte_flow){true, rule};
			nic.rules++;
			nic.rules_made++;
			return &rules[i];
		}
	return NULL;
}

int rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
	if (!nic.started || !flow->used)
		return -EINVAL;
	flow->used = false;
	nic.rules--;
	return 0;
}

int rte_flow_isolate(uint16_t port_id, int set, struct rte_flow_error *error)
{
	if (!nic.isolates)
		return -ENOTSUP;
	nic.isolated = set;
	return 0;
}

static bool matches(const struct fake_rule *rule, const struct driver_flow *flow)
{
	return (!rule->by_addresses ||
		(rule->flow.local_ip == flow->local_ip && rule->flow.remote_ip == flow->remote_ip)) &&
	       (!rule->by_remote_port || rule->flow.remote_port == flow->remote_port) &&
	       (!rule->by_local_port || rule->flow.local_port == flow->local_port);
}

const struct fake_rule *fake_ethdev_rule(const struct driver_flow *flow)
{
	for (int i = 0; i < FAKE_RULES_MAX; i++)
		if (rules[i].used && matches(&rules[i].rule, flow))
			return &rules[i].rule;
	return NULL;
}

int fake_ethdev_arrival(const struct driver_flow *flow)
{
	const struct fake_rule *rule = fake_ethdev_rule(flow);
	if (rule && !nic.rules_without_effect)
		return rule->queue;
	return nic.isolated ? -1 : fake_rss_queue(flow);
}
