#include "dataplane/tcp_stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/deadlines.h"
#include "dataplane/base/error.h"
#include "dataplane/base/spsc.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"

#define TABLE_SIZE    (4 * STREAMS_MAX) /* open addressing, at most a quarter full */
#define EMPTY_SLOT    UINT16_MAX
#define BURSTS_A_TURN 16u

struct tcp_stream {
	struct stream stream;
	struct tcp *tcp;
	struct tcp_tuple tuple;
	bool in_table;
	uint8_t link_header[ETHERNET_HEADER_MAX]; /* copied in front of every packet */
	uint32_t link_header_len;
};

struct tcp_transport {
	struct transport transport;
	struct driver *driver;        /* that packets go through: ours, or what wraps it */
	const struct driver_ops *ops; /* the driver's: one load less per burst */
	struct side_channel *side;    /* or NULL */
	struct tcp_config config;
	uint8_t isn_secret[16];
	uint32_t stream_count;
	uint64_t strays;
	struct deadlines deadlines; /* by stream index: tcp_timer */
	uint16_t table[TABLE_SIZE]; /* tuple hash to stream index */
	struct tcp_stream *streams;
	uint8_t *tcp_memory;
	size_t tcp_bytes;
	struct tcp_trace *traces; /* one for each stream */
	struct driver *own;       /* destroyed with the transport */
};

static inline struct tcp_transport *transport_of(const struct transport *tp)
{
	return (struct tcp_transport *)(uintptr_t)tp;
}

static inline struct tcp_stream *stream_of(const struct stream *s)
{
	return (struct tcp_stream *)(uintptr_t)s;
}

/* ---- which connection a packet is for ---- */

static inline uint32_t tuple_hash(const struct tcp_tuple *t)
{
	uint64_t h = ((uint64_t)t->remote_ip << 32 | (uint32_t)t->remote_port << 16 | t->local_port) ^
		     (uint64_t)t->local_ip << 7;
	h *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 40) & (TABLE_SIZE - 1);
}

static inline bool tuple_equal(const struct tcp_tuple *a, const struct tcp_tuple *b)
{
	return a->remote_ip == b->remote_ip && a->local_ip == b->local_ip && a->remote_port == b->remote_port &&
	       a->local_port == b->local_port;
}

static struct tcp_stream *table_find(struct tcp_transport *tt, const struct tcp_tuple *tuple)
{
	for (uint32_t i = tuple_hash(tuple); tt->table[i] != EMPTY_SLOT; i = (i + 1) & (TABLE_SIZE - 1)) {
		struct tcp_stream *ts = &tt->streams[tt->table[i]];
		if (tuple_equal(&ts->tuple, tuple))
			return ts;
	}
	return NULL;
}

/* Rebuilt whole: connections come and go seldom, and a table without tombstones is the simplest to look things up in.
 */
static void table_rebuild(struct tcp_transport *tt)
{
	memset(tt->table, 0xff, sizeof tt->table);
	for (uint32_t n = 0; n < tt->stream_count; n++) {
		if (!tt->streams[n].in_table)
			continue;
		uint32_t i = tuple_hash(&tt->streams[n].tuple);
		while (tt->table[i] != EMPTY_SLOT)
			i = (i + 1) & (TABLE_SIZE - 1);
		tt->table[i] = (uint16_t)n;
	}
}

static void table_set(struct tcp_transport *tt, struct tcp_stream *ts, bool present)
{
	ts->in_table = present;
	table_rebuild(tt);
}

/* ---- state ---- */

static enum stream_state stream_state_of(enum tcp_state state)
{
	switch (state) {
	case TCP_CLOSED:
	case TCP_TIME_WAIT: /* over for its user; TCP itself still answers a late FIN */
		return STREAM_CLOSED;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		return STREAM_CONNECTING;
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		return STREAM_OPEN;
	default:
		return STREAM_CLOSING;
	}
}

/* After anything that may have moved the connection. */
static void refresh(struct tcp_transport *tt, struct tcp_stream *ts)
{
	struct stream *s = &ts->stream;
	s->state = stream_state_of(tcp_state_of(ts->tcp));
	s->error = tcp_error(ts->tcp);
	s->peer_finished = tcp_peer_finished(ts->tcp);
	if (tcp_state_of(ts->tcp) == TCP_CLOSED && ts->in_table)
		table_set(tt, ts, false);
}

/* A deadline that has moved later is found out when the old one fires: only an earlier one is entered at once. */
static inline void note_deadline(struct tcp_transport *tt, struct tcp_stream *ts)
{
	uint64_t at_ns = tcp_deadline(ts->tcp);
	if (at_ns < deadlines_get(&tt->deadlines, ts->stream.index)) {
		deadlines_set(&tt->deadlines, ts->stream.index, at_ns);
		tt->transport.next_deadline_ns = deadlines_next(&tt->deadlines);
	}
}

/* ---- what is not TCP ---- */

/*
 * A packet for none of our connections. Where the kernel does not see the port, control answers it, or knows whose it
 * is; what was sent to many hosts is not answered, ARP aside.
 */
static __attribute__((noinline)) void set_aside(struct tcp_transport *tt, const struct packet *packet)
{
	struct ethernet_frame frame; /* taken apart once more: on the hot path its parts stay in registers */
	struct side_frame copy;
	tt->strays++;
	if (!tt->side || packet->len > sizeof copy.octets || ethernet_parse(packet->data, packet->len, &frame))
		return;
	bool to_us = frame.type == ETHERTYPE_IPV4 && memcmp(frame.destination, tt->driver->info.mac, 6) == 0;
	if (!to_us && frame.type != ETHERTYPE_ARP)
		return;
	if (to_us && spsc_held(&tt->side->from_wire) >= SIDE_RING - SIDE_RING_FOR_ARP)
		return;
	copy.len = (uint16_t)packet->len;
	memcpy(copy.octets, packet->data, packet->len);
	spsc_push(&tt->side->from_wire, &copy);
}

static __attribute__((noinline)) void send_set_aside(struct tcp_transport *tt, const struct side_frame *frame)
{
	struct packet packet;
	for (; frame; frame = spsc_peek(&tt->side->to_wire)) {
		if (tt->ops->tx_reserve(tt->driver, &packet, 1) == 0)
			return; /* next turn */
		uint32_t send = frame->len <= packet.len;
		if (send) {
			memcpy(packet.data, frame->octets, frame->len);
			packet.len = frame->len;
		}
		tt->ops->tx_submit(tt->driver, &packet, send, 1);
		spsc_pop(&tt->side->to_wire);
	}
}

/* ---- receiving ---- */

static void take_error(struct stream *s, const struct stream_error *e, uint64_t now_ns)
{
	struct tcp_stream *ts = stream_of(s);
	struct tcp_transport *tt = transport_of(s->transport);
	tcp_icmp(ts->tcp, e->type, e->code, e->quoted_sequence, e->next_mtu, now_ns);
	refresh(tt, ts);
	note_deadline(tt, ts);
	stream_mark_ready(s);
}

static __attribute__((noinline)) void take_icmp(struct tcp_transport *tt, const struct packet *packet,
						const uint8_t *payload, size_t len, uint64_t now_ns)
{
	struct icmp_error icmp;
	if (icmp_error_parse(payload, len, &icmp)) {
		set_aside(tt, packet);
		return;
	}
	struct tcp_tuple tuple = {.local_ip = icmp.quoted_source_ip,
				  .remote_ip = icmp.quoted_destination_ip,
				  .local_port = icmp.quoted_source_port,
				  .remote_port = icmp.quoted_destination_port};
	struct tcp_stream *ts = table_find(tt, &tuple);
	if (!ts) {
		set_aside(tt, packet);
		return;
	}
	const struct stream_error error = {.type = icmp.type,
					   .code = icmp.code,
					   .next_mtu = icmp.next_mtu,
					   .quoted_sequence = icmp.quoted_sequence};
	take_error(&ts->stream, &error, now_ns);
}

static void take_packet(struct tcp_transport *tt, const struct packet *packet, uint64_t now_ns)
{
	struct ethernet_frame frame;
	struct tcp_segment segment;
	if (ethernet_parse(packet->data, packet->len, &frame) || frame.type != ETHERTYPE_IPV4) {
		set_aside(tt, packet);
		return;
	}
	bool verify = tt->config.verify_checksum && !(packet->flags & PACKET_CHECKSUM_GOOD);
	if (tcp_segment_parse(frame.payload, frame.payload_len, verify, &segment)) {
		take_icmp(tt, packet, frame.payload, frame.payload_len, now_ns);
		return;
	}
	struct tcp_stream *ts = table_find(tt, &segment.tuple);
	if (!ts) {
		set_aside(tt, packet);
		return;
	}
	if (tcp_input(ts->tcp, &segment, now_ns))
		refresh(tt, ts);
	note_deadline(tt, ts);
	stream_mark_ready(&ts->stream);
}

static void receive(struct transport *tp, uint64_t now_ns)
{
	struct tcp_transport *tt = transport_of(tp);
	struct packet packets[DRIVER_BURST_MAX];
	/* After an absence more than one burst waits, and timers are looked at only behind all of it. */
	for (uint32_t bursts = 0; bursts < BURSTS_A_TURN; bursts++) {
		uint32_t n = tt->ops->rx_burst(tt->driver, packets, DRIVER_BURST_MAX);
		for (uint32_t i = 0; i < n; i++)
			take_packet(tt, &packets[i], now_ns);
		if (n)
			tt->ops->rx_release(tt->driver, packets, n);
		if (n < DRIVER_BURST_MAX)
			break;
	}
}

/* On a port that is ours alone. The others' turn does not look for what never comes. */
static void receive_beside(struct transport *tp, uint64_t now_ns)
{
	const struct side_frame *aside = spsc_peek(&transport_of(tp)->side->to_wire);
	if (__builtin_expect(aside != NULL, 0))
		send_set_aside(transport_of(tp), aside);
	receive(tp, now_ns);
}

static void timers(struct transport *tp, uint64_t now_ns)
{
	struct tcp_transport *tt = transport_of(tp);
	while (deadlines_next(&tt->deadlines) <= now_ns) {
		struct tcp_stream *ts = &tt->streams[deadlines_first(&tt->deadlines)];
		tcp_timer(ts->tcp, now_ns);
		refresh(tt, ts);
		deadlines_set(&tt->deadlines, ts->stream.index, tcp_deadline(ts->tcp));
		stream_mark_ready(&ts->stream); /* a segment may be due, or the end has come */
	}
	tp->next_deadline_ns = deadlines_next(&tt->deadlines);
}

/* ---- sending ---- */

/* One transmit buffer for a message that fits one segment, the hot case; else about one for each segment, no division.
 */
static uint32_t buffers_wanted(const struct tcp_transport *tt, const struct tcp_stream *ts)
{
	uint64_t unsent = ts->stream.tx.end - tcp_sent(ts->tcp);
	if (unsent <= tt->config.mtu / 2)
		return 1;
	uint64_t segments = (unsent >> 10) + 1;
	return segments < DRIVER_BURST_MAX ? (uint32_t)segments : DRIVER_BURST_MAX;
}

/* What the device has to do to a packet that tcp_output has just written. */
static inline void mark_offloads(const struct tcp_stream *ts, struct packet *p, size_t len)
{
	uint32_t segment_bytes = tcp_segment_bytes(ts->tcp, len);
	p->flags = segment_bytes ? PACKET_FILL_CHECKSUM | PACKET_SEGMENT : PACKET_FILL_CHECKSUM;
	p->segment_bytes = (uint16_t)segment_bytes;
}

/* Fills buffers with segments until none is due. Returns how many were filled. */
static inline uint32_t build(struct tcp_stream *ts, struct packet *packets, uint32_t n, bool offload, uint64_t now_ns)
{
	uint32_t built = 0;
	while (built < n) {
		struct packet *p = &packets[built];
		uint32_t link = ts->link_header_len;
		size_t len = tcp_output(ts->tcp, p->data + link, p->len - link, now_ns);
		if (len == 0)
			break;
		memcpy(p->data, ts->link_header, link);
		p->len = link + (uint32_t)len;
		if (offload)
			mark_offloads(ts, p, len);
		built++;
	}
	return built;
}

/* More than a segment at once, for the device to cut. False: there is no buffer for it. */
static __attribute__((noinline)) bool send_large(struct tcp_transport *tt, struct tcp_stream *ts, uint64_t now_ns)
{
	struct packet packet;
	if (tt->ops->tx_reserve_large(tt->driver, &packet) == 0)
		return false;
	uint32_t built = build(ts, &packet, 1, true, now_ns);
	tt->ops->tx_submit(tt->driver, &packet, built, 1);
	return built;
}

static inline __attribute__((always_inline)) void send_due(struct stream *s, bool offload, uint64_t now_ns)
{
	struct tcp_transport *tt = transport_of(s->transport);
	struct tcp_stream *ts = stream_of(s);
	struct packet packets[DRIVER_BURST_MAX];
	bool due = tcp_pushed(ts->tcp);
	for (; due; due = tcp_output_due(ts->tcp)) {
		if (offload && tcp_segments_due(ts->tcp) && send_large(tt, ts, now_ns))
			continue;
		uint32_t wanted = buffers_wanted(tt, ts);
		uint32_t reserved = tt->ops->tx_reserve(tt->driver, packets, wanted);
		if (reserved == 0) {
			tcp_refused(ts->tcp, now_ns);
			stream_mark_ready(s); /* all buffers are in flight: again next turn */
			break;
		}
		uint32_t built = build(ts, packets, reserved, offload, now_ns);
		tt->ops->tx_submit(tt->driver, packets, built, reserved);
		if (built < reserved)
			break;
	}
	note_deadline(tt, ts);
}

/* A transport sends in one of two ways from its start: where the device does nothing for us, nothing is asked. */
static void transmit(struct stream *s, uint64_t now_ns)
{
	send_due(s, false, now_ns);
}

static void transmit_offloaded(struct stream *s, uint64_t now_ns)
{
	send_due(s, true, now_ns);
}

/* ---- a connection's life ---- */

static void set_link_header(struct tcp_stream *ts, const struct stream_address *a)
{
	ts->link_header_len =
		(uint32_t)ethernet_build(ts->link_header, a->next_hop_mac, a->local_mac, a->vlan, ETHERTYPE_IPV4);
}

_Static_assert((int)STREAM_CUBIC == (int)TCP_CUBIC && (int)STREAM_RENO == (int)TCP_RENO &&
		       (int)STREAM_NO_CONTROL == (int)TCP_NO_CONTROL,
	       "the same choice");

static void tune(struct tcp_config *config, const struct stream_tuning *tuning)
{
	uint32_t least = 2u * config->mtu;
	config->control = (enum tcp_control)tuning->congestion;
	if (tuning->congestion_window)
		config->cwnd_max_bytes = tuning->congestion_window > least ? tuning->congestion_window : least;
	config->keepalive_idle_ns = tuning->keepalive_ns;
	config->ecn = tuning->ecn;
	config->restart_after_idle = tuning->restart_after_idle;
}

static int open_stream(struct transport *tp, uint32_t index, const struct stream_address *a, uint64_t now_ns)
{
	struct tcp_transport *tt = transport_of(tp);
	struct tcp_stream *ts = &tt->streams[index];
	struct stream *s = &ts->stream;
	struct tcp_config config = tt->config;
	if (a->mtu && a->mtu < config.mtu)
		config.mtu = a->mtu;
	config.connect_timeout_ns = a->connect_timeout_ns;
	config.rto_min_ns = a->rto_min_ns;
	config.user_timeout_ns = a->user_timeout_ns;
	tune(&config, &a->tuning);
	config.trace = &tt->traces[index];
	if (a->first)
		tcp_trace_touch(config.trace);
	ts->tcp = tcp_init(tt->tcp_memory + index * tt->tcp_bytes, &config);
	ts->tuple = (struct tcp_tuple){.local_ip = a->local_ip,
				       .remote_ip = a->remote_ip,
				       .local_port = a->local_port,
				       .remote_port = a->remote_port};
	extents_init(&s->tx);
	set_link_header(ts, a);
	uint32_t isn = tcp_initial_sequence(tt->isn_secret, &ts->tuple, now_ns);
	int err = tcp_open(ts->tcp, &ts->tuple, isn, &s->tx, now_ns);
	if (err)
		return err;
	table_set(tt, ts, true);
	refresh(tt, ts);
	deadlines_set(&tt->deadlines, index, tcp_deadline(ts->tcp));
	tp->next_deadline_ns = deadlines_next(&tt->deadlines);
	return 0;
}

static uint64_t may_push(const struct stream *s)
{
	return tcp_may_push(stream_of(s)->tcp);
}

static const uint8_t *readable(struct stream *s, uint32_t *len)
{
	return tcp_readable(stream_of(s)->tcp, len);
}

static void consume(struct stream *s, uint32_t len, uint64_t now_ns)
{
	struct tcp_stream *ts = stream_of(s);
	tcp_consume(ts->tcp, len, now_ns);
	s->peer_finished = tcp_peer_finished(ts->tcp);
}

static void close_stream(struct stream *s, uint64_t now_ns)
{
	struct tcp_transport *tt = transport_of(s->transport);
	tcp_close(stream_of(s)->tcp, now_ns);
	refresh(tt, stream_of(s));
	stream_mark_ready(s);
}

static void abort_stream(struct stream *s, uint64_t now_ns)
{
	struct tcp_transport *tt = transport_of(s->transport);
	struct tcp_stream *ts = stream_of(s);
	if (!ts->tcp)
		return; /* never opened */
	tcp_abort(ts->tcp, now_ns);
	tt->transport.ops->transmit(s, now_ns); /* the RST */
	refresh(tt, ts);
	deadlines_set(&tt->deadlines, s->index, DEADLINE_NEVER);
	s->transport->next_deadline_ns = deadlines_next(&tt->deadlines);
}

static uint64_t sent(const struct stream *s)
{
	return tcp_sent(stream_of(s)->tcp);
}

static void next_hop(struct stream *s, const uint8_t mac[6])
{
	memcpy(stream_of(s)->link_header, mac, 6);
}

static void info(const struct stream *s, struct stream_info *out)
{
	struct tcp_info i;
	tcp_info_get(stream_of(s)->tcp, &i);
	memset(out, 0, sizeof *out);
	out->srtt_ns = i.srtt_ns;
	out->rttvar_ns = i.rttvar_ns;
	out->rto_ns = i.rto_ns;
	out->cwnd = i.cwnd;
	out->ssthresh = i.ssthresh;
	out->receive_window = i.receive_window;
	out->peer_window = i.peer_window;
	out->in_flight = i.in_flight;
	out->mss = i.mss;
	out->unsent = s->tx.end - sent(s);
	out->retransmits_fast = i.counters.retransmits_fast;
	out->retransmits_rto = i.counters.retransmits_rto;
	out->tlp_probes = i.counters.tlp_probes;
	out->rack_losses = i.counters.rack_losses;
	out->spurious = i.counters.undo;
	out->retransmits = i.counters.retransmits_fast + i.counters.retransmits_rto;
	out->rto_fired = i.counters.rto_fired;
	out->segments_sent = i.counters.segments_sent;
	out->segments_received = i.counters.segments_received;
	out->octets_sent = i.counters.octets_sent;
	strncpy(out->state, tcp_state_name(i.state), sizeof out->state - 1);
}

static const struct tcp_trace *trace(const struct stream *s)
{
	return &transport_of(s->transport)->traces[s->index];
}

static void intercept(struct transport *tp, struct driver *driver)
{
	struct tcp_transport *tt = transport_of(tp);
	tt->driver = driver ? driver : tt->own;
	tt->ops = tt->driver->ops;
}

static void destroy(struct transport *tp)
{
	struct tcp_transport *tt = transport_of(tp);
	if (tt->own)
		tt->own->ops->destroy(tt->own);
	deadlines_fini(&tt->deadlines);
	free(tt->streams);
	free(tt->tcp_memory);
	free(tt->traces);
	free(tt);
}

#define TCP_TRANSPORT_OPS(receive_op, transmit_op)                                                                     \
	{                                                                                                              \
		.receive = (receive_op), .timers = timers, .open = open_stream, .may_push = may_push,                  \
		.transmit = (transmit_op), .readable = readable, .consume = consume, .close = close_stream,            \
		.abort = abort_stream, .sent = sent, .next_hop = next_hop, .take_error = take_error, .info = info,     \
		.trace = trace, .intercept = intercept, .destroy = destroy,                                            \
	}

/* By: is there a side channel, does the device sum. */
static const struct transport_ops tcp_transport_ops[2][2] = {
	{TCP_TRANSPORT_OPS(receive, transmit), TCP_TRANSPORT_OPS(receive, transmit_offloaded)},
	{TCP_TRANSPORT_OPS(receive_beside, transmit), TCP_TRANSPORT_OPS(receive_beside, transmit_offloaded)},
};

int tcp_transport_create(struct driver *driver, const struct tcp_transport_options *options, struct transport **out)
{
	assert(!driver->info.tso_bytes || driver->info.tx_checksum);
	assert(options->streams >= 1 && options->streams <= STREAMS_MAX);
	struct tcp_transport *tt = calloc(1, sizeof *tt);
	if (!tt)
		return HW_ERR_NOMEM;
	tt->config = options->tcp;
	if (driver->info.mtu < tt->config.mtu)
		tt->config.mtu = driver->info.mtu;
	tt->config.fill_checksum = !driver->info.tx_checksum;
	tt->config.tso_bytes = driver->info.tso_bytes; /* its buffers' room bounds packets further */
	memcpy(tt->isn_secret, options->isn_secret, sizeof tt->isn_secret);
	tt->stream_count = options->streams;
	tt->tcp_bytes = (tcp_size(&tt->config) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	tt->tcp_memory = aligned_alloc(CACHE_LINE, tt->tcp_bytes * tt->stream_count);
	tt->streams = calloc(tt->stream_count, sizeof *tt->streams);
	tt->traces = aligned_alloc(CACHE_LINE, tt->stream_count * sizeof *tt->traces);
	if (!tt->tcp_memory || !tt->streams || !tt->traces || deadlines_init(&tt->deadlines, tt->stream_count)) {
		destroy(&tt->transport);
		return HW_ERR_NOMEM;
	}
	tt->own = driver;
	intercept(&tt->transport, NULL);
	tt->side = options->side;
	tt->transport.ops = &tcp_transport_ops[options->side != NULL][driver->info.tx_checksum];
	tt->transport.next_deadline_ns = DEADLINE_NEVER;
	for (uint32_t i = 0; i < tt->stream_count; i++) {
		tt->streams[i].stream.transport = &tt->transport;
		tt->streams[i].stream.index = i;
		tcp_trace_init(&tt->traces[i]);
		tt->transport.streams[i] = &tt->streams[i].stream;
	}
	table_rebuild(tt);
	*out = &tt->transport;
	return 0;
}

const struct driver *tcp_transport_driver(const struct transport *tp)
{
	return transport_of(tp)->own;
}

uint64_t tcp_transport_strays(const struct transport *tp)
{
	return transport_of(tp)->strays;
}
