/*
 * One AF_XDP socket, bound to one device queue, with packet memory of its own:
 *
 *     area   [ rx frame | rx frame | ... | tx frame | tx frame | ... ]
 *
 *     rx frame:  fill ring ──kernel──▶ rx ring ──rx_burst──▶ worker ──rx_release──▶ fill ring
 *     tx frame:  free stack ──tx_reserve──▶ worker ──tx_submit──▶ tx ring ──kernel──▶ completion ring ──▶ free stack
 *
 * Every ring is as large as the number of frames that may be in it, so a frame always finds room; the fill ring is
 * twice that, as the kernel hands a packet over before it publishes that its frame has left the fill ring. Sockets
 * share no memory: one more queue needs nothing of those that are running.
 */
#ifndef HAREWIRE_AF_XDP_QUEUE_H
#define HAREWIRE_AF_XDP_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <xdp/xsk.h>

#include "drivers/af_xdp/device.h"

#define XSK_FRAME_BYTES 4096u
/* What the kernel keeps free before a received packet (XDP_PACKET_HEADROOM). */
#define XSK_RX_HEADROOM_BYTES 256u

struct xsk_queue {
	/* the worker's */
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	struct xsk_ring_prod tx;
	struct xsk_ring_cons completion;
	uint8_t *area;
	uint64_t *free_frames; /* stack of transmit frames, as offsets in area */
	uint32_t free_count;
	bool tx_unfinished;  /* the kernel has not yet taken all of the tx ring */
	uint32_t kick_pause; /* the device is down: so many turns until the next attempt */
	int fd;
	/* fixed once open */
	uint32_t id; /* of the device's queue */
	uint32_t rx_frames, tx_frames;
	size_t area_bytes;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
};

struct xsk_queue_options {
	uint32_t id;
	uint32_t rx_frames;  /* a power of two */
	uint32_t tx_frames;  /* a power of two, or 0: receives only */
	uint16_t bind_flags; /* XDP_ZEROCOPY or XDP_COPY */
};

/*
 * Creates and binds the socket, and fills its fill ring. Control thread; may sleep while the kernel lets go of a socket
 * closed a moment ago. 0; HW_ERR_BUSY: another socket has this queue; HW_ERR_UNSUPPORTED: the device cannot do the copy
 * mode asked for; HW_ERR_NOMEM (memory, RLIMIT_MEMLOCK); HW_ERR_SYSTEM.
 */
int xsk_queue_open(struct xsk_queue *queue, const struct device *device, const struct xsk_queue_options *options,
		   const struct why *why);

/* Puts the socket into the program's map: packets may arrive from now on. 0 or HW_ERR_SYSTEM. */
int xsk_queue_publish(struct xsk_queue *queue, int socket_map);

/* Allowed on a zeroed or failed one. */
void xsk_queue_close(struct xsk_queue *queue);

#endif
