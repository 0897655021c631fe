#include "control/command/interrupt.h"

#include <signal.h>
#include <string.h>

/* A signal handler has nothing else to write to. */
static volatile sig_atomic_t seen;

static void note(int signal_number)
{
	(void)signal_number;
	seen = 1;
}

void interrupt_catch(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = note;
	action.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool interrupt_seen(void)
{
	return seen;
}
