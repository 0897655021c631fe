/*
 * The AMQP handshake and declarations, by rabbitmq-c over one end of a socketpair: protocol header, Start/Tune/Open,
 * channel.open, declarations, bindings, confirm.select. The other end is the bridge to the worker's connection.
 *
 * This folder is the only place that includes rabbitmq-c.
 */
#ifndef HAREWIRE_SESSION_H
#define HAREWIRE_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/harewire.h"

#define SESSION_CHANNEL  1
#define SESSION_TEXT_MAX 512

struct session_request {
	int fd;                                                /* becomes non-blocking; not closed */
	const char *user, *password, *vhost, *connection_name; /* none NULL */
	uint32_t heartbeat_s, frame_max;                       /* asked for */
	uint64_t timeout_ns;                                   /* for everything together */
	const struct harewire_exchange *exchanges;
	uint32_t exchange_count;
	const struct harewire_queue *queues;
	uint32_t queue_count;
	const struct harewire_binding *bindings;
	uint32_t binding_count;
};

struct session_result {
	/*
	 * 0; HW_ERR_AMQP_LOGIN_REFUSED (user, password, vhost, mechanism), HW_ERR_AMQP_SETUP (a declaration),
	 * HW_ERR_AMQP_CONNECTION_CLOSED (the broker is going down), HW_ERR_TIMEOUT, HW_ERR_CONN_*;
	 * HW_ERR_AMQP_PROTOCOL_HEADER, _SYNTAX, _UNEXPECTED for what is no RabbitMQ; HW_ERR_INVALID, _TOO_LARGE,
	 * _UNSUPPORTED for what cannot be asked for.
	 */
	int code;
	uint16_t reply_code;         /* of the broker's close, if that is what `code` is about; else 0 */
	char text[SESSION_TEXT_MAX]; /* one sentence for people when code is not 0; never a password */
	uint32_t frame_max, heartbeat_s, channel_max; /* as negotiated */
};

/*
 * Runs the whole handshake, blocking (a handshake thread calls it). On success nothing is buffered in rabbitmq-c: the
 * next octet from the broker belongs to whoever reads the connection next. End it early by shutting down the fd.
 * Several may run at once on different threads. After a failure it has tried to end the connection politely.
 */
void session_establish(const struct session_request *request, struct session_result *result);

/*
 * A sentence for a connection.close or channel.close frame (whole frame, end octet included), decoded by rabbitmq-c:
 * "the broker closed the channel: 404 NOT_FOUND - no exchange 'x' in vhost '/'". Returns its reply code, or 0 and an
 * empty text for any other frame.
 */
uint16_t session_describe_close(const uint8_t *frame, size_t len, char *text, size_t text_bytes);

#endif
