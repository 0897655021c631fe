/*
 * Frames for none of a worker's connections, between it and the control thread: on a port that is ours alone nobody
 * else answers ARP and ping, or refuses what nobody waits for. Two single-producer single-consumer rings of copies; a
 * full ring drops, as a wire would; ARP finds room when IPv4 does not any more.
 *
 *     worker ── from_wire: ARP, and IPv4 to our link address ──▶ control
 *     worker ◀── to_wire: whole frames to be sent ────────────── control
 */
#ifndef HAREWIRE_SIDE_CHANNEL_H
#define HAREWIRE_SIDE_CHANNEL_H

#include <stdint.h>

#include "dataplane/base/spsc.h"

#define SIDE_FRAME_BYTES 1534u /* longer frames are not for us: nobody pings with jumbo frames for an answer */
#define SIDE_RING        64u
/* Of from_wire, kept for ARP: whoever floods us with what nobody waits for shall not make us deaf to neighbours. */
#define SIDE_RING_FOR_ARP 16u

struct side_frame {
	uint16_t len;
	uint8_t octets[SIDE_FRAME_BYTES];
};

struct side_channel {
	struct spsc from_wire; /* struct side_frame; the worker produces */
	struct spsc to_wire;   /* struct side_frame; control produces */
};

static inline void side_channel_fini(struct side_channel *side)
{
	spsc_fini(&side->from_wire);
	spsc_fini(&side->to_wire);
}

/* 0 or HW_ERR_NOMEM. `side` is zeroed. */
static inline int side_channel_init(struct side_channel *side)
{
	int err = spsc_init(&side->from_wire, SIDE_RING, sizeof(struct side_frame));
	if (!err)
		err = spsc_init(&side->to_wire, SIDE_RING, sizeof(struct side_frame));
	if (err)
		side_channel_fini(side);
	return err;
}

#endif
