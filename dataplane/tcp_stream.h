/*
 * The transport of user-space TCP connections over one packet driver: finds a packet's connection, drives
 * dataplane/tcp, puts link headers in front.
 *
 *     driver rx_burst ─▶ ethernet ─▶ ipv4 ─▶ tcp ─▶ tuple table ─▶ tcp_input ─▶ ready list
 *     driver tx_submit ◀─ link header ◀─ tcp_output ◀─ extents
 */
#ifndef HAREWIRE_TCP_STREAM_H
#define HAREWIRE_TCP_STREAM_H

#include <stdint.h>

#include "dataplane/side_channel.h"
#include "dataplane/stream.h"
#include "dataplane/tcp/tcp.h"
#include "drivers/driver.h"

struct tcp_transport_options {
	/*
	 * mtu is lowered to the driver's, and per connection to the route's; fill_checksum and tso_bytes are the
	 * driver's.
	 */
	struct tcp_config tcp;
	uint8_t isn_secret[16];
	uint32_t streams;          /* 1..STREAMS_MAX */
	struct side_channel *side; /* for what is not TCP; outlives the transport. NULL: the kernel sees to that */
};

/* Takes the driver over: destroyed with the transport. 0 or HW_ERR_NOMEM. */
int tcp_transport_create(struct driver *driver, const struct tcp_transport_options *options, struct transport **out);

/* What the transport's driver says of itself, and packets it took for none of its connections. */
const struct driver *tcp_transport_driver(const struct transport *tp);
uint64_t tcp_transport_strays(const struct transport *tp);

#endif
