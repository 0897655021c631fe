/*
 * The broker: a session per connection, its channel, its confirms. Written from AMQP 0-9-1 and from what RabbitMQ is
 * seen to do: pending confirms die with their channel, publishes on a channel that is being closed vanish, returns come
 * before their acks, an alarm stops the reading of everything.
 */
#include <string.h>

#include "tests/sim/session/session.h"

/* ---- what it says ---- */

void session_flush(struct session *s)
{
	uint32_t n = s->queued;
	while (n > 0 && !tcb_write(s->tcb, s->queue, n))
		n /= 2;
	memmove(s->queue, s->queue + n, s->queued - n);
	s->queued -= n;
	tcb_push(s->tcb, s->host);
}

static void put(uint8_t *p, uint64_t v, unsigned octets)
{
	while (octets--)
		*p++ = (uint8_t)(v >> 8 * octets);
}

static void send_frame(struct session *s, uint8_t type, uint16_t channel, const uint8_t *payload, uint32_t len)
{
	if (s->queued + len + 8 > sizeof s->queue)
		s->mute = true; /* it cannot get rid of its words: it says nothing more */
	if (s->mute)
		return;
	uint8_t *p = s->queue + s->queued;
	p[0] = type;
	put(p + 1, channel, 2);
	put(p + 3, len, 4);
	if (len)
		memcpy(p + 7, payload, len);
	p[7 + len] = 206;
	s->queued += len + 8;
}

void session_send_method(struct session *s, uint16_t channel, uint32_t method, const uint8_t *args, uint32_t len)
{
	uint8_t payload[300];
	put(payload, method, 4);
	if (len)
		memcpy(payload + 4, args, len);
	send_frame(s, 1, channel, payload, len + 4);
}

static void send_confirm(struct session *s, uint32_t method, uint64_t tag, bool multiple)
{
	uint8_t args[9];
	put(args, tag, 8);
	args[8] = multiple;
	session_send_method(s, CHANNEL, method, args, sizeof args);
}

static void send_return(struct session *s, const struct intake_message *m)
{
	static const uint8_t args[] = {1, 56, 8, 'N', 'O', '_', 'R', 'O', 'U', 'T', 'E', 1, 'x', 3, 'k', 'e', 'y'};
	session_send_method(s, CHANNEL, BASIC_RETURN, args, sizeof args);
	send_frame(s, 2, CHANNEL, m->header, m->header_len);
	for (uint64_t at = 0; at < m->body_len;) {
		uint64_t n = min64(m->body_len - at, s->world->frame_max - 8);
		send_frame(s, 3, CHANNEL, m->body + at, (uint32_t)n);
		at += n;
	}
}

static void send_close(struct session *s, uint16_t channel, uint32_t method, uint16_t code)
{
	uint8_t args[] = {0, 0, 5, 'w', 'o', 'r', 'd', 's', 0, 60, 0, 40};
	put(args, code, 2);
	session_send_method(s, channel, method, args, sizeof args);
}

void session_heartbeat(struct session *s)
{
	send_frame(s, 8, 0, NULL, 0);
}

void session_close_channel(struct session *s, uint16_t code)
{
	if (!s->channel_open || s->channel_closing)
		return;
	s->channel_closing = true;
	s->channel_open = s->confirms = s->majority_lost = false;
	s->low_tag = s->next_tag = 1;
	send_close(s, CHANNEL, CHANNEL_CLOSE, code);
	if (s->tcb->port == s->producer->control.port) {
		s->producer->tap.close_expected = true;
		s->producer->tap.close_ends_at = s->tcb->iss + 1 + (uint32_t)s->tcb->end + s->queued;
	}
	trace(s->world, "broker %u: channel.close %u to producer %u", s->host->index, code, s->producer->index);
}

void session_close(struct session *s, uint16_t code)
{
	send_close(s, 0, CONNECTION_CLOSE, code);
	s->phase = SESSION_CLOSING;
	trace(s->world, "broker %u: connection.close %u to producer %u", s->host->index, code, s->producer->index);
}

/* ---- messages ---- */

static bool has_arrived(struct broker *b, uint32_t producer, uint64_t id)
{
	return b->arrived[producer][id / 64] >> id % 64 & 1;
}

/*
 * The first arrivals of a publisher come in order. What comes late, on a connection given up long ago, has been sent
 * again in order: only where it was not, or elsewhere, may it come behind newer ones.
 */
static void note_arrival(struct session *s, uint64_t id)
{
	struct world *w = s->world;
	struct producer *p = s->producer;
	struct broker *b = &w->brokers[w->shared_store ? 0 : s->host->index];
	bool stale = s->tcb->port != p->control.port && (p->options.at_most_once || !w->shared_store || w->hasty);
	if (!has_arrived(b, p->index, id)) {
		if (id < b->last_first_id[p->index] && !stale)
			fail(w, "a message arrives for the first time behind a newer one", id);
		if (id > b->last_first_id[p->index])
			b->last_first_id[p->index] = id;
		b->arrived[p->index][id / 64] |= 1ull << id % 64;
	} else {
		hit(w, HIT_ARRIVED_TWICE);
	}
	p->records[id].arrivals++;
}

static void pend(struct session *s, uint64_t id, bool nack)
{
	bool done = s->next_tag <= s->ahead_tag;
	s->pending[s->next_tag % PENDING_MAX] = (struct pending){.id = id, .nack = nack, .done = done};
	s->next_tag++;
	if (done && s->low_tag == s->next_tag - 1)
		s->low_tag = s->next_tag;
	if (s->confirm_at_ns == NEVER)
		s->confirm_at_ns = s->world->now_ns + prng_below(&s->world->random, s->confirm_delay_ns);
}

/* A message that ends its channel, or the connection; one that did so but once is like any other from now on. */
static void ends(struct session *s, uint64_t id)
{
	struct record *r = &s->producer->records[id];
	hit(s->world, r->fate == FATE_POISON ? HIT_POISON : HIT_CLOSES);
	if (id % 2 || r->fate == FATE_CLOSES)
		session_close_channel(s, r->fate == FATE_POISON ? 406 : 404);
	else
		session_close(s, 501);
	if (r->fate == FATE_CLOSES)
		r->fate = FATE_ROUTED;
}

void session_message(void *context, uint16_t channel, const struct intake_message *m)
{
	struct session *s = context;
	struct world *w = s->world;
	if (!s->channel_open || s->phase != SESSION_OPEN) {
		hit(w, HIT_VANISHED);
		if (s->client_closed)
			fail(w, "a message behind connection.close", 0);
		if (!s->channel_closing && s->phase == SESSION_OPEN)
			fail(w, "a message on a channel that is not open", 0);
		return;
	}
	if (!s->confirms)
		fail(w, "a message before confirm.select", 0);
	uint64_t id = account_identify(s->producer, m);
	if (id == 0)
		return;
	struct record *r = &s->producer->records[id];
	if (id <= s->last_id)
		fail(w, "a message arrives behind a newer one of its channel", id);
	s->last_id = id;
	note_arrival(s, id);
	r->unflagged += m->has_flag && !m->flag;
	if (r->unflagged > 1)
		fail(w, "two copies arrived without the flag", id);
	if (r->fate == FATE_POISON || r->fate == FATE_CLOSES) {
		ends(s, id);
		return;
	}
	r->stored |= r->fate == FATE_ROUTED;
	if (s->next_tag <= s->ahead_tag) {
		pend(s, id, false);
		return;
	}
	if (m->mandatory && r->fate == FATE_UNROUTED) {
		send_return(s, m);
		r->returned = true;
		hit(w, HIT_RETURN);
	}
	pend(s, id, r->fate == FATE_NACKED);
}

/* ---- confirms ---- */

static void say(struct session *s, uint64_t first, uint64_t last)
{
	for (uint64_t tag = first; tag <= last; tag++) {
		struct pending *pending = &s->pending[tag % PENDING_MAX];
		struct record *r = &s->producer->records[pending->id];
		r->nacked |= !pending->done && pending->nack;
		r->acked |= !pending->done && !pending->nack;
		pending->done = true;
	}
	while (s->low_tag < s->next_tag && s->pending[s->low_tag % PENDING_MAX].done)
		s->low_tag++;
}

static void confirm_one(struct session *s, uint64_t tag)
{
	bool nack = s->pending[tag % PENDING_MAX].nack;
	if (tag != s->low_tag)
		hit(s->world, HIT_ACK_OUT_OF_ORDER);
	if (nack)
		hit(s->world, HIT_NACK);
	send_confirm(s, nack ? BASIC_NACK : BASIC_ACK, tag, false);
	say(s, tag, tag);
}

/* The longest run from the lowest tag on with one verdict, what is done aside; or less of it. */
static void confirm_run(struct session *s)
{
	bool nack = s->pending[s->low_tag % PENDING_MAX].nack;
	uint64_t last = s->low_tag;
	for (uint64_t tag = s->low_tag; tag < s->next_tag; tag++) {
		const struct pending *pending = &s->pending[tag % PENDING_MAX];
		if (!pending->done && pending->nack != nack)
			break;
		last = pending->done ? last : tag;
	}
	if (prng_once_in(&s->world->random, 3)) {
		uint64_t shorter = s->low_tag + prng_below(&s->world->random, last - s->low_tag + 1);
		last = s->pending[shorter % PENDING_MAX].done ? last : shorter;
	}
	hit(s->world, nack ? HIT_NACK : HIT_MULTIPLE_ACK);
	send_confirm(s, nack ? BASIC_NACK : BASIC_ACK, last, true);
	say(s, s->low_tag, last);
}

static void confirm_any(struct session *s)
{
	uint64_t tag = s->low_tag + prng_below(&s->world->random, s->next_tag - s->low_tag);
	while (s->pending[tag % PENDING_MAX].done)
		tag = tag + 1 == s->next_tag ? s->low_tag : tag + 1;
	confirm_one(s, tag);
}

/*
 * No broker does this. But what one has confirmed may still be TCP's to send again: were its octets in the log given
 * back for a confirm alone, others would be sent in their place.
 */
static void confirm_ahead(struct session *s)
{
	struct producer *p = s->producer;
	const struct confirms *c = &p->connection->confirms;
	if (p->control.state != CONTROL_UP || s->tcb->port != p->control.port ||
	    p->connection->phase < CONNECTION_REPLAYING || s->next_tag < 2 || s->next_tag >= c->next_tag)
		return;
	uint64_t last = s->next_tag + prng_below(&s->world->random, c->next_tag - s->next_tag);
	while (last >= s->next_tag && confirms_id(c, last) > p->tap.last_id)
		last--; /* what has not left TCP for the first time is not on its way */
	if (last <= s->ahead_tag || last < s->next_tag)
		return;
	for (uint64_t tag = s->low_tag; tag < s->next_tag; tag++)
		s->pending[tag % PENDING_MAX].nack &= s->pending[tag % PENDING_MAX].done;
	if (s->low_tag < s->next_tag)
		say(s, s->low_tag, s->next_tag - 1);
	for (uint64_t tag = s->next_tag; tag <= last; tag++) {
		struct record *r = &p->records[confirms_id(c, tag)];
		r->acked = r->stored = true;
	}
	s->ahead_tag = last;
	hit(s->world, HIT_ACK_AHEAD);
	send_confirm(s, BASIC_ACK, last, true);
}

void session_confirm(struct session *s)
{
	struct prng *r = &s->world->random;
	if (s->world->hasty && !prng_once_in(r, 4))
		confirm_ahead(s);
	uint64_t n = s->style == CONFIRM_EACH ? s->next_tag : 1 + prng_below(r, 20);
	for (; n > 0 && s->low_tag < s->next_tag; n--) {
		if (s->style == CONFIRM_EACH || (s->style == CONFIRM_ANYHOW && prng_once_in(r, 3)))
			confirm_one(s, s->low_tag);
		else if (s->style == CONFIRM_BATCHES || prng_once_in(r, 3))
			confirm_run(s);
		else
			confirm_any(s);
	}
	s->confirm_at_ns = s->low_tag < s->next_tag ? s->world->now_ns + prng_below(r, s->confirm_delay_ns) : NEVER;
}
