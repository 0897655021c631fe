/*
 * Which transport carries a worker's connections: the choice behind `driver: auto`, and what is said about it.
 * Control thread, except transports_describe.
 */
#ifndef HAREWIRE_TRANSPORTS_H
#define HAREWIRE_TRANSPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/netlink/route.h"
#include "control/nic/nic.h"
#include "dataplane/harewire.h"
#include "dataplane/stream.h"
#include "drivers/driver.h"

struct transport_request {
	const char *driver;    /* "auto", "af_xdp", "dpdk", "kernel" */
	const char *interface; /* NULL: the route's */
	int queue;
	int cpu; /* the worker's, or -1 */
	/* dpdk: as in harewire_options */
	const char *device, *address, *gateway, *eal;
	uint32_t vlan, mtu;
};

struct transport_choice {
	struct transport *transport;
	struct driver *driver; /* NULL for `kernel` */
	bool packets;          /* TCP is ours: addresses, neighbours and ports have to be found */
	struct nic *nic;       /* they are found here where the port is ours alone, else by asking the kernel (NULL) */
	char name[16], mode[32], reason[320], device[32];
};

/* Is this a driver's name at all? */
bool transport_known(const char *driver);

/* Does that driver take a port for itself? Then the kernel's routes do not matter. */
bool transport_is_exclusive(const char *driver);

/* Creates the transport for a broker reached by `route` (not looked at for exclusive drivers). 0, or HW_ERR_* and a
 * sentence in `why`. */
int transport_choose(const struct transport_request *request, const struct route *route,
		     struct transport_choice *choice, char *why, size_t why_bytes);

/* May another broker, reached by `route`, use the transport that was chosen? 0, or HW_ERR_* and a sentence. */
int transport_check(const struct transport_choice *choice, const struct route *route, char *why, size_t why_bytes);

/* Destroys what transport_choose made; no worker uses it any more. */
void transport_release(struct transport_choice *choice);

/* What it is and what it has sent so far. Any thread, while the transport lives. */
void transport_describe(const struct transport_choice *choice, struct harewire_driver_info *info);

#endif
