#include "control/session/connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/session/sentence.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

static int code_of_errno(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return HW_ERR_CONN_REFUSED;
	case ECONNRESET:
		return HW_ERR_CONN_RESET;
	case ETIMEDOUT:
		return HW_ERR_CONN_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return HW_ERR_HOST_UNREACHABLE;
	default:
		return HW_ERR_SYSTEM;
	}
}

/* Waits until `fd` is connected. 0 or an errno. */
static int wait_connected(int fd, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = clock_monotonic_ns();
		if (now >= deadline_ns)
			return ETIMEDOUT;
		uint64_t ms = (deadline_ns - now + 999999) / 1000000;
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		int n = poll(&p, 1, ms < 60000 ? (int)ms : 60000);
		if (n < 0 && errno != EINTR)
			return errno;
		int error = 0;
		socklen_t len = sizeof error;
		if (n > 0)
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
	}
}

/* A connected descriptor, or -1 with *error an errno. */
static int connect_one(const struct addrinfo *address, uint64_t deadline_ns, int *error)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*error = errno;
		return -1;
	}
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	*error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
	if (*error == EINPROGRESS)
		*error = wait_connected(fd, deadline_ns);
	if (*error == 0)
		return fd;
	close(fd);
	return -1;
}

int connect_tcp(const char *host, uint16_t port, uint64_t timeout_ns, char *text, size_t text_bytes)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t deadline_ns = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
	char service[8];
	snprintf(service, sizeof service, "%u", port);
	int rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0) {
		sentence_format(text, text_bytes, "looking up host '%s': %s", host, gai_strerror(rc));
		return HW_ERR_HOST_UNREACHABLE;
	}
	int fd = -1, error = 0;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = connect_one(a, deadline_ns, &error);
	freeaddrinfo(list);
	if (fd >= 0)
		return fd;
	sentence_format(text, text_bytes, "connecting to %s:%u: %s", host, port, strerror(error));
	return code_of_errno(error);
}
