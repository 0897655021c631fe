/* From a subcommand's arguments to settled settings: flags over config file over environment over defaults. */
#ifndef HAREWIRE_COMMAND_PREPARE_H
#define HAREWIRE_COMMAND_PREPARE_H

#include <stddef.h>

#include "control/command/config.h"
#include "control/command/secrets.h"
#include "control/command/settings.h"

struct prepared {
	struct settings settings;
	struct config *config;
	struct secrets secrets;
};

/*
 * 0, or HW_ERR_* with one sentence in `why`. With --help nothing else is read. Call prepared_fini in any case; `argv`
 * must outlive it.
 */
int prepare(struct prepared *p, enum subcommand command, int argc, char *const argv[], char *why, size_t why_bytes);
void prepared_fini(struct prepared *p);

#endif
