/*
 * IEX-TP, the transport of IEX's market-data feeds: a header and whole messages in every datagram. Little-endian. Pure.
 *
 *     0        1        2         4         8          12             14       16              24                32 40
 *     ┌────────┬────────┬─────────┬─────────┬──────────┬──────────────┬────────┬───────────────┬─────────────────┬───────────┐
 *     │version │reserved│protocol │channel  │session   │payload length│messages│ stream offset │ first sequence  │ send
 * time │
 *     └────────┴────────┴─────────┴─────────┴──────────┴──────────────┴────────┴───────────────┴─────────────────┴───────────┘
 *     then per message: its length (u16) and its octets
 *
 * A heartbeat has no messages; its first sequence number is the one the next message will have.
 */
#ifndef HAREWIRE_FEED_IEXTP_H
#define HAREWIRE_FEED_IEXTP_H

#include <stdbool.h>
#include <stdint.h>

#define IEXTP_HEADER_BYTES 40u
#define IEXTP_VERSION      1u
#define IEXTP_SESSIONS     64u

enum iextp_protocol {
	IEXTP_TOPS_1_5 = 0x8002,
	IEXTP_TOPS_1_6 = 0x8003,
	IEXTP_DEEP_1_0 = 0x8004,
};

struct iextp_header {
	uint16_t protocol;
	uint16_t payload_bytes;
	uint16_t message_count;
	uint32_t channel;
	uint32_t session;
	uint64_t first_sequence;
	uint64_t send_time_ns;
};

/* The messages of one datagram that have not been taken yet. */
struct iextp_messages {
	const uint8_t *p, *end;
	uint32_t left;  /* by the header's count */
	bool malformed; /* a message reaches beyond the payload */
};

/* Where the numbering of each (protocol, channel, session) stands. The least recently started one makes room for a new
 * one. */
struct iextp_tracker {
	struct iextp_position {
		uint64_t next_sequence;
		uint32_t channel, session;
		uint16_t protocol;
	} positions[IEXTP_SESSIONS];
	uint32_t count, oldest;
};

enum iextp_order { IEXTP_IN_ORDER, IEXTP_GAP, IEXTP_REWIND };

/*
 * Reads the header and sets `messages` to what follows; `whole_len` >= `len` is what the datagram held before the
 * capture cut it. 0, HW_ERR_PACKET_SHORT, or HW_ERR_PACKET_MALFORMED (another version, or a payload longer than the
 * datagram).
 */
int iextp_parse(const uint8_t *datagram, uint32_t len, uint32_t whole_len, struct iextp_header *header,
		struct iextp_messages *messages);

/* The next whole message; false when none is left. */
bool iextp_next_message(struct iextp_messages *messages, const uint8_t **bytes, uint32_t *len);

/* Notes a datagram. For a gap, `*missed` is how many numbers were jumped over. */
enum iextp_order iextp_track(struct iextp_tracker *tracker, const struct iextp_header *header, uint64_t *missed);

#endif
