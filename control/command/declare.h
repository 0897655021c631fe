/* From the flags to the topology, on top of what the config file has put there. */
#ifndef HAREWIRE_COMMAND_DECLARE_H
#define HAREWIRE_COMMAND_DECLARE_H

#include <stddef.h>

#include "control/command/settings.h"

/*
 * --declare-exchange, --declare-queue and --bind, then what the subcommand itself declares: see --queue and --exchange
 * in the table of options. 0, HW_ERR_NOMEM, or HW_ERR_INVALID with a sentence that names the option.
 */
int declare_from_settings(struct settings *s, char *why, size_t why_bytes);

#endif
