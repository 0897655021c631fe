#include "tests/sim/sim_link.h"

#include <string.h>

#include "tests/lib/tcp_peer.h"

enum { LOSS, BURST, DUPLICATE, REORDER, FLIP, TRUNCATE, TAIL, SPIKE, MARK };

static bool hits(struct sim_link *l, uint32_t chance, int which)
{
	if (prng_below(l->random, 1000) >= chance)
		return false;
	l->hits[which]++;
	return true;
}

static bool lost(struct sim_link *l)
{
	if (l->burst_left) {
		l->burst_left--;
		return true;
	}
	if (hits(l, l->faults.burst_loss, BURST)) {
		l->burst_left = (uint32_t)prng_below(l->random, 20);
		return true;
	}
	return hits(l, l->faults.loss, LOSS);
}

static void enqueue(struct sim_link *l, const uint8_t *packet, size_t len, uint64_t now_ns)
{
	if (l->count == LINK_PACKETS || len > LINK_PACKET_BYTES)
		return; /* the queue is full: one more kind of loss */
	struct sim_packet *p = &l->packets[l->count++];
	p->at_ns = now_ns + l->delay_ns + (l->jitter_ns ? prng_below(l->random, l->jitter_ns) : 0);
	if (hits(l, l->faults.reorder, REORDER))
		p->at_ns += prng_below(l->random, 4 * l->delay_ns + 1);
	if (hits(l, l->faults.spike, SPIKE))
		l->stalled_until_ns = now_ns + prng_below(l->random, 400000000);
	if (p->at_ns < l->stalled_until_ns)
		p->at_ns = l->stalled_until_ns;
	p->len = (uint32_t)len;
	memcpy(p->bytes, packet, len);
	if (p->bytes[1] == 2 && hits(l, l->faults.mark, MARK)) {
		p->bytes[1] = 3;
		wire_repair(p->bytes, len);
	}
	if (hits(l, l->faults.flip, FLIP)) {
		uint64_t bit = prng_below(l->random, len * 8);
		p->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	if (hits(l, l->faults.truncate, TRUNCATE))
		p->len = (uint32_t)prng_below(l->random, len);
}

/* The end of what was pushed carries PSH, and data that this link has not seen. */
static bool tail_lost(struct sim_link *l, const uint8_t *packet, size_t len)
{
	struct wire_segment s;
	if (l->faults.tail == 0 || !wire_parse(packet, len, &s))
		return false;
	uint32_t end = s.seq + s.len;
	bool fresh = s.len && (int32_t)(end - l->highest) > 0;
	if (s.flags & WIRE_SYN || fresh)
		l->highest = end;
	if (!fresh || !(s.flags & WIRE_PSH))
		return false;
	l->tail_spared = !l->tail_spared && hits(l, l->faults.tail, TAIL);
	return l->tail_spared;
}

void sim_link_send(struct sim_link *l, const uint8_t *packet, size_t len, uint64_t now_ns)
{
	if (lost(l) || tail_lost(l, packet, len))
		return;
	enqueue(l, packet, len, now_ns);
	if (hits(l, l->faults.duplicate, DUPLICATE))
		enqueue(l, packet, len, now_ns);
}

static uint32_t earliest(const struct sim_link *l)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < l->count; i++)
		if (l->packets[i].at_ns < l->packets[best].at_ns)
			best = i;
	return best;
}

uint64_t sim_link_next(const struct sim_link *l)
{
	return l->count ? l->packets[earliest(l)].at_ns : UINT64_MAX;
}

bool sim_link_receive(struct sim_link *l, uint64_t now_ns, struct sim_packet *packet)
{
	if (l->count == 0)
		return false;
	uint32_t i = earliest(l);
	if (l->packets[i].at_ns > now_ns)
		return false;
	*packet = l->packets[i];
	memmove(&l->packets[i], &l->packets[i + 1], (l->count - i - 1) * sizeof l->packets[0]);
	l->count--;
	return true;
}
