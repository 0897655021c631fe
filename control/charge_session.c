/* The handshake: rabbitmq-c on a pool thread, our pump between it and the worker. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

static void run_session(struct job *job)
{
	struct session_job *session = (struct session_job *)job;
	session_establish(&session->request, &session->result);
}

/* Never abandoned: its request points into the charge, which waits for it. */
static void discard_session(struct job *job)
{
	free(job);
}

/* Only when no thread has the job any more, or yet: it uses the descriptors. */
static void free_session(struct charge *c)
{
	close(c->pump.fd);
	close(c->session_fd);
	c->pump.fd = c->session_fd = -1;
	free(c->session);
	c->session = NULL;
}

void charge_session_start(struct charge *c, uint64_t now_ns)
{
	int ends[2];
	struct session_job *job = calloc(1, sizeof *job);
	if (!job || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		free(job);
		charge_end(c, HW_ERR_SYSTEM, "cannot start the handshake: %s", strerror(errno));
		return;
	}
	const struct target *t = &c->target;
	job->request = (struct session_request){.fd = ends[1],
						.user = t->user,
						.password = t->password,
						.vhost = t->vhost,
						.connection_name = t->connection_name,
						.heartbeat_s = t->heartbeat_s,
						.frame_max = t->frame_max,
						.timeout_ns = c->deadline_ns - now_ns,
						.exchanges = t->topology.exchanges,
						.exchange_count = t->topology.exchange_count,
						.queues = t->topology.queues,
						.queue_count = t->topology.queue_count,
						.bindings = t->topology.bindings,
						.binding_count = t->topology.binding_count};
	job->job.run = run_session;
	job->job.discard = discard_session;
	c->session = job;
	c->session_fd = ends[1];
	c->stream_ended = false;
	pump_init(&c->pump, &c->connection->bridge, ends[0]);
	c->phase = CHARGE_HANDSHAKE;
	int err = pool_submit(&c->supervisor->pool, &job->job);
	if (err) {
		free_session(c);
		charge_end(c, err, "cannot start the handshake: %s", hw_error_sentence(err));
	}
}

/* Lets a session that still runs find its connection gone; one that has not begun is forgotten. */
void charge_session_stop(struct charge *c)
{
	if (!c->session)
		return;
	if (pool_withdraw(&c->supervisor->pool, &c->session->job))
		free_session(c);
	else
		shutdown(c->pump.fd, SHUT_RDWR);
}

static void hand_over(struct charge *c)
{
	const struct session_result *r = &c->session->result;
	struct command cmd = {.type = COMMAND_HAND_OVER,
			      .connection = c->connection,
			      .generation = c->generation,
			      .hand_over = {.heartbeat_ns = r->heartbeat_s * 1000000000ull,
					    .frame_max = r->frame_max,
					    .channel = SESSION_CHANNEL}};
	atomic_store_explicit(&c->frame_max, r->frame_max, memory_order_relaxed);
	atomic_store_explicit(&c->heartbeat_s, r->heartbeat_s, memory_order_relaxed);
	c->phase = CHARGE_RUNNING;
	control_worker_send(c->worker, &cmd);
	supervisor_log(c->supervisor, HAREWIRE_LOG_INFO, "%s:%u: ready (frame_max %u, heartbeat %u s, channel_max %u)",
		       c->target.host, (unsigned)c->target.port, r->frame_max, r->heartbeat_s, r->channel_max);
}

/* rabbitmq-c is content, but the connection is not there to be handed over any more. */
static void fail_hand_over(struct charge *c)
{
	int code = c->stream_ended ? c->stream_end_code : HW_ERR_AMQP_UNEXPECTED;
	charge_session_drain(c);
	charge_end(c, code, "%s:%u: right after the handshake: %s", c->target.host, (unsigned)c->target.port,
		   c->close_text[0] ? c->close_text : hw_error_sentence(code));
}

static void finish_session(struct charge *c)
{
	struct session_result result = c->session->result;
	bool delivered = pump_delivered(&c->pump);
	if (c->phase == CHARGE_HANDSHAKE && result.code == 0 && !c->stream_ended && delivered)
		hand_over(c);
	free_session(c);
	if (c->phase != CHARGE_HANDSHAKE)
		return; /* handed over, or ended meanwhile */
	if (result.code == 0)
		fail_hand_over(c);
	else
		charge_end(c, result.code, "%s:%u: %s", c->target.host, (unsigned)c->target.port, result.text);
}

void charge_session_step(struct charge *c, uint64_t now_ns)
{
	if (!job_done(&c->session->job)) {
		pump_run(&c->pump);
		/* The broker is gone: let rabbitmq-c read what it said last, then an end of file. */
		if (c->stream_ended && pump_delivered(&c->pump))
			shutdown(c->pump.fd, SHUT_WR);
		return;
	}
	/*
	 * From here on the pump works in one direction: what the broker says after its last reply is not rabbitmq-c's
	 * any more, while what rabbitmq-c has said last (a heartbeat, say) has to be on its way before the worker
	 * writes.
	 */
	if (c->phase == CHARGE_HANDSHAKE && c->session->result.code == 0 && !c->stream_ended && !pump_flush(&c->pump))
		return;
	finish_session(c);
}

static void note_close(struct charge *c, const uint8_t *frame, uint32_t len)
{
	char text[SESSION_TEXT_MAX];
	if (session_describe_close(frame, len, text, sizeof text) && !c->close_text[0])
		memcpy(c->close_text, text, sizeof c->close_text);
}

void charge_session_drain(struct charge *c)
{
	struct byte_ring *ring = &c->connection->bridge.to_control;
	uint32_t held;
	while ((held = byte_ring_held(ring)) >= 7) {
		uint8_t header[7];
		byte_ring_peek(ring, 0, header, sizeof header);
		uint32_t len = get_be32(header + 3) + 8;
		uint8_t *frame = len <= held ? malloc(len) : NULL;
		if (!frame) {
			byte_ring_consume(ring, held); /* no memory: the frames are lost, their words with them */
			break;
		}
		byte_ring_peek(ring, 0, frame, len);
		byte_ring_consume(ring, len);
		note_close(c, frame, len);
		free(frame);
	}
}
