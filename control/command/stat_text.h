/* What an engine tells of itself, as a table for people. */
#ifndef HAREWIRE_COMMAND_STAT_TEXT_H
#define HAREWIRE_COMMAND_STAT_TEXT_H

#include <stdio.h>

struct json_object;

/* `earlier`: the answer before, for rates, or NULL. */
void stat_print(FILE *out, struct json_object *answer, struct json_object *earlier);

#endif
