#include "control/control_worker.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

int control_worker_init(struct control_worker *w, uint32_t index, struct command_channel *channel,
			const struct transport_request *request)
{
	struct transport_request *r = &w->request;
	memset(w, 0, sizeof *w);
	w->index = index;
	w->channel = channel;
	*r = *request;
	const char **fields[] = {&r->driver, &r->interface, &r->device, &r->address, &r->gateway, &r->eal};
	_Static_assert(sizeof fields / sizeof fields[0] == TRANSPORT_REQUEST_STRINGS, "one each");
	for (uint32_t i = 0; i < TRANSPORT_REQUEST_STRINGS; i++) {
		if (!*fields[i])
			continue;
		w->strings[i] = strdup(*fields[i]);
		if (!w->strings[i]) {
			control_worker_fini(w);
			return HW_ERR_NOMEM;
		}
		*fields[i] = w->strings[i];
	}
	return 0;
}

void control_worker_fini(struct control_worker *w)
{
	for (uint32_t i = 0; i < TRANSPORT_REQUEST_STRINGS; i++)
		free(w->strings[i]);
	free(w->overflow);
	memset(w, 0, sizeof *w);
}

void control_worker_flush(struct control_worker *w)
{
	uint32_t sent = 0;
	if (w->overflow_count == 0)
		return;
	while (sent < w->overflow_count && spsc_push(&w->channel->commands, &w->overflow[sent]))
		sent++;
	memmove(w->overflow, w->overflow + sent, (w->overflow_count - sent) * sizeof *w->overflow);
	w->overflow_count -= sent;
}

void control_worker_send(struct control_worker *w, const struct command *command)
{
	if (w->overflow_count == 0 && spsc_push(&w->channel->commands, command))
		return;
	if (w->overflow_count == w->overflow_capacity) {
		uint32_t capacity = w->overflow_capacity ? 2 * w->overflow_capacity : 64;
		struct command *grown = realloc(w->overflow, capacity * sizeof *grown);
		if (!grown)
			abort(); /* a lost command would leave a connection in a state nobody knows */
		w->overflow = grown;
		w->overflow_capacity = capacity;
	}
	w->overflow[w->overflow_count++] = *command;
}
