#define _GNU_SOURCE
#include "tests/sim/sim_peer.h"

#include <string.h>

#define MS                1000000ull
#define NEVER             UINT64_MAX
#define RETRANSMIT_NS     (200 * MS)
#define SEND_BLOCK_OCTETS 500u

static void choose_manners(struct sim_peer *p, struct prng *random)
{
	p->dsack = p->sack && !prng_once_in(random, 3);
	p->ecn = prng_once_in(random, 2);
	p->reneges = p->sack && prng_once_in(random, 6);
	p->shrinks = prng_once_in(random, 8);
	p->forges = prng_once_in(random, 8);
	p->hasty = prng_once_in(random, 4);
	p->ack_delay_ns = prng_once_in(random, 2) ? 0 : (5 * MS) << prng_below(random, 4);
	p->read_every_ns = MS << prng_below(random, 4);
	p->read_octets = 4000u << prng_below(random, 7);
	p->send_total = prng_below(random, 40000);
	p->reset_offset = NEVER;
}

void sim_peer_init(struct sim_peer *p, struct prng *random, struct sim_link *link, const uint8_t *stream)
{
	static const uint16_t sizes[] = {536, 1000, 1460, 1460, 1460, 8960};
	memset(p, 0, sizeof *p);
	p->random = random;
	p->link = link;
	p->stream = stream;
	p->isn = prng_once_in(random, 3) ? UINT32_MAX - (uint32_t)prng_below(random, 20000)
					 : (uint32_t)prng_next(random);
	p->mss = sizes[prng_below(random, 6)];
	p->sack = !prng_once_in(random, 3);
	p->timestamps = !prng_once_in(random, 3);
	p->scale = prng_once_in(random, 3) ? -1 : (int)prng_below(random, 9);
	p->window = 4000u << prng_below(random, p->scale < 0 ? 5 : 7);
	if (p->window > PEER_WINDOW_MAX)
		p->window = PEER_WINDOW_MAX;
	p->full_window = p->window;
	choose_manners(p, random);
	p->ack_at_ns = p->retransmit_at_ns = p->read_at_ns = NEVER;
}

void sim_peer_heal(struct sim_peer *p)
{
	p->reneges = p->shrinks = p->forges = false;
	p->window = p->full_window;
}

/* The window field, in units of the scale, rounded down; an edge once given stays (RFC 9293, 3.8.6.2.2). */
static uint16_t window_field(struct sim_peer *p, bool syn)
{
	uint64_t room = p->consumed + p->window - p->received;
	uint64_t grown = p->consumed + p->window > p->edge ? p->consumed + p->window - p->edge : 0;
	if (grown < p->mss && grown < p->window / 2)
		room = p->edge > p->received ? p->edge - p->received : 0;
	int shift = syn || p->scale < 0 ? 0 : p->scale;
	uint64_t units = room >> shift < UINT16_MAX ? room >> shift : UINT16_MAX;
	if (p->received + (units << shift) > p->edge)
		p->edge = p->received + (units << shift);
	p->furthest = p->edge > p->furthest ? p->edge : p->furthest;
	p->hits.zero_window += units == 0;
	return (uint16_t)units;
}

/* ---- which octets it holds ---- */

static bool have(const struct sim_peer *p, uint64_t offset)
{
	return p->have[offset % PEER_WINDOW_MAX];
}

/* The first offset in [from, to) whose flag is `value`, or `to`. */
static uint64_t find(const struct sim_peer *p, uint64_t from, uint64_t to, int value)
{
	while (from < to) {
		uint64_t at = from % PEER_WINDOW_MAX, n = PEER_WINDOW_MAX - at;
		n = n < to - from ? n : to - from;
		const uint8_t *found = memchr(p->have + at, value, n);
		if (found)
			return from + (uint64_t)(found - (p->have + at));
		from += n;
	}
	return to;
}

/* The offset behind the last one in [from, to) whose flag is not set, or `from`. */
static uint64_t find_start(const struct sim_peer *p, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t end = (to - 1) % PEER_WINDOW_MAX + 1, n = end < to - from ? end : to - from;
		const uint8_t *run = p->have + (end - n), *found = memrchr(run, 0, n);
		if (found)
			return to - n + (uint64_t)(found - run) + 1;
		to -= n;
	}
	return from;
}

static void mark(struct sim_peer *p, uint64_t from, uint64_t to, int value)
{
	while (from < to) {
		uint64_t at = from % PEER_WINDOW_MAX, n = PEER_WINDOW_MAX - at;
		n = n < to - from ? n : to - from;
		memset(p->have + at, value, n);
		from += n;
	}
}

/* ---- what it says ---- */

static uint32_t seq_of(const struct sim_peer *p, uint64_t offset)
{
	return p->their_isn + 1 + (uint32_t)offset;
}

/* What our next segment starts with, if nothing is missing: behind our FIN, once that has come. */
static uint32_t expected_seq(const struct sim_peer *p)
{
	return seq_of(p, p->received) + (p->fin_seen && p->received == p->fin_offset);
}

static void add_block(struct sim_peer *p, struct wire_segment *s, uint64_t left, uint64_t right)
{
	s->block[s->blocks++] = (struct wire_block){seq_of(p, left), seq_of(p, right)};
	p->hits.sacked++;
}

/* What came twice (RFC 2883), the most recent run, then the others from the lowest. */
static void add_blocks(struct sim_peer *p, struct wire_segment *s)
{
	uint64_t first = 0, max = s->timestamps ? 3 : 4;
	if (p->twice != p->twice_end) {
		add_block(p, s, p->twice, p->twice_end);
		p->hits.twice++;
	}
	p->twice = p->twice_end = 0;
	if (p->recent > p->received && p->recent < p->highest && have(p, p->recent)) {
		first = find_start(p, p->received, p->recent);
		add_block(p, s, first, find(p, p->recent, p->highest, 0));
	}
	for (uint64_t at = p->received + 1; s->blocks < max;) {
		uint64_t left = find(p, at, p->highest, 1), right = find(p, left, p->highest, 0);
		if (left >= p->highest)
			return;
		if (left != first)
			add_block(p, s, left, right);
		at = right;
	}
}

static void transmit(struct sim_peer *p, struct wire_segment *s, uint64_t now_ns)
{
	uint8_t packet[2000];
	s->source_ip = 2;
	s->destination_ip = 1;
	s->source_port = 5672;
	s->destination_port = 40000;
	sim_link_send(p->link, packet, wire_build(packet, s), now_ns);
}

static uint32_t timestamp(uint64_t now_ns)
{
	return (uint32_t)(now_ns / MS) + 12345;
}

static void send(struct sim_peer *p, uint8_t flags, uint64_t offset, uint32_t len, uint64_t now_ns)
{
	bool syn = flags & WIRE_SYN;
	struct wire_segment s = {.payload = p->stream + offset, .len = len};
	s.flags = flags | (p->echo || (syn && p->ecn) ? WIRE_ECE : 0) | (p->slowed && len ? WIRE_CWR : 0);
	s.ecn = p->ecn && len ? 2 : 0;
	p->slowed &= len == 0;
	s.seq = p->isn + !syn + (uint32_t)offset;
	s.ack = p->last_ack = expected_seq(p);
	s.window = window_field(p, syn);
	s.scale = syn ? p->scale : -1;
	s.mss = syn ? p->mss : 0;
	s.sack_permitted = syn && p->sack;
	s.timestamps = p->timestamps;
	s.ts_value = timestamp(now_ns);
	s.ts_echo = p->ts_recent;
	if (p->sack && !syn)
		add_blocks(p, &s);
	transmit(p, &s, now_ns);
	p->unacked_segments = 0;
	p->ack_at_ns = NEVER;
}

/* What comes next in its stream: behind its FIN, once that is out. */
static void send_ack(struct sim_peer *p, uint64_t now_ns)
{
	send(p, WIRE_ACK, p->next + p->fin_sent, 0, now_ns);
}

/* It keeps nothing of the connection: the segment that came says where the reset belongs (RFC 9293, 3.10.7.1). */
static void send_reset(struct sim_peer *p, uint32_t seq, uint64_t now_ns)
{
	struct wire_segment s = {.flags = WIRE_RST, .scale = -1, .seq = seq};
	p->hits.reset++;
	transmit(p, &s, now_ns);
}

/* RFC 5961: somebody who sees none of this guesses, and hits the window, but not the octet. */
static void forge(struct sim_peer *p, uint64_t now_ns)
{
	uint32_t off = 1 + (uint32_t)prng_below(p->random, 2000);
	struct wire_segment s = {.scale = -1, .seq = p->isn + 1 + (uint32_t)p->next + p->fin_sent + off};
	s.flags = prng_once_in(p->random, 2) ? WIRE_RST : WIRE_SYN;
	p->hits.forged++;
	transmit(p, &s, now_ns);
}

/* Its own stream, then FIN once ours has ended, or at once. */
static void send_stream(struct sim_peer *p, uint64_t now_ns)
{
	while (p->established && p->next < p->send_total && p->next - p->acked < p->send_window) {
		uint64_t room = p->send_window - (p->next - p->acked);
		uint64_t len =
			p->send_total - p->next < SEND_BLOCK_OCTETS ? p->send_total - p->next : SEND_BLOCK_OCTETS;
		len = len < room ? len : room;
		len = len < p->their_mss ? len : p->their_mss;
		send(p, WIRE_ACK | WIRE_PSH, p->next, (uint32_t)len, now_ns);
		p->next += len;
	}
	bool theirs_ended = p->fin_seen && p->received == p->fin_offset;
	bool finished = p->established && (p->hasty || theirs_ended) && p->next == p->send_total;
	if (finished && !p->fin_acked && p->retransmit_at_ns == NEVER) {
		send(p, WIRE_ACK | WIRE_FIN, p->next, 0, now_ns);
		p->fin_sent = true;
	}
	if ((p->next > p->acked || (finished && !p->fin_acked) || p->next < p->send_total) &&
	    p->retransmit_at_ns == NEVER)
		p->retransmit_at_ns = now_ns + RETRANSMIT_NS;
}

/* ---- what it hears ---- */

static void note_twice(struct sim_peer *p, uint64_t offset, uint32_t len)
{
	uint64_t end = offset + len;
	if (!p->dsack || len == 0 || (int64_t)offset < 0 || end > p->edge)
		return;
	if (end > p->received && find(p, offset > p->received ? offset : p->received, end, 0) != end)
		return;
	p->twice = offset;
	p->twice_end = end;
}

/* The octets of a segment that its window allows, whether or not they come in order. */
static void keep(struct sim_peer *p, uint64_t offset, const uint8_t *payload, uint32_t len)
{
	uint64_t from = offset, to = offset + len;
	if ((int64_t)to <= (int64_t)p->received)
		return;
	from = (int64_t)from < (int64_t)p->received ? p->received : from;
	to = to < p->edge ? to : p->edge;
	if (from >= to)
		return;
	p->wrong |= memcmp(payload + (from - offset), p->stream + from, to - from) != 0;
	mark(p, from, to, 1);
	p->recent = to - 1;
	p->highest = to > p->highest ? to : p->highest;
}

static void renege(struct sim_peer *p)
{
	memset(p->have, 0, sizeof p->have);
	p->highest = p->received;
	p->hits.reneged++;
}

/* The edge goes back to anywhere in front of where it was; what it holds already, it keeps. */
static void shrink(struct sim_peer *p)
{
	uint64_t least = p->highest > p->received ? p->highest : p->received;
	if (p->edge <= least)
		return;
	p->edge = least + prng_below(p->random, p->edge - least);
	p->window = (uint32_t)(p->edge - p->consumed);
	p->hits.shrunk++;
}

static void advance(struct sim_peer *p)
{
	uint64_t end = find(p, p->received, p->highest, 0);
	if (end <= p->received)
		return;
	mark(p, p->received, end, 0);
	p->received = end;
}

static void take_data(struct sim_peer *p, const struct wire_segment *s, uint64_t now_ns)
{
	uint64_t offset = p->received + (uint64_t)(int64_t)(int32_t)(s->seq - seq_of(p, p->received));
	bool in_order = offset == p->received, gap = p->highest > p->received;
	if (p->reneges && !in_order && prng_once_in(p->random, 50)) /* RFC 2018, 8: it may */
		renege(p);
	if (p->window < p->full_window && prng_once_in(p->random, 8))
		p->window = p->full_window;
	else if (p->shrinks && prng_once_in(p->random, 30))
		shrink(p);
	note_twice(p, offset, s->len);
	keep(p, offset, s->payload, s->len);
	uint64_t end = offset + s->len;
	advance(p);
	if (s->flags & WIRE_FIN) {
		p->fin_seen = true;
		p->fin_offset = offset + s->len;
	}
	in_order &= p->received == end && !gap; /* RFC 5681, 4.2: what fills a gap is acknowledged at once, too */
	bool now = !in_order || p->ack_delay_ns == 0 || ++p->unacked_segments >= 2 || s->flags & WIRE_FIN;
	if (now) {
		send_ack(p, now_ns);
	} else if (p->ack_at_ns == NEVER) {
		p->ack_at_ns = now_ns + p->ack_delay_ns;
		p->hits.delayed++;
	}
	if (p->read_at_ns == NEVER)
		p->read_at_ns = now_ns + p->read_every_ns;
}

static void take_ack(struct sim_peer *p, const struct wire_segment *s)
{
	uint64_t ack = (uint32_t)(s->ack - (p->isn + 1));
	if (ack > p->send_total + 1)
		return;
	if (ack == p->send_total + 1) {
		p->fin_acked = p->fin_sent = true; /* also of one that was about to be sent again */
		ack = p->send_total;
		p->retransmit_at_ns = NEVER;
	}
	if (ack > p->acked) {
		p->acked = ack;
		p->retransmit_at_ns = NEVER;
	}
	p->next = p->next < p->acked ? p->acked : p->next;
	p->send_window = s->window; /* our default ring needs no scale */
}

static void take_syn(struct sim_peer *p, const struct wire_segment *s, uint64_t now_ns)
{
	if (p->established || (p->syn_seen && s->seq != p->their_isn))
		return;
	p->syn_seen = true;
	p->their_isn = s->seq;
	p->ts_recent = s->ts_value;
	p->ecn &= (s->flags & (WIRE_ECE | WIRE_CWR)) == (WIRE_ECE | WIRE_CWR);
	p->their_mss = s->mss ? s->mss : 536;
	if (s->scale < 0)
		p->scale = -1;
	send(p, WIRE_SYN | WIRE_ACK, 0, 0, now_ns);
}

/* RFC 7323, 5.3 and 4.3. False: it is older than what has come already. */
static bool take_timestamp(struct sim_peer *p, const struct wire_segment *s, uint64_t now_ns)
{
	if (!p->timestamps)
		return true;
	if (!s->timestamps)
		return false;
	if ((int32_t)(s->ts_value - p->ts_recent) < 0) {
		p->hits.stale++;
		send_ack(p, now_ns);
		return false;
	}
	if ((int32_t)(s->seq - p->last_ack) <= 0)
		p->ts_recent = s->ts_value;
	return true;
}

static void take_segment(struct sim_peer *p, const struct wire_segment *s, uint64_t now_ns)
{
	p->established = true;
	if (p->ecn && s->len) {
		p->echo &= !(s->flags & WIRE_CWR);
		p->echo |= s->ecn == 3;
	}
	p->slowed |= p->ecn && s->flags & WIRE_ECE;
	take_ack(p, s);
	if (s->len || s->flags & WIRE_FIN || s->seq != expected_seq(p))
		take_data(p, s, now_ns);
	send_stream(p, now_ns);
	if (p->forges && prng_once_in(p->random, 40))
		forge(p, now_ns);
	p->dead |= p->received >= p->reset_offset;
}

static bool addressed(const struct wire_segment *s)
{
	return s->source_ip == 1 && s->destination_ip == 2 && s->source_port == 40000 && s->destination_port == 5672;
}

void sim_peer_input(struct sim_peer *p, const struct sim_packet *packet, uint64_t now_ns)
{
	struct wire_segment s;
	if (!wire_parse(packet->bytes, packet->len, &s) || !addressed(&s) || s.flags & WIRE_RST)
		return;
	if (p->dead)
		send_reset(p, s.ack, now_ns);
	else if (s.flags & WIRE_SYN)
		take_syn(p, &s, now_ns);
	else if (p->syn_seen && s.flags & WIRE_ACK && take_timestamp(p, &s, now_ns))
		take_segment(p, &s, now_ns);
}

/* ---- time ---- */

uint64_t sim_peer_next(const struct sim_peer *p)
{
	uint64_t at = p->ack_at_ns < p->retransmit_at_ns ? p->ack_at_ns : p->retransmit_at_ns;
	at = at < p->read_at_ns ? at : p->read_at_ns;
	return p->dead ? NEVER : at;
}

/* Reading opens the window; the update is sent once, and if it is lost, our probe has to find out. */
static void read_some(struct sim_peer *p, uint64_t now_ns)
{
	uint64_t held = p->received - p->consumed;
	uint64_t n = held < p->read_octets ? held : p->read_octets;
	bool was_closed = p->edge - p->received < p->mss;
	p->consumed += n;
	p->read_at_ns = NEVER;
	bool stalls = prng_once_in(p->random, 100);
	p->hits.stalled += stalls;
	if (p->received > p->consumed)
		p->read_at_ns = now_ns + (stalls ? 2000 * MS : p->read_every_ns);
	if (was_closed && n && p->consumed + p->window >= p->edge + p->mss)
		send_ack(p, now_ns);
}

void sim_peer_timer(struct sim_peer *p, uint64_t now_ns)
{
	if (p->dead)
		return;
	if (p->ack_at_ns <= now_ns)
		send_ack(p, now_ns);
	if (p->read_at_ns <= now_ns)
		read_some(p, now_ns);
	if (p->retransmit_at_ns <= now_ns) {
		p->retransmit_at_ns = NEVER;
		p->next = p->acked;
		p->fin_sent = p->fin_acked;
		if (p->send_window == 0 && p->next < p->send_total)
			send(p, WIRE_ACK, p->next, 1, now_ns); /* a probe */
		send_stream(p, now_ns);
	}
}
