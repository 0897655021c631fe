/* Set-up of the AF_XDP driver: modes, flows, queues, the end. Control thread. */
#include "drivers/af_xdp/af_xdp.h"

#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/base/error.h"
#include "drivers/af_xdp/instance.h"
#include "drivers/ntuple.h"

#define FRAMES_DEFAULT 2048u
#define FRAMES_MIN     64u
#define FRAMES_MAX     32768u
/* A queue that is only listened to: what the others of the device may bring us is little. */
#define EXTRA_QUEUE_FRAMES 512u

#define LINK_HEADER_BYTES 18u /* Ethernet with one VLAN tag */

struct mode {
	enum af_xdp_mode mode;
	const char *name;
	uint32_t xdp_flags;
	uint16_t bind_flags;
};

/* From the best down. */
static const struct mode MODES[] = {
	{AF_XDP_ZERO_COPY, "native, zero-copy", XDP_FLAGS_DRV_MODE, XDP_ZEROCOPY},
	{AF_XDP_COPY, "native, copy", XDP_FLAGS_DRV_MODE, XDP_COPY},
	{AF_XDP_SKB, "skb, copy", XDP_FLAGS_SKB_MODE, XDP_COPY},
};
#define MODE_COUNT (sizeof MODES / sizeof MODES[0])

static struct af_xdp *af_xdp_of(struct driver *d)
{
	return (struct af_xdp *)d;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int flow_add(struct driver *d, const struct driver_flow *flow)
{
	struct af_xdp *xdp = af_xdp_of(d);
	uint32_t i = 0;
	while (i < OWNED_FLOWS_MAX && xdp->flows[i].used)
		i++;
	if (i == OWNED_FLOWS_MAX)
		return HW_ERR_NOMEM;
	int rc = flow_program_add(xdp->program, flow, xdp->takes_all_queues ? -1 : (int32_t)d->info.queue);
	if (rc)
		return rc;
	xdp->flows[i] = (struct owned_flow){.flow = *flow, .steering = -1, .used = true};
	if (d->info.queues > 1)
		xdp->flows[i].steering = ntuple_add(xdp->device.name, flow, -1, d->info.queue);
	return 0;
}

static void forget(struct af_xdp *xdp, struct owned_flow *owned)
{
	if (owned->steering >= 0)
		ntuple_remove(xdp->device.name, owned->steering);
	flow_program_remove(xdp->program, &owned->flow);
	owned->used = false;
}

static bool same_flow(const struct driver_flow *a, const struct driver_flow *b)
{
	return a->local_ip == b->local_ip && a->remote_ip == b->remote_ip && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port;
}

static void flow_remove(struct driver *d, const struct driver_flow *flow)
{
	struct af_xdp *xdp = af_xdp_of(d);
	for (uint32_t i = 0; i < OWNED_FLOWS_MAX; i++)
		if (xdp->flows[i].used && same_flow(&xdp->flows[i].flow, flow))
			forget(xdp, &xdp->flows[i]);
}

static bool receives_from(const struct af_xdp *xdp, uint32_t queue_id)
{
	uint32_t count = atomic_load_explicit(&xdp->queue_count, memory_order_relaxed);
	for (uint32_t i = 0; i < count; i++)
		if (xdp->queues[i].id == queue_id)
			return true;
	return false;
}

static int flow_wrong_queue(struct driver *d, const struct driver_flow *flow)
{
	struct af_xdp *xdp = af_xdp_of(d);
	struct flow_state state;
	if (flow_program_state(xdp->program, flow, &state) || state.wrong_queue < 0)
		return -1;
	return receives_from(xdp, (uint32_t)state.wrong_queue) ? -1 : state.wrong_queue;
}

/* Opens the next socket and lets the worker have it; what arrives in between waits in its receive ring. */
static int add_queue(struct af_xdp *xdp, const struct xsk_queue_options *options, const struct why *why)
{
	uint32_t count = atomic_load_explicit(&xdp->queue_count, memory_order_relaxed);
	struct xsk_queue *queue = &xdp->queues[count];
	int rc = xsk_queue_open(queue, &xdp->device, options, why);
	if (rc)
		return rc;
	rc = xsk_queue_publish(queue, flow_program_socket_map(xdp->program));
	if (rc) {
		xsk_queue_close(queue);
		return why_say(why, rc, "%s: the socket of queue %u does not fit the XDP program's map",
			       xdp->device.name, options->id);
	}
	atomic_store_explicit(&xdp->queue_count, count + 1, memory_order_release);
	return 0;
}

static int receive_all_queues(struct driver *d)
{
	struct af_xdp *xdp = af_xdp_of(d);
	for (uint32_t id = 0; id < d->info.queues; id++) {
		if (receives_from(xdp, id))
			continue;
		const struct xsk_queue_options options = {
			.id = id,
			.rx_frames = min_u32(xdp->queues[0].rx_frames, EXTRA_QUEUE_FRAMES),
			.bind_flags = xdp->bind_flags,
		};
		int rc = add_queue(xdp, &options, &(struct why){0});
		if (rc)
			return rc;
	}
	xdp->takes_all_queues = true;
	for (uint32_t i = 0; i < OWNED_FLOWS_MAX; i++)
		if (xdp->flows[i].used)
			flow_program_take_from_all(xdp->program, &xdp->flows[i].flow);
	return 0;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void stats(const struct driver *d, struct driver_stats *out)
{
	const struct af_xdp *xdp = (const struct af_xdp *)d;
	const struct counters *c = &xdp->counters;
	*out = (struct driver_stats){
		.rx_packets = load(&c->rx_packets),
		.rx_bytes = load(&c->rx_bytes),
		.tx_packets = load(&c->tx_packets),
		.tx_bytes = load(&c->tx_bytes),
		.tx_no_buffer = load(&c->tx_no_buffer),
		.tx_dropped = load(&c->tx_dropped),
		.kicks = load(&c->kicks),
	};
	uint32_t count = atomic_load_explicit(&xdp->queue_count, memory_order_acquire);
	for (uint32_t i = 0; i < count; i++) {
		struct xdp_statistics kernel = {0};
		socklen_t len = sizeof kernel;
		if (getsockopt(xdp->queues[i].fd, SOL_XDP, XDP_STATISTICS, &kernel, &len) == 0)
			out->rx_dropped += kernel.rx_dropped + kernel.rx_ring_full;
	}
}

static void destroy(struct driver *d)
{
	struct af_xdp *xdp = af_xdp_of(d);
	for (uint32_t i = 0; xdp->flows && i < OWNED_FLOWS_MAX; i++)
		if (xdp->flows[i].used)
			forget(xdp, &xdp->flows[i]);
	flow_program_close(xdp->program);
	for (uint32_t i = 0; i < atomic_load(&xdp->queue_count); i++)
		xsk_queue_close(&xdp->queues[i]);
	free(xdp->queues);
	free(xdp->flows);
	free(xdp);
}

static const struct driver_ops OPS = {
	.rx_burst = af_xdp_rx_burst,
	.rx_release = af_xdp_rx_release,
	.tx_reserve = af_xdp_tx_reserve,
	.tx_submit = af_xdp_tx_submit,
	.flow_add = flow_add,
	.flow_remove = flow_remove,
	.flow_wrong_queue = flow_wrong_queue,
	.receive_all_queues = receive_all_queues,
	.stats = stats,
	.destroy = destroy,
};

/* Program first: some drivers (i40e, ixgbe) give a socket its transmit ring only while one is attached. */
static int try_mode(struct af_xdp *xdp, const struct mode *mode, uint32_t frames, const struct why *why)
{
	int rc = flow_program_attach(xdp->program, &xdp->device, mode->xdp_flags, why);
	if (rc)
		return rc;
	const struct xsk_queue_options options = {
		.id = xdp->driver.info.queue,
		.rx_frames = frames,
		.tx_frames = frames,
		.bind_flags = mode->bind_flags,
	};
	xdp->bind_flags = mode->bind_flags;
	return add_queue(xdp, &options, why);
}

/* Whatever is not "this mode is not supported" would fail in the next mode too. */
static int choose_mode(struct af_xdp *xdp, enum af_xdp_mode wanted, uint32_t frames, const struct why *why)
{
	struct driver_info *info = &xdp->driver.info;
	int rc = why_say(why, HW_ERR_INVALID, "there is no such AF_XDP mode");
	for (uint32_t i = 0; i < MODE_COUNT; i++) {
		const struct mode *mode = &MODES[i];
		if (wanted != AF_XDP_BEST && wanted != mode->mode)
			continue;
		rc = try_mode(xdp, mode, frames, why);
		if (rc == 0)
			snprintf(info->mode, sizeof info->mode, "%s", mode->name);
		if (rc != HW_ERR_UNSUPPORTED)
			return rc;
		snprintf(info->reason, sizeof info->reason, "%.*s", (int)sizeof info->reason - 1, why->text);
	}
	return rc;
}

static int check_options(const struct af_xdp_options *options, const struct device *device, uint32_t frames,
			 const struct why *why)
{
	int64_t queue = options->queue < 0 ? 0 : options->queue;
	if (queue >= device->rx_queues)
		return why_say(why, HW_ERR_INVALID,
			       "queue %lld is out of range: %s has %u receive queue%s, numbered from 0",
			       (long long)queue, device->name, device->rx_queues, device->rx_queues == 1 ? "" : "s");
	if (queue >= device->tx_queues)
		return why_say(why, HW_ERR_INVALID,
			       "queue %lld of %s cannot transmit: it has %u transmit queue%s, numbered from 0",
			       (long long)queue, device->name, device->tx_queues, device->tx_queues == 1 ? "" : "s");
	if (frames < FRAMES_MIN || frames > FRAMES_MAX || (frames & (frames - 1)))
		return why_say(why, HW_ERR_INVALID, "%u packet buffers for %s: a power of two from %u to %u is needed",
			       frames, device->name, FRAMES_MIN, FRAMES_MAX);
	return 0;
}

static void describe(struct af_xdp *xdp, uint32_t queue)
{
	const struct device *device = &xdp->device;
	struct driver_info *info = &xdp->driver.info;
	strcpy(info->name, "af_xdp");
	strcpy(info->device, device->name);
	memcpy(info->mac, device->mac, sizeof info->mac);
	info->mtu = (uint16_t)min_u32(device->mtu, XSK_FRAME_BYTES - XSK_RX_HEADROOM_BYTES - LINK_HEADER_BYTES);
	info->frame_bytes = XSK_FRAME_BYTES;
	info->queues = device->rx_queues;
	info->queue = queue;
	info->shared_address = true;
	strcpy(info->interface, device->name);
	strcpy(info->steering, device->rx_queues == 1             ? "one queue"
			       : ntuple_is_possible(device->name) ? "ntuple rules, else RSS by trying local ports"
								  : "RSS by trying local ports");
}

/*
 * Where a sender on this host leaves TCP checksums to hardware that does not exist on the way to us, they cannot be
 * verified: at the other end of a veth pair always, through other virtual links in skb mode.
 */
static bool checksums_are_virtual(const struct af_xdp *xdp)
{
	static const char *const links[] = {"tun", "bridge", "macvlan", "virtio_net"};
	if (strcmp(xdp->device.driver, "veth") == 0)
		return true;
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		if (strcmp(xdp->device.driver, links[i]) == 0)
			return strncmp(xdp->driver.info.mode, "skb", 3) == 0;
	return false;
}

static int set_up(struct af_xdp *xdp, const struct af_xdp_options *options, const struct why *why)
{
	uint32_t frames = options->frames ? options->frames : FRAMES_DEFAULT;
	int rc = device_probe(options->interface, &xdp->device, why);
	rc = rc ? rc : check_options(options, &xdp->device, frames, why);
	if (rc)
		return rc;
	xdp->queues = calloc(xdp->device.rx_queues, sizeof *xdp->queues);
	xdp->flows = calloc(OWNED_FLOWS_MAX, sizeof *xdp->flows);
	if (!xdp->queues || !xdp->flows)
		return why_say(why, HW_ERR_NOMEM, "no memory for the AF_XDP driver of %s", xdp->device.name);
	describe(xdp, options->queue < 0 ? 0 : (uint32_t)options->queue);
	rc = flow_program_open(&xdp->program, &xdp->device, why);
	rc = rc ? rc : choose_mode(xdp, options->mode, frames, why);
	if (rc == 0 && checksums_are_virtual(xdp))
		xdp->rx_flags = PACKET_CHECKSUM_GOOD;
	return rc;
}

int af_xdp_create(const struct af_xdp_options *options, struct driver **out, char *why, size_t why_bytes)
{
	char sentence[256] = "";
	const struct why reason = {sentence, sizeof sentence};
	struct af_xdp *xdp = aligned_alloc(CACHE_LINE_BYTES, sizeof *xdp);
	int rc = HW_ERR_NOMEM;
	if (xdp) {
		memset(xdp, 0, sizeof *xdp);
		xdp->driver.ops = &OPS;
		rc = set_up(xdp, options, &reason);
	}
	if (rc) {
		if (xdp)
			destroy(&xdp->driver);
		return why_say(&(struct why){why, why_bytes}, rc, "%s",
			       xdp ? sentence : "no memory for the AF_XDP driver");
	}
	*out = &xdp->driver;
	return 0;
}
