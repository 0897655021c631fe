#include "drivers/dpdk/flow_rule.h"

#include <netinet/in.h>

#include <rte_flow.h>

/* All that one rule points to. */
struct rule {
	struct rte_flow_item_ipv4 ip, ip_mask;
	struct rte_flow_item_tcp tcp, tcp_mask;
	struct rte_flow_action_queue queue;
	struct rte_flow_item pattern[4];
	struct rte_flow_action actions[2];
};

static const struct rte_flow_attr ATTRIBUTES = {.ingress = 1};

/* What we receive: from the remote end to the local one. The link's header is of no account, and may carry a tag. */
static void build(struct rule *r, enum flow_rule_form form, const struct driver_flow *flow, uint16_t queue)
{
	*r = (struct rule){.queue.index = queue};
	r->tcp.hdr.dst_port = htons(flow->local_port);
	r->tcp_mask.hdr.dst_port = UINT16_MAX;
	if (form != FLOW_RULE_LOCAL_PORT) {
		r->ip.hdr.src_addr = htonl(flow->remote_ip);
		r->ip.hdr.dst_addr = htonl(flow->local_ip);
		r->ip_mask.hdr.src_addr = r->ip_mask.hdr.dst_addr = UINT32_MAX;
		r->tcp.hdr.src_port = htons(flow->remote_port);
		r->tcp_mask.hdr.src_port = UINT16_MAX;
	}
	if (form != FLOW_RULE_TUPLE) {
		r->ip.hdr.next_proto_id = IPPROTO_TCP;
		r->ip_mask.hdr.next_proto_id = UINT8_MAX;
	}
	r->pattern[0].type = RTE_FLOW_ITEM_TYPE_ETH;
	r->pattern[1] = (struct rte_flow_item){RTE_FLOW_ITEM_TYPE_IPV4, &r->ip, NULL, &r->ip_mask};
	r->pattern[2] = (struct rte_flow_item){RTE_FLOW_ITEM_TYPE_TCP, &r->tcp, NULL, &r->tcp_mask};
	r->pattern[3].type = RTE_FLOW_ITEM_TYPE_END;
	r->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_QUEUE, &r->queue};
	r->actions[1].type = RTE_FLOW_ACTION_TYPE_END;
}

bool flow_rule_validate(uint16_t port_id, enum flow_rule_form form, const struct driver_flow *flow, uint16_t queue)
{
	struct rule r;
	struct rte_flow_error error = {0};
	build(&r, form, flow, queue);
	return rte_flow_validate(port_id, &ATTRIBUTES, r.pattern, r.actions, &error) == 0;
}

struct rte_flow *flow_rule_create(uint16_t port_id, enum flow_rule_form form, const struct driver_flow *flow,
				  uint16_t queue)
{
	struct rule r;
	struct rte_flow_error error = {0};
	build(&r, form, flow, queue);
	return rte_flow_create(port_id, &ATTRIBUTES, r.pattern, r.actions, &error);
}

void flow_rule_destroy(uint16_t port_id, struct rte_flow *rule)
{
	struct rte_flow_error error = {0};
	rte_flow_destroy(port_id, rule, &error);
}
