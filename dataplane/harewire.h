/*
 * libharewire: a kernel-bypass AMQP 0-9-1 publisher for RabbitMQ. The only installed header.
 *
 *     harewire_create ──▶ harewire_publisher_open ──▶ READY ──▶ publish … publish ──▶ close ──▶ CLOSED ──▶ destroy
 *                                                     ▲ │
 *                 connected again: what had no outcome│ │the connection is lost: another one
 *                       yet is sent again, in order   │ ▼is made, at this host or the next
 *                                                DISCONNECTED ──▶ publish … publish (enum harewire_policy)
 *
 * Every message that publish has given an id to gets exactly one outcome, an event or part of one. The log of
 * messages lives in this process's memory: it survives connections and brokers, not the process.
 *
 * Threads. A `struct harewire` owns a control thread and one or more workers, each of which serves one NIC queue: a
 * thread of its own (threaded mode) or the application's (inline mode, driven by harewire_poll). One publisher is used
 * by one application thread at a time; different publishers may be used by different threads (threaded mode). No call
 * blocks or waits except harewire_create, harewire_destroy and harewire_publisher_destroy.
 *
 * Errors. Functions return 0 or a positive result on success and a negative HAREWIRE_ERR_* otherwise; a failed call has
 * changed nothing but the counts of stats. harewire_error_text turns codes into sentences. What is wrong with options
 * is said in one sentence by the call that takes them. Everything that goes wrong later comes as an event: what passes
 * as DISCONNECTED or BLOCKED, what does not as FAILED, each with its reason.
 *
 * Strings are UTF-8, NUL-terminated, and copied by the call that takes them. Durations are ns unless the name says
 * otherwise.
 */
#ifndef HAREWIRE_H
#define HAREWIRE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAREWIRE_API __attribute__((visibility("default")))

#define HAREWIRE_VERSION "0.1.0"

/* Results of publish and claim first; see harewire_error_text for the sentences. */
enum harewire_error {
	HAREWIRE_ERR_LOG_FULL = -1,     /* unconfirmed messages fill the log or the index: poll, retry later */
	HAREWIRE_ERR_BLOCKED = -2,      /* HAREWIRE_REFUSE: the broker takes nothing at the moment */
	HAREWIRE_ERR_DISCONNECTED = -3, /* not READY yet; or with HAREWIRE_REFUSE, the connection is lost */
	HAREWIRE_ERR_TOO_LARGE = -4,    /* more than the log holds, or for claim more than one frame */
	HAREWIRE_ERR_CLOSED = -5,       /* closing, closed or failed */
	HAREWIRE_ERR_INVALID = -6,
	HAREWIRE_ERR_NOMEM = -7,
	HAREWIRE_ERR_BUSY = -8,
	HAREWIRE_ERR_SYSTEM = -9, /* errno says more */
	HAREWIRE_ERR_UNSUPPORTED = -10,
	HAREWIRE_ERR_CLAIM_OPEN = -11,
	HAREWIRE_ERR_NO_CLAIM = -12,
	HAREWIRE_ERR_TIMEOUT = -13,
	HAREWIRE_ERR_NO_CPU = -14,
};

/* A sentence for any code of this library. Any thread; static lifetime. */
HAREWIRE_API const char *harewire_error_text(int code);
/* The library's version, "major.minor.patch". */
HAREWIRE_API const char *harewire_version(void);

/* ---- the engine ------------------------------------------------------------------------------------------------- */

struct harewire;

enum harewire_mode {
	HAREWIRE_THREADED, /* the library runs each worker on a thread of its own */
	HAREWIRE_INLINE,   /* the application runs them: harewire_poll at least every millisecond */
};

enum harewire_idle {
	HAREWIRE_IDLE_SPIN,    /* never yield: a core of its own */
	HAREWIRE_IDLE_BACKOFF, /* spin, then yield, then sleep up to 50 us: shared cores */
};

/* How much the library says, by calling log_line from the control thread (never from the worker). */
enum harewire_log_level { HAREWIRE_LOG_ERROR, HAREWIRE_LOG_WARNING, HAREWIRE_LOG_INFO, HAREWIRE_LOG_DEBUG };

/* Whether something the NIC can do is used. */
enum harewire_use {
	HAREWIRE_USE_AUTO, /* where it is there and does not cost the NIC's fast transmit path */
	HAREWIRE_USE_ON,   /* an error if it is not there */
	HAREWIRE_USE_OFF,
};

#define HAREWIRE_WORKERS_MAX 16u
#define HAREWIRE_HOSTS_MAX   16u /* of one publisher, the URL's included */

/*
 * One worker: a core, and the queue of a NIC that it serves. What is NULL, 0, or -1 is taken from harewire_options;
 * workers of one device that have no queue by that either get its queues in order, 0, 1, 2, ...
 * Workers on one DPDK device have its queues 0 to n-1 and the same address, gateway, VLAN and MTU.
 */
struct harewire_worker_options {
	int cpu;
	const char *driver, *interface;
	const char *device, *address, *gateway;
	int queue;
	uint32_t vlan, mtu;
};

HAREWIRE_API void harewire_worker_options_init(struct harewire_worker_options *options);

struct harewire_options {
	const char *driver;    /* "auto" (default), "af_xdp", "dpdk", "kernel" */
	const char *interface; /* network interface for packet drivers; NULL: that of the route to the first broker */
	int queue;             /* NIC queue to serve, or -1 (default): the driver's choice (0) */
	enum harewire_mode mode;
	enum harewire_idle idle;
	int worker_cpu; /* CPU to pin the worker to (threaded mode), or -1 (default) */
	void (*log_line)(void *context, enum harewire_log_level level, const char *line); /* NULL: silent */
	void *log_context;

	/*
	 * Driver "dpdk" takes a port for itself, with an address of its own. NULL and 0: not given. From here to
	 * `telemetry` all is for that driver; without a worker of it harewire_create refuses what is given (or ON).
	 */
	const char *device;  /* PCI address "0000:3b:00.0" or virtual device "net_tap0,iface=hw0", with its arguments */
	const char *address; /* IPv4 address and prefix length: "10.1.2.3/24" */
	const char *gateway; /* for brokers outside of that network */
	const char *eal;     /* more arguments for DPDK's EAL, separated by spaces; one set for the whole process */
	uint32_t vlan;       /* 1..4094; 0: untagged */
	uint32_t mtu;        /* octets of an IP packet; 0: the device's */
	/* Driver "dpdk": checksums and segmentation (TSO) by the NIC. */
	enum harewire_use checksum_offload, tso;
	/* Driver "dpdk": answer dpdk-telemetry.py about workers, connections and publishers. Off (0) by default. */
	int telemetry;
	/*
	 * Path of a local socket to be made, of mode 0600, at which this engine answers `harewire stat`, `capture`
	 * and `trace` (docs/command.md). A socket there that nobody answers is replaced. NULL (default): none.
	 */
	const char *control_path;
	/*
	 * Directory that the traces of our own TCPs go into when a connection is lost or a retransmission timeout
	 * fires, one file each, the latest 64 of this process (docs/tcp.md). NULL (default): none.
	 */
	const char *trace_dir;

	const struct harewire_worker_options *workers; /* NULL: one worker, made of the fields above */
	uint32_t worker_count;                         /* 1..HAREWIRE_WORKERS_MAX */
};

/* Fills in the defaults. Always call it first: fields may be added. */
HAREWIRE_API void harewire_options_init(struct harewire_options *options);

/*
 * Starts the control thread and, in threaded mode, the workers. Touches no network. On failure `why`, if not NULL,
 * receives one sentence of up to why_bytes octets: HAREWIRE_ERR_INVALID for workers that cannot work together, _NO_CPU,
 * _NOMEM, _SYSTEM.
 */
HAREWIRE_API int harewire_create(const struct harewire_options *options, struct harewire **out, char *why,
				 size_t why_bytes);

/*
 * Stops the threads, detaches from the NICs. Every publisher must have been destroyed. NULL is allowed. A name look-up,
 * or the reading of a password file, that a publisher has left hanging is waited for no longer than a second: its
 * thread is left behind and ends when it can, so do not unload the library then.
 */
HAREWIRE_API void harewire_destroy(struct harewire *hw);

/*
 * Inline mode: one turn of the worker, or of each of several. Returns the number of things done (0: idle). To be called
 * by one thread, the one that uses the publishers. HAREWIRE_ERR_INVALID in threaded mode.
 */
HAREWIRE_API int harewire_poll(struct harewire *hw);
/* Inline mode: one turn of one worker, by the thread that uses its publishers. HAREWIRE_ERR_INVALID: no such worker. */
HAREWIRE_API int harewire_poll_worker(struct harewire *hw, uint32_t worker);

/*
 * Which driver a worker really uses. Any thread; all zero but `cpu` and `publishers` until a publisher of its, or of
 * another worker of its DPDK device, has found its route.
 */
struct harewire_driver_info {
	char driver[16];
	char mode[32];    /* "native, copy" */
	char reason[320]; /* why this one, when `auto` or the driver chose */
	char device[32];
	char steering[96]; /* how packets of its connections come to its queue; "" if there is nothing to steer */
	char offloads[64]; /* what the NIC does for us: "checksums, TSO"; "" if nothing */
	int cpu;           /* -1: not pinned */
	uint32_t queue;
	uint32_t publishers; /* on this worker */
	uint64_t packets_sent, packets_received;
	uint64_t packets_dropped; /* handed over but lost before the wire */
	uint64_t kicks;           /* system calls to start transmission */
	uint64_t longest_gap_ns;  /* between two turns of the worker */
};
HAREWIRE_API void harewire_driver_info(const struct harewire *hw, uint32_t worker, struct harewire_driver_info *info);
HAREWIRE_API uint32_t harewire_worker_count(const struct harewire *hw);

/* ---- what is declared at the broker -------------------------------------------------------------------------------
 */

/* An entry of an AMQP table: a queue's or exchange's argument, a constant message header. */
enum harewire_field_kind { HAREWIRE_STRING, HAREWIRE_INT64, HAREWIRE_BOOL };

struct harewire_field {
	const char *name;
	enum harewire_field_kind kind;
	const char *string;
	int64_t integer; /* also the bool */
};

struct harewire_exchange {
	const char *name;
	const char *type; /* "topic", "direct", "fanout", "headers", or a plugin's; NULL: "topic" */
	int durable, auto_delete, internal;
	int passive; /* only check that it exists */
	const struct harewire_field *arguments;
	uint32_t argument_count;
};

struct harewire_queue {
	const char *name;
	int durable, auto_delete, exclusive, passive;
	const struct harewire_field *arguments; /* e.g. x-queue-type, x-max-length */
	uint32_t argument_count;
};

struct harewire_binding {
	const char *exchange;    /* source */
	const char *queue;       /* destination queue, or NULL */
	const char *to_exchange; /* destination exchange, when queue is NULL */
	const char *routing_key;
	const struct harewire_field *arguments;
	uint32_t argument_count;
};

/* ---- publishers ------------------------------------------------------------------------------------------------- */

struct harewire_publisher;

/* What becomes of a message whose connection is lost before it has an outcome. */
enum harewire_delivery {
	/* It is sent again on the next connection; with the duplicate flag, if its template has one and it may have
	 * been sent. */
	HAREWIRE_AT_LEAST_ONCE,
	/* If any of it may have been sent it is LOST; else it is sent on the next connection. */
	HAREWIRE_AT_MOST_ONCE,
};

/* What publish and claim do while nothing flows: no connection (after the first), or a blockage by the broker. */
enum harewire_policy {
	HAREWIRE_BUFFER, /* keep messages in the log until that is full, then HAREWIRE_ERR_LOG_FULL */
	HAREWIRE_REFUSE, /* refuse at once: HAREWIRE_ERR_DISCONNECTED or _BLOCKED */
	/* As BUFFER, but where that says LOG_FULL, drop and count the new message: publish returns 0. */
	HAREWIRE_DROP_NEWEST,
};

enum harewire_host_order {
	HAREWIRE_HOSTS_ORDERED,  /* as listed */
	HAREWIRE_HOSTS_SHUFFLED, /* in an order drawn when the publisher is opened: many publishers spread */
};

/* Who decides how much may be on its way, besides the broker's window. */
enum harewire_congestion {
	HAREWIRE_CUBIC,
	HAREWIRE_RENO,
	HAREWIRE_NO_CONGESTION_CONTROL, /* nobody: for a LAN provisioned for the feed; losses are repaired all the same
					 */
};

struct harewire_publisher_options {
	const char *url; /* amqp://user:password@host:port/vhost; missing parts: guest, guest, localhost, 5672, "/" */
	const char *user, *password, *vhost; /* override the URL's; NULL: the URL's */
	const char *connection_name;         /* shown by the broker; NULL: "harewire" */
	uint32_t heartbeat_s;                /* asked for; the broker may lower it. Default 10, up to 65535; 0: none */
	uint32_t frame_max;                  /* asked for, 4096..1048576. Default 131072; see harewire_event_poll */
	int worker;                          /* its index; -1 (default): the one with the fewest publishers */
	uint64_t log_bytes;          /* ring of encoded messages, rounded up to a power of two. Default 16 MiB */
	uint64_t max_messages;       /* message index, rounded up to a power of two. Default 65536 */
	uint32_t max_templates;      /* at least 1. Default 131072 */
	uint64_t connect_timeout_ns; /* ARP, TCP and AMQP handshake, all in, up to a day; after a loss at most 2 s
					of it for ARP and SYN. Default 10 s */
	uint64_t rto_min_ns;         /* user-space TCP: 1 ms to 1 min, never below the peer's ACK delay. Default 5 ms */
	uint64_t user_timeout_ns;    /* user-space TCP: unacknowledged for so long; up to a day. Default 10 s */
	/* User-space TCP (docs/tcp.md). The kernel's sockets do as the kernel is told to. */
	enum harewire_congestion congestion; /* default HAREWIRE_CUBIC */
	/*
	 * Octets, the most that the congestion window grows to, or without congestion control what it is: 4096..2^30,
	 * and never less than two segments. 0 (default): 2^30.
	 */
	uint32_t congestion_window;
	int ecn;                /* ask for explicit congestion notification (RFC 3168); default 0 */
	int restart_after_idle; /* after a pause from the first window again (RFC 5681, 4.1); default 0 */
	uint64_t keepalive_ns;  /* nothing heard for so long: a probe, up to five a second apart. 1 ms to a day; 0
				   (default): none */
	/*
	 * Hosts beside the URL's, "name" or "name:port" (without: the URL's port), with the same user, vhost and
	 * topology. At first each is tried once, in order, for at most connect_timeout_ns; if none can be had the
	 * publisher FAILS. A connection that is lost later is made again, for as long as reconnect_timeout_ns allows:
	 * at the same host, then at the next, and so on around. It FAILS then when the broker refuses it for good (a
	 * login or declaration with 403: after 20 s of that), and when the same message ends one connection after the
	 * other: by the broker's word for a second or more, without one (RST, FIN) eight times in ten seconds or more.
	 */
	const char *const *hosts;
	uint32_t host_count;                 /* up to HAREWIRE_HOSTS_MAX - 1; NULL and 0 (default): the URL's alone */
	enum harewire_host_order host_order; /* default HAREWIRE_HOSTS_ORDERED */
	/* Pauses between attempts, doubling from the first to the second, each shortened at random by up to a half. */
	uint64_t reconnect_min_ns; /* 1 ms to reconnect_max_ns. Default 10 ms */
	uint64_t reconnect_max_ns; /* 1 ms to an hour. Default 50 ms */
	/*
	 * No connection for so long: FAILED. One that is lost within a second, without any outcome, is none. 1 ms to a
	 * year; 0 (default): never.
	 */
	uint64_t reconnect_timeout_ns;
	enum harewire_delivery delivery; /* default HAREWIRE_AT_LEAST_ONCE */
	enum harewire_policy policy;     /* default HAREWIRE_BUFFER */
	/*
	 * No outcome for so long although messages wait for one and the broker has raised no alarm: reconnect, at the
	 * next host. 1 ms to a day; 0: never. Default 30 s.
	 */
	uint64_t confirm_timeout_ns;
	/*
	 * HAREWIRE_BLOCKAGE_ALARM or _WINDOW for so long: likewise. 1 ms to a day; 0 (default): never, and then a
	 * window that is shut before anything was sent through it is waited for without end, as long as heartbeats
	 * come: no outcome is due yet, so the confirm timeout does not run.
	 */
	uint64_t blocked_timeout_ns;
	/*
	 * File with the password in its first line, read anew for every connection; nobody but its owner may have
	 * access to it (0600 or less). Instead of the URL's password; not together with `password`. On a mount that
	 * hangs it costs the attempt its connect_timeout_ns; once there has been a connection, after the second time
	 * nothing is tried again until one of the two reads has come back. NULL (default): none.
	 */
	const char *password_file;
	const struct harewire_exchange *exchanges;
	uint32_t exchange_count;
	const struct harewire_queue *queues;
	uint32_t queue_count;
	const struct harewire_binding *bindings;
	uint32_t binding_count;
};

HAREWIRE_API void harewire_publisher_options_init(struct harewire_publisher_options *options);

/*
 * Starts to connect, log in and declare; returns at once. HAREWIRE_EVENT_READY or _FAILED follows. Everything the
 * publisher will ever need is allocated here. On failure `why`, if not NULL, receives one sentence of up to why_bytes
 * octets, which names the option: HAREWIRE_ERR_INVALID for options that cannot work, _UNSUPPORTED for a URL
 * with amqps or IPv6, _BUSY (the worker has as many publishers as it can serve), _NOMEM.
 */
HAREWIRE_API int harewire_publisher_open(struct harewire *hw, const struct harewire_publisher_options *options,
					 struct harewire_publisher **out, char *why, size_t why_bytes);

/*
 * No more messages; an open claim is dropped. What has been accepted is still sent and awaited, for at most timeout_ns,
 * over a new connection if that is what it takes; then the connection is closed, whatever is left becomes UNCONFIRMED,
 * and HAREWIRE_EVENT_CLOSED follows. Returns 0, at once.
 */
HAREWIRE_API int harewire_publisher_close(struct harewire_publisher *p, uint64_t timeout_ns);

/*
 * Frees it; aborts the connection if it is still there: waits for the worker to let go of it, and up to 2 s for a
 * handshake to end. NULL is allowed.
 */
HAREWIRE_API void harewire_publisher_destroy(struct harewire_publisher *p);

/* ---- templates ----------------------------------------------------------------------------------------------------
 */

/* What may differ from message to message. Values are filled in by publish and commit. */
enum {
	HAREWIRE_SLOT_TIMESTAMP = 1u << 0,  /* property timestamp: seconds since 1970 */
	HAREWIRE_SLOT_MESSAGE_ID = 1u << 1, /* property message-id: epoch and id in hex, 25 characters */
	HAREWIRE_SLOT_SEQUENCE =
		1u << 2, /* headers harewire-seq (the message id) and harewire-epoch (this publisher) */
	HAREWIRE_SLOT_SEND_TIME = 1u << 3, /* header harewire-time: CLOCK_REALTIME ns at publish */
	HAREWIRE_SLOT_DUPLICATE = 1u << 4, /* header harewire-dup: true on a message that may be a second copy */
};

struct harewire_template_options {
	const char *exchange; /* "" (default): the default exchange, which routes by queue name */
	const char *routing_key;
	int mandatory;     /* unroutable messages come back: needs SEQUENCE or MESSAGE_ID */
	uint32_t slots;    /* HAREWIRE_SLOT_* */
	int delivery_mode; /* 0 (default): absent, 1: transient, 2: persistent */
	int priority;      /* 0..255, or -1 (default): absent */
	const char *content_type, *content_encoding, *correlation_id, *reply_to, *type, *user_id, *app_id;
	const char *expiration;               /* ms, as a decimal string */
	const struct harewire_field *headers; /* constant entries of the headers table */
	uint32_t header_count;
};

HAREWIRE_API void harewire_template_options_init(struct harewire_template_options *options);

/*
 * Encodes a template; `*out` names it from now on. May allocate. Allowed before READY. HAREWIRE_ERR_INVALID with
 * a sentence through `why` (static; may be NULL), _TOO_LARGE, _NOMEM (max_templates reached).
 */
HAREWIRE_API int harewire_template_prepare(struct harewire_publisher *p,
					   const struct harewire_template_options *options, uint32_t *out,
					   const char **why);

/* Gives it back. HAREWIRE_ERR_BUSY while a message of it has no outcome yet, _CLAIM_OPEN while one is being written. */
HAREWIRE_API int harewire_template_release(struct harewire_publisher *p, uint32_t template_id);

/* ---- publishing ---------------------------------------------------------------------------------------------------
 */

/* Flags of publish and commit. */
#define HAREWIRE_MORE 1u /* inline mode: another message follows at once; leave sending to it or to harewire_poll */

/*
 * Publishes `len` octets. Returns the message's id (1, 2, 3, ...), or what the table says, and then nothing happened
 * but that it was counted. Bodies over frame_max - 8 octets are split in frames. HAREWIRE_ERR_TOO_LARGE: it will never
 * fit; _CLAIM_OPEN; _INVALID: no such template. Threaded mode: no system call. Either mode: no allocation, no lock, no
 * wait.
 *
 *                            HAREWIRE_BUFFER      HAREWIRE_REFUSE      HAREWIRE_DROP_NEWEST
 *     not READY yet          _ERR_DISCONNECTED    _ERR_DISCONNECTED    _ERR_DISCONNECTED
 *     connected              id                   id                   id
 *     blocked by the broker  id                   _ERR_BLOCKED         id
 *     disconnected           id                   _ERR_DISCONNECTED    id
 *     the log is full        _ERR_LOG_FULL        _ERR_LOG_FULL        0: dropped
 *     closing or ended       _ERR_CLOSED          _ERR_CLOSED          _ERR_CLOSED
 */
HAREWIRE_API int64_t harewire_publish(struct harewire_publisher *p, uint32_t template_id, const void *body, size_t len,
				      unsigned flags);

/*
 * Zero-copy form: the address at which the body is to be written, room for max_body octets (0..frame_max - 8), or NULL
 * with the reason in *error (may be NULL): as publish answers, but HAREWIRE_ERR_LOG_FULL for a message that is dropped.
 * One claim is open at a time, and nothing else can be published meanwhile; end it with commit or cancel.
 */
HAREWIRE_API void *harewire_claim(struct harewire_publisher *p, uint32_t template_id, size_t max_body, int *error);

/*
 * Publishes the claimed message with the first `len` (<= max_body) octets of its body. Returns its id: its room is
 * reserved, so neither a blockage nor a lost connection stands in its way. HAREWIRE_ERR_INVALID: `len` is too large,
 * and the claim still open; _NO_CLAIM; _CLOSED: the publisher is closing or has ended meanwhile, the claim is over.
 */
HAREWIRE_API int64_t harewire_commit(struct harewire_publisher *p, size_t len, unsigned flags);

/* Drops the claim; nothing happened. */
HAREWIRE_API void harewire_cancel(struct harewire_publisher *p);

/* ---- events -------------------------------------------------------------------------------------------------------
 */

enum harewire_event_type {
	HAREWIRE_EVENT_NONE,
	HAREWIRE_EVENT_READY, /* connected, declared: publish may begin; again after each DISCONNECTED. text: where */
	HAREWIRE_EVENT_CONFIRMED,    /* ids first..last */
	HAREWIRE_EVENT_NACKED,       /* id first: refused by the broker */
	HAREWIRE_EVENT_RETURNED,     /* id first: mandatory and unroutable; code and text say why */
	HAREWIRE_EVENT_UNCONFIRMED,  /* ids first..last: the publisher ended first; may or may not have arrived */
	HAREWIRE_EVENT_BLOCKED,      /* code: enum harewire_blockage, which has begun; text: why, if the broker said */
	HAREWIRE_EVENT_UNBLOCKED,    /* code: enum harewire_blockage, which has ended */
	HAREWIRE_EVENT_CLOSED,       /* after harewire_publisher_close: the last event */
	HAREWIRE_EVENT_FAILED,       /* the publisher has ended: code and text say why. The last event */
	HAREWIRE_EVENT_LOST,         /* ids first..last, HAREWIRE_AT_MOST_ONCE: sent, and the connection ended first */
	HAREWIRE_EVENT_DISCONNECTED, /* the connection is lost: code and text say why; another is being made */
};

/*
 * What keeps messages from flowing. Each begins and ends on its own; the first three are the broker's and end with the
 * connection at the latest, the last is the application's own.
 */
enum harewire_blockage {
	HAREWIRE_BLOCKAGE_ALARM = 1,   /* connection.blocked: the broker is short of memory or disk; nothing is sent */
	HAREWIRE_BLOCKAGE_WINDOW = 2,  /* the broker reads nothing (TCP's window is closed): its flow control */
	HAREWIRE_BLOCKAGE_SILENCE = 3, /* it takes messages and has given none an outcome for a second */
	HAREWIRE_BLOCKAGE_LOG_FULL =
		4, /* publish found no room; until there is again, and an eighth of the log is free */
};

struct harewire_event {
	enum harewire_event_type type;
	uint64_t first, last; /* message ids */
	/* FAILED, DISCONNECTED: HAREWIRE_ERR_* or another code of harewire_error_text; RETURNED: AMQP reply code;
	 * BLOCKED, UNBLOCKED: enum harewire_blockage */
	int code;
	uint64_t since_ns; /* states: CLOCK_MONOTONIC when they began */
	const char *text;  /* a sentence, valid until the next harewire_event_poll of this publisher; or NULL */
};

/*
 * The next event: 1, or 0 when there is none. The application's thread; no system call, no allocation, no wait.
 *
 * Outcomes. Every accepted message appears in exactly one of CONFIRMED, NACKED, RETURNED, LOST, UNCONFIRMED; in id
 * order, over all connections. An application that never polls may publish on as long as everything is confirmed; all
 * other outcomes keep their place in the index until they are polled.
 *
 * States are levels, told before outcomes: a BLOCKED that ended, or a DISCONNECTED that is READY again, before you
 * looked is not reported. What has ended comes first (UNBLOCKED, then DISCONNECTED), then READY, then BLOCKED: between
 * two calls that return 0 a BLOCKED without its UNBLOCKED is a blockage of the present connection, or LOG_FULL. CLOSED
 * or FAILED comes after the last outcome, is the last event, and ends all levels.
 *
 * FAILED is for what will not pass: a refused login or declaration, a wrong vhost, one message that ends connection
 * after connection, a broker whose frame_max is below that of the first connection (which fixes it for the publisher's
 * life), or reconnect_timeout_ns. Before the first READY anything will do, once every host has been tried.
 */
HAREWIRE_API int harewire_event_poll(struct harewire_publisher *p, struct harewire_event *event);

/* ---- figures ------------------------------------------------------------------------------------------------------
 */

struct harewire_percentiles {
	uint64_t count;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, max_ns;
};

struct harewire_publisher_stats {
	uint64_t accepted; /* messages publish and commit returned an id for */
	uint64_t confirmed, nacked, returned, lost, unconfirmed;
	uint64_t refused, dropped;       /* publish, claim, commit: answered HAREWIRE_ERR_*; dropped (DROP_NEWEST) */
	uint64_t replayed;               /* messages sent again on a later connection; one may be so several times */
	uint64_t connections, channels;  /* made so far: handed over; re-opened on a connection that lived on */
	uint64_t in_flight;              /* accepted without an outcome */
	uint64_t log_used, log_capacity; /* octets */
	uint64_t blocked_count;          /* alarms of the broker */
	uint32_t blockages;              /* at the moment: bit n for the enum harewire_blockage n */
	int connected;                   /* 1: handed over and not lost */
	/* the connection, or the last one */
	uint64_t srtt_ns, retransmits, rto_fired, octets_sent, segments_sent, segments_received;
	uint32_t cwnd, peer_window, mss;
	char tcp_state[16];
	uint32_t frame_max, heartbeat_s; /* as negotiated; 0 before READY */
	/* latency: entry of publish to the frame handed to the device; and to the broker's confirm */
	struct harewire_percentiles call_to_wire, publish_to_confirm;
};

/*
 * Any thread, at any time; some tens of microseconds. Each number is whole. Of one moment are
 *
 *     accepted == confirmed + nacked + returned + lost + unconfirmed + in_flight
 *     log_used <= log_capacity
 *     all that is in one struct harewire_percentiles
 *
 * All others are each of a moment of its own during the call; those of the connection are brought up to date by the
 * worker every 50 ms, and tcp_state may for once be spelled half in the state before and half in the one behind.
 */
HAREWIRE_API void harewire_publisher_stats(const struct harewire_publisher *p, struct harewire_publisher_stats *stats);

/* The number in the harewire-epoch header of this publisher's messages. */
HAREWIRE_API uint32_t harewire_publisher_epoch(const struct harewire_publisher *p);

#ifdef __cplusplus
}
#endif

#endif
