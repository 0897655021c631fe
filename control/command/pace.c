#include "control/command/pace.h"

#define NS_PER_S 1e9

void pace_init(struct pace *p, double rate, double speed, uint64_t now_ns)
{
	*p = (struct pace){.start_ns = now_ns, .rate = rate, .speed = speed};
}

uint64_t pace_next(struct pace *p, uint64_t feed_time_ns)
{
	uint64_t n = p->count++;

	if (p->rate > 0)
		return p->start_ns + (uint64_t)((double)n * NS_PER_S / p->rate);
	if (!(p->speed > 0) || !feed_time_ns)
		return 0;
	if (n == 0)
		p->feed_start_ns = feed_time_ns;
	if (feed_time_ns < p->feed_start_ns)
		return 0;
	return p->start_ns + (uint64_t)((double)(feed_time_ns - p->feed_start_ns) / p->speed);
}
