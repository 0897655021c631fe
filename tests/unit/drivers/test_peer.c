/* The interceptor that plays the broker's host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "tests/lib/prng.h"
#include "tests/unit/drivers/peer_client.h"

static struct answer answers[600];
static struct peer_options options;

static int defaults(void **state)
{
	peer_options_init(&options);
	return 0;
}

static void syn_is_answered_by_a_syn_ack_with_every_option(void **state)
{
	struct client c = client_over(&options);
	client_send(&c, SYN, "", 0);
	assert_int_equal(client_receive(&c, answers, 2), 1);
	assert_int_equal(answers[0].flags, SYN | ACK);
	assert_int_equal(answers[0].ack, CLIENT_ISN + 1);
	assert_int_equal(answers[0].seq, options.isn);
	assert_int_equal(answers[0].window, 65535);
	/* MSS 1460; NOP, window scale 7; SACK-permitted; timestamps that echo ours; padding */
	assert_int_equal(answers[0].options_len, 20);
	assert_memory_equal(answers[0].options, "\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02\x08\x0a", 12);
	assert_memory_equal(answers[0].options + 16, "\0\0\0\x64", 4);
	c.driver->ops->destroy(c.driver);
}

static void options_the_client_does_not_offer_are_not_answered(void **state)
{
	uint8_t frame[100];
	struct client c = client_over(&options);
	size_t len = build(&c, frame, SYN, "", 0, "", 0);
	client_submit(&c, frame, len);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].options_len, 4); /* the MSS alone */
	c.driver->ops->destroy(c.driver);
}

static void timestamps_can_be_refused(void **state)
{
	options.timestamps = false;
	struct client c = client_over(&options);
	client_send(&c, SYN, "", 0);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_memory_equal(answers[0].options, "\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02\x01\x01", 12);
	assert_int_equal(answers[0].options_len, 12);
	c.driver->ops->destroy(c.driver);
}

static void repeated_syn_is_answered_again(void **state)
{
	struct client c = client_over(&options);
	for (int i = 0; i < 3; i++) {
		c.seq = CLIENT_ISN;
		client_send(&c, SYN, "", 0);
		assert_int_equal(client_receive(&c, answers, 1), 1);
		assert_int_equal(answers[0].seq, options.isn);
	}
	c.driver->ops->destroy(c.driver);
}

static void every_segment_of_data_is_acked_across_the_wrap_of_sequence_numbers(void **state)
{
	uint8_t data[1000] = {0};
	struct client c = client_over(&options);
	client_connect(&c);
	for (uint32_t i = 1; i <= 20; i++) {
		client_send(&c, ACK | PSH, data, i * 7);
		assert_int_equal(client_receive(&c, answers, 1), 1);
		assert_int_equal(answers[0].flags, ACK);
		assert_int_equal(answers[0].ack, c.seq);
		assert_int_equal(answers[0].seq, c.ack);
		assert_int_equal(answers[0].payload_len, 0);
	}
	c.driver->ops->destroy(c.driver);
}

static void acks_can_be_thinned_out_and_the_rest_comes_when_idle(void **state)
{
	options.ack_every = 4;
	options.idle_bursts = 3;
	struct packet packet;
	struct client c = client_over(&options);
	client_connect(&c);
	for (int i = 0; i < 10; i++)
		client_send(&c, ACK | PSH, "x", 1);
	assert_int_equal(client_receive(&c, answers, 2), 2);
	assert_int_equal(answers[1].ack, c.seq - 2);
	assert_int_equal(c.driver->ops->rx_burst(c.driver, &packet, 1), 0);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].ack, c.seq);
	assert_int_equal(client_receive(&c, answers, 1), 0);
	c.driver->ops->destroy(c.driver);
}

static void data_out_of_order_is_answered_by_a_duplicate_ack_and_not_taken(void **state)
{
	struct client c = client_over(&options);
	client_connect(&c);
	uint32_t expected = c.seq;
	c.seq += 100;
	client_send(&c, ACK, "later", 5);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].ack, expected);
	c.seq = expected;
	client_send(&c, ACK, "now", 3);
	c.seq = expected + 1;
	client_send(&c, ACK, "owl", 3); /* two octets again, one new */
	c.seq = expected;
	client_send(&c, ACK, "now", 3); /* nothing new */
	assert_int_equal(client_receive(&c, answers, 3), 3);
	assert_int_equal(answers[0].ack, expected + 3);
	assert_int_equal(answers[1].ack, expected + 4);
	assert_int_equal(answers[2].ack, expected + 4);
	struct peer_stats stats;
	peer_stats_get(c.driver, &stats);
	assert_int_equal(stats.octets, 4);
	assert_int_equal(stats.out_of_order, 2);
	c.driver->ops->destroy(c.driver);
}

static void wrong_checksums_are_dropped_and_counted(void **state)
{
	uint8_t frame[200];
	struct peer_stats stats;
	struct client c = client_over(&options);
	client_connect(&c);
	size_t len = build(&c, frame, ACK, "", 0, "abc", 3);
	frame[len - 1] ^= 1;
	client_submit(&c, frame, len);
	assert_int_equal(client_receive(&c, answers, 1), 0);
	peer_stats_get(c.driver, &stats);
	assert_int_equal(stats.bad_checksums, 1);
	c.driver->ops->destroy(c.driver);
}

static void fin_is_acked_and_answered_by_fin(void **state)
{
	struct client c = client_over(&options);
	client_connect(&c);
	client_send(&c, FIN | ACK, "bye", 3);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].flags, FIN | ACK);
	assert_int_equal(answers[0].ack, c.seq);
	c.ack = answers[0].seq + 1;
	client_send(&c, ACK, "", 0);
	assert_int_equal(client_receive(&c, answers, 1), 0);
	c.driver->ops->destroy(c.driver);
}

static void segment_for_no_connection_is_answered_by_a_reset(void **state)
{
	struct client c = client_over(&options);
	c.ack = 777;
	client_send(&c, ACK, "x", 1);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].flags, RST);
	assert_int_equal(answers[0].seq, 777);
	client_send(&c, RST, "", 0);
	assert_int_equal(client_receive(&c, answers, 1), 0);
	c.driver->ops->destroy(c.driver);
}

static void reset_ends_the_connection(void **state)
{
	struct client c = client_over(&options);
	client_connect(&c);
	client_send(&c, RST | ACK, "", 0);
	client_send(&c, ACK, "x", 1);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].flags, RST);
	c.driver->ops->destroy(c.driver);
}

static void vlan_tag_is_kept_and_connections_are_told_apart(void **state)
{
	struct client a = client_over(&options);
	a.vlan = 42;
	struct client b = a;
	b.port = 40001;
	client_connect(&a);
	b.seq = 9000;
	client_connect(&b);
	client_send(&b, ACK, "xy", 2);
	assert_int_equal(client_receive(&b, answers, 1), 1);
	assert_int_equal(answers[0].ack, 9003);
	client_send(&a, ACK, "x", 1);
	assert_int_equal(client_receive(&a, answers, 1), 1);
	assert_int_equal(answers[0].ack, CLIENT_ISN + 2);
	a.driver->ops->destroy(a.driver);
}

static void other_packets_pass_unanswered(void **state)
{
	struct driver_stats stats;
	struct peer_stats peer_stats;
	struct client c = client_over(&options);
	uint8_t arp[60] = {0};
	put_be16(arp + 12, 0x0806);
	client_submit(&c, arp, sizeof arp);
	client_submit(&c, arp, 10);
	assert_int_equal(client_receive(&c, answers, 1), 0);
	c.driver->ops->stats(c.driver, &stats);
	peer_stats_get(c.driver, &peer_stats);
	assert_int_equal(stats.tx_packets, 2);
	assert_int_equal(peer_stats.not_tcp, 2);
	c.driver->ops->destroy(c.driver);
}

/* ---- confirms --------------------------------------------------------------------------------------------------- */

static size_t frame(uint8_t *p, uint8_t type, const void *payload, uint32_t len)
{
	p[0] = type;
	put_be16(p + 1, 5);
	put_be32(p + 3, len);
	memcpy(p + 7, payload, len);
	p[7 + len] = 0xce;
	return len + 8;
}

/* A publish on channel 5 whose body is cut into frames of up to `chunk` octets. */
static size_t publish(uint8_t *p, uint32_t body_len, uint32_t chunk)
{
	uint8_t header[14] = {0, 60};
	static const uint8_t body[4096];
	put_be64(header + 4, body_len);
	size_t n = frame(p, 1, "\0\x3c\0\x28\0\0\0\x03key\0", 12);
	n += frame(p + n, 2, header, sizeof header);
	for (uint32_t sent = 0; sent < body_len; sent += chunk)
		n += frame(p + n, 3, body, body_len - sent < chunk ? body_len - sent : chunk);
	return n;
}

static void assert_ack(const uint8_t *p, uint64_t tag, bool multiple)
{
	assert_memory_equal(p, "\x01\0\x05\0\0\0\x0d\0\x3c\0\x50", 11);
	assert_int_equal(get_be64(p + 11), tag);
	assert_int_equal(p[19], multiple);
	assert_int_equal(p[20], 0xce);
}

static void each_message_is_confirmed_by_its_own_ack_on_its_channel(void **state)
{
	uint8_t message[600];
	options.confirm_every = 1;
	struct client c = client_over(&options);
	client_connect(&c);
	client_send(&c, ACK, "AMQP\0\0\x09\x01", 8);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	for (uint64_t tag = 1; tag <= 5; tag++) {
		client_send(&c, ACK | PSH, message, publish(message, 256, 4096));
		assert_int_equal(client_receive(&c, answers, 1), 1);
		assert_int_equal(answers[0].ack, c.seq); /* piggy-backed */
		assert_int_equal(answers[0].seq, c.ack);
		assert_int_equal(answers[0].payload_len, 21);
		assert_ack(answers[0].payload, tag, false);
		c.ack += 21;
		client_send(&c, ACK, "", 0);
	}
	c.driver->ops->destroy(c.driver);
}

static void messages_are_confirmed_by_the_group(void **state)
{
	uint8_t message[600];
	options.confirm_every = 3;
	for (int multiple = 0; multiple < 2; multiple++) {
		options.confirm_multiple = multiple;
		struct client c = client_over(&options);
		client_connect(&c);
		for (int i = 0; i < 7; i++)
			client_send(&c, ACK | PSH, message, publish(message, 20, 4096));
		assert_int_equal(client_receive(&c, answers, 7), 7);
		assert_int_equal(answers[1].payload_len, 0);
		assert_int_equal(answers[2].payload_len, multiple ? 21 : 63);
		assert_ack(answers[2].payload, multiple ? 3 : 1, multiple);
		assert_ack(answers[5].payload, multiple ? 6 : 4, multiple);
		if (!multiple)
			assert_ack(answers[5].payload + 42, 6, false);
		c.driver->ops->destroy(c.driver);
	}
}

static void last_messages_are_confirmed_when_the_client_idles(void **state)
{
	uint8_t message[600];
	options.confirm_every = 100;
	options.confirm_multiple = true;
	options.idle_bursts = 2;
	struct packet packet;
	struct client c = client_over(&options);
	client_connect(&c);
	client_send(&c, ACK, message, publish(message, 20, 4096));
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].payload_len, 0);
	assert_int_equal(c.driver->ops->rx_burst(c.driver, &packet, 1), 1);
	take_apart(&c, &packet, answers);
	assert_ack(answers[0].payload, 1, true);
	c.driver->ops->rx_release(c.driver, &packet, 1);
	c.driver->ops->destroy(c.driver);
}

/* Messages of every size, empty ones and ones of several frames, cut into segments at random. */
static void messages_are_counted_however_the_stream_is_cut(void **state)
{
	static uint8_t stream[400000];
	struct prng g = {12};
	struct peer_stats stats;
	size_t len = 8, sent = 0;
	memcpy(stream, "AMQP\0\0\x09\x01", 8);
	for (int i = 0; i < 300; i++) {
		if (prng_once_in(&g, 5))
			len += frame(stream + len, 8, "", 0);
		len += publish(stream + len, (uint32_t)prng_below(&g, 4) * (uint32_t)prng_below(&g, 500),
			       1 + (uint32_t)prng_below(&g, 700));
	}
	struct client c = client_over(&options);
	client_connect(&c);
	while (sent < len) {
		size_t n = 1 + prng_below(&g, prng_once_in(&g, 2) ? 30 : 1400);
		n = n < len - sent ? n : len - sent;
		client_send(&c, ACK, stream + sent, n);
		sent += n;
		client_receive(&c, answers, 1);
	}
	peer_stats_get(c.driver, &stats);
	assert_int_equal(stats.octets, len);
	assert_int_equal(stats.messages, 300);
	c.driver->ops->destroy(c.driver);
}

static void confirms_wait_for_the_client_s_window(void **state)
{
	uint8_t message[600];
	options.confirm_every = 1;
	struct client c = client_over(&options);
	c.window = 2; /* times 32 */
	client_connect(&c);
	for (int i = 0; i < 10; i++)
		client_send(&c, ACK, message, publish(message, 20, 4096));
	uint32_t n = client_receive(&c, answers, 20), octets = 0, messages = 0;
	for (uint32_t i = 0; i < n; i++)
		octets += answers[i].payload_len;
	assert_int_equal(octets, 63);
	while (octets > 0) {
		messages += octets / 21;
		c.ack += octets;
		client_send(&c, ACK, "", 0);
		n = client_receive(&c, answers, 20);
		octets = 0;
		for (uint32_t i = 0; i < n; i++)
			octets += answers[i].payload_len;
		c.window = 2048;
	}
	assert_int_equal(messages, 10);
	c.driver->ops->destroy(c.driver);
}

static void owner_can_confirm_by_hand(void **state)
{
	struct client c = client_over(&options);
	client_connect(&c);
	assert_int_equal(peer_confirm(c.driver, 40000, 77, true), 0);
	assert_int_equal(peer_confirm(c.driver, 1, 77, true), HW_ERR_INVALID);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(get_be64(answers[0].payload + 11), 77);
	c.driver->ops->destroy(c.driver);
}

static void full_queue_drops_acks_and_keeps_confirms(void **state)
{
	uint8_t message[600];
	struct peer_stats stats;
	options.confirm_every = 1;
	struct client c = client_over(&options);
	client_connect(&c);
	c.window = 65535;
	for (int i = 0; i < 700; i++)
		client_send(&c, ACK, message, publish(message, 20, 4096));
	uint32_t n = client_receive(&c, answers, 600);
	assert_int_equal(n, 512);
	peer_stats_get(c.driver, &stats);
	assert_true(stats.queue_full > 0);
	client_send(&c, ACK, message, publish(message, 20, 4096));
	client_receive(&c, answers, 600);
	peer_stats_get(c.driver, &stats);
	assert_int_equal(stats.messages, 701);
	assert_int_equal(stats.confirms, 701);
	c.driver->ops->destroy(c.driver);
}

static void received_packets_can_carry_the_link_s_word_for_their_checksum(void **state)
{
	options.checksum_good = true;
	struct client c = client_over(&options);
	client_send(&c, SYN, "", 0);
	assert_int_equal(client_receive(&c, answers, 1), 1);
	assert_int_equal(answers[0].packet_flags, PACKET_CHECKSUM_GOOD);
	c.driver->ops->destroy(c.driver);
}

static void impossible_options_are_refused(void **state)
{
	struct client c = client_over(&options);
	struct driver *d = NULL;
	options.ack_every = 0;
	assert_int_equal(peer_create(&options, c.driver, &d), HW_ERR_INVALID);
	options.ack_every = 1;
	options.window_scale = 15;
	assert_int_equal(peer_create(&options, c.driver, &d), HW_ERR_INVALID);
	assert_null(d);
	c.driver->ops->destroy(c.driver);
}

#define TEST(name) cmocka_unit_test_setup(name, defaults)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(syn_is_answered_by_a_syn_ack_with_every_option),
		TEST(options_the_client_does_not_offer_are_not_answered),
		TEST(timestamps_can_be_refused),
		TEST(repeated_syn_is_answered_again),
		TEST(every_segment_of_data_is_acked_across_the_wrap_of_sequence_numbers),
		TEST(acks_can_be_thinned_out_and_the_rest_comes_when_idle),
		TEST(data_out_of_order_is_answered_by_a_duplicate_ack_and_not_taken),
		TEST(wrong_checksums_are_dropped_and_counted),
		TEST(fin_is_acked_and_answered_by_fin),
		TEST(segment_for_no_connection_is_answered_by_a_reset),
		TEST(reset_ends_the_connection),
		TEST(vlan_tag_is_kept_and_connections_are_told_apart),
		TEST(other_packets_pass_unanswered),
		TEST(each_message_is_confirmed_by_its_own_ack_on_its_channel),
		TEST(messages_are_confirmed_by_the_group),
		TEST(last_messages_are_confirmed_when_the_client_idles),
		TEST(messages_are_counted_however_the_stream_is_cut),
		TEST(confirms_wait_for_the_client_s_window),
		TEST(owner_can_confirm_by_hand),
		TEST(full_queue_drops_acks_and_keeps_confirms),
		TEST(received_packets_can_carry_the_link_s_word_for_their_checksum),
		TEST(impossible_options_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
