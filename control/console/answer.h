/* Answers of the control socket, JSON objects. The caller frees them with json_object_put; NULL: out of memory. */
#ifndef HAREWIRE_CONSOLE_ANSWER_H
#define HAREWIRE_CONSOLE_ANSWER_H

#include <stdbool.h>

#include "control/console/capture_file.h"

struct json_object;

/* {"ok": true} */
struct json_object *answer_good(void);
/* {"ok": false, "error": sentence} */
struct json_object *answer_error(const char *sentence);
/* Everything there is to tell of the engine; `capture`: the one that runs, or the last; NULL: there was none. */
struct json_object *answer_stat(struct supervisor *supervisor, const struct capture_result *capture, bool running);
/* The trace of a connection, or of the only one (0): what it is of, and its records, oldest first. */
struct json_object *answer_trace(struct supervisor *supervisor, uint64_t connection);
/* What has become of a capture. */
struct json_object *answer_capture(const struct capture_result *capture);

#endif
