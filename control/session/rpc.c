#include "control/session/rpc.h"

#include <amqp_tcp_socket.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "control/session/sentence.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define NS_PER_S              1000000000ull
#define FRAME_PROTOCOL_HEADER 'A' /* how rabbitmq-c reports the broker's "AMQP" version reply */

void rpc_extend(struct rpc *r, uint64_t timeout_ns)
{
	uint64_t now = clock_monotonic_ns();
	r->deadline_ns = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

int rpc_open(struct rpc *r, int fd, uint64_t timeout_ns)
{
	memset(r, 0, sizeof *r);
	rpc_extend(r, timeout_ns);
	rpc_step(r, "preparing the session");

	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		rpc_fail(r, HW_ERR_SYSTEM, "%m");
		close(fd);
		return r->code;
	}
	r->conn = amqp_new_connection();
	amqp_socket_t *socket = r->conn ? amqp_tcp_socket_new(r->conn) : NULL;
	if (!socket) {
		close(fd);
		return rpc_fail(r, HW_ERR_NOMEM, "out of memory");
	}
	amqp_tcp_socket_set_sockfd(socket, fd);
	return 0;
}

void rpc_close(struct rpc *r)
{
	if (r->conn)
		amqp_destroy_connection(r->conn);
	r->conn = NULL;
	r->open = false;
}

void rpc_step(struct rpc *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(r->step, sizeof r->step, format, args);
	va_end(args);
}

int rpc_fail(struct rpc *r, int code, const char *format, ...)
{
	if (r->code)
		return r->code;
	char what[SESSION_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	r->code = code;
	sentence_format(r->text, sizeof r->text, "%s: %s", r->step, what);
	return code;
}

int rpc_fail_receive(struct rpc *r, int status)
{
	r->open = false;
	switch (status) {
	case AMQP_STATUS_CONNECTION_CLOSED:
		return rpc_fail(r, HW_ERR_CONN_CLOSED_BY_PEER, "the connection was closed without a word");
	case AMQP_STATUS_SOCKET_CLOSED:
	case AMQP_STATUS_SOCKET_ERROR:
		return rpc_fail(r, HW_ERR_CONN_RESET, "the connection was lost");
	case AMQP_STATUS_HEARTBEAT_TIMEOUT:
		return rpc_fail(r, HW_ERR_AMQP_HEARTBEAT, "no octet from the broker for two heartbeat intervals");
	case AMQP_STATUS_NO_MEMORY:
		return rpc_fail(r, HW_ERR_NOMEM, "out of memory");
	case AMQP_STATUS_BAD_AMQP_DATA:
	case AMQP_STATUS_UNKNOWN_CLASS:
	case AMQP_STATUS_UNKNOWN_METHOD:
		if (!r->heard)
			return rpc_fail(r, HW_ERR_AMQP_PROTOCOL_HEADER, "the peer does not speak AMQP 0-9-1");
		return rpc_fail(r, HW_ERR_AMQP_SYNTAX, "the peer sent a malformed AMQP frame");
	default:
		return rpc_fail(r, HW_ERR_SYSTEM, "%s", amqp_error_string2(status));
	}
}

static int fail_send(struct rpc *r, int status)
{
	switch (status) {
	case AMQP_STATUS_BAD_AMQP_DATA:
	case AMQP_STATUS_TABLE_TOO_BIG:
		return rpc_fail(r, HW_ERR_TOO_LARGE, "the method does not fit in a frame of %d octets",
				amqp_get_frame_max(r->conn));
	default:
		return rpc_fail_receive(r, status);
	}
}

static int fail_unexpected(struct rpc *r, const amqp_frame_t *frame)
{
	r->open = false;
	if (frame->frame_type != AMQP_FRAME_METHOD)
		return rpc_fail(r, HW_ERR_AMQP_UNEXPECTED, "the broker sent a frame of type %u out of place",
				frame->frame_type);
	const char *name = amqp_method_name(frame->payload.method.id);
	return rpc_fail(r, HW_ERR_AMQP_UNEXPECTED, "the broker sent %s on channel %u out of place",
			name ? name : "an unknown method", frame->channel);
}

int rpc_fail_closed(struct rpc *r, amqp_channel_t channel, const amqp_method_t *close)
{
	/* connection.close and channel.close have the same fields (AMQP 0-9-1, 1.4.2.8 and 1.5.2.5). */
	const amqp_connection_close_t *m = close->decoded;
	bool connection = close->id == AMQP_CONNECTION_CLOSE_METHOD;
	bool broker_ends = m->reply_code == AMQP_CONNECTION_FORCED || m->reply_code == AMQP_INTERNAL_ERROR;
	int code = connection ? HW_ERR_AMQP_CONNECTION_CLOSED : HW_ERR_AMQP_CHANNEL_CLOSED;
	if (r->refused_code && !broker_ends)
		code = r->refused_code;
	r->reply_code = r->code ? r->reply_code : m->reply_code;
	rpc_fail(r, code, "%u %.*s", m->reply_code, (int)m->reply_text.len, (const char *)m->reply_text.bytes);

	amqp_channel_close_ok_t ok = {0};
	amqp_send_method(r->conn, channel, connection ? AMQP_CONNECTION_CLOSE_OK_METHOD : AMQP_CHANNEL_CLOSE_OK_METHOD,
			 &ok);
	r->open = r->open && !connection;
	return r->code;
}

void rpc_start_heartbeats(struct rpc *r, uint32_t heartbeat_s)
{
	r->heartbeat_s = heartbeat_s;
	r->heartbeat_due_ns = clock_monotonic_ns() + heartbeat_s * NS_PER_S / 2;
}

int rpc_send_header(struct rpc *r)
{
	int status = r->code ? AMQP_STATUS_OK : amqp_send_header(r->conn);
	return status < 0 ? fail_send(r, status) : r->code;
}

int rpc_send(struct rpc *r, amqp_channel_t channel, amqp_method_number_t id, void *method)
{
	int status = r->code ? AMQP_STATUS_OK : amqp_send_method(r->conn, channel, id, method);
	return status < 0 ? fail_send(r, status) : r->code;
}

static int send_heartbeat(struct rpc *r, uint64_t now_ns)
{
	amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEARTBEAT};
	/* Twice as often as the broker asks for (AMQP 0-9-1, 4.2.7). */
	r->heartbeat_due_ns = now_ns + r->heartbeat_s * NS_PER_S / 2;
	int status = amqp_send_frame(r->conn, &frame);
	return status < 0 ? fail_send(r, status) : 0;
}

/* The next frame that is no heartbeat. */
static int wait_frame(struct rpc *r, amqp_frame_t *frame)
{
	for (;;) {
		uint64_t now = clock_monotonic_ns();
		if (now >= r->deadline_ns) {
			r->open = false;
			return rpc_fail(r, HW_ERR_TIMEOUT, "timed out: no answer from the broker");
		}
		if (r->heartbeat_s && now >= r->heartbeat_due_ns && send_heartbeat(r, now))
			return r->code;
		uint64_t until = r->deadline_ns;
		if (r->heartbeat_s && r->heartbeat_due_ns < until)
			until = r->heartbeat_due_ns;
		uint64_t us = (until - now + 999) / 1000;
		struct timeval tv = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
		int status = amqp_simple_wait_frame_noblock(r->conn, frame, &tv);
		if (status == AMQP_STATUS_OK)
			return 0;
		if (status != AMQP_STATUS_TIMEOUT)
			return rpc_fail_receive(r, status);
	}
}

enum verdict { FRAME_WANTED, FRAME_SKIPPED, FRAME_FATAL };

static enum verdict judge_method(struct rpc *r, const amqp_frame_t *frame, amqp_channel_t channel,
				 amqp_method_number_t id)
{
	const amqp_method_t *method = &frame->payload.method;
	if (frame->channel == channel && method->id == id)
		return FRAME_WANTED;
	if ((frame->channel == 0 && method->id == AMQP_CONNECTION_CLOSE_METHOD) ||
	    (frame->channel != 0 && method->id == AMQP_CHANNEL_CLOSE_METHOD)) {
		rpc_fail_closed(r, frame->channel, method);
		return FRAME_FATAL;
	}
	if (method->id == AMQP_CONNECTION_BLOCKED_METHOD || method->id == AMQP_CONNECTION_UNBLOCKED_METHOD)
		return FRAME_SKIPPED;
	if (r->discard_content)
		return FRAME_SKIPPED;
	fail_unexpected(r, frame);
	return FRAME_FATAL;
}

static enum verdict judge_frame(struct rpc *r, const amqp_frame_t *frame, amqp_channel_t channel,
				amqp_method_number_t id)
{
	if (frame->frame_type == AMQP_FRAME_METHOD)
		return judge_method(r, frame, channel, id);
	if (frame->frame_type == FRAME_PROTOCOL_HEADER) {
		r->open = false;
		rpc_fail(r, HW_ERR_AMQP_PROTOCOL_HEADER,
			 "the broker does not speak AMQP 0-9-1, it offers version %u-%u",
			 frame->payload.protocol_header.protocol_version_major,
			 frame->payload.protocol_header.protocol_version_minor);
		return FRAME_FATAL;
	}
	if (r->discard_content)
		return FRAME_SKIPPED;
	fail_unexpected(r, frame);
	return FRAME_FATAL;
}

const void *rpc_wait(struct rpc *r, amqp_channel_t channel, amqp_method_number_t id)
{
	amqp_frame_t frame;
	while (r->code == 0 && wait_frame(r, &frame) == 0) {
		r->heard = r->heard || frame.frame_type == AMQP_FRAME_METHOD;
		if (judge_frame(r, &frame, channel, id) == FRAME_WANTED)
			return frame.payload.method.decoded;
		amqp_maybe_release_buffers(r->conn);
	}
	return NULL;
}

const void *rpc_call(struct rpc *r, amqp_channel_t channel, amqp_method_number_t id, void *method,
		     amqp_method_number_t reply_id)
{
	if (r->code)
		return NULL;
	amqp_maybe_release_buffers(r->conn);
	return rpc_send(r, channel, id, method) ? NULL : rpc_wait(r, channel, reply_id);
}

int rpc_hang_up(struct rpc *r, uint64_t timeout_ns)
{
	if (!r->open)
		return r->code;
	struct rpc bye = *r;
	rpc_extend(&bye, timeout_ns);
	rpc_step(&bye, "closing the connection");
	bye.code = 0;
	bye.discard_content = true;
	amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("bye")};
	rpc_call(&bye, 0, AMQP_CONNECTION_CLOSE_METHOD, &close, AMQP_CONNECTION_CLOSE_OK_METHOD);
	r->open = false;
	if (r->code == 0 && bye.code) {
		r->code = bye.code;
		memcpy(r->text, bye.text, sizeof r->text);
	}
	return r->code;
}
