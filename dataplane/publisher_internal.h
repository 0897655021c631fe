/* What the publisher's files owe each other. All of it is the application's thread's. */
#ifndef HAREWIRE_PUBLISHER_INTERNAL_H
#define HAREWIRE_PUBLISHER_INTERNAL_H

#include "dataplane/publisher.h"

/* ---- publisher.c ---- */

/* Takes over what the worker has given back. Whether a message of `need` octets (<= the log's capacity) fits now. */
bool publisher_find_room(struct harewire_publisher *p, uint64_t need);
/* The same, and an eighth of the log and of the index is free besides: a full log that ends with each confirm, and
 * begins with the next message, would be told thousands of times a second. */
bool publisher_find_ease(struct harewire_publisher *p, uint64_t need);

/* ---- publisher_level.c ---- */

/* A message of `need` octets has found room, or none: HAREWIRE_BLOCKAGE_LOG_FULL ends or begins. */
void publisher_note_room(struct harewire_publisher *p, bool room, uint64_t need);

/* Takes the newest level over into p->seen, if there is one. Returns its state, an enum publisher_state. */
uint32_t publisher_look(struct harewire_publisher *p);

/* The next difference between p->seen and what the application has been told; publisher_poll_end: that it is over. */
int publisher_poll_level(struct harewire_publisher *p, struct harewire_event *event);
int publisher_poll_end(struct harewire_publisher *p, struct harewire_event *event);

#endif
