/* Exchanges, queues and bindings, declared one after the other on SESSION_CHANNEL. */
#ifndef HAREWIRE_SESSION_DECLARE_H
#define HAREWIRE_SESSION_DECLARE_H

#include <stdint.h>

#include "control/session/rpc.h"
#include "dataplane/harewire.h"

/* The encoded arguments of one declaration may take this much: it always fits the socket buffers on its way. */
#define DECLARE_ARGUMENTS_MAX 65536u

struct declarations {
	const struct harewire_exchange *exchanges;
	uint32_t exchange_count;
	const struct harewire_queue *queues;
	uint32_t queue_count;
	const struct harewire_binding *bindings;
	uint32_t binding_count;
};

/* Stops at the first that fails. 0 or the failure in `r`. */
int declare_all(struct rpc *r, const struct declarations *d);

#endif
