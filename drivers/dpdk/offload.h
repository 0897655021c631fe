/* What a device does for us: from what it can do and what was asked for. Pure, but for the sentences. */
#ifndef HAREWIRE_DPDK_OFFLOAD_H
#define HAREWIRE_DPDK_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/dpdk/dpdk.h"
#include "drivers/why.h"

struct rte_eth_dev_info;

/*
 * A frame for the device to cut lies in one buffer, of which each descriptor gets a piece: NICs take up to 16 KB - 1 at
 * once (i40e, ice), and some want pieces in whole cache lines. Four of them are nearly all that IPv4's length allows.
 */
#define DPDK_PIECE_BYTES 16320u
#define DPDK_PIECES_MAX  4u

struct dpdk_offloads {
	uint64_t tx, rx; /* RTE_ETH_TX_OFFLOAD_*, RTE_ETH_RX_OFFLOAD_*: of the port and of each queue */
	bool tx_checksum, rx_checksum;
	bool ip_checksum;   /* of a frame to be cut, has to be asked for as well */
	uint32_t tso_bytes; /* longest frame to be cut; 0: none */
	uint16_t mtu_less;  /* octets of the device's MTU that cannot be used */
};

/*
 * AUTO: what the device has and what does not make it send by a slower function (docs/architecture.md). 0, or
 * HW_ERR_UNSUPPORTED (ON, but the device cannot) or HW_ERR_INVALID (TSO on with checksums off) and a sentence about
 * `device`.
 */
int dpdk_offloads_choose(const char *device, const struct rte_eth_dev_info *info, const struct dpdk_options *options,
			 struct dpdk_offloads *out, const struct why *why);

#endif
