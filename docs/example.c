/*
 * A feed of numbered messages that survives what happens to brokers: example DRIVER URL QUEUE COUNT [HOST[:PORT]...]
 *
 * DRIVER is auto, af_xdp, dpdk or kernel. The queue is declared, durable. The HOSTs are other brokers of the same
 * cluster. docs/api.md goes through it. Build with: cc example.c $(pkg-config --cflags --libs harewire)
 */
#define _POSIX_C_SOURCE 200809L
#include <harewire.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOSE_TIMEOUT_NS (120 * UINT64_C(1000000000))

struct feed {
	struct harewire *hw;
	struct harewire_publisher *publisher;
	uint32_t template_id;
	uint64_t published, confirmed, failed, in_doubt; /* messages */
	int ready;                                       /* has been */
	int ended, code;                                 /* CLOSED or FAILED; FAILED: why */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* A millisecond. */
static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static const char *blockage_name(int blockage)
{
	switch (blockage) {
	case HAREWIRE_BLOCKAGE_ALARM:
		return "the broker has raised an alarm";
	case HAREWIRE_BLOCKAGE_WINDOW:
		return "the broker reads nothing";
	case HAREWIRE_BLOCKAGE_SILENCE:
		return "the broker confirms nothing";
	default:
		return "the log is full";
	}
}

/* Levels: what is, not what to do. The library reconnects and sends again by itself. */
static void take_level(struct feed *f, const struct harewire_event *e)
{
	switch (e->type) {
	case HAREWIRE_EVENT_READY:
		f->ready = 1;
		fprintf(stderr, "connected to %s\n", e->text ? e->text : "the broker");
		break;
	case HAREWIRE_EVENT_DISCONNECTED:
		fprintf(stderr, "disconnected: %s\n", e->text);
		break;
	case HAREWIRE_EVENT_BLOCKED:
		fprintf(stderr, "blocked: %s\n", e->text ? e->text : blockage_name(e->code));
		break;
	case HAREWIRE_EVENT_UNBLOCKED:
		fprintf(stderr, "no longer blocked: %s\n", blockage_name(e->code));
		break;
	case HAREWIRE_EVENT_FAILED:
		fprintf(stderr, "failed: %s\n", e->text ? e->text : harewire_error_text(e->code));
		f->code = e->code;
		f->ended = 1;
		break;
	case HAREWIRE_EVENT_CLOSED:
		f->ended = 1;
		break;
	default:
		break;
	}
}

/* Outcomes: each message has one. Whoever needs to know which, keeps them by id: first to last. */
static void take_events(struct feed *f)
{
	struct harewire_event e;
	while (harewire_event_poll(f->publisher, &e)) {
		switch (e.type) {
		case HAREWIRE_EVENT_CONFIRMED:
			f->confirmed += e.last - e.first + 1;
			break;
		case HAREWIRE_EVENT_NACKED:
		case HAREWIRE_EVENT_RETURNED:
			f->failed++;
			break;
		case HAREWIRE_EVENT_LOST:
		case HAREWIRE_EVENT_UNCONFIRMED:
			f->in_doubt += e.last - e.first + 1;
			break;
		default:
			take_level(f, &e);
			break;
		}
	}
}

static int open_feed(struct feed *f, const char *driver, const char *url, const char *queue, char *const *hosts,
		     uint32_t host_count)
{
	const struct harewire_queue queues[] = {{.name = queue, .durable = 1}};
	struct harewire_options engine;
	struct harewire_publisher_options publisher;
	char why[512];

	harewire_options_init(&engine);
	engine.driver = driver;
	engine.idle =
		HAREWIRE_IDLE_BACKOFF; /* with a core to spare: HAREWIRE_IDLE_SPIN, and its number in worker_cpu */
	if (harewire_create(&engine, &f->hw, why, sizeof why)) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	harewire_publisher_options_init(&publisher);
	publisher.url = url;
	publisher.hosts = (const char *const *)hosts;
	publisher.host_count = host_count;
	publisher.queues = queues;
	publisher.queue_count = 1;
	if (harewire_publisher_open(f->hw, &publisher, &f->publisher, why, sizeof why)) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	return 0;
}

/* A consumer sees harewire-seq, and harewire-dup on what may be a second copy. */
static int prepare(struct feed *f, const char *queue)
{
	struct harewire_template_options options;
	const char *why = NULL;

	harewire_template_options_init(&options);
	options.routing_key = queue; /* of the default exchange */
	options.delivery_mode = 2;   /* persistent */
	options.slots = HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE;
	int err = harewire_template_prepare(f->publisher, &options, &f->template_id, &why);
	if (err)
		fprintf(stderr, "%s\n", why ? why : harewire_error_text(err));
	return err;
}

/* A tick each millisecond, connection or not, until Ctrl-C: the log takes them until it is full. */
static void publish(struct feed *f, uint64_t count)
{
	char body[32];
	while (f->published < count && !interrupted) {
		int len = snprintf(body, sizeof body, "tick %" PRIu64, f->published + 1);
		int64_t id = harewire_publish(f->publisher, f->template_id, body, (size_t)len, 0);
		if (id > 0) {
			f->published++;
		} else if (id != HAREWIRE_ERR_LOG_FULL) {
			fprintf(stderr, "publish: %s\n", harewire_error_text((int)id));
			return;
		}
		take_events(f);
		rest();
	}
}

static void close_feed(struct feed *f)
{
	if (f->publisher) {
		harewire_publisher_close(f->publisher, CLOSE_TIMEOUT_NS);
		while (!f->ended) {
			take_events(f);
			rest();
		}
	}
	harewire_publisher_destroy(f->publisher);
	harewire_destroy(f->hw);
}

int main(int argc, char *argv[])
{
	struct feed f = {0};

	if (argc < 5) {
		fprintf(stderr, "usage: %s DRIVER URL QUEUE COUNT [HOST[:PORT]...]\n", argv[0]);
		return 2;
	}
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	uint64_t count = strtoull(argv[4], NULL, 10);
	if (open_feed(&f, argv[1], argv[2], argv[3], argv + 5, (uint32_t)(argc - 5)) == 0 &&
	    prepare(&f, argv[3]) == 0) {
		while (!f.ready && !f.ended && !interrupted) {
			take_events(&f);
			rest();
		}
		publish(&f, count);
	}
	close_feed(&f);
	printf("%" PRIu64 " confirmed, %" PRIu64 " failed, %" PRIu64 " in doubt\n", f.confirmed, f.failed, f.in_doubt);
	return f.confirmed == f.published && f.ready && f.code == 0 ? 0 : 1;
}
