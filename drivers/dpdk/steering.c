#include "drivers/dpdk/steering.h"

#include <stdio.h>

#include <rte_flow.h>

#include "dataplane/base/error.h"
#include "drivers/ntuple.h"

/* A connection to nowhere (TEST-NET-1, RFC 5737): to ask with, and taken out again. */
static const struct driver_flow PROBE = {0xc0000201, 0xc0000202, 49152, 5672};

static bool is_shared(const struct steering *s)
{
	return s->device->share != DPDK_EXCLUSIVE;
}

/* ---- what the port can do ---- */

int steering_prepare(struct steering *s, const struct dpdk_device *device, uint16_t port_id, const struct why *why)
{
	struct rte_flow_error error = {0};
	pthread_mutex_init(&s->lock, NULL);
	s->device = device;
	s->port_id = port_id;
	if (device->share != DPDK_SHARED_ISOLATED || rte_flow_isolate(port_id, 1, &error) == 0)
		return 0;
	return why_say(why, HW_ERR_UNSUPPORTED,
		       "%s cannot leave the kernel's packets alone (no isolated mode), so it needs an address of its "
		       "own: --address 10.1.2.3/24",
		       device->name);
}

void steering_fini(struct steering *s)
{
	if (s->device)
		pthread_mutex_destroy(&s->lock);
	s->device = NULL;
}

/* Some drivers find no fault with a rule that they cannot install then (net_tap, on a kernel without tc's classifiers).
 */
static bool installs(const struct steering *s, enum flow_rule_form form, uint16_t queue)
{
	struct rte_flow *rule = flow_rule_create(s->port_id, form, &PROBE, queue);
	if (rule)
		flow_rule_destroy(s->port_id, rule);
	return rule != NULL;
}

static bool takes_rules(const struct steering *s, enum flow_rule_form form, uint16_t queues)
{
	uint16_t queue = 0;
	while (queue < queues && flow_rule_validate(s->port_id, form, &PROBE, queue))
		queue++;
	return queue == queues && installs(s, form, queues - 1);
}

/* A form of rule that the device takes for every queue. Only an exact one leaves the kernel what is the kernel's. */
static bool find_rules(struct steering *s, uint16_t queues)
{
	enum flow_rule_form end = is_shared(s) ? FLOW_RULE_LOCAL_PORT : FLOW_RULE_FORMS;
	for (s->form = 0; s->form < end; s->form++)
		if (takes_rules(s, s->form, queues))
			return true;
	return false;
}

/* Rules may be switched off, or not name virtual functions (ice): only making one tells. */
static int choose_parent(const struct steering *s, uint16_t queues, const struct why *why)
{
	const struct dpdk_device *device = s->device;
	int64_t location = ntuple_add(device->rule_interface, &PROBE, device->vf, queues - 1u);
	if (location >= 0) {
		ntuple_remove(device->rule_interface, location);
		return 0;
	}
	return why_say(
		why, HW_ERR_UNSUPPORTED,
		"%s refuses a rule that sends a connection to its virtual function %s: 'ethtool -K %s ntuple on' "
		"where that is off; else %s needs an address of its own: --address 10.1.2.3/24",
		device->rule_interface, device->name, device->rule_interface, device->name);
}

static int choose_shared(struct steering *s, uint16_t queues, const struct why *why)
{
	s->kind = STEERING_RULES;
	if (s->device->share == DPDK_SHARED_PARENT)
		return choose_parent(s, queues, why);
	if (find_rules(s, queues))
		return 0;
	return why_say(why, HW_ERR_UNSUPPORTED,
		       "%s takes no rules for single connections, so it needs an address of its own: --address "
		       "10.1.2.3/24",
		       s->device->name);
}

/* What a virtual device does with its queues is the kernel's or the program's business, and may well work. */
static enum steering_kind choose_without_rules(const struct steering *s)
{
	switch (s->rss.state) {
	case RSS_KNOWN:
		return rss_reaches_all_queues(&s->rss) ? STEERING_RSS : STEERING_NONE;
	case RSS_UNKNOWN:
		return STEERING_TRYING;
	case RSS_OFF:
		break;
	}
	return s->device->pci ? STEERING_NONE : STEERING_TRYING;
}

int steering_choose(struct steering *s, uint16_t queues, const struct why *why)
{
	rss_learn(&s->rss, s->port_id);
	if (is_shared(s))
		return choose_shared(s, queues, why);
	if (queues == 1)
		return 0;
	s->kind = find_rules(s, queues) ? STEERING_RULES : choose_without_rules(s);
	if (s->kind != STEERING_NONE)
		return 0;
	return why_say(why, HW_ERR_UNSUPPORTED, "%s cannot steer packets to several queues: give it one worker",
		       s->device->name);
}

/* ---- for people ---- */

static const char *rss_text(const struct steering *s)
{
	if (s->rss.state != RSS_KNOWN)
		return "RSS, by trying";
	return s->rss.with_ports ? "RSS, foretold" : "RSS, foretold from the addresses alone";
}

void steering_describe(struct steering *s, char *text, size_t bytes)
{
	const struct dpdk_device *device = s->device;
	const char *rules = s->form == FLOW_RULE_LOCAL_PORT ? "a rule for each local port (rte_flow)"
							    : "a rule for each connection (rte_flow)";
	pthread_mutex_lock(&s->lock);
	switch (s->kind) {
	case STEERING_NONE:
		snprintf(text, bytes, "one queue");
		break;
	case STEERING_RULES:
		if (device->share == DPDK_SHARED_PARENT)
			snprintf(text, bytes, "a rule for each connection (ntuple of %s, virtual function %d)",
				 device->rule_interface, device->vf);
		else
			snprintf(text, bytes, "%s%s%s", rules,
				 is_shared(s) ? ", isolated"
				 : s->full    ? ", full: "
					      : "",
				 !is_shared(s) && s->full ? rss_text(s) : "");
		break;
	case STEERING_RSS:
		snprintf(text, bytes, "%s", rss_text(s));
		break;
	case STEERING_TRYING:
		snprintf(text, bytes, "RSS, by trying");
		break;
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- one connection ---- */

static bool has_rule(const struct steered_flow *flow)
{
	return flow->rule || flow->location >= 0;
}

static void add_rule(const struct steering *s, struct steered_flow *flow, uint16_t queue)
{
	if (s->device->share == DPDK_SHARED_PARENT)
		flow->location = ntuple_add(s->device->rule_interface, &flow->flow, s->device->vf, queue);
	else
		flow->rule = flow_rule_create(s->port_id, s->form, &flow->flow, queue);
}

/* A device without rules to spare still has RSS, which may bring it; without that queue 0 has all that no rule moves.
 */
static int begin_by_rule(struct steering *s, struct steered_flow *flow, uint16_t queue)
{
	add_rule(s, flow, queue);
	if (has_rule(flow))
		return 0;
	if (is_shared(s))
		return HW_ERR_NO_RULE;
	s->full = true;
	return s->rss.state == RSS_OFF && queue != 0 ? HW_ERR_NO_RULE : 0;
}

int steering_begin(struct steering *s, struct steered_flow *flow, uint16_t queue)
{
	flow->rule = NULL;
	flow->location = -1;
	flow->wrong_queue = -1;
	pthread_mutex_lock(&s->lock);
	int err = s->kind == STEERING_RULES ? begin_by_rule(s, flow, queue) : 0;
	pthread_mutex_unlock(&s->lock);
	return err;
}

void steering_end(struct steering *s, struct steered_flow *flow)
{
	pthread_mutex_lock(&s->lock);
	if (has_rule(flow))
		s->full = false;
	if (flow->rule)
		flow_rule_destroy(s->port_id, flow->rule);
	if (flow->location >= 0)
		ntuple_remove(s->device->rule_interface, flow->location);
	flow->rule = NULL;
	flow->location = -1;
	pthread_mutex_unlock(&s->lock);
}

int steering_foretell(struct steering *s, const struct driver_flow *flow)
{
	pthread_mutex_lock(&s->lock);
	bool by_hash = s->kind == STEERING_RSS || (s->kind == STEERING_RULES && !is_shared(s) && s->full);
	int queue = by_hash && s->rss.state == RSS_KNOWN ? rss_queue(&s->rss, flow) : -1;
	pthread_mutex_unlock(&s->lock);
	return queue;
}

/*
 * A rule that does not bring what it says is as good as none: what comes after it in the order above. A hash foretold
 * wrongly (another function than Toeplitz, a key used otherwise) is not to be foretold at all.
 */
void steering_stray(struct steering *s, struct steered_flow *flow, uint16_t queue)
{
	pthread_mutex_lock(&s->lock);
	flow->wrong_queue = queue;
	if (!has_rule(flow) && s->rss.state == RSS_KNOWN && rss_queue(&s->rss, &flow->flow) != queue)
		s->rss.state = RSS_UNKNOWN;
	if (has_rule(flow) && !is_shared(s))
		s->kind = STEERING_RSS;
	if (s->kind == STEERING_RSS && s->rss.state != RSS_KNOWN)
		s->kind = STEERING_TRYING;
	pthread_mutex_unlock(&s->lock);
}
