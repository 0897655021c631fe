/* The message being received: basic.deliver, content header, bodies (AMQP 0-9-1, 4.2.6). */
#ifndef HAREWIRE_SESSION_DELIVERY_H
#define HAREWIRE_SESSION_DELIVERY_H

#include <amqp.h>

#include "control/session/consumer.h"

#define DELIVERY_NAME_BYTES 256
#define DELIVERY_BODY_MAX   (1ull << 30)

enum delivery_stage { DELIVERY_METHOD, DELIVERY_HEADER, DELIVERY_BODY };

struct delivery_reader {
	enum delivery_stage stage; /* the kind of frame that has to come next */
	struct delivery current;
	char exchange[DELIVERY_NAME_BYTES], routing_key[DELIVERY_NAME_BYTES], message_id[DELIVERY_NAME_BYTES];
	uint64_t body_size;
	uint8_t *buffer; /* a body of several frames; grows as they come */
	size_t buffer_cap, buffer_len;
};

void delivery_reader_fini(struct delivery_reader *r);

/*
 * Takes the next frame of the channel. 1: `current` is complete (its body may lie in the frame's memory); 0: more
 * frames are to come, and this one's memory is not needed any more; HW_ERR_AMQP_UNEXPECTED, _SYNTAX, HW_ERR_TOO_LARGE,
 * HW_ERR_NOMEM.
 */
int delivery_take(struct delivery_reader *r, const amqp_frame_t *frame);

#endif
