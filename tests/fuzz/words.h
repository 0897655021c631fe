/*
 * Text from octets, for formats made of words: an octet from 128 on stands for a whole word of the harness's list, so
 * that one mutation exchanges, adds or drops one; all others stand for themselves.
 */
#ifndef HAREWIRE_TESTS_FUZZ_WORDS_H
#define HAREWIRE_TESTS_FUZZ_WORDS_H

#include <stddef.h>

#include "tests/fuzz/fuzz.h"

struct words {
	const char *const *list;
	uint32_t count; /* at least 1; word n is octet 128 + n, and 255 quotes the octet behind it */
};

/* Writes at most `cap` - 1 octets and a NUL behind them to `text`. Returns how many. */
size_t words_spell(const struct words *words, const uint8_t *octets, size_t len, char *text, size_t cap);

/* A sentence for people: there is one, it ends within `cap`. */
void words_check_sentence(const char *sentence, size_t cap);

#endif
