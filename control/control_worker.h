/*
 * A worker as the control thread sees it: the way its commands go, what carries its connections, how many publishers
 * it has. One for each worker; the control thread's unless said otherwise.
 */
#ifndef HAREWIRE_CONTROL_WORKER_H
#define HAREWIRE_CONTROL_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/transports.h"
#include "dataplane/command.h"

struct supervisor;
struct tap;

struct control_worker {
	struct supervisor *supervisor;
	uint32_t index;
	struct command_channel *channel;
	const _Atomic uint64_t *longest_gap_ns; /* between two turns of the worker's */
	struct transport_request request;
	char *strings[TRANSPORT_REQUEST_STRINGS]; /* copies of the request's */

	/* Written under the supervisor's lock: harewire_driver_info reads them from any thread. */
	struct transport_choice choice;
	bool chosen;

	/* Commands that found their ring full; sent first, in order. */
	struct command *overflow;
	uint32_t overflow_count, overflow_capacity;

	struct tap *tap; /* that its packets go through, or NULL */

	_Atomic uint32_t publishers; /* any thread; changed under the supervisor's lock */
};

/* Copies the request, strings too. 0 or HW_ERR_NOMEM. */
int control_worker_init(struct control_worker *w, uint32_t index, struct command_channel *channel,
			const struct transport_request *request);
/* The transport has been released. Allowed on a zeroed or failed one. */
void control_worker_fini(struct control_worker *w);

/* Commands arrive in order, and all of them. */
void control_worker_send(struct control_worker *w, const struct command *command);
/* Sends what did not fit before. */
void control_worker_flush(struct control_worker *w);

#endif
