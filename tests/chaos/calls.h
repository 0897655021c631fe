/*
 * What the calls of publish() cost, one by one, by the TSC: a histogram, the longest, and those over 100 us with
 * whether the kernel had taken the CPU away meanwhile. One thread.
 */
#ifndef TESTS_CHAOS_CALLS_H
#define TESTS_CHAOS_CALLS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/histogram.h"

#define CALLS_SLOW_NS 100000u

struct calls {
	struct clock_scale scale;
	struct histogram histogram;
	uint64_t slow, slow_preempted; /* over CALLS_SLOW_NS; of those, with an involuntary switch of this thread */
	uint64_t preempted;            /* of all */
};

struct call_begin {
	long switches;
	uint64_t ticks;
};

static inline long calls_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static inline void calls_begin(const struct calls *c, struct call_begin *b)
{
	b->switches = calls_switches();
	b->ticks = clock_ticks(&c->scale);
}

static inline void calls_end(struct calls *c, const struct call_begin *b)
{
	uint64_t ns = clock_ticks_to_ns(&c->scale, clock_ticks_between(b->ticks, clock_ticks(&c->scale)));
	uint64_t preempted = calls_switches() != b->switches;

	histogram_add(&c->histogram, ns);
	c->preempted += preempted;
	if (ns > CALLS_SLOW_NS) {
		c->slow++;
		c->slow_preempted += preempted;
	}
}

/* "name": {...}, a member of a JSON object. */
static inline void calls_print(const struct calls *c, const char *name, FILE *f)
{
	fprintf(f,
		"\"%s\": {\"count\": %" PRIu64 ", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64
		", \"p999_ns\": %" PRIu64 ", \"p9999_ns\": %" PRIu64 ", \"longest_ns\": %" PRIu64
		", \"over_100us\": %" PRIu64 ", \"over_100us_preempted\": %" PRIu64 ", \"preempted\": %" PRIu64 "}",
		name, histogram_count(&c->histogram), histogram_quantile(&c->histogram, 0.5),
		histogram_quantile(&c->histogram, 0.99), histogram_quantile(&c->histogram, 0.999),
		histogram_quantile(&c->histogram, 0.9999), (uint64_t)c->histogram.max, c->slow, c->slow_preempted,
		c->preempted);
}

#endif
