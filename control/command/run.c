#include "control/command/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "control/command/interrupt.h"
#include "control/command/progress.h"
#include "control/command/publishers.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define NS_PER_S    1000000000ull
#define NAP_NS      50000ull
#define LONG_NAP_NS 1000000ull
#define SHORT_NAPS  2000u /* in a row without an event: a tenth of a second and more */
/* Publishers whose events are looked at with each message: many more would cost more than publishing it. */
#define POLLED_PER_MESSAGE 8u

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

/* Takes what has happened; in inline mode it is this that makes anything happen. True when something did. */
static bool turn(struct run *run, uint32_t most_publishers)
{
	bool busy = run->settings->inline_worker && harewire_poll(run->hw) > 0;

	busy |= publishers_take_events(run, most_publishers);
	progress_show(run);
	run->naps = busy ? 0 : run->naps;
	return busy;
}

static void nap_until(uint64_t when_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(when_ns / NS_PER_S), .tv_nsec = (long)(when_ns % NS_PER_S)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* With a worker thread nothing waits for us but events, which can. Room comes with confirms, or not for long. */
static uint64_t longest_nap(const struct run *run, bool has_due)
{
	return !run->settings->inline_worker && (has_due || run->naps >= SHORT_NAPS) ? LONG_NAP_NS : NAP_NS;
}

void run_wait(struct run *run, uint64_t due_ns)
{
	if (turn(run, run->publisher_count) || run->settings->idle == IDLE_SPIN)
		return;
	uint64_t until_ns = clock_monotonic_ns() + longest_nap(run, due_ns != 0);
	run->naps++;
	nap_until(due_ns && due_ns < until_ns ? due_ns : until_ns);
}

bool run_should_stop(struct run *run)
{
	if (interrupt_seen() || (run->deadline_ns && clock_monotonic_ns() >= run->deadline_ns))
		run->stopped = true;
	return run->stopped || run->code;
}

static int create(struct run *run)
{
	char why[RUN_TEXT_MAX] = "";

	int code = schedule_init(&run->schedule, run->settings, run->publisher_count);
	if (!code)
		code = engine_create(run->settings, &run->log, &run->hw, why, sizeof why);
	if (code)
		run_fail(run, code, "%s", why[0] ? why : harewire_error_text(code));
	else
		run->worker_count = harewire_worker_count(run->hw);
	return code;
}

bool run_open(struct run *run, const struct settings *settings)
{
	memset(run, 0, sizeof *run);
	run->settings = settings;
	run->publisher_count = engine_publishers(settings);
	run->created_ns = clock_monotonic_ns();
	prctl(PR_SET_TIMERSLACK, 1ul); /* short naps stay short */
	interrupt_catch();

	if (create(run))
		return false;
	int code = publishers_open(run);
	run->ready = run->publishers && run->ready_count == run->publisher_count;
	if (code)
		run_fail(run, code, "%s", harewire_error_text(code));
	else if (!run->ready && !run->code && interrupt_seen())
		run_fail(run, HW_ERR_CLOSED, "interrupted while connecting");
	run->ready_ns = clock_monotonic_ns();
	if (settings->duration_ns != SETTING_UNSET)
		run->deadline_ns = run->ready_ns + settings->duration_ns;
	return run->ready && !run->code;
}

/* Room in the window that --confirm sets. */
static bool window_open(const struct run *run)
{
	return run->settings->confirm == SETTING_UNSET || tally_in_flight(&run->total) < run->settings->confirm;
}

/* Waits until the message is due and the window has room. False: stop. */
static bool wait_for_turn(struct run *run, uint64_t due_ns)
{
	turn(run, POLLED_PER_MESSAGE);
	while (!run_should_stop(run)) {
		if (window_open(run) && (!due_ns || clock_monotonic_ns() >= due_ns))
			return true;
		run_wait(run, window_open(run) ? due_ns : 0);
	}
	return false;
}

/* Nothing is wrong with the message: it cannot be taken now. */
static bool is_for_now(int64_t code)
{
	return code == HAREWIRE_ERR_LOG_FULL || code == HAREWIRE_ERR_BLOCKED || code == HAREWIRE_ERR_DISCONNECTED;
}

/* With a pace a message has its time, and whoever chose to have it refused does not want it later. */
static bool worth_waiting(const struct run *run, int64_t code)
{
	const struct settings *s = run->settings;

	return is_for_now(code) && !(s->policy == HAREWIRE_REFUSE && (s->rate > 0 || s->speed > 0));
}

static void take_result(struct run *run, struct run_publisher *p, const struct run_message *m, int64_t id)
{
	if (id > 0) {
		publishers_count_accepted(run, p);
		run->last_publish_ns = clock_monotonic_ns();
	} else if (id == 0) {
		publishers_count_dropped(run, p);
	} else if (is_for_now(id)) {
		if (!worth_waiting(run, id)) /* else it waited, and the run stops */
			publishers_count_refused(run, p);
	} else {
		if (id == HAREWIRE_ERR_CLOSED)
			publishers_await_end(run, p);
		run_fail(run, (int)id, "message %llu of %zu octets: %s",
			 (unsigned long long)tally_attempted(&run->total) + 1, m->len, harewire_error_text((int)id));
	}
}

static void publish_one(struct run *run, const struct run_message *m)
{
	struct run_publisher *p = &run->publishers[m->publisher];

	if (!wait_for_turn(run, m->due_ns))
		return;
	/* ids count up from 1 */
	schedule_publish(&run->schedule, m->publisher, p->tally.accepted + 1, m->due_ns, clock_monotonic_ns());

	int64_t id = harewire_publish(p->handle, m->template_id, m->body, m->len, 0);
	if (id == HAREWIRE_ERR_LOG_FULL && worth_waiting(run, id))
		publishers_count_wait(run, p);
	while (worth_waiting(run, id) && !run_should_stop(run)) {
		run_wait(run, 0);
		id = harewire_publish(p->handle, m->template_id, m->body, m->len, 0);
	}
	take_result(run, p, m, id);
}

void run_publish(struct run *run, enum source_result (*next)(void *source, struct run_message *message), void *source)
{
	struct run_message message;

	while (!run_should_stop(run)) {
		memset(&message, 0, sizeof message);
		switch (next(source, &message)) {
		case SOURCE_MESSAGE:
			publish_one(run, &message);
			break;
		case SOURCE_WAIT:
			run->naps = 0; /* what comes from a pipe is to be published when it comes */
			run_wait(run, 0);
			break;
		case SOURCE_END:
			run->finished = true;
			return;
		case SOURCE_FAILED:
			return;
		}
	}
}

void run_close(struct run *run)
{
	publishers_close(run);
	run->end_ns = clock_monotonic_ns();
	for (uint32_t i = 0; i < run->worker_count; i++)
		harewire_driver_info(run->hw, i, &run->drivers[i]);
	progress_end(run);
	publishers_destroy(run);
	harewire_destroy(run->hw);
	schedule_fini(&run->schedule);
	run->hw = NULL;
}

void run_fini(struct run *run)
{
	free(run->publishers);
	run->publishers = NULL;
}

bool run_good(const struct run *run)
{
	return run->code == 0 && run->ready && (run->finished || run->stopped) &&
	       run->total.confirmed == tally_attempted(&run->total);
}
