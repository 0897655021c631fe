/*
 * What the linker leads the whole program to instead of the C library (--wrap): time is the world's, and a worker that
 * allocates is found out.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/session/session.h"

static const struct world *the_world;

void wrap_init(const struct world *w)
{
	the_world = w;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	ts->tv_sec = (time_t)(the_world->now_ns / SECOND);
	ts->tv_nsec = (long)(the_world->now_ns % SECOND);
	return 0;
}

static void check(void)
{
	if (!the_world->in_worker)
		return;
	static const char text[] = "the worker allocates or frees memory\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
	(void)ignored;
	abort();
}

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_malloc(size_t len)
{
	check();
	return __real_malloc(len);
}

void *__real_calloc(size_t n, size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_calloc(size_t n, size_t len)
{
	check();
	return __real_calloc(n, len);
}

void *__real_aligned_alloc(size_t alignment, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t len)
{
	check();
	return __real_aligned_alloc(alignment, len);
}

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	check();
	__real_free(p);
}
