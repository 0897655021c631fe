/* The peer as a host: just enough TCP (RFC 9293) to accept, acknowledge and close, on a path that loses nothing. */
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/seq.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/ipv4.h"
#include "drivers/interceptors/peer_internal.h"

#define TCP_HEADER_BYTES 20u
#define OPTIONS_MAX      40u
#define DEFAULT_MSS      536u /* RFC 9293, 3.7.1 */

#define FIN 0x01u
#define SYN 0x02u
#define RST 0x04u
#define PSH 0x08u
#define ACK 0x10u

enum option_kind {
	OPTION_END,
	OPTION_NOP,
	OPTION_MSS,
	OPTION_WINDOW_SCALE,
	OPTION_SACK_PERMITTED,
	OPTION_TIMESTAMPS = 8
};

/* What the client sent, as far as the peer wants to know. */
struct incoming {
	struct ethernet_frame link;
	struct ipv4_packet ip;
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	bool has_scale, has_sack_permitted, has_timestamps;
	uint8_t scale;
	uint16_t mss;
	uint32_t ts_value;
	const uint8_t *payload;
	uint32_t payload_len;
};

/* ---- taking ----------------------------------------------------------------------------------------------------- */

static void parse_option(struct incoming *in, uint8_t kind, const uint8_t *value, uint8_t len)
{
	if (kind == OPTION_MSS && len == 2) {
		in->mss = get_be16(value);
	} else if (kind == OPTION_WINDOW_SCALE && len == 1) {
		in->has_scale = true;
		in->scale = value[0] < 14 ? value[0] : 14;
	} else if (kind == OPTION_SACK_PERMITTED && len == 0) {
		in->has_sack_permitted = true;
	} else if (kind == OPTION_TIMESTAMPS && len == 8) {
		in->has_timestamps = true;
		in->ts_value = get_be32(value);
	}
}

static void parse_options(struct incoming *in, const uint8_t *options, size_t len)
{
	struct reader r = reader_over(options, len);
	while (reader_left(&r) > 0 && !r.failed) {
		uint8_t kind = reader_u8(&r);
		if (kind == OPTION_END)
			return;
		if (kind == OPTION_NOP)
			continue;
		uint8_t option_len = reader_u8(&r);
		if (option_len < 2)
			return;
		const uint8_t *value = reader_take(&r, option_len - 2u);
		if (value)
			parse_option(in, kind, value, (uint8_t)(option_len - 2));
	}
}

static bool parse(const uint8_t *frame, uint32_t len, struct incoming *in)
{
	memset(in, 0, sizeof *in);
	if (ethernet_parse(frame, len, &in->link) != 0 || in->link.type != ETHERTYPE_IPV4)
		return false;
	if (ipv4_parse(in->link.payload, in->link.payload_len, &in->ip) != 0 || in->ip.protocol != IPV4_PROTOCOL_TCP)
		return false;
	const uint8_t *tcp = in->ip.payload;
	if (in->ip.payload_len < TCP_HEADER_BYTES)
		return false;
	size_t header = (tcp[12] >> 4) * 4u;
	if (header < TCP_HEADER_BYTES || header > in->ip.payload_len)
		return false;
	in->source_port = get_be16(tcp);
	in->destination_port = get_be16(tcp + 2);
	in->seq = get_be32(tcp + 4);
	in->ack = get_be32(tcp + 8);
	in->flags = tcp[13];
	in->window = get_be16(tcp + 14);
	in->payload = tcp + header;
	in->payload_len = (uint32_t)(in->ip.payload_len - header);
	parse_options(in, tcp + TCP_HEADER_BYTES, header - TCP_HEADER_BYTES);
	return true;
}

static bool checksum_is_right(const struct incoming *in)
{
	uint64_t sum = checksum_pseudo(in->ip.source, in->ip.destination, IPV4_PROTOCOL_TCP);
	sum += checksum_be16((uint16_t)in->ip.payload_len);
	return checksum_finish(sum + checksum_partial(in->ip.payload, in->ip.payload_len)) == 0;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

static void timestamps_option(struct writer *w, struct peer *p, const struct peer_connection *c)
{
	writer_u8(w, OPTION_TIMESTAMPS);
	writer_u8(w, 10);
	writer_be32(w, ++p->ts_value);
	writer_be32(w, c->ts_recent);
}

static void write_options(struct writer *w, struct peer *p, const struct peer_connection *c, bool syn)
{
	if (syn) {
		writer_be32(w, OPTION_MSS << 24 | 4u << 16 | p->options.mss);
		if (c->window_scale)
			writer_be32(w,
				    OPTION_NOP << 24 | OPTION_WINDOW_SCALE << 16 | 3u << 8 | p->options.window_scale);
		if (c->sack_permitted)
			writer_be16(w, OPTION_SACK_PERMITTED << 8 | 2u);
	}
	if (c->timestamps)
		timestamps_option(w, p, c);
	while (writer_len(w) % 4 != 0)
		writer_u8(w, OPTION_NOP);
}

static void write_ipv4(uint8_t *ip, const struct peer_connection *c, size_t total_len)
{
	memset(ip, 0, IPV4_HEADER_BYTES);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)total_len);
	put_be16(ip + 6, IPV4_DONT_FRAGMENT);
	ip[8] = 64;
	ip[9] = IPV4_PROTOCOL_TCP;
	put_be32(ip + 12, c->ip);
	put_be32(ip + 16, c->client_ip);
	uint16_t sum = checksum_finish(checksum_partial(ip, IPV4_HEADER_BYTES));
	memcpy(ip + 10, &sum, sizeof sum);
}

static void write_tcp(uint8_t *tcp, const struct peer *p, const struct peer_connection *c, uint8_t flags,
		      size_t header_len, size_t payload_len)
{
	put_be16(tcp, c->port);
	put_be16(tcp + 2, c->client_port);
	put_be32(tcp + 4, c->snd_nxt);
	put_be32(tcp + 8, flags & ACK ? c->rcv_nxt : 0);
	tcp[12] = (uint8_t)(header_len / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, p->options.window);
	put_be32(tcp + 16, 0); /* checksum, urgent pointer */
	uint64_t sum = checksum_pseudo(c->ip, c->client_ip, IPV4_PROTOCOL_TCP);
	sum += checksum_be16((uint16_t)(header_len + payload_len));
	uint16_t checksum = checksum_finish(sum + checksum_partial(tcp, header_len + payload_len));
	memcpy(tcp + 16, &checksum, sizeof checksum);
}

bool peer_send(struct peer *p, struct peer_connection *c, uint8_t flags, const void *payload, uint32_t len)
{
	if (peer_queue_full(p))
		return false;
	if (!(flags & RST))
		flags |= ACK;
	if (len > 0)
		flags |= PSH;
	struct peer_segment *s = &p->queue[p->tail++ & (PEER_QUEUE - 1)];
	uint8_t *ip = s->octets + ethernet_build(s->octets, c->client_mac, c->mac, c->vlan, ETHERTYPE_IPV4);
	uint8_t *tcp = ip + IPV4_HEADER_BYTES;
	struct writer w = writer_over(tcp + TCP_HEADER_BYTES, OPTIONS_MAX);
	write_options(&w, p, c, flags & SYN);
	size_t header_len = TCP_HEADER_BYTES + writer_len(&w);
	if (len > 0)
		memcpy(tcp + header_len, payload, len);
	write_tcp(tcp, p, c, flags, header_len, len);
	write_ipv4(ip, c, IPV4_HEADER_BYTES + header_len + len);
	s->len = (uint32_t)(tcp - s->octets + header_len + len);

	c->snd_nxt += len + ((flags & (SYN | FIN)) != 0);
	c->unacked_segments = 0;
	p->stats.acks += len == 0;
	return true;
}

static void acknowledge(struct peer *p, struct peer_connection *c)
{
	if (!peer_send(p, c, 0, NULL, 0))
		p->stats.queue_full++;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static void address(struct peer_connection *c, const struct incoming *in)
{
	memcpy(c->client_mac, in->link.source, 6);
	memcpy(c->mac, in->link.destination, 6);
	c->vlan = in->link.vlan;
	c->client_ip = in->ip.source;
	c->ip = in->ip.destination;
	c->client_port = in->source_port;
	c->port = in->destination_port;
}

static struct peer_connection *find(struct peer *p, const struct incoming *in)
{
	for (uint32_t i = 0; i < PEER_CONNECTIONS; i++) {
		struct peer_connection *c = &p->connections[i];
		if (c->open && c->client_port == in->source_port && c->port == in->destination_port &&
		    c->client_ip == in->ip.source && c->ip == in->ip.destination)
			return c;
	}
	return NULL;
}

static struct peer_connection *find_free(struct peer *p)
{
	for (uint32_t i = 0; i < PEER_CONNECTIONS; i++)
		if (!p->connections[i].open)
			return &p->connections[i];
	return NULL;
}

/* RFC 9293, 3.10.7.1: a segment for no connection is answered with a reset. */
static void refuse(struct peer *p, const struct incoming *in)
{
	if (in->flags & RST)
		return;
	struct peer_connection stranger = {.snd_nxt = in->ack};
	address(&stranger, in);
	if (in->flags & ACK) {
		peer_send(p, &stranger, RST, NULL, 0);
		return;
	}
	stranger.snd_nxt = 0;
	stranger.rcv_nxt = in->seq + in->payload_len + ((in->flags & SYN) != 0) + ((in->flags & FIN) != 0);
	peer_send(p, &stranger, RST | ACK, NULL, 0);
}

/* A SYN, or one again that got no answer yet: the connection starts anew. */
static void accept_syn(struct peer *p, struct peer_connection *c, const struct incoming *in)
{
	if (!c)
		c = find_free(p);
	if (!c) {
		refuse(p, in);
		return;
	}
	memset(c, 0, sizeof *c);
	address(c, in);
	c->open = true;
	c->rcv_nxt = in->seq + 1;
	c->snd_una = c->snd_nxt = p->options.isn;
	c->client_mss = in->mss > DEFAULT_MSS ? in->mss : DEFAULT_MSS;
	c->client_window = in->window; /* RFC 7323, 2.2: never scaled in a SYN */
	c->client_scale = in->has_scale ? in->scale : 0;
	c->window_scale = in->has_scale;
	c->sack_permitted = in->has_sack_permitted;
	c->timestamps = in->has_timestamps && p->options.timestamps;
	c->ts_recent = in->ts_value;
	p->stats.connections++;
	peer_send(p, c, SYN, NULL, 0);
}

/* The part of the payload that has not been seen; false when the segment is not next in order. */
static bool trim(const struct peer_connection *c, struct incoming *in)
{
	if (seq_gt(in->seq, c->rcv_nxt))
		return false;
	uint32_t seen = c->rcv_nxt - in->seq;
	if (seen > in->payload_len || (seen == in->payload_len && !(in->flags & FIN)))
		return false;
	in->payload += seen;
	in->payload_len -= seen;
	return true;
}

static void take_data(struct peer *p, struct peer_connection *c, struct incoming *in)
{
	if (!trim(c, in) || c->finished) {
		p->stats.out_of_order++;
		acknowledge(p, c);
		return;
	}
	c->ts_recent = in->has_timestamps ? in->ts_value : c->ts_recent;
	c->rcv_nxt += in->payload_len;
	p->stats.octets += in->payload_len;
	p->stats.messages += publish_counter_take(&c->counter, in->payload, in->payload_len);
	c->unacked_segments++;
	if (in->flags & FIN) {
		c->rcv_nxt++;
		peer_send_confirms(p, c, true);
		c->finished = peer_send(p, c, FIN, NULL, 0);
		c->rcv_nxt -= !c->finished; /* the queue is full: it will be sent again */
		return;
	}
	peer_send_confirms(p, c, false);
	if (c->unacked_segments >= p->options.ack_every)
		acknowledge(p, c);
}

static void take_segment(struct peer *p, struct peer_connection *c, struct incoming *in)
{
	p->empty_bursts = 0;
	if (in->flags & RST) {
		c->open = false;
		return;
	}
	if (in->flags & ACK && seq_between(c->snd_una, in->ack, c->snd_nxt)) {
		c->snd_una = in->ack;
		c->client_window = (uint32_t)in->window << c->client_scale;
	}
	if (in->payload_len > 0 || in->flags & FIN)
		take_data(p, c, in);
	else
		peer_send_confirms(p, c, false); /* the window may have opened */
}

__attribute__((noinline)) void peer_take_frame(struct peer *p, const uint8_t *frame, uint32_t len)
{
	struct incoming in;
	if (!parse(frame, len, &in)) {
		p->stats.not_tcp++;
		return;
	}
	if (p->options.verify_checksum && !checksum_is_right(&in)) {
		p->stats.bad_checksums++;
		return;
	}
	p->stats.segments++;
	struct peer_connection *c = find(p, &in);
	if ((in.flags & (SYN | ACK | RST)) == SYN)
		accept_syn(p, c, &in);
	else if (c)
		take_segment(p, c, &in);
	else
		refuse(p, &in);
}

static void send_left_over(struct peer *p)
{
	for (uint32_t i = 0; i < PEER_CONNECTIONS; i++) {
		struct peer_connection *c = &p->connections[i];
		if (!c->open)
			continue;
		peer_send_confirms(p, c, true);
		if (c->unacked_segments > 0)
			acknowledge(p, c);
	}
}

__attribute__((noinline)) uint32_t peer_fill_burst(struct peer *p, struct packet *packets, uint32_t max)
{
	if (p->head == p->tail && p->options.idle_bursts > 0 && ++p->empty_bursts >= p->options.idle_bursts) {
		p->empty_bursts = 0;
		send_left_over(p);
	}
	uint32_t n = p->tail - p->head < max ? p->tail - p->head : max;
	for (uint32_t i = 0; i < n; i++) {
		struct peer_segment *s = &p->queue[(p->head + i) & (PEER_QUEUE - 1)];
		packets[i] = (struct packet){
			.data = s->octets, .len = s->len, .flags = p->options.checksum_good ? PACKET_CHECKSUM_GOOD : 0};
		p->rx.rx_bytes += s->len;
	}
	p->rx.rx_packets += n;
	return n;
}
