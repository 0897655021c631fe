/* Fields of an engine's answer (JSON). What is not there is 0, or "". */
#ifndef HAREWIRE_COMMAND_ANSWER_FIELD_H
#define HAREWIRE_COMMAND_ANSWER_FIELD_H

#include <json-c/json.h>
#include <stdint.h>

static inline uint64_t answer_number(struct json_object *answer, const char *name)
{
	struct json_object *value;
	return json_object_object_get_ex(answer, name, &value) ? json_object_get_uint64(value) : 0;
}

/* The answer's own. */
static inline const char *answer_text(struct json_object *answer, const char *name)
{
	struct json_object *value;
	return json_object_object_get_ex(answer, name, &value) ? json_object_get_string(value) : "";
}

#endif
