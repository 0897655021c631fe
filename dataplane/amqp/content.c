/* The content header of a returned message: which of our messages is it? */
#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define CLASS_BASIC 60u

/* The properties of class basic in the order of their flags, from bit 15 down (AMQP 0-9-1, class basic). */
enum property_kind { KIND_SHORT_STRING, KIND_TABLE, KIND_OCTET, KIND_TIMESTAMP, KIND_MESSAGE_ID };

static const uint8_t property_kinds[] = {
	KIND_SHORT_STRING,                                    /* content-type */
	KIND_SHORT_STRING,                                    /* content-encoding */
	KIND_TABLE,                                           /* headers */
	KIND_OCTET,                                           /* delivery-mode */
	KIND_OCTET,                                           /* priority */
	KIND_SHORT_STRING,                                    /* correlation-id */
	KIND_SHORT_STRING,                                    /* reply-to */
	KIND_SHORT_STRING,                                    /* expiration */
	KIND_MESSAGE_ID,   KIND_TIMESTAMP, KIND_SHORT_STRING, /* type */
	KIND_SHORT_STRING,                                    /* user-id */
	KIND_SHORT_STRING,                                    /* app-id */
	KIND_SHORT_STRING,                                    /* cluster-id */
};

#define FLAGS_UNKNOWN                                                                                                  \
	0x0003u /* no property is that low; bit 0 announces a second word of flags, which basic has not                \
		 */

/* Octets of a table value of fixed size, as RabbitMQ encodes them; -1: unknown, -2: a length comes first. */
static int value_bytes(uint8_t type)
{
	switch (type) {
	case 'V':
		return 0;
	case 't':
	case 'b':
	case 'B':
		return 1;
	case 's':
	case 'u':
		return 2;
	case 'I':
	case 'i':
	case 'f':
		return 4;
	case 'D':
		return 5;
	case 'l':
	case 'L':
	case 'd':
	case 'T':
		return 8;
	case 'S':
	case 'x':
	case 'A':
	case 'F':
		return -2;
	default:
		return -1;
	}
}

static void skip_value(struct reader *r, uint8_t type)
{
	int bytes = value_bytes(type);
	if (bytes >= 0)
		reader_take(r, (size_t)bytes);
	else if (bytes == -2)
		reader_take(r, reader_be32(r));
	else
		r->failed = true;
}

static bool name_is(const uint8_t *name, uint8_t len, const char *wanted)
{
	return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static void read_table(struct reader *r, struct amqp_content *content)
{
	uint32_t len = reader_be32(r);
	const uint8_t *fields = reader_take(r, len);
	if (!fields)
		return;
	bool has_sequence = false, has_epoch = false;
	uint64_t sequence = 0, epoch = 0;
	struct reader table = reader_over(fields, len);
	while (!table.failed && reader_left(&table) > 0) {
		uint8_t name_len = reader_u8(&table);
		const uint8_t *name = reader_take(&table, name_len);
		uint8_t type = reader_u8(&table);
		if (name && type == 'l' && name_is(name, name_len, AMQP_HEADER_SEQUENCE)) {
			sequence = reader_be64(&table);
			has_sequence = true;
		} else if (name && type == 'l' && name_is(name, name_len, AMQP_HEADER_EPOCH)) {
			epoch = reader_be64(&table);
			has_epoch = epoch <= UINT32_MAX;
		} else {
			skip_value(&table, type);
		}
	}
	r->failed |= table.failed;
	if (has_sequence && has_epoch) {
		content->has_id = true;
		content->id = sequence;
		content->epoch = (uint32_t)epoch;
	}
}

/* Up to 16 lower-case hexadecimal digits; false for anything else. */
static bool parse_hex(const uint8_t *p, size_t digits, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; i < digits; i++) {
		uint8_t c = p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		*value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return true;
}

static void read_message_id(struct reader *r, struct amqp_content *content)
{
	uint8_t len = reader_u8(r);
	const uint8_t *chars = reader_take(r, len);
	uint64_t epoch, id;
	/* The headers come first and say the same. Another's message-id is none of ours. */
	if (!chars || content->has_id || len != AMQP_MESSAGE_ID_CHARS || chars[8] != '-')
		return;
	if (parse_hex(chars, 8, &epoch) && parse_hex(chars + 9, 16, &id)) {
		content->has_id = true;
		content->id = id;
		content->epoch = (uint32_t)epoch;
	}
}

static void read_property(struct reader *r, enum property_kind kind, struct amqp_content *content)
{
	switch (kind) {
	case KIND_SHORT_STRING:
		reader_take(r, reader_u8(r));
		break;
	case KIND_TABLE:
		read_table(r, content);
		break;
	case KIND_OCTET:
		reader_take(r, 1);
		break;
	case KIND_TIMESTAMP:
		reader_take(r, 8);
		break;
	case KIND_MESSAGE_ID:
		read_message_id(r, content);
		break;
	}
}

int amqp_parse_content(const struct frame *frame, struct amqp_content *content)
{
	memset(content, 0, sizeof *content);
	if (frame->type != FRAME_HEADER)
		return HW_ERR_AMQP_SYNTAX;
	struct reader r = reader_over(frame->payload, frame->payload_len);
	uint16_t class_id = reader_be16(&r);
	uint16_t weight = reader_be16(&r);
	content->body_size = reader_be64(&r);
	uint16_t flags = reader_be16(&r);
	if (r.failed || class_id != CLASS_BASIC || weight != 0 || (flags & FLAGS_UNKNOWN))
		return HW_ERR_AMQP_SYNTAX;
	for (unsigned i = 0; i < sizeof property_kinds; i++)
		if (flags & (1u << (15 - i)))
			read_property(&r, property_kinds[i], content);
	return r.failed || reader_left(&r) != 0 ? HW_ERR_AMQP_SYNTAX : 0;
}
