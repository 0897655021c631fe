/* What is left to a device, by what DPDK 22.11's drivers say of theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_ethdev.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/offload.h"

#define TX(name) RTE_ETH_TX_OFFLOAD_##name
#define SUMS     (TX(IPV4_CKSUM) | TX(UDP_CKSUM) | TX(TCP_CKSUM))
#define CUTS     (TX(TCP_TSO) | TX(MULTI_SEGS))
#define RX_SUMS  (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define WHOLE    (DPDK_PIECES_MAX * DPDK_PIECE_BYTES)

static char why[512];

struct device {
	const char *driver;
	uint64_t tx, rx;
	uint16_t seg_max, mtu_seg_max;
};

static const struct device E1000E = {"net_e1000_em", SUMS | TX(MULTI_SEGS) | TX(VLAN_INSERT), RX_SUMS, 255, 8};
static const struct device VMXNET3 = {"net_vmxnet3", TX(UDP_CKSUM) | TX(TCP_CKSUM) | CUTS | TX(VLAN_INSERT),
				      RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM, 255, 16};
static const struct device VIRTIO = {"net_virtio", TX(UDP_CKSUM) | TX(TCP_CKSUM) | CUTS | TX(VLAN_INSERT),
				     RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM, UINT16_MAX,
				     UINT16_MAX};
static const struct device BARE_VIRTIO = {"net_virtio", TX(MULTI_SEGS) | TX(VLAN_INSERT), 0, UINT16_MAX, UINT16_MAX};
static const struct device MLX5 = {"mlx5_pci", SUMS | CUTS | TX(MBUF_FAST_FREE), RX_SUMS, 40, 40};
static const struct device ICE = {"net_ice", SUMS | CUTS | TX(MBUF_FAST_FREE), RX_SUMS, 0, 0};
static const struct device IAVF = {"net_iavf", SUMS | CUTS | TX(MBUF_FAST_FREE), RX_SUMS, 0, 8};
static const struct device ENIC = {"net_enic", SUMS | CUTS, RX_SUMS, 0, 0};
static const struct device I40E = {"net_i40e", SUMS | CUTS | TX(MBUF_FAST_FREE), RX_SUMS, 255, 8};
static const struct device IXGBE = {"net_ixgbe", SUMS | CUTS, RX_SUMS, 40, 40};
static const struct device IGC = {"net_igc", SUMS | CUTS, RX_SUMS, 255, 8};
static const struct device TAP = {"net_tap", SUMS | CUTS, RX_SUMS, UINT16_MAX, UINT16_MAX};
static const struct device NULL_DEVICE = {"net_null", TX(MULTI_SEGS) | TX(MBUF_FAST_FREE), 0, UINT16_MAX, UINT16_MAX};

static int choose(const struct device *d, enum dpdk_use checksum, enum dpdk_use tso, struct dpdk_offloads *out)
{
	struct rte_eth_dev_info info = {.driver_name = d->driver,
					.tx_offload_capa = d->tx,
					.rx_offload_capa = d->rx,
					.tx_desc_lim = {.nb_seg_max = d->seg_max, .nb_mtu_seg_max = d->mtu_seg_max}};
	struct dpdk_options options = {.checksum = checksum, .tso = tso};
	why[0] = '\0';
	return dpdk_offloads_choose("0000:3b:00.0", &info, &options, out, &(struct why){why, sizeof why});
}

static void what_is_there_is_used_where_it_costs_no_fast_path(void **state)
{
	static const struct {
		const struct device *device;
		bool sums;
		uint32_t tso_bytes;
		uint64_t tx;
		bool rx;
	} cases[] = {
		{&E1000E, true, 0, TX(TCP_CKSUM), true},
		{&VMXNET3, true, WHOLE, TX(TCP_CKSUM) | CUTS, true},
		{&VIRTIO, true, WHOLE, TX(TCP_CKSUM) | CUTS, true},
		{&BARE_VIRTIO, false, 0, 0, false},
		{&MLX5, true, WHOLE, TX(TCP_CKSUM) | TX(IPV4_CKSUM) | CUTS, true},
		{&ICE, true, 0, TX(TCP_CKSUM) | TX(MBUF_FAST_FREE), true},
		{&IAVF, false, 0, TX(MBUF_FAST_FREE), true},
		{&ENIC, true, 0, TX(TCP_CKSUM), true},
		{&I40E, false, 0, TX(MBUF_FAST_FREE), true},
		{&IXGBE, false, 0, 0, true},
		{&IGC, true, WHOLE, TX(TCP_CKSUM) | TX(IPV4_CKSUM) | CUTS, true},
		{&TAP, true, 0, TX(TCP_CKSUM), true},
		{&NULL_DEVICE, false, 0, TX(MBUF_FAST_FREE), false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dpdk_offloads o;
		assert_int_equal(choose(cases[i].device, DPDK_USE_AUTO, DPDK_USE_AUTO, &o), 0);
		if (o.tx_checksum != cases[i].sums || o.tso_bytes != cases[i].tso_bytes || o.tx != cases[i].tx ||
		    o.rx_checksum != cases[i].rx)
			fail_msg("%s: sums %d, tso %u, tx %lx, rx %d", cases[i].device->driver, o.tx_checksum,
				 o.tso_bytes, (unsigned long)o.tx, o.rx_checksum);
		assert_int_equal(o.rx, o.rx_checksum ? RTE_ETH_RX_OFFLOAD_TCP_CKSUM : 0);
		assert_int_equal(o.mtu_less, 0);
	}
}

/* vmxnet3 refuses the flag for a header checksum that it has no capability for, and fills it in all the same. */
static void the_header_checksum_is_asked_for_only_of_devices_that_have_it(void **state)
{
	struct dpdk_offloads o;
	assert_int_equal(choose(&VMXNET3, DPDK_USE_AUTO, DPDK_USE_AUTO, &o), 0);
	assert_false(o.ip_checksum);
	assert_int_equal(choose(&MLX5, DPDK_USE_AUTO, DPDK_USE_AUTO, &o), 0);
	assert_true(o.ip_checksum);
}

static void on_uses_it_though_it_costs(void **state)
{
	struct dpdk_offloads o;
	assert_int_equal(choose(&I40E, DPDK_USE_ON, DPDK_USE_AUTO, &o), 0);
	assert_true(o.tx_checksum);
	assert_int_equal(o.tso_bytes, 0);
	assert_int_equal(o.tx, TX(TCP_CKSUM) | TX(MBUF_FAST_FREE));
	/* on the slow path anyway, it might as well sum; and buffers come from two pools */
	assert_int_equal(choose(&I40E, DPDK_USE_AUTO, DPDK_USE_ON, &o), 0);
	assert_true(o.tx_checksum);
	assert_int_equal(o.tso_bytes, WHOLE);
	assert_int_equal(o.tx, TX(TCP_CKSUM) | TX(IPV4_CKSUM) | CUTS);
	assert_int_equal(choose(&ICE, DPDK_USE_AUTO, DPDK_USE_ON, &o), 0);
	assert_int_equal(o.tso_bytes, WHOLE);
}

static void off_leaves_it_to_us(void **state)
{
	struct dpdk_offloads o;
	assert_int_equal(choose(&MLX5, DPDK_USE_OFF, DPDK_USE_AUTO, &o), 0);
	assert_false(o.tx_checksum || o.rx_checksum || o.tso_bytes || o.rx);
	assert_int_equal(o.tx, TX(MBUF_FAST_FREE));
	assert_int_equal(choose(&MLX5, DPDK_USE_AUTO, DPDK_USE_OFF, &o), 0);
	assert_true(o.tx_checksum && o.rx_checksum);
	assert_int_equal(o.tso_bytes, 0);
	assert_int_equal(o.tx, TX(TCP_CKSUM) | TX(MBUF_FAST_FREE));
}

static void on_is_an_error_where_it_is_missing(void **state)
{
	struct dpdk_offloads o;
	assert_int_equal(choose(&NULL_DEVICE, DPDK_USE_ON, DPDK_USE_AUTO, &o), HW_ERR_UNSUPPORTED);
	assert_string_equal(why,
			    "0000:3b:00.0 (net_null) computes no TCP checksums: set checksum offload to auto or off");
	assert_int_equal(choose(&E1000E, DPDK_USE_AUTO, DPDK_USE_ON, &o), HW_ERR_UNSUPPORTED);
	assert_string_equal(why, "0000:3b:00.0 (net_e1000_em) cannot cut packets into TCP segments: set TSO to auto or "
				 "off");
	assert_int_equal(choose(&MLX5, DPDK_USE_OFF, DPDK_USE_ON, &o), HW_ERR_INVALID);
	assert_non_null(strstr(why, "needs its checksums"));
	assert_false(o.tx_checksum || o.tso_bytes || o.tx);
}

static void a_frame_has_no_more_pieces_than_the_device_takes(void **state)
{
	struct device d = VIRTIO;
	struct dpdk_offloads o;
	d.seg_max = 2;
	assert_int_equal(choose(&d, DPDK_USE_AUTO, DPDK_USE_AUTO, &o), 0);
	assert_int_equal(o.tso_bytes, 2 * DPDK_PIECE_BYTES);
	d.seg_max = UINT16_MAX;
	d.mtu_seg_max = 2; /* headers, and data on both sides of a seam */
	assert_int_equal(choose(&d, DPDK_USE_AUTO, DPDK_USE_AUTO, &o), 0);
	assert_int_equal(o.tso_bytes, DPDK_PIECE_BYTES);
	d.mtu_seg_max = UINT16_MAX;
	d.tx &= ~TX(MULTI_SEGS);
	assert_int_equal(choose(&d, DPDK_USE_AUTO, DPDK_USE_AUTO, &o), 0);
	assert_int_equal(o.tso_bytes, DPDK_PIECE_BYTES);
	assert_int_equal(o.tx, TX(TCP_CKSUM) | TX(TCP_TSO));
}

static void net_tap_cuts_if_told_to_into_segments_it_takes(void **state)
{
	struct dpdk_offloads o;
	assert_int_equal(choose(&TAP, DPDK_USE_AUTO, DPDK_USE_ON, &o), 0);
	assert_int_equal(o.tso_bytes, WHOLE);
	assert_int_equal(o.mtu_less, 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_used_where_it_costs_no_fast_path),
		cmocka_unit_test(the_header_checksum_is_asked_for_only_of_devices_that_have_it),
		cmocka_unit_test(on_uses_it_though_it_costs),
		cmocka_unit_test(off_leaves_it_to_us),
		cmocka_unit_test(on_is_an_error_where_it_is_missing),
		cmocka_unit_test(a_frame_has_no_more_pieces_than_the_device_takes),
		cmocka_unit_test(net_tap_cuts_if_told_to_into_segments_it_takes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
