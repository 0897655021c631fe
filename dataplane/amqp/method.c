#include "dataplane/amqp/method.h"

#include <string.h>

#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define MULTIPLE_BIT 0x01u

uint32_t amqp_method_id(const struct frame *frame)
{
	return frame->type == FRAME_METHOD && frame->payload_len >= 4 ? get_be32(frame->payload) : 0;
}

/* A reader behind the method id. */
static struct reader arguments_of(const struct frame *frame)
{
	return reader_over(frame->payload + 4, frame->payload_len - 4);
}

static int result_of(const struct reader *r)
{
	return r->failed || reader_left(r) != 0 ? HW_ERR_AMQP_SYNTAX : 0;
}

static struct amqp_text read_short_string(struct reader *r)
{
	uint8_t len = reader_u8(r);
	const uint8_t *chars = reader_take(r, len);
	return chars ? (struct amqp_text){.chars = (const char *)chars, .len = len} : (struct amqp_text){.chars = ""};
}

int amqp_parse_confirm(const struct frame *frame, struct amqp_confirm *confirm)
{
	uint32_t id = amqp_method_id(frame);
	if (id != AMQP_BASIC_ACK && id != AMQP_BASIC_NACK)
		return HW_ERR_AMQP_SYNTAX;
	struct reader r = arguments_of(frame);
	confirm->tag = reader_be64(&r);
	confirm->multiple = reader_u8(&r) & MULTIPLE_BIT;
	return result_of(&r);
}

int amqp_parse_reply(const struct frame *frame, struct amqp_reply *reply)
{
	uint32_t id = amqp_method_id(frame);
	if (id != AMQP_CONNECTION_CLOSE && id != AMQP_CHANNEL_CLOSE && id != AMQP_BASIC_RETURN)
		return HW_ERR_AMQP_SYNTAX;
	struct reader r = arguments_of(frame);
	reply->code = reader_be16(&r);
	reply->text = read_short_string(&r);
	if (id == AMQP_BASIC_RETURN) {
		read_short_string(&r); /* exchange */
		read_short_string(&r); /* routing key */
	} else {
		reader_be32(&r); /* the offending method */
	}
	return result_of(&r);
}

int amqp_parse_blocked(const struct frame *frame, struct amqp_text *reason)
{
	if (amqp_method_id(frame) != AMQP_CONNECTION_BLOCKED)
		return HW_ERR_AMQP_SYNTAX;
	struct reader r = arguments_of(frame);
	*reason = read_short_string(&r);
	return result_of(&r);
}

/* A whole METHOD frame on `channel` around `arguments`. */
static size_t write_method(uint8_t *dst, uint16_t channel, enum amqp_method_id id, const void *arguments, uint8_t len)
{
	dst[0] = FRAME_METHOD;
	put_be16(dst + 1, channel);
	put_be32(dst + 3, 4u + len);
	put_be32(dst + 7, id);
	memcpy(dst + 11, arguments, len);
	dst[11 + len] = AMQP_FRAME_END;
	return 12u + len;
}

size_t amqp_write_heartbeat(uint8_t *dst)
{
	static const uint8_t heartbeat[] = {FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, AMQP_FRAME_END};
	memcpy(dst, heartbeat, sizeof heartbeat);
	return sizeof heartbeat;
}

size_t amqp_write_channel_close_ok(uint8_t *dst, uint16_t channel)
{
	return write_method(dst, channel, AMQP_CHANNEL_CLOSE_OK, "", 0);
}

size_t amqp_write_connection_close_ok(uint8_t *dst)
{
	return write_method(dst, 0, AMQP_CONNECTION_CLOSE_OK, "", 0);
}

size_t amqp_write_connection_close(uint8_t *dst)
{
	/* reply code 200, reply text, no offending class and method */
	static const uint8_t arguments[] = {0, 200, 3, 'b', 'y', 'e', 0, 0, 0, 0};
	return write_method(dst, 0, AMQP_CONNECTION_CLOSE, arguments, sizeof arguments);
}
