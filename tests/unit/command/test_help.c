/* The help texts, the table of options and docs/command.md say the same. */
#include "tests/unit/command/command_cmocka.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>

#include "control/command/config.h"
#include "control/command/help.h"
#include "control/command/options.h"

static char *read_stream(FILE *f)
{
	char *text = calloc(1, 1 << 17);

	assert_non_null(text);
	rewind(f);
	assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
	fclose(f);
	return text;
}

static char *help_of(enum subcommand command)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	help_print_subcommand(f, command);
	return read_stream(f);
}

static void every_flag_has_its_help_and_its_row_in_the_documentation(void **state)
{
	FILE *f = fopen("docs/command.md", "r");
	char flag[64];

	assert_non_null(f);
	char *docs = read_stream(f);
	char *helps[] = {help_of(COMMAND_PUBLISH), help_of(COMMAND_FEED),    help_of(COMMAND_CONSUME),
			 help_of(COMMAND_STAT),    help_of(COMMAND_CAPTURE), help_of(COMMAND_TRACE)};
	for (uint32_t i = 0; i < option_count; i++) {
		const struct option *o = &options[i];
		if (o->flags & OPTION_CONFIG_ONLY)
			continue;
		snprintf(flag, sizeof flag, "`--%s%s%s`", o->name, o->value ? " " : "", o->value ? o->value : "");
		if (!strstr(docs, flag))
			fail_msg("docs/command.md has no %s", flag);
		snprintf(flag, sizeof flag, "--%s%s%s\n", o->name, o->value ? " " : "", o->value ? o->value : "");
		for (unsigned c = 0; c < sizeof helps / sizeof helps[0]; c++)
			assert_int_equal(strstr(helps[c], flag) != NULL,
					 option_find(o->name, strlen(o->name), 1u << c) != NULL);
	}
	for (unsigned c = 0; c < sizeof helps / sizeof helps[0]; c++)
		free(helps[c]);
	free(docs);
}

/* The other way round: what the documentation calls a flag is one. */
static void the_documentation_has_no_flag_that_does_not_exist(void **state)
{
	FILE *f = fopen("docs/command.md", "r");

	assert_non_null(f);
	char *docs = read_stream(f);
	for (const char *p = docs; (p = strstr(p, "`--")); p++) {
		size_t len = 0;
		bool known = false;
		while (islower((unsigned char)p[3 + len]) || isdigit((unsigned char)p[3 + len]) || p[3 + len] == '-')
			len++;
		for (unsigned c = 1; c <= COMMAND_TRACE; c <<= 1)
			known |= option_find(p + 3, len, c) != NULL;
		if (!known)
			fail_msg("docs/command.md calls --%.*s a flag", (int)len, p + 3);
	}
	free(docs);
}

static void the_example_config_of_the_documentation_loads(void **state)
{
	FILE *f = fopen("docs/command.md", "r");
	char path[64], why[OPTION_WHY_MAX];
	struct settings s;
	struct config *config;

	assert_non_null(f);
	char *docs = read_stream(f);
	char *yaml = strstr(docs, "```yaml\n");
	assert_non_null(yaml);
	yaml += strlen("```yaml\n");
	char *end = strstr(yaml, "```");
	assert_non_null(end);
	*end = '\0';
	write_file(path, yaml, 0600);
	settings_init(&s, COMMAND_FEED);
	if (config_load(path, &s, &config, why, sizeof why))
		fail_msg("%s", why);
	assert_int_equal(s.topology.queues[0].argument_count, 1);
	assert_true(s.rate == 50000);
	settings_fini(&s);
	config_free(config);
	unlink(path);
	free(docs);
}

static void no_two_options_of_a_subcommand_share_a_name_or_a_letter(void **state)
{
	for (uint32_t i = 0; i < option_count; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (!(options[i].commands & options[j].commands))
				continue;
			assert_string_not_equal(options[i].name, options[j].name);
			assert_true(!options[i].letter || options[i].letter != options[j].letter);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flag_has_its_help_and_its_row_in_the_documentation),
		cmocka_unit_test(the_documentation_has_no_flag_that_does_not_exist),
		cmocka_unit_test(the_example_config_of_the_documentation_loads),
		cmocka_unit_test(no_two_options_of_a_subcommand_share_a_name_or_a_letter),
	};
	return cmocka_run_group_tests_name("help", tests, NULL, NULL);
}
