#include "control/command/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define NS_PER_S 1e9

const char *option_key(const struct option *o)
{
	return o->key ? o->key : o->name;
}

const struct option *option_find(const char *name, size_t name_len, enum subcommand command)
{
	for (uint32_t i = 0; i < option_count; i++) {
		const struct option *o = &options[i];
		if (o->commands & command && strlen(o->name) == name_len && memcmp(o->name, name, name_len) == 0)
			return o;
	}
	return NULL;
}

static const struct option *find_letter(char letter, enum subcommand command)
{
	for (uint32_t i = 0; i < option_count; i++)
		if (options[i].letter == letter && options[i].commands & command)
			return &options[i];
	return NULL;
}

static int set_flag(bool *target, const char *value, char *why, size_t why_bytes)
{
	if (strcmp(value, "true") == 0 || strcmp(value, "yes") == 0) {
		*target = true;
	} else if (strcmp(value, "false") == 0 || strcmp(value, "no") == 0) {
		*target = false;
	} else {
		snprintf(why, why_bytes, "'%s' is not true or false", value);
		return HW_ERR_INVALID;
	}
	return 0;
}

static uint64_t suffix_factor(const char *suffix)
{
	if (!*suffix)
		return 1;
	if (suffix[1])
		return 0;
	switch (*suffix) {
	case 'k':
	case 'K':
		return 1u << 10;
	case 'm':
	case 'M':
		return 1u << 20;
	case 'g':
	case 'G':
		return 1u << 30;
	default:
		return 0;
	}
}

static int set_number(const struct option *o, uint64_t *target, const char *value, char *why, size_t why_bytes)
{
	char *end;

	errno = 0;
	unsigned long long n = strtoull(value, &end, 10);
	uint64_t factor = o->kind == OPTION_BYTES ? suffix_factor(end) : !*end;
	if (*value < '0' || *value > '9' || errno || !factor || n > o->max / factor || n * factor < o->min) {
		snprintf(why, why_bytes, "'%s' is not a whole number from %llu to %llu%s", value,
			 (unsigned long long)o->min, (unsigned long long)o->max,
			 o->kind == OPTION_BYTES ? ", which may end in K, M or G" : "");
		return HW_ERR_INVALID;
	}
	*target = n * factor;
	return 0;
}

/* strtod also takes "inf", "nan", hexadecimal and leading space: a digit or a point must come first. */
static bool read_real(const char *value, double *out)
{
	char *end;

	if (!strchr("0123456789.", *value) || strpbrk(value, "xX"))
		return false;
	errno = 0;
	*out = strtod(value, &end);
	return *value && !*end && !errno && isfinite(*out);
}

static int set_seconds(const struct option *o, uint64_t *target, const char *value, char *why, size_t why_bytes)
{
	double seconds;

	if (!read_real(value, &seconds) || seconds > (double)o->max || seconds * NS_PER_S < (double)o->min) {
		char from[32] = "above 0"; /* min 1: more than none */
		if (o->min != 1)
			snprintf(from, sizeof from, "from %g", (double)o->min / NS_PER_S);
		snprintf(why, why_bytes, "'%s' is not a number of seconds %s and at most %llu", value, from,
			 (unsigned long long)o->max);
		return HW_ERR_INVALID;
	}
	*target = (uint64_t)(seconds * NS_PER_S);
	return 0;
}

static int set_real(double *target, const char *value, char *why, size_t why_bytes)
{
	double n = 0;

	if (strcmp(value, "max") != 0 && (!read_real(value, &n) || n < 1e-6 || n > 1e9)) {
		snprintf(why, why_bytes, "'%s' is neither a number from 0.000001 to 1000000000 nor max", value);
		return HW_ERR_INVALID;
	}
	*target = n;
	return 0;
}

static int set_choice(const struct option *o, uint32_t *target, const char *value, char *why, size_t why_bytes)
{
	size_t n = (size_t)snprintf(why, why_bytes, "'%s' is not one of ", value);

	for (uint32_t i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], value) == 0) {
			*target = i;
			return 0;
		}
		if (n < why_bytes)
			n += (size_t)snprintf(why + n, why_bytes - n, "%s%s", i ? ", " : "", o->choices[i]);
	}
	return HW_ERR_INVALID;
}

int option_set(const struct option *o, struct settings *s, const char *value, char *why, size_t why_bytes)
{
	void *target = (char *)s + o->offset;
	int code = o->check ? o->check(value, why, why_bytes) : 0;

	if (code)
		return code;
	switch (o->kind) {
	case OPTION_FLAG:
		return set_flag(target, value, why, why_bytes);
	case OPTION_TEXT:
		*(const char **)target = value;
		return 0;
	case OPTION_NUMBER:
	case OPTION_BYTES:
		return set_number(o, target, value, why, why_bytes);
	case OPTION_SECONDS:
		return set_seconds(o, target, value, why, why_bytes);
	case OPTION_REAL:
		return set_real(target, value, why, why_bytes);
	case OPTION_CHOICE:
		return set_choice(o, target, value, why, why_bytes);
	case OPTION_LIST:
		return text_list_add(target, value);
	}
	return HW_ERR_INVALID;
}

struct arguments {
	char *const *argv;
	int count, next;
};

/* Whether the option `argument` names (--name, --name=value, -x) exists, and where its value begins, if it holds one.
 */
static const struct option *match(const char *argument, enum subcommand command, const char **value)
{
	const struct option *o;

	*value = NULL;
	if (argument[1] == '-') {
		const char *name = argument + 2;
		size_t len = strcspn(name, "=");
		if (name[len] == '=')
			*value = name + len + 1;
		o = option_find(name, len, command);
	} else {
		o = argument[2] ? NULL : find_letter(argument[1], command);
	}
	return o;
}

static int parse_option(struct settings *s, struct arguments *a, const char *argument, char *why, size_t why_bytes)
{
	const char *value;
	char reason[OPTION_WHY_MAX] = "out of memory";
	/* never repeat a value: it may be a URL */
	int shown = argument[1] == '-' ? (int)strcspn(argument, "=") : 2;

	const struct option *o = match(argument, s->command, &value);
	if (!o) {
		snprintf(why, why_bytes, "unknown option %.*s; --help lists them", shown, argument);
		return HW_ERR_INVALID;
	}
	if (o->flags & OPTION_CONFIG_ONLY) {
		snprintf(why, why_bytes,
			 "--%s is not taken from the command line, which others can see: use $HAREWIRE_PASSWORD, "
			 "$AMQP_URL, "
			 "--password-file, --url-file or a config file",
			 o->name);
		return HW_ERR_INVALID;
	}
	if (o->kind == OPTION_FLAG) {
		if (value) {
			snprintf(why, why_bytes, "--%s takes no value", o->name);
			return HW_ERR_INVALID;
		}
		value = "true";
	} else if (!value) {
		if (a->next == a->count) {
			snprintf(why, why_bytes, "--%s needs a value (%s)", o->name, o->value);
			return HW_ERR_INVALID;
		}
		value = a->argv[a->next++];
	}
	int code = option_set(o, s, value, reason, sizeof reason);
	if (code)
		snprintf(why, why_bytes, "--%s: %s", o->name, reason);
	return code;
}

static int parse_operand(struct settings *s, const char *argument, char *why, size_t why_bytes)
{
	if (strstr(argument, "://")) {
		snprintf(why, why_bytes, "unexpected argument: a URL belongs after --url");
		return HW_ERR_INVALID;
	}
	if (s->command & (COMMAND_STAT | COMMAND_CAPTURE | COMMAND_TRACE))
		return text_list_add(&s->operands, argument);
	if (s->command != COMMAND_FEED || s->source) {
		snprintf(why, why_bytes, "unexpected argument '%s'; --help shows what is allowed", argument);
		return HW_ERR_INVALID;
	}
	s->source = argument;
	return 0;
}

int options_parse(struct settings *s, int argc, char *const argv[], char *why, size_t why_bytes)
{
	struct arguments a = {.argv = argv, .count = argc};
	bool options_end = false;

	while (a.next < a.count) {
		const char *argument = a.argv[a.next++];
		int code = 0;
		if (!options_end && strcmp(argument, "--") == 0)
			options_end = true;
		else if (!options_end && argument[0] == '-' && argument[1])
			code = parse_option(s, &a, argument, why, why_bytes);
		else
			code = parse_operand(s, argument, why, why_bytes);
		if (code)
			return code;
	}
	return 0;
}
