/* From the settings to the constant part of a template. */
#ifndef HAREWIRE_COMMAND_PROPERTIES_H
#define HAREWIRE_COMMAND_PROPERTIES_H

#include <stddef.h>

#include "control/command/settings.h"
#include "dataplane/harewire.h"

/* The library copies what a template's options point to, so these are used again for every template. */
struct properties {
	struct harewire_template_options options;
	struct harewire_field *headers;
	uint32_t header_count;
};

/*
 * Everything but exchange and routing key. `default_slots` are those where --slots does not say. 0, HW_ERR_NOMEM, or
 * HW_ERR_INVALID with a sentence that names the option.
 */
int properties_init(struct properties *p, const struct settings *s, uint32_t default_slots, char *why,
		    size_t why_bytes);
void properties_fini(struct properties *p);

#endif
