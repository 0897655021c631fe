/*
 * A consumer on a kernel socket, by rabbitmq-c, for `harewire consume` and for tests. One thread uses it.
 *
 *     consumer_open ──▶ consumer_next, consumer_ack, consumer_next, ... ──▶ consumer_close
 */
#ifndef HAREWIRE_SESSION_CONSUMER_H
#define HAREWIRE_SESSION_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/harewire.h"

struct consumer;

struct consumer_options {
	const char *host;
	uint16_t port;
	const char *user, *password, *vhost, *connection_name;
	uint32_t heartbeat_s, frame_max; /* asked for */
	uint64_t timeout_ns;             /* for connecting, login and declarations together */
	const struct harewire_exchange *exchanges;
	uint32_t exchange_count;
	const struct harewire_queue *queues;
	uint32_t queue_count;
	const struct harewire_binding *bindings;
	uint32_t binding_count;
	const char *queue;  /* to consume from; "": the one declared last */
	bool auto_ack;      /* the broker forgets a message as it sends it */
	uint16_t prefetch;  /* unacknowledged messages under way at most; 0: no limit. Not with auto_ack */
	uint32_t ack_every; /* acknowledge that many at once (fewer when idle); 0: half the prefetch */
};

/* A message. Pointers are valid until the next call of consumer_next or consumer_close. */
struct delivery {
	const uint8_t *body;
	size_t body_len;
	uint64_t tag;
	bool redelivered;
	const char *exchange, *routing_key;
	const char *message_id; /* NULL: absent */
	bool has_timestamp, has_sequence, has_epoch, has_send_time;
	bool duplicate; /* harewire-dup is there and true */
	uint64_t timestamp_s;
	uint64_t sequence, send_time_ns; /* headers harewire-seq, harewire-time */
	uint32_t epoch;                  /* header harewire-epoch */
};

/* Connects, logs in, declares, consumes. 0; or HW_ERR_* with a sentence (never a password) in `text`. */
int consumer_open(const struct consumer_options *options, struct consumer **out, char *text, size_t text_bytes);

/*
 * Waits up to timeout_ns for a message. 1: `*d` is one; 0: none came; HW_ERR_*: the consumer is over, consumer_reason
 * says why. To be called at least every heartbeat interval, for heartbeats are sent and checked here. Signals do not
 * cut the wait short.
 */
int consumer_next(struct consumer *c, uint64_t timeout_ns, struct delivery *d);

/*
 * This message and all delivered before it are done with. Told to the broker in batches: after ack_every of them, when
 * consumer_next finds nothing to read, and at close. 0 or HW_ERR_*. Nothing with auto_ack.
 */
int consumer_ack(struct consumer *c, const struct delivery *d);

/* The sentence for the error that ended it; "" while there is none. */
const char *consumer_reason(const struct consumer *c);

/*
 * Sends the acks, cancels the consumer, closes the connection, waiting up to timeout_ns for the broker's replies, and
 * frees it. Messages that were under way go back to the queue, or with auto_ack are lost. 0; or HW_ERR_*, if the
 * consumer had not failed before with a sentence in `text`. NULL is allowed.
 */
int consumer_close(struct consumer *c, uint64_t timeout_ns, char *text, size_t text_bytes);

#endif
