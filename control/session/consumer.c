#include "control/session/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "control/session/connect.h"
#include "control/session/declare.h"
#include "control/session/delivery.h"
#include "control/session/login.h"
#include "control/session/rpc.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define CONSUMER_TAG      "harewire"
#define ACK_EVERY_DEFAULT 256u
#define GOODBYE_NS        1000000000u

struct consumer {
	struct rpc rpc;
	struct delivery_reader reader;
	bool auto_ack;
	uint32_t ack_every;
	uint32_t unsent_acks;
	uint64_t ack_tag; /* the last message done with */
};

static int login_and_declare(struct rpc *r, const struct consumer_options *o, struct login_tuning *tuning)
{
	const struct login_request credentials = {
		.user = o->user,
		.password = o->password,
		.vhost = o->vhost,
		.connection_name = o->connection_name,
		.heartbeat_s = o->heartbeat_s,
		.frame_max = o->frame_max,
		.consumes = true,
	};
	const struct declarations declarations = {
		.exchanges = o->exchanges,
		.exchange_count = o->exchange_count,
		.queues = o->queues,
		.queue_count = o->queue_count,
		.bindings = o->bindings,
		.binding_count = o->binding_count,
	};
	if (login(r, &credentials, tuning) || login_open_channel(r))
		return r->code;
	return declare_all(r, &declarations);
}

static int start_consuming(struct rpc *r, const struct consumer_options *o)
{
	rpc_step(r, "consuming from queue '%s'", o->queue);
	if (strlen(o->queue) > 255)
		return rpc_fail(r, HW_ERR_INVALID, "its name is longer than 255 octets");
	amqp_basic_qos_t qos = {.prefetch_count = o->prefetch};
	rpc_call(r, SESSION_CHANNEL, AMQP_BASIC_QOS_METHOD, &qos, AMQP_BASIC_QOS_OK_METHOD);
	amqp_basic_consume_t consume = {
		.queue = amqp_cstring_bytes(o->queue),
		.consumer_tag = amqp_cstring_bytes(CONSUMER_TAG),
		.no_ack = o->auto_ack,
	};
	rpc_call(r, SESSION_CHANNEL, AMQP_BASIC_CONSUME_METHOD, &consume, AMQP_BASIC_CONSUME_OK_METHOD);
	return r->code;
}

/* From here on everything the broker sends passes rabbitmq-c, heartbeats too: it keeps them. */
static int give_heartbeats_to_library(struct rpc *r, const struct login_tuning *tuning)
{
	rpc_start_heartbeats(r, 0);
	r->refused_code = 0;
	int heartbeat_s = (int)tuning->heartbeat_s;
	if (amqp_tune_connection(r->conn, (int)tuning->channel_max, (int)tuning->frame_max, heartbeat_s) < 0)
		return rpc_fail(r, HW_ERR_NOMEM, "out of memory");
	return 0;
}

static uint32_t ack_batch(const struct consumer_options *o)
{
	uint32_t n = o->ack_every ? o->ack_every : o->prefetch ? o->prefetch / 2u : ACK_EVERY_DEFAULT;
	return n ? n : 1;
}

int consumer_open(const struct consumer_options *options, struct consumer **out, char *text, size_t text_bytes)
{
	*out = NULL;
	text[0] = '\0';
	uint64_t start_ns = clock_monotonic_ns();
	int fd = connect_tcp(options->host, options->port, options->timeout_ns, text, text_bytes);
	if (fd < 0)
		return fd;
	struct consumer *c = calloc(1, sizeof *c);
	if (!c) {
		close(fd);
		snprintf(text, text_bytes, "out of memory");
		return HW_ERR_NOMEM;
	}
	struct rpc *r = &c->rpc;
	uint64_t used_ns = clock_monotonic_ns() - start_ns;
	rpc_open(r, fd, used_ns < options->timeout_ns ? options->timeout_ns - used_ns : 0);
	c->auto_ack = options->auto_ack;
	c->ack_every = ack_batch(options);
	struct login_tuning tuning = {0};
	if (r->code || login_and_declare(r, options, &tuning) || start_consuming(r, options) ||
	    give_heartbeats_to_library(r, &tuning)) {
		int code = r->code;
		snprintf(text, text_bytes, "%s", r->text);
		consumer_close(c, GOODBYE_NS, NULL, 0);
		return code;
	}
	*out = c;
	return 0;
}

static int send_acks(struct consumer *c)
{
	if (c->unsent_acks == 0)
		return c->rpc.code;
	c->unsent_acks = 0;
	amqp_basic_ack_t m = {.delivery_tag = c->ack_tag, .multiple = 1};
	return rpc_send(&c->rpc, SESSION_CHANNEL, AMQP_BASIC_ACK_METHOD, &m);
}

int consumer_ack(struct consumer *c, const struct delivery *d)
{
	if (c->auto_ack || c->rpc.code)
		return c->rpc.code;
	c->ack_tag = d->tag;
	return ++c->unsent_acks < c->ack_every ? 0 : send_acks(c);
}

static int wait_frame(struct consumer *c, uint64_t wait_ns, amqp_frame_t *frame)
{
	struct timeval tv = {.tv_sec = (time_t)(wait_ns / 1000000000u),
			     .tv_usec = (suseconds_t)(wait_ns % 1000000000u / 1000)};
	int status = amqp_simple_wait_frame_noblock(c->rpc.conn, frame, &tv);
	if (status == AMQP_STATUS_OK)
		return 1;
	return status == AMQP_STATUS_TIMEOUT ? 0 : rpc_fail_receive(&c->rpc, status);
}

/* What has arrived already comes first; only when nothing has are acks sent early and is there a wait. */
static int next_frame(struct consumer *c, uint64_t deadline_ns, amqp_frame_t *frame)
{
	int got = wait_frame(c, 0, frame);
	if (got)
		return got;
	if (send_acks(c))
		return c->rpc.code;
	uint64_t now = clock_monotonic_ns();
	return now < deadline_ns ? wait_frame(c, deadline_ns - now, frame) : 0;
}

/* A frame that is not part of a message: 0 when it may be ignored. */
static int take_other(struct consumer *c, const amqp_frame_t *frame)
{
	if (frame->frame_type != AMQP_FRAME_METHOD)
		return rpc_fail(&c->rpc, HW_ERR_AMQP_UNEXPECTED, "the broker sent a frame of type %u out of place",
				frame->frame_type);
	switch (frame->payload.method.id) {
	case AMQP_CONNECTION_BLOCKED_METHOD:
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		return 0;
	case AMQP_CONNECTION_CLOSE_METHOD:
	case AMQP_CHANNEL_CLOSE_METHOD:
		return rpc_fail_closed(&c->rpc, frame->channel, &frame->payload.method);
	case AMQP_BASIC_CANCEL_METHOD:
		return rpc_fail(&c->rpc, HW_ERR_AMQP_CHANNEL_CLOSED,
				"the broker cancelled the consumer (the queue was deleted or has moved)");
	default:
		return rpc_fail(&c->rpc, HW_ERR_AMQP_UNEXPECTED, "the broker sent method %#x out of place",
				frame->payload.method.id);
	}
}

static int take_frame(struct consumer *c, const amqp_frame_t *frame)
{
	if (frame->channel != SESSION_CHANNEL)
		return take_other(c, frame);
	int got = delivery_take(&c->reader, frame);
	if (got == HW_ERR_AMQP_UNEXPECTED)
		return take_other(c, frame);
	if (got < 0) {
		c->rpc.open = false;
		return rpc_fail(&c->rpc, got, "%s", hw_error_sentence(got));
	}
	return got;
}

int consumer_next(struct consumer *c, uint64_t timeout_ns, struct delivery *d)
{
	if (c->rpc.code)
		return c->rpc.code;
	uint64_t now = clock_monotonic_ns();
	uint64_t deadline_ns = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
	int got = 0;
	while (got == 0) {
		amqp_frame_t frame;
		/* The last frame's memory: of the message given out before, or of a part that has been copied. */
		amqp_maybe_release_buffers(c->rpc.conn);
		got = next_frame(c, deadline_ns, &frame);
		if (got <= 0)
			return got;
		got = take_frame(c, &frame);
	}
	if (got > 0)
		*d = c->reader.current;
	return got;
}

const char *consumer_reason(const struct consumer *c)
{
	return c->rpc.text;
}

/* Deliveries on their way before cancel-ok are skipped. */
static void say_goodbye(struct consumer *c, uint64_t timeout_ns)
{
	struct rpc *r = &c->rpc;
	send_acks(c);
	rpc_extend(r, timeout_ns);
	rpc_step(r, "cancelling the consumer");
	r->discard_content = true;
	amqp_basic_cancel_t m = {.consumer_tag = amqp_cstring_bytes(CONSUMER_TAG)};
	rpc_call(r, SESSION_CHANNEL, AMQP_BASIC_CANCEL_METHOD, &m, AMQP_BASIC_CANCEL_OK_METHOD);
}

int consumer_close(struct consumer *c, uint64_t timeout_ns, char *text, size_t text_bytes)
{
	if (!c)
		return 0;
	if (c->rpc.code == 0)
		say_goodbye(c, timeout_ns);
	rpc_hang_up(&c->rpc, timeout_ns);
	int code = c->rpc.code;
	if (text && text_bytes)
		snprintf(text, text_bytes, "%s", c->rpc.text);
	rpc_close(&c->rpc);
	delivery_reader_fini(&c->reader);
	free(c);
	return code;
}
