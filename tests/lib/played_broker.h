/*
 * A broker on a port of 127.0.0.1 that speaks AMQP as far as a publisher needs it, and misbehaves as it is told: one
 * `struct visit` for each channel that a client opens at it, or tries to. When they are used up it is a good broker.
 */
#ifndef HAREWIRE_TESTS_PLAYED_BROKER_H
#define HAREWIRE_TESTS_PLAYED_BROKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAYED_VISITS  16u
#define PLAYED_ACK_ALL UINT32_MAX

enum visit_end {
	VISIT_STAYS,
	VISIT_RESETS,            /* a RST */
	VISIT_FINISHES,          /* a FIN, without a word */
	VISIT_CLOSES,            /* connection.close */
	VISIT_CLOSES_CHANNEL,    /* channel.close; a channel opened again on the connection is the next visit */
	VISIT_REFUSES_LOGIN,     /* connection.close instead of connection.tune */
	VISIT_REFUSES_DECLARE,   /* channel.close instead of queue.declare-ok */
	VISIT_REFUSES_REOPENING, /* connection.close instead of channel.open-ok; code 0: a RST */
	VISIT_IGNORES_REOPENING, /* no answer to confirm.select */
};

struct visit {
	enum visit_end end;
	uint32_t publishes; /* messages after which it ends (unless it refuses) */
	uint32_t acks;      /* so many of its messages are confirmed; PLAYED_ACK_ALL */
	uint32_t frame_max; /* tuned; 0: 131072 */
	uint16_t code;      /* of its close */
	const char *text;
	bool forever; /* there is no next one */
};

struct played_broker {
	uint16_t port;
	struct visit visits[PLAYED_VISITS];
	/* what has happened */
	_Atomic uint32_t connections, channels, declares, publishes;
	_Atomic uint32_t frame_max; /* of the last connection.tune-ok */
	char password[64];          /* of the last login */

	/* its own */
	_Atomic int listener, fd;
	_Atomic bool stop;
	_Atomic uint32_t visit;
	bool running;
	pthread_t thread;
	pthread_mutex_t lock; /* fd's life */
	uint8_t in[1 << 17];
	size_t in_len;
	uint64_t tag; /* of the channel's last message */
	bool channel_open, mute, over;
};

/* `broker` is zeroed but for `visits`. Listens on a port of its own, or again on the one it had. */
void played_broker_start(struct played_broker *broker);
/* As if killed: its connection is reset, and nobody listens. Allowed on one that does not run. */
void played_broker_stop(struct played_broker *broker);

#endif
