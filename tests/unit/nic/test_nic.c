/* A port that is ours alone, seen from the wire: what goes into a worker's side channel and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/nic/nic.h"
#include "dataplane/base/error.h"
#include "dataplane/net/arp.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"

#define OUR_IP 0x0a010205u /* 10.1.2.5/24 */
#define PEER   0x0a010207u
#define S      1000000000ull

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2},
		     other_mac[6] = {2, 0, 0, 0, 0, 3};
static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool link_is_up;
static char warnings[512];
static uint32_t news_ip, news_count;
static uint8_t news_mac[6];

static bool fake_link_up(const struct driver *d)
{
	return link_is_up;
}

static const struct driver_ops fake_ops = {.link_up = fake_link_up};
static struct driver fake = {.ops = &fake_ops, .info = {.device = "net_fake0", .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500}};

static void on_neighbour(void *context, uint32_t ip, const uint8_t mac[6])
{
	news_ip = ip;
	memcpy(news_mac, mac, 6);
	news_count++;
}

static void on_warning(void *context, const char *line)
{
	snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

static uint32_t stray_queue, strays, icmp_errors;

static bool on_stray(void *context, const struct driver_flow *flow, uint32_t queue)
{
	stray_queue = queue;
	strays++;
	return false;
}

static void on_icmp_error(void *context, const struct icmp_error *error)
{
	icmp_errors++;
}

static const struct nic_events events = {
	.neighbour = on_neighbour, .warning = on_warning, .stray = on_stray, .icmp_error = on_icmp_error};

struct port {
	struct nic *nic;
	struct side_channel *worker;
	uint16_t vlan;
};

static struct port open_port(const char *gateway, uint16_t vlan)
{
	struct nic_address address;
	char why[256];
	struct port p = {.vlan = vlan};
	link_is_up = true;
	warnings[0] = '\0';
	news_count = 0;
	assert_int_equal(nic_address_parse("10.1.2.5/24", gateway, vlan, &address, why, sizeof why), 0);
	assert_int_equal(nic_create(&address, &fake, &p.nic), 0);
	p.worker = nic_add_worker(p.nic, 0);
	assert_non_null(p.worker);
	return p;
}

/* Takes what is to be sent next: its payload's length, or 0: nothing. */
static size_t next_sent(struct side_channel *worker, uint16_t vlan, uint8_t *destination, uint16_t *type,
			uint8_t *payload)
{
	const struct side_frame *f = spsc_peek(&worker->to_wire);
	struct ethernet_frame frame = {0};
	if (!f)
		return 0;
	assert_true(f->len >= 60);
	assert_int_equal(ethernet_parse(f->octets, f->len, &frame), 0);
	assert_memory_equal(frame.source, our_mac, 6);
	assert_int_equal(frame.vlan, vlan);
	memcpy(destination, frame.destination, 6);
	*type = frame.type;
	memcpy(payload, frame.payload, frame.payload_len);
	spsc_pop(&worker->to_wire);
	return frame.payload_len;
}

static void expect_arp(struct port *p, const uint8_t destination[6], struct arp *arp)
{
	uint8_t to[6], payload[2048];
	uint16_t type;
	size_t len = next_sent(p->worker, p->vlan, to, &type, payload);
	assert_true(len > 0);
	assert_int_equal(type, ETHERTYPE_ARP);
	assert_memory_equal(to, destination, 6);
	assert_int_equal(arp_parse(payload, len, arp), 0);
	assert_memory_equal(arp->sender_mac, our_mac, 6);
	assert_int_equal(arp->sender_ip, OUR_IP);
}

static void expect_silence(struct port *p)
{
	assert_null(spsc_peek(&p->worker->to_wire));
}

static void expect_announcement(struct port *p)
{
	struct arp arp;
	expect_arp(p, everybody, &arp);
	assert_int_equal(arp.operation, ARP_REQUEST);
	assert_int_equal(arp.target_ip, OUR_IP);
}

/* A port that has said who it is. */
static struct port settled_port(void)
{
	struct port p = open_port("10.1.2.1", 0);
	nic_step(p.nic, S, &events);
	expect_announcement(&p);
	nic_step(p.nic, 3 * S, &events);
	expect_announcement(&p);
	return p;
}

static void arrive(struct side_channel *worker, const uint8_t destination[6], uint16_t vlan, uint16_t type,
		   const uint8_t *payload, size_t len)
{
	struct side_frame f = {0};
	size_t link = ethernet_build(f.octets, destination, peer_mac, vlan, type);
	memcpy(f.octets + link, payload, len);
	f.len = (uint16_t)(link + len);
	assert_true(spsc_push(&worker->from_wire, &f));
}

static void request_arrives(struct side_channel *worker, uint16_t vlan, const uint8_t mac[6], uint32_t sender,
			    uint32_t target)
{
	uint8_t arp[ARP_BYTES];
	arp_build_request(arp, mac, sender, target);
	arrive(worker, everybody, vlan, ETHERTYPE_ARP, arp, sizeof arp);
}

static void reply_arrives(struct side_channel *worker, const uint8_t mac[6], uint32_t sender)
{
	uint8_t arp[ARP_BYTES];
	struct arp request = {.operation = ARP_REQUEST, .sender_ip = OUR_IP, .target_ip = sender};
	memcpy(request.sender_mac, our_mac, 6);
	arp_build_reply(arp, mac, &request);
	arrive(worker, our_mac, 0, ETHERTYPE_ARP, arp, sizeof arp);
}

static void announces_its_address_twice_two_seconds_apart(void **state)
{
	struct port p = open_port(NULL, 0);
	nic_step(p.nic, S, &events);
	expect_announcement(&p);
	nic_step(p.nic, 3 * S - 1, &events);
	expect_silence(&p);
	nic_step(p.nic, 3 * S, &events);
	expect_announcement(&p);
	nic_step(p.nic, 100 * S, &events);
	expect_silence(&p);
	assert_string_equal(warnings, "");
	nic_destroy(p.nic);
}

static void answers_who_asks_for_its_address_and_nobody_else(void **state)
{
	struct port p = settled_port();
	struct arp arp;
	request_arrives(p.worker, 0, peer_mac, PEER, OUR_IP);
	request_arrives(p.worker, 0, peer_mac, PEER, OUR_IP + 1);
	request_arrives(p.worker, 7, peer_mac, PEER, OUR_IP); /* another VLAN's network */
	nic_step(p.nic, 4 * S, &events);
	expect_arp(&p, peer_mac, &arp);
	assert_int_equal(arp.operation, ARP_REPLY);
	assert_int_equal(arp.target_ip, PEER);
	expect_silence(&p);
	nic_destroy(p.nic);
}

static void answers_within_its_vlan(void **state)
{
	struct port p = open_port(NULL, 42);
	struct arp arp;
	nic_step(p.nic, S, &events);
	expect_announcement(&p);
	request_arrives(p.worker, 0, peer_mac, PEER, OUR_IP);
	request_arrives(p.worker, 42, peer_mac, PEER, OUR_IP);
	nic_step(p.nic, S + 1, &events);
	expect_arp(&p, peer_mac, &arp);
	expect_silence(&p);
	assert_int_equal(nic_vlan(p.nic), 42);
	nic_destroy(p.nic);
}

/* RFC 5227, 2.1.1: whoever probes for our address must be told. */
static void answers_a_probe_for_its_address(void **state)
{
	struct port p = settled_port();
	struct arp arp;
	request_arrives(p.worker, 0, other_mac, 0, OUR_IP);
	nic_step(p.nic, 4 * S, &events);
	expect_arp(&p, other_mac, &arp);
	assert_int_equal(arp.operation, ARP_REPLY);
	nic_destroy(p.nic);
}

static void defends_its_address_once_in_ten_seconds_and_says_against_whom(void **state)
{
	struct port p = settled_port();
	reply_arrives(p.worker, other_mac, OUR_IP);
	reply_arrives(p.worker, other_mac, OUR_IP);
	nic_step(p.nic, 4 * S, &events);
	expect_announcement(&p);
	expect_silence(&p);
	assert_non_null(strstr(warnings, "10.1.2.5"));
	assert_non_null(strstr(warnings, "02:00:00:00:00:03"));
	reply_arrives(p.worker, other_mac, OUR_IP);
	nic_step(p.nic, 14 * S, &events);
	expect_announcement(&p);
	reply_arrives(p.worker, our_mac, OUR_IP); /* our own, reflected */
	nic_step(p.nic, 30 * S, &events);
	expect_silence(&p);
	nic_destroy(p.nic);
}

static void resolves_a_neighbour_and_reports_its_address_and_its_moves(void **state)
{
	struct port p = settled_port();
	struct arp arp;
	uint8_t mac[6];
	nic_resolve(p.nic, PEER, 4 * S);
	nic_step(p.nic, 4 * S, &events);
	expect_arp(&p, everybody, &arp);
	assert_int_equal(arp.target_ip, PEER);
	assert_int_equal(nic_neighbour(p.nic, PEER, mac), NEIGHBOUR_PENDING);
	reply_arrives(p.worker, peer_mac, PEER);
	nic_step(p.nic, 4 * S + 1, &events);
	assert_int_equal(nic_neighbour(p.nic, PEER, mac), NEIGHBOUR_KNOWN);
	assert_memory_equal(mac, peer_mac, 6);
	assert_int_equal(news_count, 1);
	request_arrives(p.worker, 0, other_mac, PEER, PEER); /* it announces itself from elsewhere */
	nic_step(p.nic, 5 * S, &events);
	assert_int_equal(news_count, 2);
	assert_int_equal(news_ip, PEER);
	assert_memory_equal(news_mac, other_mac, 6);
	nic_destroy(p.nic);
}

static size_t build_ping(uint8_t *packet, uint32_t source, uint32_t destination, size_t payload)
{
	size_t icmp_len = 8 + payload;
	memset(packet, 0, 20 + icmp_len);
	packet[0] = 0x45;
	put_be16(packet + 2, (uint16_t)(20 + icmp_len));
	packet[8] = 3;
	packet[9] = IPV4_PROTOCOL_ICMP;
	put_be32(packet + 12, source);
	put_be32(packet + 16, destination);
	uint16_t sum = checksum_finish(checksum_partial(packet, 20));
	memcpy(packet + 10, &sum, 2);
	packet[20] = ICMP_ECHO_REQUEST;
	put_be32(packet + 24, 0x12345678);
	for (size_t i = 0; i < payload; i++)
		packet[28 + i] = (uint8_t)i;
	sum = checksum_finish(checksum_partial(packet + 20, icmp_len));
	memcpy(packet + 22, &sum, 2);
	return 20 + icmp_len;
}

static void answers_pings_up_to_its_mtu(void **state)
{
	struct port p = settled_port();
	uint8_t ping[1500], to[6], reply[2048];
	uint16_t type;
	static const size_t payloads[] = {0, 1, 56, 1472};
	for (size_t i = 0; i < 4; i++) {
		size_t len = build_ping(ping, PEER, OUR_IP, payloads[i]);
		struct ipv4_packet ip = {0};
		arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping, len);
		nic_step(p.nic, 4 * S, &events);
		size_t got = next_sent(p.worker, 0, to, &type, reply);
		assert_int_equal(type, ETHERTYPE_IPV4);
		assert_memory_equal(to, peer_mac, 6);
		assert_int_equal(ipv4_parse(reply, got, &ip), 0);
		assert_int_equal(ip.source, OUR_IP);
		assert_int_equal(ip.destination, PEER);
		assert_int_equal(ip.payload_len, 8 + payloads[i]);
		assert_int_equal(ip.payload[0], ICMP_ECHO_REPLY);
		assert_int_equal(checksum_finish(checksum_partial(ip.payload, ip.payload_len)), 0);
		assert_memory_equal(ip.payload + 4, ping + 24, 4 + payloads[i]);
	}
	nic_destroy(p.nic);
}

static void answers_no_ping_that_is_not_for_it_alone(void **state)
{
	struct port p = settled_port();
	uint8_t ping[100];
	size_t len = build_ping(ping, PEER, OUR_IP, 20);
	arrive(p.worker, everybody, 0, ETHERTYPE_IPV4, ping, len);
	arrive(p.worker, our_mac, 9, ETHERTYPE_IPV4, ping, len);
	ping[40] ^= 1; /* damaged */
	arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping, len);
	arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping, build_ping(ping, PEER, 0x0a0102ffu, 20));
	arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping, build_ping(ping, 0xe0000001u, OUR_IP, 20)); /* reflection */
	arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping, build_ping(ping, 0xffffffffu, OUR_IP, 20));
	arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping,
	       build_ping(ping, OUR_IP, OUR_IP, 20)); /* nobody else is us */
	for (size_t n = 0; n < len; n++)
		arrive(p.worker, our_mac, 0, ETHERTYPE_IPV4, ping, n), nic_step(p.nic, 4 * S, &events);
	nic_step(p.nic, 4 * S, &events);
	expect_silence(&p);
	nic_destroy(p.nic);
}

static void asks_nobody_while_the_link_is_down_and_announces_itself_when_it_is_back(void **state)
{
	struct port p = open_port(NULL, 0);
	struct arp arp;
	link_is_up = false;
	nic_step(p.nic, S, &events);
	assert_false(nic_link_up(p.nic));
	nic_resolve(p.nic, PEER, S);
	nic_step(p.nic, 20 * S, &events);
	expect_silence(&p);
	link_is_up = true;
	nic_step(p.nic, 21 * S, &events);
	assert_true(nic_link_up(p.nic));
	expect_announcement(&p);
	expect_arp(&p, everybody, &arp);
	assert_int_equal(arp.target_ip, PEER);
	assert_non_null(strstr(warnings, "net_fake0 is up"));
	link_is_up = false;
	nic_step(p.nic, 22 * S, &events);
	assert_non_null(strstr(warnings, "net_fake0 is down"));
	nic_destroy(p.nic);
}

static void each_worker_answers_what_it_received(void **state)
{
	struct port p = settled_port();
	struct side_channel *second = nic_add_worker(p.nic, 1);
	uint8_t to[6], payload[2048];
	uint16_t type;
	request_arrives(second, 0, peer_mac, PEER, OUR_IP);
	nic_step(p.nic, 4 * S, &events);
	expect_silence(&p);
	assert_true(next_sent(second, 0, to, &type, payload) > 0);
	assert_memory_equal(to, peer_mac, 6);
	nic_destroy(p.nic);
}

static size_t build_syn(uint8_t *packet, uint32_t destination)
{
	memset(packet, 0, 40);
	packet[0] = 0x45;
	put_be16(packet + 2, 40);
	packet[9] = IPV4_PROTOCOL_TCP;
	put_be32(packet + 12, PEER);
	put_be32(packet + 16, destination);
	uint16_t sum = checksum_finish(checksum_partial(packet, 20));
	memcpy(packet + 10, &sum, 2);
	packet[32] = 0x50;
	packet[33] = 2;
	sum = checksum_finish(checksum_pseudo(PEER, destination, IPV4_PROTOCOL_TCP) + checksum_be16(20) +
			      checksum_partial(packet + 20, 20));
	memcpy(packet + 36, &sum, 2);
	return 40;
}

static void what_nobody_waits_for_is_refused_by_the_worker_that_received_it(void **state)
{
	struct port p = settled_port();
	struct side_channel *second = nic_add_worker(p.nic, 5);
	uint8_t syn[64], to[6], payload[2048];
	uint16_t type;
	strays = 0;
	size_t len = build_syn(syn, OUR_IP);
	arrive(second, everybody, 0, ETHERTYPE_IPV4, syn, len); /* sent to all on the link: RFC 1122, 4.2.3.10 */
	arrive(second, other_mac, 0, ETHERTYPE_IPV4, syn, len);
	arrive(second, our_mac, 9, ETHERTYPE_IPV4, syn, len);
	nic_step(p.nic, 4 * S, &events);
	assert_int_equal(strays, 0);
	arrive(second, our_mac, 0, ETHERTYPE_IPV4, syn, len);
	nic_step(p.nic, 4 * S, &events);
	assert_int_equal(strays, 1);
	assert_int_equal(stray_queue, 5);
	expect_silence(&p);
	len = next_sent(second, 0, to, &type, payload);
	assert_true(len >= 40);
	assert_memory_equal(to, peer_mac, 6);
	assert_int_equal(type, ETHERTYPE_IPV4);
	assert_int_equal(payload[33], 0x14); /* RST and ACK */
	assert_null(spsc_peek(&second->to_wire));
	nic_destroy(p.nic);
}

static void a_route_is_on_link_or_through_the_gateway_or_not_there(void **state)
{
	struct port p = open_port("10.1.2.1", 0), lonely = open_port(NULL, 0);
	struct route r;
	char why[256];
	assert_int_equal(nic_route(p.nic, PEER, &r, why, sizeof why), 0);
	assert_int_equal(r.next_hop, PEER);
	assert_int_equal(r.source_ip, OUR_IP);
	assert_int_equal(r.mtu, 1500);
	assert_int_equal(r.interface_index, 0);
	assert_int_equal(nic_route(p.nic, 0x08080808, &r, why, sizeof why), 0);
	assert_int_equal(r.next_hop, 0x0a010201);
	assert_int_equal(nic_route(lonely.nic, 0x08080808, &r, why, sizeof why), HW_ERR_HOST_UNREACHABLE);
	assert_non_null(strstr(why, "8.8.8.8"));
	assert_non_null(strstr(why, "--gateway"));
	assert_int_equal(nic_route(p.nic, OUR_IP, &r, why, sizeof why), HW_ERR_UNSUPPORTED);
	nic_destroy(p.nic);
	nic_destroy(lonely.nic);
}

static void ports_are_given_once_until_there_are_none(void **state)
{
	struct port p = open_port(NULL, 0);
	static uint8_t seen[65536];
	uint16_t port, count = 0;
	memset(seen, 0, sizeof seen);
	while ((port = nic_take_port(p.nic)) != 0) {
		assert_true(port >= 32768 && port <= 60999);
		assert_false(seen[port]);
		seen[port] = 1;
		count++;
	}
	assert_int_equal(count, 60999 - 32768 + 1);
	nic_give_port(p.nic, 45000);
	assert_int_equal(nic_take_port(p.nic), 45000);
	nic_destroy(p.nic);
}

static void addresses_that_cannot_be_a_hosts_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *address, *gateway;
		uint32_t vlan;
		const char *says;
	} wrong[] = {
		{NULL, NULL, 0, "--address"},
		{"", NULL, 0, "--address"},
		{"10.1.2.3", NULL, 0, "prefix length"},
		{"10.1.2.3/", NULL, 0, "prefix length"},
		{"10.1.2.3/33", NULL, 0, "prefix length"},
		{"10.1.2.3/0", NULL, 0, "prefix length"},
		{"10.1.2.3/24x", NULL, 0, "prefix length"},
		{"10.1.2/24", NULL, 0, "prefix length"},
		{"10.1.2.1234567890/24", NULL, 0, "prefix length"},
		{"10.1.2.0/24", NULL, 0, "host can have"},
		{"10.1.2.255/24", NULL, 0, "host can have"},
		{"127.0.0.2/8", NULL, 0, "host can have"},
		{"224.0.0.5/24", NULL, 0, "host can have"},
		{"10.1.2.3/24", "10.1.3.1", 0, "gateway"},
		{"10.1.2.3/24", "10.1.2.3", 0, "gateway"},
		{"10.1.2.3/24", "gw", 0, "gateway"},
		{"10.1.2.3/24", NULL, 4095, "4094"},
	};
	struct nic_address a;
	char why[256];
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		why[0] = '\0';
		assert_int_equal(
			nic_address_parse(wrong[i].address, wrong[i].gateway, wrong[i].vlan, &a, why, sizeof why),
			HW_ERR_INVALID);
		if (!strstr(why, wrong[i].says))
			fail_msg("case %zu says: %s", i, why);
	}
	assert_int_equal(nic_address_parse("10.1.2.0/31", "10.1.2.1", 4094, &a, why, sizeof why), 0);
	assert_int_equal(nic_address_parse("10.1.2.9/32", NULL, 0, &a, why, sizeof why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(announces_its_address_twice_two_seconds_apart),
		cmocka_unit_test(answers_who_asks_for_its_address_and_nobody_else),
		cmocka_unit_test(answers_within_its_vlan),
		cmocka_unit_test(answers_a_probe_for_its_address),
		cmocka_unit_test(defends_its_address_once_in_ten_seconds_and_says_against_whom),
		cmocka_unit_test(resolves_a_neighbour_and_reports_its_address_and_its_moves),
		cmocka_unit_test(answers_pings_up_to_its_mtu),
		cmocka_unit_test(answers_no_ping_that_is_not_for_it_alone),
		cmocka_unit_test(asks_nobody_while_the_link_is_down_and_announces_itself_when_it_is_back),
		cmocka_unit_test(each_worker_answers_what_it_received),
		cmocka_unit_test(what_nobody_waits_for_is_refused_by_the_worker_that_received_it),
		cmocka_unit_test(a_route_is_on_link_or_through_the_gateway_or_not_there),
		cmocka_unit_test(ports_are_given_once_until_there_are_none),
		cmocka_unit_test(addresses_that_cannot_be_a_hosts_are_refused_with_the_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
