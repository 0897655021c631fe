/*
 * A port that is ours alone: the kernel does not see it, so its address, its neighbours, ping, refusals and its TCP
 * ports are ours to look after. One for each port, whatever number of workers share it; the control thread's.
 *
 *     worker ──ARP, ping, what is for no connection of the worker's──▶ side channel ──▶ nic_step ──▶ nic_events
 *     worker ◀──replies, requests, announcements, refusals──────────── side channel ◀──────┘
 *
 * What is not TCP may arrive at any worker, and so may TCP when a connection's packets are not steered as foreseen.
 */
#ifndef HAREWIRE_NIC_H
#define HAREWIRE_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/netlink/neighbour.h"
#include "control/netlink/route.h"
#include "control/nic/address.h"
#include "dataplane/side_channel.h"
#include "drivers/driver.h"

struct icmp_error;
struct nic;

struct nic_events {
	/* `ip` has been resolved, or has another address now. */
	void (*neighbour)(void *context, uint32_t ip, const uint8_t mac[6]);
	/* Something an operator should know: one line. */
	void (*warning)(void *context, const char *line);
	/*
	 * A TCP segment has come to the worker of `queue`, who has no such connection. True if another worker has: then
	 * the segment is only lost, otherwise it is refused with a RST.
	 */
	bool (*stray)(void *context, const struct driver_flow *flow, uint32_t queue);
	/* An ICMP error about a segment of ours has come to a worker whose connection it is not. */
	void (*icmp_error)(void *context, const struct icmp_error *error);
	void *context;
};

/* `driver` outlives it. 0 or HW_ERR_NOMEM. */
int nic_create(const struct nic_address *address, const struct driver *driver, struct nic **out);
/* When no worker uses its channels any more. NULL is allowed. */
void nic_destroy(struct nic *nic);

/* The worker of the port's `queue`: its side channel, which lives as long as the nic. NULL: no memory, or too many. */
struct side_channel *nic_add_worker(struct nic *nic, uint32_t queue);

/* Reads and answers what has arrived, asks what is to be asked, watches the link. Every few milliseconds. */
void nic_step(struct nic *nic, uint64_t now_ns, const struct nic_events *events);

/* The way to `destination`. 0, or HW_ERR_HOST_UNREACHABLE or HW_ERR_UNSUPPORTED and a sentence. */
int nic_route(const struct nic *nic, uint32_t destination, struct route *route, char *why, size_t why_bytes);

/* As of the last step. */
bool nic_link_up(const struct nic *nic);
uint16_t nic_vlan(const struct nic *nic);

/* Asks for the link address of `ip`; again, because nothing comes through any more; and what is known of it. */
void nic_resolve(struct nic *nic, uint32_t ip, uint64_t now_ns);
void nic_doubt(struct nic *nic, uint32_t ip, uint64_t now_ns);
enum neighbour_state nic_neighbour(const struct nic *nic, uint32_t ip, uint8_t mac[6]);

/* A local TCP port that no other connection of the address has, chosen at random (RFC 6056); 0: all are taken. */
uint16_t nic_take_port(struct nic *nic);
void nic_give_port(struct nic *nic, uint16_t port);

#endif
