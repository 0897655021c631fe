/* A connection between worker, broker and control. */
#include "tests/unit/plane/plane.h"

static void reports_connected_then_bridges_octets_both_ways(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_no_event(&p);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);

	assert_true(byte_ring_write(&p.connection->bridge.to_wire, "AMQP\0\0\x09\x01", 8));
	plane_turn(&p);
	assert_int_equal(p.net.streams[0].sent_len, 8);
	assert_memory_equal(p.net.streams[0].sent, "AMQP\0\0\x09\x01", 8);

	plane_method(&p, 0, AMQP_METHOD(10, 10), "start", 5);
	plane_turn(&p);
	assert_int_equal(byte_ring_held(&p.connection->bridge.to_control), 4 + 5 + 8);
	plane_fini(&p);
}

static void a_handshake_longer_than_the_control_buffer_gets_through(void **state)
{
	struct plane p;
	static uint8_t bytes[200000];
	plane_init(&p, 65536, 64);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7);
	p.net.streams[0].window = 1000;
	assert_true(byte_ring_write(&p.connection->bridge.to_wire, bytes, sizeof bytes));
	for (int i = 0; i < 500; i++)
		plane_turn(&p);
	assert_int_equal(p.net.streams[0].sent_len, sizeof bytes);
	assert_memory_equal(p.net.streams[0].sent, bytes, sizeof bytes);
	plane_fini(&p);
}

static void what_a_given_up_handshake_left_over_is_not_the_next_ones(void **state)
{
	struct plane p;
	plane_init(&p, 4096, 16);
	plane_lose(&p);
	assert_true(byte_ring_write(&p.connection->bridge.to_wire, "bye", 3));
	plane_open_again(&p);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	assert_int_equal(p.net.streams[0].sent_len, 0);
	plane_fini(&p);
}

static void heartbeats_and_alarms_of_the_handshake_stay_with_the_worker(void **state)
{
	struct plane p;
	uint8_t heartbeat[AMQP_SMALL_FRAME_MAX];
	plane_init(&p, 65536, 64);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	fake_feed(&p.net, 0, heartbeat, (uint32_t)amqp_write_heartbeat(heartbeat));
	plane_blocked(&p, "low on memory");
	plane_turn(&p);
	assert_int_equal(byte_ring_held(&p.connection->bridge.to_control), 0);
	expect_no_event(&p); /* nothing can be published yet: the state is not shown */

	plane_command(&p, (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 4096}});
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_READY, 0, 0);
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_BLOCKED);
	assert_string_equal(e.text, "low on memory");
	plane_fini(&p);
}

static void nothing_is_sent_while_blocked_and_everything_afterwards(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_BLOCKED, 0, 0);
	assert_int_equal(plane_publish(&p, t, "kept"), 1);
	plane_turn(&p);
	assert_int_equal(p.net.streams[0].sent_len, 0);
	plane_method(&p, 0, AMQP_CONNECTION_UNBLOCKED, "", 0);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_UNBLOCKED, 0, 0);
	assert_int_equal(p.net.streams[0].sent_len, message_at(&p.publisher->index, 1)->len);
	plane_fini(&p);
}

static void hands_over_whole_messages_only_while_their_first_octet_can_go(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, 0, 0);
	wire->ack_at_once = false;
	for (int i = 0; i < 10; i++)
		plane_publish(&p, t, "0123456789");
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	wire->window = 2 * one + 1;
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.handed_id, 4); /* the third by its first octet */
	assert_int_equal(wire->stream.tx.end, 3 * one);
	assert_int_equal(wire->sent_len, 2 * one + 1);
	fake_ack(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(wire->stream.tx.end % one, 0);
	plane_fini(&p);
}

/* Publishes one message with a sequence slot and has it returned: method, header, body, then the ack. */
static void a_return_is_matched_by_its_sequence_and_reported_once(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, HAREWIRE_SLOT_SEQUENCE, 1);
	plane_publish(&p, t, "a");
	plane_publish(&p, t, "b");
	plane_turn(&p);
	const uint8_t args[] = {0x01, 0x38, 8, 'N', 'O', '_', 'R', 'O', 'U', 'T', 'E', 1, 'x', 1, 'k'};
	plane_method(&p, 1, AMQP_BASIC_RETURN, args, sizeof args);
	/* The broker gives the content back as it came: our own header and body frames. */
	const struct message *m = message_at(&p.publisher->index, 2);
	const uint8_t *bytes = log_at(&p.publisher->log, m->pos);
	uint32_t method_frame = get_be32(bytes + 3) + 8;
	fake_feed(&p.net, 0, bytes + method_frame, m->len - method_frame);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_RETURNED);
	assert_int_equal(e.first, 2);
	assert_int_equal(e.code, 312);
	expect_no_event(&p);
	plane_no_event(&p);
	plane_fini(&p);
}

/* Our connection.close is out: the broker may have sent this before it read it. */
static void channel_close_during_our_goodbye_is_answered_and_names_the_end(void **state)
{
	struct plane p;
	uint8_t expected[2 * AMQP_SMALL_FRAME_MAX];
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	publisher_close(p.publisher, 3600000000000u);
	plane_turn(&p);
	plane_close(&p, 1, AMQP_CHANNEL_CLOSE, 404, "NOT_FOUND");
	plane_turn(&p);
	size_t len = amqp_write_connection_close(expected);
	len += amqp_write_channel_close_ok(expected + len, 1);
	assert_int_equal(p.net.streams[0].sent_len, len);
	assert_memory_equal(p.net.streams[0].sent, expected, len);
	assert_true(byte_ring_held(&p.connection->bridge.to_control) > 0); /* control makes the sentence */
	plane_no_event(&p);

	plane_method(&p, 0, AMQP_CONNECTION_CLOSE_OK, "", 0);
	plane_turn(&p);
	assert_true(p.net.streams[0].closed);
	fake_finish(&p.net, 0);
	plane_turn(&p);
	struct worker_event e = plane_event(&p, EVENT_CLOSED);
	assert_int_equal(e.code, HW_ERR_AMQP_CHANNEL_CLOSED);
	assert_int_equal(e.reply_code, 404);
	plane_fini(&p);
}

static void a_close_in_front_of_a_reset_is_what_gets_reported(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED");
	fake_reset(&p.net, 0, HW_ERR_CONN_RESET);
	plane_turn(&p);
	struct worker_event e = plane_event(&p, EVENT_CLOSED);
	assert_int_equal(e.code, HW_ERR_AMQP_CONNECTION_CLOSED);
	assert_int_equal(e.reply_code, 320);
	plane_fini(&p);
}

static void nothing_is_said_behind_our_fin(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	/* A broker that repeats itself gets one answer; fake_transport asserts that no octet follows. */
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED");
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED");
	plane_close(&p, 1, AMQP_CHANNEL_CLOSE, 404, "NOT_FOUND");
	plane_turn(&p);
	assert_true(p.net.streams[0].closed);
	assert_int_equal(p.net.streams[0].sent_len, 12); /* one close-ok */
	plane_fini(&p);
}

static void a_reset_after_our_goodbye_is_still_an_orderly_end(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	publisher_close(p.publisher, 3600000000000u);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_ENDING);
	fake_reset(&p.net, 0, HW_ERR_CONN_RESET);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, 0);
	plane_fini(&p);
}

static void a_frame_behind_the_last_reply_stops_the_hand_over(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	plane_close(&p, 1, AMQP_CHANNEL_CLOSE, 406, "PRECONDITION_FAILED");
	plane_turn(&p);
	plane_command(&p, (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 4096, .channel = 1}});
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_UNEXPECTED);
	expect_no_event(&p); /* never READY */
	plane_fini(&p);
}

static void returned_bodies_may_be_as_large_as_frames_are(void **state)
{
	struct plane p;
	static uint8_t body[131072];
	plane_init(&p, 1 << 20, 64);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	plane_command(&p,
		      (struct command){.type = COMMAND_HAND_OVER, .hand_over = {.frame_max = 131072, .channel = 1}});
	plane_turn(&p);
	put_be16(body + 1, 1);
	body[0] = FRAME_BODY;
	put_be32(body + 3, sizeof body - 8);
	body[sizeof body - 1] = AMQP_FRAME_END;
	fake_feed(&p.net, 0, body, sizeof body);
	plane_turn(&p);
	plane_no_event(&p);
	assert_int_equal(p.connection->phase, CONNECTION_PUBLISHING);
	plane_fini(&p);
}

static void confirms_on_another_channel_are_refused(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	plane_publish(&p, t, "m");
	plane_turn(&p);
	uint8_t args[9] = {0};
	args[7] = 1;
	plane_method(&p, 2, AMQP_BASIC_ACK, args, sizeof args);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_UNEXPECTED);
	assert_int_equal(p.connection->confirms.outcomes[OUTCOME_CONFIRMED], 0);
	plane_fini(&p);
}

static void a_reset_alone_is_reported_as_one(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	fake_reset(&p.net, 0, HW_ERR_CONN_RESET);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_CONN_RESET);
	plane_no_event(&p);
	plane_fini(&p);
}

static void confirms_that_came_in_front_of_a_reset_count(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	for (int i = 0; i < 3; i++)
		plane_publish(&p, t, "m");
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	fake_reset(&p.net, 0, HW_ERR_CONN_RESET);
	plane_turn(&p);
	plane_event(&p, EVENT_CLOSED);
	struct command end = {.type = COMMAND_END, .end = {.code = HW_ERR_CONN_RESET, .text = "reset"}};
	plane_command(&p, end);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 2);
	expect_event(&p, HAREWIRE_EVENT_UNCONFIRMED, 3, 3);
	expect_event(&p, HAREWIRE_EVENT_FAILED, 0, 0);
	plane_fini(&p);
}

static void garbage_from_the_broker_ends_the_connection_with_its_name(void **state)
{
	struct {
		const char *bytes;
		uint32_t len;
		int code;
	} cases[] = {
		{"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x1f\x00", 12, HW_ERR_AMQP_FRAME_END},
		{"\x08\x00\x00\x00\x00\x00\x00\xCE\x05\x00\x00\x00\x00\x00\x00\xCE", 16, HW_ERR_AMQP_FRAME_TYPE},
		{"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50\x00\x00\x00\x00\x00\x00\x00\x63\x00\xCE", 21,
		 HW_ERR_AMQP_UNKNOWN_TAG},
		{"\x02\x00\x01\x00\x00\x00\x0e\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xCE", 22,
		 HW_ERR_AMQP_UNEXPECTED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct plane p;
		plane_init(&p, 65536, 64);
		plane_ready(&p);
		fake_feed(&p.net, 0, cases[i].bytes, cases[i].len);
		plane_turn(&p);
		assert_int_equal(plane_event(&p, EVENT_CLOSED).code, cases[i].code);
		assert_true(p.net.streams[0].aborted);
		plane_fini(&p);
	}
}

static void more_control_frames_than_fit_end_the_connection_instead_of_waiting(void **state)
{
	struct plane p;
	static uint8_t args[900];
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	for (int i = 0; i < 300; i++)
		plane_method(&p, 1, AMQP_METHOD(50, 11), args, sizeof args);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_BRIDGE_FULL);
	plane_fini(&p);
}

static void closing_waits_for_outstanding_confirms_then_says_goodbye(void **state)
{
	struct plane p;
	uint8_t bye[AMQP_SMALL_FRAME_MAX];
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	plane_publish(&p, t, "m");
	publisher_close(p.publisher, 3600000000000u);
	assert_int_equal(plane_publish(&p, t, "late"), HW_ERR_CLOSED);
	plane_turn(&p);
	uint32_t message = message_at(&p.publisher->index, 1)->len;
	assert_int_equal(p.net.streams[0].sent_len, message);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_turn(&p);
	size_t len = amqp_write_connection_close(bye);
	assert_int_equal(p.net.streams[0].sent_len, message + len);
	assert_memory_equal(p.net.streams[0].sent + message, bye, len);
	plane_method(&p, 0, AMQP_CONNECTION_CLOSE_OK, "", 0);
	plane_turn(&p);
	fake_finish(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, 0);
	plane_command(&p, (struct command){.type = COMMAND_END});
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_CLOSED, 0, 0);
	plane_fini(&p);
}

static void closing_gives_up_at_its_deadline_and_leaves_the_rest_unconfirmed(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	plane_publish(&p, t, "m");
	plane_turn(&p);
	publisher_close(p.publisher, 0);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_ENDING);
	/* The broker, under alarm, never answers: the connection gives up by itself. */
	uint64_t later_ns = clock_ns(&p.clock) + 2000000000u;
	connection_timer(p.connection, later_ns);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, 0);
	assert_true(p.net.streams[0].aborted);
	plane_command(&p, (struct command){.type = COMMAND_END});
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_UNCONFIRMED, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_CLOSED, 0, 0);
	plane_fini(&p);
}

static void one_heartbeat_is_sent_when_nothing_else_goes_out(void **state)
{
	struct plane p;
	uint8_t frame[AMQP_SMALL_FRAME_MAX];
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct connection *c = p.connection;
	c->heartbeat_ns = 10000000000u;
	uint64_t now_ns = c->last_sent_ns;
	connection_timer(c, now_ns + 4900000000u);
	assert_int_equal(p.net.streams[0].sent_len, 0);
	connection_timer(c, now_ns + 5100000000u);
	size_t len = amqp_write_heartbeat(frame);
	assert_int_equal(p.net.streams[0].sent_len, len);
	assert_memory_equal(p.net.streams[0].sent, frame, len);
	connection_timer(c, now_ns + 5200000000u);
	assert_int_equal(p.net.streams[0].sent_len, len);
	plane_fini(&p);
}

static void never_two_heartbeats_are_unsent(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct connection *c = p.connection;
	c->heartbeat_ns = 10000000000u;
	p.net.streams[0].window = 0;
	uint64_t now_ns = c->last_sent_ns;
	for (uint64_t s = 5; s < 19; s++)
		connection_timer(c, now_ns + s * 1000000000u);
	assert_int_equal(p.net.streams[0].stream.tx.end, 8);
	plane_fini(&p);
}

static void two_silent_intervals_end_the_connection(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct connection *c = p.connection;
	c->heartbeat_ns = 10000000000u;
	uint64_t heard_ns = c->last_received_ns;
	connection_timer(c, heard_ns + 19900000000u);
	plane_no_event(&p);
	connection_timer(c, heard_ns + 20000000000u);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_HEARTBEAT);
	plane_fini(&p);
}

static void a_second_generation_starts_its_tags_at_one(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_command(&p, (struct command){.type = COMMAND_ABORT});
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_CONN_ABORTED);
	p.generation = 2;
	plane_command(&p, (struct command){.type = COMMAND_OPEN});
	plane_turn(&p);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	plane_publish(&p, t, "m");
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	plane_fini(&p);
}

static void commands_for_a_generation_that_is_gone_are_dropped_and_counted(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	p.generation = 0;
	plane_command(&p, (struct command){.type = COMMAND_ABORT});
	plane_turn(&p);
	plane_no_event(&p);
	assert_int_equal(p.worker.stale_records, 1);
	assert_int_equal(p.connection->phase, CONNECTION_CONNECTING);
	plane_fini(&p);
}

static void a_failed_open_is_an_event_like_any_other(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_command(&p, (struct command){.type = COMMAND_ABORT});
	plane_turn(&p);
	plane_event(&p, EVENT_CLOSED);
	p.net.open_error = HW_ERR_HOST_UNREACHABLE;
	p.generation = 2;
	plane_command(&p, (struct command){.type = COMMAND_OPEN});
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_HOST_UNREACHABLE);
	plane_fini(&p);
}

static void call_to_wire_is_stamped_once_for_every_message(void **state)
{
	struct plane p;
	plane_init(&p, 1 << 20, 4096);
	plane_ready(&p);
	p.net.streams[0].ack_at_once = false;
	p.net.streams[0].window = 100;
	uint32_t t = plane_template(&p, 0, 0);
	for (int i = 0; i < 1000; i++)
		plane_publish(&p, t, "tick");
	for (int i = 0; i < 2000; i++) {
		fake_ack(&p.net, 0);
		plane_turn(&p);
	}
	assert_int_equal(histogram_count(&p.publisher->call_to_wire_ticks), 1000);
	plane_fini(&p);
}

/* A record that the application may reuse is not looked at again: its stamp is taken when its confirm is. */
static void messages_confirmed_before_their_batch_is_out_are_stamped_by_then(void **state)
{
	struct plane p;
	char body[200];
	memset(body, 'b', sizeof body);
	plane_init(&p, 65536, 8);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, 0, 0);
	for (int i = 0; i < 4; i++)
		assert_true(publisher_publish(p.publisher, t, body, sizeof body, 0) > 0);
	plane_turn(&p);
	wire->no_buffers = true;
	for (int i = 0; i < 4; i++)
		assert_true(publisher_publish(p.publisher, t, body, sizeof body, 0) > 0);
	uint64_t one = message_at(&p.publisher->index, 1)->len;
	plane_turn(&p);
	wire->no_buffers = false;
	wire->window = 2 * one; /* half of the second batch goes out */
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 6, true);
	plane_turn(&p);
	assert_true(p.connection->wired_id >= p.connection->confirms.settled_id);
	assert_true(histogram_count(&p.publisher->call_to_wire_ticks) >= 6);
	plane_fini(&p);
}

static void a_removed_connection_is_let_go_of(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	plane_command(&p, (struct command){.type = COMMAND_REMOVE});
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_CONN_ABORTED);
	plane_event(&p, EVENT_REMOVED);
	assert_int_equal(p.worker.count, 0);
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_connected_then_bridges_octets_both_ways),
		cmocka_unit_test(a_handshake_longer_than_the_control_buffer_gets_through),
		cmocka_unit_test(what_a_given_up_handshake_left_over_is_not_the_next_ones),
		cmocka_unit_test(heartbeats_and_alarms_of_the_handshake_stay_with_the_worker),
		cmocka_unit_test(nothing_is_sent_while_blocked_and_everything_afterwards),
		cmocka_unit_test(hands_over_whole_messages_only_while_their_first_octet_can_go),
		cmocka_unit_test(a_return_is_matched_by_its_sequence_and_reported_once),
		cmocka_unit_test(channel_close_during_our_goodbye_is_answered_and_names_the_end),
		cmocka_unit_test(a_close_in_front_of_a_reset_is_what_gets_reported),
		cmocka_unit_test(nothing_is_said_behind_our_fin),
		cmocka_unit_test(a_reset_after_our_goodbye_is_still_an_orderly_end),
		cmocka_unit_test(a_frame_behind_the_last_reply_stops_the_hand_over),
		cmocka_unit_test(returned_bodies_may_be_as_large_as_frames_are),
		cmocka_unit_test(confirms_on_another_channel_are_refused),
		cmocka_unit_test(a_reset_alone_is_reported_as_one),
		cmocka_unit_test(confirms_that_came_in_front_of_a_reset_count),
		cmocka_unit_test(garbage_from_the_broker_ends_the_connection_with_its_name),
		cmocka_unit_test(more_control_frames_than_fit_end_the_connection_instead_of_waiting),
		cmocka_unit_test(closing_waits_for_outstanding_confirms_then_says_goodbye),
		cmocka_unit_test(closing_gives_up_at_its_deadline_and_leaves_the_rest_unconfirmed),
		cmocka_unit_test(one_heartbeat_is_sent_when_nothing_else_goes_out),
		cmocka_unit_test(never_two_heartbeats_are_unsent),
		cmocka_unit_test(two_silent_intervals_end_the_connection),
		cmocka_unit_test(a_second_generation_starts_its_tags_at_one),
		cmocka_unit_test(commands_for_a_generation_that_is_gone_are_dropped_and_counted),
		cmocka_unit_test(a_failed_open_is_an_event_like_any_other),
		cmocka_unit_test(call_to_wire_is_stamped_once_for_every_message),
		cmocka_unit_test(messages_confirmed_before_their_batch_is_out_are_stamped_by_then),
		cmocka_unit_test(a_removed_connection_is_let_go_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
