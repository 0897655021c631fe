/*
 * Routing keys from a pattern: "md.{feed}.{type}.{symbol}" makes "md.deep.T.BRK/A". Pure.
 *
 * A dot inside a value becomes '/', so that it is one word to a topic exchange; a value that is absent becomes '-'; an
 * octet that is not printable ASCII becomes '?'.
 */
#ifndef HAREWIRE_FEED_PATTERN_H
#define HAREWIRE_FEED_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "control/feed/feed.h"

#define PATTERN_DEFAULT   "md.{feed}.{type}.{symbol}"
#define PATTERN_PARTS_MAX 32u
#define ROUTING_KEY_MAX   255u

enum pattern_field {
	PATTERN_LITERAL = 0,
	PATTERN_FEED = 1 << 0,
	PATTERN_TYPE = 1 << 1,
	PATTERN_SYMBOL = 1 << 2,
	PATTERN_CHANNEL = 1 << 3,
};

struct pattern {
	struct pattern_part {
		enum pattern_field field;
		uint16_t at, len; /* of a literal, in text */
	} parts[PATTERN_PARTS_MAX];
	uint32_t part_count;
	uint32_t fields; /* which occur */
	char text[ROUTING_KEY_MAX + 1];
};

/* What a message's routing key depends on, and nothing else: messages with equal keys have equal routing keys. */
struct pattern_key {
	uint64_t symbol;
	uint32_t channel;
	uint16_t kind;
	uint16_t type;
};

/*
 * 0, or HW_ERR_INVALID with a sentence in `why` that names the field and its column: an unknown field, a brace without
 * its pair, too many parts, or keys that could be longer than ROUTING_KEY_MAX.
 */
int pattern_init(struct pattern *p, const char *text, char *why, size_t why_bytes);

/* Writes the routing key, NUL-terminated. Returns its length. */
size_t pattern_write(const struct pattern *p, const struct feed_message *message, char key[ROUTING_KEY_MAX + 1]);

struct pattern_key pattern_key(const struct pattern *p, const struct feed_message *message);

#endif
