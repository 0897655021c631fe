/*
 * A publisher: templates, log, message index and outcomes; what an application calls.
 *
 *     log positions     released        (settled)          next_pos          released + capacity
 *                          |  in use: sent, resent, unsent    |  free              |
 *     message ids      reclaimed_id   settled_id   handed_id   committed_id
 *                          |  outcomes   |  in flight  |  unsent   |
 *
 * The application writes its own block and the log; the worker writes the other block. `committed_id` (release) hands
 * messages to the worker, `settled_id` (release) hands outcomes back, `released_pos` hands log space back.
 */
#ifndef HAREWIRE_PUBLISHER_H
#define HAREWIRE_PUBLISHER_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/amqp/confirm.h"
#include "dataplane/amqp/template.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/histogram.h"
#include "dataplane/base/log.h"
#include "dataplane/base/spsc.h"
#include "dataplane/harewire.h"

enum publisher_state {
	PUBLISHER_CONNECTING,
	PUBLISHER_READY,
	PUBLISHER_BLOCKED,      /* connected, and some blockage: the policy decides what publish does */
	PUBLISHER_RECONNECTING, /* has been READY, has no connection: likewise */
	PUBLISHER_CLOSED,
	PUBLISHER_FAILED,
};

#define PUBLISHER_NOT_CLOSING UINT64_MAX
#define PUBLISHER_TEXT_MAX    512
#define PUBLISHER_REASON_MAX  256
#define PUBLISHER_WHERE_MAX   264 /* "name:port" */
#define PUBLISHER_BLOCKAGES   5   /* one more than the largest enum harewire_blockage */

/* What the worker tells of the connection, for display. */
struct publisher_figures {
	uint64_t srtt_ns, rttvar_ns, retransmits, retransmits_fast, retransmits_rto, rto_fired;
	uint64_t tlp_probes, rack_losses, spurious;
	uint64_t octets_sent, segments_sent, segments_received;
	uint32_t cwnd, ssthresh, peer_window, receive_window, in_flight, mss;
	char tcp_state[16];
};

#define PUBLISHER_FIGURE_WORDS (sizeof(struct publisher_figures) / 8)
_Static_assert(sizeof(struct publisher_figures) % 8 == 0, "copied word by word");

/*
 * What the application is told of the connection: levels, not a queue. The worker writes its own copy and shares it
 * word by word under a sequence lock (publisher_level.c); the application keeps the copy it looked at last.
 */
struct publisher_level {
	uint32_t state;                                  /* enum publisher_state */
	uint32_t blockages;                              /* the worker's: bit n for the enum harewire_blockage n */
	int64_t code;                                    /* RECONNECTING, CLOSED, FAILED: why */
	uint64_t since_ns;                               /* of the state, READY and BLOCKED taken as one */
	uint64_t blockage_since_ns[PUBLISHER_BLOCKAGES]; /* when each began or ended last */
	const char *end_text;                            /* CLOSED, FAILED: lives as long as the publisher; or NULL */
	char where[PUBLISHER_WHERE_MAX];                 /* the broker that was handed over last */
	char lost_text[PUBLISHER_TEXT_MAX];              /* RECONNECTING: why */
	char alarm_text[PUBLISHER_REASON_MAX];           /* the broker's reason for its alarm */
};

#define PUBLISHER_LEVEL_WORDS (sizeof(struct publisher_level) / 8)
_Static_assert(sizeof(struct publisher_level) % 8 == 0, "copied word by word");

struct publisher_options {
	uint64_t log_bytes;
	uint64_t max_messages;
	uint32_t max_templates;
	enum harewire_policy policy;
	uint32_t epoch;
	const struct clock_scale *clock;
	/* Inline mode: called after a commit without HAREWIRE_MORE, to send at once. NULL in threaded mode. */
	void (*push)(void *context);
	void *push_context;
};

struct harewire_publisher {
	/* Fixed once created; read by everybody. */
	struct log log;
	struct message_index index;
	struct amqp_template **templates; /* by id; NULL: free */
	uint32_t max_templates;
	uint32_t epoch;
	enum harewire_policy policy;
	const struct clock_scale *clock;
	void (*push)(void *context);
	void *push_context;
	void *owner; /* the engine's own */

	/* The application's. */
	alignas(CACHE_LINE) _Atomic uint64_t committed_id; /* the next id */
	_Atomic uint64_t close_deadline_ns;                /* clock_ns, or PUBLISHER_NOT_CLOSING */
	_Atomic uint64_t next_pos;
	uint64_t known_released_pos; /* cached copy of released_pos */
	uint64_t reclaimed_id;       /* index slots before it may be used again */
	uint64_t reported_id;        /* outcomes before it have been given to the application */
	const struct amqp_template *claimed;
	uint32_t claimed_id;
	uint32_t claimed_max;
	uint64_t claimed_ticks;
	uint32_t template_count;
	uint32_t free_template;   /* where to look for a free id first */
	_Atomic uint32_t no_room; /* HAREWIRE_BLOCKAGE_LOG_FULL: this thread's own blockage */
	uint32_t told_blockages;
	uint32_t told_state;       /* CONNECTING: nothing yet; READY: connected; RECONNECTING; or an end */
	uint32_t seen_version;     /* level_version that `seen` is of */
	uint64_t no_room_need;     /* octets that did not fit */
	uint64_t no_room_since_ns; /* when it began or ended last */
	_Atomic uint64_t refused, dropped;
	struct publisher_level seen;

	/* The worker's, read by the application. `state` changes rarely and has its own line. */
	alignas(CACHE_LINE) _Atomic uint32_t state; /* enum publisher_state */
	_Atomic uint32_t body_max;      /* octets of a body that fit one frame; 0 before READY, then fixed */
	_Atomic uint32_t blockages;     /* the worker's, for display */
	_Atomic uint32_t level_version; /* of level_words: odd while they are being written */
	_Atomic uint64_t level_words[PUBLISHER_LEVEL_WORDS];
	struct publisher_level level; /* the worker's own: what level_words says, or is about to */
	alignas(CACHE_LINE) _Atomic uint64_t settled_id;
	_Atomic uint64_t released_pos;

	/* The worker's, for display: see struct harewire_publisher_stats. */
	alignas(CACHE_LINE) _Atomic uint64_t figures[PUBLISHER_FIGURE_WORDS]; /* struct publisher_figures */
	_Atomic uint64_t outcomes[OUTCOME_COUNT];
	_Atomic uint64_t alarms, replayed, connections, channels;
	struct histogram call_to_wire_ticks, publish_to_confirm_ticks;
};

_Static_assert(offsetof(struct harewire_publisher, state) % CACHE_LINE == 0, "state has its own line");
_Static_assert(offsetof(struct harewire_publisher, settled_id) % CACHE_LINE == 0, "progress has its own line");

/* Allocates everything the publisher will ever need. 0, HW_ERR_INVALID or HW_ERR_NOMEM. */
int publisher_create(const struct publisher_options *options, struct harewire_publisher **out);
void publisher_destroy(struct harewire_publisher *p);

/* ---- application ---- */

int publisher_prepare(struct harewire_publisher *p, const struct harewire_template_options *options, uint32_t *out,
		      const char **why);
int publisher_release_template(struct harewire_publisher *p, uint32_t template_id);
int64_t publisher_publish(struct harewire_publisher *p, uint32_t template_id, const void *body, size_t len,
			  unsigned flags);
void *publisher_claim(struct harewire_publisher *p, uint32_t template_id, size_t max_body, int *error);
int64_t publisher_commit(struct harewire_publisher *p, size_t len, unsigned flags);
void publisher_cancel(struct harewire_publisher *p);
int publisher_close(struct harewire_publisher *p, uint64_t timeout_ns);
int publisher_event_poll(struct harewire_publisher *p, struct harewire_event *event);
/* Any thread. */
static inline bool publisher_is_blocked(const struct harewire_publisher *p)
{
	return atomic_load_explicit(&p->state, memory_order_relaxed) == PUBLISHER_BLOCKED;
}
/* Any thread: each figure whole, but perhaps of two moments. */
void publisher_get_figures(const struct harewire_publisher *p, struct publisher_figures *figures);
void publisher_stats(const struct harewire_publisher *p, struct harewire_publisher_stats *stats);
/* Any thread: whole and of one moment. False, and nothing is changed: the worker was at writing it; ask again. */
bool publisher_get_level(const struct harewire_publisher *p, struct publisher_level *level);

/* ---- worker ---- */

/* The first hand-over fixes frame_max for the publisher's life: later calls change nothing. */
void publisher_set_frame_max(struct harewire_publisher *p, uint32_t frame_max);

/* The publisher is over: PUBLISHER_CLOSED or _FAILED. `text` stays valid for the publisher's life; or NULL. */
void publisher_set_state(struct harewire_publisher *p, enum publisher_state state, int code, const char *text);

void publisher_set_figures(struct harewire_publisher *p, const struct publisher_figures *figures);

static inline void publisher_set_outcome(struct harewire_publisher *p, enum message_outcome outcome, uint64_t messages)
{
	/* Release, and acquire in outcome_stats: who has seen a message's outcome sees that it was accepted. */
	atomic_store_explicit(&p->outcomes[outcome], messages, memory_order_release);
}

/* How many messages have which outcome, by enum message_outcome. One by one: a loop, or memcpy, would cost more. */
static inline void publisher_set_outcomes(struct harewire_publisher *p, const uint64_t *messages)
{
	publisher_set_outcome(p, OUTCOME_CONFIRMED, messages[OUTCOME_CONFIRMED]);
	publisher_set_outcome(p, OUTCOME_NACKED, messages[OUTCOME_NACKED]);
	publisher_set_outcome(p, OUTCOME_RETURNED, messages[OUTCOME_RETURNED]);
	publisher_set_outcome(p, OUTCOME_LOST, messages[OUTCOME_LOST]);
	publisher_set_outcome(p, OUTCOME_UNCONFIRMED, messages[OUTCOME_UNCONFIRMED]);
}

/*
 * A connection has been handed over (after a loss: again), to be named to the application as `host`, "name:port".
 * READY; or BLOCKED if a blockage has been set that has not ended.
 */
void publisher_set_ready(struct harewire_publisher *p, const char *host);

/* It is lost: RECONNECTING, without blockages. `text` of `len` octets is copied; NULL: the code's sentence. */
void publisher_set_disconnected(struct harewire_publisher *p, int code, const char *text, size_t len);

/*
 * A blockage that the worker sees has begun or ended: ALARM, WINDOW, SILENCE. Of an alarm the `reason` of `len` octets
 * is copied (NULL: none). One that is there already only takes its new reason. Right before publisher_set_ready too:
 * an alarm raised during the handshake.
 */
void publisher_set_blockage(struct harewire_publisher *p, enum harewire_blockage which, bool on, const char *reason,
			    size_t len);

/* Handed over: a new connection, or a new channel on the old one; and messages sent again. */
void publisher_count_connection(struct harewire_publisher *p, bool channel_only);
void publisher_count_replayed(struct harewire_publisher *p, uint64_t messages);

/*
 * Gives outcomes and log space back. `acked_pos`: log position up to which TCP needs the bytes no more. Returns whether
 * more messages have an outcome now.
 */
static inline bool publisher_progress(struct harewire_publisher *p, const struct confirms *c, uint64_t acked_pos)
{
	uint64_t released = c->settled_pos < acked_pos ? c->settled_pos : acked_pos;
	/* The application reads this line: it is written only when there is something new. */
	bool settled = c->settled_id != atomic_load_explicit(&p->settled_id, memory_order_relaxed);
	if (released != atomic_load_explicit(&p->released_pos, memory_order_relaxed))
		atomic_store_explicit(&p->released_pos, released, memory_order_release);
	if (settled)
		atomic_store_explicit(&p->settled_id, c->settled_id, memory_order_release);
	return settled;
}

#endif
