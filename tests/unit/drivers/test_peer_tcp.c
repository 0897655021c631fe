/* The TCP client of dataplane/tcp against the peer: the pair that benchmarks run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/bytes.h"
#include "dataplane/tcp/tcp.h"
#include "drivers/interceptors/peer.h"
#include "drivers/null/null.h"

#define ETHERNET_BYTES 14u
#define MESSAGES       2000u
#define ACK_BYTES      21u

struct session {
	struct driver *driver;
	struct tcp *tcp;
	void *memory;
	struct extent_queue tx;
	uint64_t now_ns;
	uint64_t received; /* octets */
};

static void open_session(struct session *s, const struct peer_options *options)
{
	const struct null_options null_options = {.buffers = 64, .mtu = 1500};
	const struct tcp_tuple tuple = {
		.local_ip = 0x0a000001, .remote_ip = 0x0a000002, .local_port = 40000, .remote_port = 5672};
	struct driver *inner;
	struct tcp_config config;
	memset(s, 0, sizeof *s);
	tcp_config_init(&config);
	config.mtu = 1500;
	config.verify_checksum = true;
	config.fill_checksum = true;
	s->memory = aligned_alloc(64, (tcp_size(&config) + 63) / 64 * 64);
	s->tcp = tcp_init(s->memory, &config);
	s->now_ns = 1000000000;
	extents_init(&s->tx);
	assert_int_equal(null_create(&null_options, &inner), 0);
	assert_int_equal(peer_create(options, inner, &s->driver), 0);
	assert_int_equal(tcp_open(s->tcp, &tuple, 0xffffff00, &s->tx, s->now_ns), 0);
}

static void close_session(struct session *s)
{
	s->driver->ops->destroy(s->driver);
	free(s->memory);
}

static bool transmit(struct session *s)
{
	struct packet packet;
	assert_int_equal(s->driver->ops->tx_reserve(s->driver, &packet, 1), 1);
	size_t len = tcp_output(s->tcp, packet.data + ETHERNET_BYTES, packet.len - ETHERNET_BYTES, s->now_ns);
	memset(packet.data, 2, 12);
	put_be16(packet.data + 12, 0x0800);
	packet.len = (uint32_t)(ETHERNET_BYTES + len);
	s->driver->ops->tx_submit(s->driver, &packet, len > 0, 1);
	return len > 0;
}

static void drain(struct session *s)
{
	uint32_t len;
	for (;;) {
		tcp_readable(s->tcp, &len);
		if (len == 0)
			return;
		s->received += len;
		tcp_consume(s->tcp, len, s->now_ns);
	}
}

/* One turn, as a worker takes it; whether anything happened. */
static bool turn(struct session *s)
{
	struct packet packets[DRIVER_BURST_MAX];
	uint32_t n = s->driver->ops->rx_burst(s->driver, packets, DRIVER_BURST_MAX);
	for (uint32_t i = 0; i < n; i++) {
		struct tcp_segment segment;
		assert_int_equal(tcp_segment_parse(packets[i].data + ETHERNET_BYTES, packets[i].len - ETHERNET_BYTES,
						   true, &segment),
				 0);
		tcp_input(s->tcp, &segment, s->now_ns);
	}
	s->driver->ops->rx_release(s->driver, packets, n);
	drain(s);
	bool sent = false;
	for (int i = 0; i < 32 && transmit(s); i++)
		sent = true;
	s->now_ns += 1000;
	return n > 0 || sent;
}

static void run_until_idle(struct session *s)
{
	for (int idle = 0; idle < 10;)
		idle = turn(s) ? 0 : idle + 1;
}

/* Publishes with bodies of 264 octets, back to back. */
static uint8_t *messages_of(uint32_t count, size_t *len)
{
	uint8_t *stream = calloc(count, 400), *p = stream;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(p, "\x01\0\x01\0\0\0\x0a\0\x3c\0\x28\0\0\0\x01k\0\xce", 18);
		memcpy(p + 18, "\x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\x01\x08\0\0\xce", 22);
		memcpy(p + 40, "\x03\0\x01\0\0\x01\x08", 7);
		p[47 + 264] = 0xce;
		p += 48 + 264;
	}
	*len = (size_t)(p - stream);
	return stream;
}

static void every_message_is_confirmed_and_every_octet_acked(void **state)
{
	struct peer_options options;
	peer_options_init(&options);
	options.confirm_every = 1;
	options.idle_bursts = 5;
	for (uint32_t ack_every = 1; ack_every <= 2; ack_every++) {
		struct session s;
		struct peer_stats stats;
		size_t len;
		options.ack_every = ack_every;
		options.confirm_multiple = false;
		open_session(&s, &options);
		run_until_idle(&s);
		assert_int_equal(tcp_state_of(s.tcp), TCP_ESTABLISHED);
		uint8_t *stream = messages_of(MESSAGES, &len);
		assert_true(extents_push(&s.tx, stream, len, EXTENT_LOG));
		tcp_pushed(s.tcp);
		run_until_idle(&s);
		peer_stats_get(s.driver, &stats);
		assert_int_equal(stats.messages, MESSAGES);
		assert_int_equal(tcp_acked(s.tcp), len);
		assert_int_equal(s.received, MESSAGES * ACK_BYTES);
		assert_int_equal(stats.bad_checksums, 0);
		assert_int_equal(stats.out_of_order, 0);
		free(stream);
		close_session(&s);
	}
}

static void close_is_orderly(void **state)
{
	struct session s;
	struct peer_options options;
	peer_options_init(&options);
	open_session(&s, &options);
	run_until_idle(&s);
	tcp_close(s.tcp, s.now_ns);
	run_until_idle(&s);
	assert_true(tcp_peer_finished(s.tcp));
	assert_int_equal(tcp_state_of(s.tcp), TCP_TIME_WAIT);
	close_session(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_is_confirmed_and_every_octet_acked),
		cmocka_unit_test(close_is_orderly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
