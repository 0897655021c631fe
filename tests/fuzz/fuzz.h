/* What the fuzzers share: the input as a script of octets, and demands that stay in every build. */
#ifndef HAREWIRE_TESTS_FUZZ_H
#define HAREWIRE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			abort();                                                                                       \
	} while (0)

/* What is left of the input. */
struct script {
	const uint8_t *p;
	size_t left;
};

/* The next `octets` (at most 4) as a number, big-endian; zeros when the script is over. */
static inline uint32_t take(struct script *s, uint32_t octets)
{
	uint32_t v = 0;
	for (; octets; octets--) {
		v = v << 8 | (s->left ? *s->p : 0);
		if (s->left) {
			s->p++;
			s->left--;
		}
	}
	return v;
}

/* Up to `want` octets in place; `*len` is how many there were. */
static inline const uint8_t *take_octets(struct script *s, size_t want, size_t *len)
{
	const uint8_t *at = s->p;
	*len = want < s->left ? want : s->left;
	s->p += *len;
	s->left -= *len;
	return at;
}

/* A sequence number: at `base` or `other`, a small signed step from `base`, or anywhere. */
static inline uint32_t take_near(struct script *s, uint32_t base, uint32_t other)
{
	uint32_t how = take(s, 1);
	if (how < 96)
		return base;
	if (how < 128)
		return other;
	if (how < 192)
		return base + (uint32_t)(int32_t)(int8_t)take(s, 1);
	return how < 252 ? base + (uint32_t)(int32_t)(int16_t)take(s, 2) : take(s, 4);
}

/* A fuzzer is this function; libFuzzer calls it, and so does replay.c for each file of a corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
