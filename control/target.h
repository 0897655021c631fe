/* A publisher's options, checked and copied: what its connections are made from. */
#ifndef HAREWIRE_TARGET_H
#define HAREWIRE_TARGET_H

#include <stddef.h>

#include "control/supervisor.h"
#include "dataplane/harewire.h"

/*
 * Any thread. 0 with everything in `target`, whose topology the caller frees, and whose password it wipes; or
 * HW_ERR_INVALID, _UNSUPPORTED or _NOMEM with a sentence in `why` (may be NULL), which quotes no secret.
 */
int target_make(const struct harewire_publisher_options *options, struct target *target, char *why, size_t why_bytes);

#endif
