/* Frames built by hand for the tests of readers and parsers. */
#ifndef HAREWIRE_TESTS_AMQP_FRAMES_H
#define HAREWIRE_TESTS_AMQP_FRAMES_H

#include "dataplane/amqp/frame_reader.h"
#include "dataplane/amqp/template.h"
#include "dataplane/base/bytes.h"

static inline void frame_begin(struct writer *w, uint8_t type, uint16_t channel, uint32_t payload_len)
{
	writer_u8(w, type);
	writer_be16(w, channel);
	writer_be32(w, payload_len);
}

static inline void frame_append(struct writer *w, uint8_t type, uint16_t channel, const void *payload, uint32_t len)
{
	frame_begin(w, type, channel, len);
	writer_bytes(w, payload, len);
	writer_u8(w, AMQP_FRAME_END);
	assert_false(w->failed);
}

/* A frame as the reader would hand it over. */
static inline struct frame frame_of(uint8_t type, const void *payload, uint32_t len)
{
	return (struct frame){.type = type, .channel = 1, .payload_len = len, .payload = payload};
}

#endif
