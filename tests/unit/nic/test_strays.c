/* Packets for nobody: what is answered, with what, how often, and what is left to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/nic/strays.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"
#include "tests/lib/tcp_peer.h"

#define OUR_IP 0x0a010205u
#define PEER   0x0a010207u
#define S      1000000000ull

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static struct {
	struct driver_flow flow;
	uint32_t queue, strays, errors;
	struct icmp_error error;
	bool is_known;
} seen;

static bool on_stray(void *context, const struct driver_flow *flow, uint32_t queue)
{
	seen.flow = *flow;
	seen.queue = queue;
	seen.strays++;
	return seen.is_known;
}

static void on_icmp_error(void *context, const struct icmp_error *error)
{
	seen.error = *error;
	seen.errors++;
}

static const struct nic_events events = {.stray = on_stray, .icmp_error = on_icmp_error};

static int setup(void **state)
{
	memset(&seen, 0, sizeof seen);
	return 0;
}

/* ---- packets ---- */

static uint8_t packet[1600], reply[SIDE_FRAME_BYTES];

static void put_sum(uint8_t *field, uint64_t sum)
{
	uint16_t folded = checksum_finish(sum);
	memcpy(field, &folded, 2);
}

static size_t put_header(uint8_t protocol, uint32_t source, uint32_t destination, size_t payload)
{
	memset(packet, 0, 20);
	packet[0] = 0x45;
	put_be16(packet + 2, (uint16_t)(20 + payload));
	packet[8] = 60;
	packet[9] = protocol;
	put_be32(packet + 12, source);
	put_be32(packet + 16, destination);
	put_sum(packet + 10, checksum_partial(packet, 20));
	return 20 + payload;
}

static size_t segment_from(uint32_t source, uint32_t destination, uint8_t flags, uint32_t seq, uint32_t ack,
			   size_t data)
{
	static const uint8_t octets[100] = "data";
	const struct wire_segment s = {.source_ip = source,
				       .destination_ip = destination,
				       .source_port = 5672,
				       .destination_port = 40000,
				       .seq = seq,
				       .ack = ack,
				       .flags = flags,
				       .scale = -1,
				       .payload = octets,
				       .len = (uint32_t)data};
	return wire_build(packet, &s);
}

static size_t segment(uint8_t flags, uint32_t seq, uint32_t ack, size_t data)
{
	return segment_from(PEER, OUR_IP, flags, seq, ack, data);
}

static size_t datagram(uint32_t source, uint32_t destination, size_t data)
{
	uint8_t *udp = packet + 20;
	memset(udp, 'u', 8 + data);
	put_be16(udp, 5353);
	put_be16(udp + 2, 53);
	put_be16(udp + 4, (uint16_t)(8 + data));
	size_t len = put_header(17, source, destination, 8 + data);
	memset(udp + 6, 0, 2);
	put_sum(udp + 6, checksum_pseudo(source, destination, 17) + checksum_be16((uint16_t)(8 + data)) +
				 checksum_partial(udp, 8 + data));
	return len;
}

static size_t answer_at(struct strays *s, size_t len, uint64_t now_ns)
{
	return strays_answer(s, reply, packet, len, 3, now_ns, &events);
}

static size_t answer(size_t len)
{
	struct strays s = {.our_ip = OUR_IP};
	return answer_at(&s, len, S);
}

/* ---- TCP ---- */

static void expect_rst(size_t len, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct wire_segment rst;
	assert_int_equal(len, 40);
	assert_true(wire_parse(reply, len, &rst)); /* with checksums */
	assert_int_equal(rst.source_ip, OUR_IP);
	assert_int_equal(rst.destination_ip, PEER);
	assert_int_equal(rst.source_port, 40000);
	assert_int_equal(rst.destination_port, 5672);
	assert_int_equal(rst.flags, flags);
	assert_int_equal(rst.seq, seq);
	assert_int_equal(rst.ack, ack);
	assert_int_equal(rst.len, 0);
}

/* RFC 9293, 3.10.7.1 */
static void a_segment_for_nobody_is_reset_where_its_sender_will_believe_it(void **state)
{
	expect_rst(answer(segment(ACK, 1000, 2000, 7)), RST, 2000, 0);
	expect_rst(answer(segment(SYN | ACK, 1000, 2000, 0)), RST, 2000, 0);
	expect_rst(answer(segment(SYN, 1000, 77, 0)), RST | ACK, 0, 1001); /* what has no ACK bit has no ack */
	expect_rst(answer(segment(FIN, 0xffffffffu, 0, 5)), RST | ACK, 0, 5);
	assert_int_equal(seen.strays, 4);
	assert_int_equal(seen.queue, 3);
	assert_int_equal(seen.flow.local_ip, OUR_IP);
	assert_int_equal(seen.flow.remote_ip, PEER);
	assert_int_equal(seen.flow.local_port, 40000);
	assert_int_equal(seen.flow.remote_port, 5672);
}

static void a_reset_is_never_answered(void **state)
{
	assert_int_equal(answer(segment(RST, 1000, 0, 0)), 0);
	assert_int_equal(answer(segment(RST | ACK, 1000, 2000, 0)), 0);
}

static void another_workers_segment_is_not_answered(void **state)
{
	seen.is_known = true;
	assert_int_equal(answer(segment(SYN | ACK, 1000, 2000, 0)), 0);
	assert_int_equal(seen.strays, 1);
}

static void a_segment_that_is_damaged_or_not_from_a_host_or_not_to_us_is_nobodys_business(void **state)
{
	size_t len = segment(ACK, 1000, 2000, 7);
	packet[42] ^= 1;
	assert_int_equal(answer(len), 0);
	for (size_t n = 0; n < len; n++) {
		segment(ACK, 1000, 2000, 7);
		assert_int_equal(answer(n), 0);
	}
	assert_int_equal(answer(segment_from(0xe0000001u, OUR_IP, ACK, 1, 2, 0)), 0);
	assert_int_equal(answer(segment_from(0xffffffffu, OUR_IP, ACK, 1, 2, 0)), 0);
	assert_int_equal(answer(segment_from(0, OUR_IP, ACK, 1, 2, 0)), 0);
	assert_int_equal(answer(segment_from(OUR_IP, OUR_IP, ACK, 1, 2, 0)), 0);
	assert_int_equal(answer(segment_from(PEER, OUR_IP + 1, ACK, 1, 2, 0)), 0);
	assert_int_equal(seen.strays, 0);
}

/* ---- the rest ---- */

static void expect_unreachable(size_t got, uint8_t code, size_t original)
{
	struct ipv4_packet ip = {0};
	assert_true(got > 28);
	assert_int_equal(ipv4_parse(reply, got, &ip), 0);
	assert_int_equal(ip.source, OUR_IP);
	assert_int_equal(ip.destination, PEER);
	assert_int_equal(ip.protocol, IPV4_PROTOCOL_ICMP);
	assert_int_equal(checksum_finish(checksum_partial(ip.payload, ip.payload_len)), 0);
	assert_int_equal(ip.payload[0], ICMP_DESTINATION_UNREACHABLE);
	assert_int_equal(ip.payload[1], code);
	size_t quoted = original < 548 ? original : 548;
	assert_int_equal(ip.payload_len, 8 + quoted);
	assert_memory_equal(ip.payload + 8, packet, quoted);
}

static void a_datagram_is_told_that_its_port_is_unreachable(void **state)
{
	static const size_t sizes[] = {0, 1, 512, 520, 521, 1400};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t len = datagram(PEER, OUR_IP, sizes[i]);
		expect_unreachable(answer(len), ICMP_PORT_UNREACHABLE, len);
	}
	size_t len = datagram(PEER, OUR_IP, 9);
	memset(packet + 26, 0, 2); /* no checksum: RFC 768 */
	expect_unreachable(answer(len), ICMP_PORT_UNREACHABLE, len);
	memset(packet + len, 0x33, 18); /* padding is not quoted */
	assert_int_equal(answer(len + 18), 28 + len);
}

static void other_protocols_are_unreachable(void **state)
{
	memset(packet + 20, 0, 40);
	size_t len = put_header(132, PEER, OUR_IP, 40);
	expect_unreachable(answer(len), ICMP_PROTOCOL_UNREACHABLE, len);
}

static void what_was_sent_to_many_or_by_nobody_or_in_pieces_is_not_answered(void **state)
{
	assert_int_equal(answer(datagram(PEER, 0x0a0102ffu, 20)), 0);
	assert_int_equal(answer(datagram(PEER, 0xe00000fbu, 20)), 0);
	assert_int_equal(answer(datagram(0xe00000fbu, OUR_IP, 20)), 0);
	assert_int_equal(answer(datagram(0x7f000001u, OUR_IP, 20)), 0);
	assert_int_equal(answer(datagram(OUR_IP, OUR_IP, 20)), 0);
	size_t len = datagram(PEER, OUR_IP, 20);
	packet[30] ^= 1;
	assert_int_equal(answer(len), 0);
	len = datagram(PEER, OUR_IP, 20);
	put_be16(packet + 24, 29); /* longer than it is */
	memset(packet + 26, 0, 2);
	assert_int_equal(answer(len), 0);
	static const uint16_t pieces[] = {0x2000, 0x0003, 0x2003};
	for (size_t i = 0; i < 3; i++) {
		len = datagram(PEER, OUR_IP, 24);
		put_be16(packet + 6, pieces[i]);
		memset(packet + 10, 0, 2);
		put_sum(packet + 10, checksum_partial(packet, 20));
		assert_int_equal(answer(len), 0);
	}
}

static size_t icmp_error_about(uint8_t type, uint8_t code, uint16_t next_mtu)
{
	uint8_t *icmp = packet + 20, *quote = icmp + 8;
	memset(icmp, 0, 36);
	icmp[0] = type;
	icmp[1] = code;
	put_be16(icmp + 6, next_mtu);
	quote[0] = 0x45;
	quote[9] = IPV4_PROTOCOL_TCP;
	put_be32(quote + 12, OUR_IP);
	put_be32(quote + 16, PEER);
	put_be16(quote + 20, 40000);
	put_be16(quote + 22, 5672);
	put_be32(quote + 24, 4711);
	put_sum(icmp + 2, checksum_partial(icmp, 36));
	return put_header(IPV4_PROTOCOL_ICMP, 0x0a0909fe, OUR_IP, 36);
}

static void icmp_errors_are_passed_on_and_never_answered(void **state)
{
	assert_int_equal(answer(icmp_error_about(3, ICMP_FRAGMENTATION_NEEDED, 1400)), 0);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(seen.error.code, ICMP_FRAGMENTATION_NEEDED);
	assert_int_equal(seen.error.next_mtu, 1400);
	assert_int_equal(seen.error.quoted_sequence, 4711);
	assert_int_equal(seen.error.quoted_source_port, 40000);
	size_t len = icmp_error_about(3, 1, 0);
	packet[22] ^= 1;
	assert_int_equal(answer(len), 0);
	assert_int_equal(seen.errors, 1);
	assert_int_equal(answer(icmp_error_about(13, 0, 0)), 0); /* timestamp request: not offered */
	assert_int_equal(seen.errors, 1);
}

static void refusals_are_counted_out_to_a_flood(void **state)
{
	struct strays s = {.our_ip = OUR_IP};
	uint32_t sent = 0;
	for (int i = 0; i < 100000; i++)
		sent += answer_at(&s, segment(ACK, 1, 2, 0), 5 * S) != 0;
	assert_int_equal(sent, STRAYS_AT_ONCE);
	assert_int_equal(answer_at(&s, datagram(PEER, OUR_IP, 3), 5 * S), 0); /* one allowance for all */
	for (uint64_t ms = 0; ms < 10000; ms++)
		sent += answer_at(&s, segment(ACK, 1, 2, 0), 5 * S + ms * 1000000) != 0;
	assert_in_range(sent, STRAYS_AT_ONCE + 998, STRAYS_AT_ONCE + 1000);
	sent = 0; /* after a pause as many as before, no more */
	for (int i = 0; i < 1000; i++)
		sent += answer_at(&s, segment(ACK, 1, 2, 0), 100 * S) != 0;
	assert_int_equal(sent, STRAYS_AT_ONCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_segment_for_nobody_is_reset_where_its_sender_will_believe_it, setup),
		cmocka_unit_test_setup(a_reset_is_never_answered, setup),
		cmocka_unit_test_setup(another_workers_segment_is_not_answered, setup),
		cmocka_unit_test_setup(a_segment_that_is_damaged_or_not_from_a_host_or_not_to_us_is_nobodys_business,
				       setup),
		cmocka_unit_test_setup(a_datagram_is_told_that_its_port_is_unreachable, setup),
		cmocka_unit_test_setup(other_protocols_are_unreachable, setup),
		cmocka_unit_test_setup(what_was_sent_to_many_or_by_nobody_or_in_pieces_is_not_answered, setup),
		cmocka_unit_test_setup(icmp_errors_are_passed_on_and_never_answered, setup),
		cmocka_unit_test_setup(refusals_are_counted_out_to_a_flood, setup),
	};
	return cmocka_run_group_tests_name("strays", tests, NULL, NULL);
}
