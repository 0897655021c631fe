/*
 * The referee's loss: packets are dropped by their number, so that two senders meet the same pattern. Attached by the
 * sink with tc at the receiver's interface (clsact, direct action): ingress counts segments with data, egress every
 * segment. Counting begins when the sink arms it, at the first segment with data after that; retransmissions count too.
 *
 * Packet n of a direction is lost when splitmix64(seed of the direction, n) says so; tests/bench/referee/pattern.py
 * says the same independently.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tests/bench/referee/drop.h"

const volatile __u32 seed;
const volatile __u32 per_million;
struct drop_counts counts;
bool armed;

static bool is_lost(__u32 direction, __u64 n)
{
	__u64 x = (2ull * seed + direction) * 0xD1B54A32D192ED03ull + (n + 1) * 0x9E3779B97F4A7C15ull;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
	x ^= x >> 31;
	return (__u32)(x >> 32) % 1000000u < per_million;
}

static int judge(struct __sk_buff *skb, __u32 direction)
{
	struct drop_direction *d = &counts.directions[direction & 1];
	__u64 n;

	if (skb->gso_segs > 1)
		__sync_fetch_and_add(&counts.oversize, 1);
	n = __sync_fetch_and_add(&d->seen, 1);
	if (!is_lost(direction, n))
		return TC_ACT_OK;
	__sync_fetch_and_add(&d->dropped, 1);
	__sync_fetch_and_add(&d->dropped_numbers, n);
	return TC_ACT_SHOT;
}

/* Octets of TCP payload; -1 for what is not TCP over IPv4. */
static int payload_of(struct __sk_buff *skb)
{
	struct iphdr ip;
	__u8 offset;
	__u32 ip_len;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) != 0 ||
	    ip.protocol != IPPROTO_TCP)
		return -1;
	ip_len = ip.ihl * 4u;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + ip_len + 12, &offset, sizeof(offset)) != 0)
		return -1;
	return bpf_ntohs(ip.tot_len) - (int)ip_len - (offset >> 4) * 4;
}

static void note_arrival(__u64 now)
{
	if (now - counts.last_ns > counts.silence_ns)
		counts.silence_ns = now - counts.last_ns;
	counts.last_ns = now;
}

SEC("tc")
int drop_data(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_ns();
	int verdict;

	if (!armed || payload_of(skb) <= 0)
		return TC_ACT_OK;
	if (!counts.first_ns)
		counts.first_ns = counts.last_ns = now;
	verdict = judge(skb, DROP_DATA);
	if (verdict == TC_ACT_OK)
		note_arrival(now);
	return verdict;
}

/* What answers the data: from its first segment on, so that the reply that lets the sender begin is not lost. */
SEC("tc")
int drop_acks(struct __sk_buff *skb)
{
	if (!armed || !counts.first_ns || payload_of(skb) < 0)
		return TC_ACT_OK;
	return judge(skb, DROP_ACKS);
}

char _license[] SEC("license") = "GPL";
