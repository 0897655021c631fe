/* A session of the broker: its handshake, its life, when it reads, speaks and ends. */
#include <string.h>

#include "tests/sim/session/session.h"

/* ---- handshake and the methods of the connection ---- */

static void answer(struct session *s, uint16_t channel, uint32_t method, uint32_t len)
{
	static const uint8_t zeros[16];
	session_send_method(s, channel, method, zeros, len);
}

static void open_channel(struct session *s)
{
	if (s->channel_open)
		fail(s->world, "channel.open on an open channel", 0);
	if (s->channel_closing)
		fail(s->world, "channel.open before close-ok", 0);
	s->channel_open = true;
	s->low_tag = s->next_tag = 1;
	s->last_id = s->ahead_tag = 0;
	s->confirm_at_ns = NEVER;
	answer(s, CHANNEL, CHANNEL_OPEN_OK, 4);
}

static void end(struct session *s)
{
	s->phase = SESSION_OVER;
	if (s->tcb)
		tcb_reset(s->tcb, s->host);
}

/* The client closes: close-ok, and then whoever is first. */
static void on_close(struct session *s)
{
	if (!s->producer->application.closing && s->tcb->port == s->producer->control.port)
		fail(s->world, "connection.close, and nobody has asked for it", 0);
	answer(s, 0, CONNECTION_CLOSE_OK, 0);
	s->client_closed = true;
	s->phase = SESSION_CLOSING;
	s->close_at_ns = s->world->now_ns + prng_below(&s->world->random, 20 * MS);
}

/* False: a method that belongs to no handshake. */
static bool on_handshake(struct session *s, uint16_t channel, uint32_t method)
{
	switch (method) {
	case 0:
		answer(s, 0, CONNECTION_START, 14);
		return true;
	case CONNECTION_START_OK:
		answer(s, 0, CONNECTION_TUNE, 8);
		return true;
	case CONNECTION_TUNE_OK:
		return true;
	case CONNECTION_OPEN:
		s->phase = SESSION_OPEN;
		answer(s, 0, CONNECTION_OPEN_OK, 1);
		return true;
	case CHANNEL_OPEN:
		open_channel(s);
		return true;
	case CONFIRM_SELECT:
		if (!s->channel_open) /* it is being closed */
			return true;
		s->confirms = true;
		answer(s, channel, CONFIRM_SELECT_OK, 0);
		return true;
	default:
		return false;
	}
}

static void on_method(void *context, uint16_t channel, uint32_t method, const uint8_t *args, uint32_t len)
{
	struct session *s = context;
	if (s->phase == SESSION_CLOSING && method != CONNECTION_CLOSE_OK && method != CONNECTION_CLOSE)
		return;
	if (s->handshake_ends_after && --s->handshake_ends_after == 0) {
		hit(s->world, HIT_HANDSHAKE_LOST);
		if (prng_once_in(&s->world->random, 2))
			s->mute = true;
		else
			end(s);
		return;
	}
	if (on_handshake(s, channel, method))
		return;
	if (method == CHANNEL_CLOSE_OK && s->channel_closing)
		s->channel_closing = false;
	else if (method == CONNECTION_CLOSE)
		on_close(s);
	else if (method == CONNECTION_CLOSE_OK && s->phase == SESSION_CLOSING)
		end(s);
	else
		fail(s->world, "a method that no broker expects", method);
}

static const struct intake_events events = {.method = on_method, .message = session_message};

/* ---- life ---- */

static struct producer *producer_of(struct world *w, uint16_t port)
{
	for (uint32_t i = 0; i < w->producer_count; i++)
		if (w->producers[i].control.port == port)
			return &w->producers[i];
	return NULL;
}

void broker_accept(struct host *h, struct tcb *t)
{
	struct world *w = h->world;
	struct prng *r = &w->random;
	struct session *s = &w->sessions[h->index][t - h->tcbs];
	struct producer *p = producer_of(w, t->port);
	if (!p) { /* given up before it was accepted */
		tcb_reset(t, h);
		return;
	}
	memset(s, 0, offsetof(struct session, pending));
	s->queued = 0;
	s->world = w;
	s->host = h;
	s->tcb = t;
	s->producer = p;
	t->session = s;
	s->tells_early = prng_once_in(r, 2); /* else to who has published something */
	s->style = (enum confirm_style)prng_below(r, 3);
	s->confirm_delay_ns = (MS / 4) << prng_below(r, 10);
	s->read_octets = 500u << prng_below(r, 9);
	s->read_pause_ns = (MS / 16) << prng_below(r, 6);
	s->heard_at_ns = s->read_at_ns = w->now_ns;
	s->heartbeat_ns = p->control.heartbeat_ns;
	s->heartbeat_at_ns = s->heartbeat_ns ? w->now_ns + s->heartbeat_ns / 2 : NEVER;
	s->confirm_at_ns = s->close_at_ns = NEVER;
	s->handshake_ends_after = !w->healed && prng_once_in(r, 12) ? 1 + (uint32_t)prng_below(r, 6) : 0;
	intake_init(&s->reader, w->frame_max, &events, s);
	trace(w, "broker %u: accepts port %u of producer %u", h->index, t->port, p->index);
}

void broker_lost(struct session *s)
{
	trace(s->world, "broker %u: connection of producer %u is lost", s->host->index, s->producer->index);
	s->phase = SESSION_OVER;
	s->tcb = NULL;
}

static bool reads(const struct session *s)
{
	return s->tcb && s->phase != SESSION_OVER && !s->deaf && !s->frozen && !s->blocked_told &&
	       s->queued < SESSION_FULL;
}

static void read_some(struct session *s)
{
	uint8_t chunk[8192];
	uint32_t left = s->read_octets;
	while (left > 0 && reads(s) && tcb_readable(s->tcb) > 0) {
		uint32_t n = tcb_readable(s->tcb);
		n = n < left ? n : left;
		n = n < sizeof chunk ? n : (uint32_t)sizeof chunk;
		tcb_read(s->tcb, s->host, chunk, n);
		left -= n;
		s->heard_at_ns = s->world->now_ns;
		intake_feed(&s->reader, chunk, n);
		if (s->reader.broken)
			fail(s->world, s->reader.broken, s->last_id);
	}
	s->read_at_ns = s->world->now_ns + s->read_pause_ns;
}

/* An alarm is told to who publishes, and from then on nobody reads it. */
static void check_alarm(struct session *s)
{
	static const uint8_t reason[] = {3, 'l', 'o', 'w'};
	bool alarm = s->world->brokers[s->host->index].alarm;
	if (s->phase != SESSION_OPEN || alarm == s->blocked_told)
		return;
	if (alarm && (!s->confirms || (s->next_tag < 2 && !s->tells_early)))
		return;
	session_send_method(s, 0, alarm ? CONNECTION_BLOCKED : CONNECTION_UNBLOCKED, reason, alarm ? sizeof reason : 0);
	s->blocked_told = alarm;
	s->heard_at_ns = s->world->now_ns;
	trace(s->world, "broker %u: %s to producer %u", s->host->index, alarm ? "blocked" : "unblocked",
	      s->producer->index);
}

static void send_heartbeat(struct session *s)
{
	struct world *w = s->world;
	uint64_t interval = s->heartbeat_ns;
	s->heartbeat_at_ns = w->now_ns + interval / 2;
	session_heartbeat(s);
	if (reads(s) && w->now_ns - s->heard_at_ns > 3 * interval) {
		hit(w, HIT_MISSED_HEARTBEATS);
		if (w->undisturbed && s->tcb->port == s->producer->control.port)
			fail(w, "no heartbeat for three intervals, and nothing is wrong with the network", 0);
		end(s);
	}
}

static void step(struct session *s)
{
	uint64_t now = s->world->now_ns;
	if (!s->tcb || s->phase == SESSION_OVER || s->frozen)
		return;
	if (s->tcb->fin && s->tcb->received == s->tcb->fin_at && tcb_readable(s->tcb) == 0) {
		end(s);
		return;
	}
	if (s->close_at_ns <= now) {
		end(s);
		return;
	}
	if (s->read_at_ns <= now && reads(s) && tcb_readable(s->tcb) > 0)
		read_some(s);
	if (s->phase == SESSION_OVER)
		return;
	check_alarm(s);
	if (s->confirm_at_ns <= now && s->channel_open && !s->silent && !s->majority_lost)
		session_confirm(s);
	if (s->heartbeat_at_ns <= now)
		send_heartbeat(s);
	if (s->phase != SESSION_OVER)
		session_flush(s);
}

void broker_step(struct host *h)
{
	for (uint32_t i = 0; i < TCBS; i++)
		if (h->tcbs[i].used && h->tcbs[i].session && !h->dead)
			step(h->tcbs[i].session);
}

static uint64_t session_next(const struct session *s)
{
	uint64_t next = min64(s->heartbeat_at_ns, s->close_at_ns);
	if (!s->tcb || s->phase == SESSION_OVER || s->frozen)
		return NEVER;
	if (reads(s) && tcb_readable(s->tcb) > 0)
		next = min64(next, s->read_at_ns);
	if (s->channel_open && !s->silent && !s->majority_lost)
		next = min64(next, s->confirm_at_ns);
	return next;
}

uint64_t broker_next(const struct host *h)
{
	uint64_t next = NEVER;
	for (uint32_t i = 0; i < TCBS && !h->dead; i++)
		if (h->tcbs[i].used && h->tcbs[i].session)
			next = min64(next, session_next(h->tcbs[i].session));
	return next;
}
