/* What the command line, the config file and the environment say, in one struct. options.c has the table that fills it.
 */
#ifndef HAREWIRE_COMMAND_SETTINGS_H
#define HAREWIRE_COMMAND_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/command/declarations.h"

#define SETTING_UNSET UINT64_MAX

enum subcommand {
	COMMAND_PUBLISH = 1 << 0,
	COMMAND_FEED = 1 << 1,
	COMMAND_CONSUME = 1 << 2,
	/* those that ask a running engine */
	COMMAND_STAT = 1 << 3,
	COMMAND_CAPTURE = 1 << 4,
	COMMAND_TRACE = 1 << 5,
};

enum driver_choice { DRIVER_AUTO, DRIVER_AF_XDP, DRIVER_DPDK, DRIVER_KERNEL };
enum idle_choice { IDLE_BACKOFF, IDLE_SPIN };
enum output_format { FORMAT_LINES, FORMAT_LEN32 };

#define PUBLISHERS_MAX 256u

/* Strings that stay put; the list owns the array only. */
struct text_list {
	const char **items;
	uint32_t count;
};

struct settings {
	enum subcommand command;
	/* broker */
	const char *url, *url_file, *user, *password, *vhost, *connection_name;
	uint64_t heartbeat_s, frame_max, connect_timeout_ns;
	const char *password_file, *password_credential;
	/* when the connection is lost, or takes nothing */
	struct text_list hosts; /* beside the URL's */
	uint32_t host_order;    /* enum harewire_host_order */
	uint32_t delivery;      /* enum harewire_delivery */
	uint32_t policy;        /* enum harewire_policy */
	uint64_t reconnect_min_ns, reconnect_max_ns, reconnect_timeout_ns;
	/* TCP of our own */
	uint32_t congestion; /* enum harewire_congestion */
	uint64_t congestion_window, keepalive_ns;
	bool ecn, restart_after_idle;
	uint64_t confirm_timeout_ns, blocked_timeout_ns;
	/* driver */
	uint32_t driver, idle;
	const char *interface;
	const char *device, *address, *gateway, *eal;
	uint64_t nic_queue, cpu, vlan, mtu;
	uint32_t checksum_offload, tso; /* enum harewire_use */
	bool inline_worker, telemetry;
	const char *trace_dir;
	/* The table `workers` of the config file; none: one worker, made of the above. What an entry leaves out (NULL,
	 * 0, -1) is taken from the above too. */
	struct harewire_worker_options *workers;
	uint32_t worker_count;
	uint64_t publishers; /* unset: one for each worker */
	uint64_t log_bytes, max_messages;
	/* declarations: as given, and what they become */
	struct text_list declare_exchanges, declare_queues, bindings;
	struct declarations topology;
	/* where messages go to or come from */
	const char *exchange, *routing_key, *queue;
	bool durable, auto_delete, passive, no_declare;
	struct text_list queue_arguments;
	/* messages */
	const char *body, *file, *content_type, *expiration;
	bool lines, persistent, mandatory;
	uint64_t size, count, priority;
	struct text_list properties, headers;
	const char *slots;
	/* pace */
	double rate, speed;
	uint64_t confirm, duration_ns, timeout_ns;
	/* feed */
	const char *source, *pattern;
	uint64_t symbols, seed;
	/* consume */
	uint64_t prefetch, idle_timeout_ns;
	bool auto_ack, verify, from_first;
	const char *output;
	uint32_t format;
	/* asking a running engine */
	const char *control; /* where ours is to answer: a path, or "none"; NULL: the usual place */
	struct text_list operands;
	uint64_t interval_ns, snap_bytes, connection;
	bool once;
	/* the command itself */
	const char *config;
	bool json, quiet, progress, verbose, help;
};

void settings_init(struct settings *s, enum subcommand command);
/* Frees what the settings own; strings belong to the command line and to the config. */
void settings_fini(struct settings *s);

/* 0 or HW_ERR_NOMEM. */
int text_list_add(struct text_list *list, const char *text);

#endif
