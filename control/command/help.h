/* The help texts, made from the table of options. */
#ifndef HAREWIRE_COMMAND_HELP_H
#define HAREWIRE_COMMAND_HELP_H

#include <stdio.h>

#include "control/command/settings.h"

/* Of one subcommand; or of the command as a whole. */
void help_print_subcommand(FILE *out, enum subcommand command);
void help_print(FILE *out);

#endif
