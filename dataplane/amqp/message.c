/* Writing messages from templates: the hot path of publish, and its long form for bodies of several frames. */
#include <assert.h>
#include <string.h>

#include "dataplane/amqp/frame_reader.h"
#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"

#define BODY_HEADER_BYTES (AMQP_FRAME_OVERHEAD - 1)

/* Eight lower-case hexadecimal digits, all at once: one nibble to an octet, then '0'..'9' or 'a'..'f' by addition. */
static inline void put_hex32(uint8_t *p, uint32_t v)
{
	uint64_t x = v;
	x = (x | x << 16) & 0x0000ffff0000ffffu;
	x = (x | x << 8) & 0x00ff00ff00ff00ffu;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
	uint64_t letters = ((x + 0x0606060606060606u) >> 4) & 0x0101010101010101u;
	put_be64(p, x + 0x3030303030303030u + letters * ('a' - '0' - 10));
}

static inline void put_message_id(uint8_t *p, uint32_t epoch, uint64_t id)
{
	put_hex32(p, epoch);
	p[8] = '-';
	put_hex32(p + 9, (uint32_t)(id >> 32));
	put_hex32(p + 17, (uint32_t)id);
}

/* The duplicate slot is false in the image; only a replay sets it. */
static inline void fill_slots(const struct amqp_template *t, uint8_t *dst, const struct amqp_slot_values *values)
{
	if (t->slots & AMQP_SLOT_SEQUENCE) {
		put_be64(dst + t->sequence_at, values->id);
		put_be64(dst + t->epoch_at, values->epoch);
	}
	if (t->slots & AMQP_SLOT_SEND_TIME)
		put_be64(dst + t->send_time_at, values->send_time_ns);
	if (t->slots & AMQP_SLOT_TIMESTAMP)
		put_be64(dst + t->timestamp_at, values->timestamp_s);
	if (t->slots & AMQP_SLOT_MESSAGE_ID)
		put_message_id(dst + t->message_id_at, values->epoch, values->id);
}

/* Method and content header only: an empty body has no body frame, and what lies behind dst may not be ours to touch.
 */
static __attribute__((noinline)) uint32_t write_empty(const struct amqp_template *t, uint8_t *dst,
						      const struct amqp_slot_values *values)
{
	uint32_t len = t->image_len - BODY_HEADER_BYTES;
	memcpy(dst, t->image, len);
	fill_slots(t, dst, values);
	return len;
}

uint32_t amqp_message_write(const struct amqp_template *t, uint8_t *dst, uint32_t body_len,
			    const struct amqp_slot_values *values)
{
	if (__builtin_expect(body_len == 0, 0))
		return write_empty(t, dst, values);
	uint8_t *body = dst + t->image_len;
	memcpy(dst, t->image, t->image_len);
	put_be64(dst + t->body_size_at, body_len);
	put_be32(body - 4, body_len);
	body[body_len] = AMQP_FRAME_END;
	fill_slots(t, dst, values);
	return t->image_len + body_len + 1;
}

uint64_t amqp_message_bytes(const struct amqp_template *t, uint64_t body_len, uint32_t frame_max)
{
	uint32_t chunk = frame_max - AMQP_FRAME_OVERHEAD;
	uint64_t headers = t->image_len - BODY_HEADER_BYTES;
	if (body_len == 0)
		return headers;
	if (body_len <= chunk)
		return headers + AMQP_FRAME_OVERHEAD + body_len;
	uint64_t frames = body_len / chunk + (body_len % chunk != 0);
	return headers + frames * AMQP_FRAME_OVERHEAD + body_len;
}

static uint8_t *write_body_frame(uint8_t *dst, uint16_t channel, const uint8_t *body, uint32_t len)
{
	dst[0] = FRAME_BODY;
	put_be16(dst + 1, channel);
	put_be32(dst + 3, len);
	memcpy(dst + BODY_HEADER_BYTES, body, len);
	dst[BODY_HEADER_BYTES + len] = AMQP_FRAME_END;
	return dst + AMQP_FRAME_OVERHEAD + len;
}

uint64_t amqp_message_write_split(const struct amqp_template *t, uint8_t *dst, const void *body, uint64_t body_len,
				  uint32_t frame_max, const struct amqp_slot_values *values)
{
	assert(frame_max > AMQP_FRAME_OVERHEAD);
	uint32_t chunk = frame_max - AMQP_FRAME_OVERHEAD;
	uint8_t *at = dst + write_empty(t, dst, values);
	put_be64(dst + t->body_size_at, body_len);
	for (const uint8_t *p = body; body_len > 0;) {
		uint32_t n = body_len < chunk ? (uint32_t)body_len : chunk;
		at = write_body_frame(at, t->channel, p, n);
		p += n;
		body_len -= n;
	}
	return (uint64_t)(at - dst);
}
