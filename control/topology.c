#define _GNU_SOURCE
#include "control/topology.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define AMQP_SHORTSTR_MAX 255

/* Copies that fail leave NULL where there was something: `*ok` remembers it, so that callers check once. */
static const char *copy_string(const char *s, int *ok)
{
	char *copy = s ? strdup(s) : NULL;
	if (s && !copy)
		*ok = 0;
	return copy;
}

static struct harewire_field *copy_fields(const struct harewire_field *from, uint32_t count, int *ok)
{
	struct harewire_field *to = count ? calloc(count, sizeof *to) : NULL;
	if (count && !to)
		*ok = 0;
	for (uint32_t i = 0; to && i < count; i++) {
		to[i] = from[i];
		to[i].name = copy_string(from[i].name, ok);
		to[i].string = copy_string(from[i].string, ok);
	}
	return to;
}

static void free_string(const char *s)
{
	free((void *)(uintptr_t)s);
}

static void free_fields(const struct harewire_field *fields, uint32_t count)
{
	for (uint32_t i = 0; fields && i < count; i++) {
		free_string(fields[i].name);
		free_string(fields[i].string);
	}
	free((void *)(uintptr_t)fields);
}

static void *allocate(uint32_t count, size_t size, int *ok)
{
	void *p = count ? calloc(count, size) : NULL;
	if (count && !p)
		*ok = 0;
	return p;
}

int topology_copy(struct topology *to, const struct harewire_publisher_options *from)
{
	int ok = 1;
	memset(to, 0, sizeof *to);
	to->exchanges = allocate(from->exchange_count, sizeof *to->exchanges, &ok);
	to->queues = allocate(from->queue_count, sizeof *to->queues, &ok);
	to->bindings = allocate(from->binding_count, sizeof *to->bindings, &ok);
	for (; to->exchanges && to->exchange_count < from->exchange_count; to->exchange_count++) {
		struct harewire_exchange *e = &to->exchanges[to->exchange_count];
		*e = from->exchanges[to->exchange_count];
		e->name = copy_string(e->name, &ok);
		e->type = copy_string(e->type, &ok);
		e->arguments = copy_fields(e->arguments, e->argument_count, &ok);
	}
	for (; to->queues && to->queue_count < from->queue_count; to->queue_count++) {
		struct harewire_queue *q = &to->queues[to->queue_count];
		*q = from->queues[to->queue_count];
		q->name = copy_string(q->name, &ok);
		q->arguments = copy_fields(q->arguments, q->argument_count, &ok);
	}
	for (; to->bindings && to->binding_count < from->binding_count; to->binding_count++) {
		struct harewire_binding *b = &to->bindings[to->binding_count];
		*b = from->bindings[to->binding_count];
		b->exchange = copy_string(b->exchange, &ok);
		b->queue = copy_string(b->queue, &ok);
		b->to_exchange = copy_string(b->to_exchange, &ok);
		b->routing_key = copy_string(b->routing_key, &ok);
		b->arguments = copy_fields(b->arguments, b->argument_count, &ok);
	}
	if (ok)
		return 0;
	topology_free(to);
	return HW_ERR_NOMEM;
}

void topology_free(struct topology *t)
{
	for (uint32_t i = 0; i < t->exchange_count; i++) {
		free_string(t->exchanges[i].name);
		free_string(t->exchanges[i].type);
		free_fields(t->exchanges[i].arguments, t->exchanges[i].argument_count);
	}
	for (uint32_t i = 0; i < t->queue_count; i++) {
		free_string(t->queues[i].name);
		free_fields(t->queues[i].arguments, t->queues[i].argument_count);
	}
	for (uint32_t i = 0; i < t->binding_count; i++) {
		free_string(t->bindings[i].exchange);
		free_string(t->bindings[i].queue);
		free_string(t->bindings[i].to_exchange);
		free_string(t->bindings[i].routing_key);
		free_fields(t->bindings[i].arguments, t->bindings[i].argument_count);
	}
	free(t->exchanges);
	free(t->queues);
	free(t->bindings);
	memset(t, 0, sizeof *t);
}

static int is_shortstr(const char *s)
{
	return s && strlen(s) <= AMQP_SHORTSTR_MAX;
}

const char *topology_check(const struct harewire_publisher_options *o)
{
	for (uint32_t i = 0; i < o->exchange_count; i++)
		if (!is_shortstr(o->exchanges[i].name) || !*o->exchanges[i].name)
			return "an exchange to declare needs a name of 1 to 255 octets";
	for (uint32_t i = 0; i < o->queue_count; i++)
		if (!is_shortstr(o->queues[i].name) || !*o->queues[i].name)
			return "a queue to declare needs a name of 1 to 255 octets";
	for (uint32_t i = 0; i < o->binding_count; i++) {
		const struct harewire_binding *b = &o->bindings[i];
		if (!is_shortstr(b->exchange) || !*b->exchange || (b->routing_key && !is_shortstr(b->routing_key)))
			return "a binding needs a source exchange and a routing key of at most 255 octets";
		if (!is_shortstr(b->queue ? b->queue : b->to_exchange))
			return "a binding needs a destination: a queue or an exchange";
	}
	return NULL;
}
