/* The clock, and one event after the other. */
#include "tests/packetdrill/run_play.h"

#include <assert.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* packetdrill sleeps until just before the event and asks for the time until it has come. */
#define SPIN_USECS 20
/* Longer sleeps are taken in pieces: useconds_t ends at 71 minutes. */
#define SLEEP_USECS 1000000000
/* packetdrill starts the script a little later than it asks for the time first. */
#define START_USECS 250

void play_fail(const struct play *p, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	script_fail(p->script->path, p->event->line, "%s", text);
}

/* ---- the clock ---- */

static int64_t live_usecs(struct play *p)
{
	struct timeval tv;
	if (p->interface.gettimeofday(p->interface.userdata, &tv, NULL) < 0)
		play_fail(p, "gettimeofday failed");
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

int64_t play_now_usecs(struct play *p)
{
	return live_usecs(p) - p->started_usecs;
}

void play_check_time(const struct play *p, int64_t usecs, const char *what)
{
	const struct event *e = p->event;
	int64_t tolerance = p->script->tolerance_usecs;
	if (e->time == TIME_ANY || (usecs >= e->usecs - tolerance && usecs <= e->usecs_end + tolerance))
		return;
	if (e->usecs_end != e->usecs)
		play_fail(p, "timing error: expected %s in time range %.6f~%.6f sec but happened at %.6f sec", what,
			  (double)e->usecs / 1e6, (double)e->usecs_end / 1e6, (double)usecs / 1e6);
	play_fail(p, "timing error: expected %s at %.6f sec but happened at %.6f sec", what, (double)e->usecs / 1e6,
		  (double)usecs / 1e6);
}

void play_check_return(const struct play *p, const struct event *e, int64_t usecs)
{
	if (llabs(usecs - e->return_usecs) > p->script->tolerance_usecs)
		script_fail(p->script->path, e->line,
			    "timing error: expected system call return at %.6f sec but happened at %.6f sec",
			    (double)e->return_usecs / 1e6, (double)usecs / 1e6);
}

void play_wait_for_event(struct play *p)
{
	int64_t left;
	while ((left = p->event->usecs - play_now_usecs(p)) > 0)
		if (p->last && left > SPIN_USECS)
			p->interface.usleep(p->interface.userdata,
					    left < SLEEP_USECS ? (useconds_t)(left - SPIN_USECS) : SLEEP_USECS);
	if (p->last)
		play_check_time(p, play_now_usecs(p), p->event->is_call ? "system call start" : "inbound packet");
}

static bool is_inbound(const struct event *e)
{
	return e && !e->is_call && !e->packet.outbound;
}

/* Relative times count from now; between inbound packets, from when the last one was due, so that no error adds up. */
static void settle_time(struct play *p, struct event *e)
{
	if (e->time == TIME_ABSOLUTE || e->time == TIME_ABSOLUTE_RANGE)
		return;
	int64_t from = is_inbound(p->last) && is_inbound(e) ? p->last->usecs : play_now_usecs(p);
	e->usecs += from;
	e->usecs_end += from;
	e->return_usecs += from;
}

/* ---- the script ---- */

/* Like packetdrill, which goes on where a call still blocks. */
static void play_call(struct play *p, const struct event *e)
{
	bool idle = play_await_blocked(p);
	if (e->blocks && !idle)
		play_fail(p, "blocking system call while another blocking system call is already in progress");
	play_wait_for_event(p);
	if (e->blocks)
		play_block(p, e);
	else
		play_make_call(p, &e->call);
}

static void check_order(const struct play *p)
{
	const struct event *e = p->event;
	bool absolute = e->time == TIME_ABSOLUTE || e->time == TIME_ABSOLUTE_RANGE;
	bool last_absolute = p->last && (p->last->time == TIME_ABSOLUTE || p->last->time == TIME_ABSOLUTE_RANGE);
	if (absolute && last_absolute && e->usecs < p->last->usecs)
		play_fail(p, "time goes backward in script");
}

static void load(struct play *p, const char *so_filename, const char *so_flags)
{
	void *library = dlopen(so_filename, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	packetdrill_interface_init_fn *init = NULL;
	if (library)
		*(void **)&init = dlsym(library, PACKETDRILL_INTERFACE_INIT);
	if (!init)
		script_fail(p->script->path, 1, "%s", dlerror());
	*(void **)&p->is_blocked = dlsym(library, HAREWIRE_PACKETDRILL_BLOCKED);
	init(so_flags, &p->interface);
}

void play_script(struct script *script, const char *so_filename, const char *so_flags, bool verbose)
{
	struct play *p = calloc(1, sizeof *p);
	assert(p);
	p->script = script;
	p->verbose = verbose;
	p->event = script->events;
	load(p, so_filename, so_flags);
	p->started_usecs = live_usecs(p) + START_USECS;
	for (int i = 0; i < script->event_count; i++) {
		struct event *e = &script->events[i];
		p->event = e;
		check_order(p);
		settle_time(p, e);
		if (e->is_call)
			play_call(p, e);
		else
			play_packet(p, &e->packet);
		p->last = e;
	}
	if (!play_await_blocked(p))
		play_fail(p, "the script ends here, but the call of line %d still blocks", p->blocking.event->line);
	play_expect_no_more(p);
	play_close_descriptors(p);
	p->interface.free(p->interface.userdata);
	free(p);
}
