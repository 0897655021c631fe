#define _GNU_SOURCE
#include "control/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "control/supervisor_internal.h"
#include "control/taps.h"
#include "control/telemetry.h"
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
	if (!s->log_line)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	s->log_line(s->log_context, level, line);
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

static void take_events(struct supervisor *s, struct control_worker *w, uint64_t now_ns)
{
	const struct worker_event *event;
	while ((event = spsc_peek(&w->channel->events)) != NULL) {
		struct worker_event copy = *event;
		spsc_pop(&w->channel->events);
		if (copy.type == EVENT_CAPTURE_STOPPED) {
			taps_worker_stopped(w);
			continue;
		}
		for (struct charge *c = s->charges; c; c = c->next)
			if (c->connection == copy.connection)
				charge_event(c, &copy, now_ns);
	}
}

/* On the asker's stack. */
struct inquiry {
	void (*answer)(struct supervisor *s, void *context);
	void *context;
	struct inquiry *next;
	bool done;
};

static void answer_inquiries(struct supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	struct inquiry *i = s->inquiries;
	s->inquiries = NULL;
	pthread_mutex_unlock(&s->lock);
	while (i) {
		struct inquiry *next = i->next;
		i->answer(s, i->context);
		pthread_mutex_lock(&s->lock);
		i->done = true; /* and gone, once its owner sees that */
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
		i = next;
	}
}

static void on_neighbour(void *context, uint32_t interface_index, uint32_t ip, enum neighbour_state state,
			 const uint8_t mac[6])
{
	struct supervisor *s = context;
	for (struct charge *c = s->charges; c; c = c->next)
		charge_neighbour(c, NULL, interface_index, ip, state, mac);
}

static void on_nic_neighbour(void *context, uint32_t ip, const uint8_t mac[6])
{
	struct control_worker *owner = context;
	for (struct charge *c = owner->supervisor->charges; c; c = c->next)
		charge_neighbour(c, owner->choice.nic, 0, ip, NEIGHBOUR_KNOWN, mac);
}

static void on_nic_warning(void *context, const char *line)
{
	const struct control_worker *owner = context;
	supervisor_log(owner->supervisor, HAREWIRE_LOG_WARNING, "%s", line);
}

static bool on_nic_stray(void *context, const struct driver_flow *flow, uint32_t queue)
{
	const struct control_worker *owner = context;
	for (struct charge *c = owner->supervisor->charges; c; c = c->next)
		if (charge_strayed(c, owner->choice.nic, flow, queue))
			return true;
	return false;
}

static void on_nic_icmp_error(void *context, const struct icmp_error *error)
{
	const struct control_worker *owner = context;
	for (struct charge *c = owner->supervisor->charges; c; c = c->next)
		if (charge_icmp_error(c, owner->choice.nic, error))
			return;
}

/* One port, which the first of its workers answers for. */
static void step_nic(struct control_worker *w, uint64_t now_ns)
{
	const struct nic_events events = {.neighbour = on_nic_neighbour,
					  .warning = on_nic_warning,
					  .stray = on_nic_stray,
					  .icmp_error = on_nic_icmp_error,
					  .context = w};
	if (w->choice.owns_nic)
		nic_step(w->choice.nic, now_ns, &events);
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
		pthread_mutex_lock(&s->lock);
		atomic_fetch_sub(&c->worker->publishers, 1);
		c->removed = true;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
}

/* Running charges are in no hurry, waiting ones have a date, the others wait for a worker or a thread. */
static int patience_ms(const struct supervisor *s, uint64_t now_ns)
{
	uint64_t most_ns = IDLE_POLL_MS * 1000000ull;
	for (const struct charge *c = s->charges; c; c = c->next) {
		if (c->phase == CHARGE_RUNNING || c->phase == CHARGE_ENDED)
			continue;
		bool dated = c->phase == CHARGE_WAITING && !c->stream_open && !c->session && c->retry_ns > now_ns;
		uint64_t ns = dated ? c->retry_ns - now_ns : BUSY_POLL_MS * 1000000ull;
		most_ns = ns < most_ns ? ns : most_ns;
	}
	return (int)((most_ns + 999999) / 1000000);
}

static void wait_for_news(struct supervisor *s)
{
	struct pollfd fds[] = {{.fd = s->wake, .events = POLLIN}, {.fd = s->neighbours.fd, .events = POLLIN}};
	poll(fds, 2, patience_ms(s, clock_monotonic_ns()));
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
	if (s->warning[0])
		supervisor_log(s, HAREWIRE_LOG_WARNING, "%s", s->warning);
	while (!stopping(s)) {
		wait_for_news(s);
		uint64_t now_ns = clock_monotonic_ns();
		take_added(s, now_ns);
		for (uint32_t i = 0; i < s->worker_count; i++) {
			control_worker_flush(&s->workers[i]);
			take_events(s, &s->workers[i], now_ns);
			step_nic(&s->workers[i], now_ns);
		}
		for (struct charge *c = s->charges; c; c = c->next)
			charge_step(c, now_ns);
		incidents_step(s);
		unlink_removed(s);
		answer_inquiries(s);
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

void supervisor_ask(struct supervisor *s, void (*answer)(struct supervisor *s, void *context), void *context)
{
	struct inquiry inquiry = {.answer = answer, .context = context};
	pthread_mutex_lock(&s->lock);
	inquiry.next = s->inquiries;
	s->inquiries = &inquiry;
	wake(s);
	while (!inquiry.done)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void free_workers(struct supervisor *s)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		transport_release(&s->workers[i].choice);
	for (uint32_t i = 0; i < s->worker_count; i++) {
		transport_release_shared(&s->workers[i].choice);
		control_worker_fini(&s->workers[i]);
	}
}

static void free_parts(struct supervisor *s)
{
	free_workers(s);
	neighbours_fini(&s->neighbours);
	close(s->wake);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}

static int init_workers(struct supervisor *s, const struct supervisor_options *options)
{
	for (; s->worker_count < options->plan->count; s->worker_count++) {
		uint32_t i = s->worker_count;
		int err = control_worker_init(&s->workers[i], i, options->channels[i], &options->plan->workers[i]);
		if (err) {
			free_workers(s);
			return err;
		}
		s->workers[i].supervisor = s;
		s->workers[i].longest_gap_ns = options->longest_gaps_ns[i];
	}
	return 0;
}

static void init_lock(struct supervisor *s)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

/* Lines are the control thread's to say. */
static void say_no_telemetry(struct supervisor *s, void *context)
{
	int err = *(const int *)context;
	supervisor_log(s, HAREWIRE_LOG_WARNING, "no telemetry: %s",
		       err == HW_ERR_BUSY ? "another engine of this process has it" : hw_error_sentence(err));
}

static bool open_telemetry(struct supervisor *s)
{
	const struct telemetry_source source = {.list = telemetry_list, .describe = telemetry_describe, .context = s};
	int err = dpdk_telemetry_open(&source);
	if (err)
		supervisor_ask(s, say_no_telemetry, &err);
	return !err;
}

int supervisor_create(const struct supervisor_options *options, struct supervisor **out)
{
	struct supervisor *s = calloc(1, sizeof *s);
	int err = s ? init_workers(s, options) : HW_ERR_NOMEM;
	if (err) {
		free(s);
		return err;
	}
	s->log_line = options->log_line;
	s->log_context = options->log_context;
	memcpy(s->warning, options->plan->warning, sizeof s->warning);
	snprintf(s->incidents.directory, sizeof s->incidents.directory, "%s",
		 options->trace_dir ? options->trace_dir : "");
	s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->wake < 0 || neighbours_init(&s->neighbours) != 0) {
		if (s->wake >= 0)
			close(s->wake);
		free_workers(s);
		free(s);
		return HW_ERR_SYSTEM;
	}
	init_lock(s);
	s->pool = pool_create(s->wake);
	err = s->pool ? thread_start(&s->thread, "harewire-ctl", THREAD_ANY_CPU, run, s) : HW_ERR_NOMEM;
	if (err) {
		if (s->pool)
			pool_destroy(s->pool);
		free_parts(s);
		return err;
	}
	s->has_telemetry = options->plan->telemetry && open_telemetry(s);
	*out = s;
	return 0;
}

void supervisor_destroy(struct supervisor *s)
{
	if (s->has_telemetry)
		dpdk_telemetry_close(); /* while its questions are still answered */
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	pthread_join(s->thread, NULL);
	incidents_stop(s);
	pool_destroy(s->pool);
	incidents_fini(s);
	free_parts(s);
}

/* ---- the application's side ---- */

/* Counts it in already. Lock held. */
static int choose_worker(struct supervisor *s, int wanted, struct control_worker **out, char *why, size_t why_bytes)
{
	struct control_worker *w = &s->workers[wanted > 0 ? wanted : 0];
	for (uint32_t i = 1; wanted < 0 && i < s->worker_count; i++)
		if (s->workers[i].publishers < w->publishers)
			w = &s->workers[i];
	if (w->publishers >= STREAMS_MAX) {
		snprintf(why, why_bytes, "worker %u already has %u publishers, the most it can serve", w->index,
			 STREAMS_MAX);
		return HW_ERR_BUSY;
	}
	atomic_fetch_add(&w->publishers, 1);
	*out = w;
	return 0;
}

static void init_reconnect(struct charge *c)
{
	const struct target *t = &c->target;
	uint64_t seed = 0;
	if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		seed = clock_monotonic_ns();
	reconnect_init(&c->reconnect, t->host_count, t->shuffle, t->reconnect_min_ns, t->reconnect_max_ns, seed);
	c->host = &c->target.hosts[reconnect_host(&c->reconnect)];
}

int supervisor_add(struct supervisor *s, int worker, const struct target *target, struct connection *connection,
		   struct charge **out, char *why, size_t why_bytes)
{
	if (worker >= (int)s->worker_count) {
		snprintf(why, why_bytes, "there is no worker %d: there %s %u, numbered from 0", worker,
			 s->worker_count == 1 ? "is" : "are", s->worker_count);
		return HW_ERR_INVALID;
	}
	struct charge *c = calloc(1, sizeof *c);
	if (!c)
		return HW_ERR_NOMEM;
	c->supervisor = s;
	c->connection = connection;
	c->target = *target;
	c->port_fd = c->pump.fd = -1;
	init_reconnect(c);
	pthread_mutex_lock(&s->lock);
	int err = choose_worker(s, worker, &c->worker, why, why_bytes);
	if (!err) {
		c->id = ++s->last_charge_id;
		c->next = s->added;
		s->added = c;
	}
	pthread_mutex_unlock(&s->lock);
	if (err) {
		explicit_bzero(c->target.password, sizeof c->target.password);
		free(c);
		return err;
	}
	wake(s);
	*out = c;
	return 0;
}

uint32_t charge_worker(const struct charge *c)
{
	return c->worker->index;
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

void supervisor_wait_removed(struct supervisor *s, struct charge *c, uint32_t most_ns)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += most_ns;
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

void supervisor_describe(struct supervisor *s, uint32_t worker, struct harewire_driver_info *info)
{
	struct control_worker *w = &s->workers[worker];
	pthread_mutex_lock(&s->lock);
	info->publishers = w->publishers;
	if (w->chosen)
		transport_describe(&w->choice, info);
	pthread_mutex_unlock(&s->lock);
}

void charge_negotiated(const struct charge *c, uint32_t *frame_max, uint32_t *heartbeat_s)
{
	*frame_max = atomic_load_explicit(&c->frame_max, memory_order_relaxed);
	*heartbeat_s = atomic_load_explicit(&c->heartbeat_s, memory_order_relaxed);
}
