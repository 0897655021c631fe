/*
 * One method and its reply at a time on an AMQP connection, by rabbitmq-c, against one deadline for everything.
 *
 * Used instead of amqp_login and amqp_simple_rpc because those close the descriptor on a timeout, put frames they did
 * not expect in a queue, take a missing heartbeat for a dead broker (before hand-over the worker keeps the broker's
 * heartbeats for itself), and cannot say at which step things went wrong. Framing, encoding and decoding are
 * rabbitmq-c's.
 *
 * The first failure stays: it is in `code` and `text`, and every later call returns it.
 */
#ifndef HAREWIRE_SESSION_RPC_H
#define HAREWIRE_SESSION_RPC_H

#include <amqp.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/session/session.h"

#define RPC_STEP_MAX 256

struct rpc {
	amqp_connection_state_t conn; /* NULL before rpc_open succeeded */
	uint64_t deadline_ns;         /* CLOCK_MONOTONIC */
	uint32_t heartbeat_s;         /* ours are sent while waiting; 0: none */
	uint64_t heartbeat_due_ns;
	int refused_code;     /* what a close by the broker means now; 0: just that it closed */
	bool heard;           /* the peer has sent a method */
	bool open;            /* connection.open-ok has come, and no end since: connection.close may be sent */
	bool discard_content; /* closing: deliveries are skipped */
	char step[RPC_STEP_MAX];

	int code;
	uint16_t reply_code; /* of the close that was the failure; else 0 */
	char text[SESSION_TEXT_MAX];
};

/* Takes `fd` over, even on failure; makes it non-blocking. timeout_ns is for all calls together. */
int rpc_open(struct rpc *r, int fd, uint64_t timeout_ns);

/* Closes the descriptor, says nothing to the broker. */
void rpc_close(struct rpc *r);

/* What is being done from now on, for sentences: "declaring queue 'x'". */
void rpc_step(struct rpc *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A fresh deadline. */
void rpc_extend(struct rpc *r, uint64_t timeout_ns);

/* Remembers the failure, unless there is one already: "<step>: <the sentence>". Returns the code. */
int rpc_fail(struct rpc *r, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a negative status of rabbitmq-c while receiving. */
int rpc_fail_receive(struct rpc *r, int status);
/* The same for connection.close and channel.close, which it answers with close-ok. */
int rpc_fail_closed(struct rpc *r, amqp_channel_t channel, const amqp_method_t *close);

/* From now on sends heartbeats while it waits; 0: stops. */
void rpc_start_heartbeats(struct rpc *r, uint32_t heartbeat_s);

int rpc_send_header(struct rpc *r);
int rpc_send(struct rpc *r, amqp_channel_t channel, amqp_method_number_t id, void *method);

/* The decoded method `id` on `channel`, valid until the next call; NULL after a failure. */
const void *rpc_wait(struct rpc *r, amqp_channel_t channel, amqp_method_number_t id);

/* rpc_send, rpc_wait. */
const void *rpc_call(struct rpc *r, amqp_channel_t channel, amqp_method_number_t id, void *method,
		     amqp_method_number_t reply_id);

/* connection.close, and waiting at most timeout_ns for close-ok. Keeps an earlier failure as it is. */
int rpc_hang_up(struct rpc *r, uint64_t timeout_ns);

#endif
