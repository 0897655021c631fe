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

/* A session that was stopped is over within a second (GOODBYE_NS of control/session): one that is not is stuck. */
#define LEAVE_NS 2000000000u

/*
 * What a job uses is its own: it can hang where nobody reaches it (a password file on a mount that is dead), and is
 * then left to itself.
 */
struct session_job {
	struct job job;
	int fd; /* our pump has the other end */
	char user[256], password[1024], vhost[256], connection_name[256];
	char password_file[4096]; /* read into `password` first; or "" */
	struct topology topology;
	struct session_request request;
	struct session_result result;
	_Atomic bool reading; /* the password file */
};

_Static_assert(sizeof((struct session_job *)0)->password_file == sizeof((struct target *)0)->password_file &&
		       sizeof((struct session_job *)0)->password == sizeof((struct target *)0)->password &&
		       sizeof((struct session_job *)0)->user == sizeof((struct target *)0)->user &&
		       sizeof((struct session_job *)0)->vhost == sizeof((struct target *)0)->vhost &&
		       sizeof((struct session_job *)0)->connection_name == sizeof((struct target *)0)->connection_name,
	       "a target's texts fit");

static void run_session(struct job *job)
{
	struct session_job *session = (struct session_job *)job;
	struct session_result *r = &session->result;
	if (session->password_file[0]) {
		atomic_store(&session->reading, true);
		r->code = password_file_read(session->password_file, session->password, sizeof session->password,
					     r->text, sizeof r->text);
		atomic_store(&session->reading, false);
	}
	if (!r->code)
		session_establish(&session->request, r);
	explicit_bzero(session->password, sizeof session->password);
}

static void free_job(struct session_job *job)
{
	if (job->fd >= 0)
		close(job->fd);
	topology_free(&job->topology);
	explicit_bzero(job->password, sizeof job->password);
	free(job);
}

static void discard_session(struct job *job)
{
	free_job((struct session_job *)job);
}

/* The pump's end first: a thread that still has the other one finds the connection gone. */
static struct session_job *detach_session(struct charge *c)
{
	struct session_job *job = c->session;
	close(c->pump.fd);
	c->pump.fd = -1;
	c->session = NULL;
	c->leave_session_ns = 0;
	c->told_stuck = false;
	return job;
}

/* Only when no thread has the job any more, or yet. */
static void free_session(struct charge *c)
{
	free_job(detach_session(c));
}

static int copy_topology(struct topology *to, const struct topology *from)
{
	const struct harewire_publisher_options o = {.exchanges = from->exchanges,
						     .exchange_count = from->exchange_count,
						     .queues = from->queues,
						     .queue_count = from->queue_count,
						     .bindings = from->bindings,
						     .binding_count = from->binding_count};
	return topology_copy(to, &o);
}

/* NULL: out of memory. Everything but the descriptor. */
static struct session_job *make_job(const struct charge *c, uint64_t now_ns)
{
	const struct target *t = &c->target;
	struct session_job *job = calloc(1, sizeof *job);
	if (!job || copy_topology(&job->topology, &t->topology)) {
		free(job);
		return NULL;
	}
	memcpy(job->user, t->user, sizeof job->user);
	memcpy(job->password, t->password, sizeof job->password);
	memcpy(job->vhost, t->vhost, sizeof job->vhost);
	memcpy(job->connection_name, t->connection_name, sizeof job->connection_name);
	memcpy(job->password_file, t->password_file, sizeof job->password_file);
	job->request = (struct session_request){.user = job->user,
						.password = job->password,
						.vhost = job->vhost,
						.connection_name = job->connection_name,
						.heartbeat_s = t->heartbeat_s,
						.frame_max = c->reconnect.before ? c->frame_max : t->frame_max,
						.timeout_ns = c->deadline_ns - now_ns,
						.exchanges = job->topology.exchanges,
						.exchange_count = job->topology.exchange_count,
						.queues = job->topology.queues,
						.queue_count = job->topology.queue_count,
						.bindings = job->topology.bindings,
						.binding_count = job->topology.binding_count};
	job->job.run = run_session;
	job->job.discard = discard_session;
	job->fd = -1;
	return job;
}

void charge_session_start(struct charge *c, uint64_t now_ns)
{
	int ends[2];
	struct session_job *job = make_job(c, now_ns);
	if (!job || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		int error = job ? errno : ENOMEM;
		if (job)
			free_job(job);
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_SYSTEM, "cannot start the handshake: %s", strerror(error));
		return;
	}
	job->fd = job->request.fd = ends[1];
	c->session = job;
	c->stream_ended = false;
	pump_init(&c->pump, &c->connection->bridge, ends[0]);
	c->phase = CHARGE_HANDSHAKE;
	int err = pool_submit(c->supervisor->pool, &job->job);
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
	if (pool_withdraw(c->supervisor->pool, &c->session->job))
		free_session(c);
	else
		shutdown(c->pump.fd, SHUT_RDWR);
}

static void say_nothing_is_tried(struct charge *c)
{
	if (c->told_stuck || c->phase != CHARGE_WAITING)
		return;
	c->told_stuck = true;
	supervisor_log(c->supervisor, HAREWIRE_LOG_WARNING,
		       "%s:%u: two handshakes hang, the last one while %s: nothing is tried again until one of "
		       "them is over",
		       c->host->name, (unsigned)c->host->port, charge_session_doing(c));
}

/*
 * One that was stopped, and still runs. Before there has been a connection each host is tried once: then as many may
 * hang as there are hosts, or the last would not have its turn, nor the publisher an end.
 */
static void leave_if_stuck(struct charge *c, uint64_t now_ns)
{
	if (!c->leave_session_ns)
		c->leave_session_ns = now_ns + LEAVE_NS;
	if (now_ns < c->leave_session_ns)
		return;
	if (!c->reconnect.before)
		charge_session_forget(c);
	if (c->stuck_session)
		say_nothing_is_tried(c);
	else
		c->stuck_session = detach_session(c);
}

void charge_session_end(struct charge *c, uint64_t now_ns)
{
	if (c->stuck_session && job_done(&c->stuck_session->job)) {
		free_job(c->stuck_session);
		c->stuck_session = NULL;
	}
	if (!c->session || c->phase == CHARGE_HANDSHAKE)
		return;
	if (job_done(&c->session->job))
		free_session(c);
	else
		leave_if_stuck(c, now_ns);
}

void charge_session_forget(struct charge *c)
{
	if (c->stuck_session)
		job_abandon(&c->stuck_session->job);
	c->stuck_session = NULL;
}

const char *charge_session_doing(const struct charge *c)
{
	return c->session && atomic_load(&c->session->reading) ? "reading the password file" : "logging in";
}

/* "3 messages wait for their outcome" */
static void describe_waiting(const struct charge *c, char text[64])
{
	unsigned long long waiting = charge_in_flight(c);
	snprintf(text, 64, waiting == 1 ? "%llu message waits for its outcome" : "%llu messages wait for their outcome",
		 waiting);
}

static void log_ready(const struct charge *c, uint64_t now_ns)
{
	const char *host = c->host->name;
	unsigned port = c->host->port, attempts = c->reconnect.attempts;
	double seconds = (double)(now_ns - c->lost_ns) / 1e9;
	enum harewire_log_level level = c->unsteady ? HAREWIRE_LOG_DEBUG : HAREWIRE_LOG_INFO;
	char waiting[64];
	describe_waiting(c, waiting);
	if (!c->reconnect.before)
		supervisor_log(c->supervisor, level, "%s:%u: ready (frame_max %u, heartbeat %u s)", host, port,
			       c->frame_max, c->heartbeat_s);
	else if (c->phase == CHARGE_REOPENING)
		supervisor_log(c->supervisor, level, "%s:%u: the channel is open again after %.3f s; %s", host, port,
			       seconds, waiting);
	else
		supervisor_log(c->supervisor, level, "%s:%u: ready again after %.3f s and %u attempt%s; %s", host, port,
			       seconds, attempts, attempts == 1 ? "" : "s", waiting);
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
	if (c->session->result.code == 0 && !c->stream_ended && !pump_flush(&c->pump))
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
