#define _GNU_SOURCE
#include "control/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"
#include "dataplane/base/thread.h"

/* The worker's rings have no file descriptor to wait for: looked at this often. */
#define BUSY_POLL_MS 1
#define IDLE_POLL_MS 10

/* ---- what the other files use ---- */

void supervisor_log(struct supervisor *s, enum harewire_log_level level, const char *format, ...)
{
	char line[1024];
	va_list args;
	if (!s->options.log_line)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	s->options.log_line(s->options.log_context, level, line);
}

static void flush_overflow(struct supervisor *s)
{
	uint32_t sent = 0;
	if (s->overflow_count == 0)
		return;
	while (sent < s->overflow_count && spsc_push(&s->options.channel->commands, &s->overflow[sent]))
		sent++;
	memmove(s->overflow, s->overflow + sent, (s->overflow_count - sent) * sizeof *s->overflow);
	s->overflow_count -= sent;
}

void supervisor_send(struct supervisor *s, const struct command *command)
{
	if (s->overflow_count == 0 && spsc_push(&s->options.channel->commands, command))
		return;
	if (s->overflow_count == s->overflow_capacity) {
		uint32_t capacity = s->overflow_capacity ? 2 * s->overflow_capacity : 64;
		struct command *grown = realloc(s->overflow, capacity * sizeof *grown);
		if (!grown) {
			supervisor_log(s, HAREWIRE_LOG_ERROR, "out of memory for commands to the worker");
			abort(); /* a lost command would leave a connection in a state nobody knows */
		}
		s->overflow = grown;
		s->overflow_capacity = capacity;
	}
	s->overflow[s->overflow_count++] = *command;
}

/* ---- the loop ---- */

static void take_added(struct supervisor *s, uint64_t now_ns)
{
	pthread_mutex_lock(&s->lock);
	struct charge *added = s->added;
	s->added = NULL;
	pthread_mutex_unlock(&s->lock);
	while (added) {
		struct charge *c = added;
		added = c->next;
		c->next = s->charges;
		s->charges = c;
		charge_start(c, now_ns);
	}
}

static void take_events(struct supervisor *s, uint64_t now_ns)
{
	const struct worker_event *event;
	while ((event = spsc_peek(&s->options.channel->events)) != NULL) {
		struct worker_event copy = *event;
		spsc_pop(&s->options.channel->events);
		for (struct charge *c = s->charges; c; c = c->next)
			if (c->connection == copy.connection)
				charge_event(c, &copy, now_ns);
	}
}

static void on_neighbour(void *context, uint32_t interface_index, uint32_t ip, enum neighbour_state state,
			 const uint8_t mac[6])
{
	struct supervisor *s = context;
	for (struct charge *c = s->charges; c; c = c->next)
		charge_neighbour(c, interface_index, ip, state, mac);
}

/* Of the neighbours of a port that is ours alone: no interface of the kernel's has the index 0. */
static void on_nic_neighbour(void *context, uint32_t ip, const uint8_t mac[6])
{
	on_neighbour(context, 0, ip, NEIGHBOUR_KNOWN, mac);
}

static void on_nic_warning(void *context, const char *line)
{
	supervisor_log(context, HAREWIRE_LOG_WARNING, "%s", line);
}

static void step_nic(struct supervisor *s, uint64_t now_ns)
{
	const struct nic_events events = {.neighbour = on_nic_neighbour, .warning = on_nic_warning, .context = s};
	if (s->chosen && s->choice.nic)
		nic_step(s->choice.nic, now_ns, &events);
}

/* Takes removed charges off the list; from then on they are the application's to free. */
static void unlink_removed(struct supervisor *s)
{
	for (struct charge **at = &s->charges; *at;) {
		struct charge *c = *at;
		if (c->phase != CHARGE_REMOVED) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		charge_path_release(c);
		atomic_fetch_sub(&s->charge_count, 1);
		pthread_mutex_lock(&s->lock);
		c->removed = true;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
}

static bool is_busy(const struct supervisor *s)
{
	for (const struct charge *c = s->charges; c; c = c->next)
		if (c->phase != CHARGE_RUNNING && c->phase != CHARGE_ENDED)
			return true;
	return false;
}

static void wait_for_news(struct supervisor *s)
{
	struct pollfd fds[] = {{.fd = s->wake, .events = POLLIN}, {.fd = s->neighbours.fd, .events = POLLIN}};
	poll(fds, 2, is_busy(s) ? BUSY_POLL_MS : IDLE_POLL_MS);
	uint64_t count;
	if (fds[0].revents && read(s->wake, &count, sizeof count) < 0 && errno != EAGAIN)
		supervisor_log(s, HAREWIRE_LOG_ERROR, "eventfd: %s", strerror(errno));
	if (fds[1].revents)
		neighbours_read(&s->neighbours, on_neighbour, s);
}

static bool stopping(struct supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	bool stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

static void *run(void *arg)
{
	struct supervisor *s = arg;
	while (!stopping(s)) {
		wait_for_news(s);
		uint64_t now_ns = clock_monotonic_ns();
		flush_overflow(s);
		take_added(s, now_ns);
		take_events(s, now_ns);
		step_nic(s, now_ns);
		for (struct charge *c = s->charges; c; c = c->next)
			charge_step(c, now_ns);
		unlink_removed(s);
	}
	return NULL;
}

/* ---- life ---- */

static void wake(struct supervisor *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->wake, &one, sizeof one);
	(void)n; /* refused only when it is readable anyway */
}

static void free_strings(struct supervisor *s)
{
	for (size_t i = 0; i < sizeof s->strings / sizeof s->strings[0]; i++)
		free(s->strings[i]);
}

/* NULL and "" are the same: not given. */
static int copy_strings(struct supervisor *s)
{
	struct transport_request *r = &s->options.request;
	const char **fields[] = {&r->driver, &r->interface, &r->device, &r->address, &r->gateway, &r->eal};
	_Static_assert(sizeof fields / sizeof fields[0] == sizeof s->strings / sizeof s->strings[0], "one each");
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		if (!*fields[i] || !**fields[i]) {
			*fields[i] = NULL;
			continue;
		}
		s->strings[i] = strdup(*fields[i]);
		if (!s->strings[i])
			return HW_ERR_NOMEM;
		*fields[i] = s->strings[i];
	}
	return 0;
}

static void free_parts(struct supervisor *s)
{
	transport_release(&s->choice);
	neighbours_fini(&s->neighbours);
	close(s->wake);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s->overflow);
	free_strings(s);
	free(s);
}

int supervisor_create(const struct supervisor_options *options, struct supervisor **out)
{
	struct supervisor *s = calloc(1, sizeof *s);
	if (!s)
		return HW_ERR_NOMEM;
	s->options = *options;
	if (copy_strings(s)) {
		free_strings(s);
		free(s);
		return HW_ERR_NOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->wake < 0 || neighbours_init(&s->neighbours) != 0) {
		if (s->wake >= 0)
			close(s->wake);
		free_strings(s);
		free(s);
		return HW_ERR_SYSTEM;
	}
	pool_init(&s->pool, s->wake);
	int err = thread_start(&s->thread, "harewire-ctl", THREAD_ANY_CPU, run, s);
	if (err) {
		pool_fini(&s->pool);
		free_parts(s);
		return err;
	}
	*out = s;
	return 0;
}

void supervisor_destroy(struct supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	pthread_join(s->thread, NULL);
	pool_fini(&s->pool);
	free_parts(s);
}

/* ---- the application's side ---- */

int supervisor_add(struct supervisor *s, const struct target *target, struct connection *connection,
		   struct charge **out)
{
	if (atomic_fetch_add(&s->charge_count, 1) >= STREAMS_MAX) {
		atomic_fetch_sub(&s->charge_count, 1);
		return HW_ERR_BUSY;
	}
	struct charge *c = calloc(1, sizeof *c);
	if (!c) {
		atomic_fetch_sub(&s->charge_count, 1);
		return HW_ERR_NOMEM;
	}
	c->supervisor = s;
	c->connection = connection;
	c->target = *target;
	c->port_fd = c->session_fd = c->pump.fd = -1;
	pthread_mutex_lock(&s->lock);
	c->next = s->added;
	s->added = c;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	*out = c;
	return 0;
}

void supervisor_remove(struct supervisor *s, struct charge *c)
{
	pthread_mutex_lock(&s->lock);
	c->remove_wanted = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

int supervisor_removed(struct supervisor *s, struct charge *c)
{
	pthread_mutex_lock(&s->lock);
	bool removed = c->removed;
	pthread_mutex_unlock(&s->lock);
	return removed;
}

void supervisor_wait_removed(struct supervisor *s, struct charge *c)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 10000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&s->lock);
	if (!c->removed)
		pthread_cond_timedwait(&s->changed, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
}

void charge_free(struct charge *c)
{
	topology_free(&c->target.topology);
	explicit_bzero(c->target.password, sizeof c->target.password);
	free(c);
}

void supervisor_describe(struct supervisor *s, struct harewire_driver_info *info)
{
	pthread_mutex_lock(&s->lock);
	if (s->chosen)
		transport_describe(&s->choice, info);
	pthread_mutex_unlock(&s->lock);
}

void charge_negotiated(const struct charge *c, uint32_t *frame_max, uint32_t *heartbeat_s)
{
	*frame_max = atomic_load_explicit(&c->frame_max, memory_order_relaxed);
	*heartbeat_s = atomic_load_explicit(&c->heartbeat_s, memory_order_relaxed);
}
