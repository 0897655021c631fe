#include "dataplane/amqp/confirm.h"

#include <string.h>

#include "dataplane/base/error.h"

void confirms_init(struct confirms *c, const struct message_index *index, struct histogram *latency_ticks)
{
	memset(c, 0, sizeof *c);
	c->index = index;
	c->latency_ticks = latency_ticks;
	c->settled_id = 1;
	c->handed_id = 1;
	confirms_start(c);
}

void confirms_start(struct confirms *c)
{
	c->next_tag = 1;
	c->low_tag = 1;
	c->replayed = 0;
	c->first_new_id = c->handed_id;
}

static uint64_t tag_to_id(const struct confirms *c, uint64_t tag)
{
	if (__builtin_expect(tag <= c->replayed, 0))
		return c->replay_ids[tag & c->index->mask];
	return c->first_new_id + (tag - c->replayed - 1);
}

static bool is_pending(const struct confirms *c, uint64_t id)
{
	return message_at(c->index, id)->outcome == OUTCOME_PENDING;
}

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
	while (c->low_tag < c->next_tag && !is_pending(c, tag_to_id(c, c->low_tag)))
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
		settle_one(c, tag_to_id(c, t), outcome, now_ticks);
	if (multiple)
		c->low_tag = tag + 1;
	advance(c);
	return 0;
}

int confirms_returned(struct confirms *c, uint64_t id, uint16_t code)
{
	if (c->low_tag == c->next_tag || id < tag_to_id(c, c->low_tag) || id > tag_to_id(c, c->next_tag - 1) ||
	    !is_pending(c, id))
		return HW_ERR_AMQP_UNEXPECTED;
	message_at(c->index, id)->code = code;
	settle_one(c, id, OUTCOME_RETURNED, 0);
	advance(c);
	return 0;
}

void confirms_end(struct confirms *c, uint64_t next_id, enum message_outcome outcome)
{
	for (; c->settled_id < next_id; c->settled_id++) {
		const struct message *m = message_at(c->index, c->settled_id);
		settle_one(c, c->settled_id, outcome, 0);
		c->settled_pos = m->pos + m->len;
	}
	if (c->handed_id < next_id)
		c->handed_id = next_id;
	c->low_tag = c->next_tag;
}
