/*
 * A byte stream to a broker, and the transport that carries several of them for one worker.
 *
 * Two implementations: `tcp_stream` (user-space TCP over a packet driver) and `drivers/kernel` (ordinary sockets
 * carrying the same log bytes). The worker fills a stream's extent queue and drains its received octets; how they
 * travel is below.
 *
 * A turn of the worker:
 *
 *     transport->receive      packets or readable sockets; every stream with news is put on the ready list
 *     ...                     the worker reads frames, moves cursors, pushes extents
 *     stream transmit         segments or writev
 *     transport->timers       after receiving, so that our own absence is not taken for loss
 *
 * Everything here runs on the worker's thread, except where noted.
 */
#ifndef HAREWIRE_STREAM_H
#define HAREWIRE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/extent.h"

#define STREAMS_MAX 256u

enum stream_state {
	STREAM_IDLE,
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_CLOSING, /* our side has finished; the peer may still send */
	STREAM_CLOSED,  /* see error */
};

struct transport;
struct driver;
struct tcp_trace;

struct stream {
	struct transport *transport;
	uint32_t index; /* in the transport, 0..STREAMS_MAX-1 */
	enum stream_state state;
	int error;              /* why CLOSED: 0 orderly, or HW_ERR_CONN_* */
	bool peer_finished;     /* no more octets will arrive */
	bool ready;             /* on the ready list */
	struct extent_queue tx; /* tx.freed: octets of each kind acked since open */
};

/* What is to be chosen of a TCP of our own. */
enum stream_congestion { STREAM_CUBIC, STREAM_RENO, STREAM_NO_CONTROL };

struct stream_tuning {
	enum stream_congestion congestion;
	uint32_t congestion_window; /* most octets of it; 0: 2^30 */
	uint64_t keepalive_ns;      /* 0: none */
	bool ecn, restart_after_idle;
};

/* Where to connect. For packet drivers control has found route and neighbour and has reserved the port. */
struct stream_address {
	uint32_t local_ip, remote_ip; /* host byte order; local_* 0 for the kernel's choice */
	uint16_t local_port, remote_port;
	uint8_t local_mac[6], next_hop_mac[6];
	uint16_t vlan; /* 0: untagged */
	uint16_t mtu;
	uint64_t connect_timeout_ns;
	uint64_t rto_min_ns, user_timeout_ns; /* of TCPs of our own; the kernel has its own ideas */
	struct stream_tuning tuning;
	bool first; /* of this user of the stream: what its trace holds is another's, and is forgotten */
};

/* An ICMP error about a segment of the stream's (RFC 792, 1191). */
struct stream_error {
	uint8_t type, code;
	uint16_t next_mtu; /* as in dataplane/net/icmp.h */
	uint32_t quoted_sequence;
};

struct stream_info {
	uint64_t srtt_ns, rttvar_ns, rto_ns;
	uint32_t cwnd, ssthresh, peer_window, receive_window, in_flight, mss; /* octets */
	uint64_t unsent; /* octets pushed that have not left yet, a socket's own buffer included */
	uint64_t retransmits, rto_fired, segments_sent, segments_received, octets_sent;
	/* Retransmits by cause: the peer's word (SACK, ACKs), and a timeout. Both 0 where the kernel does not tell. */
	uint64_t retransmits_fast, retransmits_rto;
	uint64_t tlp_probes, rack_losses, spurious; /* of our own TCP: RFC 8985; recoveries taken back */
	char state[16];
};

struct transport_ops {
	/* Receives what has arrived. Streams with news are appended to transport->ready_list. */
	void (*receive)(struct transport *tp, uint64_t now_ns);
	/* Runs timers that are due, and sets next_deadline_ns; streams with news go on the ready list. */
	void (*timers)(struct transport *tp, uint64_t now_ns);

	/* Connects stream `index` anew (IDLE or CLOSED); its queue and counts start at 0. 0 or HW_ERR_*; the outcome
	 * shows in state. */
	int (*open)(struct transport *tp, uint32_t index, const struct stream_address *address, uint64_t now_ns);
	/* Octets the worker may usefully push now. */
	uint64_t (*may_push)(const struct stream *s);
	/* Sends what may be sent. */
	void (*transmit)(struct stream *s, uint64_t now_ns);
	/* First run of received octets, in order; and taking them. */
	const uint8_t *(*readable)(struct stream *s, uint32_t *len);
	void (*consume)(struct stream *s, uint32_t len, uint64_t now_ns);
	/* Orderly end after everything pushed; or at once. */
	void (*close)(struct stream *s, uint64_t now_ns);
	void (*abort)(struct stream *s, uint64_t now_ns);
	/* Highest stream offset ever handed to the network. */
	uint64_t (*sent)(const struct stream *s);
	/* The next hop's address has changed (packet drivers). */
	void (*next_hop)(struct stream *s, const uint8_t mac[6]);
	/* An ICMP error about it has come in elsewhere. NULL where the kernel sees to that. */
	void (*take_error)(struct stream *s, const struct stream_error *error, uint64_t now_ns);
	void (*info)(const struct stream *s, struct stream_info *info);
	/* What has happened to it lately (dataplane/tcp/trace.h), once opened; any thread may copy it until destroy.
	 * NULL where the kernel knows. */
	const struct tcp_trace *(*trace)(const struct stream *s);

	/*
	 * Packets go through `driver` from now on, which wraps the transport's own and stays its owner's; NULL: through
	 * the transport's own again. Between two calls of the others. NULL where there are no packets.
	 */
	void (*intercept)(struct transport *tp, struct driver *driver);

	/* Control thread, when no worker uses the transport any more. */
	void (*destroy)(struct transport *tp);
};

struct transport {
	const struct transport_ops *ops;
	struct stream *streams[STREAMS_MAX];        /* all of them, from the start; IDLE until opened */
	uint64_t next_deadline_ns;                  /* when to call timers; every other operation may change it */
	struct stream *ready_list[2 * STREAMS_MAX]; /* those of this turn, and again those that sending marks */
	uint32_t ready_count;
};

/* Puts a stream on the ready list once. */
static inline void stream_mark_ready(struct stream *s)
{
	if (!s->ready) {
		s->ready = true;
		s->transport->ready_list[s->transport->ready_count++] = s;
	}
}

#endif
