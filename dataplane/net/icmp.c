#include "dataplane/net/icmp.h"

#include <stdbool.h>
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ipv4.h"

#define ICMP_HEADER_BYTES 8u
#define QUOTED_TCP_BYTES  8u /* RFC 792: the header and the first 64 bits: ports and sequence number */

static bool is_error(uint8_t type)
{
	return type == ICMP_DESTINATION_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETER_PROBLEM;
}

/*
 * The quoted packet is cut short by design and may have been altered on its way (TTL, checksum), so only what
 * identifies the segment is looked at; whether the sequence number is plausible is for TCP to say (RFC 5927).
 */
static int parse_quote(const uint8_t *p, size_t len, struct icmp_error *error)
{
	if (len < IPV4_HEADER_BYTES)
		return HW_ERR_PACKET_SHORT;
	size_t header = (p[0] & 0x0fu) * 4u;
	if (p[0] >> 4 != 4 || header < IPV4_HEADER_BYTES)
		return HW_ERR_PACKET_MALFORMED;
	if (p[9] != IPV4_PROTOCOL_TCP)
		return HW_ERR_PACKET_NOT_OURS;
	if (len < header || len - header < QUOTED_TCP_BYTES)
		return HW_ERR_PACKET_SHORT;
	error->quoted_source_ip = get_be32(p + 12);
	error->quoted_destination_ip = get_be32(p + 16);
	error->quoted_source_port = get_be16(p + header);
	error->quoted_destination_port = get_be16(p + header + 2);
	error->quoted_sequence = get_be32(p + header + 4);
	return 0;
}

int icmp_error_parse(const uint8_t *packet, size_t len, struct icmp_error *error)
{
	struct ipv4_packet ip;
	int err = ipv4_parse(packet, len, &ip);
	if (err)
		return err;
	if (ip.protocol != IPV4_PROTOCOL_ICMP)
		return HW_ERR_PACKET_NOT_OURS;
	if (ip.payload_len < ICMP_HEADER_BYTES)
		return HW_ERR_PACKET_SHORT;
	if (checksum_finish(checksum_partial(ip.payload, ip.payload_len)) != 0)
		return HW_ERR_PACKET_CHECKSUM;
	error->source_ip = ip.source;
	error->type = ip.payload[0];
	error->code = ip.payload[1];
	if (!is_error(error->type))
		return HW_ERR_PACKET_NOT_OURS;
	bool too_big = error->type == ICMP_DESTINATION_UNREACHABLE && error->code == ICMP_FRAGMENTATION_NEEDED;
	error->next_mtu = too_big ? get_be16(ip.payload + 6) : 0;
	return parse_quote(ip.payload + ICMP_HEADER_BYTES, ip.payload_len - ICMP_HEADER_BYTES, error);
}

#define ECHO_TTL 64u

static void put_checksum(uint8_t *field, const uint8_t *octets, size_t len)
{
	uint16_t sum = checksum_finish(checksum_partial(octets, len));
	memcpy(field, &sum, sizeof sum);
}

size_t icmp_build_echo_reply(uint8_t *reply, const uint8_t *packet, size_t len, uint32_t our_ip)
{
	struct ipv4_packet ip;
	if (ipv4_parse(packet, len, &ip) || ip.protocol != IPV4_PROTOCOL_ICMP || ip.destination != our_ip ||
	    ip.source == our_ip || !ipv4_is_one_host(ip.source) || ip.payload_len < ICMP_HEADER_BYTES ||
	    ip.payload[0] != ICMP_ECHO_REQUEST || checksum_finish(checksum_partial(ip.payload, ip.payload_len)) != 0)
		return 0;
	uint8_t *icmp = reply + IPV4_HEADER_BYTES;
	memset(reply, 0, IPV4_HEADER_BYTES);
	reply[0] = 0x45;
	put_be16(reply + 2, (uint16_t)(IPV4_HEADER_BYTES + ip.payload_len));
	put_be16(reply + 6, IPV4_DONT_FRAGMENT);
	reply[8] = ECHO_TTL;
	reply[9] = IPV4_PROTOCOL_ICMP;
	put_be32(reply + 12, our_ip);
	put_be32(reply + 16, ip.source);
	put_checksum(reply + 10, reply, IPV4_HEADER_BYTES);
	memcpy(icmp, ip.payload, ip.payload_len);
	icmp[0] = ICMP_ECHO_REPLY;
	memset(icmp + 2, 0, 2);
	put_checksum(icmp + 2, icmp, ip.payload_len);
	return IPV4_HEADER_BYTES + ip.payload_len;
}
