/* The subcommands, and what they share: exit codes and the way to complain. */
#ifndef HAREWIRE_COMMAND_H
#define HAREWIRE_COMMAND_H

#include "control/command/settings.h"

enum exit_code {
	EXIT_GOOD = 0,
	EXIT_MISSING = 1, /* something failed, or some message has no good outcome */
	EXIT_USAGE = 2,
};

int publish_main(struct settings *settings);
int feed_main(struct settings *settings);
int consume_main(struct settings *settings);
int stat_main(struct settings *settings);
int capture_main(struct settings *settings);
int trace_main(struct settings *settings);

/* "harewire: " and one sentence, on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
