#include "control/feed/udp.h"

#include <stdbool.h>

#include "dataplane/base/bytes.h"

#define ETHERTYPE_IPV4     0x0800u
#define ETHERTYPE_VLAN     0x8100u
#define ETHERTYPE_QINQ     0x88A8u
#define ETHERTYPE_QINQ_OLD 0x9100u
#define IP_PROTOCOL_UDP    17u
#define IP_MORE_FRAGMENTS  0x2000u
#define IP_OFFSET_MASK     0x1FFFu
#define UDP_HEADER_BYTES   8u

static bool is_vlan(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ || ethertype == ETHERTYPE_QINQ_OLD;
}

static uint16_t take_ethertype(struct reader *r)
{
	reader_take(r, 12); /* addresses */
	uint16_t ethertype = reader_be16(r);
	for (int tags = 0; tags < 2 && is_vlan(ethertype); tags++) {
		reader_be16(r);
		ethertype = reader_be16(r);
	}
	return ethertype;
}

/* Takes the link header; false: what follows is not IPv4. */
static bool take_link(struct reader *r, uint32_t link_type)
{
	uint16_t ethertype;

	switch (link_type) {
	case LINK_ETHERNET:
		return take_ethertype(r) == ETHERTYPE_IPV4;
	case LINK_LINUX_COOKED:
		reader_take(r, 14);
		return reader_be16(r) == ETHERTYPE_IPV4;
	case LINK_LINUX_COOKED_2:
		ethertype = reader_be16(r);
		reader_take(r, 18);
		return ethertype == ETHERTYPE_IPV4;
	case LINK_RAW_IP:
	case LINK_IPV4:
		return reader_left(r) && *r->p >> 4 == 4;
	default:
		return false;
	}
}

static enum udp_verdict take_udp(struct reader *r, uint32_t segment_bytes, struct udp_payload *payload)
{
	reader_be32(r); /* ports */
	uint32_t udp_bytes = reader_be16(r);
	reader_be16(r); /* checksum */
	if (r->failed || udp_bytes < UDP_HEADER_BYTES || udp_bytes > segment_bytes)
		return UDP_MALFORMED;

	payload->whole_len = udp_bytes - UDP_HEADER_BYTES;
	payload->len = (uint32_t)reader_left(r);
	if (payload->len > payload->whole_len) /* Ethernet padding */
		payload->len = payload->whole_len;
	payload->bytes = r->p;
	return UDP_PAYLOAD;
}

/* RFC 791 */
static enum udp_verdict take_ipv4(struct reader *r, struct udp_payload *payload)
{
	uint8_t version_ihl = reader_u8(r);
	uint32_t header_bytes = (version_ihl & 0xFu) * 4u;
	reader_u8(r);
	uint32_t total_bytes = reader_be16(r);
	reader_be16(r);
	uint16_t fragment = reader_be16(r);
	reader_u8(r);
	uint8_t protocol = reader_u8(r);
	reader_take(r, 10); /* checksum, addresses */
	if (r->failed || version_ihl >> 4 != 4 || header_bytes < 20 || total_bytes < header_bytes)
		return UDP_MALFORMED;
	reader_take(r, header_bytes - 20);

	if (protocol != IP_PROTOCOL_UDP)
		return UDP_OTHER;
	if (fragment & (IP_MORE_FRAGMENTS | IP_OFFSET_MASK))
		return UDP_FRAGMENT;
	return take_udp(r, total_bytes - header_bytes, payload);
}

enum udp_verdict udp_find_payload(uint32_t link_type, const uint8_t *frame, uint32_t len, struct udp_payload *payload)
{
	struct reader r = reader_over(frame, len);

	bool ipv4 = take_link(&r, link_type);
	if (r.failed)
		return UDP_MALFORMED;
	return ipv4 ? take_ipv4(&r, payload) : UDP_OTHER;
}
