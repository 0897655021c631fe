#define _GNU_SOURCE /* reallocarray */

#include "control/command/declarations.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

void fields_free(const struct harewire_field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		free((char *)fields[i].name);
		free((char *)fields[i].string);
	}
	free((struct harewire_field *)fields);
}

/* An allocation that fails shows as a NULL name or string. */
static struct harewire_field make_field(const char *pair, const char *equals)
{
	const char *value = equals + 1;
	struct harewire_field f = {.name = strndup(pair, (size_t)(equals - pair))};
	char *end;

	errno = 0;
	f.integer = strtoll(value, &end, 10);
	if (*value && !*end && !errno) {
		f.kind = HAREWIRE_INT64;
	} else if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) {
		f.kind = HAREWIRE_BOOL;
		f.integer = *value == 't';
	} else {
		f.kind = HAREWIRE_STRING;
		f.integer = 0;
		f.string = strdup(value);
	}
	return f;
}

int fields_parse(const char *const *pairs, uint32_t count, struct harewire_field **out, char *why, size_t why_bytes)
{
	struct harewire_field *fields = calloc(count ? count : 1, sizeof *fields);

	if (!fields)
		return HW_ERR_NOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const char *equals = strchr(pairs[i], '=');
		if (!equals || equals == pairs[i]) {
			snprintf(why, why_bytes, "'%s' is not of the form name=value", pairs[i]);
			fields_free(fields, i);
			return HW_ERR_INVALID;
		}
		fields[i] = make_field(pairs[i], equals);
		if (!fields[i].name || (fields[i].kind == HAREWIRE_STRING && !fields[i].string)) {
			fields_free(fields, i + 1);
			return HW_ERR_NOMEM;
		}
	}
	*out = fields;
	return 0;
}

static char *copy(const char *text, bool *ok)
{
	char *p = text ? strdup(text) : NULL;
	*ok &= !text || p;
	return p;
}

int declarations_add_exchange(struct declarations *t, const struct harewire_exchange *exchange)
{
	bool ok = true;
	struct harewire_exchange *grown = reallocarray(t->exchanges, t->exchange_count + 1, sizeof *grown);

	if (!grown) {
		fields_free(exchange->arguments, exchange->argument_count);
		return HW_ERR_NOMEM;
	}
	t->exchanges = grown;
	struct harewire_exchange *e = &grown[t->exchange_count++];
	*e = *exchange;
	e->name = copy(exchange->name, &ok);
	e->type = copy(exchange->type, &ok);
	return ok ? 0 : HW_ERR_NOMEM;
}

int declarations_add_queue(struct declarations *t, const struct harewire_queue *queue)
{
	bool ok = true;
	struct harewire_queue *grown = reallocarray(t->queues, t->queue_count + 1, sizeof *grown);

	if (!grown) {
		fields_free(queue->arguments, queue->argument_count);
		return HW_ERR_NOMEM;
	}
	t->queues = grown;
	struct harewire_queue *q = &grown[t->queue_count++];
	*q = *queue;
	q->name = copy(queue->name, &ok);
	return ok ? 0 : HW_ERR_NOMEM;
}

int declarations_add_binding(struct declarations *t, const struct harewire_binding *binding)
{
	bool ok = true;
	struct harewire_binding *grown = reallocarray(t->bindings, t->binding_count + 1, sizeof *grown);

	if (!grown) {
		fields_free(binding->arguments, binding->argument_count);
		return HW_ERR_NOMEM;
	}
	t->bindings = grown;
	struct harewire_binding *b = &grown[t->binding_count++];
	*b = *binding;
	b->exchange = copy(binding->exchange, &ok);
	b->queue = copy(binding->queue, &ok);
	b->to_exchange = copy(binding->to_exchange, &ok);
	b->routing_key = copy(binding->routing_key, &ok);
	return ok ? 0 : HW_ERR_NOMEM;
}

void declarations_fini(struct declarations *t)
{
	for (uint32_t i = 0; i < t->exchange_count; i++) {
		free((char *)t->exchanges[i].name);
		free((char *)t->exchanges[i].type);
		fields_free(t->exchanges[i].arguments, t->exchanges[i].argument_count);
	}
	for (uint32_t i = 0; i < t->queue_count; i++) {
		free((char *)t->queues[i].name);
		fields_free(t->queues[i].arguments, t->queues[i].argument_count);
	}
	for (uint32_t i = 0; i < t->binding_count; i++) {
		free((char *)t->bindings[i].exchange);
		free((char *)t->bindings[i].queue);
		free((char *)t->bindings[i].to_exchange);
		free((char *)t->bindings[i].routing_key);
		fields_free(t->bindings[i].arguments, t->bindings[i].argument_count);
	}
	free(t->exchanges);
	free(t->queues);
	free(t->bindings);
	memset(t, 0, sizeof *t);
}

/* Cuts the next word off at ':'. NULL at the end. */
static char *next_word(char **rest)
{
	return *rest ? strsep(rest, ":") : NULL;
}

static int bad_word(const char *word, const char *allowed, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "'%s' is not one of %s", word, allowed);
	return HW_ERR_INVALID;
}

static int read_exchange(char *text, struct harewire_exchange *e, char *why, size_t why_bytes)
{
	char *rest = text, *word;

	e->name = next_word(&rest);
	e->type = next_word(&rest);
	if (!*e->name || !e->type || !*e->type) {
		snprintf(why, why_bytes,
			 "an exchange is given as NAME:TYPE, with :durable, :auto-delete, :internal or "
			 ":passive after it");
		return HW_ERR_INVALID;
	}
	while ((word = next_word(&rest))) {
		if (strcmp(word, "durable") == 0)
			e->durable = 1;
		else if (strcmp(word, "auto-delete") == 0)
			e->auto_delete = 1;
		else if (strcmp(word, "internal") == 0)
			e->internal = 1;
		else if (strcmp(word, "passive") == 0)
			e->passive = 1;
		else
			return bad_word(word, "durable, auto-delete, internal, passive", why, why_bytes);
	}
	return 0;
}

static int read_queue(char *text, struct harewire_queue *q, char *why, size_t why_bytes)
{
	char *rest = text, *word;

	q->name = next_word(&rest);
	if (!*q->name) {
		snprintf(why, why_bytes,
			 "a queue is given as NAME, with :durable, :auto-delete, :exclusive or :passive after it");
		return HW_ERR_INVALID;
	}
	while ((word = next_word(&rest))) {
		if (strcmp(word, "durable") == 0)
			q->durable = 1;
		else if (strcmp(word, "auto-delete") == 0)
			q->auto_delete = 1;
		else if (strcmp(word, "exclusive") == 0)
			q->exclusive = 1;
		else if (strcmp(word, "passive") == 0)
			q->passive = 1;
		else
			return bad_word(word, "durable, auto-delete, exclusive, passive", why, why_bytes);
	}
	return 0;
}

int declarations_parse_exchange(struct declarations *t, const char *spec, char *why, size_t why_bytes)
{
	struct harewire_exchange e = {0};
	char *text = strdup(spec);

	int code = text ? read_exchange(text, &e, why, why_bytes) : HW_ERR_NOMEM;
	if (!code)
		code = declarations_add_exchange(t, &e);
	free(text);
	return code;
}

int declarations_parse_queue(struct declarations *t, const char *spec, char *why, size_t why_bytes)
{
	struct harewire_queue q = {0};
	char *text = strdup(spec);

	int code = text ? read_queue(text, &q, why, why_bytes) : HW_ERR_NOMEM;
	if (!code)
		code = declarations_add_queue(t, &q);
	free(text);
	return code;
}

int declarations_parse_binding(struct declarations *t, const char *spec, char *why, size_t why_bytes)
{
	struct harewire_binding b = {0};
	char *text = strdup(spec), *rest = text;

	if (!text)
		return HW_ERR_NOMEM;
	b.exchange = next_word(&rest);
	b.queue = next_word(&rest);
	b.routing_key = rest ? rest : ""; /* a key may hold colons */
	int code;
	if (!*b.exchange || !b.queue || !*b.queue) {
		snprintf(why, why_bytes, "a binding is given as EXCHANGE:QUEUE or EXCHANGE:QUEUE:ROUTING-KEY");
		code = HW_ERR_INVALID;
	} else {
		code = declarations_add_binding(t, &b);
	}
	free(text);
	return code;
}

const struct harewire_exchange *declarations_find_exchange(const struct declarations *t, const char *name)
{
	for (uint32_t i = 0; i < t->exchange_count; i++)
		if (strcmp(t->exchanges[i].name, name) == 0)
			return &t->exchanges[i];
	return NULL;
}

const struct harewire_queue *declarations_find_queue(const struct declarations *t, const char *name)
{
	for (uint32_t i = 0; i < t->queue_count; i++)
		if (strcmp(t->queues[i].name, name) == 0)
			return &t->queues[i];
	return NULL;
}
