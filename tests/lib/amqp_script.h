/*
 * AMQP octets written by hand, independent of what they check, and a broker that plays a script: it waits for exactly
 * these octets, sends those, ends.
 */
#ifndef HAREWIRE_TESTS_AMQP_SCRIPT_H
#define HAREWIRE_TESTS_AMQP_SCRIPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- octets ------------------------------------------------------------------------------------------------------ */

struct octets {
	uint8_t *bytes;
	size_t len, cap;
};

void octets_raw(struct octets *o, const void *bytes, size_t len);
void octets_int(struct octets *o, uint64_t v, unsigned width); /* big-endian, `width` octets */
void octets_short_string(struct octets *o, const char *s);
void octets_long_string(struct octets *o, const char *s);
void octets_free(struct octets *o);

/* Whole frames around a payload; which is freed. */
void octets_frame(struct octets *o, uint8_t type, uint16_t channel, struct octets *payload);
/* A method frame: class, method, arguments (freed; may be NULL). */
void octets_method(struct octets *o, uint16_t channel, uint16_t class_id, uint16_t method_id, struct octets *arguments);
/* connection.close (channel 0) or channel.close. */
void octets_close(struct octets *o, uint16_t channel, uint16_t code, const char *text);
void octets_heartbeat(struct octets *o);

/* A field table: entries are written into one struct octets, which octets_table then appends, freed, with its length.
 */
void octets_table(struct octets *o, struct octets *entries);
void octets_entry_string(struct octets *entries, const char *name, const char *value);
void octets_entry_int64(struct octets *entries, const char *name, int64_t value);
void octets_entry_bool(struct octets *entries, const char *name, bool value);
void octets_entry_table(struct octets *entries, const char *name, struct octets *value);

/* ---- a broker ---------------------------------------------------------------------------------------------------- */

enum script_step_kind {
	SCRIPT_EXPECT, /* exactly these octets must come */
	SCRIPT_SEND,
	SCRIPT_HANG, /* says nothing more; reads until the peer ends */
	SCRIPT_END,  /* ends the connection */
};

#define SCRIPT_STEPS_MAX 64

struct script {
	struct {
		enum script_step_kind kind;
		struct octets octets;
	} steps[SCRIPT_STEPS_MAX];
	unsigned count;
	int fd, listener;
	pthread_t thread;
	char complaint[1024]; /* what came instead; empty when all went as written */
};

/* The octets of a new step, to be filled in. Written one after the other; run in that order. */
struct octets *script_add(struct script *s, enum script_step_kind kind);

/* Plays it on `fd` (taken over) on a thread of its own. */
void script_start(struct script *s, int fd);
/* The same on the first connection that a listening socket (taken over) accepts. */
void script_start_listening(struct script *s, int listener);
/* Waits for its end; frees the steps. The complaint stays. */
void script_join(struct script *s);

#endif
