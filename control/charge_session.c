/* The handshake: rabbitmq-c on a pool thread, our pump between it and the worker. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/session/password_file.h"
#include "control/supervisor_internal.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

static void run_session(struct job *job)
{
	struct session_job *session = (struct session_job *)job;
	struct session_result *r = &session->result;
	if (session->password_file)
		r->code = password_file_read(session->password_file, session->password, sizeof session->password,
					     r->text, sizeof r->text);
	if (!r->code)
		session_establish(&session->request, r);
	explicit_bzero(session->password, sizeof session->password);
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
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_SYSTEM, "cannot start the handshake: %s", strerror(errno));
		return;
	}
	const struct target *t = &c->target;
	job->request = (struct session_request){.fd = ends[1],
						.user = t->user,
						.password = t->password_file[0] ? job->password : t->password,
						.vhost = t->vhost,
						.connection_name = t->connection_name,
						.heartbeat_s = t->heartbeat_s,
						.frame_max = c->reconnect.before ? c->frame_max : t->frame_max,
						.timeout_ns = c->deadline_ns - now_ns,
						.exchanges = t->topology.exchanges,
						.exchange_count = t->topology.exchange_count,
						.queues = t->topology.queues,
						.queue_count = t->topology.queue_count,
						.bindings = t->topology.bindings,
						.binding_count = t->topology.binding_count};
	job->password_file = t->password_file[0] ? t->password_file : NULL;
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
		charge_fail(c, RECONNECT_AGAIN, err, "cannot start the handshake: %s", hw_error_sentence(err));
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

static void log_ready(const struct charge *c, uint64_t now_ns)
{
	const char *host = c->host->name;
	unsigned port = c->host->port;
	unsigned long long waiting = charge_in_flight(c);
	double seconds = (double)(now_ns - c->lost_ns) / 1e9;
	enum harewire_log_level level = c->flapping ? HAREWIRE_LOG_DEBUG : HAREWIRE_LOG_INFO;
	if (!c->reconnect.before)
		supervisor_log(c->supervisor, level, "%s:%u: ready (frame_max %u, heartbeat %u s)", host, port,
			       c->frame_max, c->heartbeat_s);
	else if (c->phase == CHARGE_REOPENING)
		supervisor_log(c->supervisor, level,
			       "%s:%u: the channel is open again after %.3f s; %llu message%s for %s outcome", host,
			       port, seconds, waiting, waiting == 1 ? " waits" : "s wait",
			       waiting == 1 ? "its" : "their");
	else
		supervisor_log(c->supervisor, level,
			       "%s:%u: ready again after %.3f s and %u attempt%s; %llu message%s for %s outcome", host,
			       port, seconds, c->reconnect.attempts, c->reconnect.attempts == 1 ? "" : "s", waiting,
			       waiting == 1 ? " waits" : "s wait", waiting == 1 ? "its" : "their");
}

static uint64_t hand_overs(const struct charge *c)
{
	const struct harewire_publisher *p = c->connection->publisher;
	return atomic_load_explicit(&p->connections, memory_order_relaxed) +
	       atomic_load_explicit(&p->channels, memory_order_relaxed);
}

void charge_session_run(struct charge *c)
{
	if (hand_overs(c) != c->hand_overs)
		charge_session_drain(c);
}

void charge_hand_over(struct charge *c, uint64_t now_ns)
{
	struct command cmd = {.type = COMMAND_HAND_OVER,
			      .connection = c->connection,
			      .generation = c->generation,
			      .hand_over = {.heartbeat_ns = c->heartbeat_s * 1000000000ull,
					    .frame_max = c->frame_max,
					    .channel = SESSION_CHANNEL}};
	snprintf(cmd.hand_over.host, sizeof cmd.hand_over.host, "%s:%u", c->host->name, (unsigned)c->host->port);
	log_ready(c, now_ns);
	c->phase = CHARGE_RUNNING;
	c->ready_ns = now_ns;
	c->hand_overs = hand_overs(c);
	control_worker_send(c->worker, &cmd);
	if (c->reconnect.before)
		reconnect_ready(&c->reconnect);
}

/* rabbitmq-c is content, but the connection is not there to be handed over any more. */
static void fail_hand_over(struct charge *c)
{
	int code = c->stream_ended ? c->stream_end_code : HW_ERR_AMQP_UNEXPECTED;
	charge_session_drain(c);
	charge_fail(c, RECONNECT_AGAIN, code, "%s:%u: right after the handshake: %s", c->host->name,
		    (unsigned)c->host->port, c->close_text[0] ? c->close_text : hw_error_sentence(code));
}

/* Templates and claims are cut for the first connection's frames. */
static bool frames_have_shrunk(const struct charge *c, const struct session_result *r)
{
	return c->reconnect.before && r->frame_max < c->frame_max;
}

static void finish_session(struct charge *c, uint64_t now_ns)
{
	struct session_result result = c->session->result;
	bool delivered = pump_delivered(&c->pump);
	free_session(c);
	if (c->phase != CHARGE_HANDSHAKE)
		return; /* ended meanwhile */
	if (result.code) {
		charge_fail(c, reconnect_judge(result.code, result.reply_code, result.text, c->reconnect.before),
			    result.code, "%s:%u: %s", c->host->name, (unsigned)c->host->port, result.text);
	} else if (frames_have_shrunk(c, &result)) {
		charge_fail(c, RECONNECT_ELSEWHERE, HW_ERR_UNSUPPORTED,
			    "%s:%u: tunes frame_max to %u, lower than the first connection's %u, which is for the "
			    "publisher's life: set the broker's frame_max, or ask for %u from the start",
			    c->host->name, (unsigned)c->host->port, result.frame_max, c->frame_max, result.frame_max);
	} else if (c->stream_ended || !delivered) {
		fail_hand_over(c);
	} else {
		if (!c->reconnect.before)
			c->frame_max = result.frame_max;
		c->heartbeat_s = result.heartbeat_s;
		charge_hand_over(c, now_ns);
	}
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
	finish_session(c, now_ns);
}

void charge_session_note_close(struct charge *c, const uint8_t *frame, uint32_t len)
{
	char text[SESSION_TEXT_MAX];
	if (session_describe_close(frame, len, text, sizeof text) && !c->close_text[0])
		memcpy(c->close_text, text, sizeof c->close_text);
}

uint8_t *charge_session_take_frame(struct charge *c, uint32_t *len)
{
	struct byte_ring *ring = &c->connection->bridge.to_control;
	uint8_t header[7];
	uint32_t held = byte_ring_held(ring);
	if (held < sizeof header)
		return NULL;
	byte_ring_peek(ring, 0, header, sizeof header);
	*len = get_be32(header + 3) + 8;
	uint8_t *frame = *len <= held ? malloc(*len) : NULL;
	if (frame)
		byte_ring_peek(ring, 0, frame, *len);
	byte_ring_consume(ring, frame ? *len : held); /* no memory: the frames are lost, their words with them */
	return frame;
}

void charge_session_drain(struct charge *c)
{
	uint8_t *frame;
	uint32_t len;
	while ((frame = charge_session_take_frame(c, &len)) != NULL) {
		charge_session_note_close(c, frame, len);
		free(frame);
	}
}
