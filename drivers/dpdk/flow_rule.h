/* One connection's packets to one queue, by a rule of the device (rte_flow). Control thread. */
#ifndef HAREWIRE_DPDK_FLOW_RULE_H
#define HAREWIRE_DPDK_FLOW_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/driver.h"

struct rte_flow;

/* What a rule looks like: no two families of devices take the same. The most exact first. */
enum flow_rule_form {
	FLOW_RULE_TUPLE, /* addresses and ports; TCP is said by the item (mlx5, ice, i40e, ixgbe, igb's 82576) */
	FLOW_RULE_TUPLE_PROTOCOL, /* and the IPv4 header's protocol field as well */
	FLOW_RULE_LOCAL_PORT,     /* protocol and our port alone (igb's others, igc) */
	FLOW_RULE_FORMS
};

/* Would the device take such a rule? */
bool flow_rule_validate(uint16_t port_id, enum flow_rule_form form, const struct driver_flow *flow, uint16_t queue);

/* NULL: it does not take it, or has no room. */
struct rte_flow *flow_rule_create(uint16_t port_id, enum flow_rule_form form, const struct driver_flow *flow,
				  uint16_t queue);
void flow_rule_destroy(uint16_t port_id, struct rte_flow *rule);

#endif
