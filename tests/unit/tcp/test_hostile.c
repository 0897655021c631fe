/* Forged, old, hostile and mangled: RFC 5961, PAWS, ICMP, packets cut anywhere. */
#include "fixture.h"

static void reset_in_window_is_challenged_and_outside_ignored(void **state)
{
	struct fixture *f = *state;
	establish(f);
	struct wire_segment s = from_peer(f, 0);
	s.flags = WIRE_RST;
	s.seq = theirs(f, 1);
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	expect_ack(f, 0);
	s.seq = theirs(f, 100000);
	input(f, &s);
	s.seq = theirs(f, 0) - 1;
	input(f, &s);
	expect_silence(f);
	assert_int_equal(f->t->counters.resets_ignored, 3);
}

static void acks_outside_the_range_are_challenged_and_carry_nothing(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 100);
	drain(f);
	struct wire_segment s = from_peer(f, 101); /* never sent */
	s.payload = f->stream;
	s.len = 10;
	input(f, &s);
	expect_ack(f, 0);
	s.ack = sent(f, 0) - 70000; /* too old */
	input(f, &s);
	expect_ack(f, 0);
	assert_int_equal(tcp_acked(f->t), 0);
	uint32_t len;
	tcp_readable(f->t, &len);
	assert_int_equal(len, 0);
}

static void challenges_are_limited(void **state)
{
	struct fixture *f = *state;
	establish(f);
	uint32_t answers = 0;
	for (int i = 0; i < 50; i++) {
		ack_flags(f, 0, WIRE_SYN);
		answers += drain(f);
	}
	assert_int_equal(answers, 10);
	f->now += 5 * SECOND;
	ack_flags(f, 0, WIRE_SYN);
	assert_int_equal(drain(f), 1);
}

static void old_acks_still_deliver_their_data(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 200);
	drain(f);
	ack(f, 200);
	struct wire_segment s = from_peer(f, 100);
	s.payload = f->stream;
	s.len = 10;
	input(f, &s);
	expect_ack(f, 10);
	assert_int_equal(tcp_acked(f->t), 200);
}

static void paws_drops_older_timestamps_but_answers(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 5;
	establish(f);
	struct wire_segment s = from_peer(f, 0);
	s.ts_value = 4;
	s.payload = f->stream;
	s.len = 10;
	input(f, &s);
	expect_ack(f, 0);
	s.flags = WIRE_RST; /* exempt */
	s.len = 0;
	input(f, &s);
	assert_int_equal(tcp_state_of(f->t), TCP_CLOSED);
}

static void paws_compares_across_the_wrap(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 0xfffffff0u;
	establish(f);
	f->peer_ts = 3;
	data_from_peer(f, 0, 10);
	expect_ack(f, 10);
	assert_int_equal(f->out.ts_echo, 3);
	f->peer_ts = 0xfffffffeu;
	data_from_peer(f, 10, 10);
	expect_ack(f, 10);
}

static void paws_forgets_after_24_days(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 100;
	establish(f);
	f->now += TCP_PAWS_IDLE_NS;
	f->peer_ts = 50;
	data_from_peer(f, 0, 10);
	expect_ack(f, 10);
}

static void segments_that_lack_negotiated_timestamps_are_dropped(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	establish(f);
	f->peer_timestamps = false;
	data_from_peer(f, 0, 10);
	expect_silence(f);
}

static void only_what_reaches_the_last_ack_is_echoed(void **state)
{
	struct fixture *f = *state;
	f->peer_timestamps = true;
	f->peer_ts = 1;
	establish(f);
	f->peer_ts = 2;
	data_from_peer(f, 100, 10); /* beyond a gap */
	expect_ack(f, 0);
	assert_int_equal(f->out.ts_echo, 1);
	f->peer_ts = 3;
	data_from_peer(f, 0, 100);
	expect_ack(f, 110);
	assert_int_equal(f->out.ts_echo, 3);
}

static void mss_of_one_does_not_multiply_our_packets(void **state)
{
	struct fixture *f = *state;
	f->peer_mss = 1;
	establish(f);
	assert_int_equal(f->t->mss, TCP_MSS_FLOOR);
}

static void fragmentation_needed_lowers_the_mss_once_believed(void **state)
{
	struct fixture *f = *state;
	establish(f);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 1000, f->now); /* quotes nothing in flight */
	assert_int_equal(f->t->mss, 1460);
	push(f, 3000);
	drain(f);
	tcp_icmp(f->t, 3, 4, sent(f, 3000), 1000, f->now);
	tcp_icmp(f->t, 3, 4, sent(f, 0) - 1, 1000, f->now);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 1600, f->now);
	assert_int_equal(f->t->mss, 1460);
	uint32_t cwnd = f->t->congestion.cwnd;
	tcp_icmp(f->t, 3, 4, sent(f, 0), 1000, f->now);
	assert_int_equal(f->t->mss, 960);
	assert_int_equal(f->t->congestion.cwnd, cwnd);
	expect_data(f, 0, 960);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 68, f->now);
	assert_int_equal(f->t->mss, 536);
}

static void routers_that_name_no_mtu_get_the_next_plateau(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 3000);
	drain(f);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 0, f->now);
	assert_int_equal(f->t->path_mtu, 1492);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 0, f->now);
	assert_int_equal(f->t->path_mtu, 1006);
}

static void hard_errors_end_only_what_is_being_opened(void **state)
{
	struct fixture *f = *state;
	establish(f);
	push(f, 10);
	drain(f);
	tcp_icmp(f->t, 3, 3, sent(f, 0), 0, f->now);
	tcp_icmp(f->t, 4, 0, sent(f, 0), 0, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_ESTABLISHED);
	tcp_abort(f->t, f->now);
	drain(f);
	struct tcp_tuple tuple = {US_IP, PEER_IP, US_PORT, PEER_PORT};
	extents_init(&f->tx);
	assert_int_equal(tcp_open(f->t, &tuple, f->isn, &f->tx, f->now), 0);
	tcp_icmp(f->t, 3, 3, f->isn, 0, f->now); /* nothing sent yet */
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_SENT);
	drain(f);
	tcp_icmp(f->t, 3, 3, f->isn, 0, f->now);
	assert_int_equal(tcp_error(f->t), HW_ERR_CONN_REFUSED);
}

static void soft_error_names_the_reason_of_a_timeout(void **state)
{
	struct fixture *f = *state;
	open_connection(f);
	drain(f);
	tcp_icmp(f->t, 3, 1, f->isn, 0, f->now);
	assert_int_equal(tcp_state_of(f->t), TCP_SYN_SENT);
	f->now += f->config.connect_timeout_ns;
	tcp_timer(f->t, f->now);
	assert_int_equal(tcp_error(f->t), HW_ERR_HOST_UNREACHABLE);
}

/* ---- packets ---- */

static size_t sample(struct fixture *f, uint8_t *packet)
{
	struct wire_segment s = from_peer(f, 7);
	s.timestamps = true;
	s.blocks = 2;
	s.block[0] = (struct wire_block){1, 2};
	s.block[1] = (struct wire_block){3, 4};
	s.payload = f->stream;
	s.len = 33;
	return wire_build(packet, &s);
}

static void parses_what_the_peer_wrote(void **state)
{
	struct fixture *f = *state;
	struct tcp_segment s;
	size_t len = sample(f, f->packet);
	assert_int_equal(tcp_segment_parse(f->packet, len + 6, true, &s), 0); /* padded */
	assert_int_equal(s.tuple.local_ip, US_IP);
	assert_int_equal(s.tuple.remote_port, PEER_PORT);
	assert_int_equal(s.ack, sent(f, 7));
	assert_int_equal(s.sack_count, 2);
	assert_int_equal(s.sack[1].left, 3);
	assert_true(s.has_timestamps);
	assert_int_equal(s.payload_len, 33);
	assert_memory_equal(s.payload, f->stream, 33);
}

static void packets_cut_anywhere_are_refused(void **state)
{
	struct fixture *f = *state;
	struct tcp_segment s;
	size_t len = sample(f, f->packet);
	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n ? n : 1); /* so that a read beyond it is seen */
		memcpy(copy, f->packet, n);
		assert_int_equal(tcp_segment_parse(copy, n, true, &s), HW_ERR_PACKET_SHORT);
		free(copy);
	}
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct tcp_segment s;
	size_t len = sample(f, f->packet);
	for (size_t bit = 0; bit < len * 8; bit++) {
		f->packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(tcp_segment_parse(f->packet, len, true, &s), 0);
		f->packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	f->packet[len - 1] ^= 1;
	assert_int_equal(tcp_segment_parse(f->packet, len, true, &s), HW_ERR_PACKET_CHECKSUM);
	assert_int_equal(tcp_segment_parse(f->packet, len, false, &s), 0);
}

static int parse_with_options(struct fixture *f, const uint8_t *options, size_t n, struct tcp_segment *s)
{
	struct wire_segment w = from_peer(f, 0);
	uint8_t copy[80] = {0};
	wire_build(copy, &w);
	memcpy(copy + 40, options, n);
	copy[3] = (uint8_t)(40 + n);
	copy[32] = (uint8_t)((20 + n) / 4 << 4);
	wire_repair(copy, 40 + n);
	return tcp_segment_parse(copy, 40 + n, true, s);
}

static void options_in_any_order_and_alignment(void **state)
{
	struct fixture *f = *state;
	struct tcp_segment s;
	const uint8_t options[24] = {3, 3, 5, 254, 4, 9, 9, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 4, 5, 0xb4, 0, 77};
	assert_int_equal(parse_with_options(f, options, sizeof options, &s), 0);
	assert_int_equal(s.window_scale, 5);
	assert_int_equal(s.ts_value, 1);
	assert_int_equal(s.ts_echo, 2);
	assert_int_equal(s.mss, 1460);
}

static void malformed_options_are_refused(void **state)
{
	struct fixture *f = *state;
	struct tcp_segment s;
	assert_int_equal(parse_with_options(f, (uint8_t[]){2, 0, 1, 1}, 4, &s), HW_ERR_PACKET_OPTIONS);
	assert_int_equal(parse_with_options(f, (uint8_t[]){1, 2, 1, 1}, 4, &s), HW_ERR_PACKET_OPTIONS);
	assert_int_equal(parse_with_options(f, (uint8_t[]){2, 5, 1, 1}, 4, &s), HW_ERR_PACKET_OPTIONS);
	assert_int_equal(parse_with_options(f, (uint8_t[]){1, 1, 1, 2}, 4, &s), HW_ERR_PACKET_OPTIONS);
	assert_int_equal(parse_with_options(f, (uint8_t[]){2, 3, 1, 1}, 4, &s), 0); /* wrong length: skipped */
	assert_int_equal(s.mss, 0);
}

static void random_octets_never_hurt(void **state)
{
	struct fixture *f = *state;
	uint64_t x = 88172645463325252u;
	struct tcp_segment s;
	establish(f);
	for (int i = 0; i < 20000; i++) {
		uint8_t packet[100];
		for (size_t k = 0; k < sizeof packet; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			packet[k] = (uint8_t)x;
		}
		struct wire_segment near = from_peer(f, (uint32_t)(x >> 8) % 3);
		near.seq += (uint32_t)(x >> 16) % 5 - 2;
		near.flags = (uint8_t)(x >> 24) & ~WIRE_RST;
		near.window = (uint16_t)(x >> 32);
		uint8_t header[40];
		wire_build(header, &near);
		memcpy(packet, header, 40);
		packet[3] = sizeof packet;
		packet[32] = (uint8_t)(5 + (x >> 48) % 11) << 4;
		wire_repair(packet, sizeof packet);
		if (tcp_segment_parse(packet, sizeof packet, true, &s) == 0)
			tcp_input(f->t, &s, f->now += MS);
		uint32_t len;
		tcp_readable(f->t, &len);
		tcp_consume(f->t, len, f->now);
		tcp_timer(f->t, f->now);
		if (tcp_may_push(f->t) > 0 && f->tx.end < 50000)
			push(f, 1);
		drain(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(reset_in_window_is_challenged_and_outside_ignored),
		BOTH(acks_outside_the_range_are_challenged_and_carry_nothing),
		BOTH(challenges_are_limited),
		BOTH(old_acks_still_deliver_their_data),
		BOTH(paws_drops_older_timestamps_but_answers),
		BOTH(paws_compares_across_the_wrap),
		BOTH(paws_forgets_after_24_days),
		BOTH(segments_that_lack_negotiated_timestamps_are_dropped),
		BOTH(only_what_reaches_the_last_ack_is_echoed),
		BOTH(mss_of_one_does_not_multiply_our_packets),
		BOTH(fragmentation_needed_lowers_the_mss_once_believed),
		BOTH(routers_that_name_no_mtu_get_the_next_plateau),
		BOTH(hard_errors_end_only_what_is_being_opened),
		BOTH(soft_error_names_the_reason_of_a_timeout),
		BOTH(parses_what_the_peer_wrote),
		BOTH(packets_cut_anywhere_are_refused),
		BOTH(every_flipped_bit_is_noticed),
		BOTH(options_in_any_order_and_alignment),
		BOTH(malformed_options_are_refused),
		BOTH(random_octets_never_hurt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
