/*
 * A generator of DEEP 1.0 messages: N symbols, a few of them busy, prices that walk, the sizes and types of the real
 * feed. The same options make the same octets, on every machine.
 */
#ifndef HAREWIRE_FEED_SYNTHETIC_H
#define HAREWIRE_FEED_SYNTHETIC_H

#include <stdint.h>

#include "control/feed/feed.h"

#define SYNTHETIC_SYMBOLS_MAX 1000000u

struct synthetic_options {
	uint32_t symbols; /* 1..SYNTHETIC_SYMBOLS_MAX */
	uint64_t seed;
	uint64_t count; /* messages; UINT64_MAX: without end */
};

/* 0, HW_ERR_INVALID or HW_ERR_NOMEM. */
int synthetic_feed_create(const struct synthetic_options *options, struct feed **out);

#endif
