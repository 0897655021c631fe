#define _GNU_SOURCE /* explicit_bzero */

#include "control/command/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/command/config_error.h"
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
	return 0;
}

/* One key of a section, checked and read like a flag. */
static int apply_value(const struct config *c, enum config_section section, uint32_t index, struct settings *s,
		       char *why, size_t why_bytes)
{
	const struct config_value *value = &c->file->sections[section][index];
	char reason[OPTION_WHY_MAX] = "out of memory";
	int code = 0;

	if (value->text)
		code = option_set(&options[index], s, value->text, reason, sizeof reason);
	for (uint32_t i = 0; i < value->item_count && !code; i++)
		code = option_set(&options[index], s, value->items[i], reason, sizeof reason);
	if (code) {
		unsigned line = config_find_line(c->text, 1, config_section_name(section), 1);
		snprintf(why, why_bytes, "%s:%u: %s: %s", c->path,
			 config_find_line(c->text, line + 1, options[index].name, 0), options[index].name, reason);
	}
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

static int take_arguments(char **pairs, uint32_t count, const struct harewire_field **fields, uint32_t *field_count,
			  char *why, size_t why_bytes)
{
	struct harewire_field *parsed = NULL;
	int code = fields_parse((const char *const *)pairs, count, &parsed, why, why_bytes);

	*fields = parsed;
	*field_count = code ? 0 : count;
	return code;
}

static int apply_exchanges(const struct config_topology *from, struct declarations *t, char *why, size_t why_bytes)
{
	int code = 0;

	for (uint32_t i = 0; i < from->exchanges_count && !code; i++) {
		const struct config_exchange *e = &from->exchanges[i];
		struct harewire_exchange exchange = {
			.name = e->name,
			.type = e->type,
			.durable = e->durable,
			.auto_delete = e->auto_delete,
			.internal = e->internal,
			.passive = e->passive,
		};
		code = take_arguments(e->arguments, e->arguments_count, &exchange.arguments, &exchange.argument_count,
				      why, why_bytes);
		if (!code)
			code = declarations_add_exchange(t, &exchange);
	}
	return code;
}

static int apply_queues(const struct config_topology *from, struct declarations *t, char *why, size_t why_bytes)
{
	int code = 0;

	for (uint32_t i = 0; i < from->queues_count && !code; i++) {
		const struct config_queue *q = &from->queues[i];
		struct harewire_queue queue = {
			.name = q->name,
			.durable = q->durable,
			.auto_delete = q->auto_delete,
			.exclusive = q->exclusive,
			.passive = q->passive,
		};
		code = take_arguments(q->arguments, q->arguments_count, &queue.arguments, &queue.argument_count, why,
				      why_bytes);
		if (!code)
			code = declarations_add_queue(t, &queue);
	}
	return code;
}

static int apply_bindings(const struct config_topology *from, struct declarations *t, char *why, size_t why_bytes)
{
	int code = 0;

	for (uint32_t i = 0; i < from->bindings_count && !code; i++) {
		const struct config_binding *b = &from->bindings[i];
		struct harewire_binding binding = {
			.exchange = b->exchange,
			.queue = b->queue,
			.to_exchange = b->to_exchange,
			.routing_key = b->routing_key ? b->routing_key : "",
		};
		if (!b->queue == !b->to_exchange) {
			snprintf(why, why_bytes, "a binding of %s needs either queue or to-exchange", b->exchange);
			return HW_ERR_INVALID;
		}
		code = take_arguments(b->arguments, b->arguments_count, &binding.arguments, &binding.argument_count,
				      why, why_bytes);
		if (!code)
			code = declarations_add_binding(t, &binding);
	}
	return code;
}

static int apply_topology(const struct config *c, struct settings *s, char *why, size_t why_bytes)
{
	const struct config_topology *from = c->file->topology;
	char reason[OPTION_WHY_MAX] = "out of memory";
	const char *part = "exchanges";

	if (!from)
		return 0;
	int code = apply_exchanges(from, &s->topology, reason, sizeof reason);
	if (!code) {
		part = "queues";
		code = apply_queues(from, &s->topology, reason, sizeof reason);
	}
	if (!code) {
		part = "bindings";
		code = apply_bindings(from, &s->topology, reason, sizeof reason);
	}
	if (code)
		snprintf(why, why_bytes, "%s:%u: %s: %s", c->path,
			 config_find_line(c->text, config_find_line(c->text, 1, "topology", 1), part, 0), part, reason);
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
		code = apply_topology(c, settings, why, why_bytes);
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
