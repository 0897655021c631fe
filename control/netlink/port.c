#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/netlink/route.h"
#include "dataplane/base/error.h"

int port_reserve(uint32_t local_ip, uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return HW_ERR_SYSTEM;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(local_ip),
		.sin_port = htons(*port),
	};
	socklen_t len = sizeof address;
	if (bind(fd, (struct sockaddr *)&address, len) || getsockname(fd, (struct sockaddr *)&address, &len)) {
		int error = errno;
		close(fd);
		errno = error;
		return error == EADDRINUSE ? HW_ERR_BUSY : HW_ERR_SYSTEM;
	}
	*port = ntohs(address.sin_port);
	return fd;
}
