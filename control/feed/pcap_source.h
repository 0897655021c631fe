/*
 * Packets of a pcap or pcapng file (libpcap), gzip'ed (zlib) or not, in either byte order, with stamps in us or ns. The
 * part that is there of a last packet cut short is delivered too.
 */
#ifndef HAREWIRE_FEED_PCAP_SOURCE_H
#define HAREWIRE_FEED_PCAP_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct captured_packet {
	const uint8_t *bytes; /* valid until the next one is asked for */
	uint32_t len;         /* octets in the file */
	uint32_t wire_len;    /* octets the packet had */
	uint64_t time_ns;     /* since 1970 */
};

struct pcap_source;

/* 0, or HW_ERR_SYSTEM / _INVALID / _NOMEM with a sentence in `why`. */
int pcap_source_create(const char *path, struct pcap_source **out, char *why, uint32_t why_bytes);
void pcap_source_destroy(struct pcap_source *s);

/* 1 and a packet; 0 at the end; HW_ERR_INVALID for a damaged file, with a sentence in `why`. */
int pcap_source_next(struct pcap_source *s, struct captured_packet *packet, char *why, uint32_t why_bytes);

/* LINKTYPE_ number of all its packets. */
uint32_t pcap_source_link_type(const struct pcap_source *s);

/* The file ended in the middle of a record. Known at the end. */
bool pcap_source_truncated(const struct pcap_source *s);

#endif
