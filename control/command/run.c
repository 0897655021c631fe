#include "control/command/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "control/command/command.h"
#include "control/command/interrupt.h"
#include "control/command/progress.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define NS_PER_S       1000000000ull
#define NAP_NS         50000ull
#define CLOSE_SLACK_NS (5 * NS_PER_S) /* for the library to say CLOSED after its own deadline */

void run_fail(struct run *run, int code, const char *format, ...)
{
	va_list arguments;

	if (run->code)
		return;
	run->code = code ? code : HW_ERR_INVALID;
	va_start(arguments, format);
	vsnprintf(run->text, sizeof run->text, format, arguments);
	va_end(arguments);
}

/* What is an error to the library comes with its event, too. */
static void show_log_line(void *context, enum harewire_log_level level, const char *line)
{
	const struct settings *s = context;

	if (level == HAREWIRE_LOG_WARNING || s->verbose)
		fprintf(stderr, "harewire: %s\n", line);
}

static int create_engine(struct run *run)
{
	static const char *const drivers[] = {
		[DRIVER_AUTO] = "auto", [DRIVER_AF_XDP] = "af_xdp", [DRIVER_DPDK] = "dpdk", [DRIVER_KERNEL] = "kernel"};
	const struct settings *s = run->settings;
	struct harewire_options options;

	harewire_options_init(&options);
	options.driver = drivers[s->driver];
	options.interface = s->interface;
	options.queue = s->nic_queue == SETTING_UNSET ? -1 : (int)s->nic_queue;
	options.worker_cpu = s->cpu == SETTING_UNSET ? -1 : (int)s->cpu;
	options.mode = s->inline_worker ? HAREWIRE_INLINE : HAREWIRE_THREADED;
	options.idle = s->idle == IDLE_SPIN ? HAREWIRE_IDLE_SPIN : HAREWIRE_IDLE_BACKOFF;
	options.device = s->device;
	options.address = s->address;
	options.gateway = s->gateway;
	options.eal = s->eal;
	options.vlan = (uint32_t)s->vlan;
	options.mtu = (uint32_t)s->mtu;
	options.log_line = show_log_line;
	options.log_context = (void *)s;
	return harewire_create(&options, &run->hw);
}

static void open_publisher(struct run *run)
{
	const struct settings *s = run->settings;
	struct harewire_publisher_options options;
	char why[RUN_TEXT_MAX] = "";

	harewire_publisher_options_init(&options);
	options.url = s->url;
	options.user = s->user;
	options.password = s->password;
	options.vhost = s->vhost;
	options.connection_name = s->connection_name;
	options.heartbeat_s = (uint32_t)s->heartbeat_s;
	options.frame_max = (uint32_t)s->frame_max;
	options.log_bytes = s->log_bytes;
	options.max_messages = s->max_messages;
	options.connect_timeout_ns = s->connect_timeout_ns;
	options.exchanges = s->topology.exchanges;
	options.exchange_count = s->topology.exchange_count;
	options.queues = s->topology.queues;
	options.queue_count = s->topology.queue_count;
	options.bindings = s->topology.bindings;
	options.binding_count = s->topology.binding_count;
	int code = harewire_publisher_open(run->hw, &options, &run->publisher, why, sizeof why);
	if (code)
		run_fail(run, code, "%s", why[0] ? why : harewire_error_text(code));
}

static int prepare_schedule(struct run *run)
{
	uint64_t slots = 1;

	if (!(run->settings->rate > 0 || run->settings->speed > 0))
		return 0;
	while (slots < run->settings->max_messages) /* as the library rounds it: ids in flight never share a slot */
		slots *= 2;
	run->due_ns = calloc(slots, sizeof *run->due_ns);
	run->due_mask = slots - 1;
	return run->due_ns ? 0 : HW_ERR_NOMEM;
}

static void record_confirms(struct run *run, uint64_t first, uint64_t last)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (uint64_t id = first; id <= last; id++) {
		uint64_t due_ns = run->due_ns[id & run->due_mask];
		histogram_add(&run->due_to_confirm, now_ns > due_ns ? now_ns - due_ns : 0);
	}
}

static void take_event(struct run *run, const struct harewire_event *event)
{
	uint64_t ids = event->last - event->first + 1;

	switch (event->type) {
	case HAREWIRE_EVENT_NONE:
	case HAREWIRE_EVENT_UNBLOCKED:
		break;
	case HAREWIRE_EVENT_READY:
		run->ready = true;
		break;
	case HAREWIRE_EVENT_CONFIRMED:
		run->confirmed += ids;
		if (run->due_ns)
			record_confirms(run, event->first, event->last);
		break;
	case HAREWIRE_EVENT_NACKED:
		run->nacked++;
		break;
	case HAREWIRE_EVENT_RETURNED:
		if (!run->returned++)
			snprintf(run->return_text, sizeof run->return_text, "%d %s", event->code,
				 event->text ? event->text : "");
		break;
	case HAREWIRE_EVENT_UNCONFIRMED:
		run->unconfirmed += ids;
		break;
	case HAREWIRE_EVENT_BLOCKED:
		run->blocked++;
		if (!run->settings->quiet)
			complain("the broker has blocked publishing: %s", event->text ? event->text : "resource alarm");
		break;
	case HAREWIRE_EVENT_CLOSED:
		run->ended = true;
		break;
	case HAREWIRE_EVENT_FAILED:
		run->ended = true;
		run_fail(run, event->code, "%s", event->text ? event->text : harewire_error_text(event->code));
		break;
	}
}

/* Takes what has happened; in inline mode it is this that makes anything happen. True when something did. */
static bool turn(struct run *run)
{
	struct harewire_event event;
	bool busy = run->settings->inline_worker && harewire_poll(run->hw) > 0;

	while (!run->ended && harewire_event_poll(run->publisher, &event) == 1) {
		take_event(run, &event);
		busy = true;
	}
	progress_show(run);
	return busy;
}

static void nap_until(uint64_t when_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(when_ns / NS_PER_S), .tv_nsec = (long)(when_ns % NS_PER_S)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* One step of waiting, not longer than until due_ns (0: whatever comes first). */
static void wait_a_little(struct run *run, uint64_t due_ns)
{
	if (turn(run) || run->settings->idle == IDLE_SPIN)
		return;
	uint64_t until_ns = clock_monotonic_ns() + NAP_NS;
	nap_until(due_ns && due_ns < until_ns ? due_ns : until_ns);
}

static bool should_stop(struct run *run)
{
	if (interrupt_seen() || (run->deadline_ns && clock_monotonic_ns() >= run->deadline_ns))
		run->stopped = true;
	return run->stopped || run->ended || run->code;
}

bool run_open(struct run *run, const struct settings *settings)
{
	memset(run, 0, sizeof *run);
	run->settings = settings;
	run->created_ns = clock_monotonic_ns();
	prctl(PR_SET_TIMERSLACK, 1ul); /* short naps stay short */
	interrupt_catch();

	int code = prepare_schedule(run);
	if (!code)
		code = create_engine(run);
	if (code == HW_ERR_INVALID && settings->cpu != SETTING_UNSET) {
		run_fail(run, code, "CPU %llu does not exist or is not allowed here",
			 (unsigned long long)settings->cpu);
		return false;
	}
	if (code) {
		run_fail(run, code, "%s", harewire_error_text(code));
		return false;
	}
	open_publisher(run);
	while (!run->ready && !should_stop(run))
		wait_a_little(run, 0);
	if (!run->ready && !run->code && interrupt_seen())
		run_fail(run, HW_ERR_CLOSED, "interrupted while connecting");
	run->ready_ns = clock_monotonic_ns();
	if (settings->duration_ns != SETTING_UNSET)
		run->deadline_ns = run->ready_ns + settings->duration_ns;
	return run->ready && !run->code;
}

/* Room in the window that --confirm sets. */
static bool window_open(const struct run *run)
{
	return run->settings->confirm == SETTING_UNSET || run_in_flight(run) < run->settings->confirm;
}

/* Waits until the message is due and the window has room. False: stop. */
static bool wait_for_turn(struct run *run, uint64_t due_ns)
{
	turn(run);
	while (!should_stop(run)) {
		if (window_open(run) && (!due_ns || clock_monotonic_ns() >= due_ns))
			return true;
		wait_a_little(run, window_open(run) ? due_ns : 0);
	}
	return false;
}

static bool worth_waiting(int64_t code)
{
	return code == HAREWIRE_ERR_LOG_FULL || code == HAREWIRE_ERR_BLOCKED;
}

/* A connection that has failed says why in its last event. */
static void await_end(struct run *run)
{
	uint64_t give_up_ns = clock_monotonic_ns() + CLOSE_SLACK_NS;

	while (!run->ended && clock_monotonic_ns() < give_up_ns)
		wait_a_little(run, 0);
}

static void publish_one(struct run *run, const struct run_message *m)
{
	if (!wait_for_turn(run, m->due_ns))
		return;
	uint64_t now_ns = clock_monotonic_ns();
	if (m->due_ns)
		histogram_add(&run->slip, now_ns - m->due_ns);
	if (run->due_ns) /* ids count up from 1 */
		run->due_ns[(run->accepted + 1) & run->due_mask] = m->due_ns ? m->due_ns : now_ns;

	int64_t id = harewire_publish(run->publisher, m->template_id, m->body, m->len, 0);
	run->waits_for_log += id == HAREWIRE_ERR_LOG_FULL;
	while (worth_waiting(id) && !should_stop(run)) {
		wait_a_little(run, 0);
		id = harewire_publish(run->publisher, m->template_id, m->body, m->len, 0);
	}
	if (id > 0) {
		run->accepted++;
		run->last_publish_ns = clock_monotonic_ns();
	} else if (!worth_waiting(id)) {
		if (id == HAREWIRE_ERR_CLOSED)
			await_end(run);
		run_fail(run, (int)id, "message %llu of %zu octets: %s", (unsigned long long)run->accepted + 1, m->len,
			 harewire_error_text((int)id));
	}
}

void run_publish(struct run *run, enum source_result (*next)(void *source, struct run_message *message), void *source)
{
	struct run_message message;

	while (!should_stop(run)) {
		memset(&message, 0, sizeof message);
		switch (next(source, &message)) {
		case SOURCE_MESSAGE:
			publish_one(run, &message);
			break;
		case SOURCE_WAIT:
			wait_a_little(run, 0);
			break;
		case SOURCE_END:
			run->finished = true;
			return;
		case SOURCE_FAILED:
			return;
		}
	}
}

static void close_publisher(struct run *run)
{
	uint64_t timeout_ns = run->settings->timeout_ns;
	uint64_t give_up_ns = clock_monotonic_ns() + timeout_ns + CLOSE_SLACK_NS;

	if (!run->ended && harewire_publisher_close(run->publisher, timeout_ns) == 0)
		while (!run->ended && clock_monotonic_ns() < give_up_ns)
			wait_a_little(run, 0);
	run->unconfirmed += run_in_flight(run); /* no outcome was ever said */
}

void run_close(struct run *run, struct harewire_publisher_stats *stats, struct harewire_driver_info *driver)
{
	memset(stats, 0, sizeof *stats);
	memset(driver, 0, sizeof *driver);
	if (run->publisher) {
		if (run->ready)
			close_publisher(run);
		harewire_publisher_stats(run->publisher, stats);
	}
	run->end_ns = clock_monotonic_ns();
	if (run->hw)
		harewire_driver_info(run->hw, 0, driver);
	progress_end(run);
	harewire_publisher_destroy(run->publisher);
	harewire_destroy(run->hw);
	free(run->due_ns);
	run->publisher = NULL;
	run->hw = NULL;
	run->due_ns = NULL;
}

bool run_good(const struct run *run)
{
	return run->code == 0 && run->ready && (run->finished || run->stopped) && run->confirmed == run->accepted;
}
