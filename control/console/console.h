/*
 * The control socket of a running engine: tells its figures and captures its packets, for who asks in lines of JSON
 * (request.h). It has a thread of its own, which asks the control thread and writes files, so that a slow client or
 * a slow disk holds up nobody else.
 */
#ifndef HAREWIRE_CONSOLE_H
#define HAREWIRE_CONSOLE_H

#include <stddef.h>

#include "control/supervisor.h"

struct console;

#define CONSOLE_CLIENTS 8u /* at once; one more, and the one silent longest has to go */

/* `path`: of the socket to be made. 0, or HW_ERR_* and a sentence in `why`. */
int console_create(struct supervisor *supervisor, const char *path, struct console **out, char *why, size_t why_bytes);

/*
 * Ends a capture that runs, and removes the socket. The workers' threads have ended by now, the control thread has not.
 * NULL is allowed.
 */
void console_destroy(struct console *console);

#endif
