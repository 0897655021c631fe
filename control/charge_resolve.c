/*
 * A host's name becomes an address: looked up on a pool thread for every attempt at the host, which may take as long as
 * the resolver likes. There is one look-up of a name at a time, whatever the number of attempts, so that a name server
 * that is gone holds one thread for each name of a publisher, and of all publishers half of the pool at most; and once
 * a name has been found, a connection that is lost does not depend on it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/error.h"

/* Then an attempt goes to the address that the name had last; or after half the attempt's time, if that is less. */
#define LOOKUP_NS 1000000000u

struct resolve_job {
	struct job job;
	char host[256];
	uint32_t ip;
	int error; /* of getaddrinfo, or 0 */
};

static void run_resolve(struct job *job)
{
	struct resolve_job *r = (struct resolve_job *)job;
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
	r->error = getaddrinfo(r->host, NULL, &hints, &found);
	if (r->error == 0) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)(const void *)found->ai_addr;
		r->ip = ntohl(a->sin_addr.s_addr);
		freeaddrinfo(found);
	}
}

static void discard_resolve(struct job *job)
{
	free(job);
}

static int submit_lookup(struct charge *c, struct lookup *l)
{
	struct resolve_job *r = calloc(1, sizeof *r);
	if (!r)
		return HW_ERR_NOMEM;
	memcpy(r->host, c->host->name, sizeof r->host);
	r->job.run = run_resolve;
	r->job.discard = discard_resolve;
	r->job.minor = true;
	int err = pool_submit(c->supervisor->pool, &r->job);
	if (err)
		free(r);
	else
		l->job = r;
	return err;
}

/* Reads a look-up that is done: 0, or getaddrinfo's error. */
static int finish_lookup(struct lookup *l)
{
	int error = l->job->error;
	if (!error) {
		l->ip = l->job->ip;
		l->failing = false;
	}
	free(l->job);
	l->job = NULL;
	return error;
}

static void go_on(struct charge *c, uint32_t ip, uint64_t now_ns)
{
	c->remote_ip = ip;
	c->phase = CHARGE_ROUTING;
	charge_await_answer(c, now_ns);
}

/* To where the host was last; if it never was anywhere, the attempt is over. */
static void go_without(struct charge *c, int code, const char *why, uint64_t now_ns)
{
	struct lookup *l = &c->lookups[c->host - c->target.hosts];
	char ip[16];
	if (!l->ip) {
		charge_fail(c, RECONNECT_AGAIN, code, "cannot resolve the host name '%s': %s", c->host->name, why);
		return;
	}
	supervisor_log(c->supervisor, l->failing ? HAREWIRE_LOG_DEBUG : HAREWIRE_LOG_WARNING,
		       "cannot resolve the host name '%s': %s; going on with its last address, %s", c->host->name, why,
		       ip_text(l->ip, ip));
	l->failing = true;
	go_on(c, l->ip, now_ns);
}

void charge_resolve_start(struct charge *c, uint64_t now_ns)
{
	struct lookup *l = &c->lookups[c->host - c->target.hosts];
	struct in_addr literal;
	if (inet_pton(AF_INET, c->host->name, &literal) == 1) {
		go_on(c, ntohl(literal.s_addr), now_ns);
		return;
	}
	c->phase = CHARGE_RESOLVING;
	c->resolve_by_ns =
		now_ns +
		(c->target.connect_timeout_ns < 2 * (uint64_t)LOOKUP_NS ? c->target.connect_timeout_ns / 2 : LOOKUP_NS);
	if (l->job && job_done(&l->job->job))
		finish_lookup(l); /* an earlier attempt's: good to have, but the name may have moved since */
	int err = l->job ? 0 : submit_lookup(c, l);
	if (err)
		go_without(c, err, hw_error_sentence(err), now_ns);
}

void charge_resolve_step(struct charge *c, uint64_t now_ns)
{
	struct lookup *l = &c->lookups[c->host - c->target.hosts];
	bool done = job_done(&l->job->job);
	int error = done ? finish_lookup(l) : 0;
	if (error)
		go_without(c, HW_ERR_HOST_UNREACHABLE, gai_strerror(error), now_ns);
	else if (done)
		go_on(c, l->ip, now_ns);
	else if (l->ip && now_ns >= c->resolve_by_ns)
		go_without(c, HW_ERR_TIMEOUT, "no answer yet", now_ns);
}

void charge_resolve_forget(struct charge *c)
{
	for (uint32_t i = 0; i < c->target.host_count; i++) {
		struct resolve_job *r = c->lookups[i].job;
		c->lookups[i].job = NULL;
		if (r && pool_withdraw(c->supervisor->pool, &r->job))
			free(r);
		else if (r)
			job_abandon(&r->job);
	}
}
