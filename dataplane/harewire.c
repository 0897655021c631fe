/* Composes the parts: the public API on top of publisher, worker and control. */
#define _GNU_SOURCE
#include "dataplane/harewire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/console/console.h"
#include "control/cpu.h"
#include "control/incident.h"
#include "control/supervisor.h"
#include "control/target.h"
#include "dataplane/base/error.h"
#include "dataplane/worker.h"

#define WAIT_INLINE_NS   100000u /* between turns while a publisher is taken back */
#define WAIT_THREADED_NS 10000000u

struct harewire {
	struct clock_scale clock;
	enum harewire_mode mode;
	struct worker *workers[HAREWIRE_WORKERS_MAX]; /* each in memory of its own */
	int cpus[HAREWIRE_WORKERS_MAX];               /* they are pinned to; -1: none */
	uint32_t worker_count;
	struct supervisor *supervisor;
	struct console *console; /* or NULL */
};

/* What hangs on a publisher's `owner`. */
struct owner {
	struct harewire *hw;
	struct worker *worker;
	struct connection *connection;
	struct charge *charge;
};

_Static_assert(PUBLISHER_WHERE_MAX >= PUBLISHER_HOST_MAX, "an application is told a host as control names it");

const char *harewire_error_text(int code)
{
	return hw_error_sentence(code);
}

const char *harewire_version(void)
{
	return HAREWIRE_VERSION;
}

/* ---- the engine ---- */

void harewire_options_init(struct harewire_options *options)
{
	*options = (struct harewire_options){.driver = "auto", .queue = -1, .worker_cpu = -1};
}

void harewire_worker_options_init(struct harewire_worker_options *options)
{
	*options = (struct harewire_worker_options){.cpu = -1, .queue = -1};
}

/* One sentence, if there is room for it. Returns `code`. */
static __attribute__((format(printf, 4, 5))) int refuse(int code, char *why, size_t why_bytes, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (why && why_bytes)
		vsnprintf(why, why_bytes, format, args);
	va_end(args);
	return code;
}

static int add_worker(struct harewire *hw, const struct worker_options *options)
{
	size_t bytes = (sizeof(struct worker) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	struct worker *w = aligned_alloc(CACHE_LINE, bytes);
	int err = w ? worker_init(w, options) : HW_ERR_NOMEM;
	if (err) {
		free(w);
		return err;
	}
	hw->cpus[hw->worker_count] = options->cpu;
	hw->workers[hw->worker_count++] = w;
	return 0;
}

static int add_workers(struct harewire *hw, const struct harewire_options *options, const struct worker_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct worker_options worker = {.clock = &hw->clock,
						      .backoff = options->idle == HAREWIRE_IDLE_BACKOFF,
						      .cpu = hw->mode == HAREWIRE_THREADED ? plan->workers[i].cpu : -1};
		int err = add_worker(hw, &worker);
		if (err)
			return err;
	}
	return 0;
}

static void free_workers(struct harewire *hw)
{
	for (uint32_t i = 0; i < hw->worker_count; i++) {
		worker_fini(hw->workers[i]);
		free(hw->workers[i]);
	}
}

static void stop_workers(struct harewire *hw)
{
	for (uint32_t i = 0; i < hw->worker_count; i++)
		worker_stop(hw->workers[i]);
}

/* Threaded mode. All or none. */
static int start_workers(struct harewire *hw, char *why, size_t why_bytes)
{
	char reason[256];
	for (uint32_t i = 0; i < hw->worker_count; i++) {
		int err = worker_start(hw->workers[i]);
		if (!err)
			continue;
		snprintf(reason, sizeof reason, "%s", err == HW_ERR_SYSTEM ? strerror(errno) : hw_error_sentence(err));
		if (err == HW_ERR_NO_CPU)
			cpu_explain("/sys", hw->cpus[i], reason, sizeof reason);
		stop_workers(hw);
		return refuse(err, why, why_bytes, "worker %u cannot be started: %s", i, reason);
	}
	return 0;
}

static int start_control(struct harewire *hw, const struct harewire_options *options, const struct worker_plan *plan)
{
	struct supervisor_options control = {.plan = plan,
					     .log_line = options->log_line,
					     .log_context = options->log_context,
					     .trace_dir = options->trace_dir};
	for (uint32_t i = 0; i < hw->worker_count; i++) {
		control.channels[i] = &hw->workers[i]->channel;
		control.longest_gaps_ns[i] = &hw->workers[i]->longest_gap_ns;
	}
	return supervisor_create(&control, &hw->supervisor);
}

/* The last thing to come up: nothing is there to be asked before. */
static int start_console(struct harewire *hw, const char *path, char *why, size_t why_bytes)
{
	char reason[256] = "";
	int err = console_create(hw->supervisor, path, &hw->console, reason, sizeof reason);
	if (err) {
		stop_workers(hw);
		supervisor_destroy(hw->supervisor);
		refuse(err, why, why_bytes, "%s", reason);
	}
	return err;
}

int harewire_create(const struct harewire_options *options, struct harewire **out, char *why, size_t why_bytes)
{
	struct worker_plan plan;
	char reason[512] = "";
	int err = worker_plan_make(options, &plan, reason, sizeof reason);
	if (!err && options->trace_dir)
		err = incident_check_directory(options->trace_dir, reason, sizeof reason);
	if (err)
		return refuse(err, why, why_bytes, "%s", reason);
	struct harewire *hw = calloc(1, sizeof *hw);
	if (!hw)
		return refuse(HW_ERR_NOMEM, why, why_bytes, "%s", hw_error_sentence(HW_ERR_NOMEM));
	clock_calibrate(&hw->clock);
	hw->mode = options->mode;
	err = add_workers(hw, options, &plan);
	if (!err)
		err = start_control(hw, options, &plan);
	if (err) {
		refuse(err, why, why_bytes, "%s%s%s", hw_error_sentence(err), err == HW_ERR_SYSTEM ? ": " : "",
		       err == HW_ERR_SYSTEM ? strerror(errno) : "");
	} else if (hw->mode == HAREWIRE_THREADED) {
		err = start_workers(hw, why, why_bytes);
		if (err)
			supervisor_destroy(hw->supervisor);
	}
	if (!err && options->control_path)
		err = start_console(hw, options->control_path, why, why_bytes);
	if (err) {
		free_workers(hw);
		free(hw);
		return err;
	}
	*out = hw;
	return 0;
}

void harewire_destroy(struct harewire *hw)
{
	if (!hw)
		return;
	stop_workers(hw);
	console_destroy(hw->console);
	supervisor_destroy(hw->supervisor);
	free_workers(hw);
	free(hw);
}

int harewire_poll_worker(struct harewire *hw, uint32_t worker)
{
	if (hw->mode != HAREWIRE_INLINE || worker >= hw->worker_count)
		return HW_ERR_INVALID;
	return (int)worker_turn(hw->workers[worker]);
}

int harewire_poll(struct harewire *hw)
{
	int done = 0;
	if (hw->mode != HAREWIRE_INLINE)
		return HW_ERR_INVALID;
	for (uint32_t i = 0; i < hw->worker_count; i++)
		done += (int)worker_turn(hw->workers[i]);
	return done;
}

void harewire_driver_info(const struct harewire *hw, uint32_t worker, struct harewire_driver_info *info)
{
	memset(info, 0, sizeof *info);
	if (worker >= hw->worker_count)
		return;
	info->cpu = hw->cpus[worker];
	supervisor_describe(hw->supervisor, worker, info);
	info->longest_gap_ns = atomic_load_explicit(&hw->workers[worker]->longest_gap_ns, memory_order_relaxed);
}

uint32_t harewire_worker_count(const struct harewire *hw)
{
	return hw->worker_count;
}

/* ---- publishers ---- */

void harewire_publisher_options_init(struct harewire_publisher_options *options)
{
	*options = (struct harewire_publisher_options){.url = "amqp://localhost",
						       .worker = -1,
						       .heartbeat_s = 10,
						       .frame_max = 131072,
						       .log_bytes = 16u << 20,
						       .max_messages = 65536,
						       .max_templates = 131072,
						       .connect_timeout_ns = 10000000000u,
						       .rto_min_ns = 5000000u,
						       .reconnect_min_ns = 10000000u,
						       .reconnect_max_ns = 50000000u,
						       .confirm_timeout_ns = 30000000000u,
						       .user_timeout_ns = 10000000000u};
}

static void push_now(void *context)
{
	struct owner *owner = context;
	worker_push(owner->worker, owner->connection);
}

/* A number that tells this publisher's messages from those of an earlier process. Never 0. */
static uint32_t new_epoch(void)
{
	uint32_t epoch = 0;
	while (epoch == 0)
		if (getrandom(&epoch, sizeof epoch, 0) != (ssize_t)sizeof epoch)
			epoch = (uint32_t)clock_monotonic_ns();
	return epoch;
}

static int create_parts(struct harewire *hw, const struct harewire_publisher_options *o, const struct target *target,
			struct owner *owner, struct harewire_publisher **out, char *why, size_t why_bytes)
{
	struct publisher_options options = {.log_bytes = o->log_bytes,
					    .max_messages = o->max_messages,
					    .max_templates = o->max_templates,
					    .policy = o->policy,
					    .epoch = new_epoch(),
					    .clock = &hw->clock,
					    .push = hw->mode == HAREWIRE_INLINE ? push_now : NULL,
					    .push_context = owner};
	struct harewire_publisher *p;
	int err = publisher_create(&options, &p);
	if (err)
		return err;
	owner->hw = hw;
	const struct connection_options connection = {.at_most_once = o->delivery == HAREWIRE_AT_MOST_ONCE,
						      .confirm_timeout_ns = o->confirm_timeout_ns,
						      .blocked_timeout_ns = o->blocked_timeout_ns};
	err = connection_create(p, &connection, &owner->connection);
	if (err) {
		publisher_destroy(p);
		return err;
	}
	p->owner = owner;
	err = supervisor_add(hw->supervisor, o->worker, target, owner->connection, &owner->charge, why, why_bytes);
	if (err) {
		connection_destroy(owner->connection);
		publisher_destroy(p);
		return err;
	}
	owner->worker = hw->workers[charge_worker(owner->charge)];
	*out = p;
	return 0;
}

int harewire_publisher_open(struct harewire *hw, const struct harewire_publisher_options *options,
			    struct harewire_publisher **out, char *why, size_t why_bytes)
{
	struct target target;
	char reason[160] = "";
	int err = target_make(options, &target, why, why_bytes);
	if (err)
		return err;
	struct owner *owner = calloc(1, sizeof *owner);
	err = owner ? create_parts(hw, options, &target, owner, out, reason, sizeof reason) : HW_ERR_NOMEM;
	explicit_bzero(target.password, sizeof target.password);
	if (err) {
		topology_free(&target.topology);
		free(owner);
		refuse(err, why, why_bytes, "%s", reason[0] ? reason : hw_error_sentence(err));
	}
	return err;
}

int harewire_publisher_close(struct harewire_publisher *p, uint64_t timeout_ns)
{
	return publisher_close(p, timeout_ns);
}

void harewire_publisher_destroy(struct harewire_publisher *p)
{
	if (!p)
		return;
	struct owner *owner = p->owner;
	struct harewire *hw = owner->hw;
	supervisor_remove(hw->supervisor, owner->charge);
	bool is_inline = hw->mode == HAREWIRE_INLINE; /* then the worker's other publishers depend on this loop */
	while (!supervisor_removed(hw->supervisor, owner->charge)) {
		if (is_inline)
			worker_turn(owner->worker);
		supervisor_wait_removed(hw->supervisor, owner->charge, is_inline ? WAIT_INLINE_NS : WAIT_THREADED_NS);
	}
	charge_free(owner->charge);
	connection_destroy(owner->connection);
	publisher_destroy(p);
	free(owner);
}

uint32_t harewire_publisher_epoch(const struct harewire_publisher *p)
{
	return p->epoch;
}

void harewire_publisher_stats(const struct harewire_publisher *p, struct harewire_publisher_stats *stats)
{
	const struct owner *owner = p->owner;
	publisher_stats(p, stats);
	charge_negotiated(owner->charge, &stats->frame_max, &stats->heartbeat_s);
}

/* ---- templates, publishing, events ---- */

void harewire_template_options_init(struct harewire_template_options *options)
{
	*options = (struct harewire_template_options){.exchange = "", .routing_key = "", .priority = -1};
}

int harewire_template_prepare(struct harewire_publisher *p, const struct harewire_template_options *options,
			      uint32_t *out, const char **why)
{
	return publisher_prepare(p, options, out, why);
}

int harewire_template_release(struct harewire_publisher *p, uint32_t template_id)
{
	return publisher_release_template(p, template_id);
}

int64_t harewire_publish(struct harewire_publisher *p, uint32_t template_id, const void *body, size_t len,
			 unsigned flags)
{
	return publisher_publish(p, template_id, body, len, flags);
}

void *harewire_claim(struct harewire_publisher *p, uint32_t template_id, size_t max_body, int *error)
{
	return publisher_claim(p, template_id, max_body, error);
}

int64_t harewire_commit(struct harewire_publisher *p, size_t len, unsigned flags)
{
	return publisher_commit(p, len, flags);
}

void harewire_cancel(struct harewire_publisher *p)
{
	publisher_cancel(p);
}

int harewire_event_poll(struct harewire_publisher *p, struct harewire_event *event)
{
	return publisher_event_poll(p, event);
}
