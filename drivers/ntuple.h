/*
 * Brings a flow to a queue by an exact-match rule in the NIC (ethtool's "ntuple"), where its kernel driver has such
 * rules. Control thread.
 */
#ifndef HAREWIRE_NTUPLE_H
#define HAREWIRE_NTUPLE_H

#include <stdbool.h>
#include <stdint.h>

struct driver_flow;

/* Does the interface know such rules at all? They may still be switched off. */
bool ntuple_is_possible(const char *interface);

/*
 * Adds a rule: packets of the flow go to `queue` of the interface, or of its virtual function `vf` (-1: its own). On
 * success the rule's location (>= 0) for ntuple_remove; -1 when the device has no such rules, has them switched off
 * (`ethtool -K <interface> ntuple on`), or no room.
 */
int64_t ntuple_add(const char *interface, const struct driver_flow *flow, int vf, uint32_t queue);
void ntuple_remove(const char *interface, int64_t location);

#endif
