#include "dataplane/amqp/template_check.h"

#include <string.h>

#define SHORT_STRING_MAX  255u
#define EXPIRATION_MAX_MS 4294967295u /* RabbitMQ closes the channel for more */
#define SLOTS_ALL                                                                                                      \
	(AMQP_SLOT_TIMESTAMP | AMQP_SLOT_MESSAGE_ID | AMQP_SLOT_SEQUENCE | AMQP_SLOT_SEND_TIME | AMQP_SLOT_DUPLICATE)

static bool too_long(const char *s)
{
	return s && strnlen(s, SHORT_STRING_MAX + 1) > SHORT_STRING_MAX;
}

static const char *long_string(const struct amqp_message_options *o)
{
	if (too_long(o->exchange))
		return "the exchange name is longer than 255 octets";
	if (too_long(o->routing_key))
		return "the routing key is longer than 255 octets";
	if (too_long(o->content_type))
		return "the content type is longer than 255 octets";
	if (too_long(o->content_encoding))
		return "the content encoding is longer than 255 octets";
	if (too_long(o->correlation_id))
		return "the correlation id is longer than 255 octets";
	if (too_long(o->reply_to))
		return "reply-to is longer than 255 octets";
	if (too_long(o->type))
		return "the message type is longer than 255 octets";
	if (too_long(o->user_id))
		return "the user id is longer than 255 octets";
	if (too_long(o->app_id))
		return "the application id is longer than 255 octets";
	return NULL;
}

/* RabbitMQ answers a malformed expiration by closing the channel, so it must not get that far. */
static bool expiration_is_valid(const char *ms)
{
	uint64_t value = 0;
	if (*ms == '\0')
		return false;
	for (; *ms != '\0'; ms++) {
		if (*ms < '0' || *ms > '9')
			return false;
		value = value * 10 + (uint64_t)(*ms - '0');
		if (value > EXPIRATION_MAX_MS)
			return false;
	}
	return true;
}

static bool name_is_ours(const char *name)
{
	return strcmp(name, AMQP_HEADER_SEQUENCE) == 0 || strcmp(name, AMQP_HEADER_EPOCH) == 0 ||
	       strcmp(name, AMQP_HEADER_SEND_TIME) == 0 || strcmp(name, AMQP_HEADER_DUPLICATE) == 0;
}

static const char *bad_header(const struct amqp_message_options *o, uint32_t i)
{
	const struct amqp_field *field = &o->headers[i];
	if (!field->name || field->name[0] == '\0')
		return "a header has no name";
	if (too_long(field->name))
		return "a header's name is longer than 255 octets";
	if (name_is_ours(field->name))
		return "the headers harewire-seq, -epoch, -time and -dup are slots and cannot be set as constants";
	for (uint32_t j = 0; j < i; j++)
		if (strcmp(field->name, o->headers[j].name) == 0)
			return "two headers have the same name";
	switch (field->kind) {
	case AMQP_FIELD_STRING:
		return field->string ? NULL : "a string header has no value";
	case AMQP_FIELD_INT64:
	case AMQP_FIELD_BOOL:
		return NULL;
	}
	return "a header is neither string, integer nor boolean";
}

const char *amqp_options_refusal(const struct amqp_message_options *o)
{
	const char *reason = long_string(o);
	if (reason)
		return reason;
	if (o->delivery_mode > 2)
		return "the delivery mode is neither 1 (transient), 2 (persistent) nor 0 (absent)";
	if (o->priority < -1 || o->priority > 255)
		return "the priority is neither 0 to 255 nor -1 (absent)";
	if (o->expiration && !expiration_is_valid(o->expiration))
		return "the expiration is not a decimal number of milliseconds up to 4294967295";
	if (o->slots & ~SLOTS_ALL)
		return "an unknown slot is asked for";
	if (o->mandatory && !(o->slots & (AMQP_SLOT_SEQUENCE | AMQP_SLOT_MESSAGE_ID)))
		return "mandatory needs the sequence or message-id slot: a returned message could not be recognised";
	if (o->header_count > 0 && !o->headers)
		return "headers are counted but not given";
	/* Each takes four octets at least: more would never fit, and the loop below is quadratic. */
	if (o->header_count > AMQP_IMAGE_MAX / 4)
		return "there are more headers than an image can hold";
	for (uint32_t i = 0; i < o->header_count && !reason; i++)
		reason = bad_header(o, i);
	return reason;
}
