/*
 * Any octets as a capture file, through zlib, libpcap and the feed: a damaged file ends with a sentence, a cut one with
 * the messages of its first part, and every message lies in memory that is there.
 *
 * The input's first octet chooses: the rest is the file itself, or a script of packets for a pcap file that the harness
 * writes in either byte order; packed by gzip or not; cut short or not.
 */
#define _GNU_SOURCE /* memfd_create */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "control/feed/feed.h"
#include "dataplane/base/bytes.h"
#include "tests/fuzz/fuzz.h"

#define FILE_MAX 65536u

enum { BUILT = 1, PACKED = 2, CUT = 4, BIG_ENDIAN_FILE = 8, NANOSECONDS = 16 };

struct file {
	uint8_t octets[FILE_MAX];
	size_t len;
	bool big_endian;
};

static void put(struct file *f, const void *octets, size_t len)
{
	if (len > sizeof f->octets - f->len)
		return;
	memcpy(f->octets + f->len, octets, len);
	f->len += len;
}

static void put_number(struct file *f, uint32_t v, size_t octets)
{
	uint8_t b[4] = {0};
	if (f->big_endian)
		put_be32(b, v << (32 - 8 * octets));
	else
		put_le32(b, v);
	put(f, b, octets);
}

static void put_header(struct file *f, uint32_t how, uint32_t link_type)
{
	put_number(f, how & NANOSECONDS ? 0xA1B23C4D : 0xA1B2C3D4, 4);
	put_number(f, 2, 2);
	put_number(f, 4, 2);
	put_number(f, 0, 4);
	put_number(f, 0, 4);
	put_number(f, 65535, 4);
	put_number(f, link_type, 4);
}

/* IEX-TP in UDP in IPv4 with whatever messages the script has; any length may be off. */
static size_t put_datagram(struct script *s, uint8_t *ip)
{
	uint32_t how = take(s, 1), count = how & 7;
	uint8_t *udp = ip + 20, *iextp = udp + 8, *at = iextp + 40;
	memset(ip, 0, 68);
	for (uint32_t i = 0; i < count; i++) {
		size_t len;
		const uint8_t *octets = take_octets(s, take(s, 1) % 80, &len);
		put_le16(at, (uint16_t)len);
		memcpy(at + 2, octets, len);
		at += 2 + len;
	}
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = 17;
	put_be16(ip + 2, (uint16_t)(at - ip));
	put_be16(udp + 4, (uint16_t)(at - udp));
	iextp[0] = 1;
	put_le16(iextp + 2, how & 8 ? (uint16_t)take(s, 2) : how & 16 ? 0x8003 : 0x8004);
	put_le32(iextp + 8, how >> 6);
	put_le16(iextp + 12, (uint16_t)(at - iextp - 40));
	put_le16(iextp + 14, (uint16_t)count);
	put_le32(iextp + 24, take(s, 1));
	if (how & 32) {
		uint32_t where = take(s, 1);
		ip[where % (size_t)(at - ip)] = (uint8_t)take(s, 1);
	}
	return (size_t)(at - ip);
}

static void put_packet(struct file *f, struct script *s, bool ethernet)
{
	uint8_t packet[1024] = {0};
	size_t len, at = 0;
	uint32_t how = take(s, 1);
	if (how & 1) {
		const uint8_t *octets = take_octets(s, take(s, 1), &len);
		memcpy(packet, octets, len);
	} else {
		if (ethernet) {
			for (at = 12; how & 6; how -= 2, at += 4)
				put_be16(packet + at, 0x8100);
			put_be16(packet + at, 0x0800);
			at += 2;
		}
		len = at + put_datagram(s, packet + at);
	}
	size_t cut = how & 8 ? take(s, 1) : 0;
	put_number(f, take(s, 1), 4);
	put_number(f, take(s, 1), 4);
	put_number(f, (uint32_t)(len - (cut < len ? cut : 0)), 4);
	put_number(f, how & 16 ? take(s, 4) : (uint32_t)len, 4);
	put(f, packet, len - (cut < len ? cut : 0));
}

static void build(struct file *f, struct script *s, uint32_t how)
{
	static const uint32_t links[] = {1, 101, 113, 276, 228, 1, 1, 147};
	uint32_t link_type = links[take(s, 1) & 7];
	f->big_endian = how & BIG_ENDIAN_FILE;
	put_header(f, how, link_type);
	while (s->left)
		put_packet(f, s, link_type == 1);
}

static void pack(struct file *f)
{
	static uint8_t packed[FILE_MAX + 1024];
	z_stream z = {0};
	REQUIRE(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	z.next_in = f->octets;
	z.avail_in = (uInt)f->len;
	z.next_out = packed;
	z.avail_out = sizeof packed;
	REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
	f->len = z.total_out < FILE_MAX ? z.total_out : FILE_MAX;
	memcpy(f->octets, packed, f->len);
	deflateEnd(&z);
}

static void read_feed(const char *path)
{
	char why[FEED_WHY_MAX] = "";
	struct feed *feed;
	static uint8_t copy[UINT16_MAX];
	struct feed_message m = {0};
	uint64_t count = 0;
	int result = capture_feed_create(path, &feed, why, sizeof why);
	if (result) {
		REQUIRE(result < 0 && *why && strnlen(why, sizeof why) < sizeof why);
		return;
	}
	while ((result = feed_next(feed, &m)) == 1) {
		REQUIRE(++count < FILE_MAX && m.symbol_len <= FEED_SYMBOL_MAX);
		memcpy(copy, m.bytes, m.len); /* all of it is there */
	}
	REQUIRE(result == 0 || *feed->why);
	REQUIRE(count == feed->figures.messages);
	REQUIRE(feed_next(feed, &m) == 0); /* an end stays one */
	feed_destroy(feed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct file f;
	static int fd = -1;
	struct script s = {data, size};
	char path[32];
	size_t len;
	uint32_t how = take(&s, 1), cut = how & CUT ? take(&s, 1) : 0;
	f.len = 0;
	if (how & BUILT) {
		build(&f, &s, how);
	} else {
		const uint8_t *octets = take_octets(&s, FILE_MAX, &len);
		put(&f, octets, len);
	}
	if (how & PACKED)
		pack(&f);
	f.len -= cut < f.len ? cut : 0;
	if (fd < 0)
		fd = memfd_create("capture", MFD_CLOEXEC);
	REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, f.octets, f.len, 0) == (ssize_t)f.len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	read_feed(path);
	return 0;
}
