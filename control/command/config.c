#define _GNU_SOURCE /* explicit_bzero */

#include "control/command/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/command/config_apply.h"
#include "control/command/config_error.h"
#include "control/command/config_place.h"
#include "control/command/config_schema.h"
#include "control/command/options.h"
#include "control/command/secrets.h"
#include "dataplane/base/error.h"

#define CONFIG_BYTES_MAX (1u << 20)

struct config {
	const char *path;
	char *text; /* the file; only while loading */
	size_t text_len;
	mode_t mode;
	struct config_schema schema;
	struct config_file *file;
};

static const cyaml_config_t cyaml_defaults = {
	.log_fn = config_error_log,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
	.flags = CYAML_CFG_NO_ALIAS,
};

static int read_file(struct config *c, char *why, size_t why_bytes)
{
	struct stat st = {0};
	FILE *f = fopen(c->path, "re");

	if (!f || fstat(fileno(f), &st)) {
		snprintf(why, why_bytes, "cannot read the config file %s: %s", c->path, strerror(errno));
		if (f)
			fclose(f);
		return HW_ERR_SYSTEM;
	}
	c->mode = st.st_mode;
	c->text = calloc(1, CONFIG_BYTES_MAX + 1);
	if (c->text)
		c->text_len = fread(c->text, 1, CONFIG_BYTES_MAX + 1, f);
	bool failed = ferror(f);
	fclose(f);
	if (!c->text || failed || c->text_len > CONFIG_BYTES_MAX) {
		snprintf(why, why_bytes, "cannot read the config file %s: %s", c->path,
			 !c->text ? "out of memory"
			 : failed ? "it is no file"
				  : "it is larger than 1 MiB");
		return HW_ERR_INVALID;
	}
	return 0;
}

static int parse(struct config *c, char *why, size_t why_bytes)
{
	struct config_error error = {0};
	cyaml_config_t cyaml = cyaml_defaults;
	cyaml_data_t *data = NULL;

	cyaml.log_ctx = &error;
	if (config_schema_init(&c->schema))
		return HW_ERR_NOMEM;
	cyaml_err_t result =
		cyaml_load_data((const uint8_t *)c->text, c->text_len, &cyaml, &c->schema.top, &data, NULL);
	if (result != CYAML_OK) {
		if (!error.message[0])
			snprintf(error.message, sizeof error.message, "%s", cyaml_strerror(result));
		config_error_describe(&error, c->path, c->text, why, why_bytes);
		return HW_ERR_INVALID;
	}
	c->file = data;
	unsigned second = config_second_document(c->text, c->text_len);
	if (!second)
		return 0;
	snprintf(why, why_bytes, "%s:%u: a second YAML document begins here: the file may hold one only", c->path,
		 second);
	return HW_ERR_INVALID;
}

static void say_where(const struct config *c, const struct config_complaint *complaint, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "%s:%u: %s: %s", c->path, config_place_line(c->text, c->text_len, complaint->place),
		 complaint->name, complaint->reason);
}

/* One key of a section, checked and read like a flag. */
static int apply_value(const struct config *c, enum config_section section, uint32_t index, struct settings *s,
		       char *why, size_t why_bytes)
{
	const struct config_value *value = &c->file->sections[section][index];
	const struct option *o = &options[index];
	struct config_complaint complaint = {.name = option_key(o), .reason = "out of memory"};
	int code = 0;

	snprintf(complaint.place, sizeof complaint.place, "%s/%s", config_section_name(section), option_key(o));
	if (value->text)
		code = option_set(o, s, value->text, complaint.reason, sizeof complaint.reason);
	for (uint32_t i = 0; i < value->item_count && !code; i++) {
		snprintf(complaint.place, sizeof complaint.place, "%s/%s/%u", config_section_name(section),
			 option_key(o), i);
		code = option_set(o, s, value->items[i], complaint.reason, sizeof complaint.reason);
	}
	if (code)
		say_where(c, &complaint, why, why_bytes);
	return code;
}

static int apply_section(const struct config *c, enum config_section section, struct settings *s, char *why,
			 size_t why_bytes)
{
	for (uint32_t i = 0; i < option_count; i++) {
		if (!config_section_has(section, i))
			continue;
		int code = apply_value(c, section, i, s, why, why_bytes);
		if (code)
			return code;
	}
	return 0;
}

/* The sections that count go into the settings; the others are only checked. */
static int apply_sections(const struct config *c, struct settings *s, char *why, size_t why_bytes)
{
	static const enum subcommand commands[CONFIG_SECTIONS] = {
		[CONFIG_PUBLISH] = COMMAND_PUBLISH, [CONFIG_FEED] = COMMAND_FEED, [CONFIG_CONSUME] = COMMAND_CONSUME};

	for (enum config_section i = 0; i < CONFIG_SECTIONS; i++) {
		struct settings unused = {0};
		bool counts = !commands[i] || commands[i] == s->command;
		if (!c->file->sections[i])
			continue;
		int code = apply_section(c, i, counts ? s : &unused, why, why_bytes);
		settings_fini(&unused);
		if (code)
			return code;
	}
	return 0;
}

static int apply_lists(const struct config *c, struct settings *s, char *why, size_t why_bytes)
{
	struct config_complaint complaint = {.reason = "out of memory"};

	int code = config_apply_topology(c->file->topology, &s->topology, &complaint);
	if (!code)
		code = config_apply_workers(c->file->workers, c->file->workers_count, s, &complaint);
	if (code)
		say_where(c, &complaint, why, why_bytes);
	return code;
}

static int check_mode(const struct config *c, const struct settings *s, char *why, size_t why_bytes)
{
	size_t len;

	if (!(c->mode & (S_IRWXG | S_IRWXO)))
		return 0;
	if (!s->password && !(s->url && secrets_find_password(s->url, &len)))
		return 0;
	snprintf(why, why_bytes, "the config file %s holds a password but its mode is %04o: chmod 600 %s", c->path,
		 c->mode & 07777, c->path);
	return HW_ERR_INVALID;
}

static void wipe_text(struct config *c)
{
	if (c->text)
		explicit_bzero(c->text, c->text_len);
	free(c->text);
	c->text = NULL;
}

int config_load(const char *path, struct settings *settings, struct config **out, char *why, size_t why_bytes)
{
	struct config *c = calloc(1, sizeof *c);

	snprintf(why, why_bytes, "out of memory");
	if (!c)
		return HW_ERR_NOMEM;
	*out = c; /* also on failure: settings may already point into it */
	c->path = path;
	int code = read_file(c, why, why_bytes);
	if (!code)
		code = parse(c, why, why_bytes);
	if (!code && c->file) /* an empty file is an empty mapping to nobody */
		code = apply_sections(c, settings, why, why_bytes);
	if (!code && c->file)
		code = apply_lists(c, settings, why, why_bytes);
	if (!code)
		code = check_mode(c, settings, why, why_bytes);
	wipe_text(c);
	return code;
}

static void wipe_passwords(struct config_file *file)
{
	for (uint32_t i = 0; file->sections[CONFIG_BROKER] && i < option_count; i++) {
		char *text = file->sections[CONFIG_BROKER][i].text;
		if (text)
			explicit_bzero(text, strlen(text));
	}
}

void config_free(struct config *config)
{
	if (!config)
		return;
	if (config->file) {
		wipe_passwords(config->file);
		cyaml_free(&cyaml_defaults, &config->schema.top, config->file, 0);
	}
	config_schema_fini(&config->schema);
	free(config);
}
