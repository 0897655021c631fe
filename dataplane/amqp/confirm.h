/*
 * The message index and the accounting of confirms: every message id gets exactly one outcome.
 *
 *     ids      settled_id            handed_id             next_id (the application's)
 *                 |  pending, some      |  written, not      |
 *                 |  with an outcome    |  yet given to TCP  |
 *     everything before settled_id has an outcome
 *
 * Ids count from 1. Delivery tags count from 1 in every generation of the channel. A generation begins with what
 * earlier ones had been given and what has no outcome yet, in order; then it goes on with new messages. So the first
 * `replayed` tags are mapped to ids through a ring (replay skips ids that have an outcome), all later ones by a
 * constant difference:
 *
 *     tags      1 .. replayed                              replayed + 1 ..
 *     ids       those pending of [settled_id, first_new_id)     first_new_id ..
 *
 * The index ring is written by the application (a record at commit) and by the worker (its outcome); it is the worker
 * that publishes outcomes by moving `settled_id`, through the publisher's release store.
 *
 * One message without an outcome holds settled_id back while all behind it gets one, up to the whole index. What then
 * has to pass over those records does so in pieces: `records` is how many may still be looked at, and is counted down.
 */
#ifndef HAREWIRE_AMQP_CONFIRM_H
#define HAREWIRE_AMQP_CONFIRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/histogram.h"

enum message_outcome {
	OUTCOME_PENDING,
	OUTCOME_CONFIRMED,
	OUTCOME_NACKED,
	OUTCOME_RETURNED,
	OUTCOME_SUPERSEDED,
	OUTCOME_LOST,
	OUTCOME_UNCONFIRMED, /* may or may not have arrived */
	OUTCOME_COUNT
};

/* One message. 32 octets, two to a cache line. */
struct message {
	uint64_t pos; /* first octet in the log */
	uint32_t len; /* octets in the log */
	uint32_t template_id;
	uint64_t committed_ticks; /* clock ticks at entry of publish or claim */
	uint16_t code;            /* of a return */
	uint8_t outcome;          /* enum message_outcome */
	uint8_t spare[5];
};

_Static_assert(sizeof(struct message) == 32, "two records to a cache line");

struct message_index {
	struct message *ring;
	uint64_t mask;
};

static inline struct message *message_at(const struct message_index *index, uint64_t id)
{
	return &index->ring[id & index->mask];
}

/* A message that has been sent again. By itself: its record may be the application's before TCP lets go of its octets.
 */
struct replayed {
	uint64_t pos;
	uint32_t len;
	uint32_t nth; /* its id, counted from replay_base */
};

_Static_assert(sizeof(struct replayed) == 16, "as many of them as records: keep it small");

/* The worker's view of one publisher's messages. */
struct confirms {
	const struct message_index *index;
	struct replayed *replay; /* ring of index size, by tag */
	uint64_t settled_id;     /* the first id without an outcome */
	uint64_t settled_pos;    /* log position up to which every message has an outcome */
	uint64_t handed_id;      /* the next id to be given to TCP for the first time */
	/* Ids before it may have had an octet on the wire, in a generation that is over. Never goes back. */
	uint64_t transmitted_id;
	/* Ids before it that have no outcome are given up, as LOST those before lost_id: see confirms_catch_up. */
	uint64_t given_up_id, lost_id;
	uint64_t outcomes[OUTCOME_COUNT];
	struct histogram *latency_ticks; /* committed to confirmed; may be NULL */
	/* this generation of the channel */
	uint64_t next_tag;
	uint64_t low_tag;     /* every lower tag has an outcome */
	uint64_t replayed;    /* so many tags, from 1, are of messages sent again */
	uint64_t replay_base; /* settled_id when it began */
	uint64_t replay_id;   /* where replay has come to; first_new_id: all done */
	uint64_t first_new_id;
};

/* `replay`: room for as many as the index has records; stays the caller's. */
void confirms_init(struct confirms *c, const struct message_index *index, struct replayed *replay,
		   struct histogram *latency_ticks);

/* A new channel generation: tags start at 1, and what has been handed without an outcome is to be replayed first. */
void confirms_start(struct confirms *c);

/*
 * The next message to be sent again, or 0: none has been found; confirms_replay_over says whether there is none. Not
 * while confirms_behind.
 */
uint64_t confirms_replay_due(struct confirms *c, uint32_t *records);
/* As of the last confirms_replay_due: new messages may be handed. */
static inline bool confirms_replay_over(const struct confirms *c)
{
	return c->replay_id >= c->first_new_id;
}
/* It is being given to TCP; it takes the next delivery tag. */
void confirms_replay(struct confirms *c);

/* The message `handed_id` is being given to TCP; it takes the next delivery tag. */
static inline void confirms_hand(struct confirms *c)
{
	c->handed_id++;
	c->next_tag++;
}

/* The message that used this tag (1 <= tag < next_tag). */
static inline uint64_t confirms_id(const struct confirms *c, uint64_t tag)
{
	if (__builtin_expect(tag <= c->replayed, 0))
		return c->replay_base + c->replay[tag & c->index->mask].nth;
	return c->first_new_id + (tag - c->replayed - 1);
}

/* Messages that have an outcome. */
uint64_t confirms_outcomes(const struct confirms *c);

/* The first tag of which no octet was sent, when of all that was given to TCP the last `unsent_octets` were not. */
uint64_t confirms_unsent_tag(const struct confirms *c, uint64_t unsent_octets);

/* Every message with a lower tag may have had an octet on the wire: transmitted_id says so from now on. */
void confirms_note_transmitted(struct confirms *c, uint64_t tag);

/* This generation is over, and every message before `id` that was handed and has no outcome is lost. */
void confirms_lose(struct confirms *c, uint64_t id);

/* The end: everything in [settled_id, next_id) without an outcome is UNCONFIRMED. */
void confirms_end(struct confirms *c, uint64_t next_id);

/* What has been given up, by one of these two, has not all been told so yet. */
bool confirms_behind(const struct confirms *c);
/* Gives it its outcome, in order, and takes settled_id along. The next generation may have begun, without messages. */
void confirms_catch_up(struct confirms *c, uint32_t *records);

/*
 * basic.ack or basic.nack. A RETURNED message keeps that outcome. Returns 0, or HW_ERR_AMQP_UNKNOWN_TAG for a tag never
 * used; acks of what already has an outcome are harmless.
 */
int confirms_settle(struct confirms *c, uint64_t tag, bool multiple, enum message_outcome outcome, uint64_t now_ticks);

/* basic.return, before its ack: 0, or HW_ERR_AMQP_UNEXPECTED for an id that is not outstanding. */
int confirms_returned(struct confirms *c, uint64_t id, uint16_t code);

#endif
