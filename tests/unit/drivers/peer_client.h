/* A client made by hand: it builds segments octet by octet and takes the peer's answers apart, sharing no code with it.
 */
#ifndef HAREWIRE_TESTS_PEER_CLIENT_H
#define HAREWIRE_TESTS_PEER_CLIENT_H

#include "dataplane/base/bytes.h"
#include "drivers/interceptors/peer.h"
#include "drivers/null/null.h"

#define FIN 1u
#define SYN 2u
#define RST 4u
#define PSH 8u
#define ACK 16u

#define CLIENT_IP   0x0a000001u
#define BROKER_IP   0x0a000002u
#define BROKER_PORT 5672u
#define CLIENT_ISN  0xfffffff0u /* wraps soon */

static const uint8_t client_mac[6] = {2, 0, 0, 0, 0, 1}, broker_mac[6] = {2, 0, 0, 0, 0, 2};

/* The common options of a SYN: MSS 1460, window scale 5, SACK-permitted, timestamps 100, NOP */
static const char syn_options[] = "\x02\x04\x05\xb4\x03\x03\x05\x04\x02\x08\x0a\0\0\0\x64\0\0\0\0\x01";
#define SYN_OPTIONS_BYTES 20u

struct client {
	struct driver *driver;
	uint16_t port;
	uint16_t vlan;
	uint32_t seq, ack; /* of the next segment */
	uint16_t window;
};

/* One answer of the peer. */
struct answer {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t options[40];
	uint32_t options_len;
	uint8_t payload[1600];
	uint32_t payload_len;
	uint32_t packet_flags;
};

/* RFC 1071, the slow way. */
static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t tcp_sum(const uint8_t *ip, size_t tcp_len)
{
	return sum16(sum16(6 + (uint32_t)tcp_len, ip + 12, 8), ip + 20, tcp_len);
}

static size_t build(const struct client *c, uint8_t *frame, uint8_t flags, const void *options, size_t options_len,
		    const void *payload, size_t len)
{
	uint8_t *ip = frame + (c->vlan ? 18 : 14), *tcp = ip + 20;
	size_t tcp_len = 20 + options_len + len;
	memset(frame, 0, 60 + options_len);
	memcpy(frame, broker_mac, 6);
	memcpy(frame + 6, client_mac, 6);
	if (c->vlan) {
		put_be16(frame + 12, 0x8100);
		put_be16(frame + 14, c->vlan);
	}
	put_be16(ip - 2, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(20 + tcp_len));
	put_be16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = 6;
	put_be32(ip + 12, CLIENT_IP);
	put_be32(ip + 16, BROKER_IP);
	put_be16(ip + 10, (uint16_t)~sum16(0, ip, 20));
	put_be16(tcp, c->port);
	put_be16(tcp + 2, BROKER_PORT);
	put_be32(tcp + 4, c->seq);
	put_be32(tcp + 8, flags & ACK ? c->ack : 0);
	tcp[12] = (uint8_t)((20 + options_len) / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, c->window);
	memcpy(tcp + 20, options, options_len);
	memcpy(tcp + 20 + options_len, payload, len);
	put_be16(tcp + 16, (uint16_t)~tcp_sum(ip, tcp_len));
	return (size_t)(tcp - frame) + tcp_len;
}

static void client_submit(struct client *c, const uint8_t *frame, size_t len)
{
	struct packet packet;
	assert_int_equal(c->driver->ops->tx_reserve(c->driver, &packet, 1), 1);
	assert_true(len <= packet.len);
	memcpy(packet.data, frame, len);
	packet.len = (uint32_t)len;
	c->driver->ops->tx_submit(c->driver, &packet, 1, 1);
}

static void client_send(struct client *c, uint8_t flags, const void *payload, size_t len)
{
	uint8_t frame[2000];
	bool syn = flags & SYN;
	size_t n = build(c, frame, flags, syn ? syn_options : "", syn ? SYN_OPTIONS_BYTES : 0, payload, len);
	client_submit(c, frame, n);
	c->seq += (uint32_t)len + ((flags & (SYN | FIN)) != 0);
}

static void take_apart(const struct client *c, const struct packet *packet, struct answer *a)
{
	const uint8_t *ip = packet->data + (c->vlan ? 18 : 14), *tcp = ip + 20;
	assert_memory_equal(packet->data, client_mac, 6);
	assert_memory_equal(packet->data + 6, broker_mac, 6);
	if (c->vlan) {
		assert_int_equal(get_be16(packet->data + 12), 0x8100);
		assert_int_equal(get_be16(packet->data + 14), c->vlan);
	}
	assert_int_equal(get_be16(ip - 2), 0x0800);
	assert_int_equal(ip[0], 0x45);
	size_t total = get_be16(ip + 2);
	assert_ptr_equal(ip + total, packet->data + packet->len);
	assert_int_equal(sum16(0, ip, 20), 0xffff);
	assert_int_equal(tcp_sum(ip, total - 20), 0xffff);
	assert_int_equal(get_be32(ip + 12), BROKER_IP);
	assert_int_equal(get_be32(ip + 16), CLIENT_IP);
	assert_int_equal(get_be16(tcp), BROKER_PORT);
	assert_int_equal(get_be16(tcp + 2), c->port);
	size_t header = (tcp[12] >> 4) * 4u;
	*a = (struct answer){.flags = tcp[13],
			     .seq = get_be32(tcp + 4),
			     .ack = get_be32(tcp + 8),
			     .window = get_be16(tcp + 14),
			     .options_len = (uint32_t)header - 20,
			     .payload_len = (uint32_t)(total - 20 - header),
			     .packet_flags = packet->flags};
	memcpy(a->options, tcp + 20, a->options_len);
	memcpy(a->payload, tcp + header, a->payload_len);
}

/* Everything the peer has to say; returns how many answers (at most `max`). */
static uint32_t client_receive(struct client *c, struct answer *answers, uint32_t max)
{
	struct packet packets[4];
	uint32_t count = 0, n;
	while ((n = c->driver->ops->rx_burst(c->driver, packets, 4)) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			assert_true(count < max);
			take_apart(c, &packets[i], &answers[count++]);
		}
		c->driver->ops->rx_release(c->driver, packets, n);
	}
	return count;
}

static struct client client_over(const struct peer_options *options)
{
	const struct null_options null_options = {.buffers = 64, .mtu = 1500};
	struct client c = {.port = 40000, .seq = CLIENT_ISN, .window = 2048};
	struct driver *inner;
	assert_int_equal(null_create(&null_options, &inner), 0);
	assert_int_equal(peer_create(options, inner, &c.driver), 0);
	return c;
}

/* SYN, SYN-ACK, ACK. */
static void client_connect(struct client *c)
{
	struct answer a;
	client_send(c, SYN, "", 0);
	assert_int_equal(client_receive(c, &a, 1), 1);
	assert_int_equal(a.flags, SYN | ACK);
	c->ack = a.seq + 1;
	client_send(c, ACK, "", 0);
	assert_int_equal(client_receive(c, &a, 1), 0);
}

#endif
