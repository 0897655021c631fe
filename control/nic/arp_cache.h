/*
 * The neighbours of a port that is ours alone: who has been asked for, who answered, and when to ask again. Pure: it
 * neither sends nor reads a clock.
 *
 *     UNKNOWN ─resolve─▶ PENDING ─answer─▶ KNOWN ─30 s─▶ (asked again, usable meanwhile) ─answer─▶ KNOWN
 *                           └─3 requests, no answer─▶ FAILED
 *
 * A known neighbour that stops answering stays usable: whether its host is gone is for TCP to find out. The next
 * resolve begins anew.
 */
#ifndef HAREWIRE_NIC_ARP_CACHE_H
#define HAREWIRE_NIC_ARP_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/netlink/neighbour.h"

#define ARP_CACHE_ENTRIES 64u
#define ARP_RETRY_NS      1000000000ull /* RFC 1122, 2.3.2.1: at most one request a second for a host */
#define ARP_TRIES         3u
#define ARP_FRESH_NS      30000000000ull

struct arp_cache_entry {
	uint32_t ip;                /* 0: unused */
	enum neighbour_state state; /* PENDING, KNOWN, FAILED */
	uint8_t mac[6];
	uint32_t tries;  /* requests since the last answer */
	uint64_t due_ns; /* of the next request */
	uint64_t resolved_ns;
};

struct arp_cache {
	struct arp_cache_entry entries[ARP_CACHE_ENTRIES];
};

/* Starts to ask for `ip`, unless it has answered lately or is being asked. */
void arp_cache_resolve(struct arp_cache *cache, uint32_t ip, uint64_t now_ns);

/* What is known now; `mac` is set when KNOWN. */
enum neighbour_state arp_cache_lookup(const struct arp_cache *cache, uint32_t ip, uint8_t mac[6]);

/* `ip` says that its address is `mac`. True if somebody asked and it is news. */
bool arp_cache_learn(struct arp_cache *cache, uint32_t ip, const uint8_t mac[6], uint64_t now_ns);

/* Nothing comes through to `ip` any more: everybody is asked for it at once, whatever it said last. */
void arp_cache_doubt(struct arp_cache *cache, uint32_t ip, uint64_t now_ns);

struct arp_cache_request {
	uint32_t ip;
	bool unicast; /* to mac: a known neighbour is asked directly first */
	uint8_t mac[6];
};

/* The next request that is due: true, and it counts as sent. Call until false. */
bool arp_cache_due(struct arp_cache *cache, uint64_t now_ns, struct arp_cache_request *request);

#endif
