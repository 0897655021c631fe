/* Ethernet II, with at most one 802.1Q tag. */
#ifndef HAREWIRE_NET_ETHERNET_H
#define HAREWIRE_NET_ETHERNET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_ARP  0x0806u
#define ETHERTYPE_VLAN 0x8100u

#define ETHERNET_HEADER_BYTES 14u
#define ETHERNET_VLAN_BYTES   4u
#define ETHERNET_HEADER_MAX   (ETHERNET_HEADER_BYTES + ETHERNET_VLAN_BYTES)
#define ETHERNET_VLAN_ID_MASK 0x0fffu

struct ethernet_frame {
	const uint8_t *destination, *source; /* 6 octets each, in the frame */
	uint16_t type;                       /* of the payload, behind a tag */
	uint16_t vlan;                       /* VLAN id; 0: untagged, or tagged with priority only */
	const uint8_t *payload;
	size_t payload_len; /* padding included: the payload knows its own length */
};

/* 0, HW_ERR_PACKET_SHORT, or HW_ERR_PACKET_MALFORMED: a second tag, or a length (802.3) instead of a type. */
static inline int ethernet_parse(const uint8_t *data, size_t len, struct ethernet_frame *frame)
{
	size_t header = ETHERNET_HEADER_BYTES;
	if (len < header)
		return HW_ERR_PACKET_SHORT;
	frame->destination = data;
	frame->source = data + 6;
	frame->type = get_be16(data + 12);
	frame->vlan = 0;
	if (__builtin_expect(frame->type == ETHERTYPE_VLAN, 0)) {
		header = ETHERNET_HEADER_MAX;
		if (len < header)
			return HW_ERR_PACKET_SHORT;
		frame->vlan = get_be16(data + 14) & ETHERNET_VLAN_ID_MASK;
		frame->type = get_be16(data + 16);
	}
	if (frame->type < 0x0600 || frame->type == ETHERTYPE_VLAN)
		return HW_ERR_PACKET_MALFORMED;
	frame->payload = data + header;
	frame->payload_len = len - header;
	return 0;
}

/* Writes a header, tagged unless `vlan` is 0, to `header` (ETHERNET_HEADER_MAX octets of room). Returns its length. */
static inline size_t ethernet_build(uint8_t *header, const uint8_t destination[6], const uint8_t source[6],
				    uint16_t vlan, uint16_t type)
{
	size_t len = 12;
	memcpy(header, destination, 6);
	memcpy(header + 6, source, 6);
	if (vlan) {
		put_be16(header + len, ETHERTYPE_VLAN);
		put_be16(header + len + 2, vlan & ETHERNET_VLAN_ID_MASK);
		len += ETHERNET_VLAN_BYTES;
	}
	put_be16(header + len, type);
	return len + 2;
}

#endif
