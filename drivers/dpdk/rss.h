/*
 * Receive-side scaling foretold. A device hashes what identifies a flow (Toeplitz, with a key) and takes the queue from
 * its indirection table (RETA) at hash modulo the table's size. We set key and table where the device lets us, read
 * back what it really has, and compute the same. Control thread.
 */
#ifndef HAREWIRE_DPDK_RSS_H
#define HAREWIRE_DPDK_RSS_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/driver.h"

#define RSS_KEY_MAX_BYTES 128u
#define RSS_RETA_MAX      2048u

struct rte_eth_conf;
struct rte_eth_dev_info;

enum rss_state {
	RSS_OFF,     /* every packet arrives on queue 0 */
	RSS_UNKNOWN, /* the device spreads them, who knows how */
	RSS_KNOWN    /* rss_queue tells */
};

struct rss {
	enum rss_state state;
	bool ours; /* the device was configured with our key */
	bool with_ports;
	uint64_t hash_types;
	uint16_t queues, reta_size;
	uint8_t key_bytes;
	uint8_t key[RSS_KEY_MAX_BYTES];
	uint16_t reta[RSS_RETA_MAX];
};

/* How rte_eth_dev_configure may be asked for RSS; from attempt 0 up, the next if the device refuses. False: no more. */
bool rss_configure(struct rss *rss, const struct rte_eth_dev_info *info, uint16_t queues, uint32_t attempt,
		   struct rte_eth_conf *conf);

/* Writes our table: before the port starts, for devices that read it then. Others refuse, and are asked again. */
void rss_write_table(const struct rss *rss, uint16_t port_id);

/* The port runs: finds out what it really does. */
void rss_learn(struct rss *rss, uint16_t port_id);

/* With RSS_KNOWN: is there a hash that leads to each queue? */
bool rss_reaches_all_queues(const struct rss *rss);

/* With RSS_KNOWN: the queue on which packets of the flow arrive. */
uint16_t rss_queue(const struct rss *rss, const struct driver_flow *flow);

#endif
