/* IPv4 headers (RFC 791): parse with every check, and the few constants for building one. */
#ifndef HAREWIRE_NET_IPV4_H
#define HAREWIRE_NET_IPV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/net/checksum.h"

#define IPV4_HEADER_BYTES   20u
#define IPV4_PROTOCOL_ICMP  1u
#define IPV4_PROTOCOL_TCP   6u
#define IPV4_DONT_FRAGMENT  0x4000u
#define IPV4_MORE_OR_OFFSET 0x3fffu /* more-fragments flag and fragment offset: not 0 in a fragment */
#define IPV4_ECN_MASK       0x03u
#define IPV4_ECN_ECT0       0x02u
#define IPV4_ECN_CE         0x03u

struct ipv4_packet {
	uint32_t source, destination; /* host byte order */
	uint8_t protocol;
	uint8_t ecn; /* RFC 3168 codepoint */
	const uint8_t *payload;
	size_t payload_len; /* by the total length field: padding excluded */
};

/* Can a packet come from it, and an answer go to that one host? Not of an address of many, of nobody, or of any host
 * itself. */
static inline bool ipv4_is_one_host(uint32_t ip)
{
	return ip >> 24 != 0 && ip >> 24 != 127 && ip >> 28 < 14;
}

/*
 * Takes a packet of `len` octets apart; trailing padding (short Ethernet frames) is cut off, options are skipped. 0, or
 *   HW_ERR_PACKET_SHORT      shorter than its header or its total length
 *   HW_ERR_PACKET_MALFORMED  version, header length, total length below the header's
 *   HW_ERR_PACKET_CHECKSUM   of the header
 *   HW_ERR_PACKET_FRAGMENT   we send with DF and reassemble nothing
 */
static inline int ipv4_parse(const uint8_t *packet, size_t len, struct ipv4_packet *ip)
{
	if (len < IPV4_HEADER_BYTES)
		return HW_ERR_PACKET_SHORT;
	size_t header = (packet[0] & 0x0fu) * 4u;
	if (packet[0] >> 4 != 4 || header < IPV4_HEADER_BYTES)
		return HW_ERR_PACKET_MALFORMED;
	size_t total = get_be16(packet + 2);
	if (total < header)
		return HW_ERR_PACKET_MALFORMED;
	if (total > len)
		return HW_ERR_PACKET_SHORT;
	if (checksum_finish(checksum_partial(packet, header)) != 0)
		return HW_ERR_PACKET_CHECKSUM;
	if (get_be16(packet + 6) & IPV4_MORE_OR_OFFSET)
		return HW_ERR_PACKET_FRAGMENT;
	ip->source = get_be32(packet + 12);
	ip->destination = get_be32(packet + 16);
	ip->protocol = packet[9];
	ip->ecn = packet[1] & IPV4_ECN_MASK;
	ip->payload = packet + header;
	ip->payload_len = total - header;
	return 0;
}

#endif
