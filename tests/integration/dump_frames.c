/*
 * Writes messages made from templates as JSON, one object a line: the octets in hexadecimal, and what went into them.
 * For tests that have another program look at our frames (amqp_tshark.py).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/amqp/template.h"
#include "dataplane/base/error.h"

#define FRAME_MAX 4096u

static const struct amqp_field fields[] = {{.name = "feed", .kind = AMQP_FIELD_STRING, .string = "iex-deep"},
					   {.name = "shard", .kind = AMQP_FIELD_INT64, .integer = -3},
					   {.name = "late", .kind = AMQP_FIELD_BOOL, .integer = 1}};

static const struct amqp_slot_values values = {
	.id = 0x1122334455667788, .epoch = 0xa1b2c3d4, .timestamp_s = 1700000000, .send_time_ns = 1700000000123456789};

static void print_string(const char *name, const char *value)
{
	if (value)
		printf(", \"%s\": \"%s\"", name, value);
}

static void print_options(const struct amqp_message_options *o)
{
	print_string("exchange", o->exchange);
	print_string("routing_key", o->routing_key);
	print_string("content_type", o->content_type);
	print_string("content_encoding", o->content_encoding);
	print_string("correlation_id", o->correlation_id);
	print_string("reply_to", o->reply_to);
	print_string("expiration", o->expiration);
	print_string("type", o->type);
	print_string("user_id", o->user_id);
	print_string("app_id", o->app_id);
	printf(", \"mandatory\": %d, \"delivery_mode\": %d, \"priority\": %d", o->mandatory, o->delivery_mode,
	       o->priority);
	printf(", \"constant_headers\": %s", o->header_count ? "true" : "false");
}

/* `text` as it stands in JSON, if the template has the slot. */
static void print_slot(uint32_t slots, uint32_t slot, const char **separator, const char *name, const char *text)
{
	if (!(slots & slot))
		return;
	printf("%s\"%s\": %s", *separator, name, text);
	*separator = ", ";
}

static const char *number(uint64_t n)
{
	static char text[24];
	snprintf(text, sizeof text, "%" PRIu64, n);
	return text;
}

static void print_slots(uint32_t slots)
{
	char message_id[40];
	const char *separator = "";
	snprintf(message_id, sizeof message_id, "\"%08x-%016" PRIx64 "\"", values.epoch, values.id);
	printf(", \"slots\": {");
	print_slot(slots, AMQP_SLOT_TIMESTAMP, &separator, "timestamp", number(values.timestamp_s));
	print_slot(slots, AMQP_SLOT_MESSAGE_ID, &separator, "message_id", message_id);
	print_slot(slots, AMQP_SLOT_SEQUENCE, &separator, AMQP_HEADER_SEQUENCE, number(values.id));
	print_slot(slots, AMQP_SLOT_SEQUENCE, &separator, AMQP_HEADER_EPOCH, number(values.epoch));
	print_slot(slots, AMQP_SLOT_SEND_TIME, &separator, AMQP_HEADER_SEND_TIME, number(values.send_time_ns));
	print_slot(slots, AMQP_SLOT_DUPLICATE, &separator, AMQP_HEADER_DUPLICATE, "false");
	printf("}");
}

static size_t write_message(const struct amqp_template *t, uint8_t *dst, uint32_t body_len)
{
	static uint8_t body[65536];
	memset(body, 'b', sizeof body);
	if (body_len > FRAME_MAX - AMQP_FRAME_OVERHEAD)
		return amqp_message_write_split(t, dst, body, body_len, FRAME_MAX, &values);
	memcpy(dst + amqp_body_offset(t), body, body_len);
	return amqp_message_write(t, dst, body_len, &values);
}

static void dump(const char *name, const struct amqp_message_options *o, uint16_t channel, uint32_t body_len)
{
	static _Alignas(8) uint8_t memory[sizeof(struct amqp_template) + AMQP_IMAGE_MAX];
	static uint8_t message[65536];
	struct amqp_template *t = (struct amqp_template *)memory;
	const char *why = NULL;
	int error = amqp_template_encode(t, sizeof memory, o, channel, &why);
	if (error) {
		fprintf(stderr, "dump_frames: %s: %s\n", name, why ? why : hw_error_sentence(error));
		exit(1);
	}
	size_t len = write_message(t, message, body_len);
	printf("{\"name\": \"%s\", \"channel\": %u, \"frame_max\": %u, \"body_len\": %u", name, channel, FRAME_MAX,
	       body_len);
	print_options(o);
	print_slots(o->slots);
	printf(", \"octets\": \"");
	for (size_t i = 0; i < len; i++)
		printf("%02x", message[i]);
	printf("\"}\n");
}

int main(void)
{
	const struct amqp_message_options plain = {.exchange = "", .routing_key = "a-queue", .priority = -1};
	struct amqp_message_options full = {.exchange = "md",
					    .routing_key = "md.deep.quote.ZVZZT",
					    .mandatory = true,
					    .slots = 31,
					    .delivery_mode = 2,
					    .priority = 7,
					    .content_type = "application/octet-stream",
					    .content_encoding = "binary",
					    .correlation_id = "correlation",
					    .reply_to = "reply",
					    .expiration = "60000",
					    .type = "quote",
					    .user_id = "guest",
					    .app_id = "harewire",
					    .headers = fields,
					    .header_count = 3};
	static const uint32_t body_lens[] = {0, 1, 256, 4088, 4089, 2 * 4088, 40000};
	for (unsigned i = 0; i < sizeof body_lens / sizeof *body_lens; i++) {
		dump("plain", &plain, 1, body_lens[i]);
		dump("full", &full, 2047, body_lens[i]);
	}
	full.header_count = 0;
	for (uint32_t slots = 0; slots < 32; slots++) {
		full.slots = slots;
		full.mandatory = slots & (AMQP_SLOT_SEQUENCE | AMQP_SLOT_MESSAGE_ID);
		dump("slots", &full, 1, 100);
	}
	return 0;
}
