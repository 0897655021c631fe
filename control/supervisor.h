/*
 * The control thread, one for all workers: brings publishers' connections up, watches over them, and ends them.
 *
 *     resolve ─▶ route ─▶ neighbour ─▶ connect ─▶ handshake ─▶ running ─▶ ending ─▶ ended ─▶ removing
 *     (pool)                           (worker)   (pool)        │  ▲        ▲
 *        ▲          whatever fails, or is lost                  │  │        │
 *        └── waiting ◀──────────────────────────────────────────┤  │        │ what can never succeed, or
 *            (reconnect.h: where, when)                         ▼  │        │ is over, from any phase
 *                                           (channel lost) reopening        │
 *
 * It talks to a worker only through dataplane/command.h, to the application only through the publisher's state (which
 * the worker sets on its behalf).
 */
#ifndef HAREWIRE_SUPERVISOR_H
#define HAREWIRE_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "control/topology.h"
#include "control/worker_plan.h"
#include "dataplane/command.h"
#include "dataplane/connection.h"

struct supervisor;

struct supervisor_options {
	const struct worker_plan *plan;                                /* copied, with its strings */
	struct command_channel *channels[HAREWIRE_WORKERS_MAX];        /* of the plan's workers */
	const _Atomic uint64_t *longest_gaps_ns[HAREWIRE_WORKERS_MAX]; /* likewise, between two turns */
	void (*log_line)(void *context, enum harewire_log_level level, const char *line);
	void *log_context;
	const char *trace_dir; /* incident.h; NULL: none */
};

struct target_host {
	char name[256];
	uint16_t port;
};

/* Everything a publisher's connection is made from. Strings and topology are copied. */
struct target {
	struct target_host hosts[HAREWIRE_HOSTS_MAX]; /* the URL's first */
	uint32_t host_count;
	bool shuffle; /* the order they are tried in is drawn once */
	char user[256], password[1024], vhost[256], connection_name[256];
	uint32_t heartbeat_s, frame_max;
	char password_file[4096]; /* read for every connection; "": `password` */
	uint64_t connect_timeout_ns, user_timeout_ns, rto_min_ns;
	struct stream_tuning tuning;
	uint64_t reconnect_min_ns, reconnect_max_ns, reconnect_timeout_ns;
	struct topology topology;
};

/* One publisher under supervision. */
struct charge;

/* Starts the control thread. 0, HW_ERR_NOMEM or HW_ERR_SYSTEM. */
int supervisor_create(const struct supervisor_options *options, struct supervisor **out);
/* Every charge must have been removed, and the workers stopped: frees the transports too. */
void supervisor_destroy(struct supervisor *s);

/*
 * Application's thread. Takes target's topology over. `worker`: its index, or -1: the one with the fewest. 0,
 * HW_ERR_NOMEM, or with a sentence in `why` (may be NULL) HW_ERR_INVALID: no such worker, or HW_ERR_BUSY: it has as
 * many publishers as it can serve.
 */
int supervisor_add(struct supervisor *s, int worker, const struct target *target, struct connection *connection,
		   struct charge **out, char *why, size_t why_bytes);
/* Which worker serves it. */
uint32_t charge_worker(const struct charge *charge);
/* Asks for the connection to be dropped; once supervisor_removed says so nobody else touches it. */
void supervisor_remove(struct supervisor *s, struct charge *charge);
int supervisor_removed(struct supervisor *s, struct charge *charge);
/* Waits up to most_ns (less than a second) for supervisor_removed. */
void supervisor_wait_removed(struct supervisor *s, struct charge *charge, uint32_t most_ns);
void charge_free(struct charge *charge);

/* Any thread. */
void supervisor_describe(struct supervisor *s, uint32_t worker, struct harewire_driver_info *info);
void charge_negotiated(const struct charge *charge, uint32_t *frame_max, uint32_t *heartbeat_s);

#endif
