/*
 * Calls that block, and the lock that lets them. packetdrill plays a script in one thread and the script's blocking
 * calls in another, one at a time. The first keeps the clock; a blocked call waits, asleep as packetdrill expects it,
 * until what it waits for is there:
 *
 *     packetdrill's thread    netdev_send(SYN-ACK) ── wakes ──┐ waits ........ goes on
 *     its thread for calls    connect() ...... asleep ........└ returns 0, gettimeofday()
 *
 * Time stands still until the woken thread has asked for it: packetdrill takes that as the end of the call, and it has
 * to be the same in every run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/packetdrill/stack.h"

/*
 * Of real time. packetdrill waits a second at most for a call to come back before it goes on or gives up, asleep, and
 * asks for no time meanwhile: then the blocked call moves the clock by itself.
 */
#define SILENCE_NS 200000000ll
/* A thread that has been woken and does not ask for the time is not packetdrill's. */
#define HANDOVER_NS 1000000000ll

#define SECOND_NS 1000000000ll

/* What one call waits for. */
struct waiting {
	bool (*ready)(void *argument);
	void *argument;
	uint64_t until_ns;
	bool woken;
};

void stack_lock(struct stack *s)
{
	pthread_mutex_lock(&s->lock);
	s->calls++;
}

void stack_unlock(struct stack *s)
{
	stack_wake_blocked(s);
	pthread_mutex_unlock(&s->lock);
}

static bool is_players_thread(const struct stack *s)
{
	return pthread_equal(pthread_self(), s->player);
}

/* False: nobody signalled for so long. */
static bool sleep_ns(struct stack *s, long long ns)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += (time_t)(ns / SECOND_NS);
	until.tv_nsec = (long)(ns % SECOND_NS);
	return pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0;
}

uint64_t stack_blocked_until(const struct stack *s)
{
	return s->waiting && !s->waiting->woken ? s->waiting->until_ns : TCP_NEVER;
}

static bool is_over(const struct stack *s, const struct waiting *w)
{
	return s->now_ns >= w->until_ns || w->ready(w->argument);
}

void stack_wake_blocked(struct stack *s)
{
	struct waiting *w = s->waiting;
	if (!w || w->woken || !is_over(s, w))
		return;
	w->woken = true;
	pthread_cond_broadcast(&s->changed);
	if (!is_players_thread(s))
		return;
	s->handing_over = true;
	while (s->handing_over && sleep_ns(s, HANDOVER_NS))
		;
	s->handing_over = false;
}

/* Whoever was woken has its time now, or waits again. */
void stack_go_on(struct stack *s)
{
	if (!s->handing_over || is_players_thread(s))
		return;
	s->handing_over = false;
	pthread_cond_broadcast(&s->changed);
}

/* Nobody else moves the clock. False: no timer changes anything in all the time that the stack is patient for. */
static bool move_clock(struct stack *s, const struct waiting *w)
{
	uint64_t patient_ns = s->now_ns + s->patience_ns;
	while (!is_over(s, w)) {
		uint64_t timer_ns = stack_deadline(s);
		uint64_t next_ns = timer_ns < w->until_ns ? timer_ns : w->until_ns;
		if (next_ns > patient_ns)
			return false;
		stack_advance(s, next_ns);
	}
	return true;
}

/* Not merely kept off the processors: /proc tells "S" from "R". */
static bool player_sleeps(const struct stack *s)
{
	char path[64], line[64] = "";
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)s->player_tid);
	FILE *f = fopen(path, "r");
	if (!f)
		return true;
	bool read = fgets(line, sizeof line, f);
	fclose(f);
	const char *state = strchr(line, ')'); /* "tid (name) S ..." */
	return !read || !state || strncmp(state, ") S", 3) == 0;
}

static bool sleep_until_woken(struct stack *s, struct waiting *w)
{
	bool moved = true;
	s->waiting = w;
	stack_go_on(s);
	while (moved && !w->woken) {
		uint64_t calls = s->calls;
		if (!sleep_ns(s, SILENCE_NS) && s->calls == calls && player_sleeps(s))
			moved = move_clock(s, w);
	}
	s->waiting = NULL;
	return moved;
}

bool stack_wait(struct stack *s, bool (*ready)(void *argument), void *argument, uint64_t until_ns)
{
	struct waiting w = {.ready = ready, .argument = argument, .until_ns = until_ns};
	if (is_over(s, &w))
		return true;
	if (!s->waiting && (is_players_thread(s) ? move_clock(s, &w) : sleep_until_woken(s, &w)))
		return true;
	errno = EDEADLK;
	return false;
}

void stack_threads_init(struct stack *s)
{
	pthread_condattr_t monotonic;
	s->player = pthread_self();
	s->player_tid = (pid_t)syscall(SYS_gettid);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void stack_threads_fini(struct stack *s)
{
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
}

__attribute__((visibility("default"))) harewire_packetdrill_blocked_fn harewire_packetdrill_blocked;

bool harewire_packetdrill_blocked(void *userdata)
{
	struct stack *s = userdata;
	pthread_mutex_lock(&s->lock);
	bool blocked = s->waiting && !s->waiting->woken;
	pthread_mutex_unlock(&s->lock);
	return blocked;
}
