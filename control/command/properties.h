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

/* A list of --slots as HAREWIRE_SLOT_* bits. 0, or HW_ERR_INVALID with what is wrong. */
int properties_read_slots(const char *list, uint32_t *out, char *why, size_t why_bytes);
/* A pair of --property, which must stay. The same. */
int properties_read_property(struct harewire_template_options *options, const char *pair, char *why, size_t why_bytes);

/*
 * Everything but exchange and routing key. `default_slots` are those where --slots does not say. The settings' texts
 * have been checked as they were read: 0 or HW_ERR_NOMEM.
 */
int properties_init(struct properties *p, const struct settings *s, uint32_t default_slots, char *why,
		    size_t why_bytes);
void properties_fini(struct properties *p);

#endif
