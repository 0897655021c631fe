/* Constants that scripts name. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/packetdrill/run_script.h"

#define SYMBOL(name)                                                                                                   \
	{                                                                                                              \
#name, name                                                                                            \
	}

static const struct {
	const char *name;
	int64_t value;
} symbols[] = {
	{"NULL", 0},
	SYMBOL(EFAULT),
	SYMBOL(EPERM),
	SYMBOL(ENOSYS),
	SYMBOL(EAFNOSUPPORT),
	SYMBOL(EMFILE),
	SYMBOL(EMSGSIZE),
	SYMBOL(ENETUNREACH),
	SYMBOL(AF_INET6),
	SYMBOL(SO_DOMAIN),
	SYMBOL(SO_PROTOCOL),
	SYMBOL(SO_ACCEPTCONN),
	SYMBOL(SOCK_CLOEXEC),
	SYMBOL(MSG_WAITALL),
	SYMBOL(MSG_TRUNC),
	SYMBOL(F_GETFD),
	SYMBOL(FD_CLOEXEC),
	SYMBOL(AF_INET),
	SYMBOL(SOCK_STREAM),
	SYMBOL(SOCK_NONBLOCK),
	SYMBOL(IPPROTO_TCP),
	SYMBOL(F_GETFL),
	SYMBOL(F_SETFL),
	SYMBOL(O_RDWR),
	SYMBOL(O_NONBLOCK),
	SYMBOL(SOL_SOCKET),
	SYMBOL(SOL_TCP),
	SYMBOL(SO_ERROR),
	SYMBOL(SO_TYPE),
	SYMBOL(SO_SNDBUF),
	SYMBOL(SO_RCVBUF),
	SYMBOL(SO_LINGER),
	SYMBOL(SO_REUSEADDR),
	SYMBOL(SO_KEEPALIVE),
	SYMBOL(SO_PRIORITY),
	SYMBOL(TCP_NODELAY),
	SYMBOL(TCP_MAXSEG),
	SYMBOL(TCP_CORK),
	SYMBOL(TCP_KEEPIDLE),
	SYMBOL(TCP_KEEPINTVL),
	SYMBOL(TCP_KEEPCNT),
	SYMBOL(MSG_MORE),
	SYMBOL(TCP_CONGESTION),
	SYMBOL(SOL_IP),
	SYMBOL(IP_TOS),
	SYMBOL(IP_TTL),
	SYMBOL(IP_MTU),
	SYMBOL(IP_MTU_DISCOVER),
	SYMBOL(IP_PMTUDISC_DO),
	SYMBOL(IP_PMTUDISC_WANT),
	SYMBOL(IP_PMTUDISC_DONT),
	SYMBOL(EDEADLK),
	SYMBOL(ENOENT),
	SYMBOL(TCP_QUICKACK),
	SYMBOL(TCP_INFO),
	SYMBOL(TCP_USER_TIMEOUT),
	SYMBOL(MSG_DONTWAIT),
	SYMBOL(MSG_NOSIGNAL),
	SYMBOL(MSG_PEEK),
	SYMBOL(MSG_OOB),
	SYMBOL(SHUT_RD),
	SYMBOL(SHUT_WR),
	SYMBOL(SHUT_RDWR),
	SYMBOL(FIONREAD),
	SYMBOL(SIOCINQ),
	SYMBOL(POLLIN),
	SYMBOL(POLLOUT),
	SYMBOL(POLLERR),
	SYMBOL(POLLHUP),
	SYMBOL(EAGAIN),
	SYMBOL(EALREADY),
	SYMBOL(EBADF),
	SYMBOL(ECONNABORTED),
	SYMBOL(ECONNREFUSED),
	SYMBOL(ECONNRESET),
	SYMBOL(EHOSTUNREACH),
	SYMBOL(EINPROGRESS),
	SYMBOL(EINVAL),
	SYMBOL(EISCONN),
	SYMBOL(ENOPROTOOPT),
	SYMBOL(ENOTCONN),
	SYMBOL(EOPNOTSUPP),
	SYMBOL(EPIPE),
	SYMBOL(EPROTONOSUPPORT),
	SYMBOL(ETIMEDOUT),
	SYMBOL(EWOULDBLOCK),
};

bool symbol_find(const char *name, int64_t *value)
{
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		if (strcmp(symbols[i].name, name) == 0) {
			*value = symbols[i].value;
			return true;
		}
	}
	return false;
}
