#include "control/command/feed_source.h"

#include <assert.h>
#include <string.h>

#include "dataplane/base/error.h"

#define EXPECTED_KEYS 4096u

int feed_source_init(struct feed_source *f, struct feed *feed, const struct pattern *pattern,
		     struct properties *properties, uint64_t count)
{
	memset(f, 0, sizeof *f);
	f->feed = feed;
	f->pattern = *pattern;
	f->properties = properties;
	f->left = count;
	if (key_table_init(&f->routes, EXPECTED_KEYS))
		return HW_ERR_NOMEM;
	return key_table_init(&f->symbols, EXPECTED_KEYS);
}

void feed_source_fini(struct feed_source *f)
{
	key_table_fini(&f->routes);
	key_table_fini(&f->symbols);
}

/* A route in a table's value: publishers are fewer than 2^8, templates of one fewer than 2^24. */
#define ROUTE_TEMPLATE_BITS 24
static_assert(PUBLISHERS_MAX <= 1u << (32 - ROUTE_TEMPLATE_BITS), "a publisher's index fits into a route");

/* The publisher of the message's symbol, which is noted. 0 or HW_ERR_NOMEM. */
static int find_publisher(struct feed_source *f, const struct feed_message *m, uint32_t *publisher)
{
	struct pattern_key key = {0};

	*publisher = 0;
	memcpy(&key.symbol, m->symbol, sizeof key.symbol);
	if (!m->symbol_len)
		return 0;
	const uint32_t *known = key_table_find(&f->symbols, &key);
	*publisher = known ? *known : f->symbols.count % f->run->publisher_count;
	return known ? 0 : key_table_insert(&f->symbols, &key, *publisher);
}

/* Without the symbol in the routing key several publishers may have it: its place then tells them apart. */
static struct pattern_key route_key(const struct feed_source *f, const struct feed_message *m, uint32_t publisher)
{
	struct pattern_key key = pattern_key(&f->pattern, m);

	if (!(f->pattern.fields & PATTERN_SYMBOL))
		key.symbol = publisher;
	return key;
}

static bool key_is_new(const struct feed_source *f, const struct feed_message *m)
{
	uint32_t holders = f->pattern.fields & PATTERN_SYMBOL ? 1 : f->run->publisher_count;

	for (uint32_t i = 0; i < holders; i++) {
		struct pattern_key key = route_key(f, m, i);
		if (key_table_find(&f->routes, &key))
			return false;
	}
	return true;
}

/* First sight of a routing key at a publisher. */
static int make_route(struct feed_source *f, const struct feed_message *m, uint32_t publisher, uint32_t *route)
{
	struct pattern_key key = route_key(f, m, publisher);
	char routing_key[ROUTING_KEY_MAX + 1];
	const char *why = NULL;
	uint32_t template_id;

	f->keys += key_is_new(f, m);
	pattern_write(&f->pattern, m, routing_key);
	f->properties->options.routing_key = routing_key;
	int code = harewire_template_prepare(f->run->publishers[publisher].handle, &f->properties->options,
					     &template_id, &why);
	if (!code && template_id >> ROUTE_TEMPLATE_BITS)
		code = HW_ERR_NOMEM;
	if (code) {
		run_fail(f->run, code, "no template for routing key %s (the %u-th): %s", routing_key, f->keys,
			 why ? why : harewire_error_text(code));
		return code;
	}
	*route = publisher << ROUTE_TEMPLATE_BITS | template_id;
	return key_table_insert(&f->routes, &key, *route);
}

/* One look-up for each message where the symbol is part of the routing key; else its publisher is found first. */
static int find_route(struct feed_source *f, const struct feed_message *m, uint32_t *route)
{
	bool symbol_in_key = f->pattern.fields & PATTERN_SYMBOL;
	uint32_t publisher = 0;
	int code = symbol_in_key ? 0 : find_publisher(f, m, &publisher);

	if (code)
		return code;
	struct pattern_key key = route_key(f, m, publisher);
	const uint32_t *known = key_table_find(&f->routes, &key);
	if (known) {
		*route = *known;
		return 0;
	}
	if (symbol_in_key)
		code = find_publisher(f, m, &publisher);
	return code ? code : make_route(f, m, publisher, route);
}

enum source_result feed_source_next(void *source, struct run_message *message)
{
	struct feed_source *f = source;
	struct feed_message m;
	uint32_t route = 0;

	if (!f->left)
		return SOURCE_END;
	int result = feed_next(f->feed, &m);
	if (result == 0)
		return SOURCE_END;
	if (result < 0) {
		run_fail(f->run, result, "%s", f->feed->why);
		return SOURCE_FAILED;
	}
	int code = find_route(f, &m, &route);
	if (code) {
		run_fail(f->run, code, "%s", harewire_error_text(code));
		return SOURCE_FAILED;
	}
	f->left--;
	message->publisher = route >> ROUTE_TEMPLATE_BITS;
	message->template_id = route & ((1u << ROUTE_TEMPLATE_BITS) - 1);
	message->body = m.bytes;
	message->len = m.len;
	message->due_ns = pace_next(&f->pace, m.time_ns);
	return SOURCE_MESSAGE;
}
