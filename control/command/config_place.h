/* Where things stand in a YAML text, for sentences with a line. Read by libyaml once something is wrong. */
#ifndef HAREWIRE_COMMAND_CONFIG_PLACE_H
#define HAREWIRE_COMMAND_CONFIG_PLACE_H

#include <stddef.h>

/*
 * The line, from 1, of what a path such as "topology/queues/0" names: keys of mappings, and numbers from 0 of lists'
 * entries. As far as the path goes: that of the last part that is there.
 */
unsigned config_place_line(const char *text, size_t len, const char *path);

/* The line on which a second document begins; 0: there is none. */
unsigned config_second_document(const char *text, size_t len);

#endif
