#include "dataplane/amqp/template.h"

#include <string.h>

#include "dataplane/amqp/frame_reader.h"
#include "dataplane/amqp/method.h"
#include "dataplane/amqp/template_check.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define CLASS_BASIC   60u
#define MANDATORY_BIT 0x01u

/* Property flags of class basic; the properties follow in this order (AMQP 0-9-1, 4.2.6.1 and class basic). */
enum property {
	PROPERTY_CONTENT_TYPE = 1u << 15,
	PROPERTY_CONTENT_ENCODING = 1u << 14,
	PROPERTY_HEADERS = 1u << 13,
	PROPERTY_DELIVERY_MODE = 1u << 12,
	PROPERTY_PRIORITY = 1u << 11,
	PROPERTY_CORRELATION_ID = 1u << 10,
	PROPERTY_REPLY_TO = 1u << 9,
	PROPERTY_EXPIRATION = 1u << 8,
	PROPERTY_MESSAGE_ID = 1u << 7,
	PROPERTY_TIMESTAMP = 1u << 6,
	PROPERTY_TYPE = 1u << 5,
	PROPERTY_USER_ID = 1u << 4,
	PROPERTY_APP_ID = 1u << 3,
};

struct encoder {
	struct writer w;
	struct amqp_template *t;
	uint16_t flags;
};

static uint16_t offset_now(const struct encoder *e)
{
	return (uint16_t)writer_len(&e->w);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static size_t frame_begin(struct encoder *e, enum frame_type type)
{
	size_t start = writer_len(&e->w);
	writer_u8(&e->w, (uint8_t)type);
	writer_be16(&e->w, e->t->channel);
	writer_be32(&e->w, 0);
	return start;
}

static void frame_end(struct encoder *e, size_t start)
{
	size_t payload_len = writer_len(&e->w) - start - (AMQP_FRAME_OVERHEAD - 1);
	writer_u8(&e->w, AMQP_FRAME_END);
	if (!e->w.failed)
		put_be32(e->w.start + start + 3, (uint32_t)payload_len);
}

static void short_string(struct writer *w, const char *s)
{
	size_t len = s ? strlen(s) : 0;
	writer_u8(w, (uint8_t)len);
	writer_bytes(w, s, len);
}

static void method_frame(struct encoder *e, const struct amqp_message_options *o)
{
	size_t start = frame_begin(e, FRAME_METHOD);
	writer_be32(&e->w, AMQP_BASIC_PUBLISH);
	writer_be16(&e->w, 0); /* reserved-1 */
	short_string(&e->w, o->exchange);
	short_string(&e->w, o->routing_key);
	writer_u8(&e->w, o->mandatory ? MANDATORY_BIT : 0);
	frame_end(e, start);
}

/* ---- the headers table ------------------------------------------------------------------------------------------ */

/* The octets of field values are RabbitMQ's: 'S' long string, 'l' signed 64 bits, 't' boolean. */
static void table_string(struct writer *w, const char *name, const char *value)
{
	size_t len = strlen(value);
	short_string(w, name);
	writer_u8(w, 'S');
	writer_be32(w, (uint32_t)len);
	writer_bytes(w, value, len);
}

static void table_int64(struct writer *w, const char *name, int64_t value)
{
	short_string(w, name);
	writer_u8(w, 'l');
	writer_be64(w, (uint64_t)value);
}

static void table_bool(struct writer *w, const char *name, bool value)
{
	short_string(w, name);
	writer_u8(w, 't');
	writer_u8(w, value);
}

static void table_field(struct writer *w, const struct amqp_field *field)
{
	switch (field->kind) {
	case AMQP_FIELD_STRING:
		table_string(w, field->name, field->string);
		break;
	case AMQP_FIELD_INT64:
		table_int64(w, field->name, field->integer);
		break;
	case AMQP_FIELD_BOOL:
		table_bool(w, field->name, field->integer != 0);
		break;
	}
}

static uint16_t slot_int64(struct encoder *e, const char *name)
{
	table_int64(&e->w, name, 0);
	return (uint16_t)(offset_now(e) - 8);
}

static void table_slots(struct encoder *e)
{
	struct amqp_template *t = e->t;
	if (t->slots & AMQP_SLOT_SEQUENCE) {
		t->sequence_at = slot_int64(e, AMQP_HEADER_SEQUENCE);
		t->epoch_at = slot_int64(e, AMQP_HEADER_EPOCH);
	}
	if (t->slots & AMQP_SLOT_SEND_TIME)
		t->send_time_at = slot_int64(e, AMQP_HEADER_SEND_TIME);
	if (t->slots & AMQP_SLOT_DUPLICATE) {
		table_bool(&e->w, AMQP_HEADER_DUPLICATE, false);
		t->duplicate_at = (uint16_t)(offset_now(e) - 1);
	}
}

static void headers_property(struct encoder *e, const struct amqp_message_options *o)
{
	if (o->header_count == 0 && !(o->slots & (AMQP_SLOT_SEQUENCE | AMQP_SLOT_SEND_TIME | AMQP_SLOT_DUPLICATE)))
		return;
	e->flags |= PROPERTY_HEADERS;
	size_t len_at = writer_len(&e->w);
	writer_be32(&e->w, 0);
	table_slots(e);
	for (uint32_t i = 0; i < o->header_count && !e->w.failed; i++)
		table_field(&e->w, &o->headers[i]);
	if (!e->w.failed)
		put_be32(e->w.start + len_at, (uint32_t)(writer_len(&e->w) - len_at - 4));
}

/* ---- the content header ----------------------------------------------------------------------------------------- */

static void string_property(struct encoder *e, enum property flag, const char *value)
{
	if (!value)
		return;
	e->flags |= (uint16_t)flag;
	short_string(&e->w, value);
}

static void octet_property(struct encoder *e, enum property flag, bool present, uint8_t value)
{
	if (!present)
		return;
	e->flags |= (uint16_t)flag;
	writer_u8(&e->w, value);
}

static void message_id_slot(struct encoder *e)
{
	static const char zeros[] = "00000000-0000000000000000";
	_Static_assert(sizeof zeros - 1 == AMQP_MESSAGE_ID_CHARS, "epoch, '-', id");
	if (!(e->t->slots & AMQP_SLOT_MESSAGE_ID))
		return;
	string_property(e, PROPERTY_MESSAGE_ID, zeros);
	e->t->message_id_at = (uint16_t)(offset_now(e) - AMQP_MESSAGE_ID_CHARS);
}

static void timestamp_slot(struct encoder *e)
{
	if (!(e->t->slots & AMQP_SLOT_TIMESTAMP))
		return;
	e->flags |= PROPERTY_TIMESTAMP;
	e->t->timestamp_at = offset_now(e);
	writer_be64(&e->w, 0);
}

static void header_frame(struct encoder *e, const struct amqp_message_options *o)
{
	size_t start = frame_begin(e, FRAME_HEADER);
	writer_be16(&e->w, CLASS_BASIC);
	writer_be16(&e->w, 0); /* weight */
	e->t->body_size_at = offset_now(e);
	writer_be64(&e->w, 0);
	uint8_t *flags_at = writer_take(&e->w, 2);

	string_property(e, PROPERTY_CONTENT_TYPE, o->content_type);
	string_property(e, PROPERTY_CONTENT_ENCODING, o->content_encoding);
	headers_property(e, o);
	octet_property(e, PROPERTY_DELIVERY_MODE, o->delivery_mode != 0, o->delivery_mode);
	octet_property(e, PROPERTY_PRIORITY, o->priority >= 0, (uint8_t)o->priority);
	string_property(e, PROPERTY_CORRELATION_ID, o->correlation_id);
	string_property(e, PROPERTY_REPLY_TO, o->reply_to);
	string_property(e, PROPERTY_EXPIRATION, o->expiration);
	message_id_slot(e);
	timestamp_slot(e);
	string_property(e, PROPERTY_TYPE, o->type);
	string_property(e, PROPERTY_USER_ID, o->user_id);
	string_property(e, PROPERTY_APP_ID, o->app_id);

	if (flags_at)
		put_be16(flags_at, e->flags);
	frame_end(e, start);
}

int amqp_template_encode(struct amqp_template *t, size_t cap, const struct amqp_message_options *options,
			 uint16_t channel, const char **why)
{
	const char *reason = amqp_options_refusal(options);
	if (why)
		*why = reason;
	if (reason)
		return HW_ERR_INVALID;
	if (cap < sizeof *t)
		return HW_ERR_TOO_LARGE;

	size_t room = cap - sizeof *t < AMQP_IMAGE_MAX ? cap - sizeof *t : AMQP_IMAGE_MAX;
	memset(t, 0, sizeof *t);
	t->channel = channel;
	t->slots = options->slots;
	struct encoder e = {.w = writer_over(t->image, room), .t = t};
	method_frame(&e, options);
	header_frame(&e, options);
	frame_begin(&e, FRAME_BODY);
	if (e.w.failed)
		return HW_ERR_TOO_LARGE;
	t->image_len = offset_now(&e);
	return 0;
}
