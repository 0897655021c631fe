#include "tests/fuzz/repair.h"

#include <string.h>

#include "dataplane/base/bytes.h"
#include "tests/lib/tcp_peer.h"

#define ICMP 1
#define TCP  6
#define UDP  17

static uint32_t pseudo_header(const uint8_t *ip, size_t l4_len)
{
	uint32_t sum = ip[9] + (uint32_t)l4_len;
	for (size_t at = 12; at < 20; at += 2)
		sum += get_be16(ip + at);
	return sum;
}

static void repair_l4(const uint8_t *ip, uint8_t *l4, size_t len)
{
	size_t at = ip[9] == ICMP ? 2 : ip[9] == TCP ? 16 : 6;
	if ((ip[9] != ICMP && ip[9] != TCP && ip[9] != UDP) || len < at + 2)
		return;
	memset(l4 + at, 0, 2);
	put_be16(l4 + at, wire_checksum(ip[9] == ICMP ? 0 : pseudo_header(ip, len), l4, len));
}

void repair_ipv4(uint8_t *packet, size_t len, unsigned what)
{
	if (len < 20)
		return;
	if (what & REPAIR_IP_LENGTH)
		put_be16(packet + 2, (uint16_t)len);
	size_t header = (packet[0] & 0x0fu) * 4u, total = get_be16(packet + 2);
	if (header < 20 || header > len || total > len || total < header)
		return;
	if (what & REPAIR_IP_SUM) {
		memset(packet + 10, 0, 2);
		put_be16(packet + 10, wire_checksum(0, packet, header));
	}
	if (what & REPAIR_L4_SUM)
		repair_l4(packet, packet + header, total - header);
}
