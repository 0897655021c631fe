/*
 * Cuts the broker's byte stream into frames, wherever its segments are cut.
 *
 * A frame that lies whole in the bytes at hand is handed over in place; only one that does not is collected in the
 * reader's buffer. Body frames (of returned messages) are counted and skipped, whatever their size.
 */
#ifndef HAREWIRE_AMQP_FRAME_READER_H
#define HAREWIRE_AMQP_FRAME_READER_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_BUFFER_BYTES 16384u /* largest method or header frame accepted */

enum frame_type { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_HEARTBEAT = 8 };

struct frame {
	uint8_t type;
	uint16_t channel;
	uint32_t payload_len;
	const uint8_t *payload; /* NULL for body frames that were skipped */
	const uint8_t *raw;     /* the whole frame, 8 octets longer than the payload; NULL likewise */
};

struct frame_reader {
	uint32_t frame_max;   /* largest frame accepted, its 8 octets included */
	uint32_t held;        /* octets in buffer */
	uint64_t skip;        /* octets of a body frame still to come, end octet included */
	uint32_t skipped_len; /* payload length of that frame */
	uint16_t skipped_channel;
	uint64_t frames;
	uint8_t buffer[FRAME_BUFFER_BYTES];
};

void frame_reader_init(struct frame_reader *r, uint32_t frame_max);

/*
 * Looks at `len` received octets and sets `*used` to how many of them it took. Returns 1: `*frame` is a frame, valid
 * until the next call or until the octets go away; 0: no frame is complete, everything was taken; or HW_ERR_AMQP_*: the
 * stream is beyond use. Call again with the rest after a 1. The broker's "AMQP" version reply is
 * HW_ERR_AMQP_PROTOCOL_HEADER.
 */
int frame_reader_next(struct frame_reader *r, const uint8_t *bytes, uint32_t len, uint32_t *used, struct frame *frame);

#endif
