/* Set-up operations of struct driver_ops that are about flows, and what they leave behind. Control thread. */
#ifndef HAREWIRE_DPDK_FLOWS_H
#define HAREWIRE_DPDK_FLOWS_H

#include "drivers/driver.h"

/* Of one instance; a worker has 256 connections at most, and one may end while its successor begins. */
#define DPDK_FLOWS_MAX 512u

struct dpdk;

int dpdk_flow_add(struct driver *d, const struct driver_flow *flow);
void dpdk_flow_remove(struct driver *d, const struct driver_flow *flow);
int dpdk_flow_queue(const struct driver *d, const struct driver_flow *flow);
void dpdk_flow_strayed(struct driver *d, const struct driver_flow *flow, uint32_t queue);
int dpdk_flow_wrong_queue(struct driver *d, const struct driver_flow *flow);

/* Removes all that are left, with their rules. */
void dpdk_flows_end(struct dpdk *dpdk);

#endif
