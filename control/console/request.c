#include "control/console/request.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "dataplane/base/error.h"
#include "drivers/why.h"

#define DEPTH_MAX 4 /* nothing nests in a request */

static const char *const names[] = {[REQUEST_STAT] = "stat",
				    [REQUEST_CAPTURE_START] = "capture-start",
				    [REQUEST_CAPTURE_STOP] = "capture-stop",
				    [REQUEST_TRACE] = "trace"};

#define NAME_COUNT (sizeof names / sizeof names[0])

/* The text of a string without a 0 octet in it, or NULL. */
static const char *text_of(const struct json_object *value)
{
	if (!json_object_is_type(value, json_type_string))
		return NULL;
	const char *text = json_object_get_string((struct json_object *)(uintptr_t)value);
	return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

static int set_type(struct request *r, const struct json_object *value, const struct why *why)
{
	const char *text = text_of(value);
	for (uint32_t i = 0; text && i < NAME_COUNT; i++)
		if (strcmp(text, names[i]) == 0) {
			r->type = (enum request_type)i;
			return 0;
		}
	return why_say(why, HW_ERR_INVALID, "unknown request: stat, capture-start, capture-stop and trace are known");
}

static int set_file(struct request *r, const struct json_object *value, const struct why *why)
{
	const char *text = text_of(value);
	if (!text || text[0] != '/' || strlen(text) >= sizeof r->file)
		return why_say(why, HW_ERR_INVALID, "'file' must be an absolute path of less than %zu octets",
			       sizeof r->file);
	strcpy(r->file, text);
	return 0;
}

static int set_snap_bytes(struct request *r, const struct json_object *value, const struct why *why)
{
	int64_t n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;
	if (n < 0 || n > REQUEST_SNAP_MAX)
		return why_say(why, HW_ERR_INVALID, "'snaplen' must be 0 (whole packets) to %u octets",
			       REQUEST_SNAP_MAX);
	r->snap_bytes = (uint32_t)n;
	return 0;
}

static int set_connection(struct request *r, const struct json_object *value, const struct why *why)
{
	int64_t n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
	if (n < 1)
		return why_say(why, HW_ERR_INVALID, "'connection' must be the id of a connection, as stat tells it");
	r->connection = (uint64_t)n;
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct request *r, const struct json_object *value, const struct why *why);
} members[] = {{"request", set_type}, {"file", set_file}, {"snaplen", set_snap_bytes}, {"connection", set_connection}};

#define MEMBER_COUNT (sizeof members / sizeof members[0])

static int set_member(struct request *r, const char *key, const struct json_object *value, const struct why *why)
{
	for (uint32_t i = 0; i < MEMBER_COUNT; i++)
		if (strcmp(key, members[i].key) == 0)
			return members[i].set(r, value, why);
	return why_say(why, HW_ERR_INVALID,
		       "unknown member in the request: request, file, snaplen and connection are known");
}

static int set_members(struct request *r, struct json_object *object, const struct why *why)
{
	int err = 0;
	if (!json_object_is_type(object, json_type_object))
		return why_say(why, HW_ERR_INVALID, "a request is one line with one JSON object");
	json_object_object_foreach(object, key, value)
	{
		if (!err)
			err = set_member(r, key, value, why);
	}
	if (err)
		return err;
	struct json_object *unused;
	if (!json_object_object_get_ex(object, "request", &unused))
		return why_say(why, HW_ERR_INVALID, "the request has no member 'request'");
	bool needs_file = r->type == REQUEST_CAPTURE_START;
	if (needs_file && !r->file[0])
		return why_say(why, HW_ERR_INVALID, "capture-start needs a 'file'");
	if (r->connection && r->type != REQUEST_TRACE)
		return why_say(why, HW_ERR_INVALID, "only trace takes a 'connection'");
	if (!needs_file && json_object_object_length(object) > 1 + (r->connection > 0))
		return why_say(why, HW_ERR_INVALID, "%s takes no other member", names[r->type]);
	return 0;
}

int request_parse(const char *line, size_t len, struct request *r, char *text, size_t text_bytes)
{
	const struct why why = {text, text_bytes};
	memset(r, 0, sizeof *r);
	if (len == 0 || len > REQUEST_LINE_MAX)
		return why_say(&why, HW_ERR_INVALID, "a request is one line with one JSON object");
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener) {
		snprintf(text, text_bytes, "%s", hw_error_sentence(HW_ERR_NOMEM));
		return HW_ERR_NOMEM;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(tokener, line, (int)len);
	bool whole =
		json_tokener_get_error(tokener) == json_tokener_success && json_tokener_get_parse_end(tokener) == len;
	int err = whole ? set_members(r, object, &why) : why_say(&why, HW_ERR_INVALID, "the request is not JSON");
	json_object_put(object);
	json_tokener_free(tokener);
	return err;
}
