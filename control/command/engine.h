/* The library's engine as the settings want it. */
#ifndef HAREWIRE_COMMAND_ENGINE_H
#define HAREWIRE_COMMAND_ENGINE_H

#include <stddef.h>

#include "control/command/settings.h"
#include "dataplane/harewire.h"

/* What the library logs, on its way to standard error. The control thread's, but for `settings`. */
struct engine_log {
	const struct settings *settings;
	uint64_t second_ns; /* of the last second in which something was said: its begin */
	uint32_t said;      /* in it */
	uint32_t unsaid;    /* since then */
};

/* How many publishers the settings ask for. */
uint32_t engine_publishers(const struct settings *settings);

/* 0; or HW_ERR_* with a sentence in `why`. The settings and the log must outlive it. */
int engine_create(const struct settings *settings, struct engine_log *log, struct harewire **out, char *why,
		  size_t why_bytes);

#endif
