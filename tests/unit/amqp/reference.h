/* The same publish through rabbitmq-c: what our templates are compared with. */
#ifndef HAREWIRE_TESTS_AMQP_REFERENCE_H
#define HAREWIRE_TESTS_AMQP_REFERENCE_H

#include <amqp.h>
#include <amqp_framing.h>

#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"

#define REFERENCE_HEADERS_MAX 64

struct reference {
	amqp_table_entry_t entries[REFERENCE_HEADERS_MAX];
	int entry_count;
	amqp_basic_properties_t properties;
	amqp_basic_publish_t publish;
	char message_id[AMQP_MESSAGE_ID_CHARS + 1];
};

static amqp_bytes_t reference_bytes(const char *s)
{
	return s ? amqp_cstring_bytes(s) : amqp_empty_bytes;
}

static amqp_table_entry_t *reference_entry(struct reference *r, const char *name, uint8_t kind)
{
	assert_true(r->entry_count < REFERENCE_HEADERS_MAX);
	amqp_table_entry_t *entry = &r->entries[r->entry_count++];
	memset(entry, 0, sizeof *entry);
	entry->key = amqp_cstring_bytes(name);
	entry->value.kind = kind;
	return entry;
}

static void reference_slot_headers(struct reference *r, uint32_t slots, const struct amqp_slot_values *v)
{
	if (slots & AMQP_SLOT_SEQUENCE) {
		reference_entry(r, AMQP_HEADER_SEQUENCE, AMQP_FIELD_KIND_I64)->value.value.i64 = (int64_t)v->id;
		reference_entry(r, AMQP_HEADER_EPOCH, AMQP_FIELD_KIND_I64)->value.value.i64 = v->epoch;
	}
	if (slots & AMQP_SLOT_SEND_TIME)
		reference_entry(r, AMQP_HEADER_SEND_TIME, AMQP_FIELD_KIND_I64)->value.value.i64 =
			(int64_t)v->send_time_ns;
	if (slots & AMQP_SLOT_DUPLICATE)
		reference_entry(r, AMQP_HEADER_DUPLICATE, AMQP_FIELD_KIND_BOOLEAN)->value.value.boolean = 0;
}

static void reference_headers(struct reference *r, const struct amqp_message_options *o)
{
	for (uint32_t i = 0; i < o->header_count; i++) {
		const struct amqp_field *f = &o->headers[i];
		if (f->kind == AMQP_FIELD_STRING)
			reference_entry(r, f->name, AMQP_FIELD_KIND_UTF8)->value.value.bytes =
				amqp_cstring_bytes(f->string);
		else if (f->kind == AMQP_FIELD_INT64)
			reference_entry(r, f->name, AMQP_FIELD_KIND_I64)->value.value.i64 = f->integer;
		else
			reference_entry(r, f->name, AMQP_FIELD_KIND_BOOLEAN)->value.value.boolean = f->integer != 0;
	}
}

static void reference_string(amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t *field, const char *value)
{
	if (!value)
		return;
	p->_flags |= flag;
	*field = amqp_cstring_bytes(value);
}

static void reference_properties(struct reference *r, const struct amqp_message_options *o,
				 const struct amqp_slot_values *v)
{
	amqp_basic_properties_t *p = &r->properties;
	reference_string(p, AMQP_BASIC_CONTENT_TYPE_FLAG, &p->content_type, o->content_type);
	reference_string(p, AMQP_BASIC_CONTENT_ENCODING_FLAG, &p->content_encoding, o->content_encoding);
	reference_string(p, AMQP_BASIC_CORRELATION_ID_FLAG, &p->correlation_id, o->correlation_id);
	reference_string(p, AMQP_BASIC_REPLY_TO_FLAG, &p->reply_to, o->reply_to);
	reference_string(p, AMQP_BASIC_EXPIRATION_FLAG, &p->expiration, o->expiration);
	reference_string(p, AMQP_BASIC_TYPE_FLAG, &p->type, o->type);
	reference_string(p, AMQP_BASIC_USER_ID_FLAG, &p->user_id, o->user_id);
	reference_string(p, AMQP_BASIC_APP_ID_FLAG, &p->app_id, o->app_id);
	if (o->delivery_mode) {
		p->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
		p->delivery_mode = o->delivery_mode;
	}
	if (o->priority >= 0) {
		p->_flags |= AMQP_BASIC_PRIORITY_FLAG;
		p->priority = (uint8_t)o->priority;
	}
	if (o->slots & AMQP_SLOT_MESSAGE_ID) {
		snprintf(r->message_id, sizeof r->message_id, "%08x-%016llx", v->epoch, (unsigned long long)v->id);
		reference_string(p, AMQP_BASIC_MESSAGE_ID_FLAG, &p->message_id, r->message_id);
	}
	if (o->slots & AMQP_SLOT_TIMESTAMP) {
		p->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
		p->timestamp = v->timestamp_s;
	}
	reference_slot_headers(r, o->slots, v);
	reference_headers(r, o);
	if (r->entry_count > 0) {
		p->_flags |= AMQP_BASIC_HEADERS_FLAG;
		p->headers = (amqp_table_t){.num_entries = r->entry_count, .entries = r->entries};
	}
}

static size_t reference_frame(uint8_t *dst, uint8_t type, uint16_t channel, size_t payload_len)
{
	dst[0] = type;
	put_be16(dst + 1, channel);
	put_be32(dst + 3, (uint32_t)payload_len);
	dst[7 + payload_len] = 0xCE;
	return payload_len + 8;
}

/* The whole message into dst (room for all of it); returns its octets. */
static size_t reference_message(uint8_t *dst, const struct amqp_message_options *o, uint16_t channel,
				const struct amqp_slot_values *v, const uint8_t *body, size_t body_len,
				uint32_t frame_max)
{
	static uint8_t payload[8192];
	struct reference r = {.publish = {.exchange = reference_bytes(o->exchange),
					  .routing_key = reference_bytes(o->routing_key),
					  .mandatory = o->mandatory}};
	reference_properties(&r, o, v);

	put_be32(payload, AMQP_BASIC_PUBLISH_METHOD);
	int n = amqp_encode_method(AMQP_BASIC_PUBLISH_METHOD, &r.publish,
				   (amqp_bytes_t){.len = sizeof payload - 4, .bytes = payload + 4});
	assert_true(n > 0);
	memcpy(dst + 7, payload, (size_t)n + 4);
	size_t at = reference_frame(dst, AMQP_FRAME_METHOD, channel, (size_t)n + 4);

	put_be16(payload, AMQP_BASIC_CLASS);
	put_be16(payload + 2, 0);
	put_be64(payload + 4, body_len);
	n = amqp_encode_properties(AMQP_BASIC_CLASS, &r.properties,
				   (amqp_bytes_t){.len = sizeof payload - 12, .bytes = payload + 12});
	assert_true(n > 0);
	memcpy(dst + at + 7, payload, (size_t)n + 12);
	at += reference_frame(dst + at, AMQP_FRAME_HEADER, channel, (size_t)n + 12);

	for (size_t sent = 0; sent < body_len;) {
		size_t chunk = body_len - sent < frame_max - 8 ? body_len - sent : frame_max - 8;
		memcpy(dst + at + 7, body + sent, chunk);
		at += reference_frame(dst + at, AMQP_FRAME_BODY, channel, chunk);
		sent += chunk;
	}
	return at;
}

#endif
