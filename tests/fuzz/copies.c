#include "tests/fuzz/copies.h"

#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"
#include "tests/fuzz/fuzz.h"

void copies_publish(struct copies *c, uint64_t id, uint32_t body_len, bool has_flag)
{
	REQUIRE(id < COPIES_IDS);
	c->body_len[id] = body_len;
	c->has_flag[id] = has_flag;
}

uint8_t copies_octet(uint64_t id, uint32_t at)
{
	return (uint8_t)(id * 131 + at * 7 + (at >> 8));
}

void copies_stream(struct copies *c)
{
	c->at = 0;
	c->flags_changed = c->header_due = false;
	c->closes_due = 0;
	c->tags = c->last_id = c->open_id = 0;
}

void copies_channel(struct copies *c, const struct confirms *confirms)
{
	for (uint64_t id = 1; id < COPIES_IDS; id++)
		c->done[id] = id < confirms->settled_id || id < confirms->given_up_id ||
			      (id < confirms->handed_id && message_at(confirms->index, id)->outcome != OUTCOME_PENDING);
	if (c->closes_due <= 0)
		c->tags = c->last_id = 0;
}

void copies_channel_closed(struct copies *c, const struct confirms *confirms)
{
	for (uint64_t id = 1; id < confirms->handed_id; id++)
		c->maybe[id] = true;
	c->closes_due++;
	c->flags_changed = true;
}

static const uint8_t *field(const uint8_t *octets, uint32_t len, const char *name, size_t name_len)
{
	for (uint32_t at = 0; at + name_len <= len; at++)
		if (memcmp(octets + at, name, name_len) == 0)
			return octets + at + name_len;
	return NULL;
}

/* In order, nothing left out, and not as if it were the first copy if it is not. */
static void take_header(struct copies *c, const uint8_t *frame, uint32_t len, const struct confirms *confirms,
			bool channel_open)
{
	REQUIRE(c->header_due);
	c->header_due = false;
	const uint8_t *sequence = field(frame, len, "\x0charewire-seql", 14);
	const uint8_t *flag = field(frame, len, "\x0charewire-dupt", 14);
	REQUIRE(sequence);
	uint64_t id = get_be64(sequence);
	REQUIRE(id > c->last_id && id < COPIES_IDS && c->body_len[id] == get_be64(frame + 7 + 4));
	c->tags++;
	if (c->closes_due <= 0) {
		for (uint64_t between = c->last_id + 1; between < id; between++)
			REQUIRE(c->done[between]);
		REQUIRE(!c->done[id]);
		if (channel_open)
			REQUIRE(c->tags < confirms->next_tag && confirms_id(confirms, c->tags) == id);
	}
	REQUIRE(c->has_flag[id] == (flag != NULL));
	if (flag && *flag)
		REQUIRE(c->on_wire[id] || c->maybe[id]);
	else if (flag)
		REQUIRE(!c->on_wire[id]);
	REQUIRE(!c->at_most_once || !c->on_wire[id] || c->maybe[id]);
	c->on_wire[id] = true;
	c->last_id = id;
	c->open_id = c->body_len[id] ? id : 0;
	c->open_left = c->body_len[id];
}

static void take_body(struct copies *c, const uint8_t *octets, uint32_t len)
{
	REQUIRE(c->open_id && len > 0 && len <= c->open_left);
	uint32_t from = c->body_len[c->open_id] - (uint32_t)c->open_left;
	for (uint32_t i = 0; i < len; i++)
		REQUIRE(octets[i] == copies_octet(c->open_id, from + i));
	c->open_left -= len;
	if (c->open_left == 0)
		c->open_id = 0;
}

static void take_method(struct copies *c, uint32_t method)
{
	REQUIRE(!c->header_due && !c->open_id);
	c->header_due = method == AMQP_BASIC_PUBLISH;
	if (method == AMQP_CHANNEL_CLOSE_OK) {
		c->closes_due--;
		c->tags = c->last_id = 0;
	}
}

void copies_read(struct copies *c, const uint8_t *sent, uint32_t len, const struct confirms *confirms,
		 bool channel_open)
{
	while (len - c->at >= AMQP_FRAME_OVERHEAD) {
		const uint8_t *frame = sent + c->at;
		uint32_t payload = get_be32(frame + 3);
		if (len - c->at - AMQP_FRAME_OVERHEAD < payload)
			break;
		REQUIRE(frame[7 + payload] == AMQP_FRAME_END);
		if (frame[0] == FRAME_METHOD)
			take_method(c, get_be32(frame + 7));
		else if (frame[0] == FRAME_HEADER)
			take_header(c, frame, payload + AMQP_FRAME_OVERHEAD, confirms, channel_open);
		else if (frame[0] == FRAME_BODY)
			take_body(c, frame + 7, payload);
		else
			REQUIRE(frame[0] == FRAME_HEARTBEAT && !c->header_due && !c->open_id);
		c->at += payload + AMQP_FRAME_OVERHEAD;
	}
}

static void check_extent(const struct copies *c, const uint8_t *sent, const uint8_t *again, uint32_t len)
{
	if (memcmp(sent, again, len) == 0)
		return;
	for (uint32_t i = 0; i < len; i++)
		REQUIRE(again[i] == sent[i] || (c->flags_changed && sent[i] == 0 && again[i] == 1));
}

void copies_check_unacked(const struct copies *c, const uint8_t *sent, uint32_t len, const struct extent_queue *tx)
{
	for (uint32_t i = tx->head; i != tx->tail; i++) {
		const struct extent *e = &tx->ring[i & (EXTENTS_MAX - 1)];
		if (e->offset < len)
			check_extent(c, sent + e->offset, e->bytes,
				     e->len < len - e->offset ? (uint32_t)e->len : len - (uint32_t)e->offset);
	}
}

uint64_t copies_in_part(const struct copies *c, const uint8_t *sent, uint32_t len, const struct confirms *confirms,
			bool *sure)
{
	uint64_t next_tag = c->tags + 1;
	uint32_t rest = len - c->at;
	*sure = c->header_due ||
		(rest >= 11 && sent[c->at] == FRAME_METHOD && get_be32(sent + c->at + 7) == AMQP_BASIC_PUBLISH);
	if (c->closes_due > 0 || c->open_id || next_tag >= confirms->next_tag || (!*sure && rest == 0))
		return 0;
	return confirms_id(confirms, next_tag);
}

void copies_stream_over(struct copies *c, const uint8_t *sent, uint32_t len, const struct confirms *confirms,
			bool channel_open)
{
	copies_read(c, sent, len, confirms, channel_open);
	bool sure;
	uint64_t id = channel_open ? copies_in_part(c, sent, len, confirms, &sure) : 0;
	if (id && sure)
		c->on_wire[id] = true;
	else if (id)
		c->maybe[id] = true;
}
