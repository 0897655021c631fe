#include "control/nic/nic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/nic/arp_cache.h"
#include "control/nic/strays.h"
#include "dataplane/base/error.h"
#include "dataplane/net/arp.h"
#include "dataplane/net/ethernet.h"

#define WORKERS_MAX        16u
#define FRAME_BYTES_MIN    60u           /* Ethernet's minimum, without its checksum */
#define ANNOUNCEMENTS      2u            /* RFC 5227, 2.3 */
#define ANNOUNCE_PERIOD_NS 2000000000ull /* likewise */
#define DEFEND_PERIOD_NS   10000000000ull
#define LINK_PERIOD_NS     100000000ull
#define EPHEMERAL_FIRST    32768u
#define EPHEMERAL_COUNT    28232u /* to 60999, as Linux has it */

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct nic_worker {
	struct side_channel *side;
	uint32_t queue;
};

struct nic {
	struct nic_address address;
	const struct driver *driver;
	uint8_t mac[6];
	struct arp_cache neighbours;
	struct nic_worker workers[WORKERS_MAX];
	uint32_t worker_count;
	struct strays strays;
	bool link_up;
	uint64_t link_due_ns;
	uint32_t announcements_left;
	uint64_t announce_due_ns;
	uint64_t defended_ns;               /* when our address was last found in use by somebody else; 0: never */
	uint8_t ports[EPHEMERAL_COUNT / 8]; /* bits: taken */
};

/* ---- sending ---- */

/* A payload behind our link header, to `destination`, through one worker. A full ring loses it: ARP asks again. */
static void send(struct nic *nic, struct side_channel *worker, const uint8_t destination[6], uint16_t type,
		 const uint8_t *payload, size_t len)
{
	struct side_frame frame;
	size_t link = ethernet_build(frame.octets, destination, nic->mac, nic->address.vlan, type);
	if (len > sizeof frame.octets - link)
		return;
	memcpy(frame.octets + link, payload, len);
	frame.len = (uint16_t)(link + len);
	if (frame.len < FRAME_BYTES_MIN) {
		memset(frame.octets + frame.len, 0, FRAME_BYTES_MIN - frame.len);
		frame.len = FRAME_BYTES_MIN;
	}
	spsc_push(&worker->to_wire, &frame);
}

/* What no packet asked for goes through the first worker. */
static void send_request(struct nic *nic, const uint8_t destination[6], uint32_t target_ip)
{
	uint8_t arp[ARP_BYTES];
	arp_build_request(arp, nic->mac, nic->address.ip, target_ip);
	send(nic, nic->workers[0].side, destination, ETHERTYPE_ARP, arp, sizeof arp);
}

/* A request for our own address (RFC 5227, 2.3): switches and neighbours learn where it is now. */
static void announce(struct nic *nic)
{
	send_request(nic, broadcast, nic->address.ip);
}

/* ---- receiving ---- */

/* RFC 5227, 2.4 (b): say so, announce ours once, and leave it at that for ten seconds. */
static void take_conflict(struct nic *nic, const struct arp *arp, uint64_t now_ns, const struct nic_events *events)
{
	char line[160];
	const uint8_t *m = arp->sender_mac;
	uint32_t ip = nic->address.ip;
	if (nic->defended_ns && now_ns - nic->defended_ns < DEFEND_PERIOD_NS)
		return;
	nic->defended_ns = now_ns;
	announce(nic);
	snprintf(line, sizeof line,
		 "our address %u.%u.%u.%u is also used by the host with link address %02x:%02x:%02x:%02x:%02x:%02x",
		 ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255, m[0], m[1], m[2], m[3], m[4], m[5]);
	events->warning(events->context, line);
}

static void take_arp(struct nic *nic, struct side_channel *worker, const struct ethernet_frame *frame, uint64_t now_ns,
		     const struct nic_events *events)
{
	struct arp arp;
	uint8_t reply[ARP_BYTES];
	if (arp_parse(frame->payload, frame->payload_len, &arp))
		return;
	if (arp.sender_ip == nic->address.ip) {
		/* Ours come back from some hubs. A neighbour may have our link address: net_tap gives it to its other
		 * end. */
		if (memcmp(arp.sender_mac, nic->mac, 6) != 0)
			take_conflict(nic, &arp, now_ns, events);
		return;
	}
	if (arp_cache_learn(&nic->neighbours, arp.sender_ip, arp.sender_mac, now_ns))
		events->neighbour(events->context, arp.sender_ip, arp.sender_mac);
	if (arp.operation == ARP_REQUEST && arp.target_ip == nic->address.ip) {
		arp_build_reply(reply, nic->mac, &arp);
		send(nic, worker, arp.sender_mac, ETHERTYPE_ARP, reply, sizeof reply);
	}
}

/* An IPv4 packet to our link address that is for no connection of its worker's. */
static void take_ipv4(struct nic *nic, const struct nic_worker *worker, const struct ethernet_frame *frame,
		      uint64_t now_ns, const struct nic_events *events)
{
	uint8_t reply[SIDE_FRAME_BYTES];
	if (memcmp(frame->destination, nic->mac, 6) != 0)
		return;
	size_t len =
		strays_answer(&nic->strays, reply, frame->payload, frame->payload_len, worker->queue, now_ns, events);
	if (len)
		send(nic, worker->side, frame->source, ETHERTYPE_IPV4, reply, len);
}

static void take_frame(struct nic *nic, const struct nic_worker *worker, const struct side_frame *f, uint64_t now_ns,
		       const struct nic_events *events)
{
	struct ethernet_frame frame;
	if (ethernet_parse(f->octets, f->len, &frame) || frame.vlan != nic->address.vlan)
		return;
	if (frame.type == ETHERTYPE_ARP)
		take_arp(nic, worker->side, &frame, now_ns, events);
	else if (frame.type == ETHERTYPE_IPV4)
		take_ipv4(nic, worker, &frame, now_ns, events);
}

/* ---- the step ---- */

static void watch_link(struct nic *nic, uint64_t now_ns, const struct nic_events *events)
{
	char line[96];
	if (now_ns < nic->link_due_ns)
		return;
	bool first = nic->link_due_ns == 0;
	bool up = !nic->driver->ops->link_up || nic->driver->ops->link_up(nic->driver);
	nic->link_due_ns = now_ns + LINK_PERIOD_NS;
	if (up == nic->link_up)
		return;
	nic->link_up = up;
	if (up) { /* perhaps another switch port: be found there */
		nic->announcements_left = ANNOUNCEMENTS;
		nic->announce_due_ns = now_ns;
	}
	if (!first) {
		snprintf(line, sizeof line, "the link of %s is %s", nic->driver->info.device, up ? "up" : "down");
		events->warning(events->context, line);
	}
}

static void ask(struct nic *nic, uint64_t now_ns)
{
	struct arp_cache_request request;
	if (nic->announcements_left && now_ns >= nic->announce_due_ns) {
		announce(nic);
		nic->announcements_left--;
		nic->announce_due_ns = now_ns + ANNOUNCE_PERIOD_NS;
	}
	while (arp_cache_due(&nic->neighbours, now_ns, &request))
		send_request(nic, request.unicast ? request.mac : broadcast, request.ip);
}

void nic_step(struct nic *nic, uint64_t now_ns, const struct nic_events *events)
{
	const struct side_frame *frame;
	for (uint32_t i = 0; i < nic->worker_count; i++) {
		struct spsc *from_wire = &nic->workers[i].side->from_wire;
		for (uint32_t n = 0; n < SIDE_RING && (frame = spsc_peek(from_wire)) != NULL; n++) {
			take_frame(nic, &nic->workers[i], frame, now_ns, events);
			spsc_pop(from_wire);
		}
	}
	watch_link(nic, now_ns, events);
	if (nic->link_up && nic->worker_count)
		ask(nic, now_ns); /* what is asked while the link is down would only count as unanswered */
}

/* ---- questions of the control thread ---- */

int nic_route(const struct nic *nic, uint32_t destination, struct route *route, char *why, size_t why_bytes)
{
	uint32_t ip = nic->address.ip, d = destination;
	uint32_t next_hop = nic_address_next_hop(&nic->address, destination);
	if (destination == ip) {
		snprintf(why, why_bytes, "the broker's address is our own, %u.%u.%u.%u", ip >> 24, ip >> 16 & 255,
			 ip >> 8 & 255, ip & 255);
		return HW_ERR_UNSUPPORTED;
	}
	if (!next_hop) {
		snprintf(why, why_bytes,
			 "no route to %u.%u.%u.%u from %u.%u.%u.%u/%u on %s: name the gateway that leads there "
			 "(--gateway)",
			 d >> 24, d >> 16 & 255, d >> 8 & 255, d & 255, ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
			 ip & 255, nic->address.prefix, nic->driver->info.device);
		return HW_ERR_HOST_UNREACHABLE;
	}
	memset(route, 0, sizeof *route); /* interface_index 0: none of the kernel's */
	snprintf(route->interface, sizeof route->interface, "%.15s", nic->driver->info.device);
	route->source_ip = ip;
	route->next_hop = next_hop;
	route->mtu = nic->driver->info.mtu;
	route->up = nic->link_up;
	memcpy(route->mac, nic->mac, sizeof route->mac);
	return 0;
}

bool nic_link_up(const struct nic *nic)
{
	return nic->link_up;
}

uint16_t nic_vlan(const struct nic *nic)
{
	return nic->address.vlan;
}

void nic_resolve(struct nic *nic, uint32_t ip, uint64_t now_ns)
{
	arp_cache_resolve(&nic->neighbours, ip, now_ns);
}

void nic_doubt(struct nic *nic, uint32_t ip, uint64_t now_ns)
{
	arp_cache_doubt(&nic->neighbours, ip, now_ns);
}

enum neighbour_state nic_neighbour(const struct nic *nic, uint32_t ip, uint8_t mac[6])
{
	return arp_cache_lookup(&nic->neighbours, ip, mac);
}

uint16_t nic_take_port(struct nic *nic)
{
	uint32_t start = 0;
	if (getrandom(&start, sizeof start, 0) != (ssize_t)sizeof start)
		return 0;
	for (uint32_t i = 0; i < EPHEMERAL_COUNT; i++) {
		uint32_t at = (start % EPHEMERAL_COUNT + i) % EPHEMERAL_COUNT;
		uint8_t bit = (uint8_t)(1u << at % 8);
		if (nic->ports[at / 8] & bit)
			continue;
		nic->ports[at / 8] |= bit;
		return (uint16_t)(EPHEMERAL_FIRST + at);
	}
	return 0;
}

void nic_give_port(struct nic *nic, uint16_t port)
{
	uint32_t at = port - EPHEMERAL_FIRST;
	if (port >= EPHEMERAL_FIRST && at < EPHEMERAL_COUNT)
		nic->ports[at / 8] &= (uint8_t) ~(1u << at % 8);
}

/* ---- life ---- */

int nic_create(const struct nic_address *address, const struct driver *driver, struct nic **out)
{
	struct nic *nic = calloc(1, sizeof *nic);
	if (!nic)
		return HW_ERR_NOMEM;
	nic->address = *address;
	nic->driver = driver;
	nic->strays.our_ip = address->ip;
	memcpy(nic->mac, driver->info.mac, sizeof nic->mac);
	*out = nic;
	return 0;
}

struct side_channel *nic_add_worker(struct nic *nic, uint32_t queue)
{
	if (nic->worker_count == WORKERS_MAX)
		return NULL;
	struct side_channel *side = aligned_alloc(CACHE_LINE, sizeof *side);
	if (!side)
		return NULL;
	memset(side, 0, sizeof *side);
	if (side_channel_init(side)) {
		free(side);
		return NULL;
	}
	nic->workers[nic->worker_count++] = (struct nic_worker){.side = side, .queue = queue};
	return side;
}

void nic_destroy(struct nic *nic)
{
	if (!nic)
		return;
	for (uint32_t i = 0; i < nic->worker_count; i++) {
		side_channel_fini(nic->workers[i].side);
		free(nic->workers[i].side);
	}
	free(nic);
}
