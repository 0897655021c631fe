/* The library's engine as the settings want it. */
#ifndef HAREWIRE_COMMAND_ENGINE_H
#define HAREWIRE_COMMAND_ENGINE_H

#include <stddef.h>

#include "control/command/settings.h"
#include "dataplane/harewire.h"

/* How many publishers the settings ask for. */
uint32_t engine_publishers(const struct settings *settings);

/* 0; or HW_ERR_* with a sentence in `why`. The settings must outlive it. */
int engine_create(const struct settings *settings, struct harewire **out, char *why, size_t why_bytes);

#endif
