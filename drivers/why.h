/* The sentence that goes with a failed set-up step: written where the step failed, returned with its code. */
#ifndef HAREWIRE_WHY_H
#define HAREWIRE_WHY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct why {
	char *text;
	size_t bytes;
};

/* Writes the sentence and returns `code`. */
__attribute__((format(printf, 3, 4))) static inline int why_say(const struct why *why, int code, const char *format,
								...)
{
	va_list arguments;
	va_start(arguments, format);
	if (why->bytes)
		vsnprintf(why->text, why->bytes, format, arguments);
	va_end(arguments);
	return code;
}

#endif
