#include "control/incident.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/supervisor_internal.h"
#include "control/trace.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"

#define QUIET_NS      10000000000ull
#define LOOK_EVERY_NS 100000000ull
#define LASTED_NS     1000000000ull
#define EPISODE_NS    1000000000ull /* timeouts so close together are one */

struct incident {
	struct job job;
	char path[PATH_MAX + 64];
	char cause[128];
	int error; /* errno of the write that failed */
	struct trace_copy copy;
};

int incident_check_directory(const char *directory, char *why, size_t why_bytes)
{
	struct stat st;
	if (strlen(directory) >= PATH_MAX) {
		snprintf(why, why_bytes, "trace_dir is longer than %d octets", PATH_MAX - 1);
		return HW_ERR_INVALID;
	}
	if (stat(directory, &st) == 0 && !S_ISDIR(st.st_mode))
		errno = ENOTDIR;
	else if (access(directory, W_OK | X_OK) == 0)
		return 0;
	snprintf(why, why_bytes, "cannot keep traces in %.300s: %s", directory, strerror(errno));
	return HW_ERR_SYSTEM;
}

/* ---- on a pool thread ---- */

static void print(FILE *out, const struct incident *i)
{
	const struct trace_copy *c = &i->copy;
	fprintf(out, "harewire %s, process %d: %s\n", HAREWIRE_VERSION, (int)getpid(), i->cause);
	fprintf(out, "connection %llu (%s) of worker %u: %s to %s\n\n", (unsigned long long)c->connection, c->name,
		c->worker, c->local, c->remote);
	trace_print(out, c);
}

static void run_write(struct job *job)
{
	struct incident *i = (struct incident *)job;
	unlink(i->path); /* an older one of ours; never what a link points at */
	int fd = open(i->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out) {
		i->error = errno;
		if (fd >= 0)
			close(fd);
		return;
	}
	print(out, i);
	if (ferror(out))
		i->error = EIO;
	if (fclose(out) && !i->error)
		i->error = errno;
}

static void discard(struct job *job)
{
	free(job);
}

/* ---- on the control thread ---- */

static struct incident **place(struct supervisor *s)
{
	for (uint32_t i = 0; i < INCIDENT_PENDING; i++)
		if (!s->incidents.pending[i])
			return &s->incidents.pending[i];
	return NULL;
}

static void keep(struct charge *c, const char *cause)
{
	struct supervisor *s = c->supervisor;
	struct incident **at = place(s), *i = at ? malloc(sizeof *i) : NULL;
	if (!i || trace_take_of(c, &i->copy)) {
		s->incidents.left_out += !i;
		free(i);
		return;
	}
	i->job = (struct job){.run = run_write, .discard = discard};
	i->error = 0;
	snprintf(i->cause, sizeof i->cause, "%s", cause);
	snprintf(i->path, sizeof i->path, "%s/harewire-%d-%02u.trace", s->incidents.directory, (int)getpid(),
		 (unsigned)(s->incidents.taken++ % INCIDENT_FILES));
	if (pool_submit(s->pool, &i->job)) {
		s->incidents.left_out++;
		free(i);
		return;
	}
	*at = i;
}

void incident_closed(struct charge *c, int code, uint64_t now_ns)
{
	struct incident_watch *w = &c->incident;
	/* What is lost right after hand-over may be so ten times a second, as what is refused. */
	bool running = c->phase == CHARGE_RUNNING && now_ns - c->ready_ns >= LASTED_NS;
	if (!c->supervisor->incidents.directory[0] || code == 0 || (!running && now_ns < w->quiet_ns))
		return;
	if (!running) /* a broker that is away refuses again and again */
		w->quiet_ns = now_ns + QUIET_NS;
	keep(c, hw_error_sentence(code));
}

void incident_step(struct charge *c, uint64_t now_ns)
{
	struct incident_watch *w = &c->incident;
	struct publisher_figures figures;
	if (!c->supervisor->incidents.directory[0] || now_ns < w->look_ns)
		return;
	w->look_ns = now_ns + LOOK_EVERY_NS;
	publisher_get_figures(c->connection->publisher, &figures);
	/* The next connection counts anew; until then the figures are the old one's, whose timeouts are no news. */
	uint64_t before = figures.rto_fired < w->timeouts ? 0 : w->timeouts, risen_ns = w->timeout_ns;
	w->timeouts = figures.rto_fired;
	if (figures.rto_fired <= before)
		return;
	w->timeout_ns = now_ns;
	if (now_ns < w->quiet_ns || (risen_ns && now_ns - risen_ns < EPISODE_NS))
		return;
	w->quiet_ns = now_ns + QUIET_NS;
	keep(c, "a retransmission timeout fired");
}

static void tell(struct supervisor *s, const struct incident *i)
{
	if (i->error)
		supervisor_log(s, HAREWIRE_LOG_WARNING, "cannot write the trace %s: %s", i->path, strerror(i->error));
	else
		supervisor_log(s, HAREWIRE_LOG_INFO, "the trace of connection %llu is in %s: %s",
			       (unsigned long long)i->copy.connection, i->path, i->cause);
}

void incidents_step(struct supervisor *s)
{
	for (uint32_t n = 0; n < INCIDENT_PENDING; n++) {
		struct incident *i = s->incidents.pending[n];
		if (!i || !job_done(&i->job))
			continue;
		tell(s, i);
		free(i);
		s->incidents.pending[n] = NULL;
	}
}

void incidents_stop(struct supervisor *s)
{
	for (uint32_t n = 0; n < INCIDENT_PENDING; n++) {
		struct incident *i = s->incidents.pending[n];
		if (i && pool_withdraw(s->pool, &i->job))
			run_write(&i->job);
	}
}

void incidents_fini(struct supervisor *s)
{
	for (uint32_t n = 0; n < INCIDENT_PENDING; n++)
		free(s->incidents.pending[n]);
}
