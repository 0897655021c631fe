/* The lists of the config file, as loaded, into the settings. */
#ifndef HAREWIRE_COMMAND_CONFIG_APPLY_H
#define HAREWIRE_COMMAND_CONFIG_APPLY_H

#include <stdint.h>

#include "control/command/config_schema.h"
#include "control/command/options.h"
#include "control/command/settings.h"

/* What is wrong, and with what: for a sentence with file, line and name. */
struct config_complaint {
	char place[128]; /* for config_place_line */
	const char *name;
	char reason[OPTION_WHY_MAX];
};

/* Each: 0, or HW_ERR_* and the complaint filled in. NULL for what the file does not have. */
int config_apply_topology(const struct config_topology *from, struct declarations *t,
			  struct config_complaint *complaint);
int config_apply_workers(const struct config_worker *workers, uint32_t count, struct settings *s,
			 struct config_complaint *complaint);

#endif
