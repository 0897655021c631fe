/*
 * IPv4 packets to a port of ours that are for no connection of the worker that received them: pings are answered, ICMP
 * errors and segments go to the connection they are about, the rest is refused, and not too often.
 */
#ifndef HAREWIRE_NIC_STRAYS_H
#define HAREWIRE_NIC_STRAYS_H

#include <stddef.h>
#include <stdint.h>

#include "control/nic/nic.h"

/*
 * Refusals are few or an attack (RFC 1812, 4.3.2.8): so many at once, as the peers of a worker's connections may need
 * after we have restarted, and one for each period.
 */
#define STRAYS_AT_ONCE   256u
#define STRAYS_PERIOD_NS 10000000ull

struct strays {
	uint32_t our_ip;     /* host byte order */
	uint64_t full_at_ns; /* when all that were used up will have grown again */
};

/*
 * Takes an IPv4 packet of `len` octets that the worker of `queue` received. Writes the answer, an IPv4 packet of at
 * most SIDE_FRAME_BYTES, and returns its length; 0: there is none.
 */
size_t strays_answer(struct strays *s, uint8_t *reply, const uint8_t *packet, size_t len, uint32_t queue,
		     uint64_t now_ns, const struct nic_events *events);

#endif
