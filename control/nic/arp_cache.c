#include "control/nic/arp_cache.h"

#include <string.h>

static const struct arp_cache_entry *find(const struct arp_cache *cache, uint32_t ip)
{
	for (uint32_t i = 0; i < ARP_CACHE_ENTRIES; i++)
		if (cache->entries[i].ip == ip)
			return &cache->entries[i];
	return NULL;
}

static struct arp_cache_entry *find_mutable(struct arp_cache *cache, uint32_t ip)
{
	return (struct arp_cache_entry *)(uintptr_t)find(cache, ip);
}

/* A free entry, else the one whose last resolve is longest ago. */
static struct arp_cache_entry *take_entry(struct arp_cache *cache)
{
	struct arp_cache_entry *oldest = &cache->entries[0];
	for (uint32_t i = 0; i < ARP_CACHE_ENTRIES; i++) {
		struct arp_cache_entry *e = &cache->entries[i];
		if (!e->ip)
			return e;
		if (e->resolved_ns < oldest->resolved_ns)
			oldest = e;
	}
	return oldest;
}

void arp_cache_resolve(struct arp_cache *cache, uint32_t ip, uint64_t now_ns)
{
	struct arp_cache_entry *e = find_mutable(cache, ip);
	if (!e) {
		e = take_entry(cache);
		memset(e, 0, sizeof *e);
		e->ip = ip;
	}
	e->resolved_ns = now_ns;
	bool fresh = e->state == NEIGHBOUR_KNOWN && e->tries == 0;
	if (fresh || e->state == NEIGHBOUR_PENDING)
		return;
	e->state = NEIGHBOUR_PENDING;
	e->tries = 0;
	e->due_ns = now_ns;
}

enum neighbour_state arp_cache_lookup(const struct arp_cache *cache, uint32_t ip, uint8_t mac[6])
{
	const struct arp_cache_entry *e = find(cache, ip);
	if (!e)
		return NEIGHBOUR_UNKNOWN;
	if (e->state == NEIGHBOUR_KNOWN)
		memcpy(mac, e->mac, 6);
	return e->state;
}

bool arp_cache_learn(struct arp_cache *cache, uint32_t ip, const uint8_t mac[6], uint64_t now_ns)
{
	struct arp_cache_entry *e = ip ? find_mutable(cache, ip) : NULL;
	if (!e)
		return false; /* nobody asked: strangers do not fill the table */
	bool news = e->state != NEIGHBOUR_KNOWN || memcmp(e->mac, mac, 6) != 0;
	e->state = NEIGHBOUR_KNOWN;
	memcpy(e->mac, mac, 6);
	e->tries = 0;
	e->due_ns = now_ns + ARP_FRESH_NS;
	return news;
}

void arp_cache_doubt(struct arp_cache *cache, uint32_t ip, uint64_t now_ns)
{
	struct arp_cache_entry *e = find_mutable(cache, ip);
	if (!e || e->state != NEIGHBOUR_KNOWN)
		return;
	e->tries = ARP_TRIES; /* as if it had not answered when asked directly */
	e->due_ns = now_ns;
}

bool arp_cache_due(struct arp_cache *cache, uint64_t now_ns, struct arp_cache_request *request)
{
	for (uint32_t i = 0; i < ARP_CACHE_ENTRIES; i++) {
		struct arp_cache_entry *e = &cache->entries[i];
		if (!e->ip || e->state == NEIGHBOUR_FAILED || e->due_ns > now_ns)
			continue;
		if (e->state == NEIGHBOUR_PENDING && e->tries == ARP_TRIES) {
			e->state = NEIGHBOUR_FAILED;
			continue;
		}
		/* RFC 1122, 2.3.2.1 (2): a known neighbour is polled directly; after that everybody is asked. */
		request->ip = e->ip;
		request->unicast = e->state == NEIGHBOUR_KNOWN && e->tries < ARP_TRIES;
		memcpy(request->mac, e->mac, 6);
		e->tries++;
		e->due_ns = now_ns + (e->tries <= 2 * ARP_TRIES ? ARP_RETRY_NS : ARP_FRESH_NS);
		return true;
	}
	return false;
}
