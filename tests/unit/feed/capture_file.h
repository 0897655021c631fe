/*
 * Captures made for tests: packets into a pcap or pcapng file, in either byte order. Written from the formats'
 * specifications, not with libpcap, which is what reads them.
 */
#ifndef HAREWIRE_TESTS_CAPTURE_FILE_H
#define HAREWIRE_TESTS_CAPTURE_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "dataplane/base/bytes.h"
#include "tests/unit/feed/feed_cmocka.h"

#define NS_PER_S 1000000000ull

struct capture_file {
	uint8_t bytes[1 << 16];
	size_t len;
	bool big_endian, ns, pcapng;
	char path[64];
};

/* IEX-TP over UDP over IPv4 over Ethernet. */
struct test_packet {
	uint8_t bytes[2048];
	uint32_t len;
	uint32_t ip_at, payload_at, message_count;
};

static inline void add_bytes(struct capture_file *f, const void *bytes, size_t len)
{
	assert_true(len <= sizeof f->bytes - f->len);
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static inline void add_u32(struct capture_file *f, uint32_t v)
{
	uint8_t b[4];
	if (f->big_endian)
		put_be32(b, v);
	else
		put_le32(b, v);
	add_bytes(f, b, sizeof b);
}

static inline void add_u16_pair(struct capture_file *f, uint16_t first, uint16_t second)
{
	add_u32(f, f->big_endian ? (uint32_t)first << 16 | second : (uint32_t)second << 16 | first);
}

static inline void add_block(struct capture_file *f, uint32_t type, const struct capture_file *content)
{
	static const uint8_t zeros[4];
	uint32_t padding = -(uint32_t)content->len & 3u, total = 12 + (uint32_t)content->len + padding;

	add_u32(f, type);
	add_u32(f, total);
	add_bytes(f, content->bytes, content->len);
	add_bytes(f, zeros, padding);
	add_u32(f, total);
}

static inline void capture_start(struct capture_file *f, bool pcapng, bool big_endian, bool ns, uint32_t link_type)
{
	static struct capture_file content;

	memset(f, 0, sizeof *f);
	f->pcapng = pcapng;
	f->big_endian = big_endian;
	f->ns = ns;
	if (!pcapng) {
		add_u32(f, ns ? 0xA1B23C4D : 0xA1B2C3D4);
		add_u16_pair(f, 2, 4);
		add_u32(f, 0);
		add_u32(f, 0);
		add_u32(f, 65535);
		add_u32(f, link_type);
		return;
	}
	memset(&content, 0, sizeof content);
	content.big_endian = big_endian;
	add_u32(&content, 0x1A2B3C4D);
	add_u16_pair(&content, 1, 0);
	add_u32(&content, UINT32_MAX);
	add_u32(&content, UINT32_MAX);
	add_block(f, 0x0A0D0D0A, &content);

	content.len = 0;
	add_u16_pair(&content, (uint16_t)link_type, 0);
	add_u32(&content, 65535);
	if (ns) { /* if_tsresol, one octet: 9 */
		add_u16_pair(&content, 9, 1);
		add_bytes(&content, "\x09\0\0\0", 4);
		add_u16_pair(&content, 0, 0);
	}
	add_block(f, 1, &content);
}

static inline void capture_add(struct capture_file *f, const struct test_packet *p, uint32_t captured, uint64_t time_ns)
{
	static struct capture_file content;
	uint64_t stamp = f->ns ? time_ns : time_ns / 1000;

	if (!f->pcapng) {
		add_u32(f, (uint32_t)(time_ns / NS_PER_S));
		add_u32(f, (uint32_t)(time_ns % NS_PER_S / (f->ns ? 1 : 1000)));
		add_u32(f, captured);
		add_u32(f, p->len);
		add_bytes(f, p->bytes, captured);
		return;
	}
	memset(&content, 0, sizeof content);
	content.big_endian = f->big_endian;
	add_u32(&content, 0);
	add_u32(&content, (uint32_t)(stamp >> 32));
	add_u32(&content, (uint32_t)stamp);
	add_u32(&content, captured);
	add_u32(&content, p->len);
	add_bytes(&content, p->bytes, captured);
	add_block(f, 6, &content);
}

/* Writes the first `len` octets to a temporary file; f->path is its name. */
static inline void capture_save(struct capture_file *f, size_t len, bool gz)
{
	strcpy(f->path, "/tmp/harewire-test-XXXXXX");
	int fd = mkstemp(f->path);
	assert_true(fd >= 0);
	if (gz) {
		gzFile z = gzdopen(fd, "wb");
		assert_int_equal(gzwrite(z, f->bytes, (unsigned)len), len);
		gzclose(z);
	} else {
		assert_int_equal(write(fd, f->bytes, len), len);
		close(fd);
	}
}

static inline void packet_start(struct test_packet *p, uint32_t vlan_tags, uint16_t protocol, uint32_t session,
				uint64_t first_sequence)
{
	memset(p, 0, sizeof *p);
	p->len = 12; /* addresses */
	for (uint32_t i = 0; i < vlan_tags; i++, p->len += 4)
		put_be16(p->bytes + p->len, i + 1 < vlan_tags ? 0x88A8 : 0x8100);
	put_be16(p->bytes + p->len, 0x0800);
	p->ip_at = p->len + 2;
	uint8_t *ip = p->bytes + p->ip_at;
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = 17;
	p->payload_at = p->ip_at + 28;
	uint8_t *iextp = p->bytes + p->payload_at;
	iextp[0] = 1;
	put_le16(iextp + 2, protocol);
	put_le32(iextp + 4, 1);
	put_le32(iextp + 8, session);
	put_le64(iextp + 24, first_sequence);
	p->len = p->payload_at + 40;
}

static inline void packet_add_message(struct test_packet *p, const void *bytes, uint16_t len)
{
	put_le16(p->bytes + p->len, len);
	memcpy(p->bytes + p->len + 2, bytes, len);
	p->len += 2u + len;
	p->message_count++;
}

/* A trade report of that symbol, padded with spaces to 8. */
static inline void packet_add_trade(struct test_packet *p, const char *symbol)
{
	uint8_t m[38] = {'T'};

	memset(m + 10, ' ', 8);
	memcpy(m + 10, symbol, strlen(symbol));
	packet_add_message(p, m, sizeof m);
}

/* Fills in lengths and counts. */
static inline void packet_finish(struct test_packet *p)
{
	put_be16(p->bytes + p->ip_at + 2, (uint16_t)(p->len - p->ip_at));
	put_be16(p->bytes + p->ip_at + 24, (uint16_t)(p->len - p->ip_at - 20));
	put_le16(p->bytes + p->payload_at + 12, (uint16_t)(p->len - p->payload_at - 40));
	put_le16(p->bytes + p->payload_at + 14, (uint16_t)p->message_count);
}

#endif
