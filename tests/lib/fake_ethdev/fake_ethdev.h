/*
 * A NIC in place of DPDK's: it defines the rte_eth_*, rte_flow_* and probing functions that the driver calls, so a test
 * linked with it plays any device, of any capabilities, and sees where packets would arrive. Memory and EAL are DPDK's.
 */
#ifndef HAREWIRE_FAKE_ETHDEV_H
#define HAREWIRE_FAKE_ETHDEV_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>

#include "drivers/driver.h"

#define FAKE_QUEUES_MAX 64
#define FAKE_RULES_MAX  64
#define FAKE_KEY_MAX    64
#define FAKE_RETA_MAX   512

/* When the device takes a setting. */
enum fake_when { FAKE_NEVER, FAKE_AT_CONFIGURE, FAKE_BEFORE_START, FAKE_RUNNING, FAKE_ANY_TIME };

struct fake_rule {
	bool by_addresses, by_protocol, by_remote_port, by_local_port, partial_mask;
	struct driver_flow flow;
	uint16_t queue;
};

struct fake_ethdev {
	/* What it can do: set by the test, after fake_ethdev_reset. */
	const char *driver;
	uint16_t queues_max;
	uint16_t mtu; /* before it is configured; then the one in force */
	int node;
	uint64_t rss_types;
	uint64_t rss_types_refused_alone; /* configure fails when asked for exactly these */
	uint8_t key_bytes;
	uint16_t reta_size;
	enum fake_when key, reta;
	bool key_readable, reta_readable, key_refused_at_configure;
	bool reta_all_zero;                               /* what it begins with; else something that spreads */
	bool other_hash;                                  /* not Toeplitz, whatever it says */
	bool (*takes_rule)(const struct fake_rule *rule); /* NULL: it knows no rte_flow */
	bool rules_without_effect;
	uint32_t rules_max;
	bool isolates;
	bool down;                                     /* the link */
	int probe_error, configure_error, start_error; /* -errno */
	const char *words;                             /* logged as an error with those */
	bool probes_to_nothing;                        /* probing succeeds and there is no port */
	bool port_name;                                /* the port has a name of its own, not its device's */
	struct rte_eth_stats stats;

	/* What was done to it. */
	bool held; /* the device, by DPDK */
	bool probed, started, closed, isolated, isolated_before_configure;
	char devargs[256];
	uint16_t queues, mtu_set;
	uint64_t asked_types, types; /* of hash; in the last configure, in force */
	uint32_t rules, rules_made;
	struct rte_mempool *rx_pool[FAKE_QUEUES_MAX];
	bool drops_when_full[FAKE_QUEUES_MAX]; /* instead of holding up what is for other queues */
	uint64_t sent[FAKE_QUEUES_MAX];
	uint8_t key_now[FAKE_KEY_MAX];
	uint16_t reta_now[FAKE_RETA_MAX];
};

extern struct fake_ethdev nic;

void fake_ethdev_reset(void);

/* On which queue a packet of the flow arrives; -1: the kernel has it. */
int fake_ethdev_arrival(const struct driver_flow *flow);
/* The rule that matches the flow, or NULL. */
const struct fake_rule *fake_ethdev_rule(const struct driver_flow *flow);

#endif
