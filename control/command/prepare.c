#include "control/command/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/command/declare.h"
#include "control/command/options.h"
#include "dataplane/base/error.h"

#define RECONNECT_MIN_NS 10000000u
#define RECONNECT_MAX_NS 50000000u

/* The config file comes before the flags, but a flag names it: so the flags are read twice, the first time to find it.
 */
static int read_config(struct prepared *p, const char *path, char *why, size_t why_bytes)
{
	enum subcommand command = p->settings.command;

	settings_fini(&p->settings);
	settings_init(&p->settings, command);
	return path ? config_load(path, &p->settings, &p->config, why, why_bytes) : 0;
}

static void fill_in_defaults(struct settings *s)
{
	static const char *const names[] = {[COMMAND_PUBLISH] = "harewire publish",
					    [COMMAND_FEED] = "harewire feed",
					    [COMMAND_CONSUME] = "harewire consume"};
	const char *interface = getenv("HAREWIRE_INTERFACE");

	if (!s->interface && interface && *interface)
		s->interface = interface;
	if (!s->connection_name)
		s->connection_name = names[s->command];
	if (!s->exchange && s->command == COMMAND_FEED)
		s->exchange = "md";
}

/* One of the two given moves the default of the other. */
static int settle_pauses(struct settings *s, char *why, size_t why_bytes)
{
	uint64_t *min = &s->reconnect_min_ns, *max = &s->reconnect_max_ns;

	if (*max == SETTING_UNSET)
		*max = *min != SETTING_UNSET && *min > RECONNECT_MAX_NS ? *min : RECONNECT_MAX_NS;
	if (*min == SETTING_UNSET)
		*min = *max < RECONNECT_MIN_NS ? *max : RECONNECT_MIN_NS;
	if (*min <= *max)
		return 0;
	snprintf(why, why_bytes, "--reconnect-min %g is more than --reconnect-max %g", (double)*min / 1e9,
		 (double)*max / 1e9);
	return HW_ERR_INVALID;
}

static int settle_reconnecting(struct settings *s, char *why, size_t why_bytes)
{
	if (s->hosts.count <= HAREWIRE_HOSTS_MAX - 1)
		return settle_pauses(s, why, why_bytes);
	snprintf(why, why_bytes, "--host: %u hosts beside the URL's are more than %u", s->hosts.count,
		 HAREWIRE_HOSTS_MAX - 1);
	return HW_ERR_INVALID;
}

int prepare(struct prepared *p, enum subcommand command, int argc, char *const argv[], char *why, size_t why_bytes)
{
	memset(p, 0, sizeof *p);
	settings_init(&p->settings, command);
	snprintf(why, why_bytes, "out of memory");

	int code = options_parse(&p->settings, argc, argv, why, why_bytes);
	bool asks =
		command & (COMMAND_STAT | COMMAND_CAPTURE | COMMAND_TRACE); /* and has nothing to do with a broker */
	if (code || p->settings.help || asks)
		return code;
	struct secrets_flags flags = {.url = p->settings.url != NULL,
				      .password_file = p->settings.password_file != NULL,
				      .password_credential = p->settings.password_credential != NULL};
	code = read_config(p, p->settings.config, why, why_bytes);
	if (!code)
		code = options_parse(&p->settings, argc, argv, why, why_bytes);
	if (!code)
		code = settle_reconnecting(&p->settings, why, why_bytes);
	if (!code)
		code = secrets_settle(&p->secrets, &p->settings, flags, why, why_bytes);
	if (code)
		return code;
	fill_in_defaults(&p->settings);
	return declare_from_settings(&p->settings, why, why_bytes);
}

void prepared_fini(struct prepared *p)
{
	settings_fini(&p->settings);
	config_free(p->config);
	secrets_fini(&p->secrets);
}
