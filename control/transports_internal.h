/* What the files behind transports.h share. */
#ifndef HAREWIRE_TRANSPORTS_INTERNAL_H
#define HAREWIRE_TRANSPORTS_INTERNAL_H

#include "control/transports.h"

/* Does the way to the broker lead through the interface that was asked for, and can packets be sent there? 0, or
 * HW_ERR_* and a sentence. */
int transport_check_interface(const struct transport_request *request, const struct route *route, char *why,
			      size_t why_bytes);

/* Our TCP over a packet driver, which is taken over even if this fails. 0, or HW_ERR_* and a sentence. */
int transport_add_tcp(struct driver *driver, struct side_channel *side, struct transport_choice *choice, char *why,
		      size_t why_bytes);

#endif
