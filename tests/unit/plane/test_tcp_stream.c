/* The worker over user-space TCP, a null driver and an interceptor that plays the broker's host. */
#include "tests/unit/plane/plane.h"

#include "dataplane/net/ethernet.h"
#include "dataplane/tcp_stream.h"
#include "drivers/interceptors/capture.h"
#include "drivers/interceptors/peer.h"
#include "drivers/null/null.h"
#include "tests/lib/nic.h"
#include "tests/lib/tcp_peer.h"

#define CLIENT_PORT 40000

/* ---- a spy in front of the peer: keeps the last frame sent, and can refuse buffers ---- */

static struct driver_ops spied_ops;
static const struct driver_ops *peer_ops;
static uint8_t last_frame[2048];
static uint32_t last_frame_len, frames_sent;
static uint8_t last_syn_flags;
static bool no_buffers;

static void tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	frames_sent += n;
	for (uint32_t i = 0; i < n; i++)
		if (packets[i].data[14 + 33] & TCP_SYN) /* behind an Ethernet and an IPv4 header */
			last_syn_flags = packets[i].data[14 + 33];
	if (n > 0) {
		last_frame_len = packets[n - 1].len;
		memcpy(last_frame, packets[n - 1].data, last_frame_len);
	}
	peer_ops->tx_submit(d, packets, n, reserved);
}

static uint32_t tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	return no_buffers ? 0 : peer_ops->tx_reserve(d, packets, max);
}

/* A frame of the test's that arrives next, ahead of the peer's. */
static uint8_t injected[1600];
static uint32_t injected_len;

static uint32_t rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	if (!injected_len)
		return peer_ops->rx_burst(d, packets, max);
	packets[0] = (struct packet){.data = injected, .len = injected_len};
	return 1;
}

static void rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	if (packets[0].data == injected)
		injected_len = 0;
	else
		peer_ops->rx_release(d, packets, n);
}

static struct tcp_segment last_segment(void)
{
	struct tcp_segment s;
	assert_int_equal(tcp_segment_parse(last_frame + 14, last_frame_len - 14, true, &s), 0);
	return s;
}

/* ---- a device that sums and cuts, in the spy's place ---- */

static struct {
	uint32_t tso_bytes;    /* of the next transport; 0: it only sums */
	bool on, no_large;     /* refuse large buffers */
	uint32_t packets, cut; /* submitted; and with PACKET_SEGMENT */
	uint32_t whole, wire;  /* without PACKET_FILL_CHECKSUM; segments that reached the peer */
	uint32_t last_len;     /* of the last packet submitted */
	uint8_t link_header[14];
} device;
static uint8_t large_buffer[65536];

static uint32_t tx_reserve_large(struct driver *d, struct packet *packet)
{
	*packet = (struct packet){.data = large_buffer, .len = device.tso_bytes};
	return !device.no_large;
}

static void to_the_peer(void *context, const uint8_t *ip, size_t len)
{
	struct packet packet;
	assert_int_equal(peer_ops->tx_reserve(context, &packet, 1), 1);
	assert_true(14 + len <= 1514);
	memcpy(packet.data, device.link_header, 14);
	memcpy(packet.data + 14, ip, len);
	packet.len = 14 + (uint32_t)len;
	device.wire++;
	tx_submit(context, &packet, 1, 1);
}

static void device_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	static uint8_t copies[DRIVER_BURST_MAX][65536]; /* what the peer's device is given lies in the same buffers */
	for (uint32_t i = 0; i < n; i++)
		memcpy(copies[i], packets[i].data, packets[i].len);
	for (uint32_t i = 0; i < n; i++) {
		const struct packet *p = &packets[i];
		bool segment = p->flags & PACKET_SEGMENT;
		device.packets++;
		device.cut += segment;
		device.whole += !(p->flags & PACKET_FILL_CHECKSUM);
		device.last_len = p->len;
		memcpy(device.link_header, copies[i], 14);
		nic_transmit(copies[i] + 14, p->len - 14, segment ? p->segment_bytes : 0, to_the_peer, d);
	}
}

/* Before wired_init. */
static void device_init(uint32_t tso_bytes)
{
	memset(&device, 0, sizeof device);
	device.on = true;
	device.tso_bytes = tso_bytes;
}

/* ---- set-up ---- */

static struct side_channel *side; /* of the next transport */

struct wired {
	struct plane p;
	struct driver *peer;
	struct transport *tp;
};

static struct stream_address address(void)
{
	return (struct stream_address){.local_ip = 0x0a000001,
				       .remote_ip = 0x0a000002,
				       .local_port = CLIENT_PORT,
				       .remote_port = 5672,
				       .local_mac = {2, 0, 0, 0, 0, 1},
				       .next_hop_mac = {2, 0, 0, 0, 0, 2},
				       .mtu = 1500,
				       .connect_timeout_ns = 1000000000u,
				       .rto_min_ns = 1000000000u};
}

static void make_transport(struct wired *w)
{
	struct null_options null = {.buffers = 64, .mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}};
	struct peer_options peer;
	struct driver *inner;
	struct tcp_transport_options tcp = {.streams = 1, .side = side};
	peer_options_init(&peer);
	assert_int_equal(null_create(&null, &inner), 0);
	assert_int_equal(peer_create(&peer, inner, &w->peer), 0);
	peer_ops = w->peer->ops;
	spied_ops = *peer_ops;
	spied_ops.tx_submit = tx_submit;
	spied_ops.tx_reserve = tx_reserve;
	spied_ops.rx_burst = rx_burst;
	spied_ops.rx_release = rx_release;
	w->peer->ops = &spied_ops;
	if (device.on) {
		spied_ops.tx_submit = device_submit;
		spied_ops.tx_reserve_large = tx_reserve_large;
		w->peer->info.tx_checksum = true;
		w->peer->info.tso_bytes = device.tso_bytes;
	}
	no_buffers = false;
	frames_sent = 0;
	tcp_config_init(&tcp.tcp);
	tcp.tcp.mtu = 1500;
	assert_int_equal(tcp_transport_create(w->peer, &tcp, &w->tp), 0);
}

static void turns(struct wired *w, int n)
{
	while (n-- > 0)
		worker_turn(&w->p.worker);
}

static void wired_init(struct wired *w)
{
	struct plane *p = &w->p;
	memset(w, 0, sizeof *w);
	make_transport(w);
	struct worker_options options = {.clock = &p->clock, .cpu = -1};
	struct publisher_options o = {
		.log_bytes = 65536, .max_messages = 64, .max_templates = 16, .epoch = 7, .clock = &p->clock};
	assert_int_equal(worker_init(&p->worker, &options), 0);
	assert_int_equal(publisher_create(&o, &p->publisher), 0);
	assert_int_equal(connection_create(p->publisher, &(struct connection_options){0}, &p->connection), 0);
	p->generation = 1;
	plane_command(p, (struct command){.type = COMMAND_ATTACH_TRANSPORT, .transport = w->tp});
	plane_command(p, (struct command){.type = COMMAND_ADD});
	plane_command(p, (struct command){.type = COMMAND_OPEN, .address = address()});
	turns(w, 5);
	plane_event(p, EVENT_CONNECTED);
	plane_command(p, (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 4096, .channel = 1}});
	turns(w, 2);
	expect_event(p, HAREWIRE_EVENT_READY, 0, 0);
}

static void wired_fini(struct wired *w)
{
	w->tp->ops->destroy(w->tp);
	connection_destroy(w->p.connection);
	publisher_destroy(w->p.publisher);
	worker_fini(&w->p.worker);
	device.on = false;
}

/* ---- tests ---- */

static void a_message_leaves_as_one_segment_with_its_link_header(void **state)
{
	struct wired w;
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0), before = frames_sent;
	plane_publish(&w.p, t, "tick");
	turns(&w, 1);
	assert_int_equal(frames_sent, before + 1);
	const uint8_t link[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
	assert_memory_equal(last_frame, link, sizeof link);
	struct tcp_segment s = last_segment();
	const struct message *m = message_at(&w.p.publisher->index, 1);
	assert_int_equal(s.payload_len, m->len);
	assert_memory_equal(s.payload, log_at(&w.p.publisher->log, m->pos), m->len);
	wired_fini(&w);
}

static void a_confirm_comes_back_as_an_outcome(void **state)
{
	struct wired w;
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0);
	plane_publish(&w.p, t, "tick");
	turns(&w, 2);
	assert_int_equal(peer_confirm(w.peer, CLIENT_PORT, 1, false), 0);
	turns(&w, 1);
	expect_event(&w.p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	wired_fini(&w);
}

static void a_stream_without_buffers_is_tried_again_next_turn(void **state)
{
	struct wired w;
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0), before = frames_sent;
	no_buffers = true;
	plane_publish(&w.p, t, "tick");
	turns(&w, 3);
	assert_int_equal(frames_sent, before);
	no_buffers = false;
	turns(&w, 1);
	assert_int_equal(frames_sent, before + 1);
	wired_fini(&w);
}

static void the_peers_fin_is_acknowledged_although_the_connection_is_over(void **state)
{
	struct wired w;
	wired_init(&w);
	/* The peer answers a FIN with its own. */
	struct stream *s = w.p.connection->stream;
	w.p.connection->phase = CONNECTION_FINISHED;
	s->transport->ops->close(s, clock_ns(&w.p.clock));
	turns(&w, 1);
	assert_true(last_segment().flags & TCP_FIN);
	uint32_t fin_seq = last_segment().seq;
	turns(&w, 3);
	assert_int_equal(plane_event(&w.p, EVENT_CLOSED).code, 0);
	struct tcp_segment ack = last_segment();
	assert_false(ack.flags & TCP_FIN);
	assert_int_equal(ack.seq, fin_seq + 1);
	wired_fini(&w);
}

static void a_changed_next_hop_is_where_the_next_packet_goes(void **state)
{
	struct wired w;
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0);
	plane_command(&w.p, (struct command){.type = COMMAND_NEXT_HOP, .mac = {2, 0, 0, 0, 0, 9}});
	turns(&w, 1);
	plane_publish(&w.p, t, "tick");
	turns(&w, 1);
	assert_int_equal(last_frame[5], 9);
	wired_fini(&w);
}

static void an_aborted_connection_resets_its_peer(void **state)
{
	struct wired w;
	wired_init(&w);
	plane_command(&w.p, (struct command){.type = COMMAND_ABORT});
	turns(&w, 1);
	assert_int_equal(plane_event(&w.p, EVENT_CLOSED).code, HW_ERR_CONN_ABORTED);
	assert_true(last_segment().flags & TCP_RST);
	wired_fini(&w);
}

static void a_reset_that_found_no_buffer_goes_out_later(void **state)
{
	struct wired w;
	wired_init(&w);
	no_buffers = true;
	plane_command(&w.p, (struct command){.type = COMMAND_ABORT});
	turns(&w, 2);
	no_buffers = false;
	turns(&w, 1);
	assert_true(last_segment().flags & TCP_RST);
	wired_fini(&w);
}

/* ---- the trace ---- */

static uint32_t traced(const struct wired *w, enum tcp_trace_kind kind)
{
	static struct tcp_trace_record records[TCP_TRACE_RECORDS];
	uint32_t n = 0, count = tcp_trace_copy(atomic_load(&w->p.connection->trace), records);
	for (uint32_t i = 0; i < count; i++)
		n += records[i].kind == kind;
	return n;
}

static void open_again(struct wired *w, bool first)
{
	struct command open = {.type = COMMAND_OPEN, .address = address()};
	w->p.generation++;
	open.address.local_port++;
	open.address.first = first;
	plane_command(&w->p, open);
	turns(w, 5);
	plane_event(&w->p, EVENT_CONNECTED);
}

static void a_trace_outlives_its_connection_and_goes_with_the_user(void **state)
{
	struct wired w;
	wired_init(&w);
	plane_command(&w.p, (struct command){.type = COMMAND_ABORT});
	turns(&w, 1);
	plane_event(&w.p, EVENT_CLOSED);
	assert_int_equal(traced(&w, TCP_TRACE_OPEN), 1); /* nobody has it any more, and it can still be read */
	open_again(&w, false);
	assert_int_equal(traced(&w, TCP_TRACE_OPEN), 2);
	plane_command(&w.p, (struct command){.type = COMMAND_ABORT});
	turns(&w, 1);
	plane_event(&w.p, EVENT_CLOSED);
	open_again(&w, true);
	assert_int_equal(traced(&w, TCP_TRACE_OPEN), 1);
	wired_fini(&w);
}

/* ---- what is chosen of TCP ---- */

static void open_tuned(struct wired *w, const struct stream_tuning *tuning)
{
	struct command open = {.type = COMMAND_OPEN, .address = address()};
	plane_command(&w->p, (struct command){.type = COMMAND_ABORT});
	turns(w, 1);
	plane_event(&w->p, EVENT_CLOSED);
	w->p.generation++;
	open.address.local_port += (uint16_t)w->p.generation;
	open.address.tuning = *tuning;
	plane_command(&w->p, open);
	turns(w, 5);
	plane_event(&w->p, EVENT_CONNECTED);
}

static struct stream_info info_of(const struct wired *w)
{
	struct stream_info info;
	const struct stream *s = w->p.connection->stream;
	s->transport->ops->info(s, &info);
	return info;
}

static void a_stream_is_tuned_as_asked(void **state)
{
	struct wired w;
	wired_init(&w);
	open_tuned(&w, &(struct stream_tuning){.congestion = STREAM_RENO});
	assert_int_equal(last_syn_flags, TCP_SYN);
	assert_int_equal(info_of(&w).cwnd, 10 * info_of(&w).mss);
	open_tuned(&w,
		   &(struct stream_tuning){.congestion = STREAM_NO_CONTROL, .congestion_window = 50000, .ecn = true});
	assert_int_equal(last_syn_flags, TCP_SYN | TCP_ECE | TCP_CWR);
	assert_int_equal(info_of(&w).cwnd, 50000);
	open_tuned(&w, &(struct stream_tuning){.congestion = STREAM_NO_CONTROL});
	assert_int_equal(info_of(&w).cwnd, 1u << 30);
	open_tuned(&w, &(struct stream_tuning){.congestion_window = 4096}); /* two packets are the least */
	assert_int_equal(info_of(&w).cwnd, 4096);
	open_tuned(&w, &(struct stream_tuning){.congestion_window = 1000});
	assert_int_equal(info_of(&w).cwnd, 3000);
	wired_fini(&w);
}

static void a_silent_peer_is_probed_where_asked(void **state)
{
	struct wired w;
	wired_init(&w);
	open_tuned(&w, &(struct stream_tuning){.keepalive_ns = 1000000u});
	turns(&w, 2);
	struct tcp_segment before = last_segment();
	uint32_t sent = frames_sent;
	while (frames_sent == sent)
		turns(&w, 1);
	assert_int_equal(last_segment().seq, before.seq - 1);
	wired_fini(&w);
}

static void a_refusing_driver_shows_in_the_trace_once(void **state)
{
	struct wired w;
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0);
	no_buffers = true;
	plane_publish(&w.p, t, "tick");
	turns(&w, 3);
	assert_int_equal(traced(&w, TCP_TRACE_REFUSED), 1);
	wired_fini(&w);
}

/* ---- what is for none of its connections ---- */

static void make_side(struct side_channel *channel)
{
	memset(channel, 0, sizeof *channel);
	assert_int_equal(side_channel_init(channel), 0);
	side = channel;
}

static void inject(uint16_t type, uint8_t protocol, uint32_t len)
{
	static const uint8_t us[6] = {2, 0, 0, 0, 0, 1}, them[6] = {2, 0, 0, 0, 0, 2};
	memset(injected, 0, sizeof injected);
	size_t link = ethernet_build(injected, us, them, 0, type);
	injected[link] = 0x45;
	injected[link + 9] = protocol;
	injected_len = len;
}

static void arp_and_what_was_sent_to_us_is_set_aside_for_control_and_nothing_else_is(void **state)
{
	static const uint8_t us[6] = {2, 0, 0, 0, 0, 1}, all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct wired w;
	struct side_channel channel;
	make_side(&channel);
	wired_init(&w);
	static const struct {
		uint16_t type;
		uint8_t protocol;
		uint32_t len;
		const uint8_t *to;
		bool kept;
	} frames[] = {
		{ETHERTYPE_ARP, 0, 42, us, true},     {ETHERTYPE_ARP, 0, 42, all, true},
		{ETHERTYPE_IPV4, 1, 98, us, true},    {ETHERTYPE_IPV4, 1, 98, all, false},
		{ETHERTYPE_IPV4, 17, 98, us, true},   {ETHERTYPE_IPV4, 17, 98, all, false},
		{ETHERTYPE_IPV4, 6, 60, us, true}, /* damaged: control looks at checksums */
		{0x86dd, 1, 98, us, false},           {ETHERTYPE_ARP, 0, 1534, all, true},
		{ETHERTYPE_ARP, 0, 1535, all, false}, {ETHERTYPE_IPV4, 6, 1535, us, false},
	};
	for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
		uint64_t strays = tcp_transport_strays(w.tp);
		inject(frames[i].type, frames[i].protocol, frames[i].len);
		memcpy(injected, frames[i].to, 6);
		turns(&w, 2);
		const struct side_frame *f = spsc_peek(&channel.from_wire);
		assert_int_equal(f != NULL, frames[i].kept);
		assert_int_equal(tcp_transport_strays(w.tp), strays + 1);
		if (f) {
			assert_int_equal(f->len, frames[i].len);
			assert_memory_equal(f->octets, injected, f->len);
			spsc_pop(&channel.from_wire);
		}
	}
	wired_fini(&w);
	side_channel_fini(&channel);
	side = NULL;
}

/* What our last segment would look like coming back, its ends exchanged, with one port changed. */
static void inject_segment_for(uint16_t port)
{
	uint8_t swapped[8];
	memcpy(injected, last_frame, last_frame_len);
	injected_len = last_frame_len;
	memcpy(injected, last_frame + 6, 6);
	memcpy(injected + 6, last_frame, 6);
	memcpy(swapped, injected + 26, 8);
	memcpy(injected + 26, swapped + 4, 4);
	memcpy(injected + 30, swapped, 4);
	memcpy(swapped, injected + 34, 4);
	memcpy(injected + 34, swapped + 2, 2);
	memcpy(injected + 36, swapped, 2);
	put_be16(injected + 36, port);
	wire_repair(injected + 14, injected_len - 14);
}

static void a_segment_of_no_connection_of_ours_is_controls_and_ours_are_not(void **state)
{
	struct wired w;
	struct side_channel channel;
	make_side(&channel);
	wired_init(&w);
	plane_publish(&w.p, plane_template(&w.p, 0, 0), "tick");
	turns(&w, 1);
	inject_segment_for(CLIENT_PORT);
	turns(&w, 2);
	assert_null(spsc_peek(&channel.from_wire));
	inject_segment_for(CLIENT_PORT + 1);
	turns(&w, 2);
	const struct side_frame *f = spsc_peek(&channel.from_wire);
	assert_non_null(f);
	assert_int_equal(get_be16(f->octets + 36), CLIENT_PORT + 1);
	assert_int_equal(f->len, injected_len ? injected_len : last_frame_len);
	wired_fini(&w);
	side_channel_fini(&channel);
	side = NULL;
}

/* Path MTU discovery works although the router's word came to another worker. */
static void an_icmp_error_that_control_passes_on_is_heeded(void **state)
{
	struct wired w;
	static char body[3000];
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0);
	publisher_publish(w.p.publisher, t, body, sizeof body, 0);
	turns(&w, 1);
	struct stream_info info;
	w.tp->ops->info(w.tp->streams[0], &info);
	assert_true(info.mss > 1400);
	struct command cmd = {.type = COMMAND_ERROR, .error = {.type = 3, .code = 4, .next_mtu = 1000}};
	cmd.error.quoted_sequence = last_segment().seq;
	plane_command(&w.p, cmd);
	turns(&w, 1);
	w.tp->ops->info(w.tp->streams[0], &info);
	assert_in_range(info.mss, 900, 960);
	plane_command(&w.p, (struct command){.type = COMMAND_ABORT});
	turns(&w, 1);
	plane_command(&w.p, cmd); /* too late: no harm */
	turns(&w, 1);
	wired_fini(&w);
}

static void a_full_side_channel_drops_and_the_worker_goes_on(void **state)
{
	struct wired w;
	struct side_channel channel;
	make_side(&channel);
	wired_init(&w);
	for (uint32_t i = 0; i < 3 * SIDE_RING; i++) {
		inject(ETHERTYPE_ARP, 0, 42);
		turns(&w, 1);
	}
	uint32_t kept = 0;
	for (; spsc_peek(&channel.from_wire); kept++)
		spsc_pop(&channel.from_wire);
	assert_int_equal(kept, SIDE_RING);
	uint32_t t = plane_template(&w.p, 0, 0), before = frames_sent;
	plane_publish(&w.p, t, "tick");
	turns(&w, 1);
	assert_int_equal(frames_sent, before + 1);
	wired_fini(&w);
	side_channel_fini(&channel);
	side = NULL;
}

static void a_flood_of_strays_leaves_room_for_arp(void **state)
{
	struct wired w;
	struct side_channel channel;
	make_side(&channel);
	wired_init(&w);
	for (uint32_t i = 0; i < 3 * SIDE_RING; i++) {
		inject(ETHERTYPE_IPV4, 17, 98);
		turns(&w, 1);
	}
	inject(ETHERTYPE_ARP, 0, 42);
	turns(&w, 1);
	uint32_t strays = 0, arp = 0;
	const struct side_frame *f;
	for (; (f = spsc_peek(&channel.from_wire)) != NULL; spsc_pop(&channel.from_wire))
		f->len == 98 ? strays++ : arp++;
	assert_int_equal(strays, SIDE_RING - SIDE_RING_FOR_ARP);
	assert_int_equal(arp, 1);
	wired_fini(&w);
	side_channel_fini(&channel);
	side = NULL;
}

static void controls_frames_go_out_as_they_are_when_there_is_a_buffer(void **state)
{
	struct wired w;
	struct side_channel channel;
	struct side_frame f = {.len = 60};
	make_side(&channel);
	wired_init(&w);
	memset(f.octets, 0x5a, f.len);
	uint32_t before = frames_sent;
	no_buffers = true;
	assert_true(spsc_push(&channel.to_wire, &f));
	turns(&w, 3);
	assert_int_equal(frames_sent, before);
	no_buffers = false;
	turns(&w, 3);
	assert_int_equal(frames_sent, before + 1);
	assert_int_equal(last_frame_len, 60);
	assert_memory_equal(last_frame, f.octets, 60);
	wired_fini(&w);
	side_channel_fini(&channel);
	side = NULL;
}

/* ---- what the device does for us ---- */

static struct peer_stats peer_stats_of(const struct wired *w)
{
	struct peer_stats s;
	peer_stats_get(w->peer, &s);
	return s;
}

static void publish_octets(struct wired *w, uint32_t template_id, uint32_t octets)
{
	static uint8_t body[16384];
	assert_true(publisher_publish(w->p.publisher, template_id, body, octets, 0) > 0);
}

static void a_message_larger_than_a_segment_leaves_in_one_packet(void **state)
{
	struct wired w;
	device_init(65000);
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0), packets = device.packets, wire = device.wire;
	publish_octets(&w, t, 10000);
	turns(&w, 1);
	assert_int_equal(device.packets, packets + 1);
	assert_int_equal(device.cut, 1);
	assert_int_equal(device.last_len, message_at(&w.p.publisher->index, 1)->len + 14 + 52);
	assert_int_equal(device.wire, wire + 7);
	turns(&w, 2);
	assert_int_equal(peer_stats_of(&w).messages, 1);
	assert_int_equal(peer_stats_of(&w).bad_checksums, 0);
	assert_int_equal(peer_confirm(w.peer, CLIENT_PORT, 1, false), 0);
	turns(&w, 1);
	expect_event(&w.p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	wired_fini(&w);
}

static void no_packet_is_longer_than_the_device_takes(void **state)
{
	struct wired w;
	device_init(14 + 52 + 3 * 1448 + 100);
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0), packets = device.packets;
	publish_octets(&w, t, 10000);
	turns(&w, 3);
	assert_int_equal(device.packets, packets + 3); /* 3 segments, 3, and the rest */
	assert_int_equal(peer_stats_of(&w).messages, 1);
	wired_fini(&w);
}

static void without_a_large_buffer_segments_leave_one_by_one(void **state)
{
	struct wired w;
	device_init(65000);
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0), packets = device.packets;
	device.no_large = true;
	publish_octets(&w, t, 10000);
	turns(&w, 1);
	assert_int_equal(device.packets, packets + 7);
	assert_int_equal(device.cut, 0);
	turns(&w, 2);
	assert_int_equal(peer_stats_of(&w).messages, 1);
	assert_int_equal(peer_stats_of(&w).bad_checksums, 0);
	wired_fini(&w);
}

/* From SYN to RST. */
static void a_device_that_sums_is_asked_to_for_every_packet(void **state)
{
	struct wired w;
	device_init(0);
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0);
	publish_octets(&w, t, 4000);
	turns(&w, 2);
	assert_int_equal(peer_confirm(w.peer, CLIENT_PORT, 1, false), 0);
	turns(&w, 1);
	expect_event(&w.p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	plane_command(&w.p, (struct command){.type = COMMAND_ABORT});
	turns(&w, 1);
	assert_true(last_segment().flags & TCP_RST);
	assert_true(device.packets > 5);
	assert_int_equal(device.whole, 0);
	assert_int_equal(device.cut, 0);
	assert_int_equal(peer_stats_of(&w).bad_checksums, 0);
	wired_fini(&w);
}

/* ---- a capture that comes and goes ---- */

static struct driver *start_capture(struct wired *w)
{
	const struct capture_options options = {.clock = &w->p.clock, .ring_bytes = 1u << 20};
	struct driver *capture;
	assert_int_equal(capture_create(&options, w->peer, &capture), 0);
	const struct command cmd = {.type = COMMAND_CAPTURE_START, .capture = capture};
	assert_true(spsc_push(&w->p.worker.channel.commands, &cmd));
	turns(w, 1);
	return capture;
}

static void stop_capture(struct wired *w)
{
	const struct command cmd = {.type = COMMAND_CAPTURE_STOP};
	assert_true(spsc_push(&w->p.worker.channel.commands, &cmd));
	turns(w, 1);
	const struct worker_event *e = spsc_peek(&w->p.worker.channel.events);
	assert_non_null(e);
	assert_int_equal(e->type, EVENT_CAPTURE_STOPPED);
	spsc_pop(&w->p.worker.channel.events);
}

/* Publishes `n` messages, each confirmed. */
static void publish_some(struct wired *w, uint32_t template_id, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		plane_publish(&w->p, template_id, "tick");
		turns(w, 8);
	}
}

static void a_capture_swapped_in_mid_stream_sees_what_passes_while_it_is_there_and_changes_nothing(void **state)
{
	struct wired w;
	struct capture_packet packet;
	uint32_t sent = 0, received = 0;
	wired_init(&w);
	uint32_t t = plane_template(&w.p, 0, 0);
	publish_some(&w, t, 3);
	for (int round = 0; round < 2; round++) {
		uint32_t sent_before = frames_sent;
		struct driver *capture = start_capture(&w);
		publish_some(&w, t, 5);
		uint32_t sent_meanwhile = frames_sent - sent_before;
		stop_capture(&w);
		publish_some(&w, t, 3);
		for (sent = received = 0; capture_peek(capture, &packet); capture_pop(capture)) {
			assert_int_equal(packet.captured, packet.len);
			if (packet.sent)
				sent++;
			else
				received++;
		}
		assert_int_equal(sent, sent_meanwhile);
		assert_true(sent >= 5 && received >= 5);
		capture_destroy(capture);
	}
	struct peer_stats stats;
	peer_stats_get(w.peer, &stats);
	assert_int_equal(stats.messages, 3 + 2 * 8);
	assert_int_equal(stats.bad_checksums, 0);
	assert_int_equal(stats.out_of_order, 0);
	wired_fini(&w);
}

static void a_transport_destroyed_under_a_capture_destroys_its_own_driver(void **state)
{
	struct wired w;
	wired_init(&w);
	struct driver *capture = start_capture(&w);
	wired_fini(&w);
	capture_destroy(capture); /* valgrind and the address sanitizer watch */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_leaves_as_one_segment_with_its_link_header),
		cmocka_unit_test(a_confirm_comes_back_as_an_outcome),
		cmocka_unit_test(a_stream_without_buffers_is_tried_again_next_turn),
		cmocka_unit_test(the_peers_fin_is_acknowledged_although_the_connection_is_over),
		cmocka_unit_test(a_changed_next_hop_is_where_the_next_packet_goes),
		cmocka_unit_test(an_aborted_connection_resets_its_peer),
		cmocka_unit_test(a_reset_that_found_no_buffer_goes_out_later),
		cmocka_unit_test(a_trace_outlives_its_connection_and_goes_with_the_user),
		cmocka_unit_test(a_refusing_driver_shows_in_the_trace_once),
		cmocka_unit_test(a_stream_is_tuned_as_asked),
		cmocka_unit_test(a_silent_peer_is_probed_where_asked),
		cmocka_unit_test(arp_and_what_was_sent_to_us_is_set_aside_for_control_and_nothing_else_is),
		cmocka_unit_test(a_segment_of_no_connection_of_ours_is_controls_and_ours_are_not),
		cmocka_unit_test(an_icmp_error_that_control_passes_on_is_heeded),
		cmocka_unit_test(a_full_side_channel_drops_and_the_worker_goes_on),
		cmocka_unit_test(a_flood_of_strays_leaves_room_for_arp),
		cmocka_unit_test(controls_frames_go_out_as_they_are_when_there_is_a_buffer),
		cmocka_unit_test(a_message_larger_than_a_segment_leaves_in_one_packet),
		cmocka_unit_test(no_packet_is_longer_than_the_device_takes),
		cmocka_unit_test(without_a_large_buffer_segments_leave_one_by_one),
		cmocka_unit_test(a_device_that_sums_is_asked_to_for_every_packet),
		cmocka_unit_test(
			a_capture_swapped_in_mid_stream_sees_what_passes_while_it_is_there_and_changes_nothing),
		cmocka_unit_test(a_transport_destroyed_under_a_capture_destroys_its_own_driver),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
