/* The one symbol that packetdrill looks for. */
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
	*interface = (struct packetdrill_interface){.userdata = s, .free = release};
	calls_fill(interface);
	interface->getsockopt = sockopt_get;
	interface->setsockopt = sockopt_set;
	interface->netdev_send = stack_packet_in;
	interface->netdev_receive = stack_packet_out;
	interface->usleep = stack_usleep;
	interface->gettimeofday = stack_gettimeofday;
}
