/*
 * The one place where bytes become integers and back.
 *
 * put_/get_ work at an address the caller has checked. `struct reader` and `struct writer` check every step against the
 * end and remember the first failure, so a parser reads its fields straight through and asks once at the end.
 */
#ifndef HAREWIRE_BASE_BYTES_H
#define HAREWIRE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return __builtin_bswap16(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return __builtin_bswap64(v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof v);
}

static inline uint16_t get_le16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t get_le64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline void put_le16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the helpers above assume a little-endian host");

struct reader {
	const uint8_t *p;
	const uint8_t *end;
	bool failed;
};

static inline struct reader reader_over(const void *p, size_t len)
{
	return (struct reader){.p = p, .end = (const uint8_t *)p + len};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

/* The next `len` octets, or NULL (and failed) when fewer are left. */
static inline const uint8_t *reader_take(struct reader *r, size_t len)
{
	const uint8_t *p = r->p;
	if (r->failed || len > reader_left(r)) {
		r->failed = true;
		return NULL;
	}
	r->p += len;
	return p;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);
	return p ? *p : 0;
}

static inline uint16_t reader_be16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	return p ? get_be16(p) : 0;
}

static inline uint32_t reader_be32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);
	return p ? get_be32(p) : 0;
}

static inline uint64_t reader_be64(struct reader *r)
{
	const uint8_t *p = reader_take(r, 8);
	return p ? get_be64(p) : 0;
}

struct writer {
	uint8_t *p;
	uint8_t *end;
	uint8_t *start;
	bool failed;
};

static inline struct writer writer_over(void *p, size_t cap)
{
	return (struct writer){.p = p, .end = (uint8_t *)p + cap, .start = p};
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->p - w->start);
}

/* Room for `len` octets, or NULL (and failed) when there is none. */
static inline uint8_t *writer_take(struct writer *w, size_t len)
{
	uint8_t *p = w->p;
	if (w->failed || len > (size_t)(w->end - w->p)) {
		w->failed = true;
		return NULL;
	}
	w->p += len;
	return p;
}

static inline void writer_bytes(struct writer *w, const void *bytes, size_t len)
{
	uint8_t *p = writer_take(w, len);
	if (p && len)
		memcpy(p, bytes, len);
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
	writer_bytes(w, &v, 1);
}

static inline void writer_be16(struct writer *w, uint16_t v)
{
	uint8_t *p = writer_take(w, 2);
	if (p)
		put_be16(p, v);
}

static inline void writer_be32(struct writer *w, uint32_t v)
{
	uint8_t *p = writer_take(w, 4);
	if (p)
		put_be32(p, v);
}

static inline void writer_be64(struct writer *w, uint64_t v)
{
	uint8_t *p = writer_take(w, 8);
	if (p)
		put_be64(p, v);
}

#endif
