/*
 * TCP of the broker's host: several connections, a receiver with one flag per octet of its window, a sender that goes
 * back N. What a process above does with it (does not read, dies) is what makes it interesting.
 */
#include <string.h>

#include "tests/sim/session/session.h"

#define RTO_MIN_NS     (200 * MS)
#define SEGMENT_OCTETS 1000u

static void emit(struct tcb *t, struct host *h, uint8_t flags, uint64_t offset, uint32_t len);

/* ---- windows ---- */

/* An edge once given stays (RFC 9293, 3.8.6.2.2), and grows by a segment or half the window at least. */
static uint16_t window_field(struct tcb *t, bool syn)
{
	uint64_t limit = t->consumed + t->window, grown = limit > t->edge ? limit - t->edge : 0;
	if (grown < t->mss && grown < t->window / 2)
		limit = t->edge;
	uint64_t room = limit > t->received ? limit - t->received : 0;
	int shift = syn || t->scale < 0 ? 0 : t->scale;
	uint64_t units = room >> shift < UINT16_MAX ? room >> shift : UINT16_MAX;
	if (t->received + (units << shift) > t->edge)
		t->edge = t->received + (units << shift);
	return (uint16_t)units;
}

static uint32_t expected_seq(const struct tcb *t)
{
	return t->irs + 1 + (uint32_t)t->received + (t->fin && t->received == t->fin_at);
}

static bool have(const struct tcb *t, uint64_t offset)
{
	return t->have[offset % TCB_WINDOW_MAX];
}

/* Up to three runs beyond the gap, from the lowest. */
static void add_blocks(struct tcb *t, struct wire_segment *s)
{
	for (uint64_t at = t->received; at < t->edge && s->blocks < 3; at++) {
		if (!have(t, at))
			continue;
		uint64_t left = at;
		while (at < t->edge && have(t, at))
			at++;
		s->block[s->blocks++] = (struct wire_block){t->irs + 1 + (uint32_t)left, t->irs + 1 + (uint32_t)at};
	}
}

/* ---- sending ---- */

static void send_packet(struct host *h, uint16_t port, struct wire_segment *s)
{
	uint8_t packet[2000];
	s->source_ip = HOST_IP + h->index;
	s->destination_ip = OUR_IP;
	s->source_port = BROKER_PORT;
	s->destination_port = port;
	sim_link_send(h->link, packet, wire_build(packet, s), h->world->now_ns);
}

static void emit(struct tcb *t, struct host *h, uint8_t flags, uint64_t offset, uint32_t len)
{
	bool syn = flags & WIRE_SYN;
	uint8_t payload[SEGMENT_OCTETS];
	struct wire_segment s = {.flags = flags, .scale = syn ? t->scale : -1, .mss = syn ? t->mss : 0};
	s.seq = t->iss + !syn + (uint32_t)offset;
	s.ack = expected_seq(t);
	s.window = window_field(t, syn);
	s.sack_permitted = syn && t->sack;
	s.timestamps = t->timestamps;
	s.ts_value = (uint32_t)(h->world->now_ns / MS);
	s.ts_echo = t->ts_recent;
	if (t->sack && !syn)
		add_blocks(t, &s);
	for (uint32_t i = 0; i < len; i++)
		payload[i] = t->out[(offset + i) % TCB_OUT_MAX];
	s.payload = payload;
	s.len = len;
	t->unacked = 0;
	t->ack_at_ns = NEVER;
	send_packet(h, t->port, &s);
}

void tcb_push(struct tcb *t, struct host *h)
{
	if (!t->established)
		return;
	while (t->next < t->end && t->next - t->acked < t->peer_window) {
		uint64_t room = t->peer_window - (t->next - t->acked), len = t->end - t->next;
		len = len < room ? len : room;
		len = len < SEGMENT_OCTETS ? len : SEGMENT_OCTETS;
		emit(t, h, WIRE_ACK | WIRE_PSH, t->next, (uint32_t)len);
		t->next += len;
	}
	if (t->fin_out && t->next == t->end && t->retransmit_at_ns == NEVER)
		emit(t, h, WIRE_ACK | WIRE_FIN, t->end, 0);
	if ((t->acked < t->end || t->fin_out) && t->retransmit_at_ns == NEVER)
		t->retransmit_at_ns = h->world->now_ns + t->rto_ns;
}

bool tcb_write(struct tcb *t, const void *octets, uint32_t len)
{
	const uint8_t *p = octets;
	if (len > TCB_OUT_MAX - (t->end - t->acked) || t->fin_out)
		return false;
	for (uint32_t i = 0; i < len; i++)
		t->out[(t->end + i) % TCB_OUT_MAX] = p[i];
	t->end += len;
	return true;
}

static void release(struct tcb *t)
{
	t->used = t->established = false;
	t->session = NULL;
}

void tcb_reset(struct tcb *t, struct host *h)
{
	struct wire_segment s = {.flags = WIRE_RST | WIRE_ACK, .scale = -1, .seq = t->iss + 1 + (uint32_t)t->next};
	s.ack = expected_seq(t);
	if (t->used && !h->dead)
		send_packet(h, t->port, &s);
	release(t);
}

void tcb_finish(struct tcb *t, struct host *h)
{
	t->fin_out = true;
	tcb_push(t, h);
}

/* ---- receiving ---- */

uint32_t tcb_readable(const struct tcb *t)
{
	return (uint32_t)(t->received - t->consumed);
}

void tcb_read(struct tcb *t, struct host *h, uint8_t *dst, uint32_t len)
{
	bool was_closed = t->edge - t->received < t->mss;
	for (uint32_t i = 0; i < len; i++)
		dst[i] = t->in[(t->consumed + i) % TCB_WINDOW_MAX];
	t->consumed += len;
	if (was_closed && t->consumed + t->window - t->received >= t->mss)
		emit(t, h, WIRE_ACK, t->next, 0);
}

static void take_data(struct tcb *t, struct host *h, const struct wire_segment *s)
{
	uint64_t limit = t->consumed + t->window;
	uint64_t offset = t->received + (uint64_t)(int64_t)(int32_t)(s->seq - (t->irs + 1 + (uint32_t)t->received));
	bool in_order = offset == t->received;
	for (uint32_t i = 0; i < s->len; i++) {
		uint64_t at = offset + i;
		if ((int64_t)at < (int64_t)t->received || at >= limit)
			continue;
		t->in[at % TCB_WINDOW_MAX] = s->payload[i];
		t->have[at % TCB_WINDOW_MAX] = 1;
	}
	while (t->received < limit && have(t, t->received)) {
		t->have[t->received % TCB_WINDOW_MAX] = 0;
		t->received++;
	}
	if (t->received > t->edge)
		t->edge = t->received;
	if (s->flags & WIRE_FIN) {
		t->fin = true;
		t->fin_at = offset + s->len;
	}
	if (t->received == t->consumed + t->window)
		hit(h->world, HIT_ZERO_WINDOW);
	in_order &= t->received == offset + s->len;
	if (!in_order || ++t->unacked >= 2 || s->flags & WIRE_FIN)
		emit(t, h, WIRE_ACK, t->next, 0);
	else if (t->ack_at_ns == NEVER)
		t->ack_at_ns = h->world->now_ns + 2 * MS;
}

static void take_ack(struct tcb *t, const struct wire_segment *s)
{
	uint64_t ack = t->acked + (uint32_t)(s->ack - (t->iss + 1 + (uint32_t)t->acked));
	t->peer_window = s->window; /* our receive ring needs no scale */
	if (ack > t->end + t->fin_out)
		return;
	if (ack > t->acked) {
		t->acked = ack < t->end ? ack : t->end;
		t->retransmit_at_ns = NEVER;
		t->rto_ns = RTO_MIN_NS;
	}
	t->next = t->next < t->acked ? t->acked : t->next;
}

static void refuse(struct host *h, const struct wire_segment *s)
{
	struct wire_segment reset = {.flags = WIRE_RST, .scale = -1, .seq = s->ack};
	if (s->flags & WIRE_RST)
		return;
	if (!(s->flags & WIRE_ACK)) {
		reset.flags |= WIRE_ACK;
		reset.seq = 0;
		reset.ack = s->seq + s->len + !!(s->flags & WIRE_SYN) + !!(s->flags & WIRE_FIN);
	}
	hit(h->world, s->flags & WIRE_SYN ? HIT_REFUSED : HIT_UNKNOWN_RESET);
	send_packet(h, s->source_port, &reset);
}

static void take_syn(struct host *h, struct tcb *t, const struct wire_segment *s)
{
	static const uint16_t sizes[] = {536, 1000, 1460, 1460};
	struct prng *r = &h->world->random;
	memset(t, 0, offsetof(struct tcb, in));
	t->used = true;
	t->port = s->source_port;
	t->irs = s->seq;
	t->iss = (uint32_t)prng_next(r);
	t->mss = sizes[prng_below(r, 4)];
	t->sack = s->sack_permitted && !prng_once_in(r, 3);
	t->timestamps = s->timestamps && !prng_once_in(r, 3);
	t->ts_recent = s->ts_value;
	t->scale = s->scale < 0 || prng_once_in(r, 3) ? -1 : 4;
	t->window = 4096u << prng_below(r, t->scale < 0 ? 4 : 6);
	t->ack_at_ns = t->retransmit_at_ns = NEVER;
	t->rto_ns = RTO_MIN_NS;
	emit(t, h, WIRE_SYN | WIRE_ACK, 0, 0);
	t->retransmit_at_ns = h->world->now_ns + t->rto_ns;
}

static struct tcb *find(struct host *h, uint16_t port)
{
	for (uint32_t i = 0; i < TCBS; i++)
		if (h->tcbs[i].used && h->tcbs[i].port == port)
			return &h->tcbs[i];
	return NULL;
}

static struct tcb *find_free(struct host *h)
{
	for (uint32_t i = 0; i < TCBS; i++)
		if (!h->tcbs[i].used)
			return &h->tcbs[i];
	return NULL;
}

static void take_segment(struct host *h, struct tcb *t, const struct wire_segment *s)
{
	if (s->flags & WIRE_RST) {
		uint32_t expected = expected_seq(t);
		if (s->seq - expected <= t->window) {
			struct session *session = t->session;
			release(t);
			if (session)
				broker_lost(session);
		}
		return;
	}
	if (s->flags & WIRE_SYN) {
		emit(t, h, WIRE_SYN | WIRE_ACK, 0, 0);
		return;
	}
	if (s->timestamps)
		t->ts_recent = s->ts_value;
	take_ack(t, s);
	if (!t->established) {
		t->established = true;
		t->retransmit_at_ns = NEVER;
		broker_accept(h, t);
	}
	if (s->len || s->flags & WIRE_FIN || s->seq != expected_seq(t))
		take_data(t, h, s);
	tcb_push(t, h);
}

void host_input(struct host *h, const struct sim_packet *packet)
{
	struct wire_segment s;
	if (h->dead || !wire_parse(packet->bytes, packet->len, &s))
		return;
	struct tcb *t = find(h, s.source_port);
	if (t) {
		take_segment(h, t, &s);
		return;
	}
	bool syn = (s.flags & (WIRE_SYN | WIRE_ACK | WIRE_RST)) == WIRE_SYN;
	t = syn && h->listening ? find_free(h) : NULL;
	if (t)
		take_syn(h, t, &s);
	else
		refuse(h, &s);
}

/* ---- time ---- */

uint64_t host_next(const struct host *h)
{
	uint64_t next = NEVER;
	for (uint32_t i = 0; i < TCBS; i++)
		if (h->tcbs[i].used)
			next = min64(next, min64(h->tcbs[i].ack_at_ns, h->tcbs[i].retransmit_at_ns));
	return h->dead ? NEVER : next;
}

/* Back to what is unacked; a connection that nobody answers any more goes away in the end. */
static void retransmit(struct tcb *t, struct host *h)
{
	t->retransmit_at_ns = NEVER;
	t->rto_ns *= 2;
	if (t->rto_ns > 4 * SECOND && (h->world->healed || prng_once_in(&h->world->random, 2))) {
		struct session *session = t->session;
		release(t);
		if (session)
			broker_lost(session);
		return;
	}
	if (!t->established) {
		emit(t, h, WIRE_SYN | WIRE_ACK, 0, 0);
		t->retransmit_at_ns = h->world->now_ns + t->rto_ns;
		return;
	}
	bool probe = t->peer_window == 0 && t->acked < t->end;
	t->next = t->acked;
	if (probe) {
		emit(t, h, WIRE_ACK, t->acked, 1);
		t->retransmit_at_ns = h->world->now_ns + t->rto_ns;
	} else {
		tcb_push(t, h);
	}
}

void host_timer(struct host *h)
{
	for (uint32_t i = 0; i < TCBS && !h->dead; i++) {
		struct tcb *t = &h->tcbs[i];
		if (t->used && t->ack_at_ns <= h->world->now_ns)
			emit(t, h, WIRE_ACK, t->next, 0);
		if (t->used && t->retransmit_at_ns <= h->world->now_ns)
			retransmit(t, h);
	}
}
