#define _GNU_SOURCE /* memmem */
#include "tests/lib/played_broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/bytes.h"
#include "tests/lib/amqp_script.h"

#define METHOD(class_id, method_id) ((class_id) << 16 | (method_id))

static const struct visit good = {.end = VISIT_STAYS, .acks = PLAYED_ACK_ALL};

static const struct visit *visit_of(const struct played_broker *b)
{
	uint32_t at = atomic_load(&b->visit);
	bool planned = at < PLAYED_VISITS && (b->visits[at].end != VISIT_STAYS || b->visits[at].acks);
	return planned ? &b->visits[at] : &good;
}

/* ---- speaking ---- */

static void say(struct played_broker *b, struct octets *o)
{
	ssize_t n = send(b->fd, o->bytes, o->len, MSG_NOSIGNAL);
	(void)n; /* a client that has gone is seen when reading */
	octets_free(o);
}

static void say_method(struct played_broker *b, uint16_t channel, uint16_t class_id, uint16_t method_id, unsigned zeros)
{
	struct octets o = {0}, arguments = {0};
	octets_int(&arguments, 0, zeros);
	octets_method(&o, channel, class_id, method_id, &arguments);
	say(b, &o);
}

static void say_start(struct played_broker *b)
{
	struct octets o = {0}, arguments = {0}, properties = {0};
	octets_int(&arguments, 9, 2);
	octets_table(&arguments, &properties);
	octets_long_string(&arguments, "PLAIN");
	octets_long_string(&arguments, "en_US");
	octets_method(&o, 0, 10, 10, &arguments);
	say(b, &o);
}

static void say_tune(struct played_broker *b)
{
	struct octets o = {0}, arguments = {0};
	const struct visit *v = visit_of(b);
	octets_int(&arguments, 2047, 2);
	octets_int(&arguments, v->frame_max ? v->frame_max : 131072, 4);
	octets_int(&arguments, 60, 2);
	octets_method(&o, 0, 10, 30, &arguments);
	say(b, &o);
}

static void say_close(struct played_broker *b, uint16_t channel)
{
	struct octets o = {0};
	octets_close(&o, channel, visit_of(b)->code, visit_of(b)->text);
	say(b, &o);
}

static void say_declare_ok(struct played_broker *b)
{
	struct octets o = {0}, arguments = {0};
	octets_short_string(&arguments, "q");
	octets_int(&arguments, 0, 8);
	octets_method(&o, 1, 50, 11, &arguments);
	say(b, &o);
}

static void say_ack(struct played_broker *b)
{
	struct octets o = {0}, arguments = {0};
	octets_int(&arguments, b->tag, 8);
	octets_int(&arguments, 0, 1);
	octets_method(&o, 1, 60, 80, &arguments);
	say(b, &o);
}

/* ---- visits ---- */

static void end_connection(struct played_broker *b, bool reset)
{
	const struct linger now = {.l_onoff = 1};
	if (reset)
		setsockopt(b->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	b->over = true;
}

static void go_on(struct played_broker *b)
{
	if (!visit_of(b)->forever)
		atomic_fetch_add(&b->visit, 1);
}

static void end_visit(struct played_broker *b)
{
	switch (visit_of(b)->end) {
	case VISIT_RESETS:
		end_connection(b, true);
		break;
	case VISIT_FINISHES:
		end_connection(b, false);
		break;
	case VISIT_CLOSES:
	case VISIT_REFUSES_LOGIN:
		say_close(b, 0); /* close-ok is the end */
		b->channel_open = false;
		break;
	case VISIT_CLOSES_CHANNEL:
	case VISIT_REFUSES_DECLARE:
		say_close(b, 1);
		b->channel_open = false;
		break;
	default:
		return;
	}
	go_on(b);
}

static void check_publishes(struct played_broker *b)
{
	const struct visit *v = visit_of(b);
	if (b->channel_open && v->end >= VISIT_RESETS && v->end <= VISIT_CLOSES_CHANNEL && b->tag >= v->publishes)
		end_visit(b);
}

static void on_publish(struct played_broker *b)
{
	if (!b->channel_open)
		return; /* of a channel that has been closed */
	b->tag++;
	atomic_fetch_add(&b->publishes, 1);
	if (b->tag <= visit_of(b)->acks)
		say_ack(b);
	check_publishes(b);
}

static void on_channel_open(struct played_broker *b)
{
	enum visit_end end = visit_of(b)->end;
	b->mute = end == VISIT_REFUSES_REOPENING || end == VISIT_IGNORES_REOPENING;
	if (end == VISIT_REFUSES_REOPENING && visit_of(b)->code)
		say_close(b, 0);
	else if (end == VISIT_REFUSES_REOPENING)
		end_connection(b, true);
	if (b->mute)
		go_on(b);
	if (end == VISIT_REFUSES_REOPENING)
		return;
	b->tag = 0;
	atomic_fetch_add(&b->channels, 1);
	say_method(b, 1, 20, 11, 4);
}

static void on_start_ok(struct played_broker *b, const uint8_t *frame, size_t len)
{
	/* The response is behind the mechanism's name: \0 user \0 password. */
	const uint8_t *plain = memmem(frame, len, "\5PLAIN", 6);
	const uint8_t *password = plain ? memchr(plain + 11, '\0', len - (size_t)(plain + 11 - frame)) : NULL;
	if (password) {
		size_t n = get_be32(plain + 6) - (size_t)(password + 1 - (plain + 10));
		snprintf(b->password, sizeof b->password, "%.*s", (int)n, (const char *)password + 1);
	}
	if (visit_of(b)->end == VISIT_REFUSES_LOGIN)
		end_visit(b);
	else
		say_tune(b);
}

/* ---- listening ---- */

static void on_method(struct played_broker *b, const uint8_t *frame, size_t len)
{
	switch (get_be32(frame + 7)) {
	case METHOD(10, 11):
		on_start_ok(b, frame, len);
		break;
	case METHOD(10, 31):
		atomic_store(&b->frame_max, get_be32(frame + 13));
		break;
	case METHOD(10, 40):
		say_method(b, 0, 10, 41, 1);
		break;
	case METHOD(10, 50):
		say_method(b, 0, 10, 51, 0);
		break;
	case METHOD(10, 51):
		end_connection(b, false);
		break;
	case METHOD(20, 10):
		on_channel_open(b);
		break;
	case METHOD(50, 10):
		atomic_fetch_add(&b->declares, 1);
		if (visit_of(b)->end == VISIT_REFUSES_DECLARE)
			end_visit(b);
		else
			say_declare_ok(b);
		break;
	case METHOD(85, 10):
		b->channel_open = !b->mute;
		if (!b->mute)
			say_method(b, 1, 85, 11, 0);
		check_publishes(b);
		break;
	case METHOD(60, 40):
		on_publish(b);
		break;
	default:
		break;
	}
}

/* One frame at the front of `in`, or the protocol header. Returns its octets, 0 when it is not all there. */
static size_t take_frame(struct played_broker *b, const uint8_t *in, size_t len)
{
	if (len < 8)
		return 0;
	if (in[0] == 'A') {
		say_start(b);
		return 8;
	}
	size_t frame = get_be32(in + 3) + 8;
	if (len < frame)
		return 0;
	if (in[0] == 1)
		on_method(b, in, frame);
	return frame;
}

static void serve(struct played_broker *b)
{
	b->in_len = 0;
	b->channel_open = b->mute = b->over = false;
	while (!b->over) {
		ssize_t n = recv(b->fd, b->in + b->in_len, sizeof b->in - b->in_len, 0);
		if (n <= 0)
			return;
		b->in_len += (size_t)n;
		size_t taken = 0, frame;
		while (!b->over && (frame = take_frame(b, b->in + taken, b->in_len - taken)) > 0)
			taken += frame;
		memmove(b->in, b->in + taken, b->in_len - taken);
		b->in_len -= taken;
	}
}

static void *run(void *context)
{
	struct played_broker *b = context;
	int on = 1;
	while (!atomic_load(&b->stop)) {
		int fd = accept(b->listener, NULL, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		atomic_store(&b->fd, fd);
		atomic_fetch_add(&b->connections, 1);
		serve(b);
		if (atomic_load(&b->stop))
			end_connection(b, true);
		pthread_mutex_lock(&b->lock);
		atomic_store(&b->fd, -1);
		close(fd);
		pthread_mutex_unlock(&b->lock);
	}
	return NULL;
}

void played_broker_start(struct played_broker *b)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(b->port)};
	socklen_t len = sizeof address;
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&address, len) ||
	    getsockname(listener, (struct sockaddr *)&address, &len) || listen(listener, 8)) {
		perror("played_broker");
		abort();
	}
	b->port = ntohs(address.sin_port);
	b->listener = listener;
	b->fd = -1;
	b->stop = false;
	pthread_mutex_init(&b->lock, NULL);
	b->running = pthread_create(&b->thread, NULL, run, b) == 0;
}

void played_broker_stop(struct played_broker *b)
{
	if (!b->running)
		return;
	atomic_store(&b->stop, true);
	shutdown(b->listener, SHUT_RDWR);
	pthread_mutex_lock(&b->lock);
	if (b->fd >= 0)
		shutdown(b->fd, SHUT_RD);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	close(b->listener);
	pthread_mutex_destroy(&b->lock);
	b->running = false;
}
