#include "drivers/dpdk/rss.h"

#include <string.h>

#include <rte_ethdev.h>

#include "dataplane/base/bytes.h"

#define GROUPS_MAX (RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE)

/* Toeplitz takes 32 bits of the key from every bit of its input on: that many octets of it are used. */
#define KEY_BYTES_USED (12u + 4u)

/*
 * Any key does but a repeating one, which would make the hash blind to what it repeats with. Of those in common use
 * this is the one that test vectors were published for; longer ones repeat it beyond the octets that count.
 */
static const uint8_t KEY[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
				0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
				0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* ---- asking for it ---- */

/* The hash types to ask for: TCP's is what we need, some devices only take it together with IPv4's. 0: no more. */
static uint64_t hash_types(uint64_t offered, uint32_t attempt)
{
	const uint64_t tcp = offered & RTE_ETH_RSS_NONFRAG_IPV4_TCP, ip = offered & RTE_ETH_RSS_IPV4;
	if (attempt < 2)
		return tcp ? tcp : ip;
	return attempt < 4 && tcp && ip ? tcp | ip : 0;
}

bool rss_configure(struct rss *rss, const struct rte_eth_dev_info *info, uint16_t queues, uint32_t attempt,
		   struct rte_eth_conf *conf)
{
	uint64_t types = hash_types(info->flow_type_rss_offloads, attempt);
	if (!types || queues < 2)
		return false;
	memset(rss, 0, sizeof *rss);
	rss->state = RSS_UNKNOWN;
	rss->queues = queues;
	rss->hash_types = types;
	rss->reta_size = info->reta_size <= RSS_RETA_MAX ? info->reta_size : 0;
	rss->key_bytes = info->hash_key_size <= RSS_KEY_MAX_BYTES ? info->hash_key_size : 0;
	rss->ours = attempt % 2 == 0 && rss->key_bytes >= KEY_BYTES_USED;
	for (uint32_t i = 0; i < rss->key_bytes; i++)
		rss->key[i] = KEY[i % sizeof KEY];
	for (uint32_t i = 0; i < rss->reta_size; i++)
		rss->reta[i] = (uint16_t)(i % queues);
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){.rss_hf = types};
	if (rss->ours) {
		conf->rx_adv_conf.rss_conf.rss_key = rss->key;
		conf->rx_adv_conf.rss_conf.rss_key_len = rss->key_bytes;
	}
	return true;
}

/* ---- the table ---- */

static void select_all(struct rte_eth_rss_reta_entry64 *groups, uint16_t size)
{
	for (uint32_t i = 0; i < size; i++)
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= RTE_BIT64(i % RTE_ETH_RETA_GROUP_SIZE);
}

void rss_write_table(const struct rss *rss, uint16_t port_id)
{
	struct rte_eth_rss_reta_entry64 groups[GROUPS_MAX] = {0};
	if (!rss->reta_size)
		return;
	select_all(groups, rss->reta_size);
	for (uint32_t i = 0; i < rss->reta_size; i++)
		groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = rss->reta[i];
	rte_eth_dev_rss_reta_update(port_id, groups, rss->reta_size);
}

/* False: the device does not show it, or has queues in it that are not there. */
static bool read_table(const struct rss *rss, uint16_t port_id, uint16_t *table)
{
	struct rte_eth_rss_reta_entry64 groups[GROUPS_MAX] = {0};
	if (!rss->reta_size)
		return false;
	select_all(groups, rss->reta_size);
	if (rte_eth_dev_rss_reta_query(port_id, groups, rss->reta_size) != 0)
		return false;
	for (uint32_t i = 0; i < rss->reta_size; i++) {
		table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
		if (table[i] >= rss->queues)
			return false;
	}
	return true;
}

/* Ours if the device takes it now that it runs; what it has otherwise. */
static bool learn_table(struct rss *rss, uint16_t port_id)
{
	uint16_t table[RSS_RETA_MAX];
	size_t bytes = rss->reta_size * sizeof table[0];
	if (read_table(rss, port_id, table) && memcmp(table, rss->reta, bytes) == 0)
		return true;
	rss_write_table(rss, port_id);
	if (!read_table(rss, port_id, table))
		return false;
	memcpy(rss->reta, table, bytes);
	return true;
}

/* ---- the key and the hash's input ---- */

static bool is_zero(const uint8_t *octets, size_t n)
{
	while (n && octets[n - 1] == 0)
		n--;
	return n == 0;
}

/* What the device says it uses. A driver without an answer fails, or leaves the key as it was. */
static bool read_key(struct rss *rss, uint16_t port_id)
{
	uint8_t key[RSS_KEY_MAX_BYTES] = {0};
	struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = rss->key_bytes};
	if (rss->key_bytes < KEY_BYTES_USED || rte_eth_dev_rss_hash_conf_get(port_id, &conf) != 0 ||
	    is_zero(key, rss->key_bytes))
		return false;
	memcpy(rss->key, key, rss->key_bytes);
	rss->hash_types = conf.rss_hf;
	return true;
}

/* Without an answer we believe that it has taken what we gave it; the first packet will show. */
static bool learn_key(struct rss *rss, uint16_t port_id)
{
	if (read_key(rss, port_id))
		return true;
	struct rte_eth_rss_conf conf = {.rss_key = rss->key, .rss_key_len = rss->key_bytes, .rss_hf = rss->hash_types};
	return rss->key_bytes >= KEY_BYTES_USED && (rss->ours || rte_eth_dev_rss_hash_update(port_id, &conf) == 0);
}

void rss_learn(struct rss *rss, uint16_t port_id)
{
	if (rss->state == RSS_OFF)
		return;
	bool known = learn_table(rss, port_id) && learn_key(rss, port_id);
	rss->with_ports = rss->hash_types & RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	if (known && (rss->with_ports || (rss->hash_types & RTE_ETH_RSS_IPV4)))
		rss->state = RSS_KNOWN;
}

/* ---- foretelling ---- */

bool rss_reaches_all_queues(const struct rss *rss)
{
	for (uint16_t queue = 0; queue < rss->queues; queue++) {
		uint32_t i = 0;
		while (i < rss->reta_size && rss->reta[i] != queue)
			i++;
		if (i == rss->reta_size)
			return false;
	}
	return true;
}

/* The window is the key's next 32 bits, from the input bit that is looked at on. */
static uint32_t toeplitz(const uint8_t *key, const uint32_t *input, uint32_t words)
{
	uint32_t hash = 0;
	uint64_t window = (uint64_t)get_be32(key) << 32;
	for (uint32_t word = 0; word < words; word++) {
		window |= get_be32(key + 4 * (word + 1));
		for (uint32_t bit = 0; bit < 32; bit++, window <<= 1)
			if (input[word] << bit & 0x80000000u)
				hash ^= (uint32_t)(window >> 32);
	}
	return hash;
}

/* The packet's own order: its source is the remote end. */
uint16_t rss_queue(const struct rss *rss, const struct driver_flow *flow)
{
	const uint32_t input[3] = {flow->remote_ip, flow->local_ip,
				   (uint32_t)flow->remote_port << 16 | flow->local_port};
	return rss->reta[toeplitz(rss->key, input, rss->with_ports ? 3 : 2) % rss->reta_size];
}
