#include "drivers/ethtool.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int interface_request(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = ioctl(fd, request, ifr) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

struct ifreq interface_request_for(const char *interface)
{
	struct ifreq ifr = {0};
	snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%.15s", interface);
	return ifr;
}

int ethtool_request(const char *interface, void *request)
{
	struct ifreq ifr = interface_request_for(interface);
	ifr.ifr_data = request;
	return interface_request(SIOCETHTOOL, &ifr);
}
