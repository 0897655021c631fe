/*
 * The config file: YAML, read by libcyaml against a schema made from the table of options.
 *
 *     broker:    url, heartbeat, ...          one key per option of that section, same names as the flags
 *     driver:    driver, interface, ...
 *     workers:   a list of mappings, one for each worker
 *     topology:  exchanges, queues, bindings  lists of mappings
 *     publish: feed: consume:                 the options of each subcommand
 *
 * Every key is checked in every section; those of the broker, the driver, the topology and the running subcommand
 * count.
 */
#ifndef HAREWIRE_COMMAND_CONFIG_H
#define HAREWIRE_COMMAND_CONFIG_H

#include <stddef.h>

#include "control/command/settings.h"

struct config;

/*
 * Reads the file into the settings, whose strings then belong to the config: free it after them. HW_ERR_INVALID with a
 * sentence that names file, line and key: not YAML, an unknown key, a wrong type or value; or a password in a file that
 * others may read. HW_ERR_SYSTEM, HW_ERR_NOMEM with a sentence.
 */
int config_load(const char *path, struct settings *settings, struct config **out, char *why, size_t why_bytes);

/* NULL is allowed. Wipes what it read. */
void config_free(struct config *config);

#endif
