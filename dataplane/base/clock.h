/*
 * Time. The worker reads the clock once a turn and passes it down; tcp, net and amqp never read one.
 *
 * Ticks are the TSC where it is invariant (no system call, ~20 cycles), else ns themselves. clock_ns starts out equal
 * to CLOCK_MONOTONIC and then drifts from it by a few ppm: right for durations and for deadlines that are compared with
 * clock_ns again; a stamp that leaves the process takes clock_monotonic_ns.
 */
#ifndef HAREWIRE_BASE_CLOCK_H
#define HAREWIRE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock_scale {
	uint64_t tick0; /* a moment in ticks ... */
	uint64_t ns0;   /* ... and the same in CLOCK_MONOTONIC ns */
	uint64_t mult;  /* ns = ticks * mult >> 32 */
	bool tsc;
};

/* Measures the TSC against CLOCK_MONOTONIC (about 10 ms). Call once, before other threads read the clock. */
void clock_calibrate(struct clock_scale *scale);

static inline uint64_t clock_monotonic_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_ticks(const struct clock_scale *scale)
{
#if defined(__x86_64__)
	if (__builtin_expect(scale->tsc, 1))
		return __builtin_ia32_rdtsc();
#endif
	return clock_monotonic_ns();
}

/* Ticks from one reading to a later one; 0 where two cores' counters disagree by more than that. */
static inline uint64_t clock_ticks_between(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

/* A duration. Exact to a few ppm; use clock_ns for moments. */
static inline uint64_t clock_ticks_to_ns(const struct clock_scale *scale, uint64_t ticks)
{
	return scale->tsc ? (uint64_t)(((unsigned __int128)ticks * scale->mult) >> 32) : ticks;
}

static inline uint64_t clock_ns_at(const struct clock_scale *scale, uint64_t ticks)
{
	return scale->ns0 + clock_ticks_to_ns(scale, ticks - scale->tick0);
}

static inline uint64_t clock_ns(const struct clock_scale *scale)
{
	return clock_ns_at(scale, clock_ticks(scale));
}

#endif
