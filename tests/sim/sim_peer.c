#include "tests/sim/sim_peer.h"

#include <string.h>

#define MS                1000000ull
#define NEVER             UINT64_MAX
#define RETRANSMIT_NS     (200 * MS)
#define SEND_BLOCK_OCTETS 500u

uint8_t sim_octet(uint64_t offset)
{
	return (uint8_t)(offset * 131 + (offset >> 8) * 7 + (offset >> 16));
}

void sim_peer_init(struct sim_peer *p, struct prng *random, struct sim_link *link)
{
	static const uint16_t sizes[] = {536, 1000, 1460, 1460, 1460, 9000};
	memset(p, 0, sizeof *p);
	p->random = random;
	p->link = link;
	p->isn = prng_once_in(random, 3) ? UINT32_MAX - (uint32_t)prng_below(random, 20000)
					 : (uint32_t)prng_next(random);
	p->mss = sizes[prng_below(random, 6)];
	p->sack = !prng_once_in(random, 3);
	p->timestamps = !prng_once_in(random, 3);
	p->scale = prng_once_in(random, 3) ? -1 : (int)prng_below(random, 9);
	p->window = 2000u << prng_below(random, p->scale < 0 ? 6 : 8);
	if (p->window > PEER_WINDOW_MAX)
		p->window = PEER_WINDOW_MAX;
	p->dsack = p->sack && !prng_once_in(random, 3);
	p->ecn = prng_once_in(random, 2);
	p->reneges = p->sack && prng_once_in(random, 6);
	p->ack_delay_ns = prng_once_in(random, 2) ? 0 : (5 * MS) << prng_below(random, 4);
	p->read_every_ns = MS << prng_below(random, 4);
	p->read_octets = 500u << prng_below(random, 8);
	p->send_total = prng_below(random, 40000);
	p->ack_at_ns = p->retransmit_at_ns = p->read_at_ns = NEVER;
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
	return (uint16_t)units;
}

static bool have(const struct sim_peer *p, uint64_t offset)
{
	return p->have[offset % PEER_WINDOW_MAX];
}

static uint32_t seq_of(const struct sim_peer *p, uint64_t offset)
{
	return p->their_isn + 1 + (uint32_t)offset;
}

/* What our next segment starts with, if nothing is missing: behind our FIN, once that has come. */
static uint32_t expected_seq(const struct sim_peer *p)
{
	return seq_of(p, p->received) + (p->fin_seen && p->received == p->fin_offset);
}

/* The run around `offset`; false when the octet is not held. */
static bool run_at(const struct sim_peer *p, uint64_t offset, uint64_t *left, uint64_t *right)
{
	if (offset <= p->received || offset >= p->edge || !have(p, offset))
		return false;
	for (*left = offset; *left > p->received && have(p, *left - 1);)
		--*left;
	for (*right = offset; *right < p->edge && have(p, *right);)
		++*right;
	return true;
}

/* What came twice (RFC 2883), the most recent run, then the others from the lowest. */
static void add_blocks(struct sim_peer *p, struct wire_segment *s)
{
	uint64_t left, right, first = 0, max = s->timestamps ? 3 : 4;
	if (p->twice != p->twice_end)
		s->block[s->blocks++] = (struct wire_block){seq_of(p, p->twice), seq_of(p, p->twice_end)};
	p->twice = p->twice_end = 0;
	if (run_at(p, p->recent, &left, &right)) {
		s->block[s->blocks++] = (struct wire_block){seq_of(p, left), seq_of(p, right)};
		first = left;
	}
	for (uint64_t at = p->received + 1; at < p->edge && s->blocks < max; at++) {
		if (!run_at(p, at, &left, &right))
			continue;
		if (!(s->blocks && left == first))
			s->block[s->blocks++] = (struct wire_block){seq_of(p, left), seq_of(p, right)};
		at = right;
	}
}

static void send(struct sim_peer *p, uint8_t flags, uint64_t offset, uint32_t len, uint64_t now_ns)
{
	uint8_t packet[2000], payload[SEND_BLOCK_OCTETS];
	bool syn = flags & WIRE_SYN;
	struct wire_segment s = {.source_ip = 2, .destination_ip = 1, .source_port = 5672, .destination_port = 40000};
	s.flags = flags | (p->echo || (syn && p->ecn) ? WIRE_ECE : 0) | (p->slowed && len ? WIRE_CWR : 0);
	s.ecn = p->ecn && len ? 2 : 0;
	p->slowed &= len == 0;
	s.seq = p->isn + !syn + (uint32_t)offset;
	s.ack = expected_seq(p);
	s.window = window_field(p, syn);
	s.scale = syn ? p->scale : -1;
	s.mss = syn ? p->mss : 0;
	s.sack_permitted = syn && p->sack;
	s.timestamps = p->timestamps;
	s.ts_value = (uint32_t)(now_ns / MS) + 12345;
	s.ts_echo = p->ts_recent;
	if (p->sack && !syn)
		add_blocks(p, &s);
	for (uint32_t i = 0; i < len; i++)
		payload[i] = sim_octet(offset + i);
	s.payload = payload;
	s.len = len;
	sim_link_send(p->link, packet, wire_build(packet, &s), now_ns);
	p->unacked_segments = 0;
	p->ack_at_ns = NEVER;
}

/* Its own stream, then FIN once ours has ended. */
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
	bool finished = p->fin_seen && p->received == p->fin_offset && p->next == p->send_total;
	if (finished && !p->fin_acked && p->retransmit_at_ns == NEVER)
		send(p, WIRE_ACK | WIRE_FIN, p->next, 0, now_ns);
	if ((p->next > p->acked || (finished && !p->fin_acked) || p->next < p->send_total) &&
	    p->retransmit_at_ns == NEVER)
		p->retransmit_at_ns = now_ns + RETRANSMIT_NS;
}

static void note_twice(struct sim_peer *p, uint64_t offset, uint32_t len)
{
	if (!p->dsack || len == 0 || (int64_t)offset < 0 || offset + len > p->edge)
		return;
	for (uint64_t at = offset; at < offset + len; at++)
		if (at >= p->received && !have(p, at))
			return;
	p->twice = offset;
	p->twice_end = offset + len;
}

static void take_data(struct sim_peer *p, const struct wire_segment *s, uint64_t now_ns)
{
	uint64_t offset = p->received + (uint64_t)(int64_t)(int32_t)(s->seq - seq_of(p, p->received));
	bool in_order = offset == p->received;
	if (p->reneges && !in_order && prng_once_in(p->random, 50)) { /* RFC 2018, 8: it may */
		memset(p->have, 0, sizeof p->have);
		p->reneged++;
	}
	note_twice(p, offset, s->len);
	for (uint32_t i = 0; i < s->len; i++) {
		uint64_t at = offset + i;
		if ((int64_t)at < (int64_t)p->received || at >= p->edge)
			continue;
		p->wrong |= s->payload[i] != sim_octet(at);
		p->have[at % PEER_WINDOW_MAX] = 1;
		p->recent = at;
	}
	uint64_t end = offset + s->len;
	while (p->received < p->edge && have(p, p->received)) {
		p->have[p->received % PEER_WINDOW_MAX] = 0;
		p->received++;
	}
	if (s->flags & WIRE_FIN) {
		p->fin_seen = true;
		p->fin_offset = offset + s->len;
	}
	in_order &= p->received == end; /* RFC 5681, 4.2: what fills a gap is acknowledged at once, too */
	bool now = !in_order || p->ack_delay_ns == 0 || ++p->unacked_segments >= 2 || s->flags & WIRE_FIN;
	if (now)
		send(p, WIRE_ACK, p->next, 0, now_ns);
	else if (p->ack_at_ns == NEVER)
		p->ack_at_ns = now_ns + p->ack_delay_ns;
	if (p->read_at_ns == NEVER)
		p->read_at_ns = now_ns + p->read_every_ns;
}

static void take_ack(struct sim_peer *p, const struct wire_segment *s)
{
	uint64_t ack = (uint32_t)(s->ack - (p->isn + 1));
	if (ack > p->send_total + 1)
		return;
	if (ack == p->send_total + 1) {
		p->fin_acked = true;
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
	p->syn_seen = true;
	p->their_isn = s->seq;
	p->ecn &= (s->flags & (WIRE_ECE | WIRE_CWR)) == (WIRE_ECE | WIRE_CWR);
	p->their_mss = s->mss ? s->mss : 536;
	if (s->scale < 0)
		p->scale = -1;
	send(p, WIRE_SYN | WIRE_ACK, 0, 0, now_ns);
}

void sim_peer_input(struct sim_peer *p, const struct sim_packet *packet, uint64_t now_ns)
{
	struct wire_segment s;
	if (!wire_parse(packet->bytes, packet->len, &s))
		return;
	if (s.timestamps)
		p->ts_recent = s.ts_value;
	if (s.flags & WIRE_SYN) {
		take_syn(p, &s, now_ns);
		return;
	}
	if (!p->syn_seen || s.flags & WIRE_RST)
		return;
	p->established = true;
	if (p->ecn && s.len) {
		p->echo &= !(s.flags & WIRE_CWR);
		p->echo |= s.ecn == 3;
	}
	p->slowed |= p->ecn && s.flags & WIRE_ECE;
	take_ack(p, &s);
	if (s.len || s.flags & WIRE_FIN || s.seq != expected_seq(p))
		take_data(p, &s, now_ns);
	send_stream(p, now_ns);
}

uint64_t sim_peer_next(const struct sim_peer *p)
{
	uint64_t at = p->ack_at_ns < p->retransmit_at_ns ? p->ack_at_ns : p->retransmit_at_ns;
	return at < p->read_at_ns ? at : p->read_at_ns;
}

/* Reading opens the window; the update is sent once, and if it is lost, our probe has to find out. */
static void read_some(struct sim_peer *p, uint64_t now_ns)
{
	uint64_t held = p->received - p->consumed;
	uint64_t n = held < p->read_octets ? held : p->read_octets;
	bool was_closed = p->edge - p->received < p->mss;
	p->consumed += n;
	p->read_at_ns = NEVER;
	uint64_t pause = prng_once_in(p->random, 50) ? 2000 * MS : p->read_every_ns;
	if (p->received > p->consumed)
		p->read_at_ns = now_ns + pause;
	if (was_closed && n && p->consumed + p->window - p->edge >= p->mss)
		send(p, WIRE_ACK, p->next, 0, now_ns);
}

void sim_peer_timer(struct sim_peer *p, uint64_t now_ns)
{
	if (p->ack_at_ns <= now_ns)
		send(p, WIRE_ACK, p->next, 0, now_ns);
	if (p->read_at_ns <= now_ns)
		read_some(p, now_ns);
	if (p->retransmit_at_ns <= now_ns) {
		p->retransmit_at_ns = NEVER;
		p->next = p->acked;
		if (p->send_window == 0 && p->next < p->send_total)
			send(p, WIRE_ACK, p->next, 1, now_ns); /* a probe */
		send_stream(p, now_ns);
	}
}
