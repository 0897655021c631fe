/* A deep copy of what a publisher declares: the application's structs go away when its call returns. */
#ifndef HAREWIRE_TOPOLOGY_H
#define HAREWIRE_TOPOLOGY_H

#include <stdint.h>

#include "dataplane/harewire.h"

struct topology {
	struct harewire_exchange *exchanges;
	struct harewire_queue *queues;
	struct harewire_binding *bindings;
	uint32_t exchange_count, queue_count, binding_count;
};

/* 0, or HW_ERR_NOMEM (nothing is left allocated). */
int topology_copy(struct topology *to, const struct harewire_publisher_options *from);
void topology_free(struct topology *t);

/* Why the broker could only refuse these declarations (an empty name, ...), or NULL. */
const char *topology_check(const struct harewire_publisher_options *options);

#endif
