/*
 * AF_XDP: shares the kernel's interface and address. Our XDP program takes exactly our flows (and ICMP errors that
 * quote them); everything else passes to the kernel. While we live a packet of ours never reaches the kernel: on a
 * queue without our socket it is dropped and the queue is recorded.
 */
#ifndef HAREWIRE_AF_XDP_H
#define HAREWIRE_AF_XDP_H

#include <stddef.h>
#include <stdint.h>

#include "drivers/driver.h"

enum af_xdp_mode { AF_XDP_BEST, AF_XDP_ZERO_COPY, AF_XDP_COPY, AF_XDP_SKB };

struct af_xdp_options {
	const char *interface;
	int queue;             /* -1: 0 */
	enum af_xdp_mode mode; /* BEST: zero-copy, else native copy, else skb; a named one is used or refused */
	uint32_t frames;       /* in each direction, a power of two; 0: 2048 */
};

/*
 * Loads and attaches the program (detached by the kernel when this process ends, however it ends), creates the sockets.
 * 0, or HW_ERR_* and one sentence in `why`: what failed, on which interface, and what to do about it (privilege,
 * memlock, another program attached, no such interface, ...).
 */
int af_xdp_create(const struct af_xdp_options *options, struct driver **out, char *why, size_t why_bytes);

#endif
