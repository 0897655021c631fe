/*
 * What comes after a connection that could not be made, or is lost: another attempt, where and when, or the end.
 *
 *     lost ─▶ same host, at once ─▶ next host, after min ─▶ next, after 2 min ─▶ ... ─▶ next, after max ─▶ ...
 *
 * Only decisions, no clock and no I/O: chance comes from a seed, times are passed in and out. The control thread's.
 */
#ifndef HAREWIRE_RECONNECT_H
#define HAREWIRE_RECONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/harewire.h"

/* ---- what a failure means ---------------------------------------------------------------------------------------- */

enum reconnect_verdict {
	RECONNECT_AGAIN,     /* it can pass */
	RECONNECT_ELSEWHERE, /* not at this host, as long as it is set up as it is */
	RECONNECT_REFUSED,   /* it may pass, or not: for REFUSED_MOST_NS, then the publisher ends */
	RECONNECT_NEVER,     /* it will be the same every time: the publisher ends */
};

/*
 * `code`: HW_ERR_* of a handshake that failed (SYSTEM and INVALID: a password file that cannot be used), `reply_code`
 * and `text` of the broker's close (0 if it sent none; never NULL). `before`: the publisher has been READY.
 */
enum reconnect_verdict reconnect_judge(int code, uint16_t reply_code, const char *text, bool before);

/*
 * RabbitMQ refuses a login (403) also while the LDAP or HTTP service that it asks is away, and a password can be
 * changed before its file is rewritten: whoever has been let in before is refused for so long before we believe it.
 */
#define REFUSED_MOST_NS 20000000000u

/*
 * A host that has refused us is left alone for so long, shortened at random by up to a half: a directory locks the
 * accounts of those who try wrong passwords too fast.
 */
#define REFUSED_PAUSE_NS 4000000000u

/* ---- where and when next ----------------------------------------------------------------------------------------- */

struct reconnect {
	uint64_t min_ns, max_ns; /* pauses */
	uint64_t random;
	uint32_t host_count;
	uint8_t order[HAREWIRE_HOSTS_MAX]; /* the hosts' numbers, as they are tried */
	uint32_t at;                       /* in `order` */
	uint32_t unfit;    /* hosts that were RECONNECT_ELSEWHERE since the last hand-over, a bit each */
	uint32_t attempts; /* since the last hand-over that proved good; the one under way included */
	uint64_t pause_ns; /* before the next attempt, unshortened; 0: none */
	/* By number: since when every attempt at it has been RECONNECT_REFUSED; 0: the last one was not. */
	uint64_t refused_ns[HAREWIRE_HOSTS_MAX];
	bool before; /* there has been a hand-over */
};

/* `host_count`: 1..HAREWIRE_HOSTS_MAX, tried in that order, or with `shuffle` in one drawn from `seed`. */
void reconnect_init(struct reconnect *r, uint32_t host_count, bool shuffle, uint64_t min_ns, uint64_t max_ns,
		    uint64_t seed);

/* The number of the host whose turn it is. */
static inline uint32_t reconnect_host(const struct reconnect *r)
{
	return r->order[r->at];
}

/* An attempt begins. */
void reconnect_attempt(struct reconnect *r);

/* A connection has been handed over. */
void reconnect_ready(struct reconnect *r);

/*
 * The attempt has failed, at now_ns (monotonic, not 0). False: that was the last one, the publisher ends. True: the
 * next one is due in *pause_ns. Before the first hand-over each host gets one attempt.
 */
bool reconnect_failed(struct reconnect *r, enum reconnect_verdict verdict, uint64_t now_ns, uint64_t *pause_ns);

/* What was handed over last was good for something: attempts and their pauses are counted anew. */
void reconnect_proved(struct reconnect *r);

/*
 * A connection that was handed over is lost. `proved`: it was good for something, so the next attempt is made at once;
 * else pauses go on growing, and the next host is due, so that a broker that accepts and closes is neither an endless
 * loop nor keeps us from the others. `elsewhere`: the host has stalled, the next one is due.
 */
void reconnect_lost(struct reconnect *r, bool proved, bool elsewhere, uint64_t *pause_ns);

/* ---- a message that ends every connection ------------------------------------------------------------------------ */

/*
 * So many closes by the broker's word, or losses without one in a row, on the same message end the publisher, if they
 * span so long: two closes are made within milliseconds, in which somebody else may just be declaring the exchange
 * anew; and a firewall that is reloaded, or a load balancer that lets logins through and resets what follows, does so
 * for seconds, in which a publisher comes back dozens of times.
 */
#define POISON_CLOSES         2u
#define POISON_CLOSES_SPAN_NS 1000000000u
#define POISON_LOSSES         8u
#define POISON_LOSSES_SPAN_NS 10000000000u

struct poison {
	uint64_t oldest_id, outcomes; /* at the last loss */
	uint32_t closes, losses;
	uint64_t closed_ns, lost_ns; /* the first of each */
};

/* How a connection or channel ended: struct worker_event's fields, and when (monotonic). */
struct poison_loss {
	uint64_t at_ns;
	int code;
	uint16_t reply_code;
	uint64_t oldest_id, outcomes;
	bool oldest_sent;
};

/*
 * True when `loss` shows the oldest message to be what the broker ends connections for. Timeouts of any kind, and a
 * broker that goes down (320, 541), show nothing.
 */
bool poison_shown(struct poison *p, const struct poison_loss *loss);

/*
 * Closes with 403 while publishing, a permission that was withdrawn: since when, with no outcome between them. 0: none.
 * Poison shows earlier; but not where messages are LOST (HAREWIRE_AT_MOST_ONCE), because then it is another one each
 * time.
 */
struct forbidden {
	uint64_t since_ns, outcomes;
};

/* True when that has gone on for REFUSED_MOST_NS. */
bool forbidden_shown(struct forbidden *f, const struct poison_loss *loss);

#endif
