/*
 * One connection under test, with a clock of its own and a peer whose every segment the test writes. Tests speak in
 * stream offsets: `sent(f, n)` is our octet n's sequence number, `theirs(f, n)` the peer's, so that each runs as well
 * across the wrap of sequence numbers (see BOTH).
 */
#ifndef HAREWIRE_TESTS_TCP_FIXTURE_H
#define HAREWIRE_TESTS_TCP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"
#include "tests/lib/tcp_peer.h"

#define MS           1000000ull
#define SECOND       (1000 * MS)
#define US_IP        0x0a000001u
#define PEER_IP      0x0a000002u
#define US_PORT      40000
#define PEER_PORT    5672
#define STREAM_BYTES (1u << 20)

struct fixture {
	struct tcp *t;
	struct extent_queue tx;
	struct tcp_config config;
	uint64_t now;
	uint32_t isn, peer_isn;
	uint32_t peer_next; /* stream offset of what the peer sends next */
	uint32_t peer_ts;
	/* what the peer's SYN offers */
	uint16_t peer_mss, peer_window;
	int peer_scale;
	bool peer_sack, peer_timestamps;
	uint8_t *stream;
	uint8_t packet[65536];
	struct wire_segment out; /* our last segment; its payload lies in `packet` */
	size_t out_len;
};

static inline uint32_t sent(const struct fixture *f, uint32_t offset)
{
	return f->isn + 1 + offset;
}

static inline uint32_t theirs(const struct fixture *f, uint32_t offset)
{
	return f->peer_isn + 1 + offset;
}

static inline uint8_t octet_at(uint64_t offset)
{
	return (uint8_t)(offset * 131 + (offset >> 8) * 7 + (offset >> 16));
}

/* The initial state is the ISN to start from. */
static int setup(void **state)
{
	uint32_t isn = (uint32_t)(uintptr_t)*state;
	struct fixture *f = calloc(1, sizeof *f);
	tcp_config_init(&f->config);
	f->config.delayed_ack_ns = 0;
	f->config.rto_min_ns = 50 * MS; /* above any delay that is assumed or seen of the peer: easy to count as well */
	f->config.control = TCP_RENO;   /* halves are easy to count */
	f->now = 1000 * SECOND;
	f->isn = isn;
	f->peer_isn = isn ^ 0x5000;
	f->peer_mss = 1460;
	f->peer_window = 65535;
	f->peer_scale = -1;
	f->stream = malloc(STREAM_BYTES);
	for (uint32_t i = 0; i < STREAM_BYTES; i++)
		f->stream[i] = octet_at(i);
	extents_init(&f->tx);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	free(f->t);
	free(f->stream);
	free(f);
	return 0;
}

/* Our next segment into f->out, checksums checked; false: none is due. */
static bool output(struct fixture *f)
{
	f->out_len = tcp_output(f->t, f->packet, sizeof f->packet, f->now);
	if (f->out_len == 0)
		return false;
	assert_true(f->out_len <= f->config.mtu);
	assert_true(wire_parse(f->packet, f->out_len, &f->out));
	assert_int_equal(f->out.source_ip, US_IP);
	assert_int_equal(f->out.destination_port, PEER_PORT);
	return true;
}

static inline void expect_silence(struct fixture *f)
{
	assert_false(output(f));
}

/* Data [offset, offset + len), with the right octets. */
static inline void expect_data(struct fixture *f, uint32_t offset, uint32_t len)
{
	assert_true(output(f));
	assert_int_equal(f->out.seq, sent(f, offset));
	assert_int_equal(f->out.len, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(f->out.payload[i], octet_at(offset + i));
}

static inline void expect_ack(struct fixture *f, uint32_t their_offset)
{
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_ACK);
	assert_int_equal(f->out.len, 0);
	assert_int_equal(f->out.ack, theirs(f, their_offset));
}

static inline void expect_reset(struct fixture *f, uint32_t seq)
{
	assert_true(output(f));
	assert_true(f->out.flags & WIRE_RST);
	assert_int_equal(f->out.seq, seq);
}

/* A segment of the peer's, from its usual place: at peer_next, acknowledging `acked` of our octets. */
static inline struct wire_segment from_peer(const struct fixture *f, uint32_t acked)
{
	return (struct wire_segment){.source_ip = PEER_IP,
				     .destination_ip = US_IP,
				     .source_port = PEER_PORT,
				     .destination_port = US_PORT,
				     .seq = theirs(f, f->peer_next),
				     .ack = sent(f, acked),
				     .window = f->peer_window,
				     .flags = WIRE_ACK,
				     .scale = -1,
				     .timestamps = f->peer_timestamps,
				     .ts_value = f->peer_ts,
				     .ts_echo = (uint32_t)(f->now >> TCP_TIMESTAMP_SHIFT)};
}

static inline void input(struct fixture *f, const struct wire_segment *s)
{
	uint8_t packet[4096];
	struct tcp_segment segment;
	size_t len = wire_build(packet, s);
	assert_int_equal(tcp_segment_parse(packet, len, true, &segment), 0);
	tcp_input(f->t, &segment, f->now);
}

static inline void ack(struct fixture *f, uint32_t acked)
{
	struct wire_segment s = from_peer(f, acked);
	input(f, &s);
}

static inline void ack_flags(struct fixture *f, uint32_t acked, uint8_t flags)
{
	struct wire_segment s = from_peer(f, acked);
	s.flags = flags;
	input(f, &s);
}

/* `len` octets of the peer's stream at `offset`. */
static inline void data_from_peer(struct fixture *f, uint32_t offset, uint32_t len)
{
	struct wire_segment s = from_peer(f, (uint32_t)tcp_acked(f->t));
	s.seq = theirs(f, offset);
	s.payload = f->stream + offset;
	s.len = len;
	input(f, &s);
}

static void open_connection(struct fixture *f)
{
	struct tcp_tuple tuple = {US_IP, PEER_IP, US_PORT, PEER_PORT};
	f->t = tcp_init(aligned_alloc(64, (tcp_size(&f->config) + 63) & ~(size_t)63), &f->config);
	assert_int_equal(tcp_open(f->t, &tuple, f->isn, &f->tx, f->now), 0);
}

static inline struct wire_segment syn_ack(const struct fixture *f)
{
	struct wire_segment s = from_peer(f, 0);
	s.seq = f->peer_isn;
	s.flags = WIRE_SYN | WIRE_ACK;
	s.mss = f->peer_mss;
	s.scale = f->peer_scale;
	s.sack_permitted = f->peer_sack;
	return s;
}

static inline void establish(struct fixture *f)
{
	open_connection(f);
	assert_true(output(f));
	assert_int_equal(f->out.flags, WIRE_SYN);
	f->now += MS;
	struct wire_segment s = syn_ack(f);
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	expect_ack(f, 0);
	expect_silence(f);
}

static inline void push(struct fixture *f, uint32_t len)
{
	assert_true(extents_push(&f->tx, f->stream + f->tx.end, len, EXTENT_LOG));
	tcp_pushed(f->t);
}

/* Lets everything due go out; returns how many segments that was. */
static inline uint32_t drain(struct fixture *f)
{
	uint32_t n = 0;
	while (output(f))
		n++;
	return n;
}

/* To the next deadline, which has to lie `after` ns from now (within 2 %). */
static inline void pass_deadline(struct fixture *f, uint64_t after)
{
	uint64_t at = tcp_deadline(f->t);
	assert_true(at != TCP_NEVER);
	assert_in_range(at - f->now, after - after / 50, after + after / 50);
	f->now = at;
	tcp_timer(f->t, f->now);
}

#define PLAIN_ISN ((void *)(uintptr_t)0x1000u)
#define WRAP_ISN  ((void *)(uintptr_t)0xfffff000u)

/* Each test twice: the second time the numbers of both sides wrap within the first 4 KiB of the stream. */
#define BOTH(test)                                                                                                     \
	{#test, test, setup, teardown, PLAIN_ISN},                                                                     \
	{                                                                                                              \
#test " (wrapping)", test, setup, teardown, WRAP_ISN                                                   \
	}

#endif
