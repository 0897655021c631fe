/*
 * Frames into a connection in any state, through everything between a driver and its owner: Ethernet, IPv4, TCP, ICMP,
 * the table of connections, TCP itself, and out again.
 *
 * The input's first octets choose the device, the state that the connection is brought to, and what lies in flight;
 * the rest is a script of frames (raw, or built near what is expected, with any options, then mutated, then with
 * lengths and checksums repaired or not), time, ICMP, and what the owner does. The harness sees only what a broker and
 * an owner see, and keeps its own account: every octet sent is compared with the octet that was pushed at that offset,
 * every octet received with the one that belongs to its sequence number.
 */
#include <string.h>

#include "dataplane/net/ethernet.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ipv4.h"
#include "dataplane/tcp_stream.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repair.h"
#include "tests/lib/nic.h"
#include "tests/lib/tcp_peer.h"

#define OUR_IP       0x0a000001u
#define PEER_IP      0x0a000002u
#define OUR_PORT     40000
#define PEER_PORT    5672
#define PERIOD       251u /* of the octets pushed: octet i of the stream is i % 251 */
#define PUSH_MAX     32768u
#define PUSHED_MAX   (1u << 20) /* sequence numbers stay unambiguous */
#define FRAME_MAX    1600u
#define QUEUE_MAX    40u   /* more than a burst */
#define SEGMENTS_MAX 4096u /* that one call may yield: else it does not end */
#define LARGE_BYTES  16384u

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

/* What the input's first octet chooses. */
enum {
	DEVICE_SUMS = 1,
	DEVICE_CUTS = 2,
	RX_VERIFIED = 4,
	SIDE = 8,
	VLAN = 16,
	SMALL_MTU = 32,
	WRAPS = 64,
	NO_OPTIONS = 128
};

/* In the order of enum tcp_state, whose names the stream's info has. */
enum start {
	CLOSED,
	SYN_SENT,
	SYN_RECEIVED,
	ESTABLISHED,
	FIN_WAIT_1,
	FIN_WAIT_2,
	CLOSE_WAIT,
	CLOSING,
	LAST_ACK,
	TIME_WAIT,
	STARTS
};

struct world {
	struct driver driver;
	struct side_channel side;
	struct transport *tp;
	struct stream *stream;
	uint64_t now_ns;
	unsigned device;
	uint16_t mtu;
	/* frames on their way in, each a block of its own so that the sanitizer sees any step beyond it */
	struct packet rx[QUEUE_MAX];
	uint32_t rx_count, rx_lent;
	/* buffers reserved */
	struct packet tx[DRIVER_BURST_MAX];
	uint32_t tx_count, emitted;
	bool no_buffers;
	/* what a broker knows of our side */
	bool syn_seen, acked;
	uint32_t isn, snd_nxt, rcv_nxt, window;
	/* and of its own */
	uint32_t peer_isn, peer_nxt;
	uint64_t consumed;
	bool tainted; /* frames were made up octet by octet: what was received may be anything */
};

static uint8_t pushed[PUSH_MAX + PERIOD];

static uint8_t peer_octet(uint32_t seq)
{
	return (uint8_t)(seq ^ seq >> 8);
}

/* ---- what leaves ---- */

/* The peer, reading a segment of ours. */
static void check_segment(void *context, const uint8_t *ip, size_t len)
{
	struct world *w = context;
	struct wire_segment s;
	REQUIRE(++w->emitted < SEGMENTS_MAX);
	REQUIRE(len <= w->mtu && wire_parse(ip, len, &s));
	REQUIRE(s.source_ip == OUR_IP && s.destination_ip == PEER_IP);
	REQUIRE(s.source_port == OUR_PORT && s.destination_port == PEER_PORT);
	if (s.flags & WIRE_RST)
		return;
	if (s.flags & WIRE_SYN) {
		REQUIRE(!w->syn_seen || s.seq == w->isn);
		w->syn_seen = true;
		w->isn = s.seq;
		w->snd_nxt = s.seq + 1;
		return;
	}
	REQUIRE(w->syn_seen && s.flags & WIRE_ACK);
	w->acked = true;
	w->rcv_nxt = s.ack;
	w->window = s.window;
	uint32_t offset = s.seq - w->isn - 1;
	if (s.len == 1 && offset == UINT32_MAX)
		return; /* a probe with an octet the peer has: before the stream's first there is none */
	REQUIRE(s.len == 0 || offset + s.len <= w->stream->tx.end);
	for (uint32_t i = 0; i < s.len; i++)
		REQUIRE(s.payload[i] == (offset + i) % PERIOD);
	uint32_t end = s.seq + s.len + (s.flags & WIRE_FIN ? 1 : 0);
	if ((int32_t)(end - w->snd_nxt) > 0)
		w->snd_nxt = end;
}

static struct world *world_of(struct driver *d)
{
	return (struct world *)d;
}

static uint32_t reserve(struct world *w, struct packet *packets, uint32_t n, uint32_t bytes)
{
	REQUIRE(w->tx_count == 0);
	if (w->no_buffers)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		packets[i] = (struct packet){.data = malloc(bytes), .len = bytes};
		w->tx[i] = packets[i];
	}
	w->tx_count = n;
	return n;
}

static uint32_t tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	REQUIRE(max >= 1 && max <= DRIVER_BURST_MAX);
	return reserve(world_of(d), packets, max, d->info.frame_bytes);
}

static uint32_t tx_reserve_large(struct driver *d, struct packet *packet)
{
	return reserve(world_of(d), packet, 1, d->info.tso_bytes);
}

static void check_frame(struct world *w, const struct packet *p)
{
	struct ethernet_frame frame;
	REQUIRE(ethernet_parse(p->data, p->len, &frame) == 0);
	REQUIRE(!memcmp(frame.destination, peer_mac, 6) && !memcmp(frame.source, our_mac, 6));
	REQUIRE(frame.vlan == (w->device & VLAN ? 7 : 0));
	if (frame.type != ETHERTYPE_IPV4)
		return; /* of the side channel */
	if (!(p->flags & PACKET_FILL_CHECKSUM)) {
		REQUIRE(!(w->device & DEVICE_SUMS));
		check_segment(w, frame.payload, frame.payload_len);
		return;
	}
	REQUIRE(w->device & DEVICE_SUMS);
	REQUIRE(!(p->flags & PACKET_SEGMENT) || w->device & DEVICE_CUTS);
	nic_transmit(frame.payload, frame.payload_len, p->flags & PACKET_SEGMENT ? p->segment_bytes : 0, check_segment,
		     w);
}

static void tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct world *w = world_of(d);
	REQUIRE(n <= reserved && reserved == w->tx_count);
	for (uint32_t i = 0; i < n; i++) {
		REQUIRE(packets[i].data == w->tx[i].data && packets[i].len <= w->tx[i].len);
		check_frame(w, &packets[i]);
	}
	for (uint32_t i = 0; i < reserved; i++)
		free(w->tx[i].data);
	w->tx_count = 0;
}

/* ---- what arrives ---- */

static uint32_t rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct world *w = world_of(d);
	uint32_t n = w->rx_count < max ? w->rx_count : max;
	REQUIRE(w->rx_lent == 0);
	memcpy(packets, w->rx, n * sizeof *packets);
	w->rx_lent = n;
	return n;
}

static void rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	struct world *w = world_of(d);
	REQUIRE(n == w->rx_lent);
	for (uint32_t i = 0; i < n; i++)
		free(w->rx[i].data);
	w->rx_count -= n;
	memmove(w->rx, w->rx + n, w->rx_count * sizeof *w->rx);
	w->rx_lent = 0;
}

static void deliver(struct world *w, const uint8_t *frame, size_t len, unsigned flags)
{
	if (w->rx_count == QUEUE_MAX)
		return;
	struct packet *p = &w->rx[w->rx_count++];
	*p = (struct packet){.data = malloc(len ? len : 1), .len = (uint32_t)len, .flags = (uint16_t)flags};
	memcpy(p->data, frame, len);
}

static void destroy(struct driver *d)
{
	struct world *w = world_of(d);
	for (uint32_t i = 0; i < w->rx_count; i++)
		free(w->rx[i].data);
}

static const struct driver_ops ops = {.rx_burst = rx_burst,
				      .rx_release = rx_release,
				      .tx_reserve = tx_reserve,
				      .tx_reserve_large = tx_reserve_large,
				      .tx_submit = tx_submit,
				      .destroy = destroy};

/* ---- the owner's turn ---- */

static const char *state_name(const struct world *w)
{
	static struct stream_info info;
	w->tp->ops->info(w->stream, &info);
	return info.state;
}

/* What the owner is told of the connection's state is never behind. */
static enum stream_state state_told(const char *name)
{
	static const char *const connecting[] = {"SYN-SENT", "SYN-RECEIVED"},
				 *const open[] = {"ESTABLISHED", "CLOSE-WAIT"},
				 *const closed[] = {"CLOSED", "TIME-WAIT"};
	for (uint32_t i = 0; i < 2; i++) {
		if (!strcmp(name, connecting[i]))
			return STREAM_CONNECTING;
		if (!strcmp(name, open[i]))
			return STREAM_OPEN;
		if (!strcmp(name, closed[i]))
			return STREAM_CLOSED;
	}
	return STREAM_CLOSING;
}

static void check(struct world *w)
{
	const struct stream *s = w->stream;
	uint64_t sent = w->tp->ops->sent(s);
	REQUIRE(s->state == state_told(state_name(w)));
	REQUIRE(s->tx.start <= sent && sent <= s->tx.end);
	REQUIRE(s->state != STREAM_IDLE);
	REQUIRE(w->tp->ready_count == 0 && w->rx_lent == 0 && w->tx_count == 0);
	if (s->state != STREAM_CLOSED && sent > s->tx.start)
		REQUIRE(w->tp->next_deadline_ns != UINT64_MAX); /* what is in flight is not forgotten */
	if (s->state == STREAM_CONNECTING)
		REQUIRE(w->tp->next_deadline_ns != UINT64_MAX);
	if (s->state != STREAM_CLOSED)
		REQUIRE(s->error == 0);
}

static void drain_side(struct world *w)
{
	const struct side_frame *f;
	if (!(w->device & SIDE))
		return;
	for (; (f = spsc_peek(&w->side.from_wire)) != NULL; spsc_pop(&w->side.from_wire)) {
		struct ethernet_frame frame;
		REQUIRE(f->len <= SIDE_FRAME_BYTES && ethernet_parse(f->octets, f->len, &frame) == 0);
		REQUIRE(frame.type == ETHERTYPE_ARP || !memcmp(frame.destination, our_mac, 6));
	}
}

/* As the worker's: receive, look at the streams with news, then timers, then what they have made due. */
static void turn(struct world *w)
{
	struct transport *tp = w->tp;
	w->emitted = 0;
	tp->ops->receive(tp, w->now_ns);
	tp->ops->timers(tp, w->now_ns);
	REQUIRE(tp->next_deadline_ns > w->now_ns);
	uint32_t n = tp->ready_count;
	tp->ready_count = 0;
	for (uint32_t i = 0; i < n; i++) {
		tp->ready_list[i]->ready = false;
		tp->ops->transmit(tp->ready_list[i], w->now_ns);
	}
	for (uint32_t i = 0; i < tp->ready_count; i++) /* buffers were short: the next turn looks again */
		tp->ready_list[i]->ready = false;
	tp->ready_count = 0;
	drain_side(w);
}

static void push(struct world *w, uint32_t len)
{
	struct stream *s = w->stream;
	uint64_t allowed = s->state == STREAM_OPEN ? w->tp->ops->may_push(s) : 0;
	len = len < PUSH_MAX ? len : PUSH_MAX;
	len = len < allowed ? len : (uint32_t)allowed;
	if (len && s->tx.end < PUSHED_MAX &&
	    extents_push(&s->tx, pushed + s->tx.end % PERIOD, len, len & 1 ? EXTENT_LOG : EXTENT_CONTROL))
		w->tp->ops->transmit(s, w->now_ns);
}

static void consume(struct world *w, uint32_t at_most)
{
	uint32_t len;
	const uint8_t *octets = w->tp->ops->readable(w->stream, &len);
	len = len < at_most ? len : at_most;
	for (uint32_t i = 0; i < len && !w->tainted; i++)
		REQUIRE(octets[i] == peer_octet(w->peer_isn + 1 + (uint32_t)w->consumed + i));
	w->consumed += len;
	if (len)
		w->tp->ops->consume(w->stream, len, w->now_ns);
}

/* ---- the peer's segments ---- */

struct segment {
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	const uint8_t *options;
	size_t options_len;
	uint32_t payload_len;
};

/* Ethernet, IPv4, TCP; lengths and checksums as they should be. Returns the frame's length. */
static size_t build(const struct world *w, const struct segment *s, uint8_t frame[FRAME_MAX])
{
	size_t link = ethernet_build(frame, our_mac, peer_mac, w->device & VLAN ? 7 : 0, ETHERTYPE_IPV4);
	uint8_t *ip = frame + link, *tcp = ip + 20;
	size_t options = s->options_len < 40 ? (s->options_len + 3) & ~(size_t)3 : 40;
	memset(ip, 0, 40 + options);
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = 6;
	put_be32(ip + 12, PEER_IP);
	put_be32(ip + 16, OUR_IP);
	put_be16(tcp, PEER_PORT);
	put_be16(tcp + 2, OUR_PORT);
	put_be32(tcp + 4, s->seq);
	put_be32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((20 + options) / 4 << 4);
	tcp[13] = s->flags;
	put_be16(tcp + 14, s->window);
	if (options)
		memcpy(tcp + 20, s->options, s->options_len < options ? s->options_len : options);
	uint8_t *payload = tcp + 20 + options;
	for (uint32_t i = 0; i < s->payload_len; i++)
		payload[i] = peer_octet(s->seq + (s->flags & WIRE_SYN ? 1 : 0) + i);
	size_t len = (size_t)(payload - ip) + s->payload_len;
	repair_ipv4(ip, len, REPAIR_ALL);
	return link + len;
}

/* A segment as a broker would send it; its options are the SYN's, or none. */
static void say(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t payload_len)
{
	static const uint8_t syn_options[] = {2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1};
	uint8_t frame[FRAME_MAX];
	struct segment s = {.seq = seq, .ack = ack, .window = 65535, .flags = flags, .payload_len = payload_len};
	if (flags & WIRE_SYN && !(w->device & NO_OPTIONS)) {
		s.options = syn_options;
		s.options_len = sizeof syn_options;
	}
	deliver(w, frame, build(w, &s, frame), 0);
	turn(w);
	uint32_t end = seq + payload_len + (flags & (WIRE_SYN | WIRE_FIN) ? 1 : 0);
	if ((int32_t)(end - w->peer_nxt) > 0)
		w->peer_nxt = end;
}

static void open_stream(struct world *w)
{
	const struct stream_address address = {.local_ip = OUR_IP,
					       .remote_ip = PEER_IP,
					       .local_port = OUR_PORT,
					       .remote_port = PEER_PORT,
					       .local_mac = {2, 0, 0, 0, 0, 1},
					       .next_hop_mac = {2, 0, 0, 0, 0, 2},
					       .vlan = w->device & VLAN ? 7 : 0,
					       .mtu = w->mtu,
					       .connect_timeout_ns = 10000000000u,
					       .rto_min_ns = 50000000u,
					       .user_timeout_ns = 10000000000u};
	w->syn_seen = w->acked = false;
	w->consumed = 0;
	REQUIRE(w->tp->ops->open(w->tp, 0, &address, w->now_ns) == 0);
	w->tp->ops->transmit(w->stream, w->now_ns);
	REQUIRE(w->syn_seen || w->no_buffers);
}

/* Brings a fresh connection to a state, by what a broker says and its owner does. */
static void bring_to(struct world *w, enum start start, uint32_t in_flight)
{
	static const char *const names[STARTS] = {"CLOSED",     "SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED",
						  "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",   "CLOSING",
						  "LAST-ACK",   "TIME-WAIT"};
	const struct transport_ops *tp = w->tp->ops;
	w->peer_isn = w->device & WRAPS ? 0xfffffffcu : 5000;
	w->peer_nxt = w->peer_isn;
	open_stream(w);
	if (start == SYN_RECEIVED) {
		say(w, WIRE_SYN, w->peer_isn, 0, 0);
	} else if (start != SYN_SENT) {
		say(w, WIRE_SYN | WIRE_ACK, w->peer_isn, w->isn + 1, 0);
		push(w, in_flight);
	}
	if (start == CLOSED)
		tp->abort(w->stream, w->now_ns);
	if (start == FIN_WAIT_2 || start == TIME_WAIT) /* the FIN must be able to go */
		say(w, WIRE_ACK, w->peer_nxt, w->snd_nxt, 0);
	if (start == CLOSE_WAIT || start == LAST_ACK)
		say(w, WIRE_ACK | WIRE_FIN, w->peer_nxt, w->isn + 1, 0);
	if (start == FIN_WAIT_1 || start == FIN_WAIT_2 || start == CLOSING || start == LAST_ACK || start == TIME_WAIT) {
		tp->close(w->stream, w->now_ns);
		turn(w);
	}
	if (start == FIN_WAIT_2 || start == TIME_WAIT)
		say(w, WIRE_ACK, w->peer_nxt, w->snd_nxt, 0);
	if (start == CLOSING)
		say(w, WIRE_ACK | WIRE_FIN, w->peer_nxt, w->isn + 1, 0);
	if (start == TIME_WAIT)
		say(w, WIRE_ACK | WIRE_FIN, w->peer_nxt, w->snd_nxt, 0);
	REQUIRE(strcmp(state_name(w), names[start]) == 0);
}

/* ---- the script ---- */

/* Changes octets of a frame, then repairs what the last octet of the change says. */
static size_t mutate(struct world *w, struct script *s, uint8_t frame[FRAME_MAX], size_t len)
{
	uint32_t how = take(s, 1);
	size_t link = w->device & VLAN ? ETHERNET_HEADER_MAX : ETHERNET_HEADER_BYTES;
	for (uint32_t i = how & 7; i; i--) {
		uint32_t at = take(s, 1);
		frame[at % len] = (uint8_t)take(s, 1);
	}
	if (how & 8) {
		size_t cut = take(s, 1);
		len -= cut < len ? cut : 0;
	}
	if (how & 16) { /* padding, as a short frame has */
		size_t more = take(s, 1) & 63;
		more = more < FRAME_MAX - len ? more : FRAME_MAX - len;
		memset(frame + len, 0, more);
		len += more;
	}
	if (len > link)
		repair_ipv4(frame + link, len - link, how >> 5);
	w->tainted |= how & 15;
	return len;
}

static void send_segment(struct world *w, struct script *s)
{
	static const uint8_t usual[] = {
		WIRE_ACK, WIRE_ACK | WIRE_PSH, WIRE_ACK | WIRE_FIN,           WIRE_RST, WIRE_RST | WIRE_ACK,
		WIRE_SYN, WIRE_SYN | WIRE_ACK, WIRE_ACK | WIRE_FIN | WIRE_PSH};
	uint8_t frame[FRAME_MAX];
	uint32_t shape = take(s, 1);
	struct segment in = {.flags = shape & 128 ? (uint8_t)take(s, 1) : usual[shape & 7]};
	in.seq = take_near(s, w->acked ? w->rcv_nxt : w->peer_nxt, w->rcv_nxt + w->window);
	in.ack = take_near(s, w->snd_nxt, w->isn + 1);
	in.window = shape & 8 ? 65535 : (uint16_t)take(s, 2);
	if (shape & 16)
		in.options = take_octets(s, take(s, 1) % 41, &in.options_len);
	if (shape & 32)
		in.payload_len = take(s, 2) % (FRAME_MAX - 18 - 80 + 1);
	/* Octets that nobody can tell from others: of a SYN whose number is not the one we took, or behind a FIN. */
	w->tainted |= (in.flags & WIRE_SYN) || ((in.flags & WIRE_FIN) && in.payload_len);
	size_t len = build(w, &in, frame);
	if (shape & 64)
		len = mutate(w, s, frame, len);
	deliver(w, frame, len, w->device & RX_VERIFIED ? PACKET_CHECKSUM_GOOD : 0);
}

static void send_raw(struct world *w, struct script *s)
{
	uint8_t frame[FRAME_MAX];
	size_t len;
	uint32_t how = take(s, 1), wanted = take(s, 2) % FRAME_MAX;
	const uint8_t *octets = take_octets(s, wanted, &len);
	memcpy(frame, octets, len);
	if (how & 8 && len >= 6)
		memcpy(frame, our_mac, 6);
	if (len > ETHERNET_HEADER_BYTES)
		repair_ipv4(frame + ETHERNET_HEADER_BYTES, len - ETHERNET_HEADER_BYTES, how & 7);
	w->tainted = true;
	deliver(w, frame, len, how & 16 ? PACKET_CHECKSUM_GOOD : 0);
}

/* An ICMP error that quotes a segment of ours, or nearly. */
static void send_icmp(struct world *w, struct script *s)
{
	uint8_t frame[FRAME_MAX];
	size_t link = ethernet_build(frame, our_mac, peer_mac, w->device & VLAN ? 7 : 0, ETHERTYPE_IPV4);
	uint8_t *ip = frame + link, *icmp = ip + 20, *quoted = icmp + 8;
	memset(ip, 0, 20 + 8 + 20 + 8);
	ip[0] = quoted[0] = 0x45;
	ip[8] = quoted[8] = 64;
	ip[9] = IPV4_PROTOCOL_ICMP;
	put_be32(ip + 12, PEER_IP);
	put_be32(ip + 16, OUR_IP);
	icmp[0] = take(s, 1) & 15;
	icmp[1] = take(s, 1) & 15;
	put_be16(icmp + 6, (uint16_t)take(s, 2));
	quoted[9] = IPV4_PROTOCOL_TCP;
	put_be16(quoted + 2, 1500);
	put_be32(quoted + 12, OUR_IP);
	put_be32(quoted + 16, PEER_IP);
	put_be16(quoted + 20, OUR_PORT);
	put_be16(quoted + 22, PEER_PORT);
	put_be32(quoted + 24, take_near(s, w->snd_nxt - 1, w->isn));
	repair_ipv4(ip, 56, REPAIR_ALL);
	bool tainted = w->tainted;
	size_t len = mutate(w, s, frame, link + 56);
	w->tainted = tainted;
	deliver(w, frame, len, 0);
}

static void pass_time(struct world *w, uint32_t how)
{
	uint64_t at_ns = w->tp->next_deadline_ns;
	if (how & 1)
		w->now_ns += (uint64_t)how << 18;
	else if (at_ns != UINT64_MAX && at_ns > w->now_ns)
		w->now_ns = at_ns;
}

static void end(struct world *w, uint32_t how)
{
	const struct transport_ops *tp = w->tp->ops;
	if (how == 0)
		tp->abort(w->stream, w->now_ns);
	else if (how < 4)
		tp->close(w->stream, w->now_ns);
	else if (how < 8 && w->stream->state == STREAM_CLOSED) {
		if (strcmp(state_name(w), "CLOSED") != 0)
			tp->abort(w->stream, w->now_ns);
		w->tainted = true; /* what is still under way belongs to the connection before */
		open_stream(w);
	}
}

/* What control has for the wire: ARP and the like. */
static void send_aside(struct world *w)
{
	struct side_frame f = {.len = 60};
	if (!(w->device & SIDE))
		return;
	ethernet_build(f.octets, peer_mac, our_mac, w->device & VLAN ? 7 : 0, ETHERTYPE_ARP);
	spsc_push(&w->side.to_wire, &f);
}

static void step(struct world *w, struct script *s)
{
	uint32_t op = take(s, 1), how = op >> 4 & 7;
	switch (op & 15) {
	case 0:
		push(w, take(s, 2));
		break;
	case 1:
	case 2:
		pass_time(w, take(s, 1));
		break;
	case 3:
		consume(w, how & 1 ? UINT32_MAX : take(s, 2));
		break;
	case 4:
		end(w, how);
		break;
	case 5:
		send_icmp(w, s);
		break;
	case 6:
		w->no_buffers = how & 1;
		break;
	case 7:
		send_aside(w);
		break;
	case 8:
	case 9:
		send_raw(w, s);
		break;
	default:
		send_segment(w, s);
	}
	if (op & 0x80)
		return; /* several things happen between two turns */
	turn(w);
	check(w);
}

static void world_init(struct world *w, unsigned device, enum tcp_control control)
{
	struct tcp_transport_options options = {.streams = 2};
	w->now_ns = 1000000000000ull;
	w->device = device & DEVICE_SUMS ? device : device & ~(unsigned)DEVICE_CUTS;
	w->mtu = device & SMALL_MTU ? 576 : 1500;
	w->driver.ops = &ops;
	memcpy(w->driver.info.mac, our_mac, sizeof our_mac);
	w->driver.info.mtu = 1500;
	w->driver.info.frame_bytes = 1500 + ETHERNET_HEADER_MAX;
	w->driver.info.tx_checksum = device & DEVICE_SUMS;
	w->driver.info.tso_bytes = w->device & DEVICE_CUTS ? LARGE_BYTES : 0;
	tcp_config_init(&options.tcp);
	options.tcp.mtu = 1500;
	options.tcp.receive_bytes = 4096;
	options.tcp.verify_checksum = true;
	options.tcp.control = control;
	options.tcp.ecn = device & RX_VERIFIED;
	options.tcp.restart_after_idle = device & VLAN;
	options.tcp.keepalive_idle_ns = device & SMALL_MTU ? 1000000000u : 0;
	options.isn_secret[0] = device & WRAPS ? 1 : 2;
	if (device & SIDE) {
		REQUIRE(side_channel_init(&w->side) == 0);
		options.side = &w->side;
	}
	REQUIRE(tcp_transport_create(&w->driver, &options, &w->tp) == 0);
	w->stream = w->tp->streams[0];
	for (uint32_t i = 0; i < sizeof pushed; i++)
		pushed[i] = (uint8_t)(i % PERIOD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct world w = {0};
	uint32_t device = take(&s, 1), start = take(&s, 1);
	world_init(&w, device, (enum tcp_control)(start / STARTS % 3));
	bring_to(&w, start % STARTS, start / STARTS * 512);
	check(&w);
	while (s.left)
		step(&w, &s);
	turn(&w);
	check(&w);
	w.tp->ops->destroy(w.tp);
	if (w.device & SIDE)
		side_channel_fini(&w.side);
	return 0;
}
