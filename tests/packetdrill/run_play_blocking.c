/*
 * Calls that block, as packetdrill makes them: in a thread of their own, one at a time, while the script goes on. It
 * goes on only when the call waits or has come back, so every run is alike.
 */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "tests/packetdrill/run_play.h"

#define PATIENCE_SECONDS 1

static void *make_call(void *argument)
{
	struct play *p = argument;
	const struct event *e = p->blocking.event;
	play_check_return(p, e, play_make_call(p, &e->call));
	atomic_store(&p->blocking.done, true);
	return NULL;
}

void play_block(struct play *p, const struct event *e)
{
	struct blocking *b = &p->blocking;
	if (!p->is_blocked)
		play_fail(p, "calls that block need a library that exports " HAREWIRE_PACKETDRILL_BLOCKED);
	b->event = e;
	atomic_store(&b->done, false);
	int error = pthread_create(&b->thread, NULL, make_call, p);
	if (error)
		play_fail(p, "pthread_create: %s", strerror(error));
	b->running = true;
	while (!atomic_load(&b->done) && !p->is_blocked(p->interface.userdata))
		sched_yield();
}

bool play_await_blocked(struct play *p)
{
	struct timespec until;
	if (!p->blocking.running)
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_SECONDS;
	p->blocking.running = pthread_timedjoin_np(p->blocking.thread, NULL, &until) != 0;
	return !p->blocking.running;
}
