/*
 * Random loss for the lab, attached by `scripts/lab loss` with tc (clsact, direct action). Only TCP over IPv4 is lost:
 * a lost ARP reply would cost a second of the kernel's patience and test nothing of ours.
 *
 * Each attachment has its own copy of the maps: one probability and one pair of counters for each direction.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LOSS_SCALE 1000000u /* the setting counts lost packets in a million */

enum { COUNTER_SEEN, COUNTER_DROPPED, COUNTERS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} loss_setting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} loss_counters SEC(".maps");

static void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&loss_counters, &counter);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("tc")
int lose(struct __sk_buff *skb)
{
	const __u32 zero = 0;
	__u32 *per_million = bpf_map_lookup_elem(&loss_setting, &zero);
	__u8 protocol;

	if (!per_million || skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, protocol), &protocol, sizeof(protocol)) != 0 ||
	    protocol != IPPROTO_TCP)
		return TC_ACT_OK;
	count(COUNTER_SEEN);
	if (bpf_get_prandom_u32() % LOSS_SCALE >= *per_million)
		return TC_ACT_OK;
	count(COUNTER_DROPPED);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
