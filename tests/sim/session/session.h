/*
 * The session simulator: real workers, connections, publishers and TCP, in virtual time, against models of everything
 * around them. One seed decides everything.
 *
 *     application.c ─ publisher ─ connection ─ worker ─ tcp_stream ─┐
 *     control.c ───── commands, events, bridge ──────────┘          nic.c ─ tap.c (what left)
 *                                                                   │
 *     broker.c (AMQP, confirms, faults) ─ host.c (its TCP) ─ tests/sim/sim_link ┘
 *
 *     account.c: what every message is owed; checked after every step
 */
#ifndef HAREWIRE_TESTS_SIM_SESSION_H
#define HAREWIRE_TESTS_SIM_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "control/reconnect.h"
#include "dataplane/amqp/confirm.h"
#include "dataplane/worker.h"
#include "drivers/driver.h"
#include "tests/lib/prng.h"
#include "tests/lib/tcp_peer.h"
#include "tests/sim/session/hits.h"
#include "tests/sim/session/intake.h"
#include "tests/sim/sim_link.h"

#define MS            1000000ull
#define SECOND        (1000 * MS)
#define NEVER         UINT64_MAX
#define HOSTS         2u
#define PRODUCERS_MAX 2u
#define RECORDS_MAX   1024u
#define OUR_IP        0x0a000001u
#define HOST_IP       0x0a000002u /* and the next */
#define BROKER_PORT   5672u
#define CHANNEL       1u

/* ---- account.c: what every message is owed ---- */

/* What the broker is going to do with a message. */
enum fate {
	FATE_ROUTED,
	FATE_UNROUTED,
	FATE_NACKED,
	FATE_CLOSES, /* the first copy: its exchange is not there, then it is */
	FATE_POISON, /* every copy */
};

enum begun { NOT_BEGUN, BEGUN_PERHAPS, BEGUN };

struct record {
	uint32_t len;
	uint8_t template, fate;
	bool stored, acked, nacked, returned; /* by a broker; said by a broker */
	uint8_t outcome;                      /* enum message_outcome, as the worker has settled it */
	uint8_t reported;                     /* as the application was told */
	uint32_t arrivals, unflagged;
	uint32_t begun; /* the last channel generation in which an octet of it left; 0: none */
	bool begun_surely;
	bool thrown_away; /* it left behind the channel.close */
	bool prior_taken; /* in an earlier generation it left, and the broker may have taken it */
	uint8_t prior;    /* enum begun: in generations before that */
};

struct world;
struct producer;

/*
 * Before a message is published, for inline publishers send it at once; and what publish has answered: an id, or that
 * nothing happened.
 */
void account_offer(struct producer *p, uint32_t len, uint32_t template);
bool account_answered(struct producer *p, int64_t answer);
/* Before a turn of the worker. */
void account_turn(struct producer *p);
/* After a turn of the worker: outcomes, and what has been given back is overwritten. */
void account_settle(struct producer *p);
/* The connection has not passed over all records yet that it has to. */
bool connection_walks(const struct producer *p);
void account_reported(struct producer *p, const struct harewire_event *e);
/* A message has left / has arrived: its id, once its octets have been compared. 0: wrong. */
uint64_t account_identify(struct producer *p, const struct intake_message *m);
enum message_outcome account_outcome(const struct producer *p, uint64_t id);
void account_finish(struct producer *p);
/* The body of a message, a function of its producer and id. */
void body_write(uint32_t producer, uint64_t id, uint8_t *dst, size_t len);

/* ---- tap.c: what leaves our NIC ---- */

struct tap {
	uint32_t isn;
	bool open;
	uint64_t emitted;    /* stream octets that have left at least once */
	uint32_t generation; /* of the channel, over all connections of the producer */
	uint64_t last_id;    /* that left whole in this generation of the channel */
	uint64_t partial_id; /* that has begun; 0: none */
	uint64_t maybe_id;   /* the same, if what has left of a frame is the beginning of a message */
	bool close_expected; /* the broker has said channel.close, up to this sequence number of its own */
	bool channel_closed; /* and the worker has read it */
	uint32_t close_ends_at;
	/* for the counts: the newest that has left whole, and that was handed when this generation began */
	uint64_t newest_id, handed_before;
	struct intake reader;
};

void tap_begun(struct producer *p, uint64_t id, bool surely, bool thrown_away);
void tap_packet(struct world *w, const uint8_t *packet, size_t len);

/* ---- application.c ---- */

struct application {
	uint64_t at_ns, poll_at_ns; /* when it acts next; when it polls next */
	uint64_t gap_ns;
	uint32_t target; /* messages to be accepted */
	uint32_t body_max;
	uint32_t burst_left;
	uint32_t claim_template;
	size_t claim_max;
	uint8_t *claim;
	bool closing, ended;
	bool ready, was_ready, disconnected; /* as told */
	uint32_t blockages;                  /* as told: bit n for the enum harewire_blockage n */
	uint64_t closed_at_ns, close_timeout_ns;
	uint64_t refused, dropped; /* calls */
};

#define TEMPLATES 6u

void application_init(struct producer *p);
void application_step(struct producer *p);
uint64_t application_next(const struct producer *p);
bool template_has_flag(uint32_t template);
bool template_is_mandatory(uint32_t template);

/* ---- control.c ---- */

enum control_state { CONTROL_PAUSE, CONTROL_CONNECTING, CONTROL_HANDSHAKE, CONTROL_UP, CONTROL_ENDING, CONTROL_GONE };

struct control {
	enum control_state state;
	uint32_t generation;
	uint32_t host;
	bool poisoned;
	bool reopening; /* the channel, on the connection there is */
	struct poison poison;
	uint64_t resume_at_ns, deadline_ns, give_up_at_ns;
	uint64_t heartbeat_ns;
	uint16_t port;
	bool told_end; /* COMMAND_END is on its way */
};

void control_init(struct producer *p);
void control_step(struct producer *p);
void control_events(struct world *w);
/* The link is down, say: control gives the connection up. False: there is none. */
bool control_abort(struct producer *p);
uint64_t control_next(const struct producer *p);

/* ---- a publisher and all that belongs to it ---- */

struct producer {
	struct world *world;
	uint32_t index;
	struct harewire_publisher *publisher;
	struct connection *connection;
	struct connection_options options;
	struct application application;
	struct control control;
	struct tap tap;
	uint32_t templates[TEMPLATES];
	uint64_t low_id;   /* every earlier record has an outcome */
	uint64_t next_id;  /* the next to be accepted */
	uint64_t told_id;  /* outcomes before it have been reported */
	uint64_t shown_id; /* as of the last turn of the worker, as are the octets of the handshake below */
	uint32_t shown_octets;
	uint64_t overwritten; /* log positions before it are given back, and overwritten */
	bool alarmed;         /* the worker knows of an alarm */
	uint64_t alarm_ended_ns;
	uint64_t pushed; /* octets of messages that the stream there is has been given */
	uint32_t poison_left, closes_left;
	enum harewire_policy policy;
	struct record records[RECORDS_MAX + 1]; /* by id */
};

/* ---- host.c: TCP of the broker's host ---- */

#define TCB_WINDOW_MAX (1u << 17)
#define TCB_OUT_MAX    (1u << 17)
#define TCBS           6u

struct host;
struct session;

struct tcb {
	bool used, established;
	uint16_t port; /* theirs, that is: ours */
	uint32_t irs, iss;
	bool sack, timestamps;
	int scale;
	uint16_t mss;
	uint32_t window;
	uint32_t ts_recent;
	/* receiving: stream offsets */
	uint64_t received, consumed, edge, fin_at;
	bool fin;
	uint32_t unacked;
	/* sending */
	uint64_t acked, next, end;
	uint32_t peer_window;
	bool fin_out;
	uint64_t ack_at_ns, retransmit_at_ns, rto_ns;
	struct session *session;
	uint8_t have[TCB_WINDOW_MAX];
	uint8_t in[TCB_WINDOW_MAX];
	uint8_t out[TCB_OUT_MAX];
};

struct host {
	struct world *world;
	uint32_t index;
	bool dead;      /* no answer to anything */
	bool listening; /* else: reset */
	struct sim_link *link;
	struct tcb tcbs[TCBS];
};

void host_input(struct host *h, const struct sim_packet *packet);
void host_timer(struct host *h);
uint64_t host_next(const struct host *h);
/* The process above: reads what has come in order, writes (false: no room), ends. */
uint32_t tcb_readable(const struct tcb *t);
void tcb_read(struct tcb *t, struct host *h, uint8_t *dst, uint32_t len);
bool tcb_write(struct tcb *t, const void *octets, uint32_t len);
void tcb_push(struct tcb *t, struct host *h);
void tcb_reset(struct tcb *t, struct host *h);
void tcb_finish(struct tcb *t, struct host *h);

/* ---- broker.c ---- */

#define PENDING_MAX   2048u /* a power of two */
#define SESSION_QUEUE (INTAKE_BODY_MAX + (1u << 18))
#define SESSION_FULL  (1u << 17) /* with so much to say it does not read on */

struct pending {
	uint64_t id;
	bool nack, done;
};

enum session_phase { SESSION_HANDSHAKE, SESSION_OPEN, SESSION_CLOSING, SESSION_OVER };
enum confirm_style { CONFIRM_EACH, CONFIRM_BATCHES, CONFIRM_ANYHOW };

struct session {
	struct world *world;
	struct host *host;
	struct tcb *tcb;
	struct producer *producer;
	enum session_phase phase;
	bool channel_open, confirms, channel_closing;
	bool blocked_told, deaf, silent, majority_lost, frozen, mute, tells_early, client_closed;
	uint32_t handshake_ends_after; /* methods; 0: it does not */
	enum confirm_style style;
	uint64_t confirm_delay_ns;
	uint64_t read_at_ns, confirm_at_ns, heartbeat_at_ns, heard_at_ns, close_at_ns;
	uint64_t read_pause_ns, heartbeat_ns;
	uint32_t read_octets;
	uint64_t last_id; /* that arrived on this channel */
	uint64_t low_tag, next_tag;
	uint64_t ahead_tag; /* confirmed up to it, whether it has arrived or not */
	struct pending pending[PENDING_MAX];
	struct intake reader;
	uint8_t queue[SESSION_QUEUE]; /* written, and not yet taken by TCP */
	uint32_t queued;
};

struct broker {
	bool alarm;
	uint64_t alarm_until_ns, restart_at_ns, recover_at_ns;
	uint64_t last_first_id[PRODUCERS_MAX]; /* highest id that has arrived for the first time */
	uint64_t arrived[PRODUCERS_MAX][RECORDS_MAX / 64 + 1];
};

/* session.c */
void broker_accept(struct host *h, struct tcb *t);
void broker_lost(struct session *s);
void broker_step(struct host *h);
uint64_t broker_next(const struct host *h);
/* broker.c */
void session_close_channel(struct session *s, uint16_t code);
void session_close(struct session *s, uint16_t code);
void session_send_method(struct session *s, uint16_t channel, uint32_t method, const uint8_t *args, uint32_t len);
void session_heartbeat(struct session *s);
void session_message(void *context, uint16_t channel, const struct intake_message *message);
void session_confirm(struct session *s);
void session_flush(struct session *s);

/* ---- faults.c ---- */

#define FAULTS_MAX 12u

struct fault {
	uint64_t at_ns;
	enum hit kind;
};

void faults_init(struct world *w);
void faults_step(struct world *w);
uint64_t faults_next(const struct world *w);

/* ---- nic.c ---- */

#define NIC_BUFFERS 64u

struct nic {
	struct driver driver;
	struct world *world;
	bool no_buffers;
	uint64_t no_buffers_until_ns;
	struct sim_packet rx[DRIVER_BURST_MAX];
	uint8_t rx_frames[DRIVER_BURST_MAX][LINK_PACKET_BYTES + 14];
	uint8_t tx_frames[NIC_BUFFERS][1514];
};

void nic_init(struct world *w);
uint64_t nic_next(const struct world *w);

/* ---- the world ---- */

struct world {
	uint64_t seed, now_ns, started_ns;
	struct prng random;
	const char *failure;
	uint64_t failed_id;
	int trace;
	bool in_worker;
	bool healed;
	bool shared_store;
	bool quiet;       /* the network loses nothing */
	bool freezes;     /* a broker does: it sends no heartbeats */
	bool undisturbed; /* nor does anything else keep packets from arriving */
	bool hasty;       /* brokers confirm what has not arrived */
	bool worker_due, walks;
	uint32_t walk_records; /* connection_options */
	uint64_t walk_turn_ns;
	uint32_t steps;
	uint64_t heal_at_ns;
	uint32_t frame_max;
	uint32_t producer_count;
	struct fault faults[FAULTS_MAX];
	uint32_t fault_count, fault_next;
	uint64_t hits[HIT_COUNT];
	struct clock_scale clock;
	struct worker worker;
	struct transport *transport;
	struct nic nic;
	struct producer producers[PRODUCERS_MAX];
	struct host hosts[HOSTS];
	struct broker brokers[HOSTS];
	struct session sessions[HOSTS][TCBS];
	struct sim_link out[HOSTS], in[HOSTS];
	uint64_t partition_until_ns[HOSTS];
};

void fail(struct world *w, const char *why, uint64_t id);
void trace(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *hit_words(enum hit what);
void wrap_init(const struct world *w);

static inline void hit(struct world *w, enum hit what)
{
	w->hits[what]++;
}

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void world_init(struct world *w, uint64_t seed);
bool world_run(struct world *w);
void world_fini(struct world *w);

#endif
