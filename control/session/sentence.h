/* Sentences for people, safe to print whatever the broker or the configuration put into them. */
#ifndef HAREWIRE_SESSION_SENTENCE_H
#define HAREWIRE_SESSION_SENTENCE_H

#include <stddef.h>

/*
 * snprintf, after which control characters (the broker's texts can hold any octet) have become '?' and a UTF-8
 * character cut in half at the end is gone. `cap` is at least 1.
 */
void sentence_format(char *dst, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Adds to a sentence as far as there is room. */
void sentence_append(char *dst, size_t cap, const char *more);

#endif
