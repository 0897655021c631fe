/* What the files of the checks owe each other. */
#ifndef HAREWIRE_TESTS_SIM_TCP_CHECK_H
#define HAREWIRE_TESTS_SIM_TCP_CHECK_H

#include "tests/sim/sim_tcp_world.h"

static inline void require(struct sim_world *w, bool holds, const char *otherwise)
{
	if (__builtin_expect(!holds, 0))
		sim_fail(w, otherwise);
}

static inline uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Whether anybody decides how much may be in flight. */
static inline bool controlled(const struct sim_world *w)
{
	return w->config.control != TCP_NO_CONTROL;
}

/* ---- sim_tcp_check.c ---- */

/* The scoreboard with the model; what `excuse` does not cover has to agree. */
void sim_compare(struct sim_world *w, const struct model_excuse *excuse);

/* ---- sim_tcp_check_cwnd.c ---- */

/* A recovery has begun. One may end, or be undone, and another one begin in the same ACK. */
bool sim_recovery_begun(const struct sim_world *w);
void sim_check_limits(struct sim_world *w);
/* After whatever may have moved the window; `acked`: octets by which UNA has moved. */
void sim_check_congestion(struct sim_world *w, uint32_t acked);
void sim_check_ecn(struct sim_world *w, const struct tcp_segment *s);

/* ---- sim_tcp_total.c ---- */

/* Adds up what the seed has met. */
void sim_total(struct sim_world *w);

#endif
