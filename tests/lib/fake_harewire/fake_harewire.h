/*
 * A library that behaves as harewire.h says and reaches no broker: the command is tested against it. Its publishers
 * confirm what they are given, unless told otherwise.
 */
#ifndef HAREWIRE_FAKE_HAREWIRE_H
#define HAREWIRE_FAKE_HAREWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/harewire.h"

#define FAKE_TEMPLATES_MAX  32768u
#define FAKE_MESSAGES_MAX   4096u
#define FAKE_PUBLISHERS_MAX 256u

struct fake_message {
	uint32_t publisher;
	uint32_t template_id;
	size_t len;
	char body[64]; /* its beginning */
};

struct fake_template {
	uint32_t publisher; /* publishing it elsewhere is refused */
	char exchange[64], routing_key[256];
	uint32_t slots;
	int mandatory, delivery_mode;
};

struct fake_publisher {
	int worker;
	char connection_name[64];
	uint32_t exchange_count, queue_count, binding_count;
	uint64_t accepted, settled;
	bool ready_said, end_said, closing, failed, destroyed;
	/* without a connection, or blocked: for so many more polls */
	uint64_t away_polls, blocked_polls;
	bool away_said, lost_said, blocked_said;
	uint64_t connections, replayed;
};

struct fake_worker {
	int cpu, queue;
	char driver[16], interface[16], device[32], address[32], gateway[32];
	uint32_t vlan, mtu;
};

/* Of the publisher opened last. */
struct fake_reconnecting {
	char hosts[256]; /* with a space after each */
	int order, delivery, policy;
	uint64_t min_ns, max_ns, timeout_ns, confirm_timeout_ns, blocked_timeout_ns;
};

struct fake_tcp {
	int congestion, ecn, restart_after_idle;
	uint32_t congestion_window;
	uint64_t keepalive_ns;
};

struct fake_harewire {
	/* what it is to do */
	uint64_t window;  /* messages a publisher holds without an outcome; 0: any number */
	uint32_t odd_one; /* the publisher that the following is about */
	bool all_are_odd;
	uint64_t nack_id;            /* this one is nacked */
	uint64_t return_id;          /* this one comes back */
	uint64_t fail_after;         /* the connection fails once so many are accepted; 0: never */
	uint64_t confirm_none_after; /* no outcome for later ids; 0: all are confirmed */
	uint64_t disconnect_after;   /* the connection is lost once so many are accepted; 0: never */
	uint64_t block_after;        /* the same of a blockage: */
	int block_code;              /* enum harewire_blockage */
	uint64_t hindered_polls;     /* both last so many polls for events (HAREWIRE_REFUSE: less one, so many calls
				      * of publish); by their times 2.5 s and 0.25 s */
	const char *refuse_workers;  /* harewire_create fails, with this text */
	const char *refuse_login;    /* FAILED instead of READY, with this text */
	int signal_when_full;        /* raised when a message is refused; 0: none */
	/* what it was told */
	char url[256], password[64], password_file[128], driver[16];
	struct fake_reconnecting reconnecting;
	struct fake_tcp tcp;
	int mode, checksum_offload, tso;
	char first_queue[64], first_exchange[64];
	struct fake_worker workers[16];
	uint32_t worker_count; /* as given: 0: none */
	struct fake_publisher publishers[FAKE_PUBLISHERS_MAX];
	uint32_t publisher_count;
	struct fake_template templates[FAKE_TEMPLATES_MAX];
	uint32_t template_count;
	struct fake_message messages[FAKE_MESSAGES_MAX];
	uint64_t accepted, log_full, polls; /* of all publishers */
	uint64_t most_in_flight;            /* the same */
	bool destroyed;
	void (*log_line)(void *context, enum harewire_log_level level, const char *line);
	void *log_context;
};

extern struct fake_harewire fake_harewire;

#endif
