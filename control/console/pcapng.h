/*
 * The blocks of a pcapng file (draft-ietf-opsawg-pcapng) that a capture of Ethernet frames consists of, in this host's
 * octet order: a section header, an interface description each, packets, and at the end the interfaces' statistics.
 *
 * Each function writes one block and returns its length, or 0 if it does not fit in `cap` octets.
 */
#ifndef HAREWIRE_PCAPNG_H
#define HAREWIRE_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAPNG_BLOCK_MAX 1024u /* octets of any block but a packet's */
#define PCAPNG_TEXT_MAX  255u  /* longer names are cut */

/* `application`: what wrote the file. */
size_t pcapng_section(uint8_t *block, size_t cap, const char *application);

/* Interfaces are numbered from 0 in their order in the file. Times of its packets are in ns. `snap_bytes` 0: no limit.
 */
size_t pcapng_interface(uint8_t *block, size_t cap, const char *name, const char *description, uint32_t snap_bytes);

struct pcapng_packet {
	uint32_t interface;
	uint64_t time_ns; /* since 1970 */
	const uint8_t *data;
	uint32_t captured; /* octets at data */
	uint32_t len;      /* octets it had */
	bool sent;         /* else received */
};

/* Octets of a packet's block. */
size_t pcapng_packet_bytes(uint32_t captured);
size_t pcapng_packet(uint8_t *block, size_t cap, const struct pcapng_packet *packet);

struct pcapng_statistics {
	uint32_t interface;
	uint64_t begin_ns, end_ns; /* of the capture, since 1970 */
	uint64_t packets;          /* that came by */
	uint64_t dropped;          /* of these: not in the file for want of room */
};

size_t pcapng_statistics(uint8_t *block, size_t cap, const struct pcapng_statistics *statistics);

#endif
