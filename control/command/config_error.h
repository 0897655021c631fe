/*
 * From libcyaml's log to one sentence with a line and a name. It reports where it stands: at a bad value that is the
 * value, at an unknown key what came before it; that key is then looked for from there on.
 */
#ifndef HAREWIRE_COMMAND_CONFIG_ERROR_H
#define HAREWIRE_COMMAND_CONFIG_ERROR_H

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stddef.h>

struct config_error {
	char message[256]; /* libcyaml's first one */
	char name[64];     /* the innermost field it was in */
	unsigned line;
};

/* libcyaml's log function; the context is a struct config_error. */
void config_error_log(cyaml_log_t level, void *context, const char *format, va_list arguments);

void config_error_describe(const struct config_error *error, const char *path, const char *text, char *why,
			   size_t why_bytes);

#endif
