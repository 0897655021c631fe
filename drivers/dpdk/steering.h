/*
 * How the packets of a connection come to the queue of its worker, chosen by what the port can do. State of one port,
 * shared by the instances of its queues: each call locks it. Control thread.
 *
 *	one queue                       nothing to do
 *	rules by connection (rte_flow)  one rule for each connection; where the device has no room for another, as below
 *	RSS, foretold                   control chooses a local port that is hashed to the queue
 *	RSS, by trying                  control connects and sees (flow_strayed): not foretold, or foretold wrongly
 *
 * Sharing an interface's address with the kernel takes a rule for each connection, without exception.
 */
#ifndef HAREWIRE_DPDK_STEERING_H
#define HAREWIRE_DPDK_STEERING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/dpdk/device.h"
#include "drivers/dpdk/flow_rule.h"
#include "drivers/dpdk/rss.h"
#include "drivers/driver.h"

enum steering_kind { STEERING_NONE, STEERING_RULES, STEERING_RSS, STEERING_TRYING };

struct steering {
	pthread_mutex_t lock;
	/* fixed once chosen */
	uint16_t port_id;
	const struct dpdk_device *device;
	enum flow_rule_form form; /* with STEERING_RULES */

	enum steering_kind kind;
	bool full; /* the device has refused a rule, and none has gone since */
	struct rss rss;
};

/* One connection's. */
struct steered_flow {
	struct driver_flow flow;
	struct rte_flow *rule; /* in the device, or NULL */
	int64_t location;      /* of the rule in the physical function's interface, or -1 */
	int wrong_queue;       /* where a packet of it was seen instead of ours, or -1 */
	bool used;
};

/* Before the port is configured: sees to it that the kernel keeps what is not ours. 0, or HW_ERR_* and a sentence. */
int steering_prepare(struct steering *s, const struct dpdk_device *device, uint16_t port_id, const struct why *why);

/* The port runs with `queues` queue pairs, s->rss as configured. 0, or HW_ERR_UNSUPPORTED: nothing works here. */
int steering_choose(struct steering *s, uint16_t queues, const struct why *why);
void steering_fini(struct steering *s);

/* For people: driver_info.steering. */
void steering_describe(struct steering *s, char *text, size_t bytes);

/* flow->flow comes to `queue` from now on. 0, or HW_ERR_NO_RULE: no room, and nothing else would bring it. */
int steering_begin(struct steering *s, struct steered_flow *flow, uint16_t queue);
void steering_end(struct steering *s, struct steered_flow *flow);

/* Where it would arrive without a rule of its own, if that matters and is known; else -1. Cheap. */
int steering_foretell(struct steering *s, const struct driver_flow *flow);

/* A packet of the flow was seen on `queue`, which is not its own: what promised otherwise is not believed again. */
void steering_stray(struct steering *s, struct steered_flow *flow, uint16_t queue);

#endif
