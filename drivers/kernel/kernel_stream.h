/*
 * The `kernel` transport: ordinary sockets carrying the same log bytes, for laptops and unprivileged containers.
 *
 * No TCP_USER_TIMEOUT: Linux counts it even while a living peer answers probes of its closed window, which is what a
 * RabbitMQ under alarm does for hours. AMQP's heartbeats find the dead.
 *
 * The kernel copies what it takes, so sent bytes are at once acked as far as the log is concerned. Makes system calls
 * on the worker's thread: one epoll_wait a turn, one writev per batch of messages.
 */
#ifndef HAREWIRE_KERNEL_STREAM_H
#define HAREWIRE_KERNEL_STREAM_H

#include <stdint.h>

#include "dataplane/stream.h"

struct kernel_transport_stats {
	uint64_t writes, reads, octets_sent, octets_received;
	uint64_t segments_sent, segments_received; /* as the kernel counts them; behind by up to 50 ms */
};

/* `streams`: 1..STREAMS_MAX. 0, HW_ERR_NOMEM or HW_ERR_SYSTEM. */
int kernel_transport_create(uint32_t streams, struct transport **out);

/* Any thread: racy snapshot. */
void kernel_transport_stats(const struct transport *tp, struct kernel_transport_stats *stats);

#endif
