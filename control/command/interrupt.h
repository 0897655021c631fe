/* SIGINT and SIGTERM: the first asks to stop in good order, the second ends the process as usual. */
#ifndef HAREWIRE_COMMAND_INTERRUPT_H
#define HAREWIRE_COMMAND_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);
bool interrupt_seen(void);

#endif
