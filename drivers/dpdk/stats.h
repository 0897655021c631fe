/* Statistics operations of struct driver_ops. */
#ifndef HAREWIRE_DPDK_STATS_H
#define HAREWIRE_DPDK_STATS_H

#include "drivers/driver.h"

void dpdk_stats(const struct driver *d, struct driver_stats *out);
uint32_t dpdk_extra_stats(const struct driver *d, driver_stat_visitor *each, void *context);

#endif
