/*
 * An interceptor that plays the broker's host: it looks at what is transmitted through the driver it wraps and answers
 * through rx_burst.
 *
 *     worker ── tx_submit ──▶ peer ──▶ wrapped driver (null: gone)
 *                              │ SYN, data, FIN
 *            ◀── rx_burst ─────┘ SYN-ACK, ACKs, basic.ack
 *
 * It accepts every connection, takes data in order, counts the messages published in it, and confirms them. It does not
 * handshake AMQP, and it never loses or repeats what it sends: for measurements and for tests of what a lossless peer
 * does.
 *
 * Everything it costs is spent below peer_take_frame and peer_fill_burst, which are never inlined, so that a profile
 * can leave it out.
 */
#ifndef HAREWIRE_PEER_H
#define HAREWIRE_PEER_H

#include "drivers/driver.h"

#define PEER_CONNECTIONS 16u

struct peer_options {
	uint16_t mss;           /* announced; 0: 1460 */
	uint16_t window;        /* receive window on the wire, scaled by window_scale */
	uint8_t window_scale;   /* 0..14; used when the client offers the option, as RFC 7323 demands */
	bool timestamps;        /* take part when the client offers them; sack-permitted is always answered */
	bool verify_checksum;   /* drop and count segments whose TCP checksum is wrong */
	bool checksum_good;     /* set PACKET_CHECKSUM_GOOD on what is received */
	uint32_t isn;           /* first sequence number of every connection */
	uint32_t ack_every;     /* segments with data for each ACK, >= 1 */
	uint32_t confirm_every; /* messages for each confirm; 0: only what peer_confirm says */
	bool confirm_multiple;  /* one basic.ack with `multiple`, or one for each message */
	uint32_t idle_bursts;   /* after so many empty rx_bursts, ACK and confirm what is left over; 0: never */
};

/* Every segment acked, window 65535 << 7, timestamps, checksums verified, no confirms. */
void peer_options_init(struct peer_options *options);

/* Wraps `inner`, which belongs to the peer from now on. 0, HW_ERR_INVALID or HW_ERR_NOMEM (inner is not destroyed
 * then). */
int peer_create(const struct peer_options *options, struct driver *inner, struct driver **out);

/*
 * Sends basic.ack to the client with this port (worker's thread). 0; HW_ERR_INVALID: no such connection; HW_ERR_BUSY:
 * the queue or the client's window is full.
 */
int peer_confirm(struct driver *peer, uint16_t client_port, uint64_t tag, bool multiple);

struct peer_stats {
	uint64_t connections, segments, octets; /* from clients; octets of data taken in order */
	uint64_t bad_checksums, out_of_order, not_tcp;
	uint64_t messages;                   /* whole ones seen in the data */
	uint64_t acks;                       /* segments sent without data */
	uint64_t confirms, confirm_segments; /* basic.ack frames, and the segments they left in */
	uint64_t queue_full;                 /* ACKs not sent because nobody took the earlier ones */
};

void peer_stats_get(const struct driver *peer, struct peer_stats *stats);

#endif
