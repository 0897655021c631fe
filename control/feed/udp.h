/*
 * From a captured frame to the payload of its UDP datagram: Ethernet with up to two VLAN tags, Linux "cooked" captures
 * or bare IP; IPv4; UDP. Pure.
 *
 * Checksums are not verified: a capture taken on the sending host holds packets before the NIC has filled them in.
 */
#ifndef HAREWIRE_FEED_UDP_H
#define HAREWIRE_FEED_UDP_H

#include <stdint.h>

/* Link types by their LINKTYPE_ number (the pcap and pcapng formats'). */
enum link_type {
	LINK_ETHERNET = 1,
	LINK_RAW_IP = 101,
	LINK_LINUX_COOKED = 113,
	LINK_IPV4 = 228,
	LINK_LINUX_COOKED_2 = 276,
};

enum udp_verdict {
	UDP_PAYLOAD,
	UDP_OTHER,     /* not IPv4, or not UDP */
	UDP_FRAGMENT,  /* of an IP datagram; never reassembled */
	UDP_MALFORMED, /* lengths contradict each other, or the headers themselves are cut short */
};

struct udp_payload {
	const uint8_t *bytes;
	uint32_t len;       /* octets present */
	uint32_t whole_len; /* octets the datagram had; more than len when the capture is cut */
};

enum udp_verdict udp_find_payload(uint32_t link_type, const uint8_t *frame, uint32_t len, struct udp_payload *payload);

#endif
