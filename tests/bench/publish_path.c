/*
 * The program that `make bench-instructions` runs under callgrind: an inline publisher over user-space TCP, a null driver,
 * and an interceptor that plays the broker's host. No kernel, no other thread, no clock but the TSC.
 *
 *     publish_path MESSAGES
 *
 * Each message: one publish() that ends in a packet at the null driver, one turn that receives the peer's ACK, one turn
 * that receives its basic.ack. What is counted is chosen from outside, by function.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp_stream.h"
#include "dataplane/worker.h"
#include "drivers/interceptors/peer.h"
#include "drivers/null/null.h"

#define BODY_BYTES  256
#define CLIENT_PORT 40000

struct bench {
	struct clock_scale clock;
	struct worker worker;
	struct driver *peer;
	struct harewire_publisher *publisher;
	struct connection *connection;
	uint32_t template_id;
};

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "publish_path: %s failed\n", what);
		exit(1);
	}
}

static void push(void *context)
{
	struct bench *b = context;
	worker_push(&b->worker, b->connection);
}

static void command(struct bench *b, struct command cmd)
{
	cmd.connection = b->connection;
	cmd.generation = 1;
	must(spsc_push(&b->worker.channel.commands, &cmd), "command");
}

static struct transport *make_transport(struct bench *b)
{
	struct null_options null = {.buffers = 64, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}};
	struct peer_options peer;
	struct driver *inner;
	peer_options_init(&peer);
	must(null_create(&null, &inner) == 0 && peer_create(&peer, inner, &b->peer) == 0, "driver");
	struct tcp_transport_options tcp = {.streams = 1};
	struct transport *tp;
	tcp_config_init(&tcp.tcp);
	tcp.tcp.mtu = 1500;
	must(tcp_transport_create(b->peer, &tcp, &tp) == 0, "transport");
	return tp;
}

static void make_publisher(struct bench *b)
{
	struct publisher_options o = {.log_bytes = 1 << 20,
				      .max_messages = 4096,
				      .max_templates = 1,
				      .epoch = 1,
				      .clock = &b->clock,
				      .push = push,
				      .push_context = b};
	struct harewire_template_options t = {.exchange = "md",
					      .routing_key = "md.deep.8.ZIEXT",
					      .priority = -1,
					      .slots = HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE};
	must(publisher_create(&o, &b->publisher) == 0, "publisher");
	must(publisher_prepare(b->publisher, &t, &b->template_id, NULL) == 0, "template");
	must(connection_create(b->publisher, &b->connection) == 0, "connection");
}

static void connect_and_hand_over(struct bench *b, struct transport *tp)
{
	struct stream_address to = {.local_ip = 0x0a000001,
				    .remote_ip = 0x0a000002,
				    .local_port = CLIENT_PORT,
				    .remote_port = 5672,
				    .local_mac = {2, 0, 0, 0, 0, 1},
				    .next_hop_mac = {2, 0, 0, 0, 0, 2},
				    .mtu = 1500};
	command(b, (struct command){.type = COMMAND_ATTACH_TRANSPORT, .transport = tp});
	command(b, (struct command){.type = COMMAND_ADD});
	command(b, (struct command){.type = COMMAND_OPEN, .address = to});
	for (int turns = 0; turns < 1000 && b->connection->phase != CONNECTION_HANDSHAKE; turns++)
		worker_turn(&b->worker);
	command(b, (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 131072, .channel = 1}});
	worker_turn(&b->worker);
	must(b->connection->phase == CONNECTION_PUBLISHING, "hand-over");
}

/* The turns whose instructions are counted: their own names, never inlined. */
__attribute__((noinline)) uint32_t turn_with_ack(struct worker *w);
__attribute__((noinline)) uint32_t turn_with_ack(struct worker *w)
{
	return worker_turn(w);
}

__attribute__((noinline)) uint32_t turn_with_confirm(struct worker *w);
__attribute__((noinline)) uint32_t turn_with_confirm(struct worker *w)
{
	return worker_turn(w);
}

__attribute__((noinline)) uint32_t turn_idle(struct worker *w);
__attribute__((noinline)) uint32_t turn_idle(struct worker *w)
{
	return worker_turn(w);
}

static void one_message(struct bench *b, const void *body, uint64_t expected_id)
{
	struct harewire_event event;
	int64_t id = publisher_publish(b->publisher, b->template_id, body, BODY_BYTES, 0);
	must(id == (int64_t)expected_id, "publish");
	must(turn_with_ack(&b->worker) > 0, "the peer's ACK");
	must(peer_confirm(b->peer, CLIENT_PORT, expected_id, false) == 0, "confirm");
	must(turn_with_confirm(&b->worker) > 0, "the peer's confirm");
	must(publisher_event_poll(b->publisher, &event) == 1 && event.type == HAREWIRE_EVENT_CONFIRMED &&
		     event.last == expected_id,
	     "the confirm's event");
	turn_idle(&b->worker);
}

int main(int argc, char **argv)
{
	static struct bench b;
	char body[BODY_BYTES];
	unsigned long messages = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	if (messages == 0) {
		fprintf(stderr, "usage: publish_path MESSAGES\n");
		return 2;
	}
	clock_calibrate(&b.clock);
	struct worker_options w = {.clock = &b.clock, .cpu = -1};
	must(worker_init(&b.worker, &w) == 0, "worker");
	struct transport *tp = make_transport(&b);
	make_publisher(&b);
	connect_and_hand_over(&b, tp);
	memset(body, 'q', sizeof body);
	for (unsigned long i = 1; i <= messages; i++)
		one_message(&b, body, i);

	struct driver_stats stats;
	b.peer->ops->stats(b.peer, &stats);
	printf("%lu messages, %lu packets sent, %lu received\n", messages, stats.tx_packets, stats.rx_packets);
	tp->ops->destroy(tp);
	connection_destroy(b.connection);
	publisher_destroy(b.publisher);
	worker_fini(&b.worker);
	return 0;
}
