/* The harewire command: finds the subcommand, settles its settings, runs it. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/command/command.h"
#include "control/command/help.h"
#include "control/command/options.h"
#include "control/command/prepare.h"
#include "control/command/report.h"
#include "control/command/secrets.h"
#include "dataplane/harewire.h"

static const struct {
	const char *name;
	enum subcommand command;
	int (*main)(struct settings *settings);
} subcommands[] = {
	{"publish", COMMAND_PUBLISH, publish_main}, {"feed", COMMAND_FEED, feed_main},
	{"consume", COMMAND_CONSUME, consume_main}, {"stat", COMMAND_STAT, stat_main},
	{"capture", COMMAND_CAPTURE, capture_main}, {"trace", COMMAND_TRACE, trace_main},
};

#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof subcommands[0])

static int find_subcommand(const char *name)
{
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		if (strcmp(subcommands[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* Options that could not be settled may still have said in which form to hear of it. */
static bool wants_json(int argc, char *const argv[])
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
			return true;
	return false;
}

static int run_subcommand(int index, int argc, char *const argv[])
{
	struct prepared prepared;
	char why[OPTION_WHY_MAX];
	int status;

	if (prepare(&prepared, subcommands[index].command, argc, argv, why, sizeof why)) {
		report_refused(subcommands[index].command, wants_json(argc, argv), why);
		status = EXIT_USAGE;
	} else if (prepared.settings.help) {
		help_print_subcommand(stdout, subcommands[index].command);
		status = EXIT_GOOD;
	} else {
		status = subcommands[index].main(&prepared.settings);
	}
	prepared_fini(&prepared);
	return status;
}

static int help_main(int argc, char *const argv[])
{
	int index = argc > 0 ? find_subcommand(argv[0]) : -1;

	if (argc > 0 && index < 0) {
		complain("there is no subcommand '%s': publish, feed, consume, stat, capture, trace, help, version",
			 argv[0]);
		return EXIT_USAGE;
	}
	if (index >= 0)
		help_print_subcommand(stdout, subcommands[index].command);
	else
		help_print(stdout);
	return EXIT_GOOD;
}

static int dispatch(int argc, char *const argv[])
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		complain("say what to do: publish, feed, consume, stat, capture, trace, help, version");
		return EXIT_USAGE;
	}
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return help_main(argc - 2, argv + 2);
	if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
		printf("harewire %s\n", harewire_version());
		return EXIT_GOOD;
	}
	int index = find_subcommand(name);
	if (index < 0) {
		complain("there is no subcommand '%s': publish, feed, consume, stat, capture, trace, help, version",
			 name);
		return EXIT_USAGE;
	}
	return run_subcommand(index, argc - 2, argv + 2);
}

int main(int argc, char *argv[])
{
	bool password_seen;
	char **arguments = secrets_take_arguments(argc, argv, &password_seen);

	if (!arguments) {
		complain("out of memory");
		return EXIT_MISSING;
	}
	if (password_seen)
		complain("warning: a password on the command line is seen by others; use AMQP_URL, --url-file or a "
			 "config file");
	int status = dispatch(argc, arguments);
	secrets_free_arguments(arguments);
	return status;
}
