#include "drivers/dpdk/flows.h"

#include "dataplane/base/error.h"
#include "drivers/dpdk/instance.h"

static bool same_flow(const struct driver_flow *a, const struct driver_flow *b)
{
	return a->local_ip == b->local_ip && a->remote_ip == b->remote_ip && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port;
}

static struct steered_flow *find(struct dpdk *dpdk, const struct driver_flow *flow)
{
	for (uint32_t i = 0; i < DPDK_FLOWS_MAX; i++)
		if (dpdk->flows[i].used && same_flow(&dpdk->flows[i].flow, flow))
			return &dpdk->flows[i];
	return NULL;
}

/* What is believed is the port's. */
static void describe_again(struct dpdk *dpdk)
{
	struct driver_info *info = &dpdk->driver.info;
	steering_describe(&dpdk->port->steering, info->steering, sizeof info->steering);
}

int dpdk_flow_add(struct driver *d, const struct driver_flow *flow)
{
	struct dpdk *dpdk = (struct dpdk *)d;
	uint32_t i = 0;
	if (find(dpdk, flow))
		return HW_ERR_BUSY;
	while (i < DPDK_FLOWS_MAX && dpdk->flows[i].used)
		i++;
	if (i == DPDK_FLOWS_MAX)
		return HW_ERR_NOMEM;
	dpdk->flows[i].flow = *flow;
	int err = steering_begin(&dpdk->port->steering, &dpdk->flows[i], dpdk->queue);
	dpdk->flows[i].used = !err;
	describe_again(dpdk);
	return err;
}

static void end(struct dpdk *dpdk, struct steered_flow *flow)
{
	steering_end(&dpdk->port->steering, flow);
	flow->used = false;
}

void dpdk_flow_remove(struct driver *d, const struct driver_flow *flow)
{
	struct dpdk *dpdk = (struct dpdk *)d;
	struct steered_flow *steered = find(dpdk, flow);
	if (steered)
		end(dpdk, steered);
	describe_again(dpdk);
}

void dpdk_flows_end(struct dpdk *dpdk)
{
	for (uint32_t i = 0; i < DPDK_FLOWS_MAX; i++)
		if (dpdk->flows[i].used)
			end(dpdk, &dpdk->flows[i]);
}

int dpdk_flow_queue(const struct driver *d, const struct driver_flow *flow)
{
	return steering_foretell(&((const struct dpdk *)d)->port->steering, flow);
}

void dpdk_flow_strayed(struct driver *d, const struct driver_flow *flow, uint32_t queue)
{
	struct dpdk *dpdk = (struct dpdk *)d;
	struct steered_flow *steered = find(dpdk, flow);
	if (!steered || queue == dpdk->queue || queue >= dpdk->port->queues)
		return;
	steering_stray(&dpdk->port->steering, steered, (uint16_t)queue);
	describe_again(dpdk);
}

int dpdk_flow_wrong_queue(struct driver *d, const struct driver_flow *flow)
{
	const struct steered_flow *steered = find((struct dpdk *)d, flow);
	return steered ? steered->wrong_queue : -1;
}
