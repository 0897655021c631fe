#include "drivers/dpdk/port.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/eal_log.h"
#include "drivers/ethtool.h"

#define DESCRIPTORS         1024u
#define POOL_CACHE          256u
#define LINK_HEADER_BYTES   18u /* Ethernet with one tag */
#define DEVICE_HEADER_BYTES 64u /* what a device may put in front of a received frame (virtio: 12 octets) */
#define MTU_MIN             576u
#define MTU_MAX             9600u /* what NICs call jumbo, and a little */
#define MTU_UNKNOWN         UINT16_MAX
/* Many PMDs program receive buffers in steps of 1 KB and want at least two of them. */
#define DATA_ROOM_MIN 2048u

/* Says what DPDK itself logged first, or else what its code means. */
static int fail(const struct dpdk_port *port, int code, int dpdk_errno, const char *step, const struct why *why)
{
	char words[192];
	eal_log_first_error(words, sizeof words);
	int error = dpdk_errno < 0 ? -dpdk_errno : dpdk_errno;
	if (error == EBUSY || error == EEXIST || strstr(words, "busy"))
		return why_say(why, HW_ERR_BUSY, "%s is in use by another program: end that first (%s)",
			       port->device.devargs, words[0] ? words : strerror(error));
	return why_say(why, code, "DPDK cannot %s %s: %s%s%s", step, port->device.devargs,
		       error ? strerror(error) : "failed", words[0] ? "; it says: " : "", words);
}

/* ---- finding it ---- */

/* A port has its device's name, but not always (mlx5 of a bond: "0000:3b:00.0_mlx5_bond_0"). */
static bool find_port(const char *device, uint16_t *id)
{
	struct rte_eth_dev_info info;
	if (rte_eth_dev_get_port_by_name(device, id) == 0)
		return true;
	RTE_ETH_FOREACH_DEV(*id)
	if (rte_eth_dev_info_get(*id, &info) == 0 && strcmp(rte_dev_name(info.device), device) == 0)
		return true;
	return false;
}

static int attach(struct dpdk_port *port, const struct why *why)
{
	const char *name = port->device.name;
	if (find_port(name, &port->id))
		return why_say(why, HW_ERR_BUSY,
			       "%s is already in use by the application itself, through DPDK: give Harewire a "
			       "device of its own",
			       name);
	eal_log_mark();
	int rc = rte_dev_probe(port->device.devargs);
	if (rc == -ENOENT || rc == -ENODEV || rc == -EFAULT)
		return fail(port, HW_ERR_INVALID, rc, "find a driver for", why);
	if (rc)
		return fail(port, HW_ERR_SYSTEM, rc, "open", why);
	if (!find_port(name, &port->id)) {
		rte_eal_hotplug_remove(port->device.pci ? "pci" : "vdev", name);
		return why_say(why, HW_ERR_UNSUPPORTED,
			       "DPDK has no driver for %s: is the package of its poll-mode driver installed "
			       "(librte-meta-net)?",
			       port->device.devargs);
	}
	port->attached = true;
	return 0;
}

/* ---- configuring it ---- */

struct queue_sizes {
	uint16_t rx, tx; /* descriptors */
	uint16_t data_room;
};

static struct rte_mempool *make_pool(const struct dpdk_port *port, const char *kind, uint16_t queue,
				     uint16_t descriptors, uint16_t data_room)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof name, "harewire-%s-%u-%u", kind, port->id, queue);
	/* A full ring, both of the cache's halves, and what is in the worker's hands. */
	return rte_pktmbuf_pool_create(name, descriptors + 2 * POOL_CACHE + 2 * RTE_MEMPOOL_CACHE_MAX_SIZE, POOL_CACHE,
				       0, data_room, port->node);
}

static int make_pools(struct dpdk_port *port, uint16_t index, const struct queue_sizes *sizes, const struct why *why)
{
	struct dpdk_queue *queue = &port->queue[index];
	eal_log_mark();
	queue->rx_pool = make_pool(port, "rx", index, sizes->rx, sizes->data_room);
	queue->tx_pool = make_pool(port, "tx", index, sizes->tx, sizes->data_room);
	bool cuts = port->offloads.tso_bytes;
	if (queue->rx_pool && queue->tx_pool &&
	    (!cuts || dpdk_large_create(&queue->large, port->id, index, port->offloads.tso_bytes, port->node)))
		return 0;
	return why_say(why, HW_ERR_NOMEM,
		       "no memory for the packet buffers of %s on NUMA node %d: set aside more hugepages ('sysctl "
		       "vm.nr_hugepages=%u'; with --no-huge: more megabytes, '-m %u')",
		       port->device.name, port->node, 64u * port->queues, 128u * port->queues);
}

/* Of a kernel's interface, in octets; MTU_UNKNOWN: it does not say, or there is none. */
static uint32_t interface_mtu(const char *interface)
{
	struct ifreq ifr = interface_request_for(interface);
	return interface[0] && interface_request(SIOCGIFMTU, &ifr) == 0 ? (uint32_t)ifr.ifr_mtu : MTU_UNKNOWN;
}

/*
 * The device's own, before it is configured: without one rte_eth_dev_configure gives it 1500, and mlx5 gives that to
 * the kernel's interface at once. Drivers that work on an interface find its MTU out only by losing packets.
 */
static uint16_t own_mtu(const struct dpdk_port *port, const struct rte_eth_dev_info *info)
{
	uint16_t mtu = RTE_ETHER_MTU;
	rte_eth_dev_get_mtu(port->id, &mtu);
	uint32_t most = interface_mtu(port->device.interface);
	if (port->device.share != DPDK_SHARED_ISOLATED)
		most = RTE_MIN(most, MTU_MAX);
	mtu = (uint16_t)RTE_MIN(mtu, most);
	return info->max_mtu ? RTE_MIN(mtu, info->max_mtu) : mtu;
}

/* The interface keeps its MTU while the kernel has it: we may use less of it, not more. */
static int set_shared_mtu(struct dpdk_port *port, uint16_t now, uint16_t wanted, const struct why *why)
{
	if (wanted > now)
		return why_say(
			why, HW_ERR_INVALID,
			"%s has an MTU of %u in the kernel, which keeps its interface, not of %u: raise it there "
			"('ip link set ... mtu %u') or ask for no more",
			port->device.name, now, wanted, wanted);
	port->mtu = wanted ? wanted : now;
	return 0;
}

static int set_own_mtu(struct dpdk_port *port, const struct rte_eth_dev_info *info, uint16_t now, uint16_t wanted,
		       const struct why *why)
{
	if (wanted && wanted != now) {
		eal_log_mark();
		int rc = wanted < MTU_MIN || wanted > MTU_MAX ? -ERANGE : rte_eth_dev_set_mtu(port->id, wanted);
		if (rc)
			return why_say(why, HW_ERR_INVALID, "%s does not take an MTU of %u (%u to %u may do): %s",
				       port->device.name, wanted, RTE_MAX(info->min_mtu, MTU_MIN),
				       RTE_MIN(info->max_mtu, MTU_MAX), strerror(-rc));
		now = wanted;
	}
	port->mtu = now;
	return 0;
}

/* What we send also leaves through what the address is on, be it a bond or a VLAN of the device's. */
static int set_mtu(struct dpdk_port *port, const struct rte_eth_dev_info *info, uint16_t wanted, const struct why *why)
{
	uint16_t now = RTE_ETHER_MTU;
	rte_eth_dev_get_mtu(port->id, &now);
	int err = port->device.share == DPDK_SHARED_ISOLATED ? set_shared_mtu(port, now, wanted, why)
							     : set_own_mtu(port, info, now, wanted, why);
	uint32_t most = RTE_MIN(interface_mtu(port->device.shared_interface), MTU_MAX);
	port->mtu = (uint16_t)RTE_MIN(port->mtu, most);
	return err;
}

static int set_up_queue(struct dpdk_port *port, uint16_t index, const struct rte_eth_dev_info *info,
			const struct queue_sizes *sizes)
{
	struct rte_eth_rxconf rxconf = info->default_rxconf;
	struct rte_eth_txconf txconf = info->default_txconf;
	rxconf.offloads = port->offloads.rx;
	/* Of several queues the one that nobody empties must not hold up the others' packets: igb, igc and ixgbe have
	 * one buffer for all, and let it fill up unless told to drop. */
	if (port->queues > 1)
		rxconf.rx_drop_en = 1;
	txconf.offloads = port->offloads.tx;
	unsigned node = (unsigned)port->node; /* -1 is SOCKET_ID_ANY */
	int rc = rte_eth_rx_queue_setup(port->id, index, sizes->rx, node, &rxconf, port->queue[index].rx_pool);
	return rc ? rc : rte_eth_tx_queue_setup(port->id, index, sizes->tx, node, &txconf);
}

static int set_up_queues(struct dpdk_port *port, const struct rte_eth_dev_info *info, const struct why *why)
{
	uint16_t mtu = port->mtu; /* the device's may be larger, and then so must its buffers */
	rte_eth_dev_get_mtu(port->id, &mtu);
	uint32_t room = RTE_ALIGN(RTE_MAX(mtu, port->mtu) + LINK_HEADER_BYTES + DEVICE_HEADER_BYTES, 64u);
	struct queue_sizes sizes = {.rx = DESCRIPTORS, .tx = DESCRIPTORS};
	sizes.data_room = (uint16_t)(RTE_PKTMBUF_HEADROOM + (room < DATA_ROOM_MIN ? DATA_ROOM_MIN : room));
	port->frame_bytes = sizes.data_room - RTE_PKTMBUF_HEADROOM;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &sizes.rx, &sizes.tx);
	if (rc)
		return fail(port, HW_ERR_UNSUPPORTED, rc, "size the queues of", why);
	for (uint16_t i = 0; i < port->queues; i++) {
		int err = make_pools(port, i, &sizes, why);
		if (err)
			return err;
		rc = set_up_queue(port, i, info, &sizes);
		if (rc)
			return fail(port, HW_ERR_SYSTEM, rc, "set up the queues of", why);
	}
	return 0;
}

/* With RSS in one of the ways it may be asked for, or without. Sharing devices give us what our rules bring, only. */
static int configure_queues(struct dpdk_port *port, const struct rte_eth_dev_info *info,
			    const struct rte_eth_conf *base)
{
	struct rss *rss = &port->steering.rss;
	struct rte_eth_conf conf = *base;
	for (uint32_t attempt = 0; port->device.share == DPDK_EXCLUSIVE; attempt++) {
		if (!rss_configure(rss, info, port->queues, attempt, &conf))
			break;
		if (rte_eth_dev_configure(port->id, port->queues, port->queues, &conf) == 0)
			return 0;
		eal_log_mark(); /* what it says of an attempt is of no interest */
		conf = *base;
	}
	rss->state = RSS_OFF;
	return rte_eth_dev_configure(port->id, port->queues, port->queues, base);
}

static int check_queues(const struct dpdk_port *port, const struct rte_eth_dev_info *info, const struct why *why)
{
	uint16_t most = RTE_MIN(info->max_rx_queues, info->max_tx_queues);
	if (port->queues <= most)
		return 0;
	return why_say(why, HW_ERR_UNSUPPORTED, "%s has %u queue%s, not %u: give it at most %u worker%s",
		       port->device.name, most, most == 1 ? "" : "s", port->queues, most, most == 1 ? "" : "s");
}

static int configure(struct dpdk_port *port, const struct dpdk_options *options, const struct why *why)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	eal_log_mark();
	int rc = rte_eth_dev_info_get(port->id, &info);
	if (!rc)
		rc = rte_eth_macaddr_get(port->id, &mac);
	if (rc)
		return fail(port, HW_ERR_SYSTEM, rc, "ask after", why);
	int err = check_queues(port, &info, why);
	if (!err)
		err = dpdk_offloads_choose(port->device.name, &info, options, &port->offloads, why);
	if (err)
		return err;
	memcpy(port->mac, mac.addr_bytes, sizeof port->mac);
	port->node = rte_eth_dev_socket_id(port->id);
	snprintf(port->driver, sizeof port->driver, "%s", info.driver_name);
	struct rte_eth_conf conf = {.rxmode.mtu = own_mtu(port, &info),
				    .rxmode.offloads = port->offloads.rx,
				    .txmode.offloads = port->offloads.tx};
	rc = configure_queues(port, &info, &conf);
	if (rc)
		return fail(port, HW_ERR_SYSTEM, rc, "configure", why);
	err = set_mtu(port, &info, options->mtu, why);
	return err ? err : set_up_queues(port, &info, why);
}

static int start(struct dpdk_port *port, const struct why *why)
{
	if (port->steering.rss.state != RSS_OFF)
		rss_write_table(&port->steering.rss, port->id);
	eal_log_mark();
	int rc = rte_eth_dev_start(port->id);
	if (rc)
		return fail(port, HW_ERR_SYSTEM, rc, "start", why);
	port->started = true;
	return steering_choose(&port->steering, port->queues, why);
}

/*
 * Not only what saves us looking at the others' frames: virtio, and virtual functions of several NICs, let no tagged
 * frame in before they are asked to.
 */
static int admit_vlan(struct dpdk_port *port, const struct why *why)
{
	struct rte_eth_dev_info info;
	if (!port->vlan || port->device.share == DPDK_SHARED_ISOLATED || /* its rules let in what they match */
	    rte_eth_dev_info_get(port->id, &info) != 0 || !(info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER))
		return 0;
	eal_log_mark();
	int rc = rte_eth_dev_set_vlan_offload(port->id,
					      rte_eth_dev_get_vlan_offload(port->id) | RTE_ETH_VLAN_FILTER_OFFLOAD);
	if (!rc)
		rc = rte_eth_dev_vlan_filter(port->id, port->vlan, 1);
	return rc ? fail(port, HW_ERR_SYSTEM, rc, "have frames of the VLAN let in by", why) : 0;
}

/* ---- life ---- */

int dpdk_port_open(struct dpdk_port *port, const struct dpdk_device *device, const struct dpdk_options *options,
		   const struct why *why)
{
	memset(port, 0, sizeof *port);
	port->device = *device;
	port->queues = options->queues;
	port->vlan = device->share == DPDK_EXCLUSIVE ? options->vlan : device->vlan;
	int err = attach(port, why);
	if (!err)
		err = steering_prepare(&port->steering, &port->device, port->id, why);
	if (!err)
		err = configure(port, options, why);
	if (!err)
		err = start(port, why);
	if (!err)
		err = admit_vlan(port, why);
	if (err)
		dpdk_port_close(port);
	return err;
}

void dpdk_port_close(struct dpdk_port *port)
{
	struct rte_eth_dev_info info;
	steering_fini(&port->steering);
	if (port->started)
		rte_eth_dev_stop(port->id);
	if (port->attached && rte_eth_dev_info_get(port->id, &info) == 0) {
		rte_eth_dev_close(port->id);
		rte_dev_remove(info.device); /* so that it can be opened again */
	}
	for (uint16_t i = 0; i < port->queues; i++) {
		rte_mempool_free(port->queue[i].rx_pool);
		rte_mempool_free(port->queue[i].tx_pool);
		dpdk_large_destroy(&port->queue[i].large);
	}
	memset(port, 0, sizeof *port);
}

bool dpdk_port_link_up(const struct dpdk_port *port)
{
	struct rte_eth_link link = {0};
	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}
