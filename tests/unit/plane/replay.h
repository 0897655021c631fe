/* What a broker would have read of a stream, message by message; and publishers with something to send again. */
#ifndef HAREWIRE_TESTS_REPLAY_H
#define HAREWIRE_TESTS_REPLAY_H

#include "tests/unit/plane/plane.h"

#define WIRE_MESSAGES 256u

struct wire_message {
	uint8_t body[8192];
	uint32_t body_len;
	uint32_t body_frames;
	int duplicate; /* -1: no slot for it */
	uint64_t id;   /* of the sequence slot; 0: none */
};

struct wire {
	struct wire_message messages[WIRE_MESSAGES];
	uint32_t count;
	uint32_t rest;                  /* octets behind the last whole frame */
	uint32_t heartbeats, closes_ok; /* frames of ours in between */
};

/* The value behind a header field's name and type octet; NULL: no such field. */
static inline const uint8_t *wire_field(const uint8_t *frame, uint32_t len, const char *name_and_type)
{
	size_t n = strlen(name_and_type);
	for (uint32_t at = 0; at + n < len; at++)
		if (memcmp(frame + at, name_and_type, n) == 0)
			return frame + at + n;
	return NULL;
}

static inline void wire_take(struct wire *w, const uint8_t *frame, uint32_t payload)
{
	if (frame[0] == FRAME_METHOD && get_be32(frame + 7) == AMQP_BASIC_PUBLISH) {
		assert_true(w->count < WIRE_MESSAGES);
		w->messages[w->count++] = (struct wire_message){.duplicate = -1};
		return;
	}
	w->heartbeats += frame[0] == FRAME_HEARTBEAT;
	w->closes_ok += frame[0] == FRAME_METHOD && get_be32(frame + 7) == AMQP_CHANNEL_CLOSE_OK;
	if (frame[0] != FRAME_HEADER && frame[0] != FRAME_BODY)
		return;
	assert_true(w->count > 0);
	struct wire_message *m = &w->messages[w->count - 1];
	if (frame[0] == FRAME_HEADER) {
		const uint8_t *duplicate = wire_field(frame + 7, payload, "harewire-dupt");
		const uint8_t *sequence = wire_field(frame + 7, payload, "harewire-seql");
		m->duplicate = duplicate ? *duplicate : -1;
		m->id = sequence ? get_be64(sequence) : 0;
		return;
	}
	assert_true(payload <= sizeof m->body - m->body_len);
	memcpy(m->body + m->body_len, frame + 7, payload);
	m->body_len += payload;
	m->body_frames++;
}

/* Everything the present stream has sent since its octet `from`. */
static inline void wire_read(struct wire *w, const struct plane *p, uint32_t from)
{
	const struct fake_stream *f = &p->net.streams[0];
	uint32_t at = from;
	memset(w, 0, sizeof *w);
	while (f->sent_len - at >= 8) {
		uint32_t payload = get_be32(f->sent + at + 3);
		if (f->sent_len - at - 8 < payload)
			break;
		assert_int_equal(f->sent[at + 7 + payload], AMQP_FRAME_END);
		wire_take(w, f->sent + at, payload);
		at += payload + 8;
	}
	w->rest = f->sent_len - at;
}

/* Messages with these ids, in this order, and no others; `duplicates`: a '0', '1' or '-' (no slot) for each. */
static inline void expect_wire(const struct plane *p, uint32_t from, const uint64_t *ids, const char *duplicates)
{
	static struct wire w;
	wire_read(&w, p, from);
	assert_int_equal(w.count, strlen(duplicates));
	assert_int_equal(w.rest, 0);
	for (uint32_t i = 0; i < w.count; i++) {
		assert_int_equal(w.messages[i].id, ids[i]);
		assert_int_equal(w.messages[i].duplicate, duplicates[i] == '-' ? -1 : duplicates[i] - '0');
	}
}

#define EXPECT_WIRE(p, duplicates, ...) expect_wire((p), 0, (const uint64_t[]){__VA_ARGS__}, (duplicates))

#define REPLAY_SLOTS (HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE)

/* Messages by one template, with bodies "1", "2", ... */
static inline void plane_publish_many(struct plane *p, uint32_t template_id, uint32_t n)
{
	char body[16];
	while (n-- > 0) {
		snprintf(body, sizeof body, "%u", (unsigned)atomic_load(&p->publisher->committed_id));
		assert_true(plane_publish(p, template_id, body) > 0);
	}
}

static inline uint64_t released(const struct plane *p)
{
	return atomic_load(&p->publisher->released_pos);
}

static inline uint64_t position(const struct plane *p, uint64_t id)
{
	return message_at(&p->publisher->index, id)->pos;
}

#endif
