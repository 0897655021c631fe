/* Transports of our own TCP over packet drivers: what they have in common, and the workers of one DPDK device. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "control/transports_internal.h"
#include "dataplane/base/error.h"
#include "dataplane/tcp_stream.h"
#include "drivers/dpdk/dpdk.h"

#define EAL_BYTES 2048u

static int say(int code, const char *sentence, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "%s", sentence);
	return code;
}

int transport_add_tcp(struct driver *driver, struct side_channel *side, struct transport_choice *choice, char *why,
		      size_t why_bytes)
{
	struct tcp_transport_options tcp = {.streams = STREAMS_MAX, .side = side};
	const struct driver_info *info = &driver->info;
	int err = 0;
	tcp_config_init(&tcp.tcp);
	tcp.tcp.mtu = info->mtu;
	if (getrandom(tcp.isn_secret, sizeof tcp.isn_secret, 0) != (ssize_t)sizeof tcp.isn_secret)
		err = HW_ERR_SYSTEM;
	if (!err)
		err = tcp_transport_create(driver, &tcp, &choice->transport);
	if (err) {
		driver->ops->destroy(driver);
		return say(err, hw_error_sentence(err), why, why_bytes);
	}
	choice->driver = driver;
	choice->packets = true;
	snprintf(choice->name, sizeof choice->name, "%s", info->name);
	snprintf(choice->mode, sizeof choice->mode, "%s", info->mode);
	snprintf(choice->reason, sizeof choice->reason, "%s", info->reason);
	snprintf(choice->device, sizeof choice->device, "%s", info->device);
	return 0;
}

/* ---- DPDK ---- */

static enum dpdk_use dpdk_use(enum harewire_use use)
{
	return use == HAREWIRE_USE_ON ? DPDK_USE_ON : use == HAREWIRE_USE_OFF ? DPDK_USE_OFF : DPDK_USE_AUTO;
}

static int create_driver(const struct transport_request *r, struct driver **driver, char *why, size_t why_bytes)
{
	char eal[EAL_BYTES];
	if ((size_t)snprintf(eal, sizeof eal, "%s%s", r->telemetry ? "--telemetry " : "", r->eal ? r->eal : "") >=
	    sizeof eal)
		return say(HW_ERR_INVALID, "the EAL arguments are too long", why, why_bytes);
	const struct dpdk_options options = {.device = r->device,
					     .eal = eal,
					     .mtu = (uint16_t)(r->mtu <= UINT16_MAX ? r->mtu : UINT16_MAX),
					     .vlan = transport_is_exclusive(r) ? (uint16_t)r->vlan : 0,
					     .cpu = r->cpu,
					     .queue = (uint16_t)r->queue,
					     .queues = (uint16_t)r->queues,
					     .shared = !transport_is_exclusive(r),
					     .interface = r->interface,
					     .checksum = dpdk_use(r->checksum),
					     .tso = dpdk_use(r->tso)};
	return dpdk_create(&options, driver, why, why_bytes);
}

/* All of the device's queue pairs, or none. */
static int create_drivers(const struct transport_seat *seats, uint32_t n, struct driver **drivers, char *why,
			  size_t why_bytes)
{
	for (uint32_t i = 0; i < n; i++) {
		int err = create_driver(seats[i].request, &drivers[i], why, why_bytes);
		if (!err)
			continue;
		while (i-- > 0)
			drivers[i]->ops->destroy(drivers[i]);
		return err;
	}
	return 0;
}

/* A device that shares the kernel's address must be the one that the way to the broker leads through. */
static int check_shared(const struct driver *driver, const struct route *route, char *why, size_t why_bytes)
{
	const struct driver_info *info = &driver->info;
	struct transport_request same = {.interface = info->interface[0] ? info->interface : info->device};
	if (!info->shared_address) {
		snprintf(why, why_bytes,
			 "%s cannot share an interface with the kernel, so it is taken for this driver alone and needs "
			 "an address of its own: --address 10.1.2.3/24",
			 info->device);
		return HW_ERR_INVALID;
	}
	return transport_check_interface(&same, route, why, why_bytes);
}

/* One TCP for each driver; those not reached are destroyed. */
static int add_tcps(const struct transport_seat *seats, uint32_t n, struct driver **drivers, struct nic *nic, char *why,
		    size_t why_bytes)
{
	int err = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct side_channel *side = nic && !err ? nic_add_worker(nic, drivers[i]->info.queue) : NULL;
		if (!err && nic && !side)
			err = say(HW_ERR_NOMEM, hw_error_sentence(HW_ERR_NOMEM), why, why_bytes);
		if (err)
			drivers[i]->ops->destroy(drivers[i]);
		else
			err = transport_add_tcp(drivers[i], side, seats[i].choice, why, why_bytes);
		if (!err)
			seats[i].choice->nic = nic;
	}
	for (uint32_t i = 0; err && i < n; i++)
		transport_release(seats[i].choice);
	return err;
}

static void destroy_drivers(struct driver **drivers, uint32_t n)
{
	while (n-- > 0)
		drivers[n]->ops->destroy(drivers[n]);
}

static int choose_shared(const struct transport_seat *seats, uint32_t n, const struct route *route, char *why,
			 size_t why_bytes)
{
	struct driver *drivers[HAREWIRE_WORKERS_MAX];
	int err = create_drivers(seats, n, drivers, why, why_bytes);
	if (err)
		return err;
	err = check_shared(drivers[0], route, why, why_bytes);
	if (err) {
		destroy_drivers(drivers, n);
		return err;
	}
	return add_tcps(seats, n, drivers, NULL, why, why_bytes);
}

static int choose_exclusive(const struct transport_seat *seats, uint32_t n, char *why, size_t why_bytes)
{
	const struct transport_request *r = seats[0].request;
	struct driver *drivers[HAREWIRE_WORKERS_MAX];
	struct nic_address address;
	struct nic *nic;
	int err = nic_address_parse(r->address, r->gateway, r->vlan, &address, why, why_bytes);
	if (!err)
		err = create_drivers(seats, n, drivers, why, why_bytes);
	if (err)
		return err;
	if (nic_create(&address, drivers[0], &nic)) {
		destroy_drivers(drivers, n);
		return say(HW_ERR_NOMEM, hw_error_sentence(HW_ERR_NOMEM), why, why_bytes);
	}
	err = add_tcps(seats, n, drivers, nic, why, why_bytes);
	if (err)
		nic_destroy(nic);
	else
		seats[0].choice->owns_nic = true;
	return err;
}

int transport_choose_port(const struct transport_seat *seats, uint32_t n, const struct route *route, char *why,
			  size_t why_bytes)
{
	for (uint32_t i = 0; i < n; i++)
		memset(seats[i].choice, 0, sizeof *seats[i].choice);
	return transport_is_exclusive(seats[0].request) ? choose_exclusive(seats, n, why, why_bytes)
							: choose_shared(seats, n, route, why, why_bytes);
}
