#include "control/command/config_error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define UNKNOWN_KEY "Unexpected key: "
#define MISSING_KEY "Missing required mapping field: "

void config_error_log(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
	struct config_error *error = context;
	char line[256];
	char name[sizeof error->name] = "";
	unsigned number;

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(line, sizeof line, format, arguments);
	line[strcspn(line, "\n")] = '\0';
	const char *message = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
	const char *position = strstr(message, "(line: ");
	if (!position) {
		if (!error->message[0] && strcmp(message, "Backtrace:") != 0)
			snprintf(error->message, sizeof error->message, "%s", message);
		return;
	}
	if (sscanf(position, "(line: %u", &number) != 1)
		return;
	if (!error->line)
		error->line = number;
	if (!error->name[0] && sscanf(message, " in mapping field '%63[^']'", name) == 1)
		memcpy(error->name, name, sizeof name);
}

static bool line_has_key(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	size_t at = strspn(line, " -{,\"'");

	if (len - at <= name_len || at > len || memcmp(line + at, name, name_len) != 0)
		return false;
	at += name_len;
	at += strspn(line + at, " \"'");
	return at < len && line[at] == ':';
}

/* The line of the first key of that name at or after line `from`; `from` when there is none. */
static unsigned find_key_line(const char *text, unsigned from, const char *name)
{
	unsigned number = 1;

	for (const char *line = text; *line; number++) {
		size_t len = strcspn(line, "\n");
		if (number >= from && line_has_key(line, len, name))
			return number;
		line += len + (line[len] == '\n');
	}
	return from ? from : 1;
}

/* libcyaml's words for what was expected, in the reader's */
static const struct {
	const char *theirs, *ours;
} kinds[] = {
	{"Expecting STRING", "must be a single value"},     {"Expecting MAPPING", "must be a mapping (key: value)"},
	{"Expecting SEQUENCE", "must be a list (- value)"}, {"Invalid ENUM", "must be true or false"},
	{"Mapping field already seen", "given twice"},
};

void config_error_describe(const struct config_error *error, const char *path, const char *text, char *why,
			   size_t why_bytes)
{
	const char *message = error->message;
	unsigned line = error->line ? error->line : 1;

	if (strncmp(message, UNKNOWN_KEY, sizeof UNKNOWN_KEY - 1) == 0) {
		const char *key = message + sizeof UNKNOWN_KEY - 1;
		snprintf(why, why_bytes, "%s:%u: unknown key '%s'", path, find_key_line(text, line, key), key);
		return;
	}
	if (strncmp(message, MISSING_KEY, sizeof MISSING_KEY - 1) == 0) {
		snprintf(why, why_bytes, "%s:%u: '%s' is missing", path, line, message + sizeof MISSING_KEY - 1);
		return;
	}
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strncmp(message, kinds[i].theirs, strlen(kinds[i].theirs)) == 0)
			message = kinds[i].ours;
	snprintf(why, why_bytes, "%s:%u: %s%s%s", path, line, error->name, error->name[0] ? ": " : "", message);
}
