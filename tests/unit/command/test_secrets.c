#include "tests/unit/command/command_cmocka.h"

#include <stdio.h>

#include "control/command/options.h"
#include "control/command/prepare.h"
#include "control/command/secrets.h"

static void assert_scrubbed(const char *argument, const char *expected, bool expect_found)
{
	char original[128];
	char *argv[] = {"harewire", original};
	bool found;

	strcpy(original, argument);
	char **copies = secrets_take_arguments(2, argv, &found);
	assert_non_null(copies);
	assert_string_equal(copies[1], argument);
	assert_null(copies[2]);
	assert_string_equal(original, expected);
	assert_int_equal(found, expect_found);
	secrets_free_arguments(copies);
}

static void a_password_in_a_url_is_overwritten_where_ps_would_see_it(void **state)
{
	assert_scrubbed("amqp://me:hush@h:1/v", "amqp://me:xxxx@h:1/v", true);
	assert_scrubbed("--url=amqp://me:hush@h", "--url=amqp://me:xxxx@h", true);
	assert_scrubbed("AMQPS://me:hush@h", "AMQPS://me:xxxx@h", true);
	assert_scrubbed("amqp://me:hu/s@h@host", "amqp://me:xxxxxx@host", true); /* sloppy: hide all of it */
	assert_scrubbed("amqp://me@h:5672/", "amqp://me@h:5672/", false);
	assert_scrubbed("amqp://h:5672/", "amqp://h:5672/", false);
	assert_scrubbed("amqp://me:@h", "amqp://me:@h", false);
	assert_scrubbed("see http://a:b@c", "see http://a:b@c", false); /* no broker's */
}

static const char *settled_url(struct prepared *p, int argc, char *argv[])
{
	char why[OPTION_WHY_MAX];

	if (prepare(p, COMMAND_FEED, argc, argv, why, sizeof why))
		fail_msg("%s", why);
	return p->settings.url;
}

static void the_url_comes_from_flag_file_config_environment_in_that_order(void **state)
{
	struct prepared p;
	char url_file[64], config_file[64];

	write_file(url_file, "amqp://file/  \nrest\n", 0600);
	write_file(config_file, "broker:\n  url: amqp://config/\n", 0600);
	char *argv[] = {"--config", config_file, "--url-file", url_file, "--url", "amqp://flag/"};

	unsetenv("AMQP_URL");
	assert_string_equal(settled_url(&p, 0, argv), "amqp://localhost");
	prepared_fini(&p);
	setenv("AMQP_URL", "amqp://environment/", 1);
	assert_string_equal(settled_url(&p, 0, argv), "amqp://environment/");
	prepared_fini(&p);
	assert_string_equal(settled_url(&p, 2, argv), "amqp://config/");
	prepared_fini(&p);
	assert_string_equal(settled_url(&p, 4, argv), "amqp://file/");
	prepared_fini(&p);
	assert_string_equal(settled_url(&p, 6, argv), "amqp://flag/");
	prepared_fini(&p);
	unsetenv("AMQP_URL");
	unlink(url_file);
	unlink(config_file);
}

static void the_environments_password_replaces_any_but_the_flags(void **state)
{
	struct prepared p;
	char config_file[64];

	write_file(config_file, "broker:\n  password: filed\n", 0600);
	char *argv[] = {"--config", config_file, "--url", "amqp://me:mine@h"};
	assert_non_null(settled_url(&p, 2, argv));
	assert_string_equal(p.settings.password, "filed");
	prepared_fini(&p);
	setenv("HAREWIRE_PASSWORD", "environment", 1);
	assert_non_null(settled_url(&p, 2, argv));
	assert_string_equal(p.settings.password, "environment");
	prepared_fini(&p);
	assert_non_null(settled_url(&p, 4, argv));
	assert_null(p.settings.password); /* the library takes the URL's */
	prepared_fini(&p);
	unsetenv("HAREWIRE_PASSWORD");
	unlink(config_file);
}

/* Prepared as `command`; the caller frees it. */
static const char *refusal(struct prepared *p, enum subcommand command, int argc, char *argv[])
{
	static char why[OPTION_WHY_MAX];

	return prepare(p, command, argc, argv, why, sizeof why) ? why : NULL;
}

static void a_password_file_is_left_to_the_library_and_read_for_consume(void **state)
{
	struct prepared p;
	char file[64];

	write_file(file, "hush\n", 0600);
	char *argv[] = {"--password-file", file};
	setenv("HAREWIRE_PASSWORD", "environment", 1);
	assert_null(refusal(&p, COMMAND_FEED, 2, argv));
	assert_string_equal(p.settings.password_file, file);
	assert_null(p.settings.password); /* which would be another one */
	prepared_fini(&p);
	assert_null(refusal(&p, COMMAND_CONSUME, 2, argv));
	assert_string_equal(p.settings.password, "hush");
	prepared_fini(&p);
	unsetenv("HAREWIRE_PASSWORD");
	assert_int_equal(chmod(file, 0644), 0);
	assert_says(refusal(&p, COMMAND_FEED, 2, argv), "has mode 0644");
	prepared_fini(&p);
	unlink(file);
	assert_says(refusal(&p, COMMAND_FEED, 2, argv), "cannot read the password file");
	prepared_fini(&p);
}

static void a_credential_is_a_file_where_systemd_says(void **state)
{
	char *argv[] = {"--password-credential", "amqp"}, *wrong[] = {"--password-credential", "../amqp"};
	char directory[] = "/tmp/harewire-test-XXXXXX", file[64], path[64];
	struct prepared p;

	unsetenv("CREDENTIALS_DIRECTORY");
	assert_says(refusal(&p, COMMAND_FEED, 2, argv), "$CREDENTIALS_DIRECTORY is not set");
	prepared_fini(&p);
	assert_non_null(mkdtemp(directory));
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	write_file(file, "hush", 0440);
	snprintf(path, sizeof path, "%s/amqp", directory);
	assert_int_equal(rename(file, path), 0);
	assert_null(refusal(&p, COMMAND_FEED, 2, argv));
	assert_string_equal(p.settings.password_file, path);
	prepared_fini(&p);
	assert_says(refusal(&p, COMMAND_FEED, 2, wrong), "'../amqp' is not the name of a file");
	prepared_fini(&p);
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink(path);
	rmdir(directory);
}

static void of_several_passwords_the_command_lines_counts_and_two_of_those_are_refused(void **state)
{
	char config[64], file[64], text[128];
	struct prepared p;

	write_file(file, "hush", 0600);
	snprintf(text, sizeof text, "broker:\n  password: filed\n  password-file: %s\n", file);
	write_file(config, text, 0600);
	char *argv[] = {"--config", config, "--url", "amqp://me:mine@h", "--password-file", file};
	assert_null(refusal(&p, COMMAND_FEED, 2, argv));
	assert_string_equal(p.settings.password_file, file);
	assert_null(p.settings.password);
	prepared_fini(&p);
	assert_null(refusal(&p, COMMAND_FEED, 4, argv)); /* the URL's counts */
	assert_null(p.settings.password_file);
	assert_null(p.settings.password);
	prepared_fini(&p);
	assert_says(refusal(&p, COMMAND_FEED, 6, argv), "--url has a password already");
	prepared_fini(&p);
	char *both[] = {"--password-file", file, "--password-credential", "amqp"};
	assert_says(refusal(&p, COMMAND_FEED, 4, both), "give one of them");
	prepared_fini(&p);
	char *other[] = {"--config", config, "--password-credential", "amqp"};
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_says(refusal(&p, COMMAND_FEED, 4, other),
		    "$CREDENTIALS_DIRECTORY"); /* the flag is the one that counts */
	prepared_fini(&p);
	unlink(config);
	unlink(file);
}

static void amqps_and_nonsense_are_refused_with_one_sentence(void **state)
{
	static const char *const urls[] = {"amqps://u:hush@h", "http://u:hush@h", "amqp://u:hush@h:99999/"};
	struct prepared p;
	char why[OPTION_WHY_MAX];

	for (int i = 0; i < 3; i++) {
		char *argv[] = {"--url", (char *)urls[i]};
		assert_true(prepare(&p, COMMAND_FEED, 2, argv, why, sizeof why) < 0);
		assert_null(strstr(why, "hush"));
		assert_null(strchr(why, '\n'));
		if (i == 0)
			assert_says(why, "amqps");
		prepared_fini(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_in_a_url_is_overwritten_where_ps_would_see_it),
		cmocka_unit_test(the_url_comes_from_flag_file_config_environment_in_that_order),
		cmocka_unit_test(the_environments_password_replaces_any_but_the_flags),
		cmocka_unit_test(a_password_file_is_left_to_the_library_and_read_for_consume),
		cmocka_unit_test(a_credential_is_a_file_where_systemd_says),
		cmocka_unit_test(of_several_passwords_the_command_lines_counts_and_two_of_those_are_refused),
		cmocka_unit_test(amqps_and_nonsense_are_refused_with_one_sentence),
	};
	return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
