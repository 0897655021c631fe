/* A small generator of reproducible random numbers for tests (splitmix64): a seed gives the same run everywhere. */
#ifndef HAREWIRE_TESTS_PRNG_H
#define HAREWIRE_TESTS_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
	uint64_t state;
};

static inline uint64_t prng_next(struct prng *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0..n-1 */
static inline uint64_t prng_below(struct prng *g, uint64_t n)
{
	return prng_next(g) % n;
}

/* True once in n. */
static inline bool prng_once_in(struct prng *g, uint64_t n)
{
	return prng_below(g, n) == 0;
}

#endif
