/*
 * What a host answers to packets that nobody on it waits for: a RST to TCP (RFC 9293, 3.10.7.1), ICMP port or protocol
 * unreachable to the rest (RFC 1122, 3.2.2.1). Pure: whether and how often it is sent is the caller's.
 */
#ifndef HAREWIRE_NET_REFUSAL_H
#define HAREWIRE_NET_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

#define REFUSAL_RST_BYTES  40u  /* headers without options */
#define REFUSAL_ICMP_BYTES 576u /* RFC 1812, 4.3.2.3: as much of the packet as fits */

/* A TCP segment by what identifies it; host byte order, local is its destination. */
struct stray_segment {
	uint32_t local_ip, remote_ip;
	uint16_t local_port, remote_port;
	uint32_t seq, ack;
	uint32_t sequence_len; /* octets of sequence space: payload, SYN and FIN */
	uint8_t flags;
};

/*
 * Takes an IPv4 packet of `len` octets apart that should hold a TCP segment. 0, the codes of ipv4_parse,
 * HW_ERR_PACKET_SHORT, _MALFORMED, _CHECKSUM or _NOT_OURS: not TCP.
 */
int stray_segment_parse(const uint8_t *packet, size_t len, struct stray_segment *segment);

/* Writes the RST, an IPv4 packet of REFUSAL_RST_BYTES, and returns its length; 0: a RST is not answered. */
size_t refusal_build_rst(uint8_t *packet, const struct stray_segment *segment);

/*
 * Writes port unreachable for a UDP datagram to `our_ip`, protocol unreachable for other protocols, an IPv4 packet of
 * at most REFUSAL_ICMP_BYTES, and returns its length. 0: no answer is due: to TCP and ICMP, to fragments, to what does
 * not come from one other host or is not sent to us alone, to damaged packets.
 */
size_t refusal_build_icmp(uint8_t *reply, const uint8_t *packet, size_t len, uint32_t our_ip);

#endif
