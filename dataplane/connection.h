/*
 * One connection to a broker, as its worker sees it: what is read from the stream (frames), what is written to it
 * (handshake octets, control frames, the publisher's messages), and the confirms in between.
 *
 *                 ┌── log messages ───────────┐
 *     publisher ──┤                           ├─▶ extents ─▶ stream ─▶ wire
 *                 └── control buffer ─────────┘
 *       heartbeats, close-ok, handshake octets
 *
 * Everything here belongs to the worker's thread, except `bridge`, which it shares with control, and `trace`.
 */
#ifndef HAREWIRE_CONNECTION_H
#define HAREWIRE_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/amqp/confirm.h"
#include "dataplane/amqp/frame_reader.h"
#include "dataplane/base/log.h"
#include "dataplane/command.h"
#include "dataplane/publisher.h"
#include "dataplane/stream.h"

/* Changed by connection_enter only. */
enum connection_phase {
	CONNECTION_IDLE,       /* no stream */
	CONNECTION_CONNECTING, /* the byte stream is being opened */
	CONNECTION_HANDSHAKE, /* bridged to control: logging in, or opening a channel in place of one that was closed */
	CONNECTION_REPLAYING, /* handed over: what earlier connections had been given goes first */
	CONNECTION_PUBLISHING,
	CONNECTION_ENDING,   /* close-ok and connection.close are on their way out; waiting for close-ok */
	CONNECTION_FINISHED, /* our FIN is out, or about to be */
};

#define WIRE_MARKS 64u /* a power of two */

/* All messages before `id` are on the wire once the stream has sent `offset`. */
struct wire_mark {
	uint64_t offset, id;
};

/* 32 KiB of them: 2 to 4 us, for which the worker's other connections wait. */
#define WALK_RECORDS 1024u

struct connection_options {
	bool at_most_once;                               /* else what had been sent is sent again */
	uint64_t confirm_timeout_ns, blocked_timeout_ns; /* 0: never */
	uint32_t walk_records; /* so many records of messages long settled are passed over a turn; 0: WALK_RECORDS */
};

/* What is watched for, look by look: see connection_watch.c. */
struct connection_watch {
	uint64_t looked_ns;
	uint64_t outcomes;              /* at the last look */
	uint64_t silent_ns, blocked_ns; /* for so long by now */
	uint64_t same_ns;               /* for so long the window has been shut, or has not */
	bool waiting, shut;             /* at the last look: messages without an outcome, a window too small */
	uint32_t told;                  /* blockages: bit n for the enum harewire_blockage n */
};

struct connection {
	struct harewire_publisher *publisher;
	struct connection_options options;
	struct spsc *events; /* to control */
	struct stream *stream;
	const struct transport_ops *ops; /* of the stream's transport */
	uint32_t slot;                   /* in the worker */
	uint32_t generation;
	enum connection_phase phase;
	bool blocked;      /* by an alarm of the broker's */
	bool handed_over;  /* once, in this generation: the worker answers heartbeats and connection.close */
	bool channel_open; /* messages are in the hands of a channel whose confirms count */
	bool told_ready;   /* the application has been told that there is a connection */
	char blocked_reason[256];
	size_t blocked_reason_len;

	/* sending */
	struct log control; /* the small buffer: a ring of octets, mapped twice like the log */
	uint64_t control_end;
	uint64_t log_start; /* plus tx.freed: the log position acked, unless `walking` */
	struct wire_mark marks[WIRE_MARKS];
	uint32_t marks_head, marks_tail;
	uint64_t wired_id;            /* messages before it have been stamped call-to-wire */
	uint64_t heartbeat_queued_at; /* stream offset behind the last heartbeat pushed */

	/* what is acked while messages that were sent again, which may lie apart in the log, are not */
	bool walking;
	uint64_t channel_start; /* log octets that the stream was given before this channel */
	uint64_t acked_tag;     /* all messages with lower tags are acked: */
	uint64_t acked_octets;  /* so many octets of this channel's */
	uint64_t first_new_pos; /* log position of the first message that is not a replay */

	/* receiving */
	struct frame_reader reader;
	uint16_t channel;       /* ours; the only one with methods for us besides 0 */
	bool return_header_due; /* basic.return has been read, its content header comes next */
	uint16_t return_code;
	struct confirms confirms;

	/* time */
	uint64_t heartbeat_ns;
	uint64_t last_received_ns, last_sent_ns, last_sent_offset;
	uint64_t end_deadline_ns; /* ENDING, FINISHED: give up and abort */
	uint64_t figures_due_ns;
	struct connection_watch watch;

	/* how it ends */
	int end_code;
	uint16_t reply_code;
	struct {
		bool due;
		int code;
		const char *text;
	} publisher_end; /* to be told when every message has its outcome */

	struct bridge bridge;
	_Atomic(const struct tcp_trace *) trace; /* of the stream, for any thread; NULL: none, or none yet */
};

/* 0 or HW_ERR_NOMEM. Not the worker's: called before COMMAND_ADD, and after EVENT_REMOVED. */
int connection_create(struct harewire_publisher *publisher, const struct connection_options *options,
		      struct connection **out);
void connection_destroy(struct connection *c);

/* Starts generation `generation` on an idle stream of the transport. Failures show as EVENT_CLOSED. */
void connection_open(struct connection *c, struct stream *stream, const struct stream_address *address,
		     uint32_t generation, uint64_t now_ns);

/*
 * The handshake is complete, or the channel open again: sends again what has no outcome and publishes from here on.
 * frame_max is not less than the first hand-over's.
 */
void connection_hand_over(struct connection *c, const struct command_hand_over *how, uint64_t now_ns);

/* The stream has news: reads frames, notices its end. */
void connection_receive(struct connection *c, uint64_t now_ns, uint64_t now_ticks);

/* Sends what there is to send. Returns whether messages were handed to the stream, or looked for to be. */
bool connection_send(struct connection *c, uint64_t now_ns);

/* Heartbeats, deadlines of closing, figures. Returns when it wants to be called again. */
uint64_t connection_timer(struct connection *c, uint64_t now_ns);

/* Ends it at once; reports EVENT_CLOSED with `code`. */
void connection_abort(struct connection *c, int code, uint64_t now_ns);

/*
 * The publisher is over: every message without an outcome gets UNCONFIRMED, in several turns if they are many; then the
 * application is told, and EVENT_ENDED reported. On an idle connection.
 */
void connection_end_publisher(struct connection *c, int code, const char *text);

/* The same in any phase but PUBLISHING. */
bool connection_wanted_otherwise(struct connection *c);

/* There may be something to send: messages that may go, handshake octets, or the application is closing. */
static inline bool connection_wanted(struct connection *c)
{
	const struct harewire_publisher *p = c->publisher;
	if (__builtin_expect(c->phase != CONNECTION_PUBLISHING, 0))
		return connection_wanted_otherwise(c);
	return (atomic_load_explicit(&p->committed_id, memory_order_acquire) != c->confirms.handed_id && !c->blocked) ||
	       atomic_load_explicit(&p->close_deadline_ns, memory_order_relaxed) != PUBLISHER_NOT_CLOSING;
}

#endif
