/*
 * sink -a ADDRESS -i INTERFACE -n OCTETS -m MESSAGE_OCTETS -o FILE [-e] [-l PER_MILLION] [-s SEED] [-p MS] [-d MS]
 *
 * Says "ready" on standard output once it listens, takes one publisher, and ends with one JSON object. -e confirms
 * after each read. -p stops reading once, half-way, and -d delays confirms: for finding out whether that is measured.
 */
#define _GNU_SOURCE
#include "tests/bench/referee/sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 100

void sink_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "sink: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_ms(uint32_t ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static int start_listening(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5672)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	sink_must(inet_pton(AF_INET, address, &at.sin_addr) == 1, "an IPv4 address after -a");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	sink_must(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0, "listening");
	return fd;
}

static int take_publisher(int listener)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int one = 1;

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	int fd = accept(listener, NULL, NULL);
	sink_must(fd >= 0, "waiting for a publisher");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static void note_arrival(struct sink_result *r, uint64_t *last_ns, uint64_t octets)
{
	uint64_t now = now_ns();
	if (now - *last_ns > r->stall_ns) {
		r->stall_ns = now - *last_ns;
		r->stall_at = r->received;
	}
	*last_ns = now;
	r->received += octets;
	r->reads++;
}

static void confirm(int fd, const struct sink_options *o, uint64_t before, uint64_t received)
{
	if (received / o->message_octets == before / o->message_octets)
		return;
	if (o->delay_ms)
		sleep_ms(o->delay_ms);
	amqp_confirm(fd, received / o->message_octets);
}

static void take_stream(int fd, const struct sink_options *o, struct dropper *drop, uint8_t *stream,
			struct sink_result *r)
{
	uint64_t last_ns = 0;
	bool pause = o->pause_ms > 0;

	while (r->received < o->octets) {
		ssize_t n = recv(fd, stream + r->received, o->octets - r->received, 0);
		sink_must(n > 0, "the publisher's octets");
		uint64_t before = r->received;
		if (!last_ns)
			last_ns = drop_counts(drop)->first_ns;
		if (pause && r->received > o->octets / 2) {
			sleep_ms(o->pause_ms);
			pause = false;
		}
		note_arrival(r, &last_ns, (uint64_t)n);
		if (o->confirm_each)
			confirm(fd, o, before, r->received);
	}
	drop_arm(drop, false);
	r->completion_ns = last_ns - drop_counts(drop)->first_ns;
}

static void save(const char *path, const uint8_t *stream, uint64_t len)
{
	FILE *f = fopen(path, "wb");
	sink_must(f && fwrite(stream, 1, len, f) == len && fclose(f) == 0, "writing the file after -o");
}

static void report_direction(const char *name, const struct drop_direction *d)
{
	printf(", \"%s_seen\": %llu, \"%s_dropped\": %llu, \"%s_dropped_numbers\": %llu", name, d->seen, name,
	       d->dropped, name, d->dropped_numbers);
}

static void report(const struct sink_result *r, const struct drop_counts *c)
{
	printf("{\"received\": %" PRIu64 ", \"completion_ns\": %" PRIu64 ", \"stall_ns\": %" PRIu64
	       ", \"stall_at\": %" PRIu64 ", \"reads\": %" PRIu64,
	       r->received, r->completion_ns, r->stall_ns, r->stall_at, r->reads);
	report_direction("data", &c->directions[DROP_DATA]);
	report_direction("acks", &c->directions[DROP_ACKS]);
	printf(", \"oversize\": %llu, \"silence_ns\": %llu}\n", c->oversize, c->silence_ns);
}

static void parse(int argc, char **argv, struct sink_options *o)
{
	for (int c; (c = getopt(argc, argv, "a:i:n:m:o:el:s:p:d:")) != -1;) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;
		switch (c) {
		case 'a':
			o->address = optarg;
			break;
		case 'i':
			o->interface = optarg;
			break;
		case 'n':
			o->octets = number;
			break;
		case 'm':
			o->message_octets = number;
			break;
		case 'o':
			o->output = optarg;
			break;
		case 'e':
			o->confirm_each = true;
			break;
		case 'l':
			o->per_million = (uint32_t)number;
			break;
		case 's':
			o->seed = (uint32_t)number;
			break;
		case 'p':
			o->pause_ms = (uint32_t)number;
			break;
		case 'd':
			o->delay_ms = (uint32_t)number;
			break;
		default:
			exit(2);
		}
	}
	sink_must(o->address && o->interface && o->output && o->octets && o->message_octets, "-a -i -o -n -m");
}

int main(int argc, char **argv)
{
	struct sink_options options = {0};
	struct sink_result result = {0};

	parse(argc, argv, &options);
	uint8_t *stream = malloc(options.octets);
	sink_must(stream != NULL, "memory");
	memset(stream, 0, options.octets); /* no page fault while it counts */
	struct dropper *drop = drop_attach(&options);
	int listener = start_listening(options.address);
	puts("ready");
	fflush(stdout);
	int fd = take_publisher(listener);
	amqp_begin(fd);
	drop_arm(drop, true);
	amqp_select_ok(fd);
	take_stream(fd, &options, drop, stream, &result);
	const struct drop_counts counts = *drop_counts(drop);
	if (!options.confirm_each)
		amqp_confirm(fd, options.octets / options.message_octets);
	amqp_end(fd);
	drop_detach(drop);
	save(options.output, stream, result.received);
	report(&result, &counts);
	free(stream);
	return 0;
}
