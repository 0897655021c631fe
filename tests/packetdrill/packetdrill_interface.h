/*
 * What packetdrill asks of a TCP/IP stack that it tests in a shared library (`--so_filename`): the library exports
 * packetdrill_interface_init, which fills this table. The members and their order are packetdrill's; the words are
 * ours.
 *
 * Every function gets `userdata` first and otherwise works like the system call of its name: -1 and errno on failure. A
 * descriptor has to be one that close(2) accepts, because packetdrill closes by itself what a script leaves open.
 */
#ifndef HAREWIRE_PACKETDRILL_INTERFACE_H
#define HAREWIRE_PACKETDRILL_INTERFACE_H

#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct packetdrill_interface {
	void *userdata;
	void (*free)(void *userdata); /* the end: nothing is called afterwards */

	int (*socket)(void *userdata, int domain, int type, int protocol);
	int (*bind)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);
	int (*listen)(void *userdata, int fd, int backlog);
	int (*accept)(void *userdata, int fd, struct sockaddr *address, socklen_t *len);
	int (*connect)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);

	ssize_t (*read)(void *userdata, int fd, void *buffer, size_t len);
	ssize_t (*readv)(void *userdata, int fd, const struct iovec *iov, int count);
	ssize_t (*recv)(void *userdata, int fd, void *buffer, size_t len, int flags);
	ssize_t (*recvfrom)(void *userdata, int fd, void *buffer, size_t len, int flags, struct sockaddr *address,
			    socklen_t *address_len);
	ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *message, int flags);

	ssize_t (*write)(void *userdata, int fd, const void *octets, size_t len);
	ssize_t (*writev)(void *userdata, int fd, const struct iovec *iov, int count);
	ssize_t (*send)(void *userdata, int fd, const void *octets, size_t len, int flags);
	ssize_t (*sendto)(void *userdata, int fd, const void *octets, size_t len, int flags,
			  const struct sockaddr *address, socklen_t address_len);
	ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *message, int flags);

	int (*fcntl)(void *userdata, int fd, int command, ...);
	int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
	int (*close)(void *userdata, int fd);
	int (*shutdown)(void *userdata, int fd, int how);
	int (*getsockopt)(void *userdata, int fd, int level, int option, void *value, socklen_t *len);
	int (*setsockopt)(void *userdata, int fd, int level, int option, const void *value, socklen_t len);
	int (*poll)(void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms);

	/* An IP packet of `len` octets arrives at the stack. 0, or -1. */
	int (*netdev_send)(void *userdata, const void *packet, size_t len);
	/*
	 * The stack's next outgoing IP packet, waited for: *len is the room in `packet`, then the packet's length, or 0
	 * when none will come; *usecs is when it left, on the clock of gettimeofday below. 0, or -1.
	 */
	int (*netdev_receive)(void *userdata, void *packet, size_t *len, long long *usecs);

	int (*usleep)(void *userdata, useconds_t usecs);
	int (*gettimeofday)(void *userdata, struct timeval *tv, struct timezone *tz);

	int (*epoll_create)(void *userdata, int size);
	int (*epoll_ctl)(void *userdata, int epoll_fd, int operation, int fd, struct epoll_event *event);
	int (*epoll_wait)(void *userdata, int epoll_fd, struct epoll_event *events, int max, int timeout_ms);
	int (*pipe)(void *userdata, int fds[2]);
	int (*splice)(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len,
		      unsigned int flags);
};

/* The name and type of the one symbol the library exports. `flags`: the text behind --so_flags=, or NULL. */
#define PACKETDRILL_INTERFACE_INIT "packetdrill_interface_init"
typedef void packetdrill_interface_init_fn(const char *flags, struct packetdrill_interface *interface);

/*
 * Of our library, for our runner: whether a call made from another thread than that of packetdrill_interface_init waits
 * for something to happen. packetdrill asks the kernel whether the thread sleeps.
 */
#define HAREWIRE_PACKETDRILL_BLOCKED "harewire_packetdrill_blocked"
typedef bool harewire_packetdrill_blocked_fn(void *userdata);

#endif
