/*
 * A library that behaves as harewire.h says and reaches no broker: the command is tested against it. One publisher; it
 * confirms what it is given, unless told otherwise.
 */
#ifndef HAREWIRE_FAKE_HAREWIRE_H
#define HAREWIRE_FAKE_HAREWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_TEMPLATES_MAX 32768u
#define FAKE_MESSAGES_MAX  4096u

struct fake_message {
	uint32_t template_id;
	size_t len;
	char body[64]; /* its beginning */
};

struct fake_template {
	char exchange[64], routing_key[256];
	uint32_t slots;
	int mandatory, delivery_mode;
};

struct fake_harewire {
	/* what it is to do */
	uint64_t window;             /* messages it holds without an outcome; 0: any number */
	uint64_t nack_id;            /* this one is nacked */
	uint64_t return_id;          /* this one comes back */
	uint64_t fail_after;         /* the connection fails once so many are accepted; 0: never */
	uint64_t confirm_none_after; /* no outcome for later ids; 0: all are confirmed */
	int signal_when_full;        /* raised when it refuses a message; 0: none */
	const char *refuse_login;    /* FAILED instead of READY, with this text */
	/* what it was told */
	char url[256], password[64], connection_name[64], driver[16];
	int mode;
	uint32_t exchange_count, queue_count, binding_count;
	char first_queue[64], first_exchange[64];
	struct fake_template templates[FAKE_TEMPLATES_MAX];
	uint32_t template_count;
	struct fake_message messages[FAKE_MESSAGES_MAX];
	uint64_t accepted, log_full, polls;
	bool closed, destroyed;
	/* where it stands */
	uint64_t settled;
	bool ready_said, end_said, closing, failed;
};

extern struct fake_harewire fake_harewire;

#endif
