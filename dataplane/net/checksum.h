/*
 * The Internet checksum (RFC 1071) as partial sums.
 *
 * A partial sum is a 64-bit count of 32-bit words in memory order, not yet folded. Because one's complement addition
 * does not care about byte order, words are loaded as they lie and the folded result is stored as it is; partial sums
 * of pieces that start at even offsets are simply added. Sums of up to 2^32 octets cannot overflow.
 */
#ifndef HAREWIRE_NET_CHECKSUM_H
#define HAREWIRE_NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 16 octets as two 64-bit lanes: SSE2 on x86-64, NEON on arm64, without naming either. */
typedef uint64_t checksum_lanes __attribute__((vector_size(16)));

/*
 * Two 32-bit words per lane have to be summed without losing carries. `whole` adds lanes modulo 2^64 and `high` their
 * upper words; the sum of the lower words is whole - (high << 32), exact because it fits 64 bits. Three instructions a
 * block.
 */
struct checksum_state {
	checksum_lanes whole, high;
};

static inline void checksum_block(struct checksum_state *s, checksum_lanes v)
{
	s->whole += v;
	s->high += v >> 32;
}

static inline uint64_t checksum_collect(const struct checksum_state *s)
{
	checksum_lanes low = s->whole - (s->high << 32);
	return low[0] + low[1] + s->high[0] + s->high[1];
}

/* One step of checksum_tail: `n` octets, a power of two, if `len` has that bit. */
static inline uint64_t checksum_step(uint8_t **dst, const uint8_t **p, size_t len, size_t n)
{
	uint64_t v = 0;
	if (!(len & n))
		return 0;
	memcpy(&v, *p, n);
	if (*dst) {
		memcpy(*dst, &v, n);
		*dst += n;
	}
	*p += n;
	return n == 8 ? (v & UINT32_MAX) + (v >> 32) : v;
}

/* The last 0..15 octets, copied when `dst` is not NULL. An odd last octet counts as followed by zero. */
static inline uint64_t checksum_tail(uint8_t *dst, const uint8_t *p, size_t len)
{
	uint64_t sum = checksum_step(&dst, &p, len, 8);
	sum += checksum_step(&dst, &p, len, 4);
	sum += checksum_step(&dst, &p, len, 2);
	return sum + checksum_step(&dst, &p, len, 1);
}

/* The partial sum of `len` octets. */
static inline uint64_t checksum_partial(const void *octets, size_t len)
{
	const uint8_t *p = octets;
	struct checksum_state s = {{0, 0}, {0, 0}};
	for (; len >= 16; p += 16, len -= 16) {
		checksum_lanes v;
		memcpy(&v, p, 16);
		checksum_block(&s, v);
	}
	return checksum_collect(&s) + checksum_tail(NULL, p, len);
}

/* Copies `len` octets and returns their partial sum: one pass over bytes that have to be touched anyway. */
static inline uint64_t checksum_copy(void *to, const void *from, size_t len)
{
	uint8_t *dst = to;
	const uint8_t *p = from;
	struct checksum_state s = {{0, 0}, {0, 0}};
	for (; len >= 32; p += 32, dst += 32, len -= 32) {
		checksum_lanes a, b;
		memcpy(&a, p, 16);
		memcpy(&b, p + 16, 16);
		memcpy(dst, &a, 16);
		memcpy(dst + 16, &b, 16);
		checksum_block(&s, a);
		checksum_block(&s, b);
	}
	if (len & 16) {
		checksum_lanes v;
		memcpy(&v, p, 16);
		memcpy(dst, &v, 16);
		checksum_block(&s, v);
		p += 16;
		dst += 16;
	}
	return checksum_collect(&s) + checksum_tail(dst, p, len & 15);
}

/* Folds to 16 bits, in memory order, not complemented. */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The value for a checksum field, to be stored with memcpy; over data that includes a correct field it is 0. */
static inline uint16_t checksum_finish(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}

/* A piece's partial sum as it counts when the piece starts at offset `at`: at odd offsets its octets trade places. */
static inline uint64_t checksum_at(uint64_t sum, size_t at)
{
	return at & 1 ? __builtin_bswap16(checksum_fold(sum)) : sum;
}

/* A 16- or 32-bit field in host byte order, as a partial sum. */
static inline uint64_t checksum_be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint64_t checksum_be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

/*
 * The pseudo header (RFC 9293, 3.1) without its length, which differs per segment: add checksum_be16(tcp_len).
 * Addresses in host byte order.
 */
static inline uint64_t checksum_pseudo(uint32_t source, uint32_t destination, uint8_t protocol)
{
	return checksum_be32(source) + checksum_be32(destination) + checksum_be16(protocol);
}

#endif
