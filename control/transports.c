#include "control/transports_internal.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dataplane/base/error.h"
#include "drivers/af_xdp/af_xdp.h"
#include "drivers/kernel/kernel_stream.h"

bool transport_known(const char *driver)
{
	return !strcmp(driver, "auto") || !strcmp(driver, "af_xdp") || !strcmp(driver, "dpdk") ||
	       !strcmp(driver, "kernel");
}

bool transport_is_made_together(const struct transport_request *request)
{
	return !strcmp(request->driver, "dpdk");
}

bool transport_is_exclusive(const struct transport_request *request)
{
	return !strcmp(request->driver, "dpdk") && request->address;
}

/* ---- which of them share a device ---- */

/* The name of a device without its arguments. The PCI domain may be left out, and its digits may be capitals. */
static size_t device_name(const char **device)
{
	if (!strncmp(*device, "0000:", 5))
		*device += 5;
	return strcspn(*device, ",");
}

static bool same_name(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool transport_same_device(const struct transport_request *a, const struct transport_request *b)
{
	bool a_dpdk = !strcmp(a->driver, "dpdk"), b_dpdk = !strcmp(b->driver, "dpdk");
	if (!strcmp(a->driver, "kernel") || !strcmp(b->driver, "kernel") || a_dpdk != b_dpdk)
		return false;
	if (!a_dpdk)
		return same_name(a->interface, b->interface);
	if (!a->device || !b->device)
		return a->device == b->device;
	const char *x = a->device, *y = b->device;
	size_t x_len = device_name(&x), y_len = device_name(&y);
	return x_len == y_len && !strncasecmp(x, y, x_len);
}

/* ---- the choice ---- */

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

int transport_check_interface(const struct transport_request *request, const struct route *route, char *why,
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

static int choose_af_xdp(const struct transport_request *request, const struct route *route,
			 struct transport_choice *choice, char *why, size_t why_bytes)
{
	int err = transport_check_interface(request, route, why, why_bytes);
	if (err)
		return err;
	struct af_xdp_options options = {.interface = route->interface, .queue = request->queue};
	struct driver *driver;
	err = af_xdp_create(&options, &driver, why, why_bytes);
	if (err)
		return err;

	return transport_add_tcp(driver, NULL, choice, why, why_bytes);
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
	return choose_best(request, route, choice, why, why_bytes);
}

int transport_check(const struct transport_choice *choice, const struct route *route, char *why, size_t why_bytes)
{
	bool shares = choice->packets && !choice->nic;
	const char *interface = shares ? choice->driver->info.interface : NULL;
	struct transport_request same = {.interface = shares && *interface ? interface : choice->device};
	return shares ? transport_check_interface(&same, route, why, why_bytes) : 0;
}

void transport_release(struct transport_choice *choice)
{
	if (choice->transport)
		choice->transport->ops->destroy(choice->transport);
	choice->transport = NULL;
	choice->driver = NULL;
}

void transport_release_shared(struct transport_choice *choice)
{
	if (choice->owns_nic)
		nic_destroy(choice->nic);
	memset(choice, 0, sizeof *choice);
}

static void describe_offloads(const struct driver_info *driver, char *text, size_t bytes)
{
	const char *sums = driver->tx_checksum && driver->rx_checksum ? "checksums"
			   : driver->tx_checksum                      ? "transmit checksums"
			   : driver->rx_checksum                      ? "receive checksums"
								      : "";
	snprintf(text, bytes, "%s%s%s", sums, *sums && driver->tso_bytes ? ", " : "", driver->tso_bytes ? "TSO" : "");
}

void transport_describe(const struct transport_choice *choice, struct harewire_driver_info *info)
{
	copy(info->driver, sizeof info->driver, choice->name);
	copy(info->mode, sizeof info->mode, choice->mode);
	copy(info->reason, sizeof info->reason, choice->reason);
	copy(info->device, sizeof info->device, choice->device);
	if (choice->driver) {
		struct driver_stats stats;
		info->queue = choice->driver->info.queue;
		copy(info->steering, sizeof info->steering, choice->driver->info.steering);
		describe_offloads(&choice->driver->info, info->offloads, sizeof info->offloads);
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
