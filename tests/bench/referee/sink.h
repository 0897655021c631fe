/*
 * The referee's receiver: it speaks as much AMQP 0-9-1 as `harewire publish` needs to begin and to end, and between the
 * two knows nothing of it but the length of a message. Loss is armed from the last word of the beginning to the last
 * octet published.
 */
#ifndef HAREWIRE_TESTS_REFEREE_SINK_H
#define HAREWIRE_TESTS_REFEREE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/referee/drop.h"

struct sink_options {
	const char *address, *interface; /* IPv4 to listen on, port 5672; where the loss is attached */
	const char *output;              /* file that takes what was published, octet by octet */
	uint64_t octets, message_octets; /* published in all; and by each message, frames included */
	bool confirm_each;               /* confirm after each read; else all at the end */
	uint32_t per_million, seed;
	uint32_t pause_ms; /* of a reader that stops once, half-way */
	uint32_t delay_ms; /* before each confirm */
};

struct sink_result {
	uint64_t received;
	uint64_t completion_ns; /* first segment with data at the door, lost or not, to the last octet read */
	uint64_t stall_ns;      /* longest time without a new octet in it */
	uint64_t stall_at;      /* octets received before that */
	uint64_t reads;
};

/* Ends the program with a sentence when `ok` is false. */
void sink_must(bool ok, const char *what);

/* sink_drop.c: attached while the program lives. */
struct dropper;
struct dropper *drop_attach(const struct sink_options *o);
void drop_arm(struct dropper *d, bool armed);
const struct drop_counts *drop_counts(const struct dropper *d);
void drop_detach(struct dropper *d);

/* sink_amqp.c: from the protocol header to confirm.select, whose reply is left to the caller; and the goodbye. */
void amqp_begin(int fd);
void amqp_select_ok(int fd);
void amqp_confirm(int fd, uint64_t tag);
void amqp_end(int fd);

#endif
