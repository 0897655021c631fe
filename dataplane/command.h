/*
 * The contract between the control thread and a worker: commands one way, events the other, and a bridge of octets for
 * each connection. All are single-producer single-consumer rings; neither side ever waits for the other.
 *
 *     control ── struct command ──▶ worker        control ◀── struct worker_event ── worker
 *     control ◀─ bridge.to_control ─┐ connection
 *     control ── bridge.to_wire ───▶┘
 *
 * Every record names a connection and its generation (one per TCP connection made for it). A record whose generation is
 * not the connection's own is dropped and counted.
 */
#ifndef HAREWIRE_COMMAND_H
#define HAREWIRE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/spsc.h"
#include "dataplane/stream.h"

#define COMMAND_RING 1024u
#define EVENT_RING   (8 * STREAMS_MAX) /* see connection_report */

#define PUBLISHER_HOST_MAX 264u

struct connection;
struct driver;

enum command_type {
	COMMAND_ATTACH_TRANSPORT, /* transport: the worker polls it from now on */
	COMMAND_ADD,              /* connection: the worker owns it from now on */
	COMMAND_OPEN,             /* address: connect; starts generation `generation` */
	COMMAND_HAND_OVER,        /* hand_over: the handshake is complete, or the channel open again: replay, publish */
	COMMAND_NEXT_HOP,         /* mac */
	COMMAND_ERROR,            /* error: an ICMP error about the connection that another worker has received */
	COMMAND_ABORT,            /* drop the connection now; EVENT_CLOSED follows */
	COMMAND_END,              /* end: settle everything, tell the application; the publisher is over */
	COMMAND_REMOVE,           /* the worker forgets the connection; EVENT_REMOVED follows */
	COMMAND_CAPTURE_START,    /* capture: packets go through it from now on; no connection */
	COMMAND_CAPTURE_STOP,     /* and no longer; EVENT_CAPTURE_STOPPED follows; no connection */
};

/* What the handshake has settled. */
struct command_hand_over {
	uint64_t heartbeat_ns; /* 0: none */
	uint32_t frame_max;
	uint16_t channel;
	char host[PUBLISHER_HOST_MAX]; /* "name:port", for the application */
};

struct command {
	uint32_t type; /* enum command_type */
	uint32_t generation;
	struct connection *connection;
	union {
		struct transport *transport;
		struct stream_address address;
		struct command_hand_over hand_over;
		uint8_t mac[6];
		struct stream_error error;
		struct driver *capture; /* wraps the transport's */
		struct {
			int code;         /* 0: closed as asked; else why the publisher failed */
			const char *text; /* static or owned by the publisher */
		} end;
	};
};

enum worker_event_type {
	EVENT_CONNECTED, /* the byte stream is open; the bridge works */
	EVENT_CLOSED,    /* the byte stream has ended: code; frames before it lie in bridge.to_control */
	/*
	 * The broker has closed the channel while we published: reply_code; its words lie in bridge.to_control;
	 * close-ok is on its way. The connection is bridged to control again, as during the handshake, and waits for
	 * COMMAND_HAND_OVER or COMMAND_ABORT.
	 */
	EVENT_CHANNEL_CLOSED,
	EVENT_ENDED, /* COMMAND_END has been carried out */
	EVENT_REMOVED,
	EVENT_CAPTURE_STOPPED, /* the worker has let go of the capture; no connection */
};

struct worker_event {
	uint32_t type; /* enum worker_event_type */
	uint32_t generation;
	struct connection *connection;
	int code;            /* EVENT_CLOSED: HW_ERR_*, or 0: orderly, after our connection.close */
	uint16_t reply_code; /* EVENT_CLOSED, EVENT_CHANNEL_CLOSED: of the broker's close, or 0 */
	/* The same: which message was the oldest without an outcome, how many had one other than LOST, and whether
	 * this connection or channel had sent any of the oldest. */
	uint64_t oldest_id, outcomes;
	bool oldest_sent;
};

/*
 * Octets between the broker and control. to_control holds whole AMQP frames, never parts: all frames but heartbeats and
 * blocked/unblocked before hand-over; after it, those the worker does not handle itself, and every close. While control
 * opens a channel again the worker goes on sending heartbeats and answers a connection.close: each write to to_wire is
 * then of whole frames.
 */
struct bridge {
	struct byte_ring to_control; /* worker produces */
	struct byte_ring to_wire;    /* control produces; read only before hand-over and while a channel is opened */
};

#define BRIDGE_BYTES (256u * 1024u)

struct command_channel {
	struct spsc commands; /* struct command; control produces */
	struct spsc events;   /* struct worker_event; the worker produces */
};

#endif
