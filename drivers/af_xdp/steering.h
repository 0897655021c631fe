/*
 * Brings a flow to our queue by an exact-match rule in the NIC (ethtool's "ntuple"), where it has such rules. Control
 * thread.
 */
#ifndef HAREWIRE_AF_XDP_STEERING_H
#define HAREWIRE_AF_XDP_STEERING_H

#include <stdbool.h>
#include <stdint.h>

struct driver_flow;

/* Does the device know such rules at all? They may still be switched off. */
bool steering_is_possible(const char *interface);

/*
 * Adds a rule: packets of the flow go to `queue`. On success the rule's location (>= 0) for steering_remove; -1 when
 * the device has no such rules, has them switched off (`ethtool -K <interface> ntuple on`), or no room.
 */
int64_t steering_add(const char *interface, const struct driver_flow *flow, uint32_t queue);
void steering_remove(const char *interface, int64_t location);

#endif
