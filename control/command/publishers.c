#include "control/command/publishers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define NS_PER_S       1000000000ull
#define CLOSE_SLACK_NS (5 * NS_PER_S) /* for the library to say CLOSED after its own deadline */

/* Who speaks, where there are several: "publisher 2 of 4: ". */
struct prefix {
	char text[48];
};

static struct prefix prefix_of(const struct run *run, const struct run_publisher *p)
{
	struct prefix prefix = {""};

	if (run->publisher_count > 1)
		snprintf(prefix.text, sizeof prefix.text, "publisher %u of %u: ", (unsigned)(p - run->publishers) + 1,
			 run->publisher_count);
	return prefix;
}

static void set_topology(struct harewire_publisher_options *options, const struct declarations *t)
{
	options->exchanges = t->exchanges;
	options->exchange_count = t->exchange_count;
	options->queues = t->queues;
	options->queue_count = t->queue_count;
	options->bindings = t->bindings;
	options->binding_count = t->binding_count;
}

static bool binds_exclusive(const struct declarations *t, const struct harewire_binding *binding)
{
	for (uint32_t i = 0; i < t->queue_count; i++)
		if (t->queues[i].exclusive && binding->queue && strcmp(t->queues[i].name, binding->queue) == 0)
			return true;
	return false;
}

/*
 * What others than the first declare: all but exclusive queues, which are locked to its connection. The arrays are the
 * caller's to free, what they hold is not. 0 or HW_ERR_NOMEM.
 */
static int share_topology(const struct declarations *t, struct declarations *out)
{
	*out = (struct declarations){.exchanges = t->exchanges, .exchange_count = t->exchange_count};
	out->queues = calloc(t->queue_count + 1, sizeof *out->queues);
	out->bindings = calloc(t->binding_count + 1, sizeof *out->bindings);
	if (!out->queues || !out->bindings)
		return HW_ERR_NOMEM;
	for (uint32_t i = 0; i < t->queue_count; i++)
		if (!t->queues[i].exclusive)
			out->queues[out->queue_count++] = t->queues[i];
	for (uint32_t i = 0; i < t->binding_count; i++)
		if (!binds_exclusive(t, &t->bindings[i]))
			out->bindings[out->binding_count++] = t->bindings[i];
	return 0;
}

static void set_reconnecting(struct harewire_publisher_options *options, const struct settings *s)
{
	options->hosts = s->hosts.items;
	options->host_count = s->hosts.count;
	options->host_order = s->host_order;
	options->reconnect_min_ns = s->reconnect_min_ns;
	options->reconnect_max_ns = s->reconnect_max_ns;
	options->reconnect_timeout_ns = s->reconnect_timeout_ns;
	options->delivery = s->delivery;
	options->policy = s->policy;
	options->confirm_timeout_ns = s->confirm_timeout_ns;
	options->blocked_timeout_ns = s->blocked_timeout_ns;
}

static void set_tcp(struct harewire_publisher_options *options, const struct settings *s)
{
	options->congestion = s->congestion;
	options->congestion_window = (uint32_t)s->congestion_window;
	options->ecn = s->ecn;
	options->restart_after_idle = s->restart_after_idle;
	options->keepalive_ns = s->keepalive_ns;
}

static void open_publisher(struct run *run, uint32_t index, const struct declarations *topology)
{
	const struct settings *s = run->settings;
	struct run_publisher *p = &run->publishers[index];
	struct harewire_publisher_options options;
	char name[256], why[RUN_TEXT_MAX - sizeof(struct prefix)] = "";

	harewire_publisher_options_init(&options);
	options.url = s->url;
	options.user = s->user;
	options.password = s->password;
	options.password_file = s->password_file;
	options.vhost = s->vhost;
	snprintf(name, sizeof name, "%s %u/%u", s->connection_name, index + 1, run->publisher_count);
	options.connection_name = run->publisher_count > 1 ? name : s->connection_name;
	options.heartbeat_s = (uint32_t)s->heartbeat_s;
	options.frame_max = (uint32_t)s->frame_max;
	options.worker = (int)p->worker;
	options.log_bytes = s->log_bytes;
	options.max_messages = s->max_messages;
	options.connect_timeout_ns = s->connect_timeout_ns;
	set_reconnecting(&options, s);
	set_tcp(&options, s);
	set_topology(&options, topology);
	int code = harewire_publisher_open(run->hw, &options, &p->handle, why, sizeof why);
	if (code)
		run_fail(run, code, "%s%s", prefix_of(run, p).text, why[0] ? why : harewire_error_text(code));
}

static void await_ready(struct run *run, uint32_t count)
{
	while (run->ready_count < count && !run_should_stop(run))
		run_wait(run, 0);
}

int publishers_open(struct run *run)
{
	uint32_t count = run->publisher_count;
	struct declarations shared;

	run->publishers = calloc(count, sizeof *run->publishers);
	if (!run->publishers)
		return HW_ERR_NOMEM;
	int code = share_topology(&run->settings->topology, &shared);
	for (uint32_t i = 0; i < count && !code && !run_should_stop(run); i++) {
		run->publishers[i].worker = i % run->worker_count;
		open_publisher(run, i, i ? &shared : &run->settings->topology);
		if (i == 0)
			await_ready(run, 1);
	}
	if (!code)
		await_ready(run, count);
	free(shared.queues);
	free(shared.bindings);
	return code;
}

/* What an event tells of outcomes. */
static void gain(struct tally *t, const struct harewire_event *event)
{
	uint64_t ids = event->last - event->first + 1;

	t->confirmed += event->type == HAREWIRE_EVENT_CONFIRMED ? ids : 0;
	t->nacked += event->type == HAREWIRE_EVENT_NACKED;
	t->returned += event->type == HAREWIRE_EVENT_RETURNED;
	t->unconfirmed += event->type == HAREWIRE_EVENT_UNCONFIRMED ? ids : 0;
	t->lost += event->type == HAREWIRE_EVENT_LOST ? ids : 0;
}

static void take_event(struct run *run, struct run_publisher *p, const struct harewire_event *event)
{
	gain(&p->tally, event);
	gain(&run->total, event);
	switch (event->type) {
	case HAREWIRE_EVENT_NONE:
	case HAREWIRE_EVENT_NACKED:
	case HAREWIRE_EVENT_UNCONFIRMED:
	case HAREWIRE_EVENT_LOST:
		break;
	case HAREWIRE_EVENT_READY:
		if (p->ready)
			standing_take(run, p, event);
		run->ready_count += !p->ready;
		p->ready = true;
		break;
	case HAREWIRE_EVENT_CONFIRMED:
		schedule_confirm(&run->schedule, (uint32_t)(p - run->publishers), event->first, event->last);
		break;
	case HAREWIRE_EVENT_RETURNED:
		if (run->total.returned == 1)
			snprintf(run->return_text, sizeof run->return_text, "%d %s", event->code,
				 event->text ? event->text : "");
		break;
	case HAREWIRE_EVENT_DISCONNECTED:
	case HAREWIRE_EVENT_BLOCKED:
	case HAREWIRE_EVENT_UNBLOCKED:
		standing_take(run, p, event);
		break;
	case HAREWIRE_EVENT_CLOSED:
		p->ended = true;
		break;
	case HAREWIRE_EVENT_FAILED:
		p->ended = true;
		run_fail(run, event->code, "%s%s", prefix_of(run, p).text,
			 event->text ? event->text : harewire_error_text(event->code));
		break;
	}
}

bool publishers_take_events(struct run *run, uint32_t most)
{
	struct harewire_event event;
	bool any = false;

	for (uint32_t left = most < run->publisher_count ? most : run->publisher_count; left; left--) {
		struct run_publisher *p = &run->publishers[run->next_polled];
		run->next_polled = run->next_polled + 1 < run->publisher_count ? run->next_polled + 1 : 0;
		while (p->handle && !p->ended && harewire_event_poll(p->handle, &event) == 1) {
			take_event(run, p, &event);
			any = true;
		}
	}
	return any;
}

void publishers_count_accepted(struct run *run, struct run_publisher *p)
{
	p->tally.accepted++;
	run->total.accepted++;
}

void publishers_count_refused(struct run *run, struct run_publisher *p)
{
	p->tally.refused++;
	run->total.refused++;
}

void publishers_count_dropped(struct run *run, struct run_publisher *p)
{
	p->tally.dropped++;
	run->total.dropped++;
}

void publishers_count_wait(struct run *run, struct run_publisher *p)
{
	p->tally.waits_for_log++;
	run->total.waits_for_log++;
}

void publishers_await_end(struct run *run, const struct run_publisher *p)
{
	uint64_t give_up_ns = clock_monotonic_ns() + CLOSE_SLACK_NS;

	while (!p->ended && clock_monotonic_ns() < give_up_ns)
		run_wait(run, 0);
}

static bool any_closing(const struct run *run)
{
	for (uint32_t i = 0; i < run->publisher_count; i++)
		if (run->publishers[i].closing && !run->publishers[i].ended)
			return true;
	return false;
}

/* All at once: each has the whole timeout, and so has the run. */
static void close_ready(struct run *run)
{
	uint64_t timeout_ns = run->settings->timeout_ns;
	uint64_t give_up_ns = clock_monotonic_ns() + timeout_ns + CLOSE_SLACK_NS;

	for (uint32_t i = 0; i < run->publisher_count; i++) {
		struct run_publisher *p = &run->publishers[i];
		if (p->ready && !p->ended)
			p->closing = harewire_publisher_close(p->handle, timeout_ns) == 0;
	}
	while (any_closing(run) && clock_monotonic_ns() < give_up_ns)
		run_wait(run, 0);
}

void publishers_close(struct run *run)
{
	if (!run->publishers)
		return;
	close_ready(run);
	for (uint32_t i = 0; i < run->publisher_count; i++) {
		struct run_publisher *p = &run->publishers[i];
		uint64_t untold = tally_in_flight(&p->tally); /* no outcome was ever said */
		p->tally.unconfirmed += untold;
		run->total.unconfirmed += untold;
		standing_end(run, p, clock_monotonic_ns());
		if (!p->handle)
			continue;
		harewire_publisher_stats(p->handle, &p->stats);
		p->epoch = harewire_publisher_epoch(p->handle);
	}
}

void publishers_destroy(struct run *run)
{
	for (uint32_t i = 0; run->publishers && i < run->publisher_count; i++) {
		harewire_publisher_destroy(run->publishers[i].handle);
		run->publishers[i].handle = NULL;
	}
}
