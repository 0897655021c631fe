#include <stdio.h>

#include "control/command/config_apply.h"
#include "dataplane/base/error.h"

static int take_arguments(char **pairs, uint32_t count, const struct harewire_field **fields, uint32_t *field_count,
			  struct config_complaint *complaint)
{
	struct harewire_field *parsed = NULL;
	int code =
		fields_parse((const char *const *)pairs, count, &parsed, complaint->reason, sizeof complaint->reason);

	*fields = parsed;
	*field_count = code ? 0 : count;
	return code;
}

static int apply_exchange(const struct config_exchange *from, struct declarations *t,
			  struct config_complaint *complaint)
{
	struct harewire_exchange exchange = {
		.name = from->name,
		.type = from->type,
		.durable = from->durable,
		.auto_delete = from->auto_delete,
		.internal = from->internal,
		.passive = from->passive,
	};
	int code = take_arguments(from->arguments, from->arguments_count, &exchange.arguments, &exchange.argument_count,
				  complaint);
	return code ? code : declarations_add_exchange(t, &exchange);
}

static int apply_queue(const struct config_queue *from, struct declarations *t, struct config_complaint *complaint)
{
	struct harewire_queue queue = {
		.name = from->name,
		.durable = from->durable,
		.auto_delete = from->auto_delete,
		.exclusive = from->exclusive,
		.passive = from->passive,
	};
	int code = take_arguments(from->arguments, from->arguments_count, &queue.arguments, &queue.argument_count,
				  complaint);
	return code ? code : declarations_add_queue(t, &queue);
}

static int apply_binding(const struct config_binding *from, struct declarations *t, struct config_complaint *complaint)
{
	struct harewire_binding binding = {
		.exchange = from->exchange,
		.queue = from->queue,
		.to_exchange = from->to_exchange,
		.routing_key = from->routing_key ? from->routing_key : "",
	};
	if (!from->queue == !from->to_exchange) {
		snprintf(complaint->reason, sizeof complaint->reason,
			 "a binding of %s needs either queue or to-exchange", from->exchange);
		return HW_ERR_INVALID;
	}
	int code = take_arguments(from->arguments, from->arguments_count, &binding.arguments, &binding.argument_count,
				  complaint);
	return code ? code : declarations_add_binding(t, &binding);
}

static void set_place(struct config_complaint *complaint, const char *list, uint32_t index)
{
	complaint->name = list;
	snprintf(complaint->place, sizeof complaint->place, "topology/%s/%u", list, index);
}

int config_apply_topology(const struct config_topology *from, struct declarations *t,
			  struct config_complaint *complaint)
{
	int code = 0;

	for (uint32_t i = 0; from && i < from->exchanges_count && !code; i++) {
		set_place(complaint, "exchanges", i);
		code = apply_exchange(&from->exchanges[i], t, complaint);
	}
	for (uint32_t i = 0; from && i < from->queues_count && !code; i++) {
		set_place(complaint, "queues", i);
		code = apply_queue(&from->queues[i], t, complaint);
	}
	for (uint32_t i = 0; from && i < from->bindings_count && !code; i++) {
		set_place(complaint, "bindings", i);
		code = apply_binding(&from->bindings[i], t, complaint);
	}
	return code;
}
