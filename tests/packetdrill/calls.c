/*
 * The socket calls but those that move octets (transfer.c). Only active opens are offered, like by the TCP below. What
 * they return, and when, is Linux's; close never waits (SO_LINGER with a time).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "dataplane/base/error.h"
#include "tests/packetdrill/stack.h"

#define MS 1000000ull

#define LOCAL_IP 0xc0a80002u /* 192.168.0.2, unless bind says otherwise */

static const uint8_t isn_secret[16] = "every run alike";

static int fail(int error)
{
	errno = error;
	return -1;
}

int socket_take_error(struct stack_socket *k)
{
	int error = k->error;
	k->error = 0;
	return error;
}

bool socket_connected(const struct stack_socket *k)
{
	return k->tcp && tcp_state_of(k->tcp) >= TCP_ESTABLISHED;
}

/* ---- opening ---- */

static int call_socket(void *userdata, int domain, int type, int protocol)
{
	if (domain != AF_INET)
		return fail(EAFNOSUPPORT);
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM || (protocol && protocol != IPPROTO_TCP))
		return fail(EPROTONOSUPPORT);
	struct stack_socket *k = stack_new_socket(userdata);
	if (!k)
		return -1;
	int fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -1;
	k->nonblocking = type & SOCK_NONBLOCK;
	k->fd = fd;
	return fd;
}

static const struct sockaddr_in *ipv4_address(const struct sockaddr *address, socklen_t len)
{
	return len >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET ? (const struct sockaddr_in *)address
										  : NULL;
}

static int call_bind(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
	struct stack_socket *k = stack_find(userdata, fd);
	const struct sockaddr_in *in = ipv4_address(address, len);
	if (!k)
		return -1;
	if (k->tcp || k->local_port || !in)
		return fail(EINVAL);
	k->local_ip = ntohl(in->sin_addr.s_addr);
	k->local_port = ntohs(in->sin_port);
	return 0;
}

static int call_listen(void *userdata, int fd, int backlog)
{
	return stack_find(userdata, fd) ? fail(EOPNOTSUPP) : -1;
}

static int call_accept(void *userdata, int fd, struct sockaddr *address, socklen_t *len)
{
	return stack_find(userdata, fd) ? fail(EOPNOTSUPP) : -1;
}

static void open_connection(struct stack *s, struct stack_socket *k, const struct sockaddr_in *to)
{
	k->tcp = aligned_alloc(64, (tcp_size(&k->config) + 63) & ~(size_t)63);
	k->send_buffer = malloc(SEND_BUFFER_BYTES);
	assert(k->tcp && k->send_buffer);
	k->tuple = (struct tcp_tuple){
		.local_ip = k->local_ip ? k->local_ip : LOCAL_IP,
		.remote_ip = ntohl(to->sin_addr.s_addr),
		.local_port = k->local_port ? k->local_port : s->next_port++,
		.remote_port = ntohs(to->sin_port),
	};
	uint32_t isn = s->isn_given ? s->isn : tcp_initial_sequence(isn_secret, &k->tuple, s->now_ns);
	tcp_init(k->tcp, &k->config);
	tcp_open(k->tcp, &k->tuple, isn, &k->tx, s->now_ns);
	stack_update(s, k);
}

static bool connect_is_over(void *argument)
{
	const struct stack_socket *k = argument;
	return k->closed || k->fd < 0 || k->ended || socket_connected(k);
}

/* Once: afterwards the socket is as new and may try again. */
static int connect_failed(struct stack_socket *k)
{
	int error = socket_take_error(k);
	free(k->tcp);
	free(k->send_buffer);
	k->tcp = NULL;
	k->send_buffer = NULL;
	k->ended = k->read_shut = k->write_shut = false;
	extents_init(&k->tx);
	return fail(error ? error : ECONNABORTED);
}

static int call_connect(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
	struct stack *s = userdata;
	struct stack_socket *k = stack_find(s, fd);
	const struct sockaddr_in *to = ipv4_address(address, len);
	if (!k)
		return -1;
	if (!to)
		return fail(len < sizeof *to ? EINVAL : EAFNOSUPPORT);
	if (k->connect_answered)
		return fail(EISCONN);
	bool first = !k->tcp;
	if (first)
		open_connection(s, k, to);
	if (!k->nonblocking && !stack_wait(s, connect_is_over, k, TCP_NEVER))
		return -1;
	if (stack_find(s, fd) != k)
		return fail(EBADF);
	if (k->ended)
		return connect_failed(k);
	if (!socket_connected(k))
		return fail(first ? EINPROGRESS : EALREADY);
	k->connect_answered = true;
	return 0;
}

/* ---- ending ---- */

static int call_shutdown(void *userdata, int fd, int how)
{
	struct stack *s = userdata;
	struct stack_socket *k = stack_find(s, fd);
	if (!k)
		return -1;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return fail(EINVAL);
	if (!k->tcp || k->ended)
		return fail(ENOTCONN);
	k->read_shut |= how != SHUT_WR;
	if (how != SHUT_RD && !k->write_shut) {
		k->write_shut = true;
		tcp_close(k->tcp, s->now_ns);
	}
	stack_update(s, k);
	return 0;
}

/* What the application leaves unread was not received: RFC 1122, 4.2.2.13 wants a reset then. */
static void close_connection(struct stack *s, struct stack_socket *k)
{
	uint32_t unread;
	tcp_readable(k->tcp, &unread);
	if (unread || (k->linger && k->linger_seconds == 0))
		tcp_abort(k->tcp, s->now_ns);
	else
		tcp_close(k->tcp, s->now_ns);
	stack_update(s, k);
}

static int call_close(void *userdata, int fd)
{
	struct stack_socket *k = stack_find(userdata, fd);
	if (!k)
		return -1;
	close(fd);
	k->closed = true;
	if (k->tcp)
		close_connection(userdata, k);
	else
		stack_free_socket(k);
	return 0;
}

/* ---- asking ---- */

static int call_fcntl(void *userdata, int fd, int command, ...)
{
	struct stack_socket *k = stack_find(userdata, fd);
	va_list arguments;
	va_start(arguments, command);
	int flags = command == F_SETFL ? va_arg(arguments, int) : 0;
	va_end(arguments);
	if (!k)
		return -1;
	if (command == F_GETFD)
		return 0;
	if (command == F_GETFL)
		return O_RDWR | (k->nonblocking ? O_NONBLOCK : 0);
	if (command != F_SETFL)
		return fail(EINVAL);
	k->nonblocking = flags & O_NONBLOCK;
	return 0;
}

static int call_ioctl(void *userdata, int fd, unsigned long request, ...)
{
	struct stack_socket *k = stack_find(userdata, fd);
	va_list arguments;
	va_start(arguments, request);
	int *answer = va_arg(arguments, int *);
	va_end(arguments);
	if (!k)
		return -1;
	if (!k->tcp)
		return fail(ENOTCONN);
	if (request != FIONREAD)
		return fail(EINVAL);
	uint32_t readable;
	tcp_readable(k->tcp, &readable);
	*answer = (int)readable;
	return 0;
}

static short ready_events(const struct stack_socket *k)
{
	uint32_t readable;
	if (!k->tcp)
		return POLLOUT | POLLHUP;
	tcp_readable(k->tcp, &readable);
	bool finished = k->read_shut || k->ended || tcp_peer_finished(k->tcp);
	short events = 0;
	if (readable || finished)
		events |= POLLIN | POLLRDNORM;
	if (k->ended || (socket_connected(k) && (k->write_shut || socket_send_room(k) > 0)))
		events |= POLLOUT | POLLWRNORM;
	if (k->ended || (finished && k->write_shut))
		events |= POLLHUP;
	return (short)(events | (k->error ? POLLERR : 0));
}

struct polled {
	struct stack *s;
	struct pollfd *fds;
	nfds_t count;
	int ready;
};

static bool poll_once(void *argument)
{
	struct polled *p = argument;
	p->ready = 0;
	for (nfds_t i = 0; i < p->count; i++) {
		struct pollfd *fd = &p->fds[i];
		const struct stack_socket *k = stack_find(p->s, fd->fd);
		fd->revents = (short)(k ? ready_events(k) & (fd->events | POLLERR | POLLHUP) : POLLNVAL);
		p->ready += fd->revents != 0;
	}
	return p->ready > 0;
}

static int call_poll(void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct polled p = {.s = userdata, .fds = fds, .count = count};
	uint64_t until_ns = timeout_ms < 0 ? TCP_NEVER : p.s->now_ns + (uint64_t)timeout_ms * MS;
	if (!poll_once(&p) && !stack_wait(p.s, poll_once, &p, until_ns))
		return -1;
	return p.ready;
}

/* ---- not offered ---- */

static int no_epoll_create(void *userdata, int size)
{
	return fail(ENOSYS);
}

static int no_epoll_ctl(void *userdata, int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	return fail(ENOSYS);
}

static int no_epoll_wait(void *userdata, int epoll_fd, struct epoll_event *events, int max, int timeout_ms)
{
	return fail(ENOSYS);
}

static int no_pipe(void *userdata, int fds[2])
{
	return fail(ENOSYS);
}

static int no_splice(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len,
		     unsigned int flags)
{
	return fail(ENOSYS);
}

void calls_fill(struct packetdrill_interface *i)
{
	i->socket = call_socket;
	i->bind = call_bind;
	i->listen = call_listen;
	i->accept = call_accept;
	i->connect = call_connect;
	transfer_fill(i);
	i->fcntl = call_fcntl;
	i->ioctl = call_ioctl;
	i->close = call_close;
	i->shutdown = call_shutdown;
	i->poll = call_poll;
	i->epoll_create = no_epoll_create;
	i->epoll_ctl = no_epoll_ctl;
	i->epoll_wait = no_epoll_wait;
	i->pipe = no_pipe;
	i->splice = no_splice;
}
