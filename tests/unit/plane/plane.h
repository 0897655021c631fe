/* A worker with one connection and one publisher over the fake transport, and a broker made of hand-written frames. */
#ifndef HAREWIRE_TESTS_PLANE_H
#define HAREWIRE_TESTS_PLANE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/worker.h"
#include "tests/lib/fake_transport.h"

struct plane {
	struct clock_scale clock;
	struct worker worker;
	struct fake_transport net;
	struct harewire_publisher *publisher;
	struct connection *connection;
	uint32_t generation;
};

#define PLANE_FRAME_MAX 4096u

static inline void plane_command(struct plane *p, struct command cmd)
{
	cmd.connection = p->connection;
	cmd.generation = p->generation;
	assert_true(spsc_push(&p->worker.channel.commands, &cmd));
}

static inline void plane_turn(struct plane *p)
{
	worker_turn(&p->worker);
	worker_turn(&p->worker); /* what the first turn acknowledged becomes news in the second */
}

/* `still`: time stands still but for the test's own connection_timer calls. */
static inline void plane_init_with(struct plane *p, uint64_t log_bytes, uint64_t max_messages,
				   const struct connection_options *connection, bool still)
{
	memset(p, 0, sizeof *p);
	p->clock.tsc = still; /* with no scale */
	struct worker_options w = {.clock = &p->clock, .cpu = -1};
	assert_int_equal(worker_init(&p->worker, &w), 0);
	fake_transport_init(&p->net, 2);
	struct publisher_options o = {.log_bytes = log_bytes,
				      .max_messages = max_messages,
				      .max_templates = 16,
				      .epoch = 7,
				      .clock = &p->clock};
	assert_int_equal(publisher_create(&o, &p->publisher), 0);
	assert_int_equal(connection_create(p->publisher, connection, &p->connection), 0);
	p->generation = 1;
	plane_command(p, (struct command){.type = COMMAND_ATTACH_TRANSPORT, .transport = &p->net.transport});
	plane_command(p, (struct command){.type = COMMAND_ADD});
	plane_command(p, (struct command){.type = COMMAND_OPEN});
	plane_turn(p);
}

static inline void plane_init(struct plane *p, uint64_t log_bytes, uint64_t max_messages)
{
	plane_init_with(p, log_bytes, max_messages, &(struct connection_options){0}, false);
}

/* The next event for control, which must be of this type. */
static inline struct worker_event plane_event(struct plane *p, enum worker_event_type type)
{
	const struct worker_event *e = spsc_peek(&p->worker.channel.events);
	assert_non_null(e);
	struct worker_event copy = *e;
	spsc_pop(&p->worker.channel.events);
	assert_int_equal(copy.type, type);
	assert_ptr_equal(copy.connection, p->connection);
	return copy;
}

static inline void plane_no_event(struct plane *p)
{
	assert_null(spsc_peek(&p->worker.channel.events));
}

static inline void plane_hand_over(struct plane *p)
{
	struct command cmd = {.type = COMMAND_HAND_OVER,
			      .hand_over = {.frame_max = PLANE_FRAME_MAX, .channel = 1, .host = "broker:5672"}};
	plane_command(p, cmd);
	plane_turn(p);
}

/* Through the handshake to hand-over. */
static inline void plane_connect(struct plane *p)
{
	fake_connected(&p->net, 0);
	plane_turn(p);
	plane_event(p, EVENT_CONNECTED);
	plane_hand_over(p);
}

/* The same; the application has seen it. */
static inline void plane_ready(struct plane *p)
{
	plane_connect(p);
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p->publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_READY);
}

/* The stream is reset. */
static inline struct worker_event plane_lose(struct plane *p)
{
	fake_reset(&p->net, 0, HW_ERR_CONN_RESET);
	plane_turn(p);
	return plane_event(p, EVENT_CLOSED);
}

/* Control has read what lay in the bridge, and opens the next generation: connecting. */
static inline void plane_open_again(struct plane *p)
{
	struct byte_ring *to_control = &p->connection->bridge.to_control;
	byte_ring_consume(to_control, byte_ring_held(to_control));
	p->generation++;
	plane_command(p, (struct command){.type = COMMAND_OPEN});
	plane_turn(p);
}

static inline void plane_fini(struct plane *p)
{
	connection_destroy(p->connection);
	publisher_destroy(p->publisher);
	fake_transport_fini(&p->net);
	worker_fini(&p->worker);
}

static inline uint32_t plane_template(struct plane *p, uint32_t slots, int mandatory)
{
	struct harewire_template_options o = {.exchange = "x", .routing_key = "k", .priority = -1, .slots = slots};
	o.mandatory = mandatory;
	uint32_t id;
	const char *why;
	assert_int_equal(publisher_prepare(p->publisher, &o, &id, &why), 0);
	return id;
}

static inline int64_t plane_publish(struct plane *p, uint32_t template_id, const char *body)
{
	return publisher_publish(p->publisher, template_id, body, strlen(body), 0);
}

/* ---- the broker's words ---- */

static inline void plane_method(struct plane *p, uint16_t channel, uint32_t method, const void *args, size_t len)
{
	uint8_t frame[1024];
	struct writer w = writer_over(frame, sizeof frame);
	writer_u8(&w, FRAME_METHOD);
	writer_be16(&w, channel);
	writer_be32(&w, (uint32_t)len + 4);
	writer_be32(&w, method);
	writer_bytes(&w, args, len);
	writer_u8(&w, AMQP_FRAME_END);
	assert_false(w.failed);
	fake_feed(&p->net, 0, frame, (uint32_t)writer_len(&w));
}

static inline void plane_confirm(struct plane *p, uint32_t method, uint64_t tag, bool multiple)
{
	uint8_t args[9];
	put_be64(args, tag);
	args[8] = multiple;
	plane_method(p, 1, method, args, sizeof args);
}

/* connection.close, channel.close: code, text, and the method that failed. */
static inline void plane_close(struct plane *p, uint16_t channel, uint32_t method, uint16_t code, const char *text)
{
	uint8_t args[300];
	struct writer w = writer_over(args, sizeof args);
	writer_be16(&w, code);
	writer_u8(&w, (uint8_t)strlen(text));
	writer_bytes(&w, text, strlen(text));
	writer_be32(&w, AMQP_BASIC_PUBLISH);
	plane_method(p, channel, method, args, writer_len(&w));
}

static inline void plane_blocked(struct plane *p, const char *reason)
{
	uint8_t args[256];
	args[0] = (uint8_t)strlen(reason);
	memcpy(args + 1, reason, strlen(reason));
	plane_method(p, 0, AMQP_CONNECTION_BLOCKED, args, strlen(reason) + 1);
}

/* The events that are waiting for the application, outcomes and states, compared one by one. */
static inline void expect_event(struct plane *p, enum harewire_event_type type, uint64_t first, uint64_t last)
{
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p->publisher, &e), 1);
	assert_int_equal(e.type, type);
	assert_int_equal(e.first, first);
	assert_int_equal(e.last, last);
}

static inline void expect_no_event(struct plane *p)
{
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p->publisher, &e), 0);
}

#endif
