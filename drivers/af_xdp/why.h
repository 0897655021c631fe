/* What AF_XDP's sentences have in common. */
#ifndef HAREWIRE_AF_XDP_WHY_H
#define HAREWIRE_AF_XDP_WHY_H

#include "drivers/why.h"

/* The remedy for a missing privilege: program and map, attachment, socket, packet buffers. */
#define WHY_CAPABILITIES                                                                                               \
	"run as root, or give the program CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and CAP_IPC_LOCK "                       \
	"(setcap cap_bpf,cap_net_admin,cap_net_raw,cap_ipc_lock+ep)"

#endif
