/* ethtool's requests, as the kernel takes them. Control thread. */
#ifndef HAREWIRE_ETHTOOL_H
#define HAREWIRE_ETHTOOL_H

#include <net/if.h>

/* One request (SIOC*) on the interface `ifr` names, through a socket of its own. 0 or -errno. */
int interface_request(unsigned long request, struct ifreq *ifr);

/* A request's structure with the interface's name in it. */
struct ifreq interface_request_for(const char *interface);

/* One ethtool request (ETHTOOL_*) on an interface of this network namespace. 0 or -errno. */
int ethtool_request(const char *interface, void *request);

#endif
