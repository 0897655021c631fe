/* What the XDP program and user space share: the layout of the flow map. Included by both. */
#ifndef HAREWIRE_AF_XDP_MAPS_H
#define HAREWIRE_AF_XDP_MAPS_H

#include <linux/types.h>

#define FLOWS_MAX 4096 /* flows of one device at a time, whoever's queues they come to */

/* A flow we own, as it stands in a packet sent to us. All in network byte order, no padding: it is hashed whole. */
struct flow_key {
	__u32 local_ip, remote_ip;
	__u16 local_port, remote_port;
};

/* Where it is taken from, and what the program has seen of it and could not give us. */
struct flow_state {
	__u64 wrong_queue_packets; /* dropped: they came in on a queue that is not the flow's */
	__u64 icmp_drops;          /* ICMP errors that quote the flow, dropped for the same reason */
	__u64 fragment_drops;      /* first fragments; reassembled by the kernel they would meet its RST */
	__s32 wrong_queue;         /* the queue of the last of wrong_queue_packets, or -1 */
	__s32 queue;               /* the only one it is taken from, or -1: from any that has a socket */
};

#endif
