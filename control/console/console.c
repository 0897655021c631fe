#include "control/console/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/console/answer.h"
#include "control/console/client.h"
#include "control/console/listener.h"
#include "control/supervisor_internal.h"
#include "dataplane/base/error.h"
#include "dataplane/base/thread.h"

/* The rings of a capture have no file descriptor to wait for: looked at this often. */
#define CAPTURE_POLL_MS 2
#define WHY_BYTES       512u

enum capture_phase { CAPTURE_NONE, CAPTURE_RUNNING, CAPTURE_STOPPING };

struct console {
	struct supervisor *supervisor;
	struct listener listener;
	struct client clients[CONSOLE_CLIENTS];
	uint64_t heard;
	enum capture_phase phase;
	struct capture_file capture;
	bool captured; /* there has been a capture: its result may be told */
	int wake;      /* eventfd */
	_Atomic bool stop;
	pthread_t thread;
};

/* ---- answers ---- */

/* Takes the object over. False: the client should go. */
static bool answer(struct client *c, struct json_object *object)
{
	const char *line = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN) : NULL;
	bool good = client_answer(c, line);
	json_object_put(object);
	return good;
}

/* Lines of the log come from the control thread, whoever has something to say. */
static void log_start(struct supervisor *s, void *context)
{
	const struct console *k = context;
	supervisor_log(s, HAREWIRE_LOG_INFO, "capturing into %s", k->capture.result.file);
}

static void log_end(struct supervisor *s, void *context)
{
	const struct console *k = context;
	const struct capture_result *r = &k->capture.result;
	if (r->error)
		supervisor_log(s, HAREWIRE_LOG_WARNING, "the capture into %s has ended: %s", r->file,
			       strerror(r->error));
	else
		supervisor_log(s, HAREWIRE_LOG_INFO, "captured %llu packets into %s, %llu were dropped",
			       (unsigned long long)r->packets, r->file, (unsigned long long)r->dropped);
}

static bool start_capture(struct console *k, struct client *c, const struct request *r)
{
	char why[WHY_BYTES];
	if (k->phase != CAPTURE_NONE) {
		snprintf(why, sizeof why, "a capture into %.300s runs already: stop it first", k->capture.result.file);
		return answer(c, answer_error(why));
	}
	if (capture_file_start(&k->capture, k->supervisor, r->file, r->snap_bytes, why, sizeof why)) {
		k->captured = false;
		return answer(c, answer_error(why));
	}
	k->phase = CAPTURE_RUNNING;
	k->captured = true;
	supervisor_ask(k->supervisor, log_start, k);
	return answer(c, answer_good());
}

static void stop_taps(struct console *k)
{
	if (k->phase == CAPTURE_RUNNING)
		taps_stop(&k->capture.taps);
	k->phase = CAPTURE_STOPPING;
}

/* Answered when the workers have let go. */
static bool stop_capture(struct console *k, struct client *c)
{
	if (k->phase == CAPTURE_NONE)
		return answer(c, answer_error("no capture runs"));
	stop_taps(k);
	c->waiting = true;
	return true;
}

static bool serve_line(struct console *k, struct client *c, const char *line, size_t len)
{
	struct request request;
	char why[WHY_BYTES];
	int err = request_parse(line, len, &request, why, sizeof why);
	client_drop_line(c);
	if (err)
		return answer(c, answer_error(why));
	switch (request.type) {
	case REQUEST_STAT:
		return answer(c, answer_stat(k->supervisor, k->captured ? &k->capture.result : NULL,
					     k->phase != CAPTURE_NONE));
	case REQUEST_CAPTURE_START:
		return start_capture(k, c, &request);
	case REQUEST_CAPTURE_STOP:
		return stop_capture(k, c);
	case REQUEST_TRACE:
		return answer(c, answer_trace(k->supervisor, request.connection));
	}
	return false;
}

/* ---- the capture ---- */

static void end_capture(struct console *k)
{
	const struct capture_result *r = &k->capture.result;
	capture_file_finish(&k->capture);
	k->phase = CAPTURE_NONE;
	supervisor_ask(k->supervisor, log_end, k);
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++)
		if (k->clients[i].waiting && !answer(&k->clients[i], answer_capture(r)))
			client_fini(&k->clients[i]);
}

static void step_capture(struct console *k)
{
	if (k->phase == CAPTURE_NONE)
		return;
	capture_file_drain(&k->capture);
	if (k->capture.result.error)
		stop_taps(k);
	if (k->phase == CAPTURE_STOPPING && taps_stopped(&k->capture.taps))
		end_capture(k);
}

/* ---- clients ---- */

/* A free place, or that of the client silent longest. */
static struct client *place(struct console *k)
{
	struct client *oldest = &k->clients[0];
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++) {
		if (k->clients[i].fd < 0)
			return &k->clients[i];
		if (k->clients[i].heard < oldest->heard)
			oldest = &k->clients[i];
	}
	client_fini(oldest);
	return oldest;
}

static void accept_client(struct console *k)
{
	int fd = listener_accept(&k->listener);
	if (fd < 0)
		return;
	struct client *c = place(k);
	client_init(c, fd);
	c->heard = ++k->heard;
}

/* One line at a time, so that no client keeps the others waiting. False: it should go. */
static bool serve(struct console *k, struct client *c, short events)
{
	size_t len;
	bool gone = events & (POLLHUP | POLLERR);
	if ((gone && (c->out || c->waiting)) || (events & POLLOUT && !client_write(c)))
		return false;
	if (events & (POLLIN | POLLHUP | POLLERR)) {
		if (!client_read(c))
			return false;
		c->heard = ++k->heard;
	}
	const char *line = client_line(c, &len);
	if (line)
		return serve_line(k, c, line, len);
	if (client_line_too_long(c)) {
		answer(c, answer_error("the request is too long"));
		return false;
	}
	return true;
}

static short wanted_events(const struct client *c)
{
	if (c->out)
		return POLLOUT;
	return c->waiting || c->in_len == sizeof c->in ? 0 : POLLIN; /* POLLHUP comes unasked */
}

/* ---- the loop ---- */

static bool has_line(const struct console *k)
{
	size_t len;
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++)
		if (k->clients[i].fd >= 0 && client_line(&k->clients[i], &len))
			return true;
	return false;
}

static void turn(struct console *k)
{
	struct pollfd fds[2 + CONSOLE_CLIENTS] = {{.fd = k->wake, .events = POLLIN},
						  {.fd = k->listener.fd, .events = POLLIN}};
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++)
		fds[2 + i] = (struct pollfd){.fd = k->clients[i].fd, .events = wanted_events(&k->clients[i])};
	int timeout_ms = has_line(k) ? 0 : k->phase != CAPTURE_NONE ? CAPTURE_POLL_MS : -1;
	if (poll(fds, 2 + CONSOLE_CLIENTS, timeout_ms) < 0)
		return;
	step_capture(k);
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++)
		if (fds[2 + i].fd >= 0 && k->clients[i].fd == fds[2 + i].fd &&
		    !serve(k, &k->clients[i], fds[2 + i].revents))
			client_fini(&k->clients[i]);
	if (fds[1].revents)
		accept_client(k);
}

static void *run(void *arg)
{
	struct console *k = arg;
	while (!atomic_load(&k->stop))
		turn(k);
	return NULL;
}

/* ---- life ---- */

int console_create(struct supervisor *supervisor, const char *path, struct console **out, char *why, size_t why_bytes)
{
	struct console *k = calloc(1, sizeof *k);
	if (!k) {
		snprintf(why, why_bytes, "%s", hw_error_sentence(HW_ERR_NOMEM));
		return HW_ERR_NOMEM;
	}
	k->supervisor = supervisor;
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++)
		client_init(&k->clients[i], -1);
	int err = listener_open(&k->listener, path, why, why_bytes);
	if (err) {
		free(k);
		return err;
	}
	k->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = k->wake < 0 ? HW_ERR_SYSTEM : thread_start(&k->thread, "harewire-socket", THREAD_ANY_CPU, run, k);
	if (err) {
		snprintf(why, why_bytes, "control socket: %s", strerror(errno));
		if (k->wake >= 0)
			close(k->wake);
		listener_close(&k->listener);
		free(k);
		return err;
	}
	*out = k;
	return 0;
}

void console_destroy(struct console *k)
{
	uint64_t one = 1;
	if (!k)
		return;
	atomic_store(&k->stop, true);
	ssize_t n = write(k->wake, &one, sizeof one);
	(void)n; /* a new eventfd takes it */
	pthread_join(k->thread, NULL);
	listener_close(&k->listener);
	if (k->phase != CAPTURE_NONE)
		end_capture(k); /* no worker has its taps any more */
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++)
		client_fini(&k->clients[i]);
	close(k->wake);
	free(k);
}
