/* The parts of the peer: peer.c is the driver, peer_tcp.c takes and builds segments, peer_amqp.c counts and confirms.
 */
#ifndef HAREWIRE_PEER_INTERNAL_H
#define HAREWIRE_PEER_INTERNAL_H

#include "drivers/interceptors/peer.h"

#define PEER_QUEUE         512u /* segments waiting for rx_burst; a power of two */
#define PEER_SEGMENT_BYTES 1600u
#define PEER_CONFIRM_BYTES 21u /* a basic.ack frame */
#define PEER_CONFIRMS_MAX  64u /* frames in one segment */
#define PEER_PREFIX_BYTES  19u /* frame header, then method id, or class, weight and body size */

struct peer_segment {
	uint32_t len;
	uint8_t octets[PEER_SEGMENT_BYTES];
};

/* Follows the client's frames, however they are cut, to tell when a message is whole. */
struct publish_counter {
	uint8_t prefix[PEER_PREFIX_BYTES];
	uint32_t held;       /* octets in prefix */
	uint64_t frame_left; /* octets of the frame behind the prefix, end octet included */
	uint64_t body_left;
	bool completes;   /* the message is whole when this frame is */
	bool started;     /* the stream's first octet has been seen */
	uint16_t channel; /* of the last publish */
	uint64_t messages;
};

struct peer_connection {
	bool open;
	uint8_t client_mac[6], mac[6];
	uint16_t vlan;
	uint32_t client_ip, ip;
	uint16_t client_port, port;
	uint32_t rcv_nxt, snd_nxt, snd_una;
	uint16_t client_mss;
	uint32_t client_window; /* octets */
	uint8_t client_scale;
	bool window_scale, sack_permitted, timestamps, finished;
	uint32_t ts_recent;
	uint32_t unacked_segments;
	struct publish_counter counter;
	uint64_t confirmed; /* messages */
};

struct peer {
	struct driver driver;
	struct driver *inner;
	struct peer_options options;
	struct peer_stats stats;
	struct driver_stats rx; /* what came from the peer itself */
	uint32_t head, tail;    /* of queue; free-running */
	uint32_t empty_bursts;
	bool burst_is_inner; /* the last rx_burst was the wrapped driver's */
	uint32_t ts_value;   /* advances by one a segment: drivers have no clock */
	struct peer_connection connections[PEER_CONNECTIONS];
	struct peer_segment queue[PEER_QUEUE];
};

static inline bool peer_queue_full(const struct peer *p)
{
	return p->tail - p->head == PEER_QUEUE;
}

/* A frame the client has transmitted. */
void peer_take_frame(struct peer *p, const uint8_t *frame, uint32_t len);

/* Fills `packets` from the queue; on idling, sends what is left over first. */
uint32_t peer_fill_burst(struct peer *p, struct packet *packets, uint32_t max);

/* Queues one segment; a pure ACK, SYN or FIN without payload. False when the queue is full. */
bool peer_send(struct peer *p, struct peer_connection *c, uint8_t flags, const void *payload, uint32_t len);

/* Messages that became whole within these octets. */
uint64_t publish_counter_take(struct publish_counter *counter, const uint8_t *octets, uint32_t len);

/* Sends the confirms that are due: those of every full `confirm_every`, or of all messages. */
void peer_send_confirms(struct peer *p, struct peer_connection *c, bool all);

/* Queues a segment with basic.ack frames for `n` tags from `tag` on. False: queue or window full. */
bool peer_send_acks(struct peer *p, struct peer_connection *c, uint64_t tag, uint32_t n, bool multiple);

#endif
