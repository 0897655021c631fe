/* What is to be declared at the broker, collected from flags and config. Owns its arrays and strings. */
#ifndef HAREWIRE_COMMAND_DECLARATIONS_H
#define HAREWIRE_COMMAND_DECLARATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/harewire.h"

struct declarations {
	struct harewire_exchange *exchanges;
	struct harewire_queue *queues;
	struct harewire_binding *bindings;
	uint32_t exchange_count, queue_count, binding_count;
};

void declarations_fini(struct declarations *t);

/*
 * "name=value" pairs as table entries: decimal integers and true/false become such, everything else a string. 0,
 * HW_ERR_NOMEM, or HW_ERR_INVALID with a sentence in `why`. Free with fields_free.
 */
int fields_parse(const char *const *pairs, uint32_t count, struct harewire_field **out, char *why, size_t why_bytes);
void fields_free(const struct harewire_field *fields, uint32_t count);

/* Each copies what it is given. 0 or HW_ERR_NOMEM; `arguments` are taken over, also on failure. */
int declarations_add_exchange(struct declarations *t, const struct harewire_exchange *exchange);
int declarations_add_queue(struct declarations *t, const struct harewire_queue *queue);
int declarations_add_binding(struct declarations *t, const struct harewire_binding *binding);

/* From the flags' form. 0, HW_ERR_NOMEM, or HW_ERR_INVALID with a sentence in `why`. */
int declarations_parse_exchange(struct declarations *t, const char *spec, char *why,
				size_t why_bytes); /* NAME:TYPE[:WORD...] */
int declarations_parse_queue(struct declarations *t, const char *spec, char *why,
			     size_t why_bytes); /* NAME[:WORD...] */
int declarations_parse_binding(struct declarations *t, const char *spec, char *why,
			       size_t why_bytes); /* EXCHANGE:QUEUE[:KEY] */

const struct harewire_exchange *declarations_find_exchange(const struct declarations *t, const char *name);
const struct harewire_queue *declarations_find_queue(const struct declarations *t, const char *name);

#endif
