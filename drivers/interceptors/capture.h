/*
 * An interceptor that copies what goes through a driver into a ring, which another thread empties into a file.
 *
 *     worker ── tx_submit ──▶ capture ──▶ driver ──▶ wire
 *            ◀── rx_burst ──    │     ◀──
 *                               ▼ copies
 *                  ring [..|tx|tx|rx|.......] ── capture_peek, capture_pop ──▶ reader
 *
 * A worker is given it in place of its driver while a capture runs and the driver itself again when that ends, so that
 * nothing is paid for captures that do not run. It serves the worker alone: it knows the data operations, and whoever
 * sets the driver up goes on doing so without it. It does not own the driver.
 *
 * The worker never waits: a packet for which the ring has no room is counted and not copied. What is sent is copied
 * just before the device has it, as the stack left it: a checksum the device is to fill in is not there yet, and what
 * the device is to cut is still whole.
 */
#ifndef HAREWIRE_CAPTURE_H
#define HAREWIRE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/clock.h"
#include "drivers/driver.h"

/* No frame is longer: an IP packet is not, and a link header is not long. */
#define CAPTURE_FRAME_MAX (UINT16_MAX + 64u)

struct capture_options {
	const struct clock_scale *clock; /* for the packets' times; copied */
	uint32_t snap_bytes;             /* of each packet at most so much is copied; 0: all of it */
	uint64_t ring_bytes;             /* rounded up to a power of two; at least 2 * CAPTURE_FRAME_MAX */
};

/* One packet as the reader gets it. */
struct capture_packet {
	const uint8_t *data; /* in the ring, until capture_pop */
	uint32_t captured;   /* octets at data */
	uint32_t len;        /* octets it had */
	uint64_t ticks;      /* of the clock; those of one burst have the same */
	bool sent;           /* else received */
};

/* Wraps `inner`. 0, HW_ERR_INVALID (the ring is too small), HW_ERR_NOMEM or HW_ERR_SYSTEM. */
int capture_create(const struct capture_options *options, struct driver *inner, struct driver **out);
/* The worker has let go of it. The driver inside lives on. */
void capture_destroy(struct driver *capture);

/* The reader's thread. The oldest packet that has not been taken; false: there is none. */
bool capture_peek(struct driver *capture, struct capture_packet *packet);
void capture_pop(struct driver *capture);

struct capture_counts {
	uint64_t packets; /* that came by, and of these: */
	uint64_t dropped; /* for want of room in the ring */
};

/* Any thread: a racy snapshot. */
void capture_counts_get(const struct driver *capture, struct capture_counts *counts);

#endif
