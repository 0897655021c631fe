/* Playing a script: what the events share. */
#ifndef HAREWIRE_PACKETDRILL_RUN_PLAY_H
#define HAREWIRE_PACKETDRILL_RUN_PLAY_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/packetdrill/packetdrill_interface.h"
#include "tests/packetdrill/run_script.h"

#define DESCRIPTORS_MAX 16
#define TIMESTAMPS_MAX  512

#define REMOTE_IP   0xc0000201u /* 192.0.2.1 */
#define REMOTE_PORT 8080
#define BIND_IP     0xc0a8002au /* 192.168.0.42 */
#define BIND_PORT   8080

enum peer_state { PEER_NONE, PEER_CONNECTING, PEER_SYN_SENT, PEER_SYN_ACKED };

/*
 * The connection that packets belong to: of the socket made last. Scripts count sequence numbers from the SYNs, our
 * live ones start elsewhere; the peer's are the same in both. Timestamps: `first_*` fix the distance between the
 * script's clock and the live one; what was once sent is remembered exactly, for echoes.
 */
struct peer {
	enum peer_state state;
	uint32_t local_ip;
	uint16_t local_port; /* 0: not learnt from the SYN yet */
	uint32_t script_isn, live_isn;
	uint32_t remote_isn;
	bool timestamps_seen;
	uint32_t first_script_timestamp, first_live_timestamp;
	uint32_t timestamp_count;
	struct {
		uint32_t script, live;
	} timestamps[TIMESTAMPS_MAX];
};

struct play {
	struct packetdrill_interface interface;
	struct script *script;
	const struct event *event, *last; /* last: the one before */
	int64_t started_usecs;            /* on the library's clock */
	bool verbose;
	struct {
		int script, live;
		bool closed;
	} descriptors[DESCRIPTORS_MAX];
	int descriptor_count;
	struct peer peer;
	harewire_packetdrill_blocked_fn *is_blocked; /* NULL: the library does not say */
	struct blocking {
		bool running;
		atomic_bool done;
		pthread_t thread;
		const struct event *event;
	} blocking;
	uint8_t octets[65536];
};

__attribute__((noreturn)) __attribute__((format(printf, 2, 3))) void play_fail(const struct play *p, const char *format,
									       ...);

/* Plays all of it; comes back only if all went as written. `so_flags` is what the library gets. */
void play_script(struct script *script, const char *so_filename, const char *so_flags, bool verbose);

/* Live time since the script's start. */
int64_t play_now_usecs(struct play *p);
void play_wait_for_event(struct play *p);
/* Fails unless `usecs`, since the script's start, is when the event should have happened. */
void play_check_time(const struct play *p, int64_t usecs, const char *what);
/* The same of a call that blocked and returned at `usecs`. */
void play_check_return(const struct play *p, const struct event *e, int64_t usecs);

/* ---- run_play_packet.c ---- */

void play_packet(struct play *p, const struct packet *packet);
/* Fails if a packet has left that no event asked for. */
void play_expect_no_more(struct play *p);

/* ---- run_play_call.c ---- */

/* Makes the call and checks what it returns; returns when it did. Thread: any. */
int64_t play_make_call(struct play *p, const struct call *call);
/* As packetdrill does at the end: with close(2). */
void play_close_descriptors(struct play *p);

/* ---- run_play_blocking.c ---- */

/* Starts it; comes back when it waits, or has not had to. */
void play_block(struct play *p, const struct event *e);
/* Gives a call that still blocks a second of real time to return. False: it did not. */
bool play_await_blocked(struct play *p);

#endif
