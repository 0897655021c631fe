/*
 * Several workers of one engine over a port that is played here: it spreads what it receives over its queues by the
 * local port's number, as a NIC does by its hash, and answers ARP and SYNs. Workers are inline, so the port is this
 * thread's; only the set-up operations run on the control thread.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"
#include "dataplane/publisher.h"
#include "dataplane/net/arp.h"
#include "dataplane/net/ethernet.h"
#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/telemetry.h"
#include "tests/lib/tcp_peer.h"

#define BROKER      0x0a010207u /* 10.1.2.7, of 10.1.2.5/24's network */
#define QUEUES_MAX  4u
#define FRAMES      64u
#define PATIENCE_NS 5000000000ull

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, broker_mac[6] = {2, 0, 0, 0, 0, 7};

/* ---- the port ---- */

struct frame {
	uint32_t len;
	uint8_t octets[1600];
};

struct fake {
	struct driver driver;
	struct frame rx[FRAMES], tx[DRIVER_BURST_MAX];
	uint32_t rx_count;
	uint32_t syns, resets;  /* sent by the worker */
	uint32_t data_segments; /* the first of each connection: on a busy machine TCP repeats them */
	uint16_t vlan;          /* of the last segment */
	uint16_t data_port;     /* of the last data segment */
	uint32_t data_seq;
	uint32_t bursts; /* asked for: the worker's turns */
};

static struct {
	/* how it behaves */
	bool predicts, answers_arp, is_shared;
	uint16_t vlan;      /* of the address, as the driver says */
	int fails_on_queue; /* -1: none */
	const char *reason;
	/* what has happened */
	_Atomic(struct fake *) queues[QUEUES_MAX];
	_Atomic int live, created;
	_Atomic uint32_t strayed;
	_Atomic int wanted_queues;  /* of the last creation */
	uint8_t wrong_queue[65536]; /* by local port: 1 more than flow_wrong_queue answers; control thread */
	uint8_t has_sent[65536];    /* by local port: data, since its SYN; its worker */
} port;

static char log_text[4096];
static int telemetry_wanted;  /* of the next engine */
static bool logged_elsewhere; /* than by the control thread */

static struct fake *fake_of(const struct driver *d)
{
	return (struct fake *)(uintptr_t)d;
}

static uint32_t queue_of(uint16_t local_port)
{
	return local_port % (uint32_t)atomic_load(&port.wanted_queues);
}

static void arrive(uint32_t queue, uint16_t type, const uint8_t *payload, size_t len)
{
	struct fake *f = port.queues[queue];
	assert_true(f && f->rx_count < FRAMES);
	struct frame *frame = &f->rx[f->rx_count++];
	size_t link = ethernet_build(frame->octets, our_mac, broker_mac, 0, type);
	memcpy(frame->octets + link, payload, len);
	frame->len = (uint32_t)(link + len);
}

static void take_arp(const uint8_t *payload, size_t len)
{
	struct arp arp;
	uint8_t reply[ARP_BYTES];
	assert_int_equal(arp_parse(payload, len, &arp), 0);
	if (!port.answers_arp || arp.target_ip != BROKER)
		return;
	arp_build_reply(reply, broker_mac, &arp);
	arrive((uint32_t)atomic_load(&port.wanted_queues) - 1, ETHERTYPE_ARP, reply, sizeof reply); /* on any queue */
}

static void take_segment(struct fake *f, const uint8_t *payload, size_t len, uint16_t vlan)
{
	struct wire_segment s;
	uint8_t answer[200];
	assert_true(wire_parse(payload, len, &s));
	f->resets += !!(s.flags & WIRE_RST);
	f->vlan = vlan;
	if (s.len) {
		f->data_segments += !port.has_sent[s.source_port];
		port.has_sent[s.source_port] = 1;
		f->data_port = s.source_port;
		f->data_seq = s.seq;
	}
	if (!(s.flags & WIRE_SYN))
		return;
	f->syns++;
	port.has_sent[s.source_port] = 0;
	const struct wire_segment syn_ack = {.source_ip = s.destination_ip,
					     .destination_ip = s.source_ip,
					     .source_port = s.destination_port,
					     .destination_port = s.source_port,
					     .seq = 1000,
					     .ack = s.seq + 1,
					     .window = 65535,
					     .flags = WIRE_SYN | WIRE_ACK,
					     .mss = 1460,
					     .scale = -1};
	arrive(queue_of(s.source_port), ETHERTYPE_IPV4, answer, wire_build(answer, &syn_ack));
}

static uint32_t rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct fake *f = fake_of(d);
	f->bursts++;
	uint32_t n = f->rx_count < max ? f->rx_count : max;
	for (uint32_t i = 0; i < n; i++)
		packets[i] = (struct packet){.data = f->rx[i].octets, .len = f->rx[i].len};
	return n;
}

static void rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	struct fake *f = fake_of(d);
	f->rx_count -= n;
	memmove(f->rx, f->rx + n, f->rx_count * sizeof f->rx[0]);
}

static uint32_t tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	for (uint32_t i = 0; i < max; i++)
		packets[i] = (struct packet){.data = fake_of(d)->tx[i].octets, .len = 1600};
	return max;
}

static void tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	for (uint32_t i = 0; i < n; i++) {
		struct ethernet_frame frame = {0};
		assert_int_equal(ethernet_parse(packets[i].data, packets[i].len, &frame), 0);
		if (packets[i].flags & PACKET_FILL_CHECKSUM)
			wire_repair((uint8_t *)frame.payload, packets[i].len - (frame.payload - packets[i].data));
		if (frame.type == ETHERTYPE_ARP)
			take_arp(frame.payload, frame.payload_len);
		else
			take_segment(fake_of(d), frame.payload, frame.payload_len, frame.vlan);
	}
}

static int flow_add(struct driver *d, const struct driver_flow *flow)
{
	port.wrong_queue[flow->local_port] = 0;
	return 0;
}

static void flow_remove(struct driver *d, const struct driver_flow *flow)
{
}

static int flow_queue(const struct driver *d, const struct driver_flow *flow)
{
	return port.predicts ? (int)queue_of(flow->local_port) : -1;
}

static void flow_strayed(struct driver *d, const struct driver_flow *flow, uint32_t queue)
{
	assert_int_equal(queue, queue_of(flow->local_port));
	port.wrong_queue[flow->local_port] = (uint8_t)(queue + 1);
	atomic_fetch_add(&port.strayed, 1);
}

static int flow_wrong_queue(struct driver *d, const struct driver_flow *flow)
{
	return port.wrong_queue[flow->local_port] - 1;
}

static void stats(const struct driver *d, struct driver_stats *out)
{
	*out = (struct driver_stats){.tx_packets = 100 + d->info.queue};
}

static void destroy(struct driver *d)
{
	port.queues[d->info.queue] = NULL;
	atomic_fetch_sub(&port.live, 1);
	free(d);
}

static const struct driver_ops OPS = {.rx_burst = rx_burst,
				      .rx_release = rx_release,
				      .tx_reserve = tx_reserve,
				      .tx_submit = tx_submit,
				      .flow_add = flow_add,
				      .flow_remove = flow_remove,
				      .flow_queue = flow_queue,
				      .flow_strayed = flow_strayed,
				      .flow_wrong_queue = flow_wrong_queue,
				      .stats = stats,
				      .destroy = destroy};

/* In place of drivers/dpdk's. */
int dpdk_create(const struct dpdk_options *o, struct driver **out, char *why, size_t why_bytes)
{
	if (o->queue == port.fails_on_queue) {
		snprintf(why, why_bytes, "queue %u of %s is broken", o->queue, o->device);
		return HW_ERR_SYSTEM;
	}
	struct fake *f = calloc(1, sizeof *f);
	f->driver = (struct driver){.ops = &OPS,
				    .info = {.name = "dpdk",
					     .mode = "fake",
					     .mtu = 1500,
					     .frame_bytes = 1600,
					     .queues = o->queues,
					     .queue = o->queue,
					     .shared_address = port.is_shared,
					     .vlan = port.vlan,
					     .steering = "by hand",
					     .tx_checksum = true,
					     .rx_checksum = true}};
	snprintf(f->driver.info.device, sizeof f->driver.info.device, "%s", o->device);
	snprintf(f->driver.info.reason, sizeof f->driver.info.reason, "%s", port.reason ? port.reason : "");
	memcpy(f->driver.info.mac, our_mac, 6);
	atomic_store(&port.wanted_queues, o->queues);
	port.queues[o->queue] = f;
	atomic_fetch_add(&port.live, 1);
	atomic_fetch_add(&port.created, 1);
	*out = &f->driver;
	return 0;
}

static struct telemetry_source asked;

int dpdk_telemetry_open(const struct telemetry_source *source)
{
	if (asked.context)
		return HW_ERR_BUSY;
	asked = *source;
	return 0;
}

void dpdk_telemetry_close(void)
{
	asked.context = NULL;
}

/* ---- the engine ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void log_line(void *context, enum harewire_log_level level, const char *line)
{
	char thread[16] = "";
	pthread_mutex_lock(&log_lock);
	pthread_getname_np(pthread_self(), thread, sizeof thread);
	logged_elsewhere |= strcmp(thread, "harewire-ctl") != 0;
	size_t len = strlen(log_text);
	snprintf(log_text + len, sizeof log_text - len, "%d %s\n", (int)level, line);
	pthread_mutex_unlock(&log_lock);
}

static int setup(void **state)
{
	memset(&port, 0, sizeof port);
	port.fails_on_queue = -1;
	port.answers_arp = true;
	log_text[0] = '\0';
	telemetry_wanted = 0;
	logged_elsewhere = false;
	return 0;
}

/* `count` inline workers on the port. */
static struct harewire *engine(uint32_t count)
{
	struct harewire_worker_options workers[HAREWIRE_WORKERS_MAX];
	struct harewire_options options;
	struct harewire *hw;
	char why[256];
	harewire_options_init(&options);
	options.driver = "dpdk";
	options.device = "fake0";
	options.address = "10.1.2.5/24";
	options.mode = HAREWIRE_INLINE;
	options.workers = workers;
	options.worker_count = count;
	options.telemetry = telemetry_wanted;
	options.log_line = log_line;
	for (uint32_t i = 0; i < count; i++)
		harewire_worker_options_init(&workers[i]);
	if (harewire_create(&options, &hw, why, sizeof why))
		fail_msg("%s", why);
	return hw;
}

static int try_open(struct harewire *hw, int worker, struct harewire_publisher **out, char *why, size_t why_bytes)
{
	struct harewire_publisher_options options;
	harewire_publisher_options_init(&options);
	options.url = "amqp://10.1.2.7";
	options.worker = worker;
	options.log_bytes = 4096;
	options.max_messages = 16;
	options.max_templates = 1;
	return harewire_publisher_open(hw, &options, out, why, why_bytes);
}

static struct harewire_publisher *open_on(struct harewire *hw, int worker)
{
	struct harewire_publisher *p;
	char why[256] = "";
	if (try_open(hw, worker, &p, why, sizeof why))
		fail_msg("%s", why);
	return p;
}

static struct harewire_driver_info info_of(struct harewire *hw, uint32_t worker)
{
	struct harewire_driver_info info;
	harewire_driver_info(hw, worker, &info);
	return info;
}

/* Turns all workers until `condition` holds. */
#define TURN_UNTIL(hw, condition)                                                                                      \
	do {                                                                                                           \
		uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;                                              \
		while (!(condition)) {                                                                                 \
			harewire_poll(hw);                                                                             \
			if (clock_monotonic_ns() > give_up_ns)                                                         \
				fail_msg("in vain: %s\n%s", #condition, log_text);                                     \
		}                                                                                                      \
	} while (0)

/* ---- which worker ---- */

static void a_publisher_goes_to_the_worker_with_the_fewest(void **state)
{
	struct harewire *hw = engine(3);
	struct harewire_publisher *p[8];
	port.answers_arp = false;
	assert_int_equal(harewire_worker_count(hw), 3);
	p[0] = open_on(hw, 1);
	for (int i = 1; i < 6; i++)
		p[i] = open_on(hw, -1); /* 0, 2, 0, 1, 2 */
	for (uint32_t w = 0; w < 3; w++)
		assert_int_equal(info_of(hw, w).publishers, 2);
	harewire_publisher_destroy(p[5]);
	assert_int_equal(info_of(hw, 2).publishers, 1);
	p[5] = open_on(hw, 0);
	p[6] = open_on(hw, -1);
	assert_int_equal(info_of(hw, 0).publishers, 3);
	assert_int_equal(info_of(hw, 2).publishers, 2);
	for (int i = 0; i < 7; i++)
		harewire_publisher_destroy(p[i]);
	for (uint32_t w = 0; w < 3; w++)
		assert_int_equal(info_of(hw, w).publishers, 0);
	harewire_destroy(hw);
}

static void a_worker_that_is_not_there_or_full_is_said(void **state)
{
	struct harewire *hw = engine(2);
	static struct harewire_publisher *p[256], *more;
	char why[256];
	port.answers_arp = false;
	assert_int_equal(try_open(hw, 2, &more, why, sizeof why), HAREWIRE_ERR_INVALID);
	assert_string_equal(why, "there is no worker 2: there are 2, numbered from 0");
	for (int i = 0; i < 256; i++)
		p[i] = open_on(hw, 1);
	assert_int_equal(try_open(hw, 1, &more, why, sizeof why), HAREWIRE_ERR_BUSY);
	assert_non_null(strstr(why, "worker 1 already has 256 publishers"));
	more = open_on(hw, -1);
	assert_int_equal(info_of(hw, 0).publishers, 1);
	for (int i = 0; i < 256; i++)
		harewire_publisher_destroy(p[i]);
	harewire_publisher_destroy(more);
	harewire_destroy(hw);
}

static void each_inline_worker_can_be_turned_alone(void **state)
{
	struct harewire *hw = engine(2);
	assert_true(harewire_poll_worker(hw, 1) >= 0);
	assert_int_equal(harewire_poll_worker(hw, 2), HAREWIRE_ERR_INVALID);
	harewire_destroy(hw);
}

/* Control takes a publisher back in a millisecond or two; the worker's other connections live on meanwhile. */
static void destroying_a_publisher_does_not_stop_its_inline_worker(void **state)
{
	struct harewire *hw = engine(1);
	struct harewire_publisher *p[20];
	uint32_t most = 0;
	for (int i = 0; i < 20; i++)
		p[i] = open_on(hw, 0);
	TURN_UNTIL(hw, port.queues[0] && port.queues[0]->data_segments >= 20);
	for (int i = 0; i < 20; i++) {
		uint32_t before = port.queues[0]->bursts;
		harewire_publisher_destroy(p[i]);
		uint32_t turns = port.queues[0]->bursts - before;
		most = turns > most ? turns : most;
	}
	assert_true(most > 4);
	harewire_destroy(hw);
}

/* ---- one port ---- */

static void the_queues_of_a_port_come_up_together_and_go_together(void **state)
{
	struct harewire *hw = engine(3);
	assert_string_equal(info_of(hw, 0).driver, "");
	struct harewire_publisher *p = open_on(hw, 1);
	TURN_UNTIL(hw, info_of(hw, 2).driver[0] && port.queues[1]->data_segments > 0);
	assert_int_equal(atomic_load(&port.created), 3);
	assert_int_equal(atomic_load(&port.wanted_queues), 3);
	for (uint32_t w = 0; w < 3; w++) {
		struct harewire_driver_info info = info_of(hw, w);
		assert_string_equal(info.driver, "dpdk");
		assert_string_equal(info.device, "fake0");
		assert_string_equal(info.steering, "by hand");
		assert_string_equal(info.offloads, "checksums");
		assert_int_equal(info.queue, w);
		assert_int_equal(info.cpu, -1);
		assert_int_equal(info.packets_sent, 100 + w);
	}
	assert_int_equal(port.queues[0]->syns + port.queues[2]->syns, 0);
	harewire_publisher_destroy(p);
	assert_int_equal(atomic_load(&port.live), 3);
	harewire_destroy(hw);
	assert_int_equal(atomic_load(&port.live), 0);
}

static void a_queue_that_cannot_be_had_takes_none_of_the_others(void **state)
{
	struct harewire *hw = engine(3);
	struct harewire_event event = {0};
	port.fails_on_queue = 2;
	struct harewire_publisher *p = open_on(hw, 0);
	TURN_UNTIL(hw, harewire_event_poll(p, &event) == 1);
	assert_int_equal(event.type, HAREWIRE_EVENT_FAILED);
	assert_string_equal(event.text, "queue 2 of fake0 is broken");
	assert_int_equal(atomic_load(&port.live), 0);
	assert_string_equal(info_of(hw, 0).driver, "");
	harewire_publisher_destroy(p);
	port.fails_on_queue = -1;
	p = open_on(hw, 0);
	TURN_UNTIL(hw, port.queues[0] && port.queues[0]->data_segments > 0);
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
}

static void what_a_driver_calls_slow_is_a_warning(void **state)
{
	port.reason = "slow: CPU 1 is on NUMA node 0, the device on node 1";
	struct harewire *hw = engine(1);
	struct harewire_publisher *p = open_on(hw, -1);
	TURN_UNTIL(hw, port.queues[0] && port.queues[0]->data_segments > 0);
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
	char expected[32];
	snprintf(expected, sizeof expected, "%d driver dpdk", HAREWIRE_LOG_WARNING);
	assert_non_null(strstr(log_text, expected));
	assert_non_null(strstr(log_text, port.reason));
}

/* ---- steering ---- */

static uint32_t all_syns(void)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < QUEUES_MAX; i++)
		n += port.queues[i] ? port.queues[i]->syns : 0;
	return n;
}

static void a_port_is_chosen_whose_packets_come_to_the_workers_queue(void **state)
{
	struct harewire *hw = engine(4);
	struct harewire_publisher *p[16];
	port.predicts = true;
	for (int i = 0; i < 16; i++)
		p[i] = open_on(hw, -1);
	uint32_t done = 0;
	/* The control thread makes the queues one after the other. */
	TURN_UNTIL(hw, (done = port.queues[3] ? port.queues[0]->data_segments + port.queues[1]->data_segments +
							port.queues[2]->data_segments + port.queues[3]->data_segments
					      : 0) >= 16);
	assert_int_equal(all_syns(), 16); /* the first try of each */
	for (uint32_t q = 0; q < 4; q++) {
		assert_int_equal(port.queues[q]->syns, 4);
		assert_int_equal(queue_of(port.queues[q]->data_port), q);
		assert_int_equal(port.queues[q]->resets, 0);
	}
	assert_int_equal(atomic_load(&port.strayed), 0);
	for (int i = 0; i < 16; i++)
		harewire_publisher_destroy(p[i]);
	harewire_destroy(hw);
}

/* Chance decides how many tries: of 64 connections over four queues it takes many. */
static void without_prediction_ports_are_tried_until_one_comes_to_the_workers_queue(void **state)
{
	struct harewire *hw = engine(4);
	struct harewire_publisher *p[64];
	for (int i = 0; i < 64; i++)
		p[i] = open_on(hw, 3);
	TURN_UNTIL(hw, port.queues[3] && port.queues[3]->data_segments >= 64);
	assert_true(all_syns() > 64);
	assert_int_equal(all_syns(), port.queues[3]->syns);
	assert_true(atomic_load(&port.strayed) > 0);
	assert_int_equal(queue_of(port.queues[3]->data_port), 3);
	/* The SYN-ACKs that strayed were somebody's: they were not refused. */
	for (uint32_t q = 0; q < 3; q++)
		assert_int_equal(port.queues[q]->resets, 0);
	for (int i = 0; i < 64; i++)
		harewire_publisher_destroy(p[i]);
	harewire_destroy(hw);
}

/* A router's word about worker 0's connection comes to worker 1, as its hash will have it. */
static void an_icmp_error_reaches_the_connection_whatever_queue_it_comes_to(void **state)
{
	struct harewire *hw = engine(2);
	struct harewire_publisher_stats figures;
	uint8_t packet[56] = {0x45, 0, 0, 56, 0, 0, 0, 0, 60, 1};
	port.predicts = true;
	struct harewire_publisher *p = open_on(hw, 0);
	TURN_UNTIL(hw, port.queues[0] && port.queues[0]->data_segments > 0);
	TURN_UNTIL(hw, (harewire_publisher_stats(p, &figures), figures.mss > 1400));
	put_be32(packet + 12, 0x0a0102fe);
	put_be32(packet + 16, 0x0a010205);
	packet[20] = 3;
	packet[21] = 4;
	put_be16(packet + 26, 1000);
	packet[28] = 0x45;
	packet[37] = 6;
	put_be32(packet + 40, 0x0a010205);
	put_be32(packet + 44, BROKER);
	put_be16(packet + 48, port.queues[0]->data_port);
	put_be16(packet + 50, 5672);
	put_be32(packet + 52, port.queues[0]->data_seq);
	uint16_t icmp = wire_checksum(0, packet + 20, 36), ip = wire_checksum(0, packet, 20);
	put_be16(packet + 22, icmp);
	put_be16(packet + 10, ip);
	arrive(1, ETHERTYPE_IPV4, packet, sizeof packet);
	TURN_UNTIL(hw, (harewire_publisher_stats(p, &figures), figures.mss <= 960));
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
}

/* ---- sharing the kernel's address ---- */

static void segments_have_the_tag_that_the_driver_names(void **state)
{
	port.vlan = 300;
	struct harewire *hw = engine(1);
	struct harewire_publisher *p = open_on(hw, 0);
	TURN_UNTIL(hw, port.queues[0] && port.queues[0]->data_segments);
	assert_int_equal(port.queues[0]->vlan, 300);
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
}

static void a_device_that_cannot_share_needs_an_address(void **state)
{
	struct harewire_options options;
	struct harewire_publisher_options where;
	struct harewire_publisher *p;
	struct harewire_event event = {0};
	struct harewire *hw;
	harewire_options_init(&options);
	options.driver = "dpdk";
	options.device = "fake0";
	options.mode = HAREWIRE_INLINE;
	assert_int_equal(harewire_create(&options, &hw, NULL, 0), 0);
	harewire_publisher_options_init(&where);
	where.url = "amqp://127.0.0.1";
	assert_int_equal(harewire_publisher_open(hw, &where, &p, NULL, 0), 0);
	TURN_UNTIL(hw, harewire_event_poll(p, &event) == 1);
	assert_int_equal(event.type, HAREWIRE_EVENT_FAILED);
	assert_non_null(strstr(event.text, "--address 10.1.2.3/24"));
	assert_int_equal(atomic_load(&port.created), 1);
	assert_int_equal(atomic_load(&port.live), 0);
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
}

/* ---- hosts ---- */

static void hosts_that_no_route_leads_to_are_each_named_with_the_reason(void **state)
{
	static const char *const hosts[] = {"10.9.9.8:5673"};
	struct harewire *hw = engine(1);
	struct harewire_publisher_options where;
	struct harewire_publisher *p;
	struct harewire_event event = {0};
	harewire_publisher_options_init(&where);
	where.url = "amqp://10.9.9.9";
	where.hosts = hosts;
	where.host_count = 1;
	assert_int_equal(harewire_publisher_open(hw, &where, &p, NULL, 0), 0);
	TURN_UNTIL(hw, harewire_event_poll(p, &event) == 1);
	assert_int_equal(event.type, HAREWIRE_EVENT_FAILED);
	assert_non_null(strstr(event.text, "none of 2 hosts can be used: 10.9.9.9:5672: no route to 10.9.9.9 from "));
	assert_non_null(strstr(event.text, "; 10.9.9.8:5673: no route to 10.9.9.8 from "));
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
}

/* ---- telemetry ---- */

static struct telemetry_figure figures[TELEMETRY_FIGURES_MAX];

static const struct telemetry_figure *figure(enum telemetry_list list, uint64_t id, const char *name)
{
	uint32_t n = asked.describe(asked.context, list, id, figures);
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(figures[i].name, name))
			return &figures[i];
	fail_msg("%u figures, none of them %s", n, name);
	return NULL;
}

static void telemetry_tells_of_workers_connections_and_publishers(void **state)
{
	uint64_t ids[8];
	telemetry_wanted = 1;
	port.predicts = true;
	struct harewire *hw = engine(2), *second;
	struct harewire_publisher *p[3] = {open_on(hw, 0), open_on(hw, 1), open_on(hw, 1)};
	TURN_UNTIL(hw, port.queues[1] && port.queues[1]->data_segments >= 2);
	assert_int_equal(asked.list(asked.context, TELEMETRY_WORKERS, ids, 8), 2);
	assert_int_equal(ids[1], 1);
	assert_string_equal(figure(TELEMETRY_WORKERS, 1, "driver")->text, "dpdk");
	assert_int_equal(figure(TELEMETRY_WORKERS, 1, "publishers")->number, 2);
	assert_int_equal(figure(TELEMETRY_WORKERS, 1, "packets_sent")->number, 101);
	assert_int_equal(asked.describe(asked.context, TELEMETRY_WORKERS, 2, figures), 0);
	assert_int_equal(asked.list(asked.context, TELEMETRY_CONNECTIONS, ids, 8), 3);
	assert_true(ids[0] < ids[1] && ids[1] < ids[2]);
	assert_int_equal(asked.list(asked.context, TELEMETRY_PUBLISHERS, ids + 3, 2), 2); /* the first of them */
	assert_int_equal(ids[3], ids[0]);
	assert_int_equal(ids[4], ids[1]);
	assert_string_equal(figure(TELEMETRY_CONNECTIONS, ids[2], "remote")->text, "10.1.2.7:5672");
	assert_string_equal(figure(TELEMETRY_CONNECTIONS, ids[2], "phase")->text, "logging in");
	assert_int_equal(figure(TELEMETRY_CONNECTIONS, ids[2], "worker")->number, 1);
	assert_string_equal(figure(TELEMETRY_PUBLISHERS, ids[0], "name")->text, "harewire");
	assert_int_equal(figure(TELEMETRY_PUBLISHERS, ids[0], "accepted")->number, 0);
	harewire_publisher_destroy(p[1]);
	assert_int_equal(asked.list(asked.context, TELEMETRY_PUBLISHERS, ids, 8), 2);
	second = engine(1); /* does without */
	assert_non_null(strstr(log_text, "no telemetry: another engine"));
	assert_false(logged_elsewhere);
	harewire_destroy(second);
	assert_non_null(asked.context);
	harewire_publisher_destroy(p[0]);
	harewire_publisher_destroy(p[2]);
	harewire_destroy(hw);
	assert_null(asked.context);
}

static void assert_tells(uint64_t id, const char *state, const char *host, const char *blockages, const char *reason)
{
	assert_string_equal(figure(TELEMETRY_PUBLISHERS, id, "state")->text, state);
	assert_string_equal(figure(TELEMETRY_PUBLISHERS, id, "host")->text, host);
	assert_string_equal(figure(TELEMETRY_PUBLISHERS, id, "blockages")->text, blockages);
	assert_string_equal(figure(TELEMETRY_PUBLISHERS, id, "reason")->text, reason);
}

/* The worker's part is played: it runs on this thread. */
static void telemetry_tells_how_a_publisher_stands_and_why(void **state)
{
	uint64_t id, earlier_ns;
	telemetry_wanted = 1;
	struct harewire *hw = engine(1);
	struct harewire_publisher *p = open_on(hw, 0);
	assert_int_equal(asked.list(asked.context, TELEMETRY_PUBLISHERS, &id, 1), 1);
	TURN_UNTIL(hw, figure(TELEMETRY_PUBLISHERS, id, "attempts")->number == 1);
	assert_tells(id, "connecting", "", "", "");
	publisher_set_ready(p, "mq1:5672");
	publisher_count_connection(p, false);
	assert_tells(id, "ready", "mq1:5672", "", "");
	publisher_set_blockage(p, HAREWIRE_BLOCKAGE_WINDOW, true, NULL, 0);
	publisher_set_blockage(p, HAREWIRE_BLOCKAGE_ALARM, true, "low on memory", 13);
	assert_tells(id, "blocked", "mq1:5672", "alarm, window", "low on memory");
	publisher_set_blockage(p, HAREWIRE_BLOCKAGE_ALARM, false, NULL, 0);
	assert_tells(id, "blocked", "mq1:5672", "window", "");
	publisher_set_disconnected(p, HW_ERR_CONN_RESET, "320 CONNECTION_FORCED", 21);
	assert_tells(id, "reconnecting", "mq1:5672", "", "320 CONNECTION_FORCED");
	earlier_ns = figure(TELEMETRY_PUBLISHERS, id, "state_ns")->number;
	assert_true(figure(TELEMETRY_PUBLISHERS, id, "state_ns")->number > earlier_ns);
	publisher_set_ready(p, "mq2:5672");
	publisher_count_connection(p, false);
	publisher_count_replayed(p, 7);
	publisher_count_connection(p, true);
	assert_tells(id, "ready", "mq2:5672", "", "");
	assert_int_equal(figure(TELEMETRY_PUBLISHERS, id, "connections")->number, 2);
	assert_int_equal(figure(TELEMETRY_PUBLISHERS, id, "channels")->number, 1);
	assert_int_equal(figure(TELEMETRY_PUBLISHERS, id, "replayed")->number, 7);
	harewire_publisher_destroy(p);
	harewire_destroy(hw);
}

/* ---- threads ---- */

static void threads_start_and_stop_and_a_wrong_cpu_is_explained(void **state)
{
	struct harewire_worker_options workers[3];
	struct harewire_options options;
	struct harewire *hw;
	char why[512] = "";
	harewire_options_init(&options);
	options.driver = "kernel";
	options.idle = HAREWIRE_IDLE_BACKOFF;
	options.workers = workers;
	options.worker_count = 3;
	for (int i = 0; i < 3; i++)
		harewire_worker_options_init(&workers[i]);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(harewire_create(&options, &hw, why, sizeof why), 0);
		assert_int_equal(harewire_poll(hw), HAREWIRE_ERR_INVALID);
		assert_int_equal(harewire_poll_worker(hw, 0), HAREWIRE_ERR_INVALID);
		harewire_destroy(hw);
	}
	workers[2].cpu = 1023;
	assert_int_equal(harewire_create(&options, &hw, why, sizeof why), HAREWIRE_ERR_NO_CPU);
	assert_non_null(strstr(why, "worker 2 cannot be started: CPU 1023"));
	workers[2].cpu = -1;
	workers[1].driver = "verbs";
	assert_int_equal(harewire_create(&options, &hw, why, sizeof why), HAREWIRE_ERR_INVALID);
	assert_non_null(strstr(why, "verbs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_publisher_goes_to_the_worker_with_the_fewest, setup),
		cmocka_unit_test_setup(a_worker_that_is_not_there_or_full_is_said, setup),
		cmocka_unit_test_setup(each_inline_worker_can_be_turned_alone, setup),
		cmocka_unit_test_setup(destroying_a_publisher_does_not_stop_its_inline_worker, setup),
		cmocka_unit_test_setup(the_queues_of_a_port_come_up_together_and_go_together, setup),
		cmocka_unit_test_setup(a_queue_that_cannot_be_had_takes_none_of_the_others, setup),
		cmocka_unit_test_setup(what_a_driver_calls_slow_is_a_warning, setup),
		cmocka_unit_test_setup(a_port_is_chosen_whose_packets_come_to_the_workers_queue, setup),
		cmocka_unit_test_setup(without_prediction_ports_are_tried_until_one_comes_to_the_workers_queue, setup),
		cmocka_unit_test_setup(an_icmp_error_reaches_the_connection_whatever_queue_it_comes_to, setup),
		cmocka_unit_test_setup(segments_have_the_tag_that_the_driver_names, setup),
		cmocka_unit_test_setup(a_device_that_cannot_share_needs_an_address, setup),
		cmocka_unit_test_setup(hosts_that_no_route_leads_to_are_each_named_with_the_reason, setup),
		cmocka_unit_test_setup(telemetry_tells_of_workers_connections_and_publishers, setup),
		cmocka_unit_test_setup(hosts_that_no_route_leads_to_are_each_named_with_the_reason, setup),
		cmocka_unit_test_setup(telemetry_tells_how_a_publisher_stands_and_why, setup),
		cmocka_unit_test_setup(threads_start_and_stop_and_a_wrong_cpu_is_explained, setup),
	};
	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
