#include "control/session/declare.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define SHORT_STRING_MAX 255u
#define FIELD_OVERHEAD   10u /* name's length, kind, and 8 octets of length or value */

/* A short string of the method being built. NULL counts as empty. */
static amqp_bytes_t short_string(struct rpc *r, const char *what, const char *s)
{
	size_t len = s ? strlen(s) : 0;
	if (len > SHORT_STRING_MAX) {
		rpc_fail(r, HW_ERR_INVALID, "%s is longer than %u octets", what, SHORT_STRING_MAX);
		return amqp_empty_bytes;
	}
	return (amqp_bytes_t){len, (void *)s};
}

static amqp_field_value_t field_value(const struct harewire_field *field)
{
	amqp_field_value_t v = {0};
	switch (field->kind) {
	case HAREWIRE_STRING:
		v.kind = AMQP_FIELD_KIND_UTF8;
		v.value.bytes = amqp_cstring_bytes(field->string ? field->string : "");
		break;
	case HAREWIRE_INT64:
		v.kind = AMQP_FIELD_KIND_I64;
		v.value.i64 = field->integer;
		break;
	case HAREWIRE_BOOL:
		v.kind = AMQP_FIELD_KIND_BOOLEAN;
		v.value.boolean = field->integer != 0;
		break;
	}
	return v;
}

/* The entries are to be freed by the caller, also after a failure. */
static amqp_table_t build_arguments(struct rpc *r, const struct harewire_field *fields, uint32_t count)
{
	amqp_table_t table = {0};
	if (count == 0)
		return table;
	if (count > DECLARE_ARGUMENTS_MAX / FIELD_OVERHEAD) {
		rpc_fail(r, HW_ERR_TOO_LARGE, "more than %u arguments", DECLARE_ARGUMENTS_MAX / FIELD_OVERHEAD);
		return table;
	}
	table.entries = calloc(count, sizeof *table.entries);
	if (!table.entries) {
		rpc_fail(r, HW_ERR_NOMEM, "out of memory");
		return table;
	}
	size_t octets = 0;
	for (uint32_t i = 0; i < count && r->code == 0; i++) {
		amqp_table_entry_t *e = &table.entries[table.num_entries++];
		e->key = short_string(r, "the name of an argument", fields[i].name);
		e->value = field_value(&fields[i]);
		octets += FIELD_OVERHEAD + e->key.len +
			  (fields[i].kind == HAREWIRE_STRING ? e->value.value.bytes.len : 0);
		if (octets > DECLARE_ARGUMENTS_MAX)
			rpc_fail(r, HW_ERR_TOO_LARGE, "its arguments take more than %u octets", DECLARE_ARGUMENTS_MAX);
	}
	return table;
}

static int declare_exchange(struct rpc *r, const struct harewire_exchange *x)
{
	rpc_step(r, "%s exchange '%s'", x->passive ? "looking for" : "declaring", x->name ? x->name : "");
	amqp_exchange_declare_t m = {
		.exchange = short_string(r, "its name", x->name),
		.type = short_string(r, "its type", x->type ? x->type : "topic"),
		.passive = x->passive != 0,
		.durable = x->durable != 0,
		.auto_delete = x->auto_delete != 0,
		.internal = x->internal != 0,
		.arguments = build_arguments(r, x->arguments, x->argument_count),
	};
	rpc_call(r, SESSION_CHANNEL, AMQP_EXCHANGE_DECLARE_METHOD, &m, AMQP_EXCHANGE_DECLARE_OK_METHOD);
	free(m.arguments.entries);
	return r->code;
}

static int declare_queue(struct rpc *r, const struct harewire_queue *q)
{
	rpc_step(r, "%s queue '%s'", q->passive ? "looking for" : "declaring", q->name ? q->name : "");
	amqp_queue_declare_t m = {
		.queue = short_string(r, "its name", q->name),
		.passive = q->passive != 0,
		.durable = q->durable != 0,
		.exclusive = q->exclusive != 0,
		.auto_delete = q->auto_delete != 0,
		.arguments = build_arguments(r, q->arguments, q->argument_count),
	};
	rpc_call(r, SESSION_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &m, AMQP_QUEUE_DECLARE_OK_METHOD);
	free(m.arguments.entries);
	return r->code;
}

static int bind_queue(struct rpc *r, const struct harewire_binding *b)
{
	amqp_queue_bind_t m = {
		.queue = short_string(r, "the queue's name", b->queue),
		.exchange = short_string(r, "the exchange's name", b->exchange),
		.routing_key = short_string(r, "the routing key", b->routing_key),
		.arguments = build_arguments(r, b->arguments, b->argument_count),
	};
	rpc_call(r, SESSION_CHANNEL, AMQP_QUEUE_BIND_METHOD, &m, AMQP_QUEUE_BIND_OK_METHOD);
	free(m.arguments.entries);
	return r->code;
}

/* RabbitMQ's extension of AMQP 0-9-1. */
static int bind_exchange(struct rpc *r, const struct harewire_binding *b)
{
	amqp_exchange_bind_t m = {
		.destination = short_string(r, "the destination's name", b->to_exchange),
		.source = short_string(r, "the exchange's name", b->exchange),
		.routing_key = short_string(r, "the routing key", b->routing_key),
		.arguments = build_arguments(r, b->arguments, b->argument_count),
	};
	rpc_call(r, SESSION_CHANNEL, AMQP_EXCHANGE_BIND_METHOD, &m, AMQP_EXCHANGE_BIND_OK_METHOD);
	free(m.arguments.entries);
	return r->code;
}

static int declare_binding(struct rpc *r, const struct harewire_binding *b)
{
	const char *to = b->queue ? b->queue : b->to_exchange;
	rpc_step(r, "binding %s '%.64s' to exchange '%.64s' with key '%.64s'", b->queue ? "queue" : "exchange",
		 to ? to : "", b->exchange ? b->exchange : "", b->routing_key ? b->routing_key : "");
	return b->queue ? bind_queue(r, b) : bind_exchange(r, b);
}

int declare_all(struct rpc *r, const struct declarations *d)
{
	for (uint32_t i = 0; i < d->exchange_count && r->code == 0; i++)
		declare_exchange(r, &d->exchanges[i]);
	for (uint32_t i = 0; i < d->queue_count && r->code == 0; i++)
		declare_queue(r, &d->queues[i]);
	for (uint32_t i = 0; i < d->binding_count && r->code == 0; i++)
		declare_binding(r, &d->bindings[i]);
	return r->code;
}
