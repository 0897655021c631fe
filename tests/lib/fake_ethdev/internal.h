/* Between the files of the played NIC. */
#ifndef HAREWIRE_FAKE_ETHDEV_INTERNAL_H
#define HAREWIRE_FAKE_ETHDEV_INTERNAL_H

#include "tests/lib/fake_ethdev/fake_ethdev.h"

#define FAKE_PORT 7 /* not 0, which would hide a field that is not set */

void fake_rules_reset(void);
int fake_rss_configure(const struct rte_eth_conf *conf);
uint16_t fake_rss_queue(const struct driver_flow *flow);

#endif
