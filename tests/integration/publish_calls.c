/*
 * Publishes through the library and says what that cost: publish_calls threaded|inline DRIVER QUEUE COUNT
 * [alarm|loss]...
 *
 * COUNT messages while all is well, and as many again in each of the situations named: it says which it wants ("want
 * alarm"), waits for the event, publishes, says so ("had alarm"), and waits for the end of it.
 *
 * Allocations are counted by standing in for malloc and its like; system calls are left to strace, which finds this
 * thread's publishing between two writes to no file. The broker's URL is in $AMQP_URL.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/harewire.h"

#define BODY_BYTES 256
#define PATIENCE_S 240

/* ---- the interposer: this executable's malloc is everybody's -------------------------------------------------------
 */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

#define INTERPOSE __attribute__((visibility("default")))

static __thread uint64_t allocations __attribute__((tls_model("initial-exec")));

INTERPOSE void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

INTERPOSE void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

INTERPOSE void *realloc(void *p, size_t size)
{
	allocations++;
	return __libc_realloc(p, size);
}

INTERPOSE void *aligned_alloc(size_t alignment, size_t size)
{
	allocations++;
	return __libc_memalign(alignment, size);
}

INTERPOSE int posix_memalign(void **p, size_t alignment, size_t size)
{
	allocations++;
	*p = __libc_memalign(alignment, size);
	return *p ? 0 : ENOMEM;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

struct run {
	struct harewire *hw;
	struct harewire_publisher *publisher;
	bool inline_mode;
	bool connected, alarm;
	uint64_t published, confirmed;
	uint32_t losses;
	time_t deadline;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "publish_calls: %s: %s\n", what, why ? why : "");
	exit(1);
}

static void mark(const char *text)
{
	syscall(SYS_write, -1, text, strlen(text));
}

static void take_event(struct run *run, const struct harewire_event *event)
{
	switch (event->type) {
	case HAREWIRE_EVENT_READY:
		run->connected = true;
		break;
	case HAREWIRE_EVENT_DISCONNECTED:
		run->connected = false;
		run->losses++;
		break;
	case HAREWIRE_EVENT_BLOCKED:
	case HAREWIRE_EVENT_UNBLOCKED:
		if (event->code == HAREWIRE_BLOCKAGE_ALARM)
			run->alarm = event->type == HAREWIRE_EVENT_BLOCKED;
		break;
	case HAREWIRE_EVENT_CONFIRMED:
		run->confirmed += event->last - event->first + 1;
		break;
	case HAREWIRE_EVENT_FAILED:
		die("the publisher failed", event->text);
		break;
	default:
		break;
	}
}

static void poll_once(struct run *run)
{
	struct harewire_event event;

	if (run->inline_mode)
		harewire_poll(run->hw);
	while (harewire_event_poll(run->publisher, &event))
		take_event(run, &event);
	if (time(NULL) > run->deadline)
		die("waiting for the broker", "too long");
}

static void open_publisher(struct run *run, const char *driver, const char *queue)
{
	struct harewire_options options;
	struct harewire_publisher_options publisher;
	const struct harewire_queue queues[] = {{.name = queue}};
	char why[512] = "";

	harewire_options_init(&options);
	options.driver = driver;
	options.interface = strcmp(driver, "kernel") == 0 ? NULL : getenv("HAREWIRE_INTERFACE");
	options.mode = run->inline_mode ? HAREWIRE_INLINE : HAREWIRE_THREADED;
	options.idle = HAREWIRE_IDLE_BACKOFF;
	if (harewire_create(&options, &run->hw, why, sizeof why))
		die("harewire_create", why);
	harewire_publisher_options_init(&publisher);
	publisher.url = getenv("AMQP_URL");
	publisher.queues = queues;
	publisher.queue_count = 1;
	if (harewire_publisher_open(run->hw, &publisher, &run->publisher, why, sizeof why))
		die("harewire_publisher_open", why);
	while (!run->connected)
		poll_once(run);
}

static uint32_t prepare(struct run *run, const char *queue)
{
	struct harewire_template_options options;
	const char *why = NULL;
	uint32_t template_id;

	harewire_template_options_init(&options);
	options.routing_key = queue;
	options.slots = HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_SEND_TIME | HAREWIRE_SLOT_DUPLICATE;
	if (harewire_template_prepare(run->publisher, &options, &template_id, &why))
		die("harewire_template_prepare", why);
	return template_id;
}

/* By publish and by claim in turn. The log is large enough for all of them. */
static void publish_each(struct run *run, uint32_t template_id, uint64_t count)
{
	static const char body[BODY_BYTES] = "body";

	for (uint64_t i = 0; i < count; i++) {
		int64_t id;
		if (i % 2) {
			id = harewire_publish(run->publisher, template_id, body, sizeof body, 0);
		} else {
			int error = 0;
			void *room = harewire_claim(run->publisher, template_id, sizeof body, &error);
			if (!room)
				die("harewire_claim", harewire_error_text(error));
			memcpy(room, body, sizeof body);
			id = harewire_commit(run->publisher, sizeof body, 0);
		}
		if (id < 0)
			die("publish", harewire_error_text((int)id));
		if (run->inline_mode)
			harewire_poll(run->hw);
	}
}

static void publish(struct run *run, uint32_t template_id, uint64_t count)
{
	mark("publish begins");
	publish_each(run, template_id, count);
	mark("publish ends");
	run->published += count;
}

/* stdio's streams, and dprintf, allocate a buffer. */
static void say(const char *verb, const char *what)
{
	char line[64];
	int len = snprintf(line, sizeof line, "%s %s\n", verb, what);
	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		die("standard output", strerror(errno));
}

static bool is_in(const struct run *run, const char *situation)
{
	return strcmp(situation, "alarm") == 0 ? run->alarm : !run->connected;
}

static void publish_in(struct run *run, const char *situation, uint32_t template_id, uint64_t count)
{
	say("want", situation);
	/* RabbitMQ tells a connection of an alarm when that publishes next. */
	for (; !is_in(run, situation); run->published++) {
		publish_each(run, template_id, 1);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		poll_once(run);
	}
	publish(run, template_id, count);
	struct harewire_publisher_stats stats;
	harewire_publisher_stats(run->publisher, &stats);
	if (stats.confirmed >= run->published)
		die(situation, "it has not kept messages back");
	say("had", situation);
	while (is_in(run, situation))
		poll_once(run);
}

static void close_publisher(struct run *run)
{
	struct harewire_event event = {0};

	harewire_publisher_close(run->publisher, 5000000000u);
	while (event.type != HAREWIRE_EVENT_CLOSED && time(NULL) <= run->deadline) {
		if (run->inline_mode)
			harewire_poll(run->hw);
		harewire_event_poll(run->publisher, &event);
	}
	harewire_publisher_destroy(run->publisher);
	harewire_destroy(run->hw);
}

int main(int argc, char *argv[])
{
	struct harewire_driver_info driver;

	if (argc < 5) {
		fprintf(stderr, "usage: publish_calls threaded|inline DRIVER QUEUE COUNT [alarm|loss]...\n");
		return 2;
	}
	struct run run = {.inline_mode = strcmp(argv[1], "inline") == 0, .deadline = time(NULL) + PATIENCE_S};
	uint64_t count = strtoull(argv[4], NULL, 10);
	open_publisher(&run, argv[2], argv[3]);
	uint32_t template_id = prepare(&run, argv[3]);
	uint64_t before = allocations;
	publish(&run, template_id, count);
	for (int i = 5; i < argc; i++)
		publish_in(&run, argv[i], template_id, count);
	while (run.confirmed < run.published)
		poll_once(&run);
	uint64_t after = allocations;
	harewire_driver_info(run.hw, 0, &driver);
	close_publisher(&run);
	printf("{\"thread\": %ld, \"driver\": \"%s\", \"confirmed\": %" PRIu64 ", \"control_allocations\": %" PRIu64
	       ", \"publish_allocations\": %" PRIu64 ", \"losses\": %" PRIu32 ", \"published\": %" PRIu64 "}\n",
	       (long)syscall(SYS_gettid), driver.driver, run.confirmed, before, after - before, run.losses,
	       run.published);
	return 0;
}
