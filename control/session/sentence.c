#include "control/session/sentence.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Octets of the UTF-8 character that starts with `lead`; 1 for what starts none. */
static size_t utf8_len(uint8_t lead)
{
	return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

static void drop_cut_character(char *text, size_t len)
{
	size_t back = 0;
	while (back < len && back < 3 && ((uint8_t)text[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < len && utf8_len((uint8_t)text[len - 1 - back]) > back + 1)
		text[len - 1 - back] = '\0';
}

void sentence_format(char *dst, size_t cap, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int wanted = vsnprintf(dst, cap, format, args);
	va_end(args);
	if (wanted < 0)
		dst[0] = '\0';
	if (wanted > 0 && (size_t)wanted >= cap)
		drop_cut_character(dst, strlen(dst));
	for (char *p = dst; *p; p++) {
		if ((uint8_t)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

void sentence_append(char *dst, size_t cap, const char *more)
{
	size_t len = strlen(dst);
	sentence_format(dst + len, cap - len, "%s", more);
}
