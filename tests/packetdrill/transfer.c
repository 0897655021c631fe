/* The socket calls that move octets: as much as there is or fits, or else waiting for it where the socket blocks. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/packetdrill/stack.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

/* EBADF rather than waiting, where the socket has been closed meanwhile. */
static bool blocks(struct stack *s, int fd, int flags)
{
	const struct stack_socket *k = stack_find(s, fd);
	return k && !k->nonblocking && !(flags & MSG_DONTWAIT);
}

/* ---- receiving ---- */

static bool no_more_to_read(const struct stack_socket *k)
{
	return k->read_shut || k->ended || tcp_peer_finished(k->tcp);
}

static bool can_read(void *argument)
{
	const struct stack_socket *k = argument;
	uint32_t readable;
	if (k->closed || !k->tcp)
		return true;
	tcp_readable(k->tcp, &readable);
	return readable || k->error || no_more_to_read(k);
}

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

static ssize_t receive_now(struct stack *s, int fd, void *buffer, size_t len, int flags)
{
	struct stack_socket *k = stack_find(s, fd);
	if (!k)
		return -1;
	if (flags & ~(MSG_DONTWAIT | MSG_PEEK | MSG_NOSIGNAL))
		return fail(EOPNOTSUPP);
	if (!k->tcp)
		return fail(ENOTCONN);
	uint32_t readable;
	tcp_readable(k->tcp, &readable);
	if (readable && len && !buffer)
		return fail(EFAULT);
	uint32_t copied = copy_readable(s, k, buffer, len, flags & MSG_PEEK);
	if (copied) {
		stack_update(s, k);
		return copied;
	}
	if (k->error)
		return fail(socket_take_error(k));
	return no_more_to_read(k) ? 0 : fail(EAGAIN);
}

static ssize_t call_recv(void *userdata, int fd, void *buffer, size_t len, int flags)
{
	struct stack *s = userdata;
	ssize_t n;
	while ((n = receive_now(s, fd, buffer, len, flags)) < 0 && errno == EAGAIN)
		if (!blocks(s, fd, flags) || !stack_wait(s, can_read, stack_find(s, fd), TCP_NEVER))
			break;
	return n;
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

/* Waits for the first octet only. */
static ssize_t receive_vector(void *userdata, int fd, const struct iovec *iov, size_t count, int flags)
{
	ssize_t total = 0;
	for (size_t i = 0; i < count; i++) {
		ssize_t n =
			call_recv(userdata, fd, iov[i].iov_base, iov[i].iov_len, total ? flags | MSG_DONTWAIT : flags);
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

size_t socket_send_room(const struct stack_socket *k)
{
	uint64_t held = k->tx.end - k->tx.start;
	return held < k->send_bytes ? (size_t)(k->send_bytes - held) : 0;
}

static bool can_write(void *argument)
{
	const struct stack_socket *k = argument;
	return k->closed || !k->tcp || k->error || k->write_shut || k->ended ||
	       (socket_connected(k) && socket_send_room(k));
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
	return socket_connected(k) && socket_send_room(k) ? 0 : EAGAIN;
}

static bool has_hole(const struct iovec *iov, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!iov[i].iov_base && iov[i].iov_len)
			return true;
	return false;
}

/* What fits of it behind the first `skip` octets. -1 and errno: nothing does. */
static ssize_t send_now(struct stack *s, int fd, const struct iovec *iov, size_t count, size_t skip)
{
	struct stack_socket *k = stack_find(s, fd);
	size_t total = 0;
	if (!k)
		return -1;
	int error = may_send(k);
	if (error)
		return fail(error);
	if (has_hole(iov, count))
		return fail(EFAULT);
	for (size_t i = 0; i < count; i++) {
		size_t behind = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t left = iov[i].iov_len - behind, room = socket_send_room(k);
		size_t n = left < room ? left : room;
		push(k, (const uint8_t *)iov[i].iov_base + behind, n);
		skip -= behind;
		total += n;
		if (n < left)
			break;
	}
	stack_update(s, k);
	return (ssize_t)total;
}

static ssize_t send_vector(struct stack *s, int fd, const struct iovec *iov, size_t count, int flags)
{
	size_t asked = 0, sent = 0;
	ssize_t n;
	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL))
		return stack_find(s, fd) ? fail(EOPNOTSUPP) : -1;
	for (size_t i = 0; i < count; i++)
		asked += iov[i].iov_len;
	do {
		n = send_now(s, fd, iov, count, sent);
		sent += n > 0 ? (size_t)n : 0;
	} while (sent < asked && (n >= 0 || errno == EAGAIN) && blocks(s, fd, flags) &&
		 stack_wait(s, can_write, stack_find(s, fd), TCP_NEVER));
	return sent || n == 0 ? (ssize_t)sent : -1;
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

void transfer_fill(struct packetdrill_interface *i)
{
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
}
