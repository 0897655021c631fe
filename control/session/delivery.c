#include "control/session/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/amqp/template.h"
#include "dataplane/base/error.h"

void delivery_reader_fini(struct delivery_reader *r)
{
	free(r->buffer);
	r->buffer = NULL;
	r->buffer_cap = r->buffer_len = 0;
}

/* Short strings have at most 255 octets by their encoding. */
static const char *copy_name(char dst[DELIVERY_NAME_BYTES], amqp_bytes_t name)
{
	size_t len = name.len < DELIVERY_NAME_BYTES ? name.len : DELIVERY_NAME_BYTES - 1;
	if (len)
		memcpy(dst, name.bytes, len);
	dst[len] = '\0';
	return dst;
}

static bool key_is(amqp_bytes_t key, const char *name)
{
	return key.len == strlen(name) && memcmp(key.bytes, name, key.len) == 0;
}

/* Any integer that is not negative: publishers in other languages choose other widths. */
static bool get_integer(const amqp_field_value_t *v, uint64_t *out)
{
	int64_t i = 0;
	switch (v->kind) {
	case AMQP_FIELD_KIND_I8:
		i = v->value.i8;
		break;
	case AMQP_FIELD_KIND_U8:
		i = v->value.u8;
		break;
	case AMQP_FIELD_KIND_I16:
		i = v->value.i16;
		break;
	case AMQP_FIELD_KIND_U16:
		i = v->value.u16;
		break;
	case AMQP_FIELD_KIND_I32:
		i = v->value.i32;
		break;
	case AMQP_FIELD_KIND_U32:
		i = v->value.u32;
		break;
	case AMQP_FIELD_KIND_I64:
	case AMQP_FIELD_KIND_U64:
	case AMQP_FIELD_KIND_TIMESTAMP:
		i = v->value.i64;
		break;
	default:
		return false;
	}
	*out = (uint64_t)i;
	return i >= 0;
}

static void take_field(struct delivery *d, const amqp_table_entry_t *e)
{
	uint64_t epoch;
	if (key_is(e->key, AMQP_HEADER_SEQUENCE))
		d->has_sequence = get_integer(&e->value, &d->sequence);
	else if (key_is(e->key, AMQP_HEADER_SEND_TIME))
		d->has_send_time = get_integer(&e->value, &d->send_time_ns);
	else if (key_is(e->key, AMQP_HEADER_DUPLICATE))
		d->duplicate = e->value.kind == AMQP_FIELD_KIND_BOOLEAN && e->value.value.boolean;
	else if (key_is(e->key, AMQP_HEADER_EPOCH) && get_integer(&e->value, &epoch) && epoch <= UINT32_MAX) {
		d->has_epoch = true;
		d->epoch = (uint32_t)epoch;
	}
}

static void take_properties(struct delivery_reader *r, const amqp_basic_properties_t *p)
{
	struct delivery *d = &r->current;
	if (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
		d->message_id = copy_name(r->message_id, p->message_id);
	if (p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) {
		d->has_timestamp = true;
		d->timestamp_s = p->timestamp;
	}
	if (p->_flags & AMQP_BASIC_HEADERS_FLAG) {
		for (int i = 0; i < p->headers.num_entries; i++)
			take_field(d, &p->headers.entries[i]);
	}
}

static int complete(struct delivery_reader *r, const void *body)
{
	r->stage = DELIVERY_METHOD;
	r->current.body = body;
	r->current.body_len = r->body_size;
	return 1;
}

static int take_method(struct delivery_reader *r, const amqp_frame_t *frame)
{
	if (frame->frame_type != AMQP_FRAME_METHOD || frame->payload.method.id != AMQP_BASIC_DELIVER_METHOD)
		return HW_ERR_AMQP_UNEXPECTED;
	const amqp_basic_deliver_t *m = frame->payload.method.decoded;
	r->current = (struct delivery){
		.tag = m->delivery_tag,
		.redelivered = m->redelivered,
		.exchange = copy_name(r->exchange, m->exchange),
		.routing_key = copy_name(r->routing_key, m->routing_key),
	};
	r->stage = DELIVERY_HEADER;
	return 0;
}

static int take_header(struct delivery_reader *r, const amqp_frame_t *frame)
{
	if (frame->frame_type != AMQP_FRAME_HEADER || frame->payload.properties.class_id != AMQP_BASIC_CLASS)
		return HW_ERR_AMQP_UNEXPECTED;
	r->body_size = frame->payload.properties.body_size;
	if (r->body_size > DELIVERY_BODY_MAX)
		return HW_ERR_TOO_LARGE;
	take_properties(r, frame->payload.properties.decoded);
	r->buffer_len = 0;
	r->stage = DELIVERY_BODY;
	return r->body_size == 0 ? complete(r, "") : 0;
}

static int append(struct delivery_reader *r, amqp_bytes_t fragment)
{
	size_t needed = r->buffer_len + fragment.len;
	if (needed > r->buffer_cap) {
		size_t cap = needed < 2 * r->buffer_cap ? 2 * r->buffer_cap : needed;
		uint8_t *bigger = realloc(r->buffer, cap);
		if (!bigger)
			return HW_ERR_NOMEM;
		r->buffer = bigger;
		r->buffer_cap = cap;
	}
	memcpy(r->buffer + r->buffer_len, fragment.bytes, fragment.len);
	r->buffer_len = needed;
	return r->buffer_len == r->body_size ? complete(r, r->buffer) : 0;
}

static int take_body(struct delivery_reader *r, const amqp_frame_t *frame)
{
	if (frame->frame_type != AMQP_FRAME_BODY)
		return HW_ERR_AMQP_UNEXPECTED;
	amqp_bytes_t fragment = frame->payload.body_fragment;
	if (fragment.len > r->body_size - r->buffer_len)
		return HW_ERR_AMQP_SYNTAX;
	if (fragment.len == r->body_size)
		return complete(r, fragment.bytes);
	return fragment.len ? append(r, fragment) : 0;
}

int delivery_take(struct delivery_reader *r, const amqp_frame_t *frame)
{
	switch (r->stage) {
	case DELIVERY_METHOD:
		return take_method(r, frame);
	case DELIVERY_HEADER:
		return take_header(r, frame);
	default:
		return take_body(r, frame);
	}
}
