/* The NIC's RSS: an oracle of its own, from DPDK's software hash. */
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_thash.h>

#include "tests/lib/fake_ethdev/internal.h"

static bool takes(enum fake_when when)
{
	if (when == FAKE_ANY_TIME)
		return true;
	return nic.started ? when == FAKE_RUNNING : when == FAKE_BEFORE_START;
}

static void begin_with_own_values(void)
{
	for (uint32_t i = 0; i < nic.key_bytes; i++)
		nic.key_now[i] = (uint8_t)(i * 37 + 11);
	for (uint32_t i = 0; i < nic.reta_size; i++)
		nic.reta_now[i] = nic.reta_all_zero ? 0 : (uint16_t)((i / 2 + 1) % nic.queues);
}

int fake_rss_configure(const struct rte_eth_conf *conf)
{
	const struct rte_eth_rss_conf *rss = &conf->rx_adv_conf.rss_conf;
	uint64_t wanted = conf->rxmode.mq_mode == RTE_ETH_MQ_RX_RSS ? rss->rss_hf : 0;
	if ((wanted & nic.rss_types) != wanted || (wanted && wanted == nic.rss_types_refused_alone))
		return -EINVAL;
	if (wanted && rss->rss_key &&
	    (nic.key == FAKE_NEVER || nic.key_refused_at_configure || rss->rss_key_len != nic.key_bytes))
		return -EINVAL;
	nic.asked_types = nic.types = wanted;
	begin_with_own_values();
	if (wanted && rss->rss_key && nic.key != FAKE_RUNNING)
		memcpy(nic.key_now, rss->rss_key, nic.key_bytes);
	return 0;
}

int rte_eth_dev_rss_hash_update(uint16_t port_id, struct rte_eth_rss_conf *conf)
{
	if (!takes(nic.key))
		return -ENOTSUP;
	memcpy(nic.key_now, conf->rss_key, nic.key_bytes);
	return 0;
}

int rte_eth_dev_rss_hash_conf_get(uint16_t port_id, struct rte_eth_rss_conf *conf)
{
	if (!nic.key_readable)
		return -ENOTSUP;
	memcpy(conf->rss_key, nic.key_now, nic.key_bytes);
	conf->rss_hf = nic.types;
	return 0;
}

int rte_eth_dev_rss_reta_update(uint16_t port_id, struct rte_eth_rss_reta_entry64 *groups, uint16_t size)
{
	if (!takes(nic.reta))
		return -ENOTSUP;
	if (size != nic.reta_size)
		return -EINVAL;
	for (uint32_t i = 0; i < size; i++)
		if (groups[i / 64].mask >> i % 64 & 1)
			nic.reta_now[i] = groups[i / 64].reta[i % 64];
	return 0;
}

int rte_eth_dev_rss_reta_query(uint16_t port_id, struct rte_eth_rss_reta_entry64 *groups, uint16_t size)
{
	if (!nic.reta_readable || size != nic.reta_size)
		return -ENOTSUP;
	for (uint32_t i = 0; i < size; i++)
		if (groups[i / 64].mask >> i % 64 & 1)
			groups[i / 64].reta[i % 64] = nic.reta_now[i];
	return 0;
}

uint16_t fake_rss_queue(const struct driver_flow *flow)
{
	union rte_thash_tuple tuple = {.v4 = {.src_addr = flow->remote_ip,
					      .dst_addr = flow->local_ip,
					      .sport = flow->remote_port,
					      .dport = flow->local_port}};
	uint32_t words = nic.types & RTE_ETH_RSS_NONFRAG_IPV4_TCP ? RTE_THASH_V4_L4_LEN : RTE_THASH_V4_L3_LEN;
	uint32_t key[FAKE_KEY_MAX / 4], hash;
	if (!nic.types || !nic.reta_size)
		return 0;
	memcpy(key, nic.key_now, sizeof key);
	hash = rte_softrss((uint32_t *)&tuple, words, (const uint8_t *)key);
	if (nic.other_hash)
		hash = hash * 2654435761u >> 7;
	return nic.reta_now[hash % nic.reta_size];
}
