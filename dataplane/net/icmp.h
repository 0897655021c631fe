/* ICMP (RFC 792, 1191): errors about TCP segments we have sent, and the answer to a ping. Other ICMP is not ours. */
#ifndef HAREWIRE_NET_ICMP_H
#define HAREWIRE_NET_ICMP_H

#include <stddef.h>
#include <stdint.h>

#define ICMP_ECHO_REPLY              0u
#define ICMP_DESTINATION_UNREACHABLE 3u
#define ICMP_SOURCE_QUENCH           4u
#define ICMP_ECHO_REQUEST            8u
#define ICMP_TIME_EXCEEDED           11u
#define ICMP_PARAMETER_PROBLEM       12u

/* Codes of ICMP_DESTINATION_UNREACHABLE */
#define ICMP_PROTOCOL_UNREACHABLE     2u
#define ICMP_PORT_UNREACHABLE         3u
#define ICMP_FRAGMENTATION_NEEDED     4u
#define ICMP_NET_PROHIBITED           9u
#define ICMP_HOST_PROHIBITED          10u
#define ICMP_COMMUNICATION_PROHIBITED 13u

struct icmp_error {
	uint32_t source_ip; /* who says so; host byte order, like all below */
	uint8_t type, code;
	uint16_t next_mtu; /* fragmentation needed: of the next hop, 0 from routers older than RFC 1191; else 0 */
	/* the quoted segment: source is us */
	uint32_t quoted_source_ip, quoted_destination_ip;
	uint16_t quoted_source_port, quoted_destination_port;
	uint32_t quoted_sequence;
};

/*
 * Takes an IPv4 packet of `len` octets apart that should hold an ICMP error quoting a TCP segment. 0, the codes of
 * ipv4_parse, HW_ERR_PACKET_SHORT, _CHECKSUM, or HW_ERR_PACKET_NOT_OURS: not ICMP, not an error, or not about TCP.
 */
int icmp_error_parse(const uint8_t *packet, size_t len, struct icmp_error *error);

/*
 * If the IPv4 packet of `len` octets is an echo request from one host, not ourselves, to `our_ip` (RFC 1122, 3.2.2.6),
 * writes the reply, an IPv4 packet of at most `len` octets, and returns its length; else 0.
 */
size_t icmp_build_echo_reply(uint8_t *reply, const uint8_t *packet, size_t len, uint32_t our_ip);

#endif
