/* The symbols that packetdrill and our runner look for. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/packetdrill/stack.h"

static void release(void *userdata)
{
	stack_fini(userdata);
	free(userdata);
}

__attribute__((visibility("default"))) packetdrill_interface_init_fn packetdrill_interface_init;

/* The interface has no way to say that it failed. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface)
{
	char wrong[64];
	struct stack *s = malloc(sizeof *s);
	if (!s)
		abort();
	stack_init(s);
	if (!stack_set_flags(s, flags, wrong)) {
		fprintf(stderr,
			"harewire_packetdrill.so: --so_flags: '%s' is no flag=value that it knows, or is out of "
			"range: see tests/packetdrill/flags.c\n",
			wrong);
		exit(EXIT_FAILURE);
	}
	calls_fill(&s->calls_unlocked);
	s->calls_unlocked.getsockopt = sockopt_get;
	s->calls_unlocked.setsockopt = sockopt_set;
	s->calls_unlocked.netdev_send = stack_packet_in;
	s->calls_unlocked.netdev_receive = stack_packet_out;
	s->calls_unlocked.usleep = stack_usleep;
	s->calls_unlocked.gettimeofday = stack_gettimeofday;
	*interface = (struct packetdrill_interface){.userdata = s, .free = release};
	locked_fill(interface);
}
