/* The interceptor that copies packets, over a peer that answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/interceptors/capture.h"
#include "tests/unit/drivers/peer_client.h"

static struct clock_scale scale;

static int calibrate(void **state)
{
	clock_calibrate(&scale);
	return 0;
}

static struct driver *capture_over(struct driver *inner, uint32_t snap_bytes, uint64_t ring_bytes)
{
	const struct capture_options options = {.clock = &scale, .snap_bytes = snap_bytes, .ring_bytes = ring_bytes};
	struct driver *capture;
	assert_int_equal(capture_create(&options, inner, &capture), 0);
	return capture;
}

static struct client client_over_peer(void)
{
	struct peer_options options;
	peer_options_init(&options);
	return client_over(&options);
}

/* Takes the oldest packet, which must be of this direction. */
static struct capture_packet take(struct driver *capture, bool sent, uint8_t *copy)
{
	struct capture_packet p;
	assert_true(capture_peek(capture, &p));
	assert_int_equal(p.sent, sent);
	memcpy(copy, p.data, p.captured);
	capture_pop(capture);
	return p;
}

/* The same conversation with and without a capture: what is sent and what is received must be the same. */
static void what_passes_is_the_same_as_without_it_and_is_in_the_ring(void **state)
{
	static struct answer plain[64], watched[64];
	uint8_t copy[2000], data[1400], frame[2000];
	struct client a = client_over_peer(), b = client_over_peer();
	struct driver *peer = b.driver, *capture = capture_over(peer, 0, 1u << 20);
	b.driver = capture;
	client_connect(&a);
	client_connect(&b);
	take(capture, true, copy);  /* SYN */
	take(capture, false, copy); /* SYN-ACK */
	take(capture, true, copy);  /* ACK */
	for (uint32_t i = 1; i <= 20; i++) {
		uint32_t len = i * 70;
		memset(data, (int)i, len);
		size_t frame_len = build(&b, frame, ACK | PSH, "", 0, data, len);
		client_send(&a, ACK | PSH, data, len);
		client_send(&b, ACK | PSH, data, len);
		assert_int_equal(client_receive(&a, plain, 64), 1);
		assert_int_equal(client_receive(&b, watched, 64), 1);
		assert_memory_equal(&plain[0], &watched[0], sizeof plain[0]);
		struct capture_packet sent = take(capture, true, copy);
		assert_int_equal(sent.len, frame_len);
		assert_int_equal(sent.captured, frame_len);
		assert_memory_equal(copy, frame, frame_len);
		struct capture_packet received = take(capture, false, copy);
		assert_int_equal(received.len, 14 + 20 + 32); /* timestamps */
		assert_memory_equal(copy, client_mac, 6);
		assert_true(received.ticks >= sent.ticks);
	}
	struct capture_packet none;
	struct capture_counts counts;
	assert_false(capture_peek(capture, &none));
	capture_counts_get(capture, &counts);
	assert_int_equal(counts.packets, 3 + 2 * 20);
	assert_int_equal(counts.dropped, 0);
	capture_destroy(capture);
	peer->ops->destroy(peer);
	a.driver->ops->destroy(a.driver);
}

static void buffers_that_are_given_back_unsent_are_not_captured(void **state)
{
	struct client c = client_over_peer();
	struct driver *capture = capture_over(c.driver, 0, 1u << 20);
	struct packet packets[8];
	struct capture_packet p;
	uint32_t n = capture->ops->tx_reserve(capture, packets, 8);
	assert_int_equal(n, 8);
	for (uint32_t i = 0; i < n; i++) {
		memset(packets[i].data, (int)i, 100);
		packets[i].len = 100;
	}
	capture->ops->tx_submit(capture, packets, 2, n);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(capture_peek(capture, &p));
		assert_int_equal(p.data[99], i);
		capture_pop(capture);
	}
	assert_false(capture_peek(capture, &p));
	n = capture->ops->tx_reserve(capture, packets, 8);
	capture->ops->tx_submit(capture, packets, 0, n);
	assert_false(capture_peek(capture, &p));
	capture_destroy(capture);
	c.driver->ops->destroy(c.driver);
}

static void submit_octets(struct driver *d, uint32_t len, uint8_t fill)
{
	struct packet p;
	assert_int_equal(d->ops->tx_reserve(d, &p, 1), 1);
	assert_true(len <= p.len);
	memset(p.data, fill, len);
	p.len = len;
	d->ops->tx_submit(d, &p, 1, 1);
}

static void a_full_ring_drops_and_counts_and_what_is_in_it_stays_whole(void **state)
{
	const struct null_options null_options = {.buffers = 64, .mtu = 9000};
	struct driver *null, *capture;
	struct capture_packet p;
	struct capture_counts counts;
	struct driver_stats stats;
	uint32_t held = 0, submitted = 0, next = 0;
	assert_int_equal(null_create(&null_options, &null), 0);
	capture = capture_over(null, 0, 2 * CAPTURE_FRAME_MAX);
	/* Several times round the ring, emptied by half between: records lie across its end. */
	for (int round = 0; round < 20; round++) {
		for (;;) {
			submit_octets(capture, 3001, (uint8_t)submitted);
			capture_counts_get(capture, &counts);
			submitted++;
			if (counts.packets - counts.dropped == held + (uint64_t)next)
				break; /* it was dropped */
			held++;
		}
		assert_true(held > 10);
		for (uint32_t i = 0; i < held / 2; i++, next++) {
			assert_true(capture_peek(capture, &p));
			assert_int_equal(p.captured, 3001);
			for (uint32_t at = 1; at < p.captured; at++)
				assert_int_equal(p.data[at], p.data[0]);
			capture_pop(capture);
		}
		held -= held / 2;
	}
	assert_int_equal(counts.packets, submitted);
	assert_int_equal(counts.dropped, 20);
	null->ops->stats(null, &stats);
	assert_int_equal(stats.tx_packets, submitted); /* dropped in the ring, not on the wire */
	capture_destroy(capture);
	null->ops->destroy(null);
}

static void a_snap_length_cuts_the_copy_and_tells_the_true_length(void **state)
{
	const struct null_options null_options = {.buffers = 64, .mtu = 9000};
	struct driver *null;
	struct capture_packet p;
	assert_int_equal(null_create(&null_options, &null), 0);
	struct driver *capture = capture_over(null, 96, 1u << 20);
	submit_octets(capture, 9014, 1);
	submit_octets(capture, 95, 2);
	assert_true(capture_peek(capture, &p));
	assert_int_equal(p.captured, 96);
	assert_int_equal(p.len, 9014);
	capture_pop(capture);
	assert_true(capture_peek(capture, &p));
	assert_int_equal(p.captured, 95);
	assert_int_equal(p.len, 95);
	capture_destroy(capture);
	null->ops->destroy(null);
}

static uint8_t large[65536];

static uint32_t reserve_large(struct driver *d, struct packet *packet)
{
	*packet = (struct packet){.data = large, .len = sizeof large};
	return 1;
}

static uint32_t submitted_len;

static void submit_large(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	submitted_len = packets[0].len;
	assert_int_equal(packets[0].flags, PACKET_FILL_CHECKSUM | PACKET_SEGMENT);
	assert_int_equal(packets[0].segment_bytes, 1448);
}

static void a_packet_for_the_device_to_cut_is_captured_whole(void **state)
{
	static const struct driver_ops ops = {.tx_reserve_large = reserve_large, .tx_submit = submit_large};
	struct driver device = {.ops = &ops};
	struct driver *capture = capture_over(&device, 0, 1u << 20);
	struct packet packet;
	struct capture_packet p;
	assert_int_equal(capture->ops->tx_reserve_large(capture, &packet), 1);
	packet.len = sizeof large - 1;
	packet.flags = PACKET_FILL_CHECKSUM | PACKET_SEGMENT;
	packet.segment_bytes = 1448;
	memset(large, 7, sizeof large);
	capture->ops->tx_submit(capture, &packet, 1, 1);
	assert_int_equal(submitted_len, packet.len);
	assert_true(capture_peek(capture, &p));
	assert_int_equal(p.captured, packet.len);
	assert_memory_equal(p.data, large, packet.len);
	capture_destroy(capture);
}

static void a_ring_too_small_for_two_frames_is_refused(void **state)
{
	const struct capture_options options = {.clock = &scale, .ring_bytes = 2 * CAPTURE_FRAME_MAX - 1};
	struct driver *capture, inner = {0};
	assert_int_equal(capture_create(&options, &inner, &capture), HW_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_passes_is_the_same_as_without_it_and_is_in_the_ring),
		cmocka_unit_test(buffers_that_are_given_back_unsent_are_not_captured),
		cmocka_unit_test(a_full_ring_drops_and_counts_and_what_is_in_it_stays_whole),
		cmocka_unit_test(a_snap_length_cuts_the_copy_and_tells_the_true_length),
		cmocka_unit_test(a_packet_for_the_device_to_cut_is_captured_whole),
		cmocka_unit_test(a_ring_too_small_for_two_frames_is_refused),
	};
	return cmocka_run_group_tests_name("capture", tests, calibrate, NULL);
}
