#include "tests/fuzz/words.h"

#include <string.h>

#define FIRST_WORD 128u
#define QUOTE      255u

size_t words_spell(const struct words *words, const uint8_t *octets, size_t len, char *text, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char one[2] = {(char)octets[i]};
		const char *word = one;
		size_t word_len = 1;
		if (octets[i] == QUOTE) {
			if (++i == len)
				break;
			one[0] = (char)octets[i];
		} else if (octets[i] >= FIRST_WORD) {
			word = words->list[(octets[i] - FIRST_WORD) % words->count];
			word_len = strlen(word);
		}
		if (word_len > cap - 1 - n)
			break;
		memcpy(text + n, word, word_len);
		n += word_len;
	}
	text[n] = '\0';
	return n;
}

void words_check_sentence(const char *sentence, size_t cap)
{
	size_t len = strnlen(sentence, cap);
	REQUIRE(len > 0 && len < cap);
}
