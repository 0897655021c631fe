/*
 * The program that `make bench-instructions` runs under callgrind: an inline publisher over user-space TCP, a null
 * driver, and an interceptor that plays the broker's host. No kernel, no other thread, no clock but the TSC.
 *
 *     publish_path publish|ack|confirm|idle MESSAGES
 *     publish_path burst|burst-tso BURSTS
 *
 * Each message: one publish() that ends in a packet at the null driver, one turn that receives the peer's ACK, one turn
 * that receives its basic.ack, one turn with nothing to do. Counting is on during the step that was named, and off
 * within it while the peer works. A burst is 32 messages of 1024 octets and the turn that sends them all; with `-tso`
 * to a device that sums and cuts.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <valgrind/callgrind.h>

#include "dataplane/tcp_stream.h"
#include "dataplane/worker.h"
#include "drivers/interceptors/peer.h"
#include "drivers/null/null.h"

#define BODY_BYTES  256
#define CLIENT_PORT 40000
#define BURST       32u
#define BURST_BODY  1024u
#define TSO_BYTES   65280u

struct bench {
	struct clock_scale clock;
	struct worker worker;
	struct driver *peer;
	struct harewire_publisher *publisher;
	struct connection *connection;
	uint32_t template_id;
};

/* ---- the driver below: the peer, with counting switched off while it works ---- */

static struct driver_ops counted_ops;
static const struct driver_ops *peer_ops;
static bool counting;

static void toggle(void)
{
	if (counting)
		CALLGRIND_TOGGLE_COLLECT;
}

static uint32_t rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	toggle();
	uint32_t n = peer_ops->rx_burst(d, packets, max);
	toggle();
	return n;
}

static void tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	toggle();
	peer_ops->tx_submit(d, packets, n, reserved);
	toggle();
}

static uint8_t large_buffer[TSO_BYTES];

static uint32_t tx_reserve_large(struct driver *d, struct packet *packet)
{
	*packet = (struct packet){.data = large_buffer, .len = TSO_BYTES};
	return 1;
}

static void leave_out_the_peer(struct driver *peer)
{
	peer_ops = peer->ops;
	counted_ops = *peer_ops;
	counted_ops.rx_burst = rx_burst;
	counted_ops.tx_submit = tx_submit;
	counted_ops.tx_reserve_large = tx_reserve_large;
	peer->ops = &counted_ops;
}

/* ---- setting up ---- */

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

static struct transport *make_transport(struct bench *b, bool tso)
{
	struct null_options null = {.buffers = 64, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}};
	struct peer_options peer;
	struct driver *inner;
	peer_options_init(&peer);
	peer.verify_checksum = !tso; /* it sees what the device has yet to cut and sum */
	must(null_create(&null, &inner) == 0 && peer_create(&peer, inner, &b->peer) == 0, "driver");
	leave_out_the_peer(b->peer);
	b->peer->info.tx_checksum = tso;
	b->peer->info.tso_bytes = tso ? TSO_BYTES : 0;
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
	must(connection_create(b->publisher, &(struct connection_options){0}, &b->connection) == 0, "connection");
}

static void connect_and_hand_over(struct bench *b, struct transport *tp)
{
	struct stream_address to = {.local_ip = 0x0a000001,
				    .remote_ip = 0x0a000002,
				    .local_port = CLIENT_PORT,
				    .remote_port = 5672,
				    .local_mac = {2, 0, 0, 0, 0, 1},
				    .next_hop_mac = {2, 0, 0, 0, 0, 2},
				    .mtu = 1500,
				    .connect_timeout_ns = 1000000000u,
				    .rto_min_ns = 1000000000u};
	command(b, (struct command){.type = COMMAND_ATTACH_TRANSPORT, .transport = tp});
	command(b, (struct command){.type = COMMAND_ADD});
	command(b, (struct command){.type = COMMAND_OPEN, .address = to});
	for (int turns = 0; turns < 1000 && b->connection->phase != CONNECTION_HANDSHAKE; turns++)
		worker_turn(&b->worker);
	command(b, (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 131072, .channel = 1}});
	worker_turn(&b->worker);
	struct harewire_event ready;
	must(publisher_event_poll(b->publisher, &ready) == 1 && ready.type == HAREWIRE_EVENT_READY, "hand-over");
}

/* ---- measuring ---- */

enum step { STEP_PUBLISH, STEP_ACK, STEP_CONFIRM, STEP_IDLE, STEP_BURST, STEP_BURST_TSO, STEPS };
static const char *const step_names[STEPS] = {"publish", "ack", "confirm", "idle", "burst", "burst-tso"};

static void begin(bool counted)
{
	counting = counted;
	toggle();
}

static void end(void)
{
	toggle();
	counting = false;
}

static void one_message(struct bench *b, const void *body, uint64_t expected_id, enum step step)
{
	struct harewire_event event;
	begin(step == STEP_PUBLISH);
	int64_t id = publisher_publish(b->publisher, b->template_id, body, BODY_BYTES, 0);
	end();
	must(id == (int64_t)expected_id, "publish");

	begin(step == STEP_ACK);
	uint32_t done = worker_turn(&b->worker);
	end();
	must(done > 0, "the peer's ACK");
	must(peer_confirm(b->peer, CLIENT_PORT, expected_id, false) == 0, "confirm");

	begin(step == STEP_CONFIRM);
	done = worker_turn(&b->worker);
	end();
	must(done > 0, "the peer's confirm");
	must(publisher_event_poll(b->publisher, &event) == 1 && event.type == HAREWIRE_EVENT_CONFIRMED &&
		     event.last == expected_id,
	     "the confirm's event");

	begin(step == STEP_IDLE);
	worker_turn(&b->worker);
	end();
}

static void one_burst(struct bench *b, const void *body, uint64_t last_id)
{
	struct harewire_event event;
	begin(true);
	for (uint32_t i = 0; i < BURST; i++)
		publisher_publish(b->publisher, b->template_id, body, BURST_BODY, HAREWIRE_MORE);
	worker_turn(&b->worker);
	end();
	for (int turns = 0; turns < 200 && worker_turn(&b->worker) > 0; turns++)
		;
	must(peer_confirm(b->peer, CLIENT_PORT, last_id, true) == 0, "confirm");
	worker_turn(&b->worker);
	must(publisher_event_poll(b->publisher, &event) == 1 && event.type == HAREWIRE_EVENT_CONFIRMED &&
		     event.last == last_id,
	     "the confirm's event");
}

int main(int argc, char **argv)
{
	static struct bench b;
	char body[BURST_BODY];
	unsigned long messages = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	enum step step = STEP_PUBLISH;
	while (argc == 3 && step < STEPS && strcmp(argv[1], step_names[step]) != 0)
		step++;
	if (messages == 0 || step == STEPS) {
		fprintf(stderr, "usage: publish_path publish|ack|confirm|idle|burst|burst-tso NUMBER\n");
		return 2;
	}
	/* Read like the real one, but it stands still: no timer fires in one run and not in the next. */
	b.clock = (struct clock_scale){.tsc = true, .ns0 = 1000000000u};
	struct worker_options w = {.clock = &b.clock, .cpu = -1};
	must(worker_init(&b.worker, &w) == 0, "worker");
	struct transport *tp = make_transport(&b, step == STEP_BURST_TSO);
	make_publisher(&b);
	connect_and_hand_over(&b, tp);
	memset(body, 'q', sizeof body);
	for (unsigned long i = 1; i <= messages; i++) {
		if (step < STEP_BURST)
			one_message(&b, body, i, step);
		else
			one_burst(&b, body, i * BURST);
	}

	struct driver_stats stats;
	b.peer->ops->stats(b.peer, &stats);
	printf("%lu messages, %lu packets sent, %lu received\n", messages, stats.tx_packets, stats.rx_packets);
	tp->ops->destroy(tp);
	connection_destroy(b.connection);
	publisher_destroy(b.publisher);
	worker_fini(&b.worker);
	return 0;
}
