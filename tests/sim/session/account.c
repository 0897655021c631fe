/* What every message is owed: its octets, its order, exactly one outcome, and that the outcome is true. */
#include <string.h>

#include "tests/sim/session/session.h"

/* ---- bodies ---- */

#define PATTERN_PERIOD 65521u
#define BODY_MAX       INTAKE_BODY_MAX
#define STAMP_OCTETS   12u /* longer bodies begin with their producer and id */

static uint8_t pattern[PATTERN_PERIOD + BODY_MAX];

static const uint8_t *pattern_of(uint32_t producer, uint64_t id)
{
	if (pattern[1] == 0)
		for (uint32_t i = 0; i < sizeof pattern; i++)
			pattern[i] = (uint8_t)(i * 167 + (i >> 8) * 29 + (i >> 16) + 1);
	return pattern + (id * 7919 + producer * 104729) % PATTERN_PERIOD;
}

static void stamp(uint8_t *dst, uint32_t producer, uint64_t id)
{
	for (int i = 0; i < 4; i++)
		dst[i] = (uint8_t)(producer >> 8 * i);
	for (int i = 0; i < 8; i++)
		dst[4 + i] = (uint8_t)(id >> 8 * i);
}

void body_write(uint32_t producer, uint64_t id, uint8_t *dst, size_t len)
{
	memcpy(dst, pattern_of(producer, id), len);
	if (len >= STAMP_OCTETS)
		stamp(dst, producer, id);
}

static bool body_right(uint32_t producer, uint64_t id, const uint8_t *body, size_t len)
{
	uint8_t head[STAMP_OCTETS];
	size_t stamped = len >= STAMP_OCTETS ? STAMP_OCTETS : 0;
	stamp(head, producer, id);
	return memcmp(body, head, stamped) == 0 &&
	       memcmp(body + stamped, pattern_of(producer, id) + stamped, len - stamped) == 0;
}

/* ---- messages ---- */

static enum fate draw_fate(struct producer *p, uint32_t template)
{
	struct prng *r = &p->world->random;
	if (p->poison_left && prng_once_in(r, 50)) {
		p->poison_left--;
		return FATE_POISON;
	}
	if (p->closes_left && prng_once_in(r, 40)) {
		p->closes_left--;
		return FATE_CLOSES;
	}
	if (template_is_mandatory(template) ? prng_once_in(r, 4) : prng_once_in(r, 20))
		return FATE_UNROUTED;
	return prng_once_in(r, 20) ? FATE_NACKED : FATE_ROUTED;
}

void account_offer(struct producer *p, uint32_t len, uint32_t template)
{
	uint64_t id = p->next_id++;
	p->records[id] =
		(struct record){.len = len, .template = (uint8_t) template, .fate = (uint8_t)draw_fate(p, template)};
}

bool account_answered(struct producer *p, int64_t answer)
{
	uint64_t id = p->next_id - 1;
	const struct record *r = &p->records[id];
	if (answer <= 0) {
		p->next_id--;
		if (r->begun)
			fail(p->world, "refused, and sent", id);
		return false;
	}
	if ((uint64_t)answer != id)
		fail(p->world, "ids are not given out one by one", id);
	trace(p->world, "producer %u: message %llu of %u octets accepted", p->index, (unsigned long long)id, r->len);
	uint32_t state = atomic_load(&p->publisher->state);
	if (state == PUBLISHER_RECONNECTING)
		hit(p->world, HIT_ACCEPTED_DISCONNECTED);
	else if (state == PUBLISHER_BLOCKED)
		hit(p->world, HIT_ACCEPTED_BLOCKED);
	hit(p->world, r->len == 0 ? HIT_EMPTY_BODY : r->len > p->world->frame_max - 8 ? HIT_SPLIT : HIT_ACCEPTED);
	return true;
}

uint64_t account_identify(struct producer *p, const struct intake_message *m)
{
	uint64_t id = m->has_sequence ? m->sequence : m->message_id;
	if (!m->has_sequence && !m->has_message_id)
		for (int i = 0; i < 8 && m->body_len >= STAMP_OCTETS; i++)
			id |= (uint64_t)m->body[4 + i] << 8 * i;
	if (id == 0 || id >= p->next_id) {
		fail(p->world, "a message that was never accepted", id);
		return 0;
	}
	const struct record *r = &p->records[id];
	bool named = m->has_sequence || m->has_message_id;
	if (m->has_sequence && m->has_message_id && m->sequence != m->message_id)
		fail(p->world, "two slots with different ids", id);
	if (named && m->epoch != p->publisher->epoch)
		fail(p->world, "a message of another epoch", id);
	if (m->body_len != r->len || !body_right(p->index, id, m->body, r->len))
		fail(p->world, "a body that is not the message's", id);
	if (m->has_flag != template_has_flag(r->template) || m->mandatory != template_is_mandatory(r->template))
		fail(p->world, "a message of another template", id);
	return id;
}

enum message_outcome account_outcome(const struct producer *p, uint64_t id)
{
	const struct record *r = &p->records[id];
	return r->outcome != OUTCOME_PENDING ? r->outcome : message_at(&p->publisher->index, id)->outcome;
}

/* ---- outcomes ---- */

static void check_outcome(struct producer *p, uint64_t id, enum message_outcome outcome)
{
	const struct record *r = &p->records[id];
	struct world *w = p->world;
	switch (outcome) {
	case OUTCOME_CONFIRMED:
		if (!r->acked || (r->fate == FATE_ROUTED && !r->stored))
			fail(w, "confirmed, and no broker has said so", id);
		break;
	case OUTCOME_NACKED:
		if (!r->nacked)
			fail(w, "nacked, and no broker has said so", id);
		break;
	case OUTCOME_RETURNED:
		if (!r->returned)
			fail(w, "returned, and no broker has done so", id);
		break;
	case OUTCOME_LOST:
		if (!p->options.at_most_once || !r->begun)
			fail(w, "lost, and either to be sent again or never sent", id);
		break;
	case OUTCOME_UNCONFIRMED:
		if (!p->control.told_end)
			fail(w, "unconfirmed before the publisher's end", id);
		break;
	default:
		fail(w, "an outcome that there is not", id);
	}
}

static void settle_records(struct producer *p)
{
	for (uint64_t id = p->low_id; id < p->next_id; id++) {
		struct record *r = &p->records[id];
		enum message_outcome now = message_at(&p->publisher->index, id)->outcome;
		if (r->outcome != OUTCOME_PENDING || now == OUTCOME_PENDING)
			continue;
		r->outcome = (uint8_t)now;
		check_outcome(p, id, now);
		trace(p->world, "producer %u: message %llu has outcome %d", p->index, (unsigned long long)id, now);
	}
	while (p->low_id < p->next_id && p->records[p->low_id].outcome != OUTCOME_PENDING)
		p->low_id++;
	uint64_t settled = atomic_load(&p->publisher->settled_id);
	if (settled > p->low_id)
		fail(p->world, "settled, and an older message has no outcome", p->low_id);
}

/* Octets of the log that are given back are nobody's: whoever reads them from now on reads this. */
static void overwrite(struct producer *p)
{
	const struct log *log = &p->publisher->log;
	uint64_t released = atomic_load(&p->publisher->released_pos);
	if (released < p->overwritten || released > p->publisher->next_pos) {
		fail(p->world, "more of the log is given back than was used, or some taken back", 0);
		return;
	}
	memset(log_at(log, p->overwritten), 0xa5, released - p->overwritten);
	if (released / log->capacity > p->overwritten / log->capacity)
		hit(p->world, HIT_LOG_WRAPPED);
	p->overwritten = released;
}

/* Octets of messages that the stream has ever been given. */
static uint64_t pushed(const struct stream *s)
{
	uint64_t n = s->tx.freed[EXTENT_LOG];
	for (uint32_t i = s->tx.head; i != s->tx.tail; i++) {
		const struct extent *e = &s->tx.ring[i % EXTENTS_MAX];
		n += e->kind == EXTENT_LOG ? e->len : 0;
	}
	return n;
}

/* A worker that knows of an alarm hands nothing over: it sends behind what it reads, in the same turn. */
static void check_alarm(struct producer *p)
{
	const struct stream *s = p->connection->stream;
	bool alarmed = s && atomic_load(&p->publisher->blockages) & 1u << HAREWIRE_BLOCKAGE_ALARM;
	uint64_t now = s ? pushed(s) : 0;
	if (alarmed && now != p->pushed)
		fail(p->world, "a message is sent during an alarm", p->connection->confirms.handed_id - 1);
	if (!alarmed && p->alarmed)
		p->alarm_ended_ns = p->world->now_ns;
	if (alarmed && !p->alarmed)
		hit(p->world, HIT_BLOCKED_KNOWN);
	p->alarmed = alarmed;
	p->pushed = now;
}

void account_turn(struct producer *p)
{
	uint64_t now = p->connection->stream ? pushed(p->connection->stream) : 0;
	if (p->alarmed && now != p->pushed)
		fail(p->world, "a message is sent by publish during an alarm", p->connection->confirms.handed_id - 1);
	p->pushed = now;
}

static bool seeks_replay(const struct connection *c)
{
	const struct confirms *f = &c->confirms;
	return c->phase == CONNECTION_REPLAYING && !c->blocked && !confirms_replay_over(f) &&
	       f->replay_id >= f->settled_id && message_at(f->index, f->replay_id)->outcome != OUTCOME_PENDING;
}

bool connection_walks(const struct producer *p)
{
	return confirms_behind(&p->connection->confirms) || seeks_replay(p->connection);
}

static void count_walks(struct producer *p)
{
	const struct confirms *c = &p->connection->confirms;
	if (seeks_replay(p->connection))
		hit(p->world, HIT_WALK_REPLAY);
	if (confirms_behind(c))
		hit(p->world, c->settled_id < c->lost_id ? HIT_WALK_LOST : HIT_WALK_UNCONFIRMED);
}

void account_settle(struct producer *p)
{
	settle_records(p);
	overwrite(p);
	check_alarm(p);
	count_walks(p);
}

static enum message_outcome outcome_told(enum harewire_event_type type)
{
	switch (type) {
	case HAREWIRE_EVENT_CONFIRMED:
		return OUTCOME_CONFIRMED;
	case HAREWIRE_EVENT_NACKED:
		return OUTCOME_NACKED;
	case HAREWIRE_EVENT_RETURNED:
		return OUTCOME_RETURNED;
	case HAREWIRE_EVENT_LOST:
		return OUTCOME_LOST;
	case HAREWIRE_EVENT_UNCONFIRMED:
		return OUTCOME_UNCONFIRMED;
	default:
		return OUTCOME_PENDING;
	}
}

void account_reported(struct producer *p, const struct harewire_event *e)
{
	enum message_outcome told = outcome_told(e->type);
	if (told == OUTCOME_PENDING)
		return;
	static const enum hit hits[] = {[OUTCOME_CONFIRMED] = HIT_CONFIRMED,
					[OUTCOME_NACKED] = HIT_NACKED,
					[OUTCOME_RETURNED] = HIT_RETURNED,
					[OUTCOME_LOST] = HIT_LOST,
					[OUTCOME_UNCONFIRMED] = HIT_UNCONFIRMED};
	if (e->first != p->told_id || e->last < e->first || e->last >= p->next_id) {
		fail(p->world, "outcomes are not told one by one, in order", e->first);
		return;
	}
	for (uint64_t id = e->first; id <= e->last; id++) {
		struct record *r = &p->records[id];
		bool late = r->outcome == OUTCOME_PENDING && told == OUTCOME_UNCONFIRMED && p->control.told_end;
		if (r->reported || (r->outcome != told && !late))
			fail(p->world, "another outcome was told than the message has, or a second one", id);
		r->reported = (uint8_t)told;
		hit(p->world, hits[told]);
	}
	if (told == OUTCOME_RETURNED && e->code != 312)
		fail(p->world, "a return with another code", e->first);
	p->told_id = e->last + 1;
}

/* The figures say what has happened. */
static void check_stats(struct producer *p)
{
	struct harewire_publisher_stats stats;
	uint64_t told[OUTCOME_COUNT] = {0};
	publisher_stats(p->publisher, &stats);
	for (uint64_t id = 1; id < p->next_id; id++)
		told[p->records[id].reported]++;
	bool same = stats.accepted == p->next_id - 1 && stats.in_flight == 0 &&
		    stats.confirmed == told[OUTCOME_CONFIRMED] && stats.nacked == told[OUTCOME_NACKED] &&
		    stats.returned == told[OUTCOME_RETURNED] && stats.lost == told[OUTCOME_LOST] &&
		    stats.unconfirmed == told[OUTCOME_UNCONFIRMED];
	if (!same)
		fail(p->world, "the figures of outcomes are wrong", stats.in_flight);
	if (stats.refused != p->application.refused || stats.dropped != p->application.dropped)
		fail(p->world, "refusals or drops are miscounted", stats.refused);
	if (stats.publish_to_confirm.count != stats.confirmed || stats.call_to_wire.count > stats.accepted ||
	    stats.call_to_wire.count < stats.confirmed)
		fail(p->world, "latencies are miscounted", stats.call_to_wire.count);
}

void account_finish(struct producer *p)
{
	if (p->told_id != p->next_id)
		fail(p->world, "a message has no outcome in the end", p->told_id);
	check_stats(p);
}
