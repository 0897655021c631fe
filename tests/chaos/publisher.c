/*
 * The publisher of the chaos run: a steady rate of persistent, mandatory, numbered messages, and everything that is
 * said of them, written down. It uses the public calls alone.
 *
 * The history (--history FILE) has one line for each thing, times are CLOCK_MONOTONIC in ns:
 *
 *     A time first last            ids accepted
 *     C|N|R|U|L time first last    confirmed, nacked, returned, unconfirmed, lost
 *     E time since name code text  READY, DISCONNECTED, BLOCKED, UNBLOCKED, CLOSED, FAILED
 *     X time code count            calls of publish that were refused
 *     M time kilobytes             resident memory
 *
 * SIGTERM closes the publisher; the last line of standard output is a JSON report. Exit status 0 only after CLOSED.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/harewire.h"
#include "tests/chaos/calls.h"

#define NS_PER_S         1000000000u
#define BODY_BYTES       256
#define COPY_BYTES       16384 /* takes about as long as a call */
#define TICK_NS          500000
#define MEMORY_EVERY_NS  NS_PER_S
#define CLOSE_TIMEOUT_NS (30ull * NS_PER_S)

/* Short, so that a run of minutes meets each of them; the same for every seed. */
#define HEARTBEAT_S        10
#define USER_TIMEOUT_NS    (4ull * NS_PER_S)
#define CONFIRM_TIMEOUT_NS (8ull * NS_PER_S)
#define CONNECT_TIMEOUT_NS (5ull * NS_PER_S)
#define BLOCKED_TIMEOUT_NS (20ull * NS_PER_S)
#define LOG_BYTES          (4u << 20)

struct settings {
	const char *driver, *interface, *url, *history;
	const char *name;       /* of the exchange, the queue and the routing key */
	const char *queue_type; /* "classic", "quorum" */
	const char *hosts[HAREWIRE_HOSTS_MAX];
	uint32_t host_count;
	uint64_t rate;
};

struct run {
	struct harewire *hw;
	struct harewire_publisher *publisher;
	FILE *history;
	uint32_t template_id;
	bool ready, ended, failed;
	uint64_t attempted, accepted;
	uint64_t refused_code[16]; /* by -code */
	uint64_t first_ready_ns, memory_due_ns;
	char copy[COPY_BYTES];
	struct calls calls, copies; /* of publish; and of a plain copy beside each, which says what the host costs */
};

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
	stop_asked = 1;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "publisher: %s: %s\n", what, why ? why : "");
	exit(2);
}

static void say(void *context, enum harewire_log_level level, const char *line)
{
	fprintf(stderr, "%" PRIu64 " %d %s\n", clock_monotonic_ns(), (int)level, line);
}

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static void create_engine(struct run *run, const struct settings *s)
{
	struct harewire_options options;
	char why[512] = "";

	harewire_options_init(&options);
	options.driver = s->driver;
	options.interface = strcmp(s->driver, "kernel") == 0 ? NULL : s->interface;
	options.idle = HAREWIRE_IDLE_BACKOFF;
	options.log_line = say;
	if (harewire_create(&options, &run->hw, why, sizeof why))
		die("harewire_create", why);
}

static void open_publisher(struct run *run, const struct settings *s)
{
	const struct harewire_field type = {.name = "x-queue-type", .kind = HAREWIRE_STRING, .string = s->queue_type};
	const struct harewire_exchange exchange = {.name = s->name, .type = "direct", .durable = 1};
	const struct harewire_queue queue = {.name = s->name, .durable = 1, .arguments = &type, .argument_count = 1};
	const struct harewire_binding binding = {.exchange = s->name, .queue = s->name, .routing_key = s->name};
	struct harewire_publisher_options options;
	char why[512] = "";

	harewire_publisher_options_init(&options);
	options.url = s->url;
	options.hosts = s->hosts;
	options.host_count = s->host_count;
	options.connection_name = s->name;
	options.heartbeat_s = HEARTBEAT_S;
	options.connect_timeout_ns = CONNECT_TIMEOUT_NS;
	options.user_timeout_ns = USER_TIMEOUT_NS;
	options.confirm_timeout_ns = CONFIRM_TIMEOUT_NS;
	options.blocked_timeout_ns = BLOCKED_TIMEOUT_NS;
	options.log_bytes = LOG_BYTES;
	options.exchanges = &exchange;
	options.exchange_count = 1;
	options.queues = &queue;
	options.queue_count = 1;
	options.bindings = &binding;
	options.binding_count = 1;
	if (harewire_publisher_open(run->hw, &options, &run->publisher, why, sizeof why))
		die("harewire_publisher_open", why);
}

static void prepare_template(struct run *run, const struct settings *s)
{
	struct harewire_template_options options;
	const char *why = NULL;

	harewire_template_options_init(&options);
	options.exchange = s->name;
	options.routing_key = s->name;
	options.mandatory = 1;
	options.delivery_mode = 2;
	options.slots = HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_SEND_TIME | HAREWIRE_SLOT_DUPLICATE;
	if (harewire_template_prepare(run->publisher, &options, &run->template_id, &why))
		die("harewire_template_prepare", why);
}

/* ---- what is said ------------------------------------------------------------------------------------------------ */

static void write_outcome(struct run *run, char letter, const struct harewire_event *e)
{
	fprintf(run->history, "%c %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", letter, clock_monotonic_ns(), e->first,
		e->last);
}

static void write_state(struct run *run, const char *name, const struct harewire_event *e)
{
	fprintf(run->history, "E %" PRIu64 " %" PRIu64 " %s %d %s\n", clock_monotonic_ns(), e->since_ns, name, e->code,
		e->text ? e->text : "");
}

static void take_event(struct run *run, const struct harewire_event *e)
{
	static const char letters[] = {
		[HAREWIRE_EVENT_CONFIRMED] = 'C',   [HAREWIRE_EVENT_NACKED] = 'N', [HAREWIRE_EVENT_RETURNED] = 'R',
		[HAREWIRE_EVENT_UNCONFIRMED] = 'U', [HAREWIRE_EVENT_LOST] = 'L',
	};
	static const char *const names[] = {
		[HAREWIRE_EVENT_READY] = "READY",     [HAREWIRE_EVENT_DISCONNECTED] = "DISCONNECTED",
		[HAREWIRE_EVENT_BLOCKED] = "BLOCKED", [HAREWIRE_EVENT_UNBLOCKED] = "UNBLOCKED",
		[HAREWIRE_EVENT_CLOSED] = "CLOSED",   [HAREWIRE_EVENT_FAILED] = "FAILED",
	};

	if (e->type < sizeof letters && letters[e->type]) {
		write_outcome(run, letters[e->type], e);
		return;
	}
	if (e->type >= sizeof names / sizeof names[0] || !names[e->type])
		return;
	write_state(run, names[e->type], e);
	if (e->type == HAREWIRE_EVENT_READY && !run->ready) {
		run->ready = true;
		run->first_ready_ns = clock_monotonic_ns();
	}
	run->failed |= e->type == HAREWIRE_EVENT_FAILED;
	run->ended |= run->failed || e->type == HAREWIRE_EVENT_CLOSED;
}

static void poll_events(struct run *run)
{
	struct harewire_event event;

	while (harewire_event_poll(run->publisher, &event))
		take_event(run, &event);
}

static void write_memory(struct run *run)
{
	uint64_t now_ns = clock_monotonic_ns();
	unsigned long total, resident;

	if (now_ns < run->memory_due_ns)
		return;
	run->memory_due_ns = now_ns + MEMORY_EVERY_NS;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f && fscanf(f, "%lu %lu", &total, &resident) == 2)
		fprintf(run->history, "M %" PRIu64 " %lu\n", now_ns,
			resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024);
	if (f)
		fclose(f);
}

/* ---- what is published ------------------------------------------------------------------------------------------- */

static int64_t publish_one(struct run *run)
{
	static const char body[BODY_BYTES] = "body", page[COPY_BYTES] = "page";
	struct call_begin begin;

	run->attempted++;
	calls_begin(&run->calls, &begin);
	int64_t id = harewire_publish(run->publisher, run->template_id, body, sizeof body, 0);
	calls_end(&run->calls, &begin);
	calls_begin(&run->copies, &begin);
	memcpy(run->copy, page, sizeof page);
	__asm__ volatile("" : : "r"(run->copy) : "memory");
	calls_end(&run->copies, &begin);
	return id;
}

/* All that the schedule has due by now. What is refused is not tried again: the feed goes on. */
static void publish_due(struct run *run, const struct settings *s)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t due = (uint64_t)((unsigned __int128)(now_ns - run->first_ready_ns) * s->rate / NS_PER_S);
	int64_t first = 0, last = 0, refusal = 0;
	uint64_t refused = 0;

	while (run->attempted < due) {
		int64_t id = publish_one(run);
		if (id > 0) {
			first = first ? first : id;
			last = id;
			run->accepted++;
		} else {
			refusal = id;
			refused++;
			run->refused_code[-id & 15]++;
		}
	}
	if (first)
		fprintf(run->history, "A %" PRIu64 " %" PRId64 " %" PRId64 "\n", now_ns, first, last);
	if (refused)
		fprintf(run->history, "X %" PRIu64 " %" PRId64 " %" PRIu64 "\n", now_ns, refusal, refused);
}

static void run_to_the_end(struct run *run, const struct settings *s)
{
	bool closing = false;

	while (!run->ended) {
		poll_events(run);
		if (stop_asked && !closing) {
			closing = true;
			harewire_publisher_close(run->publisher, CLOSE_TIMEOUT_NS);
		}
		if (run->ready && !closing && !run->ended)
			publish_due(run, s);
		write_memory(run);
		/* Whatever becomes of this process, what it has been told is on record. */
		fflush(run->history);
		nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
	}
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static void report(const struct run *run)
{
	struct harewire_publisher_stats st;
	struct harewire_driver_info driver;

	harewire_publisher_stats(run->publisher, &st);
	harewire_driver_info(run->hw, 0, &driver);
	printf("{\"driver\": \"%s\", \"failed\": %s, \"epoch\": %" PRIu32 ", \"attempted\": %" PRIu64
	       ", \"accepted\": %" PRIu64 ", ",
	       driver.driver, run->failed ? "true" : "false", harewire_publisher_epoch(run->publisher), run->attempted,
	       run->accepted);
	printf("\"stats\": {\"accepted\": %" PRIu64 ", \"confirmed\": %" PRIu64 ", \"nacked\": %" PRIu64
	       ", \"returned\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"unconfirmed\": %" PRIu64 ", \"refused\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"replayed\": %" PRIu64 ", \"connections\": %" PRIu64
	       ", \"channels\": %" PRIu64 ", \"in_flight\": %" PRIu64 ", \"retransmits\": %" PRIu64 "}, ",
	       st.accepted, st.confirmed, st.nacked, st.returned, st.lost, st.unconfirmed, st.refused, st.dropped,
	       st.replayed, st.connections, st.channels, st.in_flight, st.retransmits);
	printf("\"refused_log_full\": %" PRIu64 ", \"log_bytes\": %" PRIu64 ", \"worker_longest_gap_ns\": %" PRIu64
	       ", ",
	       run->refused_code[-HAREWIRE_ERR_LOG_FULL & 15], st.log_capacity, driver.longest_gap_ns);
	calls_print(&run->calls, "calls", stdout);
	printf(", ");
	calls_print(&run->copies, "copies", stdout);
	printf("}\n");
}

static void read_settings(struct settings *s, int argc, char *argv[])
{
	static const struct option options[] = {
		{"driver", required_argument, NULL, 'd'},
		{"interface", required_argument, NULL, 'i'},
		{"url", required_argument, NULL, 'u'},
		{"host", required_argument, NULL, 'h'},
		{"name", required_argument, NULL, 'n'},
		{"queue-type", required_argument, NULL, 'q'},
		{"history", required_argument, NULL, 'o'},
		{"rate", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			s->driver = optarg;
			break;
		case 'i':
			s->interface = optarg;
			break;
		case 'u':
			s->url = optarg;
			break;
		case 'n':
			s->name = optarg;
			break;
		case 'q':
			s->queue_type = optarg;
			break;
		case 'o':
			s->history = optarg;
			break;
		case 'r':
			s->rate = strtoull(optarg, NULL, 10);
			break;
		case 'h':
			if (s->host_count == HAREWIRE_HOSTS_MAX - 1)
				die("--host", "too many");
			s->hosts[s->host_count++] = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (!s->url || !s->history || s->rate == 0)
		die("usage", "--url URL --history FILE --rate N [--host NAME:PORT]... [--driver D] [--interface I] "
			     "[--name N] [--queue-type T]");
}

int main(int argc, char *argv[])
{
	struct settings settings = {.driver = "kernel", .name = "chaos", .queue_type = "classic"};
	static struct run run;

	read_settings(&settings, argc, argv);
	signal(SIGTERM, ask_stop);
	signal(SIGINT, SIG_IGN); /* Ctrl-C is for the one who started us; he ends us */
	run.history = fopen(settings.history, "w");
	if (!run.history)
		die(settings.history, "cannot be written");
	clock_calibrate(&run.calls.scale);
	run.copies.scale = run.calls.scale;
	create_engine(&run, &settings);
	open_publisher(&run, &settings);
	prepare_template(&run, &settings);
	run_to_the_end(&run, &settings);
	report(&run);
	fclose(run.history);
	harewire_publisher_destroy(run.publisher);
	harewire_destroy(run.hw);
	return run.failed ? 1 : 0;
}
