#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "tests/lib/fake_ethdev/internal.h"

struct fake_ethdev nic;

static void *queue_numbers[FAKE_QUEUES_MAX];

void fake_ethdev_reset(void)
{
	memset(&nic, 0, sizeof nic);
	nic.driver = "net_fake";
	nic.queues_max = 1;
	nic.mtu = 1500;
	nic.node = -1;
	nic.rules_max = FAKE_RULES_MAX;
	fake_rules_reset();
}

static int fail(int error)
{
	if (nic.words)
		rte_log(RTE_LOG_ERR, RTE_LOGTYPE_EAL, "%s\n", nic.words);
	return error;
}

/* ---- probing ---- */

int rte_dev_probe(const char *devargs)
{
	if (nic.probe_error)
		return fail(nic.probe_error);
	snprintf(nic.devargs, sizeof nic.devargs, "%s", devargs);
	nic.held = true;
	nic.probed = !nic.probes_to_nothing;
	return 0;
}

int rte_dev_remove(struct rte_device *device)
{
	nic.held = nic.probed = false;
	return 0;
}

int rte_eal_hotplug_remove(const char *bus, const char *name)
{
	return rte_dev_remove(NULL);
}

const char *rte_dev_name(const struct rte_device *device)
{
	static char name[sizeof nic.devargs];
	snprintf(name, sizeof name, "%.*s", (int)strcspn(nic.devargs, ","), nic.devargs);
	return name;
}

uint64_t rte_eth_find_next_owned_by(uint16_t port_id, const uint64_t owner)
{
	return nic.probed && port_id <= FAKE_PORT ? FAKE_PORT : RTE_MAX_ETHPORTS;
}

int rte_eth_dev_get_port_by_name(const char *name, uint16_t *port_id)
{
	if (!nic.probed || nic.port_name)
		return -ENODEV;
	*port_id = FAKE_PORT;
	return 0;
}

int rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	*info = (struct rte_eth_dev_info){.driver_name = nic.driver,
					  .min_mtu = 68,
					  .max_mtu = 9978,
					  .max_rx_queues = nic.queues_max,
					  .max_tx_queues = nic.queues_max,
					  .flow_type_rss_offloads = nic.rss_types,
					  .hash_key_size = nic.key_bytes,
					  .reta_size = nic.reta_size};
	return 0;
}

int rte_eth_macaddr_get(uint16_t port_id, struct rte_ether_addr *mac)
{
	*mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, 9}};
	return 0;
}

int rte_eth_dev_socket_id(uint16_t port_id)
{
	return nic.node;
}

/* ---- configuring ---- */

int rte_eth_dev_get_mtu(uint16_t port_id, uint16_t *mtu)
{
	*mtu = nic.mtu;
	return 0;
}

int rte_eth_dev_set_mtu(uint16_t port_id, uint16_t mtu)
{
	nic.mtu_set = nic.mtu = mtu;
	return 0;
}

int rte_eth_dev_configure(uint16_t port_id, uint16_t rx_queues, uint16_t tx_queues, const struct rte_eth_conf *conf)
{
	if (nic.configure_error)
		return fail(nic.configure_error);
	if (rx_queues > nic.queues_max || rx_queues != tx_queues)
		return -EINVAL;
	nic.queues = rx_queues;
	nic.mtu = conf->rxmode.mtu ? (uint16_t)conf->rxmode.mtu : 1500; /* as DPDK does; mlx5 tells the kernel */
	nic.isolated_before_configure = nic.isolated;
	return fake_rss_configure(conf);
}

int rte_eth_dev_adjust_nb_rx_tx_desc(uint16_t port_id, uint16_t *rx, uint16_t *tx)
{
	*rx = *tx = 64;
	return 0;
}

int rte_eth_rx_queue_setup(uint16_t port_id, uint16_t queue, uint16_t descriptors, unsigned node,
			   const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	nic.rx_pool[queue] = pool;
	nic.drops_when_full[queue] = conf->rx_drop_en;
	if (rte_pktmbuf_data_room_size(pool) < RTE_PKTMBUF_HEADROOM + nic.mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN)
		return -ENOMEM; /* mlx5: no scattering was asked for */
	return queue < nic.queues ? 0 : -EINVAL;
}

int rte_eth_tx_queue_setup(uint16_t port_id, uint16_t queue, uint16_t descriptors, unsigned node,
			   const struct rte_eth_txconf *conf)
{
	return queue < nic.queues ? 0 : -EINVAL;
}

/* ---- running ---- */

static uint16_t receive_nothing(void *queue, struct rte_mbuf **packets, uint16_t n)
{
	return 0;
}

static uint16_t send_all(void *queue, struct rte_mbuf **packets, uint16_t n)
{
	nic.sent[(void **)queue - queue_numbers] += n;
	rte_pktmbuf_free_bulk(packets, n);
	return n;
}

int rte_eth_dev_start(uint16_t port_id)
{
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[port_id];
	if (nic.start_error)
		return fail(nic.start_error);
	for (int i = 0; i < FAKE_QUEUES_MAX; i++)
		queue_numbers[i] = &queue_numbers[i];
	ops->rx_pkt_burst = receive_nothing;
	ops->tx_pkt_burst = send_all;
	ops->rxq.data = ops->txq.data = queue_numbers;
	static void *no_callbacks[FAKE_QUEUES_MAX];
	ops->rxq.clbk = ops->txq.clbk = no_callbacks;
	nic.started = true;
	return 0;
}

int rte_eth_dev_stop(uint16_t port_id)
{
	nic.started = false;
	return 0;
}

int rte_eth_dev_close(uint16_t port_id)
{
	nic.closed = true;
	nic.isolated = false;
	return 0;
}

int rte_eth_link_get_nowait(uint16_t port_id, struct rte_eth_link *link)
{
	link->link_status = nic.down ? RTE_ETH_LINK_DOWN : RTE_ETH_LINK_UP;
	return 0;
}

int rte_eth_stats_get(uint16_t port_id, struct rte_eth_stats *stats)
{
	*stats = nic.stats;
	return 0;
}

int rte_eth_tx_done_cleanup(uint16_t port_id, uint16_t queue, uint32_t n)
{
	return 0;
}
