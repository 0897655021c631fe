/*
 * What a device can do, asked of its DPDK driver: nic-probe DEVICE [EAL argument...]. Prints JSON.
 *
 * DEVICE is a PCI address or a virtual device, with its arguments, as for `harewire --device`. The device is
 * configured, started and stopped several times; nothing is sent, and no rule stays behind. scripts/nic-acceptance runs
 * this.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_version.h>

#define ARGUMENTS_MAX 64
#define BITS          64

struct probe {
	uint16_t port;
	struct rte_eth_dev_info info;
	struct rte_mempool *pool;
};

static int fail(const char *what, int error)
{
	fprintf(stderr, "nic-probe: %s: %s\n", what, rte_strerror(error < 0 ? -error : error));
	return 1;
}

/* ---- the EAL ---------------------------------------------------------------------------------------------------- */

/* Nothing is shared with other processes, and only the named device is touched. */
static int start_eal(const char *device, int extra_count, char **extra)
{
	static char prefix[48];
	char *arguments[ARGUMENTS_MAX] = {"nic-probe", "--no-telemetry", "--log-level=error"};
	int count = 3;
	bool hugepages = true;
	for (int i = 0; i < extra_count; i++)
		hugepages &= strcmp(extra[i], "--no-huge") != 0;
	if (strncmp(device, "net_", 4) == 0) {
		arguments[count++] = "--no-pci";
		arguments[count++] = "--vdev";
	} else {
		arguments[count++] = "--allow";
	}
	arguments[count++] = (char *)device;
	snprintf(prefix, sizeof prefix, "--file-prefix=nic-probe-%d", (int)getpid());
	arguments[count++] = hugepages ? "--in-memory" : "--no-shconf";
	if (!hugepages)
		arguments[count++] = prefix;
	for (int i = 0; i < extra_count && count < ARGUMENTS_MAX - 1; i++)
		arguments[count++] = extra[i];
	return rte_eal_init(count, arguments) < 0 ? -rte_errno : 0;
}

/* ---- what it says of itself ------------------------------------------------------------------------------------- */

static void print_names(const char *key, uint64_t bits, const char *(*name)(uint64_t))
{
	const char *comma = "";
	printf(",\n \"%s\": [", key);
	for (int i = 0; i < BITS; i++) {
		if (bits & 1ull << i) {
			printf("%s\"%s\"", comma, name(1ull << i));
			comma = ", ";
		}
	}
	printf("]");
}

static void print_identity(const struct probe *p)
{
	char firmware[128] = "";
	if (rte_eth_dev_fw_version_get(p->port, firmware, sizeof firmware) != 0)
		firmware[0] = '\0';
	for (char *c = firmware; *c; c++) {
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
			*c = ' ';
	}
	printf("{\"dpdk\": \"%s\",\n \"driver\": \"%s\", \"firmware\": \"%s\", \"numa_node\": %d", rte_version(),
	       p->info.driver_name, firmware, rte_eth_dev_socket_id(p->port));
}

static void print_limits(const struct rte_eth_dev_info *info)
{
	printf(",\n \"rx_queues_max\": %u, \"tx_queues_max\": %u, \"mtu_min\": %u, \"mtu_max\": %u",
	       info->max_rx_queues, info->max_tx_queues, info->min_mtu, info->max_mtu);
	printf(",\n \"rx_descriptors\": [%u, %u], \"tx_descriptors\": [%u, %u], \"tx_segments_max\": %u",
	       info->rx_desc_lim.nb_min, info->rx_desc_lim.nb_max, info->tx_desc_lim.nb_min, info->tx_desc_lim.nb_max,
	       info->tx_desc_lim.nb_seg_max);
	printf(",\n \"rss_ipv4_tcp\": %s, \"reta_entries\": %u, \"hash_key_octets\": %u",
	       info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_TCP ? "true" : "false", info->reta_size,
	       info->hash_key_size);
}

/* ---- what it does when it runs ---------------------------------------------------------------------------------- */

static int start(struct probe *p, uint16_t queues, uint64_t tx_offloads)
{
	struct rte_eth_conf conf = {.txmode.offloads = tx_offloads};
	uint16_t rx = 512, tx = 512;
	int rc = rte_eth_dev_configure(p->port, queues, queues, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->port, &rx, &tx);
	for (uint16_t q = 0; q < queues && rc == 0; q++) {
		rc = rte_eth_rx_queue_setup(p->port, q, rx, SOCKET_ID_ANY, NULL, p->pool);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(p->port, q, tx, SOCKET_ID_ANY, NULL);
	}
	return rc == 0 ? rte_eth_dev_start(p->port) : rc;
}

/* A device may choose another transmit function for the sake of one offload: what is that worth? */
static void print_transmit_path(struct probe *p, const char *comma, const char *name, uint64_t offloads)
{
	struct rte_eth_burst_mode mode = {0};
	const char *text = "not to be had";
	if ((offloads & ~p->info.tx_offload_capa) == 0 && start(p, 1, offloads) == 0)
		text = rte_eth_tx_burst_mode_get(p->port, 0, &mode) == 0 && mode.info[0] ? mode.info : "not told";
	printf("%s\"%s\": \"%s\"", comma, name, text);
	rte_eth_dev_stop(p->port);
}

static void print_transmit_paths(struct probe *p)
{
	const uint64_t checksum = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	printf(",\n \"transmit_paths\": {");
	print_transmit_path(p, "", "no offload", 0);
	print_transmit_path(p, ", ", "fast free", RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
	print_transmit_path(p, ", ", "checksums", checksum);
	print_transmit_path(p, ", ", "checksums, TSO",
			    checksum | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	printf("}");
}

/* A TCP connection to a queue, exactly: does the device take the rule? Some validate what they then refuse. */
static void print_flow_rule(struct probe *p, uint16_t queue)
{
	struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_item_ipv4 ip = {.hdr.src_addr = RTE_BE32(0xc6336401), .hdr.dst_addr = RTE_BE32(0xc6336402)};
	struct rte_flow_item_ipv4 ip_mask = {.hdr.src_addr = RTE_BE32(UINT32_MAX),
					     .hdr.dst_addr = RTE_BE32(UINT32_MAX)};
	struct rte_flow_item_tcp tcp = {.hdr.src_port = RTE_BE16(5672), .hdr.dst_port = RTE_BE16(40000)};
	struct rte_flow_item_tcp tcp_mask = {.hdr.src_port = RTE_BE16(UINT16_MAX),
					     .hdr.dst_port = RTE_BE16(UINT16_MAX)};
	struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
					  {.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &ip, .mask = &ip_mask},
					  {.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &tcp, .mask = &tcp_mask},
					  {.type = RTE_FLOW_ITEM_TYPE_END}};
	struct rte_flow_action_queue to = {.index = queue};
	struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
					    {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_error error = {0};
	struct rte_flow *flow = NULL;
	int rc = rte_flow_validate(p->port, &attr, pattern, actions, &error);
	if (rc == 0 && !(flow = rte_flow_create(p->port, &attr, pattern, actions, &error)))
		rc = rte_errno ? -rte_errno : -EIO;
	if (flow)
		rte_flow_destroy(p->port, flow, &error);
	printf(",\n \"flow_rule_5_tuple\": {\"queue\": %u, \"accepted\": %s, \"why_not\": \"%s\"}", queue,
	       rc == 0 ? "true" : "false",
	       rc == 0         ? ""
	       : error.message ? error.message
			       : rte_strerror(-rc));
}

/* Only before the device is configured; -ENOSYS and -ENOTSUP: the device has no such mode. */
static void print_isolation(const struct probe *p)
{
	struct rte_flow_error error;
	int rc = rte_flow_isolate(p->port, 1, &error);
	printf(",\n \"flow_isolation\": %s", rc == 0 ? "true" : "false");
	if (rc == 0)
		rte_flow_isolate(p->port, 0, &error);
}

static void print_link(const struct probe *p)
{
	struct rte_eth_link link = {0};
	uint16_t mtu = 0;
	rte_eth_link_get(p->port, &link); /* waits up to nine seconds */
	rte_eth_dev_get_mtu(p->port, &mtu);
	printf(",\n \"link\": {\"up\": %s, \"speed_mbps\": %u, \"full_duplex\": %s}, \"mtu\": %u",
	       link.link_status ? "true" : "false", link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed,
	       link.link_duplex ? "true" : "false", mtu);
}

static void print_counters(const struct probe *p)
{
	struct rte_eth_xstat_name names[512];
	int count = rte_eth_xstats_get_names(p->port, names, RTE_DIM(names));
	printf(",\n \"counters\": [");
	for (int i = 0; i < count && i < (int)RTE_DIM(names); i++)
		printf("%s\"%s\"", i ? ", " : "", names[i].name);
	printf("]");
}

static int probe(struct probe *p)
{
	int rc = rte_eth_dev_info_get(p->port, &p->info);
	if (rc != 0)
		return fail("the device does not describe itself", rc);
	p->pool = rte_pktmbuf_pool_create("probe", 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!p->pool)
		return fail("no memory for packet buffers", rte_errno);
	uint16_t queues = p->info.max_rx_queues >= 2 && p->info.max_tx_queues >= 2 ? 2 : 1;
	print_identity(p);
	print_isolation(p);
	print_limits(&p->info);
	print_names("rx_offloads", p->info.rx_offload_capa, rte_eth_dev_rx_offload_name);
	print_names("tx_offloads", p->info.tx_offload_capa, rte_eth_dev_tx_offload_name);
	print_transmit_paths(p);
	rc = start(p, queues, 0);
	printf(",\n \"starts_with_queues\": %u", rc == 0 ? (unsigned)queues : 0);
	if (rc == 0) {
		print_flow_rule(p, queues - 1);
		print_link(p);
		print_counters(p);
		rte_eth_dev_stop(p->port);
	}
	printf("}\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct probe p = {0};
	if (argc < 2) {
		fprintf(stderr, "usage: nic-probe DEVICE [EAL argument...]\n");
		return 2;
	}
	int rc = start_eal(argv[1], argc - 2, argv + 2);
	if (rc != 0)
		return fail("DPDK's EAL does not start", rc);
	p.port = (uint16_t)rte_eth_find_next(0);
	rc = p.port < RTE_MAX_ETHPORTS ? probe(&p) : fail(argv[1], ENODEV);
	if (p.port < RTE_MAX_ETHPORTS)
		rte_eth_dev_close(p.port);
	rte_eal_cleanup();
	rmdir(rte_eal_get_runtime_dir()); /* empty by now */
	return rc;
}
