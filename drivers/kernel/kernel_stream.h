/*
 * The `kernel` transport: ordinary sockets carrying the same log bytes, for laptops and unprivileged containers.
 *
 * The kernel copies what it takes, so sent bytes are at once acked as far as the log is concerned. Makes system calls
 * on the worker's thread: one epoll_wait a turn, one writev per batch of messages.
 */
#ifndef HAREWIRE_KERNEL_STREAM_H
#define HAREWIRE_KERNEL_STREAM_H

#include <stdint.h>

#include "dataplane/stream.h"

struct kernel_transport_options {
	uint64_t connect_timeout_ns;
	uint64_t user_timeout_ns; /* TCP_USER_TIMEOUT, rounded to ms; 0: the kernel's default */
	uint32_t streams;
};

struct kernel_transport_stats {
	uint64_t writes, reads, octets_sent, octets_received;
	uint64_t segments_sent, segments_received; /* as the kernel counts them; behind by up to 50 ms */
};

/* 0, HW_ERR_NOMEM or HW_ERR_SYSTEM. */
int kernel_transport_create(const struct kernel_transport_options *options, struct transport **out);

/* Any thread: racy snapshot. */
void kernel_transport_stats(const struct transport *tp, struct kernel_transport_stats *stats);

#endif
