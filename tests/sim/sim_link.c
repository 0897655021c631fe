#include "tests/sim/sim_link.h"

#include <string.h>

#include "tests/lib/tcp_peer.h"

static bool hits(struct sim_link *l, uint32_t chance, enum sim_hit which)
{
	if (chance == 0 || prng_below(l->random, 1000) >= chance)
		return false;
	l->hits[which]++;
	return true;
}

/* ---- the heap ---- */

static bool before(const struct sim_link *l, uint32_t a, uint32_t b)
{
	uint64_t a_ns = l->packets[a].at_ns, b_ns = l->packets[b].at_ns;
	return a_ns != b_ns ? a_ns < b_ns : l->numbers[a] < l->numbers[b];
}

static void swap(struct sim_link *l, uint32_t i, uint32_t j)
{
	uint32_t moved = l->heap[i];
	l->heap[i] = l->heap[j];
	l->heap[j] = moved;
}

static void heap_push(struct sim_link *l, uint32_t slot)
{
	uint32_t i = l->count++;
	l->heap[i] = slot;
	for (; i > 0 && before(l, l->heap[i], l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(l, i, (i - 1) / 2);
}

static uint32_t heap_pop(struct sim_link *l)
{
	uint32_t first = l->heap[0], i = 0;
	l->heap[0] = l->heap[--l->count];
	for (;;) {
		uint32_t least = i, left = 2 * i + 1, right = left + 1;
		if (left < l->count && before(l, l->heap[left], l->heap[least]))
			least = left;
		if (right < l->count && before(l, l->heap[right], l->heap[least]))
			least = right;
		if (least == i)
			return first;
		swap(l, i, least);
		i = least;
	}
}

/* ---- bits ---- */

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Octets of the two headers in which any bit may turn: TOS, identification, TTL, addresses, ports, window, urgent. */
static bool free_to_turn(uint32_t at)
{
	return at == 1 || at == 4 || at == 5 || (at >= 8 && at != 10 && at != 11 && at < 24) || at == 34 || at == 35 ||
	       at == 38 || at == 39;
}

/*
 * Whether TCP survives this bit's turning, octet `at` counted from the IPv4 header. Sequence and acknowledgement
 * numbers may come to lie far outside of any window, but not nearby; timestamps may grow older, but not newer (PAWS
 * would believe them); of the flags all but FIN, and RST only where nothing says that it is meant.
 */
static bool survivable(const uint8_t *packet, uint32_t header, uint32_t at, uint8_t bit)
{
	if (at >= 24 && at < 32)
		return (at & 3) == 0 || ((at & 3) == 1 && bit >= 0x10);
	if (at == 33)
		return bit != WIRE_FIN && bit != WIRE_RST;
	if (at < 40)
		return free_to_turn(at);
	bool timestamps = header >= 52 && word(packet + 40) == 0x0101080au;
	if (timestamps && at >= 44 && at < 48)
		return packet[at] & bit;
	return timestamps || at >= 44; /* SACK blocks may claim anything; the kinds of options, too */
}

/* One bit of the headers, and right checksums again. */
static void mend(struct sim_link *l, struct sim_packet *p)
{
	uint32_t header = p->len < 40 ? 0 : 20 + (p->bytes[32] >> 4) * 4u;
	if (header < 40 || header > p->len || p->bytes[33] & (WIRE_SYN | WIRE_FIN | WIRE_RST))
		return;
	uint32_t at = (uint32_t)prng_below(l->random, header);
	uint8_t bit = (uint8_t)(1u << prng_below(l->random, 8));
	if (!survivable(p->bytes, header, at, bit) || !hits(l, l->faults.mend, SIM_MEND))
		return;
	if (at == 44 && bit == 0x80) /* 2^31 older than a segment that is late itself would be newer: half as much */
		p->bytes[at] -= 0x40;
	else
		p->bytes[at] ^= bit;
	p->altered = true;
	wire_repair(p->bytes, p->len);
}

static void damage(struct sim_link *l, struct sim_packet *p)
{
	if (p->bytes[1] == 2 && hits(l, l->faults.mark, SIM_MARK)) {
		p->bytes[1] = 3;
		wire_repair(p->bytes, p->len);
	}
	if (l->faults.mend)
		mend(l, p);
	if (hits(l, l->faults.flip, SIM_FLIP)) {
		uint64_t bit = prng_below(l->random, (uint64_t)p->len * 8);
		p->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		p->altered = true;
	}
	if (hits(l, l->faults.truncate, SIM_TRUNCATE)) {
		p->len = (uint32_t)prng_below(l->random, p->len);
		p->altered = true;
	}
}

/* ---- loss ---- */

static bool lost(struct sim_link *l, uint64_t now_ns)
{
	if (now_ns < l->cut_until_ns) {
		l->hits[SIM_CUT]++;
		return true;
	}
	if (l->burst_left) {
		l->burst_left--;
		l->hits[SIM_BURST]++;
		return true;
	}
	if (hits(l, l->faults.burst_loss, SIM_BURST)) {
		l->burst_left = (uint32_t)prng_below(l->random, 20);
		return true;
	}
	return hits(l, l->faults.loss, SIM_LOSS);
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
	l->tail_spared = !l->tail_spared && hits(l, l->faults.tail, SIM_TAIL);
	return l->tail_spared;
}

/* ---- time ---- */

/* When the last octet of `len` has left: one packet after the other. False: too much is waiting. */
static bool queue(struct sim_link *l, size_t len, uint64_t now_ns, uint64_t *left_at_ns)
{
	uint64_t from_ns = l->free_at_ns > now_ns ? l->free_at_ns : now_ns;
	if (l->octet_ns && from_ns - now_ns > l->queue_ns) {
		l->hits[SIM_OVERFLOW]++;
		return false;
	}
	*left_at_ns = l->free_at_ns = from_ns + len * l->octet_ns;
	return true;
}

static void enqueue(struct sim_link *l, const uint8_t *packet, size_t len, uint64_t at_ns)
{
	if (l->count == LINK_PACKETS || len > LINK_PACKET_BYTES) {
		l->hits[SIM_OVERFLOW]++;
		return;
	}
	uint32_t slot = l->unused_count ? l->unused[--l->unused_count] : l->used++;
	struct sim_packet *p = &l->packets[slot];
	p->at_ns = at_ns;
	p->len = (uint32_t)len;
	p->altered = false;
	memcpy(p->bytes, packet, len);
	damage(l, p);
	l->numbers[slot] = l->number++;
	heap_push(l, slot);
}

static uint64_t arrival(struct sim_link *l, uint64_t left_at_ns)
{
	uint64_t at_ns = left_at_ns + l->delay_ns + (l->jitter_ns ? prng_below(l->random, l->jitter_ns) : 0);
	if (hits(l, l->faults.reorder, SIM_REORDER))
		at_ns += prng_below(l->random, 4 * l->delay_ns + 1);
	if (hits(l, l->faults.spike, SIM_SPIKE))
		l->stalled_until_ns = left_at_ns + prng_below(l->random, 400000000);
	return at_ns < l->stalled_until_ns ? l->stalled_until_ns : at_ns;
}

void sim_link_send(struct sim_link *l, const uint8_t *packet, size_t len, uint64_t now_ns)
{
	uint64_t left_at_ns;
	if (lost(l, now_ns) || tail_lost(l, packet, len) || !queue(l, len, now_ns, &left_at_ns))
		return;
	enqueue(l, packet, len, arrival(l, left_at_ns));
	if (hits(l, l->faults.duplicate, SIM_DUPLICATE))
		enqueue(l, packet, len, arrival(l, left_at_ns));
	if (hits(l, l->faults.stale, SIM_STALE))
		enqueue(l, packet, len, arrival(l, left_at_ns) + prng_below(l->random, 5000000000));
}

uint64_t sim_link_next(const struct sim_link *l)
{
	return l->count ? l->packets[l->heap[0]].at_ns : UINT64_MAX;
}

bool sim_link_receive(struct sim_link *l, uint64_t now_ns, struct sim_packet *packet)
{
	if (sim_link_next(l) > now_ns)
		return false;
	uint32_t slot = heap_pop(l);
	const struct sim_packet *p = &l->packets[slot];
	packet->at_ns = p->at_ns;
	packet->len = p->len;
	packet->altered = p->altered;
	memcpy(packet->bytes, p->bytes, p->len);
	l->unused[l->unused_count++] = slot;
	return true;
}
