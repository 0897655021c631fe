#include "control/command/properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

static const struct {
	const char *name;
	uint32_t slot;
} slots[] = {
	{"none", 0},
	{"sequence", HAREWIRE_SLOT_SEQUENCE},
	{"time", HAREWIRE_SLOT_SEND_TIME},
	{"duplicate", HAREWIRE_SLOT_DUPLICATE},
	{"message-id", HAREWIRE_SLOT_MESSAGE_ID},
	{"timestamp", HAREWIRE_SLOT_TIMESTAMP},
};

static const struct {
	const char *name;
	size_t offset; /* in struct harewire_template_options */
} texts[] = {
	{"content-encoding", offsetof(struct harewire_template_options, content_encoding)},
	{"correlation-id", offsetof(struct harewire_template_options, correlation_id)},
	{"reply-to", offsetof(struct harewire_template_options, reply_to)},
	{"type", offsetof(struct harewire_template_options, type)},
	{"user-id", offsetof(struct harewire_template_options, user_id)},
	{"app-id", offsetof(struct harewire_template_options, app_id)},
};

int properties_read_slots(const char *list, uint32_t *out, char *why, size_t why_bytes)
{
	*out = 0;
	while (*list) {
		size_t len = strcspn(list, ","), i = 0;
		while (i < sizeof slots / sizeof slots[0] &&
		       (strlen(slots[i].name) != len || memcmp(slots[i].name, list, len) != 0))
			i++;
		if (i == sizeof slots / sizeof slots[0]) {
			snprintf(why, why_bytes,
				 "'%.*s' is not one of none, sequence, time, duplicate, message-id, timestamp",
				 (int)len, list);
			return HW_ERR_INVALID;
		}
		*out |= slots[i].slot;
		list += len + (list[len] == ',');
	}
	return 0;
}

int properties_read_property(struct harewire_template_options *options, const char *pair, char *why, size_t why_bytes)
{
	size_t len = strcspn(pair, "=");

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (pair[len] != '=' || strlen(texts[i].name) != len || memcmp(texts[i].name, pair, len) != 0)
			continue;
		*(const char **)((char *)options + texts[i].offset) = pair + len + 1;
		return 0;
	}
	snprintf(why, why_bytes,
		 "'%s' is not name=value with a name of content-encoding, correlation-id, reply-to, type, user-id, "
		 "app-id",
		 pair);
	return HW_ERR_INVALID;
}

int properties_init(struct properties *p, const struct settings *s, uint32_t default_slots, char *why, size_t why_bytes)
{
	int code = 0;

	memset(p, 0, sizeof *p);
	harewire_template_options_init(&p->options);
	p->options.slots = default_slots;
	if (s->slots)
		code = properties_read_slots(s->slots, &p->options.slots, why, why_bytes);
	for (uint32_t i = 0; i < s->properties.count && !code; i++)
		code = properties_read_property(&p->options, s->properties.items[i], why, why_bytes);
	if (s->mandatory && !(p->options.slots & HAREWIRE_SLOT_MESSAGE_ID))
		p->options.slots |= HAREWIRE_SLOT_SEQUENCE; /* a return is matched by it */

	if (!code)
		code = fields_parse(s->headers.items, s->headers.count, &p->headers, why, why_bytes);
	if (code)
		return code;
	p->header_count = s->headers.count;
	p->options.headers = p->headers;
	p->options.header_count = p->header_count;
	p->options.mandatory = s->mandatory;
	p->options.delivery_mode = s->persistent ? 2 : 0;
	p->options.priority = s->priority == SETTING_UNSET ? -1 : (int)s->priority;
	p->options.content_type = s->content_type;
	p->options.expiration = s->expiration;
	return 0;
}

void properties_fini(struct properties *p)
{
	fields_free(p->headers, p->header_count);
}
