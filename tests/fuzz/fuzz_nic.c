/*
 * Any frames as they might reach a port of our own, several of them one after the other: whatever is answered is a
 * whole frame to one host, a RST is never answered, and a flood is not either. Each frame is preceded by its length and
 * a flag octet that says what of it is made right first, or checksums would keep the fuzzer out.
 */
#include <string.h>

#include "control/nic/nic.h"
#include "control/nic/strays.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/ipv4.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repair.h"

#define OUR_IP 0x0a010205u
#define S      1000000000ull

enum { TO_US = 1, IP_SUM = 2, L4_SUM = 4 };

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static uint32_t strays;

static void on_neighbour(void *context, uint32_t ip, const uint8_t mac[6])
{
}

static void on_warning(void *context, const char *line)
{
	REQUIRE(strlen(line) < 256);
}

static bool on_stray(void *context, const struct driver_flow *flow, uint32_t queue)
{
	REQUIRE(flow->local_ip == OUR_IP && flow->remote_ip != OUR_IP);
	strays++;
	return false;
}

static void on_icmp_error(void *context, const struct icmp_error *error)
{
}

static const struct nic_events events = {
	.neighbour = on_neighbour, .warning = on_warning, .stray = on_stray, .icmp_error = on_icmp_error};

static void make_right(struct side_frame *f, uint8_t flags)
{
	uint8_t *ip = f->octets + ETHERNET_HEADER_BYTES;
	if (f->len < ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES || get_be16(f->octets + 12) != ETHERTYPE_IPV4)
		return;
	if (flags & TO_US) {
		memcpy(f->octets, our_mac, 6);
		put_be32(ip + 16, OUR_IP);
	}
	repair_ipv4(ip, f->len - ETHERNET_HEADER_BYTES,
		    (flags & IP_SUM ? REPAIR_IP_SUM : 0) | (flags & L4_SUM ? REPAIR_L4_SUM : 0));
}

/* What goes out is ours, whole, and to one host unless it is ARP. */
static uint32_t check_answers(struct side_channel *side)
{
	const struct side_frame *f;
	uint32_t refusals = 0;
	for (; (f = spsc_peek(&side->to_wire)) != NULL; spsc_pop(&side->to_wire)) {
		struct ethernet_frame frame;
		struct ipv4_packet ip;
		REQUIRE(f->len >= 60 && f->len <= SIDE_FRAME_BYTES);
		REQUIRE(ethernet_parse(f->octets, f->len, &frame) == 0 && !memcmp(frame.source, our_mac, 6));
		if (frame.type == ETHERTYPE_ARP)
			continue;
		REQUIRE(frame.type == ETHERTYPE_IPV4 && ipv4_parse(frame.payload, frame.payload_len, &ip) == 0);
		REQUIRE(ip.source == OUR_IP && ip.destination != OUR_IP && ipv4_is_one_host(ip.destination));
		refusals += ip.protocol == IPV4_PROTOCOL_TCP;
	}
	return refusals;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct driver_ops ops;
	struct driver driver = {.ops = &ops, .info = {.device = "fuzz0", .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500}};
	const struct nic_address address = {.ip = OUR_IP, .gateway = OUR_IP + 1, .prefix = 24};
	static struct side_frame frame;
	struct nic *nic;
	REQUIRE(nic_create(&address, &driver, &nic) == 0);
	struct side_channel *side = nic_add_worker(nic, 0);
	REQUIRE(side != NULL);
	uint64_t now_ns = S;
	strays = 0;
	uint32_t refused = 0;
	while (size >= 3) {
		uint8_t flags = data[0];
		size_t len = get_be16(data + 1) % (SIDE_FRAME_BYTES + 1);
		data += 3;
		size -= 3;
		frame.len = (uint16_t)(len < size ? len : size);
		memcpy(frame.octets, data, frame.len);
		data += frame.len;
		size -= frame.len;
		make_right(&frame, flags);
		REQUIRE(spsc_push(&side->from_wire, &frame));
		nic_resolve(nic, OUR_IP + 1 + (flags >> 4), now_ns);
		nic_step(nic, now_ns, &events);
		refused += check_answers(side);
		now_ns += (uint64_t)flags * 1000000;
	}
	REQUIRE(refused <= strays && refused <= STRAYS_AT_ONCE + (now_ns - S) / STRAYS_PERIOD_NS);
	nic_destroy(nic);
	return 0;
}
