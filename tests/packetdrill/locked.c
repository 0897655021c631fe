/* The interface as packetdrill gets it: every function under the stack's lock. */
#include <fcntl.h>
#include <stdarg.h>

#include "tests/packetdrill/stack.h"

#define LOCKED(type, name, parameters, ...)                                                                            \
	static type locked_##name parameters                                                                           \
	{                                                                                                              \
		struct stack *s = userdata;                                                                            \
		stack_lock(s);                                                                                         \
		type result = s->calls_unlocked.name(s, __VA_ARGS__);                                                  \
		stack_unlock(s);                                                                                       \
		return result;                                                                                         \
	}

LOCKED(int, socket, (void *userdata, int domain, int type, int protocol), domain, type, protocol)
LOCKED(int, bind, (void *userdata, int fd, const struct sockaddr *address, socklen_t len), fd, address, len)
LOCKED(int, listen, (void *userdata, int fd, int backlog), fd, backlog)
LOCKED(int, accept, (void *userdata, int fd, struct sockaddr *address, socklen_t *len), fd, address, len)
LOCKED(int, connect, (void *userdata, int fd, const struct sockaddr *address, socklen_t len), fd, address, len)

LOCKED(ssize_t, read, (void *userdata, int fd, void *buffer, size_t len), fd, buffer, len)
LOCKED(ssize_t, readv, (void *userdata, int fd, const struct iovec *iov, int count), fd, iov, count)
LOCKED(ssize_t, recv, (void *userdata, int fd, void *buffer, size_t len, int flags), fd, buffer, len, flags)
LOCKED(ssize_t, recvfrom,
       (void *userdata, int fd, void *buffer, size_t len, int flags, struct sockaddr *address, socklen_t *address_len),
       fd, buffer, len, flags, address, address_len)
LOCKED(ssize_t, recvmsg, (void *userdata, int fd, struct msghdr *message, int flags), fd, message, flags)

LOCKED(ssize_t, write, (void *userdata, int fd, const void *octets, size_t len), fd, octets, len)
LOCKED(ssize_t, writev, (void *userdata, int fd, const struct iovec *iov, int count), fd, iov, count)
LOCKED(ssize_t, send, (void *userdata, int fd, const void *octets, size_t len, int flags), fd, octets, len, flags)
LOCKED(ssize_t, sendto,
       (void *userdata, int fd, const void *octets, size_t len, int flags, const struct sockaddr *address,
	socklen_t address_len),
       fd, octets, len, flags, address, address_len)
LOCKED(ssize_t, sendmsg, (void *userdata, int fd, const struct msghdr *message, int flags), fd, message, flags)

LOCKED(int, close, (void *userdata, int fd), fd)
LOCKED(int, shutdown, (void *userdata, int fd, int how), fd, how)
LOCKED(int, getsockopt, (void *userdata, int fd, int level, int option, void *value, socklen_t *len), fd, level, option,
       value, len)
LOCKED(int, setsockopt, (void *userdata, int fd, int level, int option, const void *value, socklen_t len), fd, level,
       option, value, len)
LOCKED(int, poll, (void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms), fds, count, timeout_ms)

LOCKED(int, netdev_send, (void *userdata, const void *packet, size_t len), packet, len)
LOCKED(int, netdev_receive, (void *userdata, void *packet, size_t *len, long long *usecs), packet, len, usecs)
LOCKED(int, usleep, (void *userdata, useconds_t usecs), usecs)
LOCKED(int, gettimeofday, (void *userdata, struct timeval *tv, struct timezone *tz), tv, tz)

LOCKED(int, epoll_create, (void *userdata, int size), size)
LOCKED(int, epoll_ctl, (void *userdata, int epoll_fd, int operation, int fd, struct epoll_event *event), epoll_fd,
       operation, fd, event)
LOCKED(int, epoll_wait, (void *userdata, int epoll_fd, struct epoll_event *events, int max, int timeout_ms), epoll_fd,
       events, max, timeout_ms)
LOCKED(int, pipe, (void *userdata, int fds[2]), fds)
LOCKED(int, splice,
       (void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len, unsigned int flags), fd_in,
       off_in, fd_out, off_out, len, flags)

/* The one argument more that a command may have is a number, of F_SETFL at least. */
static int locked_fcntl(void *userdata, int fd, int command, ...)
{
	struct stack *s = userdata;
	va_list arguments;
	va_start(arguments, command);
	int flags = command == F_SETFL ? va_arg(arguments, int) : 0;
	va_end(arguments);
	stack_lock(s);
	int result = s->calls_unlocked.fcntl(s, fd, command, flags);
	stack_unlock(s);
	return result;
}

static int locked_ioctl(void *userdata, int fd, unsigned long request, ...)
{
	struct stack *s = userdata;
	va_list arguments;
	va_start(arguments, request);
	void *answer = va_arg(arguments, void *);
	va_end(arguments);
	stack_lock(s);
	int result = s->calls_unlocked.ioctl(s, fd, request, answer);
	stack_unlock(s);
	return result;
}

#define USE(name) .name = locked_##name

void locked_fill(struct packetdrill_interface *i)
{
	void *userdata = i->userdata;
	void (*release)(void *) = i->free;
	*i = (struct packetdrill_interface){
		.userdata = userdata,
		.free = release,
		USE(socket),
		USE(bind),
		USE(listen),
		USE(accept),
		USE(connect),
		USE(read),
		USE(readv),
		USE(recv),
		USE(recvfrom),
		USE(recvmsg),
		USE(write),
		USE(writev),
		USE(send),
		USE(sendto),
		USE(sendmsg),
		USE(fcntl),
		USE(ioctl),
		USE(close),
		USE(shutdown),
		USE(getsockopt),
		USE(setsockopt),
		USE(poll),
		USE(netdev_send),
		USE(netdev_receive),
		USE(usleep),
		USE(gettimeofday),
		USE(epoll_create),
		USE(epoll_ctl),
		USE(epoll_wait),
		USE(pipe),
		USE(splice),
	};
}
