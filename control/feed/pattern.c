#include "control/feed/pattern.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base/error.h"

#define CHANNEL_DIGITS 10u

static const struct {
	const char *name;
	enum pattern_field field;
	uint32_t max_len;
} fields[] = {
	{"feed", PATTERN_FEED, 4},
	{"type", PATTERN_TYPE, 1},
	{"symbol", PATTERN_SYMBOL, FEED_SYMBOL_MAX},
	{"channel", PATTERN_CHANNEL, CHANNEL_DIGITS},
};

#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static const char *const feed_names[] = {[FEED_DEEP] = "deep", [FEED_TOPS] = "tops"};

static const struct pattern_part *add_part(struct pattern *p, enum pattern_field field, size_t at, size_t len)
{
	if (p->part_count == PATTERN_PARTS_MAX)
		return NULL;
	p->fields |= field;
	p->parts[p->part_count] = (struct pattern_part){field, (uint16_t)at, (uint16_t)len};
	return &p->parts[p->part_count++];
}

static int find_field(const char *name, size_t len)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (strlen(fields[i].name) == len && memcmp(fields[i].name, name, len) == 0)
			return (int)i;
	return -1;
}

/* One part starting at `at`. Returns the octets it takes, or a negative code; adds to *max_len. */
static int parse_part(struct pattern *p, size_t at, size_t *max_len, char *why, size_t why_bytes)
{
	const char *s = p->text + at;
	size_t len = strcspn(s, "{}");

	if (len) {
		*max_len += len;
		if (add_part(p, PATTERN_LITERAL, at, len))
			return (int)len;
	} else if (*s == '}') {
		snprintf(why, why_bytes, "the pattern has a '}' without its '{' at column %zu", at + 1);
		return HW_ERR_INVALID;
	} else {
		len = strcspn(s + 1, "{}");
		if (s[1 + len] != '}') {
			snprintf(why, why_bytes, "the pattern has a '{' without its '}' at column %zu", at + 1);
			return HW_ERR_INVALID;
		}
		int i = find_field(s + 1, len);
		if (i < 0) {
			snprintf(why, why_bytes,
				 "the pattern has an unknown field {%.*s} at column %zu; the fields are {feed}, "
				 "{type}, {symbol} "
				 "and {channel}",
				 (int)len, s + 1, at + 1);
			return HW_ERR_INVALID;
		}
		*max_len += fields[i].max_len;
		if (add_part(p, fields[i].field, 0, 0))
			return (int)len + 2;
	}
	snprintf(why, why_bytes, "the pattern has more than %u parts", PATTERN_PARTS_MAX);
	return HW_ERR_INVALID;
}

int pattern_init(struct pattern *p, const char *text, char *why, size_t why_bytes)
{
	size_t text_len = strlen(text), max_len = 0;

	memset(p, 0, sizeof *p);
	if (text_len > ROUTING_KEY_MAX) {
		snprintf(why, why_bytes, "the pattern is longer than a routing key may be (%u octets)",
			 ROUTING_KEY_MAX);
		return HW_ERR_INVALID;
	}
	memcpy(p->text, text, text_len);

	for (size_t at = 0; at < text_len;) {
		int taken = parse_part(p, at, &max_len, why, why_bytes);
		if (taken < 0)
			return taken;
		at += (size_t)taken;
	}
	if (max_len > ROUTING_KEY_MAX) {
		snprintf(why, why_bytes, "the pattern could make routing keys of %zu octets; AMQP allows %u", max_len,
			 ROUTING_KEY_MAX);
		return HW_ERR_INVALID;
	}
	return 0;
}

static char clean(char c)
{
	if (c == '.')
		return '/';
	return c > ' ' && c < 0x7F ? c : '?';
}

static size_t write_value(const char *value, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		out[i] = clean(value[i]);
	if (!len)
		out[len++] = '-';
	return len;
}

size_t pattern_write(const struct pattern *p, const struct feed_message *message, char key[ROUTING_KEY_MAX + 1])
{
	const char *feed = feed_names[message->kind];
	size_t n = 0;

	/* Nothing below can overrun: pattern_init has added up the longest values. */
	for (uint32_t i = 0; i < p->part_count; i++) {
		const struct pattern_part *part = &p->parts[i];
		switch (part->field) {
		case PATTERN_LITERAL:
			memcpy(key + n, p->text + part->at, part->len);
			n += part->len;
			break;
		case PATTERN_FEED:
			n += write_value(feed, strlen(feed), key + n);
			break;
		case PATTERN_TYPE:
			n += write_value(&message->type, message->type ? 1 : 0, key + n);
			break;
		case PATTERN_SYMBOL:
			n += write_value(message->symbol, message->symbol_len, key + n);
			break;
		case PATTERN_CHANNEL:
			n += (size_t)snprintf(key + n, CHANNEL_DIGITS + 1, "%u", message->channel);
			break;
		}
	}
	key[n] = '\0';
	return n;
}

struct pattern_key pattern_key(const struct pattern *p, const struct feed_message *message)
{
	struct pattern_key key = {0};

	if (p->fields & PATTERN_SYMBOL)
		memcpy(&key.symbol, message->symbol, sizeof key.symbol);
	if (p->fields & PATTERN_CHANNEL)
		key.channel = message->channel;
	if (p->fields & PATTERN_FEED)
		key.kind = (uint16_t)message->kind;
	if (p->fields & PATTERN_TYPE)
		key.type = (uint8_t)message->type;
	return key;
}
