#include "dataplane/base/clock.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CALIBRATE_NS 10000000u

static bool tsc_is_invariant(void)
{
#if defined(__x86_64__)
	unsigned eax, ebx, ecx, edx;
	return __get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx) && (edx & (1u << 8));
#else
	return false;
#endif
}

#if defined(__x86_64__)
/* A (ticks, ns) pair read as close together as three tries allow: an interrupt between the two reads would skew it. */
static void read_pair(uint64_t *ticks, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 3; i++) {
		uint64_t before = __builtin_ia32_rdtsc();
		uint64_t now = clock_monotonic_ns();
		uint64_t after = __builtin_ia32_rdtsc();
		if (after - before < best) {
			best = after - before;
			*ticks = before + (after - before) / 2;
			*ns = now;
		}
	}
}
#endif

void clock_calibrate(struct clock_scale *scale)
{
	memset(scale, 0, sizeof *scale);
#if defined(__x86_64__)
	if (tsc_is_invariant()) {
		uint64_t tick1, ns1;
		read_pair(&scale->tick0, &scale->ns0);
		while (clock_monotonic_ns() - scale->ns0 < CALIBRATE_NS)
			__builtin_ia32_pause();
		read_pair(&tick1, &ns1);
		scale->mult = (uint64_t)(((unsigned __int128)(ns1 - scale->ns0) << 32) / (tick1 - scale->tick0));
		scale->tsc = true;
	}
#else
	(void)tsc_is_invariant;
#endif
}
