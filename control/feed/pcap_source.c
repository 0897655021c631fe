#include "control/feed/pcap_source.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/feed/capture_stream.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define NS_PER_S            1000000000u
#define PCAPNG_BLOCK_SHB    0x0A0D0D0Au /* reads the same in either byte order */
#define PCAPNG_BLOCK_SIMPLE 3u
#define PCAPNG_BLOCK_PACKET 6u
#define PCAP_MAGIC_US       0xA1B2C3D4u
#define PCAP_MAGIC_NS       0xA1B23C4Du

struct pcap_source {
	struct capture_stream stream;
	pcap_t *pcap;
	uint32_t magic;      /* the file's first four octets, as this host reads them */
	uint64_t record_end; /* stream offset behind the last whole record */
	uint64_t last_time_ns;
	bool truncated, ended;
	uint8_t cut[CAPTURE_TAIL_BYTES];
};

static int refuse(struct pcap_source *s, int code, const char *path, const char *reason, char *why, uint32_t why_bytes)
{
	snprintf(why, why_bytes, "cannot read the capture %s: %s", path, reason);
	pcap_source_destroy(s);
	return code;
}

int pcap_source_create(const char *path, struct pcap_source **out, char *why, uint32_t why_bytes)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	struct pcap_source *s = calloc(1, sizeof *s);

	if (!s)
		return refuse(NULL, HW_ERR_NOMEM, path, "out of memory", why, why_bytes);
	if (capture_stream_open(&s->stream, path))
		return refuse(s, HW_ERR_SYSTEM, path, errno ? strerror(errno) : "out of memory", why, why_bytes);
	s->pcap = pcap_fopen_offline_with_tstamp_precision(s->stream.file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!s->pcap)
		return refuse(s, HW_ERR_INVALID, path, s->stream.damaged ? "it is damaged" : error, why, why_bytes);
	s->stream.file = NULL; /* now libpcap's */
	capture_stream_tail(&s->stream, 0, (uint8_t *)&s->magic, sizeof s->magic);
	s->record_end = s->stream.offset;
	*out = s;
	return 0;
}

void pcap_source_destroy(struct pcap_source *s)
{
	if (!s)
		return;
	if (s->pcap)
		pcap_close(s->pcap);
	else
		capture_stream_close(&s->stream);
	free(s);
}

static uint32_t get_32(const struct pcap_source *s, const uint8_t *p)
{
	return pcap_is_swapped(s->pcap) ? get_be32(p) : get_le32(p);
}

/* The octets at `at` are what is left of a packet of `captured` octets. */
static int deliver_cut(struct pcap_source *s, uint32_t at, uint32_t held, uint32_t captured, uint32_t wire_len,
		       struct captured_packet *packet)
{
	uint32_t len = held - at < captured ? held - at : captured;

	*packet = (struct captured_packet){
		.bytes = s->cut + at, .len = len, .wire_len = wire_len, .time_ns = s->last_time_ns};
	return 1;
}

/* A pcap record: seconds, fraction, captured length, length on the wire; octets. */
static int cut_pcap_record(struct pcap_source *s, uint32_t held, struct captured_packet *packet)
{
	uint32_t swapped = __builtin_bswap32(s->magic);
	bool ns = s->magic == PCAP_MAGIC_NS || swapped == PCAP_MAGIC_NS;

	if (held <= 16 || !(ns || s->magic == PCAP_MAGIC_US || swapped == PCAP_MAGIC_US))
		return 0;
	s->last_time_ns = (uint64_t)get_32(s, s->cut) * NS_PER_S + (uint64_t)get_32(s, s->cut + 4) * (ns ? 1 : 1000);
	return deliver_cut(s, 16, held, get_32(s, s->cut + 8), get_32(s, s->cut + 12), packet);
}

/*
 * A pcapng block: type, length; an enhanced packet has interface, time, captured length and length on the wire before
 * its octets. Its time needs the interface's resolution: the last packet's is near enough.
 */
static int cut_pcapng_block(struct pcap_source *s, uint32_t held, struct captured_packet *packet)
{
	uint32_t at = 0;

	while (held - at >= 8) {
		const uint8_t *block = s->cut + at;
		uint32_t type = get_32(s, block), block_bytes = get_32(s, block + 4);
		if (type == PCAPNG_BLOCK_PACKET && held - at > 28)
			return deliver_cut(s, at + 28, held, get_32(s, block + 20), get_32(s, block + 24), packet);
		if (type == PCAPNG_BLOCK_SIMPLE && held - at > 12)
			return deliver_cut(s, at + 12, held, get_32(s, block + 8), get_32(s, block + 8), packet);
		if (block_bytes < 12 || block_bytes > held - at)
			return 0;
		at += block_bytes;
	}
	return 0;
}

static int read_cut_record(struct pcap_source *s, struct captured_packet *packet)
{
	uint32_t held = capture_stream_tail(&s->stream, s->record_end, s->cut, sizeof s->cut);

	s->truncated = true;
	return s->magic == PCAPNG_BLOCK_SHB ? cut_pcapng_block(s, held, packet) : cut_pcap_record(s, held, packet);
}

int pcap_source_next(struct pcap_source *s, struct captured_packet *packet, char *why, uint32_t why_bytes)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;

	if (s->ended)
		return 0;
	int result = pcap_next_ex(s->pcap, &header, &bytes);
	if (result == 1) {
		s->record_end = s->stream.offset;
		s->last_time_ns = (uint64_t)header->ts.tv_sec * NS_PER_S + (uint64_t)header->ts.tv_usec; /* ns */
		*packet = (struct captured_packet){
			.bytes = bytes, .len = header->caplen, .wire_len = header->len, .time_ns = s->last_time_ns};
		return 1;
	}
	s->ended = true;
	if (result == PCAP_ERROR && strstr(pcap_geterr(s->pcap), "truncated") && !s->stream.damaged)
		return read_cut_record(s, packet);
	s->truncated |= s->stream.cut_short;
	if (result == PCAP_ERROR) {
		snprintf(why, why_bytes, "the capture is damaged after %llu octets: %s",
			 (unsigned long long)s->record_end,
			 s->stream.damaged ? "bad compressed data" : pcap_geterr(s->pcap));
		return HW_ERR_INVALID;
	}
	return 0;
}

uint32_t pcap_source_link_type(const struct pcap_source *s)
{
	/* Where a DLT_ number differs from the file's LINKTYPE_ (raw IP), libpcap has mapped it to the host's. */
	int link = pcap_datalink(s->pcap);
	return link == DLT_RAW ? 101 : (uint32_t)link;
}

bool pcap_source_truncated(const struct pcap_source *s)
{
	return s->truncated;
}
