/*
 * Brings a flow to our queue by an exact-match rule in the NIC (ethtool's "ntuple"), where it has such rules. Control
 * thread.
 */
#ifndef HAREWIRE_AF_XDP_STEERING_H
#define HAREWIRE_AF_XDP_STEERING_H

#include <stdint.h>

struct driver_flow;

/*
 * Adds a rule: packets of the flow go to `queue`. On success the rule's location (>= 0) for steering_remove; -1 when
 * the device has no such rules, has them switched off (`ethtool -K <interface> ntuple on`), or no room.
 */
int64_t steering_add(const char *interface, const struct driver_flow *flow, uint32_t queue);
void steering_remove(const char *interface, int64_t location);

#endif
