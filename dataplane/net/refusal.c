#include "dataplane/net/refusal.h"

#include <stdbool.h>
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"

#define TTL               64u
#define TCP_HEADER        20u
#define UDP_HEADER        8u
#define ICMP_HEADER_BYTES 8u
#define PROTOCOL_UDP      17u

#define FLAG_FIN 0x01u
#define FLAG_SYN 0x02u
#define FLAG_RST 0x04u
#define FLAG_ACK 0x10u

static void put_checksum(uint8_t *field, uint64_t sum)
{
	uint16_t folded = checksum_finish(sum);
	memcpy(field, &folded, sizeof folded);
}

static void put_ipv4_header(uint8_t *packet, size_t len, uint8_t protocol, uint32_t source, uint32_t destination)
{
	memset(packet, 0, IPV4_HEADER_BYTES);
	packet[0] = 0x45;
	put_be16(packet + 2, (uint16_t)len);
	put_be16(packet + 6, IPV4_DONT_FRAGMENT);
	packet[8] = TTL;
	packet[9] = protocol;
	put_be32(packet + 12, source);
	put_be32(packet + 16, destination);
	put_checksum(packet + 10, checksum_partial(packet, IPV4_HEADER_BYTES));
}

/* Over TCP or UDP and their pseudo header. */
static bool checksum_right(const struct ipv4_packet *ip, size_t len)
{
	uint64_t sum = checksum_pseudo(ip->source, ip->destination, ip->protocol) + checksum_be16((uint16_t)len) +
		       checksum_partial(ip->payload, len);
	return checksum_finish(sum) == 0;
}

int stray_segment_parse(const uint8_t *packet, size_t len, struct stray_segment *segment)
{
	struct ipv4_packet ip;
	int err = ipv4_parse(packet, len, &ip);
	if (err)
		return err;
	if (ip.protocol != IPV4_PROTOCOL_TCP)
		return HW_ERR_PACKET_NOT_OURS;
	const uint8_t *p = ip.payload;
	if (ip.payload_len < TCP_HEADER)
		return HW_ERR_PACKET_SHORT;
	size_t header = (p[12] >> 4) * 4u;
	if (header < TCP_HEADER)
		return HW_ERR_PACKET_MALFORMED;
	if (header > ip.payload_len)
		return HW_ERR_PACKET_SHORT;
	if (!checksum_right(&ip, ip.payload_len))
		return HW_ERR_PACKET_CHECKSUM;
	uint8_t flags = p[13];
	*segment = (struct stray_segment){.local_ip = ip.destination,
					  .remote_ip = ip.source,
					  .local_port = get_be16(p + 2),
					  .remote_port = get_be16(p),
					  .seq = get_be32(p + 4),
					  .ack = get_be32(p + 8),
					  .sequence_len = (uint32_t)(ip.payload_len - header) + !!(flags & FLAG_SYN) +
							  !!(flags & FLAG_FIN),
					  .flags = flags};
	return 0;
}

size_t refusal_build_rst(uint8_t *packet, const struct stray_segment *s)
{
	uint8_t *tcp = packet + IPV4_HEADER_BYTES;
	bool acks = s->flags & FLAG_ACK;
	if (s->flags & FLAG_RST)
		return 0;
	put_ipv4_header(packet, REFUSAL_RST_BYTES, IPV4_PROTOCOL_TCP, s->local_ip, s->remote_ip);
	memset(tcp, 0, TCP_HEADER);
	put_be16(tcp, s->local_port);
	put_be16(tcp + 2, s->remote_port);
	/* RFC 9293, 3.10.7.1: in the place the peer expects, or if it has not said that, acknowledging what it sent. */
	put_be32(tcp + 4, acks ? s->ack : 0);
	put_be32(tcp + 8, acks ? 0 : s->seq + s->sequence_len);
	tcp[12] = TCP_HEADER / 4u << 4;
	tcp[13] = acks ? FLAG_RST : FLAG_RST | FLAG_ACK;
	put_checksum(tcp + 16, checksum_pseudo(s->local_ip, s->remote_ip, IPV4_PROTOCOL_TCP) +
				       checksum_be16(TCP_HEADER) + checksum_partial(tcp, TCP_HEADER));
	return REFUSAL_RST_BYTES;
}

/* RFC 768: a checksum of 0 means none was made. */
static bool udp_right(const struct ipv4_packet *ip)
{
	if (ip->payload_len < UDP_HEADER)
		return false;
	size_t len = get_be16(ip->payload + 4);
	if (len < UDP_HEADER || len > ip->payload_len)
		return false;
	return get_be16(ip->payload + 6) == 0 || checksum_right(ip, len);
}

size_t refusal_build_icmp(uint8_t *reply, const uint8_t *packet, size_t len, uint32_t our_ip)
{
	struct ipv4_packet ip;
	uint8_t *icmp = reply + IPV4_HEADER_BYTES, *quote = icmp + ICMP_HEADER_BYTES;
	if (ipv4_parse(packet, len, &ip) || ip.destination != our_ip || ip.source == our_ip ||
	    !ipv4_is_one_host(ip.source) || ip.protocol == IPV4_PROTOCOL_ICMP || ip.protocol == IPV4_PROTOCOL_TCP ||
	    (ip.protocol == PROTOCOL_UDP && !udp_right(&ip)))
		return 0;
	size_t quoted = (size_t)(ip.payload - packet) + ip.payload_len;
	size_t room = REFUSAL_ICMP_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES;
	quoted = quoted < room ? quoted : room;
	memset(icmp, 0, ICMP_HEADER_BYTES);
	icmp[0] = ICMP_DESTINATION_UNREACHABLE;
	icmp[1] = ip.protocol == PROTOCOL_UDP ? ICMP_PORT_UNREACHABLE : ICMP_PROTOCOL_UNREACHABLE;
	memcpy(quote, packet, quoted);
	put_checksum(icmp + 2, checksum_partial(icmp, ICMP_HEADER_BYTES + quoted));
	put_ipv4_header(reply, IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted, IPV4_PROTOCOL_ICMP, our_ip, ip.source);
	return IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted;
}
