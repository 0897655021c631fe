/* A lost connection, and the next one: what is sent again, in which order, with which tags, and what is changed. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/plane/replay.h"

static void what_has_no_outcome_is_sent_again_in_order_and_new_messages_follow(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 4);
	plane_turn(&p);
	EXPECT_WIRE(&p, "0000", 1, 2, 3, 4);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_lose(&p);
	plane_open_again(&p);
	plane_publish_many(&p, t, 2);
	plane_connect(&p);
	EXPECT_WIRE(&p, "11100", 2, 3, 4, 5, 6);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	EXPECT_WIRE(&p, "111000", 2, 3, 4, 5, 6, 7);
	assert_int_equal(atomic_load(&p.publisher->replayed), 3);
	plane_fini(&p);
}

static void tags_of_a_third_connection_mean_its_own_messages(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 5);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p); /* 1 3 4 5 are tags 1..4 */
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_NACK, 2, false); /* 3 */
	plane_confirm(&p, AMQP_BASIC_ACK, 5, false);  /* 6 */
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p); /* 1 4 5 are tags 1..3 */
	EXPECT_WIRE(&p, "111", 1, 4, 5);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	plane_confirm(&p, AMQP_BASIC_ACK, 4, false);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 2);
	expect_event(&p, HAREWIRE_EVENT_NACKED, 3, 3);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 4, 4);
	expect_no_event(&p); /* lost and ready again before anybody looked */
	plane_confirm(&p, AMQP_BASIC_ACK, 3, false);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 5, 7);
	plane_fini(&p);
}

/* Three messages, then a heartbeat if wanted; so many of their octets are sent, then the connection is lost. */
static void lose_after_octets(uint32_t octets, bool heartbeat, const char *duplicates)
{
	struct plane p;
	plane_init_with(&p, 65536, 64, &(struct connection_options){0}, true);
	plane_ready(&p);
	struct connection *c = p.connection;
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	wire->no_buffers = true;
	wire->ack_at_once = false;
	plane_publish_many(&p, t, 3);
	plane_turn(&p); /* all of it is the stream's, nothing is sent */
	assert_int_equal(c->confirms.handed_id, 4);
	uint64_t end = wire->stream.tx.end;
	if (heartbeat) {
		c->heartbeat_ns = 10000000000u;
		connection_timer(c, c->last_sent_ns + 5000000000u);
		assert_int_equal(wire->stream.tx.end, end + 8);
	}
	wire->no_buffers = false;
	wire->window = octets;
	plane_turn(&p);
	assert_int_equal(wire->sent_len, octets);
	plane_lose(&p);
	wire->window = FAKE_BYTES;
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, duplicates, 1, 2, 3);
	plane_fini(&p);
}

static void a_message_was_transmitted_from_its_first_octet_on(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 1);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_fini(&p);

	lose_after_octets(0, false, "000");
	lose_after_octets(1, false, "100");
	lose_after_octets(one, false, "100");
	lose_after_octets(one + 1, false, "110");
	lose_after_octets(2 * one, false, "110");
	lose_after_octets(2 * one + 1, false, "111");
	lose_after_octets(3 * one, false, "111");
	/* Octets of a heartbeat behind them are no message's. */
	lose_after_octets(2 * one + 1, true, "111");
	lose_after_octets(3 * one + 4, true, "111");
}

static void a_message_never_on_the_wire_is_sent_again_without_the_flag_until_it_was(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	wire->no_buffers = true;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p); /* handed once more, and again not sent */
	assert_int_equal(wire->sent_len, 0);
	plane_lose(&p);
	assert_int_equal(atomic_load(&p.publisher->replayed), 0);
	wire->no_buffers = false;
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "0", 1);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "1", 1);
	plane_fini(&p);
}

static void nothing_in_the_log_changes_but_the_octet_of_the_flag(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t with = plane_template(&p, 31, 0), without = plane_template(&p, HAREWIRE_SLOT_SEQUENCE, 0);
	for (int i = 0; i < 6; i++)
		plane_publish_many(&p, i & 1 ? without : with, 1);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, false);
	plane_turn(&p);
	uint8_t *before = malloc(p.publisher->log.capacity);
	plane_lose(&p);
	plane_publish_many(&p, with, 1); /* never handed before */
	memcpy(before, p.publisher->log.base, p.publisher->log.capacity);
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "1--1-0", 1, 2, 4, 5, 6, 7);
	uint16_t flag = p.publisher->templates[with]->duplicate_at;
	before[position(&p, 1) + flag] = 1;
	before[position(&p, 5) + flag] = 1;
	assert_memory_equal(before, p.publisher->log.base, p.publisher->log.capacity);
	free(before);
	plane_fini(&p);
}

static void messages_of_several_frames_are_sent_again_whole(void **state)
{
	static struct wire w;
	static uint8_t body[3 * PLANE_FRAME_MAX / 2];
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)(i * 31);
	wire->ack_at_once = false;
	wire->window = PLANE_FRAME_MAX; /* lost inside of its second body frame */
	assert_true(publisher_publish(p.publisher, t, body, sizeof body, 0) > 0);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	plane_lose(&p);
	wire->window = FAKE_BYTES;
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "10", 1, 2);
	wire_read(&w, &p, 0);
	assert_int_equal(w.messages[0].body_frames, 2);
	assert_int_equal(w.messages[0].body_len, sizeof body);
	assert_memory_equal(w.messages[0].body, body, sizeof body);
	plane_fini(&p);
}

static void a_log_that_wraps_is_sent_again_across_its_end(void **state)
{
	static struct wire w;
	char body[600];
	struct plane p;
	plane_init(&p, 4096, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	memset(body, 'a', sizeof body);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), id);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	plane_turn(&p);
	memset(body, 'b', sizeof body);
	for (uint64_t id = 4; id <= 6; id++)
		assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), id);
	plane_turn(&p);
	assert_true(position(&p, 6) + message_at(&p.publisher->index, 6)->len > p.publisher->log.capacity);
	plane_confirm(&p, AMQP_BASIC_ACK, 4, false);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "111", 3, 5, 6);
	wire_read(&w, &p, 0);
	for (int i = 0; i < 3; i++) {
		memset(body, i ? 'b' : 'a', sizeof body);
		assert_int_equal(w.messages[i].body_len, sizeof body);
		assert_memory_equal(w.messages[i].body, body, sizeof body);
	}
	plane_fini(&p);
}

static void a_full_index_is_replayed_and_takes_new_messages_as_confirms_come(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 8);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 8);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	assert_int_equal(plane_publish(&p, t, "full"), HW_ERR_LOG_FULL);
	plane_lose(&p);
	plane_open_again(&p);
	wire->ack_at_once = false;
	wire->window = 4 * one;
	plane_connect(&p);
	EXPECT_WIRE(&p, "1111", 1, 2, 3, 4);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	fake_ack(&p.net, 0);
	plane_turn(&p);
	plane_publish_many(&p, t, 3); /* in the records of 1, 2, 3 */
	assert_int_equal(plane_publish(&p, t, "full"), HW_ERR_LOG_FULL);
	wire->ack_at_once = true;
	plane_turn(&p);
	plane_turn(&p);
	EXPECT_WIRE(&p, "11111111000", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
	plane_confirm(&p, AMQP_BASIC_ACK, 11, true);
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.settled_id, 12);
	plane_fini(&p);
}

static void returned_and_nacked_messages_of_a_replay_keep_those_outcomes(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 1);
	plane_publish_many(&p, t, 4);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p); /* 1 3 4 */
	const uint8_t args[] = {0x01, 0x38, 8, 'N', 'O', '_', 'R', 'O', 'U', 'T', 'E', 1, 'x', 1, 'k'};
	plane_method(&p, 1, AMQP_BASIC_RETURN, args, sizeof args);
	const struct message *m = message_at(&p.publisher->index, 3);
	const uint8_t *bytes = log_at(&p.publisher->log, m->pos);
	uint32_t method_frame = get_be32(bytes + 3) + 8;
	fake_feed(&p.net, 0, bytes + method_frame, m->len - method_frame);
	plane_confirm(&p, AMQP_BASIC_NACK, 1, false);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_NACKED, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 2, 2);
	expect_event(&p, HAREWIRE_EVENT_RETURNED, 3, 3);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 4, 4);
	expect_no_event(&p);
	plane_fini(&p);
}

static void at_most_once_what_was_sent_is_lost_and_the_rest_is_sent(void **state)
{
	const struct connection_options once = {.at_most_once = true};
	struct plane p;
	plane_init_with(&p, 65536, 64, &once, false);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 3);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false);
	plane_turn(&p);
	wire->no_buffers = true;
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	wire->no_buffers = false;
	wire->window = 1; /* one octet of the fourth */
	wire->ack_at_once = false;
	plane_turn(&p);
	struct worker_event e = plane_lose(&p);
	assert_int_equal(e.oldest_id, 1);
	assert_int_equal(e.outcomes, 1);
	assert_true(e.oldest_sent);
	wire->window = FAKE_BYTES;
	plane_publish_many(&p, t, 1);
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	expect_event(&p, HAREWIRE_EVENT_LOST, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 2, 2);
	expect_event(&p, HAREWIRE_EVENT_LOST, 3, 4);
	assert_int_equal(released(&p), position(&p, 5));
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "00", 5, 6);
	assert_int_equal(atomic_load(&p.publisher->replayed), 0);
	/* Losing messages is no progress: control must not take this connection for a good one. */
	assert_int_equal(plane_lose(&p).outcomes, 1);
	plane_fini(&p);
}

static void a_goodbye_loses_nothing_at_most_once(void **state)
{
	const struct connection_options once = {.at_most_once = true};
	struct plane p;
	plane_init_with(&p, 65536, 64, &once, false);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	publisher_close(p.publisher, 0);
	plane_turn(&p);
	plane_method(&p, 0, AMQP_CONNECTION_CLOSE_OK, "", 0);
	plane_turn(&p);
	fake_finish(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, 0);
	expect_no_event(&p); /* nor is the connection lost */
	plane_command(&p, (struct command){.type = COMMAND_END});
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_UNCONFIRMED, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_CLOSED, 0, 0);
	plane_fini(&p);
}

static void an_alarm_of_the_handshake_holds_the_replay_back(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	plane_lose(&p);
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	plane_open_again(&p);
	fake_connected(&p.net, 0);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	plane_hand_over(&p);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	assert_int_equal(p.net.streams[0].sent_len, 0);
	expect_event(&p, HAREWIRE_EVENT_READY, 0, 0);
	expect_event(&p, HAREWIRE_EVENT_BLOCKED, 0, 0);
	plane_method(&p, 0, AMQP_CONNECTION_UNBLOCKED, "", 0);
	plane_turn(&p);
	EXPECT_WIRE(&p, "110", 1, 2, 3);
	expect_event(&p, HAREWIRE_EVENT_UNBLOCKED, 0, 0);
	plane_fini(&p);
}

static void an_alarm_in_the_middle_of_a_replay_stops_it_there(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 4);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_lose(&p);
	plane_open_again(&p);
	wire->window = one;
	wire->ack_at_once = false;
	plane_connect(&p);
	plane_blocked(&p, "low on memory");
	wire->window = FAKE_BYTES;
	plane_turn(&p);
	EXPECT_WIRE(&p, "1", 1);
	plane_method(&p, 0, AMQP_CONNECTION_UNBLOCKED, "", 0);
	plane_turn(&p);
	EXPECT_WIRE(&p, "1111", 1, 2, 3, 4);
	plane_fini(&p);
}

static void a_replay_that_is_cut_short_begins_anew_where_outcomes_end(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	wire->no_buffers = true;
	plane_publish_many(&p, t, 6);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_lose(&p);
	wire->no_buffers = wire->ack_at_once = false;
	wire->window = 2 * one + 1; /* of three */
	plane_open_again(&p);
	plane_connect(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	struct worker_event e = plane_lose(&p);
	assert_int_equal(e.oldest_id, 2);
	assert_int_equal(e.outcomes, 1);
	assert_true(e.oldest_sent);
	wire->window = FAKE_BYTES;
	plane_open_again(&p);
	plane_connect(&p);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	EXPECT_WIRE(&p, "110000", 2, 3, 4, 5, 6, 7);
	plane_confirm(&p, AMQP_BASIC_ACK, 6, true);
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.settled_id, 8);
	plane_fini(&p);
}

/* Confirmed every second one: what is left lies apart, in more pieces than the stream has room for. */
static void more_pieces_than_extents_are_replayed_and_control_frames_still_fit(void **state)
{
	static struct wire w;
	struct plane p;
	plane_init(&p, 1 << 20, 512);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 400);
	plane_turn(&p);
	for (uint64_t tag = 2; tag <= 400; tag += 2)
		plane_confirm(&p, AMQP_BASIC_ACK, tag, false);
	plane_turn(&p);
	plane_lose(&p);
	plane_open_again(&p);
	wire->ack_at_once = false;
	plane_connect(&p);
	assert_true(wire->stream.tx.tail - wire->stream.tx.head < EXTENTS_MAX);
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED"); /* its answer finds room */
	uint64_t end = wire->stream.tx.end;
	plane_turn(&p);
	assert_int_equal(wire->stream.tx.end, end + 12);
	plane_lose(&p);
	wire->ack_at_once = true;
	plane_open_again(&p);
	plane_connect(&p);
	for (int i = 0; i < 10; i++)
		plane_turn(&p);
	wire_read(&w, &p, 0);
	assert_int_equal(w.count, 200);
	for (uint32_t i = 0; i < w.count; i++)
		assert_int_equal(w.messages[i].id, 2 * i + 1);
	plane_fini(&p);
}

static void call_to_wire_is_stamped_once_however_often_a_message_is_sent(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 3);
	plane_turn(&p);
	assert_int_equal(histogram_count(&p.publisher->call_to_wire_ticks), 3);
	wire->no_buffers = true;
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	for (int i = 0; i < 3; i++) {
		plane_lose(&p);
		wire->no_buffers = false;
		plane_open_again(&p);
		plane_connect(&p);
		plane_turn(&p);
		assert_int_equal(histogram_count(&p.publisher->call_to_wire_ticks), 5);
	}
	plane_confirm(&p, AMQP_BASIC_ACK, 5, true);
	plane_turn(&p);
	assert_int_equal(histogram_count(&p.publisher->call_to_wire_ticks), 5);
	assert_int_equal(histogram_count(&p.publisher->publish_to_confirm_ticks), 5);
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_outcome_is_sent_again_in_order_and_new_messages_follow),
		cmocka_unit_test(tags_of_a_third_connection_mean_its_own_messages),
		cmocka_unit_test(a_message_was_transmitted_from_its_first_octet_on),
		cmocka_unit_test(a_message_never_on_the_wire_is_sent_again_without_the_flag_until_it_was),
		cmocka_unit_test(nothing_in_the_log_changes_but_the_octet_of_the_flag),
		cmocka_unit_test(messages_of_several_frames_are_sent_again_whole),
		cmocka_unit_test(a_log_that_wraps_is_sent_again_across_its_end),
		cmocka_unit_test(a_full_index_is_replayed_and_takes_new_messages_as_confirms_come),
		cmocka_unit_test(returned_and_nacked_messages_of_a_replay_keep_those_outcomes),
		cmocka_unit_test(at_most_once_what_was_sent_is_lost_and_the_rest_is_sent),
		cmocka_unit_test(a_goodbye_loses_nothing_at_most_once),
		cmocka_unit_test(an_alarm_of_the_handshake_holds_the_replay_back),
		cmocka_unit_test(an_alarm_in_the_middle_of_a_replay_stops_it_there),
		cmocka_unit_test(a_replay_that_is_cut_short_begins_anew_where_outcomes_end),
		cmocka_unit_test(more_pieces_than_extents_are_replayed_and_control_frames_still_fit),
		cmocka_unit_test(call_to_wire_is_stamped_once_however_often_a_message_is_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
