/*
 * The other end of a TCP connection, for tests: segments built and taken apart octet by octet, independently of
 * dataplane/net and dataplane/tcp (naive checksum, own option parser), so that a shared mistake cannot hide.
 */
#ifndef HAREWIRE_TESTS_TCP_PEER_H
#define HAREWIRE_TESTS_TCP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_FIN 0x01
#define WIRE_SYN 0x02
#define WIRE_RST 0x04
#define WIRE_PSH 0x08
#define WIRE_ACK 0x10
#define WIRE_URG 0x20
#define WIRE_ECE 0x40
#define WIRE_CWR 0x80

struct wire_block {
	uint32_t left, right;
};

struct wire_segment {
	uint32_t source_ip, destination_ip;
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	uint8_t ecn;  /* of the IPv4 header: 2 ECT(0), 3 CE */
	uint16_t mss; /* 0: no option */
	int scale;    /* -1: no option */
	bool sack_permitted;
	bool timestamps;
	uint32_t ts_value, ts_echo;
	uint32_t blocks;
	struct wire_block block[4];
	const uint8_t *payload;
	uint32_t len;
};

/* Writes an IPv4 packet with correct checksums to `packet` (room for 100 octets and the payload). Returns its length.
 */
size_t wire_build(uint8_t *packet, const struct wire_segment *s);

/* Takes a packet of ours apart; false when a length, header or checksum is wrong. */
bool wire_parse(const uint8_t *packet, size_t len, struct wire_segment *s);

/* RFC 1071 by the book: 16 bits at a time, big-endian. */
uint16_t wire_checksum(uint32_t sum, const uint8_t *p, size_t len);

/* Recomputes both checksums after a test has changed something. */
void wire_repair(uint8_t *packet, size_t len);

#endif
