/*
 * Publishes a message every millisecond through whatever happens: resume DRIVER QUEUE, until standard input ends. The
 * broker's URL is in $AMQP_URL. Writes "lost NS" when a connection is lost and "confirmed NS" at the first confirm on
 * the next one; NS is CLOCK_MONOTONIC. Exit 1 when the publisher fails.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/harewire.h"

#define PERIOD_NS 1000000

static void die(const char *what, const char *why)
{
	fprintf(stderr, "resume: %s: %s\n", what, why ? why : "");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void say(void *context, enum harewire_log_level level, const char *line)
{
	fprintf(stderr, "%" PRIu64 " %s\n", now_ns(), line);
}

static void tell(const char *what)
{
	printf("%s %" PRIu64 "\n", what, now_ns());
	fflush(stdout);
}

static struct harewire *create(const char *driver)
{
	struct harewire_options options;
	struct harewire *hw;
	char why[512] = "";

	harewire_options_init(&options);
	options.driver = driver;
	options.interface = getenv("HAREWIRE_INTERFACE");
	options.idle = HAREWIRE_IDLE_BACKOFF;
	options.log_line = say;
	if (harewire_create(&options, &hw, why, sizeof why))
		die("harewire_create", why);
	return hw;
}

static struct harewire_publisher *open_publisher(struct harewire *hw, const char *queue, uint32_t *template_id)
{
	const struct harewire_queue queues[] = {{.name = queue, .durable = 1}};
	struct harewire_publisher_options options;
	struct harewire_template_options to;
	struct harewire_publisher *p;
	char why[512] = "";

	harewire_publisher_options_init(&options);
	options.url = getenv("AMQP_URL");
	options.queues = queues;
	options.queue_count = 1;
	if (harewire_publisher_open(hw, &options, &p, why, sizeof why))
		die("harewire_publisher_open", why);
	harewire_template_options_init(&to);
	to.routing_key = queue;
	if (harewire_template_prepare(p, &to, template_id, NULL))
		die("harewire_template_prepare", NULL);
	return p;
}

/* `ready`: connected; `awaited`: the next confirm is the first since. */
static void take_events(struct harewire_publisher *p, bool *ready, bool *awaited)
{
	struct harewire_event event;

	while (harewire_event_poll(p, &event)) {
		if (event.type == HAREWIRE_EVENT_FAILED)
			die("the publisher failed", event.text);
		if (event.type == HAREWIRE_EVENT_DISCONNECTED)
			tell("lost");
		if (event.type == HAREWIRE_EVENT_READY)
			*ready = *awaited = true;
		if (event.type == HAREWIRE_EVENT_CONFIRMED && *awaited) {
			tell("confirmed");
			*awaited = false;
		}
	}
}

int main(int argc, char *argv[])
{
	struct pollfd input = {.events = POLLIN};
	bool ready = false, awaited = false;
	uint32_t template_id;

	if (argc != 3) {
		fprintf(stderr, "usage: resume DRIVER QUEUE\n");
		return 2;
	}
	struct harewire *hw = create(argv[1]);
	struct harewire_publisher *p = open_publisher(hw, argv[2], &template_id);
	while (poll(&input, 1, 0) == 0) {
		take_events(p, &ready, &awaited);
		if (ready)
			harewire_publish(p, template_id, "tick", 4, 0); /* a full log takes no more meanwhile */
		nanosleep(&(struct timespec){.tv_nsec = PERIOD_NS}, NULL);
	}
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
	return 0;
}
