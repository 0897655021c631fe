/*
 * The control thread's half of the bridge: moves octets between a connection's byte rings and a socketpair whose other
 * end rabbitmq-c uses. Never blocks. From the broker it forwards whole frames only, so that rabbitmq-c never reads past
 * a frame boundary into what belongs to the worker after hand-over.
 */
#ifndef HAREWIRE_SESSION_PUMP_H
#define HAREWIRE_SESSION_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/command.h"

struct pump {
	struct bridge *bridge;
	int fd;           /* our end, non-blocking */
	uint32_t pending; /* octets of the current frame still to be written to fd */
};

void pump_init(struct pump *p, struct bridge *bridge, int fd);

/* Moves what can be moved. Returns true when anything moved. A dead fd is not an error here: the session reports it. */
bool pump_run(struct pump *p);

/* rabbitmq-c has read everything the broker said. */
bool pump_delivered(struct pump *p);

/* Moves what rabbitmq-c has written to the worker. True once nothing is left of it on the way. */
bool pump_flush(struct pump *p);

/* Nothing is under way in either direction. */
bool pump_idle(struct pump *p);

#endif
