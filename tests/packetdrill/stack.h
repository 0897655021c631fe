/*
 * harewire_packetdrill.so: the TCP of dataplane/tcp behind packetdrill's interface, in virtual time.
 *
 *     packetdrill ── locked.c ── calls.c, sockopt.c ──▶ sockets ──▶ dataplane/tcp ──▶ queue of packets ──
 * netdev_receive ──▶ ── netdev_send ──▶ stack.c
 *
 * The clock moves only when packetdrill asks for the time, sleeps, or waits for a packet; timers fire at the very
 * nanosecond they are set to. So a script takes no time and always gives the same run.
 */
#ifndef HAREWIRE_PACKETDRILL_STACK_H
#define HAREWIRE_PACKETDRILL_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/tcp/tcp.h"
#include "tests/packetdrill/packetdrill_interface.h"

#define STACK_SOCKETS     16
#define SEND_BUFFER_BYTES (1u << 20) /* a power of two: the most a socket holds unacknowledged */

struct stack_socket {
	int fd; /* an eventfd, which only is a number; -1: the slot is free */
	bool nonblocking;
	bool closed; /* by the application: what is left is TCP's business */
	bool read_shut, write_shut;
	bool connect_answered; /* connect has said that it has succeeded */
	bool ended;            /* the connection is over and its error, if any, has been taken over */
	bool reuse_address;    /* remembered, no more */
	bool linger;
	int linger_seconds;
	int error; /* errno to be reported once: SO_ERROR */
	uint32_t local_ip;
	uint16_t local_port;        /* 0: not bound */
	uint32_t send_bytes;        /* SO_SNDBUF */
	struct tcp_config config;   /* what connect will use */
	uint64_t keepalive_idle_ns; /* once SO_KEEPALIVE is on */
	uint64_t delayed_ack_ns;    /* without TCP_QUICKACK */
	struct tcp_tuple tuple;
	struct tcp *tcp; /* NULL before connect */
	struct extent_queue tx;
	uint8_t *send_buffer; /* stream octet n lies at n modulo its size */
};

struct stack_packet {
	struct stack_packet *next;
	uint64_t sent_ns;
	size_t len;
	uint8_t octets[];
};

struct stack {
	uint64_t now_ns;
	uint64_t patience_ns; /* netdev_receive and calls that block wait no longer than this for a timer */
	uint16_t next_port;
	bool isn_given;
	uint32_t isn;
	struct tcp_config config; /* of new sockets */
	struct stack_socket sockets[STACK_SOCKETS];
	struct stack_packet *oldest, **newest;

	/* wait.c: packetdrill has a thread of its own for calls that block. */
	struct packetdrill_interface calls_unlocked;
	pthread_mutex_t lock; /* held by whoever is in the library and not asleep: all of the above */
	pthread_cond_t changed;
	pthread_t player; /* plays the script; the other one makes calls that block */
	pid_t player_tid;
	uint64_t calls;    /* made so far */
	bool handing_over; /* a call has been woken and has not asked for the time yet */
	struct waiting *waiting;
};

/* ---- stack.c ---- */

void stack_init(struct stack *s);
void stack_fini(struct stack *s);

/* "name=value,...", as listed in flags.c. False: `wrong` names what was not understood. */
bool stack_set_flags(struct stack *s, const char *flags, char wrong[64]);

/* The socket behind a descriptor, or NULL and EBADF. */
struct stack_socket *stack_find(struct stack *s, int fd);
struct stack_socket *stack_new_socket(struct stack *s);
void stack_free_socket(struct stack_socket *k);

/* Moves the clock, firing timers on the way. */
void stack_advance(struct stack *s, uint64_t until_ns);
/* When the next timer fires, or TCP_NEVER. */
uint64_t stack_deadline(const struct stack *s);

/* After anything that may have made segments due or moved the connection. */
void stack_update(struct stack *s, struct stack_socket *k);

int stack_packet_in(void *userdata, const void *packet, size_t len);
int stack_packet_out(void *userdata, void *packet, size_t *len, long long *usecs);
int stack_usleep(void *userdata, useconds_t usecs);
int stack_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz);

/* ---- wait.c ---- */

void stack_threads_init(struct stack *s);
void stack_threads_fini(struct stack *s);
void stack_lock(struct stack *s);
void stack_unlock(struct stack *s);

/*
 * Waits until `ready` or until the time has come, while the script goes on; in the script's own thread, where nothing
 * else can happen, the clock moves at once. False, and EDEADLK: it would be for ever.
 */
bool stack_wait(struct stack *s, bool (*ready)(void *argument), void *argument, uint64_t until_ns);

/* After anything that may have made a blocked call's condition true: it comes back before the caller goes on. */
void stack_wake_blocked(struct stack *s);
/* A woken call has asked for the time. */
void stack_go_on(struct stack *s);
/* When a blocked call's patience ends, or TCP_NEVER. */
uint64_t stack_blocked_until(const struct stack *s);

/* ---- locked.c ---- */

/* The functions behind `userdata`, each under the lock. */
void locked_fill(struct packetdrill_interface *interface);

/* ---- calls.c, transfer.c, sockopt.c ---- */

void calls_fill(struct packetdrill_interface *interface);
void transfer_fill(struct packetdrill_interface *interface);
int sockopt_get(void *userdata, int fd, int level, int option, void *value, socklen_t *len);
int sockopt_set(void *userdata, int fd, int level, int option, const void *value, socklen_t len);

/* The pending error, which is thereby reported; 0: none. */
int socket_take_error(struct stack_socket *k);
bool socket_connected(const struct stack_socket *k);
/* Octets that it takes now. */
size_t socket_send_room(const struct stack_socket *k);

#endif
