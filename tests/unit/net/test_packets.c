/* Ethernet, IPv4, ICMP and ARP headers: what is taken, what is refused, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/net/arp.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"
#include "tests/lib/tcp_peer.h"

static const uint8_t us[6] = {2, 0, 0, 0, 0, 1}, them[6] = {2, 0, 0, 0, 0, 2};

static void put_checksum(uint8_t *field, uint16_t checksum)
{
	field[0] = (uint8_t)(checksum >> 8);
	field[1] = (uint8_t)checksum;
}

static void ethernet_round_trip_with_and_without_tag(void **state)
{
	uint8_t frame[ETHERNET_HEADER_MAX + 4];
	struct ethernet_frame e;
	for (uint16_t vlan = 0; vlan < 4096; vlan += 819) {
		size_t header = ethernet_build(frame, them, us, vlan, ETHERTYPE_IPV4);
		assert_int_equal(header, vlan ? 18 : 14);
		assert_int_equal(ethernet_parse(frame, header + 4, &e), 0);
		assert_int_equal(e.vlan, vlan);
		assert_int_equal(e.type, ETHERTYPE_IPV4);
		assert_memory_equal(e.destination, them, 6);
		assert_memory_equal(e.source, us, 6);
		assert_ptr_equal(e.payload, frame + header);
		assert_int_equal(e.payload_len, 4);
		for (size_t len = 0; len < header; len++)
			assert_int_equal(ethernet_parse(frame, len, &e), HW_ERR_PACKET_SHORT);
	}
}

static void ethernet_refuses_a_second_tag_and_802_3_lengths(void **state)
{
	uint8_t frame[64] = {0};
	struct ethernet_frame e;
	ethernet_build(frame, them, us, 5, ETHERTYPE_VLAN);
	assert_int_equal(ethernet_parse(frame, sizeof frame, &e), HW_ERR_PACKET_MALFORMED);
	ethernet_build(frame, them, us, 0, 46);
	assert_int_equal(ethernet_parse(frame, sizeof frame, &e), HW_ERR_PACKET_MALFORMED);
}

static size_t ipv4(uint8_t *p, size_t header, uint8_t protocol, size_t payload)
{
	memset(p, 0, header);
	p[0] = (uint8_t)(0x40 | header / 4);
	put_be16(p + 2, (uint16_t)(header + payload));
	p[8] = 64;
	p[9] = protocol;
	put_be32(p + 12, 0x0a000002);
	put_be32(p + 16, 0x0a000001);
	put_checksum(p + 10, wire_checksum(0, p, header));
	return header + payload;
}

static void repair(uint8_t *p)
{
	put_be16(p + 10, 0);
	put_checksum(p + 10, wire_checksum(0, p, (p[0] & 15u) * 4u));
}

static void ipv4_skips_options_and_cuts_padding(void **state)
{
	uint8_t p[100] = {0};
	struct ipv4_packet ip;
	for (size_t header = 20; header <= 60; header += 4) {
		size_t len = ipv4(p, header, 6, 10);
		assert_int_equal(ipv4_parse(p, len + 20, &ip), 0);
		assert_ptr_equal(ip.payload, p + header);
		assert_int_equal(ip.payload_len, 10);
		assert_int_equal(ip.source, 0x0a000002);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(ipv4_parse(p, n, &ip), HW_ERR_PACKET_SHORT);
	}
}

static void ipv4_refuses_what_is_wrong(void **state)
{
	uint8_t p[100];
	struct ipv4_packet ip;
	size_t len = ipv4(p, 20, 6, 20);
	p[0] = 0x65;
	assert_int_equal(ipv4_parse(p, len, &ip), HW_ERR_PACKET_MALFORMED);
	p[0] = 0x44;
	assert_int_equal(ipv4_parse(p, len, &ip), HW_ERR_PACKET_MALFORMED);
	ipv4(p, 20, 6, 20);
	put_be16(p + 2, 19);
	repair(p);
	assert_int_equal(ipv4_parse(p, len, &ip), HW_ERR_PACKET_MALFORMED);
	ipv4(p, 20, 6, 20);
	p[8]--;
	assert_int_equal(ipv4_parse(p, len, &ip), HW_ERR_PACKET_CHECKSUM);
	const uint16_t fragments[] = {0x2000, 0x0001, 0x1fff, 0x2005};
	for (int i = 0; i < 4; i++) {
		ipv4(p, 20, 6, 20);
		put_be16(p + 6, fragments[i]);
		repair(p);
		assert_int_equal(ipv4_parse(p, len, &ip), HW_ERR_PACKET_FRAGMENT);
	}
	put_be16(p + 6, IPV4_DONT_FRAGMENT);
	repair(p);
	assert_int_equal(ipv4_parse(p, len, &ip), 0);
}

/* An ICMP error quoting a TCP segment of ours whose IPv4 header is `quoted` octets long. */
static size_t icmp(uint8_t *p, uint8_t type, uint8_t code, size_t quoted, uint8_t protocol)
{
	size_t payload = 8 + quoted + 8;
	uint8_t *m = p + 20;
	memset(m, 0, payload);
	m[0] = type;
	m[1] = code;
	put_be16(m + 6, 1400);
	ipv4(m + 8, quoted, protocol, 1460); /* its length is that of the packet that was sent */
	put_be32(m + 8 + 12, 0x0a000001);
	put_be32(m + 8 + 16, 0x0a000002);
	put_be16(m + 8 + quoted, 40000);
	put_be16(m + 8 + quoted + 2, 5672);
	put_be32(m + 8 + quoted + 4, 0xdeadbeef);
	put_checksum(m + 2, wire_checksum(0, m, payload));
	return ipv4(p, 20, 1, payload);
}

static void icmp_errors_name_the_segment_they_are_about(void **state)
{
	uint8_t p[200];
	struct icmp_error e;
	for (size_t quoted = 20; quoted <= 60; quoted += 20) {
		size_t len = icmp(p, 3, 4, quoted, 6);
		assert_int_equal(icmp_error_parse(p, len, &e), 0);
		assert_int_equal(e.type, 3);
		assert_int_equal(e.code, 4);
		assert_int_equal(e.next_mtu, 1400);
		assert_int_equal(e.quoted_source_ip, 0x0a000001);
		assert_int_equal(e.quoted_destination_port, 5672);
		assert_int_equal(e.quoted_sequence, 0xdeadbeef);
	}
	icmp(p, 3, 1, 20, 6);
	assert_int_equal(icmp_error_parse(p, 56, &e), 0);
	assert_int_equal(e.next_mtu, 0);
}

static void icmp_that_is_no_error_about_tcp_is_not_ours(void **state)
{
	uint8_t p[200];
	struct icmp_error e;
	assert_int_equal(icmp_error_parse(p, icmp(p, 8, 0, 20, 6), &e), HW_ERR_PACKET_NOT_OURS);
	assert_int_equal(icmp_error_parse(p, icmp(p, 3, 4, 20, 17), &e), HW_ERR_PACKET_NOT_OURS);
	assert_int_equal(icmp_error_parse(p, ipv4(p, 20, 6, 40), &e), HW_ERR_PACKET_NOT_OURS);
	size_t len = icmp(p, 3, 4, 20, 6);
	p[30] ^= 1;
	assert_int_equal(icmp_error_parse(p, len, &e), HW_ERR_PACKET_CHECKSUM);
}

static void icmp_quotes_cut_short_are_refused(void **state)
{
	uint8_t p[200];
	struct icmp_error e;
	for (size_t cut = 1; cut <= 36; cut++) {
		size_t len = icmp(p, 3, 4, 20, 6) - cut;
		ipv4(p, 20, 1, len - 20);
		if (len >= 28) {
			put_be16(p + 22, 0);
			put_checksum(p + 22, wire_checksum(0, p + 20, len - 20));
		}
		uint8_t *copy = malloc(len);
		memcpy(copy, p, len);
		assert_int_equal(icmp_error_parse(copy, len, &e), HW_ERR_PACKET_SHORT);
		free(copy);
	}
}

static void arp_asks_and_answers(void **state)
{
	uint8_t p[ARP_BYTES];
	struct arp a;
	arp_build_request(p, them, 0x0a000002, 0x0a000001);
	assert_int_equal(arp_parse(p, sizeof p, &a), 0);
	assert_int_equal(a.operation, ARP_REQUEST);
	assert_int_equal(a.target_ip, 0x0a000001);
	arp_build_reply(p, us, &a);
	assert_int_equal(arp_parse(p, sizeof p, &a), 0);
	assert_int_equal(a.operation, ARP_REPLY);
	assert_memory_equal(a.sender_mac, us, 6);
	assert_memory_equal(a.target_mac, them, 6);
	assert_int_equal(a.sender_ip, 0x0a000001);
	assert_int_equal(a.target_ip, 0x0a000002);
}

static void arp_refuses_other_kinds_and_short_packets(void **state)
{
	uint8_t p[ARP_BYTES], bad[ARP_BYTES];
	struct arp a;
	arp_build_request(p, them, 1, 2);
	for (size_t len = 0; len < sizeof p; len++)
		assert_int_equal(arp_parse(p, len, &a), HW_ERR_PACKET_SHORT);
	const size_t fields[] = {1, 2, 4, 5, 7, 8};
	for (int i = 0; i < 6; i++) {
		memcpy(bad, p, sizeof p);
		bad[fields[i]] ^= 0x11;
		assert_int_equal(arp_parse(bad, sizeof bad, &a), HW_ERR_PACKET_MALFORMED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ethernet_round_trip_with_and_without_tag),
		cmocka_unit_test(ethernet_refuses_a_second_tag_and_802_3_lengths),
		cmocka_unit_test(ipv4_skips_options_and_cuts_padding),
		cmocka_unit_test(ipv4_refuses_what_is_wrong),
		cmocka_unit_test(icmp_errors_name_the_segment_they_are_about),
		cmocka_unit_test(icmp_that_is_no_error_about_tcp_is_not_ours),
		cmocka_unit_test(icmp_quotes_cut_short_are_refused),
		cmocka_unit_test(arp_asks_and_answers),
		cmocka_unit_test(arp_refuses_other_kinds_and_short_packets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
