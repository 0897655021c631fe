#include "control/command/declare.h"

#include <stdio.h>

#include "dataplane/base/error.h"

typedef int (*parse_fn)(struct declarations *t, const char *spec, char *why, size_t why_bytes);

static int parse_list(struct declarations *t, const struct text_list *list, const char *option, parse_fn parse,
		      char *why, size_t why_bytes)
{
	char reason[256] = "out of memory";

	for (uint32_t i = 0; i < list->count; i++) {
		int code = parse(t, list->items[i], reason, sizeof reason);
		if (code) {
			snprintf(why, why_bytes, "--%s: '%s': %s", option, list->items[i], reason);
			return code;
		}
	}
	return 0;
}

static int declare_queue(struct settings *s, char *why, size_t why_bytes)
{
	char reason[256] = "out of memory";
	struct harewire_field *arguments = NULL;
	struct harewire_queue queue = {
		.name = s->queue, .durable = s->durable, .auto_delete = s->auto_delete, .passive = s->passive};

	if (declarations_find_queue(&s->topology, s->queue)) /* already declared, in more detail */
		return 0;
	int code = fields_parse(s->queue_arguments.items, s->queue_arguments.count, &arguments, reason, sizeof reason);
	if (code) {
		snprintf(why, why_bytes, "--arg: %s", reason);
		return code;
	}
	queue.arguments = arguments;
	queue.argument_count = s->queue_arguments.count;
	return declarations_add_queue(&s->topology, &queue);
}

static int declare_feed_exchange(struct settings *s)
{
	struct harewire_exchange exchange = {.name = s->exchange, .type = "topic", .durable = 1, .passive = s->passive};

	/* amq.* and the default exchange are the broker's own: they exist, and cannot be declared anew. */
	if (!*s->exchange || declarations_find_exchange(&s->topology, s->exchange))
		return 0;
	return declarations_add_exchange(&s->topology, &exchange);
}

static int declare_for_feed(struct settings *s, char *why, size_t why_bytes)
{
	struct harewire_binding binding = {.exchange = s->exchange, .queue = s->queue, .routing_key = "#"};

	int code = declare_feed_exchange(s);
	if (!code && s->queue)
		code = declare_queue(s, why, why_bytes);
	if (!code && s->queue)
		code = declarations_add_binding(&s->topology, &binding);
	return code;
}

int declare_from_settings(struct settings *s, char *why, size_t why_bytes)
{
	struct declarations *t = &s->topology;

	int code =
		parse_list(t, &s->declare_exchanges, "declare-exchange", declarations_parse_exchange, why, why_bytes);
	if (!code)
		code = parse_list(t, &s->declare_queues, "declare-queue", declarations_parse_queue, why, why_bytes);
	if (!code)
		code = parse_list(t, &s->bindings, "bind", declarations_parse_binding, why, why_bytes);
	if (code || s->no_declare)
		return code;

	switch (s->command) {
	case COMMAND_PUBLISH:
		return s->queue ? declare_queue(s, why, why_bytes) : 0;
	case COMMAND_FEED:
		return declare_for_feed(s, why, why_bytes);
	case COMMAND_CONSUME:
		if (s->queue && (s->durable || s->auto_delete || s->queue_arguments.count))
			return declare_queue(s, why, why_bytes);
		return 0;
	case COMMAND_STAT:
	case COMMAND_CAPTURE:
	case COMMAND_TRACE:
		return 0;
	}
	return 0;
}
