/*
 * The table of options: the command line's parser, the config file's, the help texts and the test of the documentation
 * all read it.
 */
#ifndef HAREWIRE_COMMAND_OPTIONS_H
#define HAREWIRE_COMMAND_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/command/settings.h"

#define OPTION_WHY_MAX 512u

enum option_kind {
	OPTION_FLAG,    /* bool */
	OPTION_TEXT,    /* const char * */
	OPTION_NUMBER,  /* uint64_t within min..max */
	OPTION_BYTES,   /* the same, with K, M or G */
	OPTION_SECONDS, /* uint64_t ns, from a decimal number of seconds: min is in ns, max in seconds */
	OPTION_REAL,    /* double above 0; "max" is 0: as fast as possible */
	OPTION_CHOICE,  /* uint32_t: index into choices */
	OPTION_LIST,    /* struct text_list; may be given several times */
};

/* Where a config file keeps it; COMMAND: in the sections publish, feed and consume. */
enum option_section { SECTION_BROKER, SECTION_DRIVER, SECTION_COMMAND, SECTION_NONE };

#define OPTION_CONFIG_ONLY 0x1u /* no flag of that name: a secret */

struct option {
	const char *name; /* without dashes */
	char letter;      /* short form, or 0 */
	enum option_kind kind;
	enum option_section section;
	unsigned commands; /* enum subcommand */
	unsigned flags;
	size_t offset;     /* in struct settings */
	const char *value; /* its name in help, or NULL */
	const char *help;
	uint64_t min, max;
	const char *const *choices;
	const char *key; /* its name in the config file, where that is another */
	/* Of a text or of a list's entry, beyond its kind. 0, or HW_ERR_* with what is wrong; NULL: anything goes. */
	int (*check)(const char *value, char *why, size_t why_bytes);
};

extern const struct option options[];
extern const uint32_t option_count;

/* Its name in the config file. */
const char *option_key(const struct option *o);

/* As the library knows it. */
const char *driver_name(enum driver_choice driver);

/* As the flag has it. */
const char *policy_name(enum harewire_policy policy);

/* By name, for that subcommand; NULL: there is none. */
const struct option *option_find(const char *name, size_t name_len, enum subcommand command);

/*
 * Reads `value` into the settings, which keep the pointer where the option is a text. 0, HW_ERR_NOMEM, or
 * HW_ERR_INVALID with what is wrong and what is allowed in `why`, without the option's name.
 */
int option_set(const struct option *o, struct settings *s, const char *value, char *why, size_t why_bytes);

/*
 * Reads a subcommand's arguments (without its name). 0, or HW_ERR_* with one whole sentence in `why`.
 */
int options_parse(struct settings *s, int argc, char *const argv[], char *why, size_t why_bytes);

#endif
