/* The bodies that `harewire consume --output` writes. */
#ifndef HAREWIRE_COMMAND_BODY_OUTPUT_H
#define HAREWIRE_COMMAND_BODY_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/command/settings.h"

struct body_output {
	FILE *file; /* NULL: bodies are not wanted */
	enum output_format format;
};

/* 0 or HW_ERR_SYSTEM (errno). `path` NULL: writes nothing; "-": standard output. */
int body_output_open(struct body_output *o, const char *path, enum output_format format);
int body_output_write(struct body_output *o, const void *body, size_t len);
/* Flushes, too: only after it are the bodies safe. */
int body_output_close(struct body_output *o);

#endif
