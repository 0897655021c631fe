/*
 * Takes exactly our flows from the interface, and the ICMP errors that quote them; everything else passes to the
 * kernel.
 *
 *     IPv4 TCP, tuple in `flows` ──▶ the socket of this queue; not the flow's queue, or no socket: dropped, recorded
 *     ICMP 3, 11, 12 quoting it  ──▶ the same
 *     anything else              ──▶ XDP_PASS
 *
 * A packet of ours never reaches the kernel while the flow is in the map: the kernel has no connection for it and would
 * answer with a RST.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "drivers/af_xdp/xdp_maps.h"

/* <linux/icmp.h> needs the C library's headers. */
#define ICMP_DEST_UNREACH   3
#define ICMP_TIME_EXCEEDED  11
#define ICMP_PARAMETER_PROB 12

#define FRAGMENT_OFFSET bpf_htons(0x1fff)
#define FRAGMENT_MORE   bpf_htons(0x2000)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow_key);
	__type(value, struct flow_state);
} flows SEC(".maps");

/* Receive queue to socket; user space sets the number of queues before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct vlan_header {
	__be16 tci;
	__be16 type;
};

struct icmp_error {
	__u8 type, code;
	__be16 checksum;
	__be32 unused;
	struct iphdr quoted;
};

struct ports {
	__be16 source, destination;
};

/* The IPv4 header behind Ethernet and at most one VLAN tag, and its offset; or NULL. */
static __always_inline const struct iphdr *ipv4_header(const void *data, const void *end, __u32 *offset)
{
	const struct ethhdr *ethernet = data;
	const struct iphdr *ip = (const void *)(ethernet + 1);
	if ((const void *)(ip + 1) > end)
		return NULL;
	__be16 type = ethernet->h_proto;
	*offset = sizeof *ethernet;
	if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD)) {
		const struct vlan_header *vlan = (const void *)(ethernet + 1);
		ip = (const void *)(vlan + 1);
		if ((const void *)(ip + 1) > end)
			return NULL;
		type = vlan->type;
		*offset = sizeof *ethernet + sizeof *vlan;
	}
	return type == bpf_htons(ETH_P_IP) && ip->version == 4 ? ip : NULL;
}

/*
 * Headers behind one of variable length are copied out: arithmetic on packet pointers with a variable would cost the
 * process that loads us CAP_PERFMON.
 */
static __always_inline bool copied(struct xdp_md *ctx, __u32 offset, void *to, __u32 len)
{
	return bpf_xdp_load_bytes(ctx, offset, to, len) == 0;
}

/* The ports, which TCP has in its first octets. */
static __always_inline bool tcp_ports(struct xdp_md *ctx, const struct iphdr *ip, const void *end, __u32 ip_offset,
				      struct ports *ports)
{
	if (ip->ihl != 5)
		return ip->ihl > 5 && copied(ctx, ip_offset + ip->ihl * 4, ports, sizeof *ports);
	const struct ports *plain = (const void *)(ip + 1);
	if ((const void *)(plain + 1) > end)
		return false;
	*ports = *plain;
	return true;
}

/*
 * To the socket on this queue, unless another worker reads it. bpf_redirect_map returns its last argument where there
 * is none.
 */
static __always_inline bool redirected(struct xdp_md *ctx, const struct flow_state *flow)
{
	if (flow->queue >= 0 && (__u32)flow->queue != ctx->rx_queue_index)
		return false;
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP) == XDP_REDIRECT;
}

static __always_inline int take_tcp(struct xdp_md *ctx, const struct iphdr *ip, const void *end, __u32 ip_offset)
{
	struct ports ports;
	if (!tcp_ports(ctx, ip, end, ip_offset, &ports))
		return XDP_PASS;
	struct flow_key key = {
		.local_ip = ip->daddr,
		.remote_ip = ip->saddr,
		.local_port = ports.destination,
		.remote_port = ports.source,
	};
	struct flow_state *flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return XDP_PASS;
	if (ip->frag_off & FRAGMENT_MORE) {
		__sync_fetch_and_add(&flow->fragment_drops, 1);
		return XDP_DROP;
	}
	if (redirected(ctx, flow))
		return XDP_REDIRECT;
	flow->wrong_queue = (__s32)ctx->rx_queue_index;
	__sync_fetch_and_add(&flow->wrong_queue_packets, 1);
	return XDP_DROP;
}

/* The flow that an ICMP error quotes. The quoted packet is our own: its source is the local end (RFC 792). */
static __always_inline bool quoted_flow(struct xdp_md *ctx, __u32 icmp_offset, struct flow_key *key)
{
	struct icmp_error error;
	struct ports ports;
	if (!copied(ctx, icmp_offset, &error, sizeof error))
		return false;
	if (error.type != ICMP_DEST_UNREACH && error.type != ICMP_TIME_EXCEEDED && error.type != ICMP_PARAMETER_PROB)
		return false;
	const struct iphdr *quoted = &error.quoted;
	if (quoted->version != 4 || quoted->ihl < 5 || quoted->protocol != IPPROTO_TCP ||
	    (quoted->frag_off & FRAGMENT_OFFSET))
		return false;
	__u32 ports_offset = icmp_offset + offsetof(struct icmp_error, quoted) + quoted->ihl * 4;
	if (!copied(ctx, ports_offset, &ports, sizeof ports))
		return false;
	key->local_ip = quoted->saddr;
	key->remote_ip = quoted->daddr;
	key->local_port = ports.source;
	key->remote_port = ports.destination;
	return true;
}

static __always_inline int take_icmp(struct xdp_md *ctx, const struct iphdr *ip, __u32 ip_offset)
{
	struct flow_key key = {0};
	if (ip->ihl < 5 || (ip->frag_off & FRAGMENT_MORE) || !quoted_flow(ctx, ip_offset + ip->ihl * 4, &key))
		return XDP_PASS;
	struct flow_state *flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return XDP_PASS;
	if (redirected(ctx, flow))
		return XDP_REDIRECT;
	__sync_fetch_and_add(&flow->icmp_drops, 1);
	return XDP_DROP;
}

SEC("xdp")
int take_flows(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
	__u32 ip_offset;
	const struct iphdr *ip = ipv4_header(data, end, &ip_offset);
	if (!ip || (ip->frag_off & FRAGMENT_OFFSET))
		return XDP_PASS;
	if (ip->protocol == IPPROTO_TCP)
		return take_tcp(ctx, ip, end, ip_offset);
	if (ip->protocol == IPPROTO_ICMP)
		return take_icmp(ctx, ip, ip_offset);
	return XDP_PASS;
}

char flow_license[] SEC("license") = "Dual BSD/GPL";
