#include "control/command/option_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/command/declarations.h"
#include "control/command/properties.h"
#include "control/feed/pattern.h"
#include "dataplane/base/error.h"

#define REASON_BYTES   256u
#define HOST_BYTES_MAX 256u

static bool is_port(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= 5 && strspn(text, "0123456789") == len && atoi(text) >= 1 && atoi(text) <= 65535;
}

int check_field(const char *value, char *why, size_t why_bytes)
{
	struct harewire_field *field = NULL;
	int code = fields_parse(&value, 1, &field, why, why_bytes);

	fields_free(field, code ? 0 : 1);
	return code;
}

int check_property(const char *value, char *why, size_t why_bytes)
{
	struct harewire_template_options unused;

	return properties_read_property(&unused, value, why, why_bytes);
}

int check_slots(const char *value, char *why, size_t why_bytes)
{
	uint32_t unused;

	return properties_read_slots(value, &unused, why, why_bytes);
}

/* Neither sentence repeats what may be a URL, with its password. */
int check_host(const char *value, char *why, size_t why_bytes)
{
	size_t len = strcspn(value, ":");
	const char *port = value[len] ? value + len + 1 : "1", *reason = NULL;

	if (strpbrk(value, "/@"))
		reason = "a host is given as NAME or NAME:PORT: user, password and vhost are the URL's for all of them";
	else if (strchr(port, ':') || *value == '[')
		reason = "a host is a name or an IPv4 address: IPv6 is not to be had";
	else if (len == 0 || len >= HOST_BYTES_MAX || strpbrk(value, " \t\r\n,;"))
		reason = "a host is given as NAME or NAME:PORT, each host by itself";
	else if (!is_port(port))
		reason = "the port after the host's name is not a number from 1 to 65535";
	if (reason)
		snprintf(why, why_bytes, "%s", reason);
	return reason ? HW_ERR_INVALID : 0;
}

int check_credential(const char *value, char *why, size_t why_bytes)
{
	if (*value && !strchr(value, '/') && strcmp(value, ".") != 0 && strcmp(value, "..") != 0)
		return 0;
	snprintf(why, why_bytes, "'%s' is not the name of a file in $CREDENTIALS_DIRECTORY", value);
	return HW_ERR_INVALID;
}

int check_milliseconds(const char *value, char *why, size_t why_bytes)
{
	if (*value && strspn(value, "0123456789") == strlen(value))
		return 0;
	snprintf(why, why_bytes, "'%s' is not a whole number of milliseconds", value);
	return HW_ERR_INVALID;
}

int check_pattern(const char *value, char *why, size_t why_bytes)
{
	struct pattern unused;

	return pattern_init(&unused, value, why, why_bytes);
}

typedef int (*parse_fn)(struct declarations *t, const char *spec, char *why, size_t why_bytes);

static int check_declaration(parse_fn parse, const char *value, char *why, size_t why_bytes)
{
	struct declarations unused = {0};
	char reason[REASON_BYTES] = "out of memory";
	int code = parse(&unused, value, reason, sizeof reason);

	if (code)
		snprintf(why, why_bytes, "'%s': %s", value, reason);
	declarations_fini(&unused);
	return code;
}

int check_exchange(const char *value, char *why, size_t why_bytes)
{
	return check_declaration(declarations_parse_exchange, value, why, why_bytes);
}

int check_queue(const char *value, char *why, size_t why_bytes)
{
	return check_declaration(declarations_parse_queue, value, why, why_bytes);
}

int check_binding(const char *value, char *why, size_t why_bytes)
{
	return check_declaration(declarations_parse_binding, value, why, why_bytes);
}
