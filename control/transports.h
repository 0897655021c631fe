/*
 * Which transport carries a worker's connections: the choice behind `driver: auto`, and what is said about it.
 * Control thread, except transport_describe.
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

#define TRANSPORT_REQUEST_STRINGS 6u

/* What one worker wants. Strings that are not given are NULL. */
struct transport_request {
	const char *driver;    /* "auto", "af_xdp", "dpdk", "kernel" */
	const char *interface; /* NULL: the route's */
	int queue;             /* of the device */
	int queues;            /* how many workers the device has */
	int cpu;               /* the worker's, or -1 */
	/* dpdk: as in harewire_options */
	const char *device, *address, *gateway, *eal;
	uint32_t vlan, mtu;
	enum harewire_use checksum, tso;
	bool telemetry; /* the EAL's socket is to be there */
};

struct transport_choice {
	struct transport *transport;
	struct driver *driver; /* NULL for `kernel` */
	bool packets;          /* TCP is ours: addresses, neighbours and ports have to be found */
	struct nic *nic;       /* they are found here where the port is ours alone, else by asking the kernel (NULL) */
	bool owns_nic;         /* of the workers that share it, one */
	char name[16], mode[32], reason[320], device[32];
};

/* A worker of a device, and where to put its choice. */
struct transport_seat {
	const struct transport_request *request;
	struct transport_choice *choice;
};

/* Is this a driver's name at all? */
bool transport_known(const char *driver);

/* Does it want a port for itself, with an address of its own? Then the kernel's routes do not matter. */
bool transport_is_exclusive(const struct transport_request *request);

/* Is it a queue of the same device that both want? */
bool transport_same_device(const struct transport_request *a, const struct transport_request *b);

/* Do the transports of all workers of its device have to be made at the same time, by transport_choose_port? */
bool transport_is_made_together(const struct transport_request *request);

/* Creates the transport for a broker reached by `route`. 0, or HW_ERR_* and a sentence in `why`. */
int transport_choose(const struct transport_request *request, const struct route *route,
		     struct transport_choice *choice, char *why, size_t why_bytes);

/*
 * The transports of all `n` workers of one DPDK device, which share its address: all or none. `route` is not looked at
 * where the port is to be exclusive. 0, or HW_ERR_* and a sentence in `why`.
 */
int transport_choose_port(const struct transport_seat *seats, uint32_t n, const struct route *route, char *why,
			  size_t why_bytes);

/* May another broker, reached by `route`, use the transport that was chosen? 0, or HW_ERR_* and a sentence. */
int transport_check(const struct transport_choice *choice, const struct route *route, char *why, size_t why_bytes);

/* Destroys what a choice has made; no worker uses it any more. What several share goes with the second call. */
void transport_release(struct transport_choice *choice);
void transport_release_shared(struct transport_choice *choice);

/* What it is and what it has sent so far. Any thread, while the transport lives. */
void transport_describe(const struct transport_choice *choice, struct harewire_driver_info *info);

#endif
