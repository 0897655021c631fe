#include "dataplane/amqp/frame_reader.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define HEADER_BYTES (AMQP_FRAME_OVERHEAD - 1)

void frame_reader_init(struct frame_reader *r, uint32_t frame_max)
{
	assert(frame_max > AMQP_FRAME_OVERHEAD);
	memset(r, 0, offsetof(struct frame_reader, buffer));
	r->frame_max = frame_max;
}

/*
 * A stream whose first octet starts no frame is not AMQP 0-9-1: a broker that wants another version says "AMQP" and its
 * own, and other servers speak their own protocol (AMQP 0-9-1, 2.2.4 and 4.2.2).
 */
static int check_type(const struct frame_reader *r, uint8_t type)
{
	switch (type) {
	case FRAME_METHOD:
	case FRAME_HEADER:
	case FRAME_BODY:
	case FRAME_HEARTBEAT:
		return 0;
	default:
		return r->frames == 0 ? HW_ERR_AMQP_PROTOCOL_HEADER : HW_ERR_AMQP_FRAME_TYPE;
	}
}

/* The limit of the buffer holds for frames that need none too: what is accepted must not depend on how TCP cut it. */
static int check_size(const struct frame_reader *r, uint8_t type, uint32_t payload_len)
{
	uint32_t max = r->frame_max;
	if (type != FRAME_BODY && max > FRAME_BUFFER_BYTES)
		max = FRAME_BUFFER_BYTES;
	return payload_len > max - AMQP_FRAME_OVERHEAD ? HW_ERR_AMQP_FRAME_TOO_LARGE : 0;
}

/* `raw` holds all of the frame. */
static int finish(struct frame_reader *r, const uint8_t *raw, uint32_t payload_len, struct frame *frame)
{
	if (raw[HEADER_BYTES + payload_len] != AMQP_FRAME_END)
		return HW_ERR_AMQP_FRAME_END;
	*frame = (struct frame){.type = raw[0],
				.channel = get_be16(raw + 1),
				.payload_len = payload_len,
				.payload = raw + HEADER_BYTES,
				.raw = raw};
	r->frames++;
	return 1;
}

static void skip_begin(struct frame_reader *r, const uint8_t *header)
{
	r->held = 0;
	r->skipped_channel = get_be16(header + 1);
	r->skipped_len = get_be32(header + 3);
	r->skip = (uint64_t)r->skipped_len + 1;
}

static int skip_on(struct frame_reader *r, const uint8_t *bytes, uint32_t len, uint32_t *used, struct frame *frame)
{
	uint32_t n = r->skip < len ? (uint32_t)r->skip : len;
	*used += n;
	r->skip -= n;
	if (r->skip > 0)
		return 0;
	if (bytes[n - 1] != AMQP_FRAME_END)
		return HW_ERR_AMQP_FRAME_END;
	*frame = (struct frame){.type = FRAME_BODY, .channel = r->skipped_channel, .payload_len = r->skipped_len};
	r->frames++;
	return 1;
}

/* Moves octets into the buffer until it holds `want`; false when there are not enough. */
static bool collect(struct frame_reader *r, uint32_t want, const uint8_t *bytes, uint32_t len, uint32_t *used)
{
	uint32_t missing = want - r->held;
	uint32_t left = len - *used;
	uint32_t n = missing < left ? missing : left;
	memcpy(r->buffer + r->held, bytes + *used, n);
	r->held += n;
	*used += n;
	return n == missing;
}

/* The slow path: a frame whose octets come in more than one piece. */
static int next_collected(struct frame_reader *r, const uint8_t *bytes, uint32_t len, uint32_t *used,
			  struct frame *frame)
{
	if (r->held < HEADER_BYTES && !collect(r, HEADER_BYTES, bytes, len, used))
		return 0;
	uint32_t payload_len = get_be32(r->buffer + 3);
	int error = check_size(r, r->buffer[0], payload_len);
	if (error)
		return error;
	if (r->buffer[0] == FRAME_BODY) {
		skip_begin(r, r->buffer);
		return *used < len ? skip_on(r, bytes + *used, len - *used, used, frame) : 0;
	}
	if (!collect(r, AMQP_FRAME_OVERHEAD + payload_len, bytes, len, used))
		return 0;
	r->held = 0;
	return finish(r, r->buffer, payload_len, frame);
}

int frame_reader_next(struct frame_reader *r, const uint8_t *bytes, uint32_t len, uint32_t *used, struct frame *frame)
{
	*used = 0;
	if (len == 0)
		return 0;
	if (r->skip > 0)
		return skip_on(r, bytes, len, used, frame);
	if (r->held > 0)
		return next_collected(r, bytes, len, used, frame);

	int error = check_type(r, bytes[0]);
	if (error)
		return error;
	if (len < HEADER_BYTES || bytes[0] == FRAME_BODY)
		return next_collected(r, bytes, len, used, frame);
	uint32_t payload_len = get_be32(bytes + 3);
	error = check_size(r, bytes[0], payload_len);
	if (error)
		return error;
	if (payload_len >= len - HEADER_BYTES)
		return next_collected(r, bytes, len, used, frame);
	*used = AMQP_FRAME_OVERHEAD + payload_len;
	return finish(r, bytes, payload_len, frame);
}
