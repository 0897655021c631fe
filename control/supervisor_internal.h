/* What the control thread's files share. All of it belongs to the control thread unless said otherwise. */
#ifndef HAREWIRE_SUPERVISOR_INTERNAL_H
#define HAREWIRE_SUPERVISOR_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "control/control_worker.h"
#include "control/incident.h"
#include "control/netlink/neighbour.h"
#include "control/pool.h"
#include "control/reconnect.h"
#include "control/session/pump.h"
#include "control/session/session.h"
#include "control/supervisor.h"
#include "dataplane/net/icmp.h"

enum charge_phase {
	CHARGE_WAITING, /* until the next attempt is due */
	CHARGE_RESOLVING,
	CHARGE_ROUTING,
	CHARGE_NEIGHBOUR,
	CHARGE_CONNECTING,
	CHARGE_HANDSHAKE,
	CHARGE_REOPENING, /* the channel, on the connection that is there */
	CHARGE_RUNNING,
	CHARGE_ENDING, /* COMMAND_END is under way */
	CHARGE_ENDED,
	CHARGE_REMOVING,
	CHARGE_REMOVED,
};

struct resolve_job;

/* Of a host's name. */
struct lookup {
	struct resolve_job *job; /* under way, or done and not read yet; or NULL */
	uint32_t ip;             /* what the last one that succeeded found; 0: none has */
	bool failing;            /* said since then */
};

struct session_job;

struct charge {
	uint64_t id; /* counts up from 1 */
	struct supervisor *supervisor;
	struct control_worker *worker; /* serves the connection; for ever */
	struct connection *connection;
	struct target target;
	struct charge *next;
	enum charge_phase phase;
	bool remove_wanted; /* application's; under the supervisor's lock */
	bool removed;       /* likewise */
	uint32_t generation;
	bool stream_open;      /* COMMAND_OPEN has been sent, and the EVENT_CLOSED of that generation has not come */
	uint64_t deadline_ns;  /* of the attempt, or of the channel's re-opening */
	uint64_t answer_by_ns; /* of the attempt's ARP and SYN */

	const struct target_host *host; /* that is, or was last, connected to */
	struct reconnect reconnect;
	struct poison poison;
	struct forbidden forbidden;
	uint64_t retry_ns;                 /* WAITING: when the next attempt is due */
	uint64_t ready_ns;                 /* of the last hand-over */
	uint64_t hand_overs;               /* that the worker had carried out before it */
	uint64_t lost_ns;                  /* of the last loss of a connection that was good for something */
	uint64_t outcomes;                 /* messages that had one at the last loss */
	bool flapping;                     /* the last connection that was lost had been good for nothing */
	bool unsteady;                     /* the last connection, or channel, that was lost had not lasted */
	char failure[PUBLISHER_TEXT_MAX];  /* of the last attempt; before the first hand-over of all of them */
	uint32_t said[HAREWIRE_HOSTS_MAX]; /* hash of what has been logged of a host last, since the last loss */

	struct lookup lookups[HAREWIRE_HOSTS_MAX];
	uint64_t resolve_by_ns; /* RESOLVING: then the last address serves */
	struct session_job *session;
	struct session_job *stuck_session; /* an earlier one's, that its thread has not come back from; or NULL */
	uint64_t leave_session_ns; /* `session` was stopped: then it counts as stuck; 0: was not, or not seen yet */
	bool told_stuck;           /* that `session` is waited for, because there is a stuck one already */
	struct pump pump;          /* its fd -1: none */
	char close_text[SESSION_TEXT_MAX]; /* the broker's close in words, once there was one */
	bool stream_ended;                 /* EVENT_CLOSED came during the handshake */
	int stream_end_code;
	uint32_t replies; /* REOPENING: that have come */

	uint32_t remote_ip;
	struct route route;
	uint8_t next_hop_mac[6];
	uint64_t timeouts_seen; /* retransmission timeouts when the next hop was last asked for */
	uint64_t next_hop_asked_ns;
	uint64_t ask_kernel_ns; /* NEIGHBOUR: not before */
	int port_fd;            /* reserves the local port with the kernel; -1: none */
	uint16_t nic_port;      /* reserves it where the kernel has no part in it; 0: none */
	struct driver_flow flow;
	bool flow_added;
	uint32_t ports_tried;

	struct incident_watch incident;

	_Atomic uint32_t frame_max, heartbeat_s; /* as negotiated */
	char text[PUBLISHER_TEXT_MAX];           /* why it ended; read by the application after that */
};

struct supervisor {
	struct control_worker workers[HAREWIRE_WORKERS_MAX];
	uint32_t worker_count;
	void (*log_line)(void *context, enum harewire_log_level level, const char *line);
	void *log_context;
	char warning[256]; /* to be logged first */
	pthread_t thread;
	pthread_mutex_t lock; /* added, inquiries, remove_wanted, removed, stop; workers' choice, publishers */
	pthread_cond_t changed;
	struct charge *added;
	struct inquiry *inquiries;
	uint64_t last_charge_id;
	bool stop;
	bool has_telemetry; /* fixed once created */
	int wake;           /* eventfd */

	struct pool *pool;
	struct neighbours neighbours;
	struct charge *charges;
	struct taps *taps; /* of a capture that runs, or NULL */
	struct incidents incidents;
	uint64_t stale_events;
};

/* supervisor.c */
void supervisor_log(struct supervisor *s, enum harewire_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Any thread but the control thread: has it call `answer`, and waits for that. What it looks at it may, and nothing
 * changes meanwhile but what workers and applications write.
 */
void supervisor_ask(struct supervisor *s, void (*answer)(struct supervisor *s, void *context), void *context);

/* charge_resolve.c: the host's address */
void charge_resolve_start(struct charge *c, uint64_t now_ns);
void charge_resolve_step(struct charge *c, uint64_t now_ns);
/* Leaves look-ups that are under way to themselves. */
void charge_resolve_forget(struct charge *c);

/* charge.c: everything between resolve and running */
const char *charge_phase_name(enum charge_phase phase);
void charge_start(struct charge *c, uint64_t now_ns);
/* The next attempt, at the host whose turn it is. */
void charge_attempt(struct charge *c, uint64_t now_ns);
/* ARP and SYN begin: by when they are to be answered. */
void charge_await_answer(struct charge *c, uint64_t now_ns);
void charge_step(struct charge *c, uint64_t now_ns);
void charge_event(struct charge *c, const struct worker_event *event, uint64_t now_ns);
/* News of a neighbour: one of `nic`'s, or if that is NULL of the kernel's. */
void charge_neighbour(struct charge *c, const struct nic *nic, uint32_t interface_index, uint32_t ip,
		      enum neighbour_state state, const uint8_t mac[6]);
/*
 * A segment of `flow` has come to the worker of `queue`, of the port `nic`, who has no such connection. True if this
 * charge has it, at another worker.
 */
bool charge_strayed(struct charge *c, const struct nic *nic, const struct driver_flow *flow, uint32_t queue);
/* An ICMP error has come to some worker of the port `nic`. True if it is about this charge's connection. */
bool charge_icmp_error(struct charge *c, const struct nic *nic, const struct icmp_error *error);
/* Ends the publisher: code 0 closed as asked, else failed with `format`'s sentence. */
void charge_end(struct charge *c, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with a sentence that is there already. */
void charge_end_saying(struct charge *c, int code, const char *text);

/* charge_retry.c: after a failure */

/* This attempt is over, for the reason in `format`'s sentence: another one follows, or the end. */
void charge_fail(struct charge *c, enum reconnect_verdict verdict, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* EVENT_CLOSED and EVENT_CHANNEL_CLOSED of a connection that had been handed over. */
void charge_channel_lost(struct charge *c, const struct worker_event *event, uint64_t now_ns);
void charge_lost(struct charge *c, const struct worker_event *event, uint64_t now_ns);
/* The first hand-over counts once the worker has carried it out: the stream may end before. */
void charge_note_ready(struct charge *c);
/* Of connections that did not last it was not said that they were there; of the one that does it is. */
void charge_note_lasting(struct charge *c, uint64_t now_ns);
void charge_step_waiting(struct charge *c, uint64_t now_ns);
/* Messages without an outcome. */
uint64_t charge_in_flight(const struct charge *c);
/* The application waits for the end, or we have waited long enough for a connection. True when the charge has ended. */
bool charge_check_patience(struct charge *c, uint64_t now_ns);

/* charge_path.c: the way to the broker */
void charge_path_route(struct charge *c, uint64_t now_ns);
void charge_path_neighbour(struct charge *c, uint64_t now_ns);
void charge_path_connect(struct charge *c, uint64_t now_ns);
void charge_path_check_queue(struct charge *c, uint64_t now_ns);
/* Retransmission timeouts one after the other: is the next hop still where it was? */
void charge_path_check_next_hop(struct charge *c, uint64_t now_ns);
void charge_path_release(struct charge *c);
/* Nothing can be sent because the link is down. */
bool charge_path_link_down(const struct charge *c);

/* charge_session.c: the handshake */
void charge_session_start(struct charge *c, uint64_t now_ns);
void charge_session_step(struct charge *c, uint64_t now_ns);
void charge_session_stop(struct charge *c);
/*
 * At every look: frees what is over. A session that was stopped and hangs all the same is left to itself, unless there
 * has been a connection and there is such a session already: then `session` stays until one of the two is over.
 */
void charge_session_end(struct charge *c, uint64_t now_ns);
/* Nobody waits any more for what hangs: it ends without the charge. */
void charge_session_forget(struct charge *c);
/* "logging in", or what comes before. */
const char *charge_session_doing(const struct charge *c);
/* Reads the frames the worker has left to control. The first close among them becomes close_text. */
void charge_session_drain(struct charge *c);
/*
 * The same while publishing. Not before the worker has carried out the hand-over: it refuses one when frames lie behind
 * the last reply, a close for example, which must still lie there then.
 */
void charge_session_run(struct charge *c);
/* The next of them, to be freed; or NULL. */
uint8_t *charge_session_take_frame(struct charge *c, uint32_t *len);
void charge_session_note_close(struct charge *c, const uint8_t *frame, uint32_t len);
/* The connection is ready to publish. */
void charge_hand_over(struct charge *c, uint64_t now_ns);

/* charge_reopen.c: another channel on the same connection */
void charge_reopen_start(struct charge *c, uint64_t now_ns);
void charge_reopen_step(struct charge *c, uint64_t now_ns);

/* "10.1.2.3" */
const char *ip_text(uint32_t ip, char text[16]);

#endif
