/*
 * Publishes through several workers of one engine: publish_workers QUEUE PUBLISHERS COUNT forward|backward WORKER...
 *
 * A WORKER is "driver|interface|queue|device|address|gateway", fields left empty where nothing is said. PUBLISHERS
 * connections are spread over the workers; each publishes COUNT messages to QUEUE. They are destroyed in the order that
 * is named, every other one without a close. The broker's URL is in $AMQP_URL, DPDK's arguments are in $EAL. The last
 * line of standard output is JSON. With $TELEMETRY it has telemetry, and stays until its standard input ends.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/harewire.h"

#define PUBLISHERS_MAX 64
#define PATIENCE_S     60

struct client {
	struct harewire_publisher *publisher;
	uint32_t template_id;
	uint64_t accepted, confirmed;
	bool ready, closed;
};

static struct client clients[PUBLISHERS_MAX];
static int client_count;
static uint64_t message_count;
static time_t deadline;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "publish_workers: %s: %s\n", what, why ? why : "");
	exit(1);
}

static void say(void *context, enum harewire_log_level level, const char *line)
{
	fprintf(stderr, "%d %s\n", (int)level, line);
}

/* ---- set-up ---- */

static const char *next_field(char **spec)
{
	const char *field = strsep(spec, "|");
	return field && *field ? field : NULL;
}

static void parse_worker(char *spec, struct harewire_worker_options *w)
{
	harewire_worker_options_init(w);
	w->driver = next_field(&spec);
	w->interface = next_field(&spec);
	const char *queue = next_field(&spec);
	w->queue = queue ? atoi(queue) : -1;
	w->device = next_field(&spec);
	w->address = next_field(&spec);
	w->gateway = next_field(&spec);
}

static struct harewire *create(char **specs, int count)
{
	struct harewire_worker_options workers[HAREWIRE_WORKERS_MAX];
	struct harewire_options options;
	struct harewire *hw;
	char why[512] = "";

	harewire_options_init(&options);
	options.idle = HAREWIRE_IDLE_BACKOFF;
	options.eal = getenv("EAL");
	options.workers = workers;
	options.worker_count = (uint32_t)count;
	options.telemetry = getenv("TELEMETRY") != NULL;
	options.log_line = say;
	for (int i = 0; i < count; i++)
		parse_worker(specs[i], &workers[i]);
	if (harewire_create(&options, &hw, why, sizeof why))
		die("harewire_create", why);
	return hw;
}

static void open_client(struct harewire *hw, struct client *c, const char *queue)
{
	const struct harewire_queue queues[] = {{.name = queue}};
	struct harewire_publisher_options options;
	struct harewire_template_options to;
	char why[512] = "";
	const char *reason = NULL;

	harewire_publisher_options_init(&options);
	options.url = getenv("AMQP_URL");
	options.queues = queues;
	options.queue_count = 1;
	options.log_bytes = 1 << 20;
	options.max_messages = 4096;
	if (harewire_publisher_open(hw, &options, &c->publisher, why, sizeof why))
		die("harewire_publisher_open", why);
	harewire_template_options_init(&to);
	to.routing_key = queue;
	to.slots = HAREWIRE_SLOT_SEQUENCE;
	if (harewire_template_prepare(c->publisher, &to, &c->template_id, &reason))
		die("harewire_template_prepare", reason);
}

/* ---- the run ---- */

static void take_events(struct client *c)
{
	struct harewire_event event;

	while (harewire_event_poll(c->publisher, &event)) {
		c->ready |= event.type == HAREWIRE_EVENT_READY;
		c->closed |= event.type == HAREWIRE_EVENT_CLOSED;
		if (event.type == HAREWIRE_EVENT_CONFIRMED)
			c->confirmed += event.last - event.first + 1;
		else if (event.type == HAREWIRE_EVENT_FAILED)
			die("a publisher failed", event.text);
	}
	if (time(NULL) > deadline)
		die("waiting for the broker", "too long");
}

/* True when it has nothing left to do. */
static bool advance(struct client *c)
{
	static const char body[200] = "tick";

	take_events(c);
	while (c->ready && c->accepted < message_count) {
		int64_t id = harewire_publish(c->publisher, c->template_id, body, sizeof body, 0);
		if (id == HAREWIRE_ERR_LOG_FULL || id == HAREWIRE_ERR_BLOCKED)
			break;
		if (id < 0)
			die("publish", harewire_error_text((int)id));
		c->accepted++;
	}
	return c->confirmed == message_count;
}

static void publish_all(void)
{
	int done;

	do {
		done = 0;
		for (int i = 0; i < client_count; i++)
			done += advance(&clients[i]);
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	} while (done < client_count);
}

static void end_client(int i)
{
	struct client *c = &clients[i];

	if (i % 2 == 0) {
		harewire_publisher_close(c->publisher, 5000000000u);
		while (!c->closed)
			take_events(c);
	}
	harewire_publisher_destroy(c->publisher);
}

static void report(struct harewire *hw)
{
	uint64_t confirmed = 0;

	for (int i = 0; i < client_count; i++)
		confirmed += clients[i].confirmed;
	printf("{\"confirmed\": %" PRIu64 ", \"workers\": [", confirmed);
	for (uint32_t i = 0; i < harewire_worker_count(hw); i++) {
		struct harewire_driver_info info;
		harewire_driver_info(hw, i, &info);
		printf("%s{\"driver\": \"%s\", \"device\": \"%s\", \"queue\": %u, \"steering\": \"%s\", "
		       "\"publishers\": %u, "
		       "\"packets_sent\": %" PRIu64 ", \"packets_received\": %" PRIu64 "}",
		       i ? ", " : "", info.driver, info.device, info.queue, info.steering, info.publishers,
		       info.packets_sent, info.packets_received);
	}
	printf("]}\n");
}

int main(int argc, char *argv[])
{
	if (argc < 6) {
		fprintf(stderr, "usage: publish_workers QUEUE PUBLISHERS COUNT forward|backward WORKER...\n");
		return 2;
	}
	client_count = atoi(argv[2]);
	message_count = strtoull(argv[3], NULL, 10);
	bool backward = strcmp(argv[4], "backward") == 0;
	deadline = time(NULL) + PATIENCE_S;
	if (client_count < 1 || client_count > PUBLISHERS_MAX)
		die("PUBLISHERS", "1 to 64");
	struct harewire *hw = create(argv + 5, argc - 5);
	for (int i = 0; i < client_count; i++)
		open_client(hw, &clients[i], argv[1]);
	publish_all();
	report(hw);
	fflush(stdout);
	while (getenv("TELEMETRY") && getchar() != EOF)
		continue;
	for (int i = 0; i < client_count; i++)
		end_client(backward ? client_count - 1 - i : i);
	harewire_destroy(hw);
	return 0;
}
