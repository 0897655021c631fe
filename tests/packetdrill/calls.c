/*
 * The socket calls. Only active opens are offered, like by the TCP below. No call waits: one that would, fails with
 * EAGAIN (connect: EINPROGRESS) whether or not the socket is non-blocking, so scripts set O_NONBLOCK; only poll lets
 * virtual time pass.
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

static int open_connection(struct stack *s, struct stack_socket *k, const struct sockaddr_in *to)
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
	return fail(EINPROGRESS);
}

static int call_connect(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
	struct stack_socket *k = stack_find(userdata, fd);
	const struct sockaddr_in *to = ipv4_address(address, len);
	if (!k)
		return -1;
	if (!to)
		return fail(EAFNOSUPPORT);
	if (!k->tcp)
		return open_connection(userdata, k, to);
	if (k->error)
		return fail(socket_take_error(k));
	if (k->ended)
		return fail(ECONNABORTED);
	return fail(socket_connected(k) ? EISCONN : EALREADY);
}

/* ---- receiving ---- */

static uint32_t copy_readable(struct stack *s, struct stack_socket *k, uint8_t *to, size_t len, bool peek)
{
	uint32_t copied = 0, run;
	const uint8_t *from = tcp_readable(k->tcp, &run);
	while (run > 0 && copied < len) {
		uint32_t n = run < len - copied ? run : (uint32_t)(len - copied);
		memcpy(to + copied, from, n);
		copied += n;
		if (peek)
			break; /* what lies behind the ring's end is not seen: no script peeks that far */
		tcp_consume(k->tcp, n, s->now_ns);
		from = tcp_readable(k->tcp, &run);
	}
	return copied;
}

static ssize_t call_recv(void *userdata, int fd, void *buffer, size_t len, int flags)
{
	struct stack *s = userdata;
	struct stack_socket *k = stack_find(s, fd);
	if (!k)
		return -1;
	if (flags & ~(MSG_DONTWAIT | MSG_PEEK | MSG_NOSIGNAL))
		return fail(EOPNOTSUPP);
	if (!k->tcp)
		return fail(ENOTCONN);
	uint32_t copied = copy_readable(s, k, buffer, len, flags & MSG_PEEK);
	if (copied) {
		stack_update(s, k);
		return copied;
	}
	if (k->error)
		return fail(socket_take_error(k));
	if (k->read_shut || k->ended || tcp_peer_finished(k->tcp))
		return 0;
	return fail(EAGAIN);
}

static ssize_t call_read(void *userdata, int fd, void *buffer, size_t len)
{
	return call_recv(userdata, fd, buffer, len, 0);
}

static ssize_t call_recvfrom(void *userdata, int fd, void *buffer, size_t len, int flags, struct sockaddr *address,
			     socklen_t *address_len)
{
	return call_recv(userdata, fd, buffer, len, flags);
}

static ssize_t receive_vector(void *userdata, int fd, const struct iovec *iov, size_t count, int flags)
{
	ssize_t total = 0;
	for (size_t i = 0; i < count; i++) {
		ssize_t n = call_recv(userdata, fd, iov[i].iov_base, iov[i].iov_len, flags);
		if (n < 0)
			return total ? total : n;
		total += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return total;
}

static ssize_t call_readv(void *userdata, int fd, const struct iovec *iov, int count)
{
	return receive_vector(userdata, fd, iov, (size_t)count, 0);
}

static ssize_t call_recvmsg(void *userdata, int fd, struct msghdr *message, int flags)
{
	message->msg_flags = 0;
	message->msg_controllen = 0;
	return receive_vector(userdata, fd, message->msg_iov, message->msg_iovlen, flags);
}

/* ---- sending ---- */

static size_t send_room(const struct stack_socket *k)
{
	uint64_t held = k->tx.end - k->tx.start;
	return held < k->send_bytes ? (size_t)(k->send_bytes - held) : 0;
}

/* Stream octets keep their place until they are acknowledged: the buffer is as large as send_room ever allows. */
static void push(struct stack_socket *k, const uint8_t *octets, size_t len)
{
	while (len > 0) {
		size_t at = k->tx.end & (SEND_BUFFER_BYTES - 1);
		size_t n = len < SEND_BUFFER_BYTES - at ? len : SEND_BUFFER_BYTES - at;
		memcpy(k->send_buffer + at, octets, n);
		bool pushed = extents_push(&k->tx, k->send_buffer + at, n, EXTENT_LOG);
		assert(pushed); /* neighbours merge: never more than one extent, and another behind the end */
		octets += n;
		len -= n;
	}
	tcp_pushed(k->tcp);
}

static int may_send(struct stack_socket *k)
{
	if (k->error)
		return socket_take_error(k);
	if (!k->tcp || k->write_shut || k->ended)
		return EPIPE;
	return socket_connected(k) && send_room(k) ? 0 : EAGAIN;
}

static ssize_t send_vector(void *userdata, int fd, const struct iovec *iov, size_t count, int flags)
{
	struct stack_socket *k = stack_find(userdata, fd);
	if (!k)
		return -1;
	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL))
		return fail(EOPNOTSUPP);
	int error = may_send(k);
	if (error)
		return fail(error);
	size_t total = 0;
	for (size_t i = 0; i < count && send_room(k); i++) {
		size_t n = iov[i].iov_len < send_room(k) ? iov[i].iov_len : send_room(k);
		push(k, iov[i].iov_base, n);
		total += n;
	}
	stack_update(userdata, k);
	return (ssize_t)total;
}

static ssize_t call_send(void *userdata, int fd, const void *octets, size_t len, int flags)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)octets, .iov_len = len};
	return send_vector(userdata, fd, &iov, 1, flags);
}

static ssize_t call_write(void *userdata, int fd, const void *octets, size_t len)
{
	return call_send(userdata, fd, octets, len, 0);
}

/* The address says nothing new about a connection (and is not looked at by Linux either). */
static ssize_t call_sendto(void *userdata, int fd, const void *octets, size_t len, int flags,
			   const struct sockaddr *address, socklen_t address_len)
{
	return call_send(userdata, fd, octets, len, flags);
}

static ssize_t call_writev(void *userdata, int fd, const struct iovec *iov, int count)
{
	return send_vector(userdata, fd, iov, (size_t)count, 0);
}

static ssize_t call_sendmsg(void *userdata, int fd, const struct msghdr *message, int flags)
{
	return send_vector(userdata, fd, message->msg_iov, message->msg_iovlen, flags);
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
	short events = 0;
	if (readable || k->read_shut || k->ended || tcp_peer_finished(k->tcp))
		events |= POLLIN | POLLRDNORM;
	if (k->ended || (socket_connected(k) && send_room(k) > 0))
		events |= POLLOUT | POLLWRNORM;
	if (k->ended || (tcp_peer_finished(k->tcp) && k->write_shut))
		events |= POLLHUP;
	return (short)(events | (k->error ? POLLERR : 0));
}

static int poll_once(struct stack *s, struct pollfd *fds, nfds_t count)
{
	int ready = 0;
	for (nfds_t i = 0; i < count; i++) {
		const struct stack_socket *k = stack_find(s, fds[i].fd);
		fds[i].revents = (short)(k ? ready_events(k) & (fds[i].events | POLLERR | POLLHUP) : POLLNVAL);
		ready += fds[i].revents != 0;
	}
	return ready;
}

/* Nothing arrives while a script waits in here: only timers can change the answer. */
static int call_poll(void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct stack *s = userdata;
	uint64_t until_ns = s->now_ns + (timeout_ms < 0 ? s->patience_ns : (uint64_t)timeout_ms * MS);
	int ready;
	while ((ready = poll_once(s, fds, count)) == 0 && s->now_ns < until_ns) {
		uint64_t next_ns = stack_deadline(s);
		stack_advance(s, next_ns < until_ns ? next_ns : until_ns);
	}
	return ready;
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
	i->read = call_read;
	i->readv = call_readv;
	i->recv = call_recv;
	i->recvfrom = call_recvfrom;
	i->recvmsg = call_recvmsg;
	i->write = call_write;
	i->writev = call_writev;
	i->send = call_send;
	i->sendto = call_sendto;
	i->sendmsg = call_sendmsg;
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
