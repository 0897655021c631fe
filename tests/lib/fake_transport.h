/*
 * A transport for tests of what lies above it: octets "sent" are collected, the test decides how many may go out and
 * how many are acked, and plays the broker by feeding octets in.
 */
#ifndef HAREWIRE_TESTS_FAKE_TRANSPORT_H
#define HAREWIRE_TESTS_FAKE_TRANSPORT_H

#include "dataplane/stream.h"

#define FAKE_BYTES (1u << 20)

struct fake_stream {
	struct stream stream;
	uint64_t window;  /* octets that may be unacked */
	bool no_buffers;  /* nothing can go out: every transmit asks to be called again */
	bool ack_at_once; /* what is sent is acked in the same turn */
	uint64_t sent_offset;
	uint8_t sent[FAKE_BYTES];
	uint32_t sent_len;
	uint8_t received[FAKE_BYTES];
	uint32_t received_len, received_taken;
	bool aborted, closed;
	uint64_t end_at_close;
	struct stream_address address;
	uint8_t next_hop[6];
	uint32_t peer_window, mss; /* what info answers; by default it knows neither */
};

struct fake_transport {
	struct transport transport;
	struct fake_stream *streams;
	uint32_t transmits;
	int open_error; /* what open answers */
	bool ready_streams[STREAMS_MAX];
};

void fake_transport_init(struct fake_transport *t, uint32_t streams);
void fake_transport_fini(struct fake_transport *t);

/*
 * The peer accepts, sends octets, acknowledges everything sent (or what lies before a stream offset), finishes, resets.
 * Each makes the stream ready.
 */
void fake_connected(struct fake_transport *t, uint32_t index);
void fake_feed(struct fake_transport *t, uint32_t index, const void *bytes, uint32_t len);
void fake_ack(struct fake_transport *t, uint32_t index);
void fake_ack_to(struct fake_transport *t, uint32_t index, uint64_t offset);
void fake_finish(struct fake_transport *t, uint32_t index);
void fake_reset(struct fake_transport *t, uint32_t index, int error);

#endif
