#include "control/console/pcapng.h"

#include <string.h>

#define BLOCK_SECTION    0x0a0d0d0au
#define BLOCK_INTERFACE  1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET     6u

#define BYTE_ORDER_MAGIC  0x1a2b3c4du
#define LINKTYPE_ETHERNET 1u
#define SECTION_UNKNOWN   UINT64_MAX

#define OPTION_END            0u
#define OPTION_SHB_USERAPPL   4u
#define OPTION_IF_NAME        2u
#define OPTION_IF_DESCRIPTION 3u
#define OPTION_IF_TSRESOL     9u
#define OPTION_EPB_FLAGS      2u
#define OPTION_ISB_STARTTIME  2u
#define OPTION_ISB_ENDTIME    3u
#define OPTION_ISB_IFRECV     4u
#define OPTION_ISB_IFDROP     5u

#define TSRESOL_NS         9u /* 10^-9 s */
#define DIRECTION_INBOUND  1u
#define DIRECTION_OUTBOUND 2u

#define EPB_FIXED_BYTES 28u
#define EPB_FLAGS_BYTES 12u /* the option with its end */

/* ---- a block being written ---- */

struct block {
	uint8_t *at;
	size_t cap, len;
	bool failed;
};

static void put(struct block *b, const void *octets, size_t len)
{
	if (b->failed || len > b->cap - b->len) {
		b->failed = true;
		return;
	}
	if (len)
		memcpy(b->at + b->len, octets, len);
	b->len += len;
}

static void put16(struct block *b, uint16_t value)
{
	put(b, &value, sizeof value);
}

static void put32(struct block *b, uint32_t value)
{
	put(b, &value, sizeof value);
}

/* A time: its high half comes first in either octet order. */
static void put_time(struct block *b, uint64_t ns)
{
	put32(b, (uint32_t)(ns >> 32));
	put32(b, (uint32_t)ns);
}

/* Everything is filled up to 32 bits. */
static void put_padded(struct block *b, const void *octets, size_t len)
{
	static const uint8_t zeros[4];
	put(b, octets, len);
	put(b, zeros, (4 - len % 4) % 4);
}

static void put_option(struct block *b, uint16_t code, const void *value, size_t len)
{
	put16(b, code);
	put16(b, (uint16_t)len);
	put_padded(b, value, len);
}

static void put_text(struct block *b, uint16_t code, const char *text)
{
	size_t len = strnlen(text, PCAPNG_TEXT_MAX);
	if (len)
		put_option(b, code, text, len);
}

static void put_time_option(struct block *b, uint16_t code, uint64_t ns)
{
	put16(b, code);
	put16(b, 8);
	put_time(b, ns);
}

static struct block begin(uint8_t *at, size_t cap, uint32_t type)
{
	struct block b = {.at = at, .cap = cap};
	put32(&b, type);
	put32(&b, 0); /* the length, by finish */
	return b;
}

/* The length stands at both ends. */
static size_t finish(struct block *b)
{
	uint32_t len = (uint32_t)b->len + 4;
	put32(b, len);
	if (b->failed)
		return 0;
	memcpy(b->at + 4, &len, sizeof len);
	return len;
}

/* ---- the blocks ---- */

size_t pcapng_section(uint8_t *at, size_t cap, const char *application)
{
	const uint64_t section_bytes = SECTION_UNKNOWN;
	struct block b = begin(at, cap, BLOCK_SECTION);
	put32(&b, BYTE_ORDER_MAGIC);
	put16(&b, 1); /* version 1.0 */
	put16(&b, 0);
	put(&b, &section_bytes, sizeof section_bytes);
	put_text(&b, OPTION_SHB_USERAPPL, application);
	put_option(&b, OPTION_END, NULL, 0);
	return finish(&b);
}

size_t pcapng_interface(uint8_t *at, size_t cap, const char *name, const char *description, uint32_t snap_bytes)
{
	const uint8_t resolution = TSRESOL_NS;
	struct block b = begin(at, cap, BLOCK_INTERFACE);
	put16(&b, LINKTYPE_ETHERNET);
	put16(&b, 0);
	put32(&b, snap_bytes);
	put_text(&b, OPTION_IF_NAME, name);
	put_text(&b, OPTION_IF_DESCRIPTION, description);
	put_option(&b, OPTION_IF_TSRESOL, &resolution, 1);
	put_option(&b, OPTION_END, NULL, 0);
	return finish(&b);
}

size_t pcapng_packet_bytes(uint32_t captured)
{
	return EPB_FIXED_BYTES + ((size_t)captured + 3) / 4 * 4 + EPB_FLAGS_BYTES + 4;
}

size_t pcapng_packet(uint8_t *at, size_t cap, const struct pcapng_packet *p)
{
	const uint32_t flags = p->sent ? DIRECTION_OUTBOUND : DIRECTION_INBOUND;
	struct block b = begin(at, cap, BLOCK_PACKET);
	put32(&b, p->interface);
	put_time(&b, p->time_ns);
	put32(&b, p->captured);
	put32(&b, p->len);
	put_padded(&b, p->data, p->captured);
	put_option(&b, OPTION_EPB_FLAGS, &flags, sizeof flags);
	put_option(&b, OPTION_END, NULL, 0);
	return finish(&b);
}

size_t pcapng_statistics(uint8_t *at, size_t cap, const struct pcapng_statistics *s)
{
	struct block b = begin(at, cap, BLOCK_STATISTICS);
	put32(&b, s->interface);
	put_time(&b, s->end_ns);
	put_time_option(&b, OPTION_ISB_STARTTIME, s->begin_ns);
	put_time_option(&b, OPTION_ISB_ENDTIME, s->end_ns);
	put_option(&b, OPTION_ISB_IFRECV, &s->packets, sizeof s->packets);
	put_option(&b, OPTION_ISB_IFDROP, &s->dropped, sizeof s->dropped);
	put_option(&b, OPTION_END, NULL, 0);
	return finish(&b);
}
