/* System calls: the script's arguments become the library's, and its answer is compared. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/packetdrill/run_play.h"

#define BUFFER_MAX (1u << 24)
#define VECTOR_MAX 16
#define POLL_MAX   4

/* The call's own line: one that blocks may come back during another event. */
__attribute__((noreturn)) __attribute__((format(printf, 3, 4))) static void
call_fail(const struct play *p, const struct call *c, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	script_fail(p->script->path, c->line, "%s", text);
}

/* ---- arguments ---- */

static const struct expression *argument(const struct play *p, const struct call *c, int index)
{
	const struct expression *e = c->arguments->first;
	for (int i = 0; e && i < index; i++)
		e = e->next;
	if (!e)
		call_fail(p, c, "%s: argument %d is missing", c->name, index + 1);
	return e;
}

static int64_t integer(const struct play *p, const struct call *c, const struct expression *e)
{
	if (e->kind != EXPRESSION_INTEGER)
		call_fail(p, c, "%s: an integer expected", c->name);
	return e->value;
}

static int int_argument(const struct play *p, const struct call *c, int index)
{
	return (int)integer(p, c, argument(p, c, index));
}

/* "[5]" */
static int64_t bracketed(const struct play *p, const struct call *c, int index)
{
	const struct expression *e = argument(p, c, index);
	if (e->kind != EXPRESSION_LIST || !e->first || e->first->next)
		call_fail(p, c, "%s: argument %d should be [value]", c->name, index + 1);
	return integer(p, c, e->first);
}

static const struct expression *member(const struct play *p, const struct call *c, const struct expression *e,
				       const char *name)
{
	if (e->kind == EXPRESSION_STRUCT)
		for (const struct expression *m = e->first; m; m = m->next)
			if (strcmp(m->name, name) == 0)
				return m;
	call_fail(p, c, "%s: {%s=...} expected", c->name, name);
}

static int live_descriptor(const struct play *p, const struct call *c, int64_t script)
{
	for (int i = p->descriptor_count; i-- > 0;)
		if (p->descriptors[i].script == script && !p->descriptors[i].closed)
			return p->descriptors[i].live;
	call_fail(p, c, "%s: unable to find socket with script fd %" PRId64, c->name, script);
}

static int descriptor(const struct play *p, const struct call *c)
{
	return live_descriptor(p, c, integer(p, c, argument(p, c, 0)));
}

/* A buffer of zeros, as long as argument `index` says; or NULL, where argument 1 is that instead of "...". */
static uint8_t *buffer(const struct play *p, const struct call *c, int index, size_t *len)
{
	int64_t asked = integer(p, c, argument(p, c, index));
	const struct expression *e = argument(p, c, 1);
	if (e->kind == EXPRESSION_INTEGER && e->value == 0) {
		*len = (size_t)asked;
		return NULL;
	}
	if (e->kind != EXPRESSION_ELLIPSIS)
		call_fail(p, c, "Expected ... or NULL for buffer");
	uint8_t *octets = asked >= 0 && asked <= BUFFER_MAX ? calloc(1, (size_t)asked + 1) : NULL;
	if (!octets)
		call_fail(p, c, "%s: a length from 0 to %u expected", c->name, BUFFER_MAX);
	*len = (size_t)asked;
	return octets;
}

/* "[{..., 1000}, {..., 500}]": each with zeros of its own. */
static int vector(const struct play *p, const struct call *c, const struct expression *list,
		  struct iovec iov[VECTOR_MAX])
{
	int count = 0;
	const struct expression *e = list->first;
	for (; e && count < VECTOR_MAX; e = e->next) {
		if (e->kind != EXPRESSION_STRUCT || !e->first || !e->first->next)
			call_fail(p, c, "%s: {..., length} expected", c->name);
		size_t len = (size_t)integer(p, c, e->first->next);
		iov[count++] = (struct iovec){.iov_base = calloc(1, len + 1), .iov_len = len};
	}
	if (e)
		call_fail(p, c, "%s: more than %d pieces", c->name, VECTOR_MAX);
	return count;
}

static void free_vector(struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		free(iov[i].iov_base);
}

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
}

/* ---- the calls ---- */

static int64_t do_socket(struct play *p, const struct call *c)
{
	int domain = argument(p, c, 0)->kind == EXPRESSION_ELLIPSIS ? AF_INET : int_argument(p, c, 0);
	int live = p->interface.socket(p->interface.userdata, domain, int_argument(p, c, 1), int_argument(p, c, 2));
	if (live < 0)
		return live;
	if (p->descriptor_count == DESCRIPTORS_MAX)
		call_fail(p, c, "too many sockets");
	int i = p->descriptor_count++;
	p->descriptors[i].script = (int)c->result;
	p->descriptors[i].live = live;
	p->peer = (struct peer){.state = PEER_NONE};
	return c->result < 0 ? live : c->result; /* its number is the script's to choose */
}

static int64_t do_bind(struct play *p, const struct call *c)
{
	struct sockaddr_in to = address(BIND_IP, BIND_PORT);
	return p->interface.bind(p->interface.userdata, descriptor(p, c), (struct sockaddr *)&to, sizeof to);
}

static int64_t do_listen(struct play *p, const struct call *c)
{
	return p->interface.listen(p->interface.userdata, descriptor(p, c), int_argument(p, c, 1));
}

static int64_t do_connect(struct play *p, const struct call *c)
{
	struct sockaddr_in to = address(REMOTE_IP, REMOTE_PORT);
	if (p->peer.state == PEER_NONE)
		p->peer.state = PEER_CONNECTING;
	return p->interface.connect(p->interface.userdata, descriptor(p, c), (struct sockaddr *)&to, sizeof to);
}

static int64_t do_read(struct play *p, const struct call *c)
{
	size_t len;
	uint8_t *octets = buffer(p, c, 2, &len);
	int64_t n = p->interface.read(p->interface.userdata, descriptor(p, c), octets, len);
	free(octets);
	return n;
}

static int64_t do_recv(struct play *p, const struct call *c)
{
	size_t len;
	uint8_t *octets = buffer(p, c, 2, &len);
	int64_t n = p->interface.recv(p->interface.userdata, descriptor(p, c), octets, len, int_argument(p, c, 3));
	free(octets);
	return n;
}

static int64_t do_readv(struct play *p, const struct call *c)
{
	struct iovec iov[VECTOR_MAX];
	int count = vector(p, c, argument(p, c, 1), iov);
	int64_t n = p->interface.readv(p->interface.userdata, descriptor(p, c), iov, count);
	free_vector(iov, count);
	return n;
}

static int64_t do_write(struct play *p, const struct call *c)
{
	size_t len;
	uint8_t *octets = buffer(p, c, 2, &len);
	int64_t n = p->interface.write(p->interface.userdata, descriptor(p, c), octets, len);
	free(octets);
	return n;
}

static int64_t do_send(struct play *p, const struct call *c)
{
	size_t len;
	uint8_t *octets = buffer(p, c, 2, &len);
	int64_t n = p->interface.send(p->interface.userdata, descriptor(p, c), octets, len, int_argument(p, c, 3));
	free(octets);
	return n;
}

static int64_t do_sendto(struct play *p, const struct call *c)
{
	size_t len;
	uint8_t *octets = buffer(p, c, 2, &len);
	struct sockaddr_in to = address(REMOTE_IP, REMOTE_PORT);
	int64_t n = p->interface.sendto(p->interface.userdata, descriptor(p, c), octets, len, int_argument(p, c, 3),
					(struct sockaddr *)&to, sizeof to);
	free(octets);
	return n;
}

static int64_t do_writev(struct play *p, const struct call *c)
{
	struct iovec iov[VECTOR_MAX];
	int count = vector(p, c, argument(p, c, 1), iov);
	int64_t n = p->interface.writev(p->interface.userdata, descriptor(p, c), iov, count);
	free_vector(iov, count);
	return n;
}

/* "{msg_name(...)=..., msg_iov(2)=[{..., 100}, {..., 50}], msg_flags=0}" */
static int message(const struct play *p, const struct call *c, struct msghdr *to, struct iovec iov[VECTOR_MAX])
{
	int count = vector(p, c, member(p, c, argument(p, c, 1), "msg_iov"), iov);
	*to = (struct msghdr){.msg_iov = iov, .msg_iovlen = (size_t)count};
	return count;
}

static int64_t do_sendmsg(struct play *p, const struct call *c)
{
	struct iovec iov[VECTOR_MAX];
	struct msghdr m;
	int count = message(p, c, &m, iov);
	int64_t n = p->interface.sendmsg(p->interface.userdata, descriptor(p, c), &m, int_argument(p, c, 2));
	free_vector(iov, count);
	return n;
}

static int64_t do_recvmsg(struct play *p, const struct call *c)
{
	struct iovec iov[VECTOR_MAX];
	struct msghdr m;
	int count = message(p, c, &m, iov);
	int64_t flags = integer(p, c, member(p, c, argument(p, c, 1), "msg_flags"));
	int64_t n = p->interface.recvmsg(p->interface.userdata, descriptor(p, c), &m, int_argument(p, c, 2));
	free_vector(iov, count);
	if (n >= 0 && m.msg_flags != flags)
		call_fail(p, c, "Expected msg_flags 0x%x but got 0x%x", (unsigned int)flags, (unsigned int)m.msg_flags);
	return n;
}

static int64_t do_fcntl(struct play *p, const struct call *c)
{
	int fd = descriptor(p, c), command = int_argument(p, c, 1);
	if (!c->arguments->first->next->next)
		return p->interface.fcntl(p->interface.userdata, fd, command);
	return p->interface.fcntl(p->interface.userdata, fd, command, int_argument(p, c, 2));
}

static int64_t do_ioctl(struct play *p, const struct call *c)
{
	int value = 0;
	int64_t result = p->interface.ioctl(p->interface.userdata, descriptor(p, c),
					    (unsigned long)integer(p, c, argument(p, c, 1)), &value);
	if (result >= 0 && value != bracketed(p, c, 2))
		call_fail(p, c, "bad ioctl value: expected: %" PRId64 " actual: %d", bracketed(p, c, 2), value);
	return result;
}

static int64_t do_shutdown(struct play *p, const struct call *c)
{
	return p->interface.shutdown(p->interface.userdata, descriptor(p, c), int_argument(p, c, 1));
}

static int64_t do_close(struct play *p, const struct call *c)
{
	int live = descriptor(p, c);
	int64_t result = p->interface.close(p->interface.userdata, live);
	for (int i = 0; i < p->descriptor_count; i++)
		if (p->descriptors[i].live == live)
			p->descriptors[i].closed = true;
	return result;
}

static int64_t do_setsockopt(struct play *p, const struct call *c)
{
	const struct expression *value = argument(p, c, 3);
	int v = 0;
	struct linger linger = {0};
	const void *at = &v;
	socklen_t len = (socklen_t)int_argument(p, c, 4), most = sizeof v;
	if (value->kind == EXPRESSION_STRING) {
		at = value->text;
		most = (socklen_t)strlen(value->text);
	} else if (value->kind == EXPRESSION_STRUCT) {
		linger.l_onoff = (int)integer(p, c, member(p, c, value, "onoff"));
		linger.l_linger = (int)integer(p, c, member(p, c, value, "linger"));
		at = &linger;
		most = sizeof linger;
	} else {
		v = (int)bracketed(p, c, 3);
	}
	if (len > most)
		call_fail(p, c, "setsockopt: the value is shorter than %u octets", len);
	return p->interface.setsockopt(p->interface.userdata, descriptor(p, c), int_argument(p, c, 1),
				       int_argument(p, c, 2), at, len);
}

static int64_t do_getsockopt(struct play *p, const struct call *c)
{
	int value = 0;
	socklen_t len = sizeof value;
	if (bracketed(p, c, 4) != sizeof value)
		call_fail(p, c, "Unsupported getsockopt optlen: %" PRId64, bracketed(p, c, 4));
	int64_t result = p->interface.getsockopt(p->interface.userdata, descriptor(p, c), int_argument(p, c, 1),
						 int_argument(p, c, 2), &value, &len);
	if (result >= 0 && (value != bracketed(p, c, 3) || len != sizeof value))
		call_fail(p, c, "Bad getsockopt optval: expected: %" PRId64 " actual: %d", bracketed(p, c, 3), value);
	return result;
}

/* "[{fd=3, events=POLLOUT, revents=POLLOUT}]" */
static int64_t do_poll(struct play *p, const struct call *c)
{
	struct pollfd fds[POLL_MAX];
	int64_t expected[POLL_MAX];
	nfds_t count = 0;
	for (const struct expression *e = argument(p, c, 0)->first; e && count < POLL_MAX; e = e->next, count++) {
		fds[count].fd = live_descriptor(p, c, integer(p, c, member(p, c, e, "fd")));
		fds[count].events = (short)integer(p, c, member(p, c, e, "events"));
		fds[count].revents = 0;
		expected[count] = integer(p, c, member(p, c, e, "revents"));
	}
	int64_t result = p->interface.poll(p->interface.userdata, fds, count, int_argument(p, c, 2));
	for (nfds_t i = 0; i < count; i++)
		if (fds[i].revents != expected[i])
			call_fail(p, c, "poll: expected revents: %#" PRIx64 " actual: %#x", expected[i],
				  (unsigned int)fds[i].revents);
	return result;
}

static const struct {
	const char *name;
	int64_t (*run)(struct play *p, const struct call *c);
} calls[] = {
	{"socket", do_socket},     {"bind", do_bind},
	{"listen", do_listen},     {"connect", do_connect},
	{"read", do_read},         {"recv", do_recv},
	{"readv", do_readv},       {"write", do_write},
	{"send", do_send},         {"sendto", do_sendto},
	{"writev", do_writev},     {"fcntl", do_fcntl},
	{"ioctl", do_ioctl},       {"close", do_close},
	{"shutdown", do_shutdown}, {"sendmsg", do_sendmsg},
	{"recvmsg", do_recvmsg},   {"setsockopt", do_setsockopt},
	{"poll", do_poll},         {"getsockopt", do_getsockopt},
};

static void check_result(const struct play *p, const struct call *c, int64_t result, int error)
{
	if (result != c->result)
		call_fail(p, c,
			  "runtime error in %s call: Expected result %" PRId64 " but got %" PRId64
			  " with errno %d (%s)",
			  c->name, c->result, result, error, strerror(error));
	if (c->error && error != c->error)
		call_fail(p, c, "runtime error in %s call: Expected errno %d (%s) but got %d (%s)", c->name, c->error,
			  strerror(c->error), error, strerror(error));
}

int64_t play_make_call(struct play *p, const struct call *c)
{
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		if (strcmp(calls[i].name, c->name) != 0)
			continue;
		errno = 0;
		int64_t result = calls[i].run(p, c);
		int error = errno;
		int64_t returned_usecs = play_now_usecs(p);
		check_result(p, c, result, error);
		return returned_usecs;
	}
	call_fail(p, c, "Unknown system call: '%s'", c->name);
}

void play_close_descriptors(struct play *p)
{
	for (int i = 0; i < p->descriptor_count; i++)
		if (!p->descriptors[i].closed)
			close(p->descriptors[i].live);
}
