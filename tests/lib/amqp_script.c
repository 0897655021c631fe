#include "tests/lib/amqp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void octets_raw(struct octets *o, const void *bytes, size_t len)
{
	if (len > o->cap - o->len) {
		o->cap = 2 * (o->len + len);
		o->bytes = realloc(o->bytes, o->cap);
		if (!o->bytes)
			abort();
	}
	if (len)
		memcpy(o->bytes + o->len, bytes, len);
	o->len += len;
}

void octets_int(struct octets *o, uint64_t v, unsigned width)
{
	while (width--) {
		uint8_t octet = (uint8_t)(v >> (8 * width));
		octets_raw(o, &octet, 1);
	}
}

void octets_short_string(struct octets *o, const char *s)
{
	octets_int(o, strlen(s), 1);
	octets_raw(o, s, strlen(s));
}

void octets_long_string(struct octets *o, const char *s)
{
	octets_int(o, strlen(s), 4);
	octets_raw(o, s, strlen(s));
}

void octets_free(struct octets *o)
{
	free(o->bytes);
	*o = (struct octets){0};
}

void octets_frame(struct octets *o, uint8_t type, uint16_t channel, struct octets *payload)
{
	octets_int(o, type, 1);
	octets_int(o, channel, 2);
	octets_int(o, payload->len, 4);
	octets_raw(o, payload->bytes, payload->len);
	octets_int(o, 0xce, 1);
	octets_free(payload);
}

void octets_method(struct octets *o, uint16_t channel, uint16_t class_id, uint16_t method_id, struct octets *arguments)
{
	struct octets payload = {0};
	octets_int(&payload, class_id, 2);
	octets_int(&payload, method_id, 2);
	if (arguments) {
		octets_raw(&payload, arguments->bytes, arguments->len);
		octets_free(arguments);
	}
	octets_frame(o, 1, channel, &payload);
}

void octets_close(struct octets *o, uint16_t channel, uint16_t code, const char *text)
{
	struct octets arguments = {0};
	octets_int(&arguments, code, 2);
	octets_short_string(&arguments, text);
	octets_int(&arguments, 0, 4); /* failing class and method */
	if (channel == 0)
		octets_method(o, 0, 10, 50, &arguments);
	else
		octets_method(o, channel, 20, 40, &arguments);
}

void octets_heartbeat(struct octets *o)
{
	octets_raw(o, "\x08\0\0\0\0\0\0\xce", 8);
}

void octets_table(struct octets *o, struct octets *entries)
{
	octets_int(o, entries->len, 4);
	octets_raw(o, entries->bytes, entries->len);
	octets_free(entries);
}

static void entry(struct octets *entries, const char *name, char kind)
{
	octets_short_string(entries, name);
	octets_raw(entries, &kind, 1);
}

void octets_entry_string(struct octets *entries, const char *name, const char *value)
{
	entry(entries, name, 'S');
	octets_long_string(entries, value);
}

void octets_entry_int64(struct octets *entries, const char *name, int64_t value)
{
	entry(entries, name, 'l');
	octets_int(entries, (uint64_t)value, 8);
}

void octets_entry_bool(struct octets *entries, const char *name, bool value)
{
	entry(entries, name, 't');
	octets_int(entries, value, 1);
}

void octets_entry_table(struct octets *entries, const char *name, struct octets *value)
{
	entry(entries, name, 'F');
	octets_table(entries, value);
}

struct octets *script_add(struct script *s, enum script_step_kind kind)
{
	if (s->count == SCRIPT_STEPS_MAX)
		abort();
	s->steps[s->count].kind = kind;
	return &s->steps[s->count++].octets;
}

/* Octet by octet, so that the complaint says where it first differs. */
static bool expect(struct script *s, unsigned step, const struct octets *wanted)
{
	for (size_t i = 0; i < wanted->len; i++) {
		uint8_t octet;
		ssize_t n = recv(s->fd, &octet, 1, 0);
		if (n == 1 && octet == wanted->bytes[i])
			continue;
		snprintf(s->complaint, sizeof s->complaint, "step %u, octet %zu of %zu: wanted %02x, %s %02x", step, i,
			 wanted->len, wanted->bytes[i], n == 1 ? "got" : "nothing came", n == 1 ? octet : 0);
		return false;
	}
	return true;
}

static void read_to_end(int fd)
{
	char buffer[4096];
	while (recv(fd, buffer, sizeof buffer, 0) > 0)
		;
}

static void be_patient(int fd)
{
	struct timeval patience = {.tv_sec = 10};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static void accept_one(struct script *s)
{
	s->fd = accept(s->listener, NULL, NULL);
	close(s->listener);
	be_patient(s->fd);
}

static void *play(void *context)
{
	struct script *s = context;
	if (s->listener >= 0)
		accept_one(s);
	for (unsigned i = 0; i < s->count; i++) {
		const struct octets *o = &s->steps[i].octets;
		if (s->steps[i].kind == SCRIPT_EXPECT && !expect(s, i, o))
			break;
		/* A peer that has gone is the test's business. */
		if (s->steps[i].kind == SCRIPT_SEND && send(s->fd, o->bytes, o->len, MSG_NOSIGNAL) < 0)
			break;
		if (s->steps[i].kind == SCRIPT_HANG)
			read_to_end(s->fd);
		if (s->steps[i].kind == SCRIPT_END)
			break;
	}
	close(s->fd);
	return NULL;
}

static void start(struct script *s, int fd, int listener)
{
	be_patient(fd >= 0 ? fd : listener);
	s->fd = fd;
	s->listener = listener;
	s->complaint[0] = '\0';
	if (pthread_create(&s->thread, NULL, play, s) != 0)
		abort();
}

void script_start(struct script *s, int fd)
{
	start(s, fd, -1);
}

void script_start_listening(struct script *s, int listener)
{
	start(s, -1, listener);
}

void script_join(struct script *s)
{
	pthread_join(s->thread, NULL);
	for (unsigned i = 0; i < s->count; i++)
		octets_free(&s->steps[i].octets);
	s->count = 0;
}
