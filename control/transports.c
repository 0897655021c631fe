#include "control/transports.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/base/error.h"
#include "dataplane/tcp_stream.h"
#include "drivers/af_xdp/af_xdp.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/kernel/kernel_stream.h"

bool transport_known(const char *driver)
{
	return !strcmp(driver, "auto") || !strcmp(driver, "af_xdp") || !strcmp(driver, "dpdk") ||
	       !strcmp(driver, "kernel");
}

bool transport_is_exclusive(const char *driver)
{
	return !strcmp(driver, "dpdk");
}

static void copy(char *dst, size_t cap, const char *src)
{
	snprintf(dst, cap, "%s", src);
}

static int choose_kernel(const struct transport_request *request, const struct route *route,
			 struct transport_choice *choice, const char *reason, char *why, size_t why_bytes)
{
	int err = kernel_transport_create(STREAMS_MAX, &choice->transport);
	if (err) {
		copy(why, why_bytes, hw_error_sentence(err));
		return err;
	}
	choice->packets = false;
	copy(choice->name, sizeof choice->name, "kernel");
	copy(choice->mode, sizeof choice->mode, "socket");
	copy(choice->reason, sizeof choice->reason, reason);
	copy(choice->device, sizeof choice->device, route->interface);
	return 0;
}

static int check_interface(const struct transport_request *request, const struct route *route, char *why,
			   size_t why_bytes)
{
	if (route->loopback) {
		snprintf(why, why_bytes,
			 "the broker is on this host (route through %s): a packet driver cannot reach it, use the "
			 "driver "
			 "'kernel'",
			 route->interface);
		return HW_ERR_UNSUPPORTED;
	}
	if (request->interface && if_nametoindex(request->interface) == 0) {
		snprintf(why, why_bytes, "there is no network interface %s", request->interface);
		return HW_ERR_INVALID;
	}
	if (request->interface && strcmp(request->interface, route->interface) != 0) {
		snprintf(why, why_bytes, "the route to the broker leads through %s, not through %s", route->interface,
			 request->interface);
		return HW_ERR_INVALID;
	}
	if (!route->up) {
		snprintf(why, why_bytes, "interface %s is down or has no carrier", route->interface);
		return HW_ERR_LINK_DOWN;
	}
	return 0;
}

/* Our TCP over a packet driver, which is taken over. */
static int add_tcp(struct driver *driver, struct side_channel *side, struct transport_choice *choice, char *why,
		   size_t why_bytes)
{
	struct tcp_transport_options tcp = {.streams = STREAMS_MAX, .side = side};
	int err = 0;
	tcp_config_init(&tcp.tcp);
	tcp.tcp.mtu = driver->info.mtu;
	if (getrandom(tcp.isn_secret, sizeof tcp.isn_secret, 0) != (ssize_t)sizeof tcp.isn_secret)
		err = HW_ERR_SYSTEM;
	if (!err)
		err = tcp_transport_create(driver, &tcp, &choice->transport);
	if (err) {
		copy(why, why_bytes, hw_error_sentence(err));
		driver->ops->destroy(driver);
		return err;
	}
	choice->driver = driver;
	choice->packets = true;
	copy(choice->name, sizeof choice->name, driver->info.name);
	copy(choice->mode, sizeof choice->mode, driver->info.mode);
	copy(choice->reason, sizeof choice->reason, driver->info.reason);
	copy(choice->device, sizeof choice->device, driver->info.device);
	return 0;
}

static int choose_af_xdp(const struct transport_request *request, const struct route *route,
			 struct transport_choice *choice, char *why, size_t why_bytes)
{
	int err = check_interface(request, route, why, why_bytes);
	if (err)
		return err;
	struct af_xdp_options options = {.interface = route->interface, .queue = request->queue};
	struct driver *driver;
	err = af_xdp_create(&options, &driver, why, why_bytes);
	if (err)
		return err;

	return add_tcp(driver, NULL, choice, why, why_bytes);
}

/* A device of DPDK's, with an address of its own. */
static int choose_dpdk(const struct transport_request *request, struct transport_choice *choice, char *why,
		       size_t why_bytes)
{
	struct dpdk_options options = {.device = request->device,
				       .eal = request->eal,
				       .mtu = (uint16_t)(request->mtu <= UINT16_MAX ? request->mtu : UINT16_MAX),
				       .cpu = request->cpu};
	struct nic_address address;
	struct driver *driver;
	int err = nic_address_parse(request->address, request->gateway, request->vlan, &address, why, why_bytes);
	options.vlan = err ? 0 : address.vlan;
	if (!err)
		err = dpdk_create(&options, &driver, why, why_bytes);
	if (err)
		return err;
	struct nic *nic = NULL;
	struct side_channel *side = nic_create(&address, driver, &nic) == 0 ? nic_add_worker(nic) : NULL;
	if (!side) {
		nic_destroy(nic);
		driver->ops->destroy(driver);
		copy(why, why_bytes, hw_error_sentence(HW_ERR_NOMEM));
		return HW_ERR_NOMEM;
	}
	err = add_tcp(driver, side, choice, why, why_bytes);
	if (err)
		nic_destroy(nic);
	else
		choice->nic = nic;
	return err;
}

/* The best that works here. */
static int choose_best(const struct transport_request *request, const struct route *route,
		       struct transport_choice *choice, char *why, size_t why_bytes)
{
	char refused[sizeof choice->reason - 32];
	if (route->loopback)
		return choose_kernel(request, route, choice, "auto: the broker is on this host", why, why_bytes);
	if (choose_af_xdp(request, route, choice, refused, sizeof refused) == 0) {
		if (!choice->reason[0])
			copy(choice->reason, sizeof choice->reason, "auto: AF_XDP works here");
		return 0;
	}
	char reason[sizeof choice->reason];
	snprintf(reason, sizeof reason, "auto: no AF_XDP: %s", refused);
	return choose_kernel(request, route, choice, reason, why, why_bytes);
}

int transport_choose(const struct transport_request *request, const struct route *route,
		     struct transport_choice *choice, char *why, size_t why_bytes)
{
	memset(choice, 0, sizeof *choice);
	if (!strcmp(request->driver, "kernel"))
		return choose_kernel(request, route, choice, "", why, why_bytes);
	if (!strcmp(request->driver, "af_xdp"))
		return choose_af_xdp(request, route, choice, why, why_bytes);
	if (transport_is_exclusive(request->driver))
		return choose_dpdk(request, choice, why, why_bytes);
	return choose_best(request, route, choice, why, why_bytes);
}

int transport_check(const struct transport_choice *choice, const struct route *route, char *why, size_t why_bytes)
{
	struct transport_request same = {.interface = choice->device};
	return choice->packets && !choice->nic ? check_interface(&same, route, why, why_bytes) : 0;
}

void transport_release(struct transport_choice *choice)
{
	if (choice->transport)
		choice->transport->ops->destroy(choice->transport);
	nic_destroy(choice->nic);
	memset(choice, 0, sizeof *choice);
}

void transport_describe(const struct transport_choice *choice, struct harewire_driver_info *info)
{
	copy(info->driver, sizeof info->driver, choice->name);
	copy(info->mode, sizeof info->mode, choice->mode);
	copy(info->reason, sizeof info->reason, choice->reason);
	copy(info->device, sizeof info->device, choice->device);
	if (choice->driver) {
		struct driver_stats stats;
		choice->driver->ops->stats(choice->driver, &stats);
		info->packets_sent = stats.tx_packets;
		info->packets_received = stats.rx_packets;
		info->packets_dropped = stats.tx_dropped + stats.rx_dropped;
		info->kicks = stats.kicks;
	} else if (choice->transport) {
		struct kernel_transport_stats stats;
		kernel_transport_stats(choice->transport, &stats);
		info->packets_sent = stats.segments_sent;
		info->packets_received = stats.segments_received;
		info->kicks = stats.writes;
	}
}
