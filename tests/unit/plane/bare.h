/* A publisher without a worker: the test plays the worker's part, call by call. */
#ifndef HAREWIRE_TESTS_BARE_H
#define HAREWIRE_TESTS_BARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "dataplane/publisher.h"

#define BARE_FRAME_MAX 4096u
#define BARE_HOST      "mq1:5672"

struct bare {
	struct clock_scale clock;
	struct harewire_publisher *publisher;
	struct confirms confirms;
	uint32_t template_id;
};

static inline void bare_init(struct bare *b, enum harewire_policy policy, uint64_t log_bytes, uint64_t max_messages)
{
	const struct publisher_options options = {.log_bytes = log_bytes,
						  .max_messages = max_messages,
						  .max_templates = 4,
						  .policy = policy,
						  .epoch = 7,
						  .clock = &b->clock};
	const struct harewire_template_options routing = {.exchange = "x", .routing_key = "k", .priority = -1};
	memset(b, 0, sizeof *b);
	assert_int_equal(publisher_create(&options, &b->publisher), 0);
	assert_int_equal(publisher_prepare(b->publisher, &routing, &b->template_id, NULL), 0);
	confirms_init(&b->confirms, &b->publisher->index, NULL, NULL); /* nothing is replayed */
}

static inline void bare_fini(struct bare *b)
{
	publisher_destroy(b->publisher);
}

/* ---- the worker ---- */

static inline void bare_hand_over(struct bare *b, const char *host)
{
	publisher_set_frame_max(b->publisher, BARE_FRAME_MAX);
	publisher_count_connection(b->publisher, false);
	publisher_set_ready(b->publisher, host);
}

static inline void bare_lose(struct bare *b)
{
	publisher_set_disconnected(b->publisher, HW_ERR_CONN_RESET, NULL, 0);
}

static inline void bare_block(struct bare *b, enum harewire_blockage which)
{
	publisher_set_blockage(b->publisher, which, true, NULL, 0);
}

static inline void bare_unblock(struct bare *b, enum harewire_blockage which)
{
	publisher_set_blockage(b->publisher, which, false, NULL, 0);
}

/* Everything committed is sent, and every message up to `last` gets this outcome. */
static inline void bare_settle(struct bare *b, uint64_t last, enum message_outcome outcome)
{
	struct confirms *c = &b->confirms;
	while (c->handed_id < atomic_load_explicit(&b->publisher->committed_id, memory_order_acquire))
		confirms_hand(c);
	assert_int_equal(confirms_settle(c, last, true, outcome, 0), 0);
	publisher_progress(b->publisher, c, c->settled_pos);
	publisher_set_outcomes(b->publisher, c->outcomes);
}

/* ---- the application ---- */

static inline int64_t bare_publish(struct bare *b, const char *body)
{
	return publisher_publish(b->publisher, b->template_id, body, strlen(body), 0);
}

/* Messages of `octets`, until one is not accepted: what that was answered. */
static inline int64_t bare_fill(struct bare *b, size_t octets)
{
	static const char body[4000];
	int64_t id;
	assert_true(octets <= sizeof body);
	do
		id = publisher_publish(b->publisher, b->template_id, body, octets, 0);
	while (id > 0);
	return id;
}

static inline struct harewire_publisher_stats bare_stats(const struct bare *b)
{
	struct harewire_publisher_stats stats;
	publisher_stats(b->publisher, &stats);
	return stats;
}

/* The next event, which must be of this type. */
static inline struct harewire_event bare_event(struct bare *b, enum harewire_event_type type)
{
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(b->publisher, &e), 1);
	assert_int_equal(e.type, type);
	return e;
}

static inline struct harewire_event bare_state(struct bare *b, enum harewire_event_type type, int code)
{
	struct harewire_event e = bare_event(b, type);
	assert_int_equal(e.code, code);
	assert_int_equal(e.first, 0);
	assert_int_equal(e.last, 0);
	return e;
}

static inline void bare_outcome(struct bare *b, enum harewire_event_type type, uint64_t first, uint64_t last)
{
	struct harewire_event e = bare_event(b, type);
	assert_int_equal(e.first, first);
	assert_int_equal(e.last, last);
}

static inline void bare_no_event(struct bare *b)
{
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(b->publisher, &e), 0);
}

/* Up, and the application knows. */
static inline void bare_ready(struct bare *b)
{
	bare_hand_over(b, BARE_HOST);
	bare_state(b, HAREWIRE_EVENT_READY, 0);
}

#endif
