#include "drivers/dpdk/offload.h"

#include <string.h>

#include <rte_ethdev.h>

#include "dataplane/base/error.h"

#define CHECKSUM RTE_ETH_TX_OFFLOAD_TCP_CKSUM
#define SEGMENT  (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
#define ANY      (CHECKSUM | SEGMENT)

/*
 * Offloads that make a driver send by another function than its fastest, as its sources of DPDK 22.11 have it. Drivers
 * that are not listed have one function, or choose by other things.
 */
static const struct {
	const char *driver;
	uint64_t slow;
} COSTS[] = {
	/* the simple and vector functions do nothing but FAST_FREE */
	{"net_i40e", ANY},
	{"net_ixgbe", ANY},
	{"net_ixgbe_vf", ANY},
	{"net_txgbe", ANY},
	{"net_txgbe_vf", ANY},
	{"net_ngbe", ANY},
	{"net_hns3", ANY},
	{"net_hns3_vf", ANY},
	{"net_bnxt", ANY},
	{"net_fm10k", ANY},
	/* those that do checksums take AVX-512, which the EAL does not allow unless told to */
	{"net_iavf", ANY},
	/* the vector functions, from AVX2 on, and the simple one do checksums */
	{"net_ice", SEGMENT},
	{"net_ice_dcf", SEGMENT},
	{"net_enic", SEGMENT},
	/* the driver cuts, not a device, and smaller than the MTU: see below */
	{"net_tap", SEGMENT},
};

/* It takes a segment and its link header for an IP packet when it compares it with the MTU. */
static uint16_t tap_mtu_less(const char *driver)
{
	return strcmp(driver, "net_tap") == 0 ? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN : 0;
}

static uint64_t slow_on(const char *driver)
{
	for (size_t i = 0; i < RTE_DIM(COSTS); i++)
		if (strcmp(COSTS[i].driver, driver) == 0)
			return COSTS[i].slow;
	return 0;
}

static bool use(enum dpdk_use wish, uint64_t offload, const struct rte_eth_dev_info *info)
{
	return wish == DPDK_USE_ON ||
	       (wish == DPDK_USE_AUTO && info->tx_offload_capa & offload && !(slow_on(info->driver_name) & offload));
}

/* 0 in the limits: the driver does not say. A segment of the wire may begin in one piece and end in the next. */
static uint32_t pieces(const struct rte_eth_dev_info *info)
{
	uint16_t most = info->tx_desc_lim.nb_seg_max, segment = info->tx_desc_lim.nb_mtu_seg_max;
	if (!(info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) || (segment && segment < 3))
		return 1;
	return most && most < DPDK_PIECES_MAX ? most : DPDK_PIECES_MAX;
}

static int check(const char *device, const struct rte_eth_dev_info *info, const struct dpdk_options *options,
		 const struct why *why)
{
	if (options->tso == DPDK_USE_ON && options->checksum == DPDK_USE_OFF)
		return why_say(why, HW_ERR_INVALID,
			       "segmentation by %s (TSO) needs its checksums, which are switched off: switch them on, "
			       "or TSO off",
			       device);
	if (options->checksum == DPDK_USE_ON && !(info->tx_offload_capa & CHECKSUM))
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "%s (%s) computes no TCP checksums: set checksum offload to auto or off", device,
			       info->driver_name);
	if (options->tso == DPDK_USE_ON &&
	    !(info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO && info->tx_offload_capa & CHECKSUM))
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "%s (%s) cannot cut packets into TCP segments: set TSO to auto or off", device,
			       info->driver_name);
	return 0;
}

int dpdk_offloads_choose(const char *device, const struct rte_eth_dev_info *info, const struct dpdk_options *options,
			 struct dpdk_offloads *out, const struct why *why)
{
	int err = check(device, info, options, why);
	*out = (struct dpdk_offloads){0};
	if (err)
		return err;
	bool segment = use(options->tso, RTE_ETH_TX_OFFLOAD_TCP_TSO, info) && info->tx_offload_capa & CHECKSUM &&
		       options->checksum != DPDK_USE_OFF;
	out->tx_checksum = segment || use(options->checksum, CHECKSUM, info);
	out->rx_checksum = options->checksum != DPDK_USE_OFF && info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	out->rx = out->rx_checksum ? RTE_ETH_RX_OFFLOAD_TCP_CKSUM : 0;
	out->tx = out->tx_checksum ? CHECKSUM : 0;
	if (!segment) {
		/* one pool, and nobody else holds a buffer: the device gives them back in bulk, unlooked at */
		out->tx |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
		return 0;
	}
	out->tx |= info->tx_offload_capa & (SEGMENT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	out->ip_checksum = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	out->tso_bytes = pieces(info) * DPDK_PIECE_BYTES;
	out->mtu_less = tap_mtu_less(info->driver_name);
	return 0;
}
