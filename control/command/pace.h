/*
 * When the next message is due: an absolute schedule, fixed at the start. A sender that falls behind does not move it,
 * so that a latency counted from the due time includes the wait (no coordinated omission).
 */
#ifndef HAREWIRE_COMMAND_PACE_H
#define HAREWIRE_COMMAND_PACE_H

#include <stdint.h>

struct pace {
	uint64_t start_ns;      /* CLOCK_MONOTONIC */
	uint64_t feed_start_ns; /* the feed's own time of its first message */
	uint64_t count;         /* messages scheduled so far */
	double rate;            /* messages a second; 0: not by rate */
	double speed;           /* multiple of the feed's own time; 0: not by time */
};

void pace_init(struct pace *p, double rate, double speed, uint64_t now_ns);

/*
 * The due time of the next message, whose own time is feed_time_ns (0: it has none). 0: at once. A feed's time that
 * runs back (captures joined together) holds nothing up.
 */
uint64_t pace_next(struct pace *p, uint64_t feed_time_ns);

#endif
