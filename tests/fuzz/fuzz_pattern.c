/*
 * Any text as a pattern of routing keys, and two messages with any values through it: keys are as long as AMQP allows
 * at most, and messages that the key table takes for equal have equal keys.
 */
#include <string.h>

#include "control/feed/pattern.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 512u

/* As iex_message_read leaves it: zeros behind the symbol, none at its end. */
static void take_message(struct script *s, struct feed_message *m)
{
	size_t len;
	*m = (struct feed_message){.kind = take(s, 1) & 1 ? FEED_TOPS : FEED_DEEP};
	m->type = (char)take(s, 1);
	m->channel = take(s, 4);
	const uint8_t *symbol = take_octets(s, take(s, 1) % (FEED_SYMBOL_MAX + 1), &len);
	while (len && symbol[len - 1] == 0)
		len--;
	memcpy(m->symbol, symbol, len);
	m->symbol_len = (uint8_t)len;
}

static void check_key(const struct pattern *p, const struct feed_message *m, char key[ROUTING_KEY_MAX + 1])
{
	size_t len = pattern_write(p, m, key);
	REQUIRE(len <= ROUTING_KEY_MAX && strlen(key) == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	char text[TEXT_MAX + 1], why[160] = "", *first = malloc(ROUTING_KEY_MAX + 1), second[ROUTING_KEY_MAX + 1];
	struct feed_message a, b;
	struct pattern p;
	size_t len;
	take_message(&s, &a);
	take_message(&s, &b);
	const uint8_t *octets = take_octets(&s, TEXT_MAX, &len);
	memcpy(text, octets, len);
	text[len] = '\0';
	if (pattern_init(&p, text, why, sizeof why) == 0) {
		check_key(&p, &a, first);
		check_key(&p, &b, second);
		struct pattern_key ka = pattern_key(&p, &a), kb = pattern_key(&p, &b);
		if (memcmp(&ka, &kb, sizeof ka) == 0)
			REQUIRE(strcmp(first, second) == 0);
	} else {
		REQUIRE(*why && strnlen(why, sizeof why) < sizeof why);
	}
	free(first);
	return 0;
}
