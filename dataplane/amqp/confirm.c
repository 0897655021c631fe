#include "dataplane/amqp/confirm.h"

#include <string.h>

#include "dataplane/base/error.h"

void confirms_init(struct confirms *c, const struct message_index *index, struct replayed *replay,
		   struct histogram *latency_ticks)
{
	memset(c, 0, sizeof *c);
	c->index = index;
	c->replay = replay;
	c->latency_ticks = latency_ticks;
	c->settled_id = c->handed_id = c->transmitted_id = 1;
	confirms_start(c);
}

void confirms_start(struct confirms *c)
{
	c->next_tag = 1;
	c->low_tag = 1;
	c->replayed = 0;
	c->replay_base = c->replay_id = c->settled_id;
	c->first_new_id = c->handed_id;
}

static bool is_pending(const struct confirms *c, uint64_t id)
{
	return message_at(c->index, id)->outcome == OUTCOME_PENDING;
}

/* ---- replay ---- */

uint64_t confirms_replay_due(struct confirms *c, uint32_t *records)
{
	/* Records before settled_id are the application's. */
	uint64_t id = c->replay_id < c->settled_id ? c->settled_id : c->replay_id;
	for (; *records > 0 && id < c->first_new_id; id++) {
		--*records;
		if (is_pending(c, id)) {
			c->replay_id = id;
			return id;
		}
	}
	c->replay_id = id < c->first_new_id ? id : c->first_new_id;
	return 0;
}

void confirms_replay(struct confirms *c)
{
	const struct message *m = message_at(c->index, c->replay_id);
	struct replayed *r = &c->replay[c->next_tag & c->index->mask];
	r->pos = m->pos;
	r->len = m->len;
	r->nth = (uint32_t)(c->replay_id - c->replay_base);
	c->replay_id++;
	c->replayed = c->next_tag++;
}

/* ---- the end of a generation ---- */

uint64_t confirms_outcomes(const struct confirms *c)
{
	uint64_t sum = 0;
	for (int o = OUTCOME_CONFIRMED; o < OUTCOME_COUNT; o++)
		sum += c->outcomes[o];
	return sum;
}

uint64_t confirms_unsent_tag(const struct confirms *c, uint64_t unsent_octets)
{
	uint64_t tag = c->next_tag;
	/* Below low_tag all have outcomes, and records may be the application's. */
	for (; tag > c->low_tag; tag--) {
		uint32_t len = message_at(c->index, confirms_id(c, tag - 1))->len;
		if (len > unsent_octets)
			break;
		unsent_octets -= len;
	}
	return tag;
}

void confirms_note_transmitted(struct confirms *c, uint64_t tag)
{
	uint64_t behind = tag > 1 ? confirms_id(c, tag - 1) + 1 : 0;
	if (behind > c->transmitted_id)
		c->transmitted_id = behind;
}

/* ---- outcomes ---- */

static void settle_one(struct confirms *c, uint64_t id, enum message_outcome outcome, uint64_t now_ticks)
{
	struct message *m = message_at(c->index, id);
	if (m->outcome != OUTCOME_PENDING)
		return;
	m->outcome = (uint8_t)outcome;
	c->outcomes[outcome]++;
	if (outcome == OUTCOME_CONFIRMED && c->latency_ticks)
		histogram_add(c->latency_ticks, now_ticks > m->committed_ticks ? now_ticks - m->committed_ticks : 0);
}

/*
 * Moves both cursors over what has an outcome. low_tag goes first and is never left at a tag that has one: beyond
 * settled_id a record belongs to the application again, and a late ack of such a tag would settle another message.
 * Each cursor passes each message once, so the cost is that of the messages settled.
 */
static void advance(struct confirms *c)
{
	while (c->low_tag < c->next_tag && !is_pending(c, confirms_id(c, c->low_tag)))
		c->low_tag++;
	while (c->settled_id < c->handed_id && !is_pending(c, c->settled_id)) {
		const struct message *m = message_at(c->index, c->settled_id);
		c->settled_pos = m->pos + m->len;
		c->settled_id++;
	}
}

int confirms_settle(struct confirms *c, uint64_t tag, bool multiple, enum message_outcome outcome, uint64_t now_ticks)
{
	if (multiple && tag == 0)
		tag = c->next_tag - 1;
	else if (tag == 0)
		return HW_ERR_AMQP_UNKNOWN_TAG;
	if (tag >= c->next_tag)
		return HW_ERR_AMQP_UNKNOWN_TAG;
	if (tag < c->low_tag)
		return 0;
	for (uint64_t t = multiple ? c->low_tag : tag; t <= tag; t++)
		settle_one(c, confirms_id(c, t), outcome, now_ticks);
	if (multiple)
		c->low_tag = tag + 1;
	advance(c);
	return 0;
}

int confirms_returned(struct confirms *c, uint64_t id, uint16_t code)
{
	if (c->low_tag == c->next_tag || id < confirms_id(c, c->low_tag) || id > confirms_id(c, c->next_tag - 1) ||
	    !is_pending(c, id))
		return HW_ERR_AMQP_UNEXPECTED;
	message_at(c->index, id)->code = code;
	settle_one(c, id, OUTCOME_RETURNED, 0);
	advance(c);
	return 0;
}

/* ---- giving up ---- */

static void give_up(struct confirms *c, uint64_t id)
{
	if (id > c->given_up_id)
		c->given_up_id = id;
	c->low_tag = c->next_tag;
}

void confirms_lose(struct confirms *c, uint64_t id)
{
	uint64_t lost = id < c->handed_id ? id : c->handed_id;
	if (lost > c->lost_id)
		c->lost_id = lost;
	give_up(c, lost);
}

void confirms_end(struct confirms *c, uint64_t next_id)
{
	if (c->handed_id < next_id)
		c->handed_id = next_id;
	give_up(c, next_id);
}

bool confirms_behind(const struct confirms *c)
{
	return c->settled_id < c->given_up_id || (c->settled_id < c->handed_id && !is_pending(c, c->settled_id));
}

void confirms_catch_up(struct confirms *c, uint32_t *records)
{
	for (; *records > 0 && confirms_behind(c); --*records) {
		const struct message *m = message_at(c->index, c->settled_id);
		settle_one(c, c->settled_id, c->settled_id < c->lost_id ? OUTCOME_LOST : OUTCOME_UNCONFIRMED, 0);
		c->settled_pos = m->pos + m->len;
		c->settled_id++;
	}
}
