/* A lost connection and its surroundings: what is late, attempts that fail, an application that closes meanwhile. */
#include <stdio.h>

#include "tests/unit/plane/replay.h"

static void late_octets_of_a_lost_connection_mean_nothing(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	plane_lose(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.settled_id, 1);
	plane_no_event(&p);
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "11", 1, 2);
	assert_int_equal(p.connection->confirms.settled_id, 1);
	plane_fini(&p);
}

static void commands_for_the_lost_generation_do_not_touch_the_next(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	plane_lose(&p);
	plane_open_again(&p);
	p.generation--;
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	plane_hand_over(&p);
	plane_command(&p, (struct command){.type = COMMAND_ABORT});
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_HANDSHAKE);
	assert_int_equal(p.worker.stale_records, 2);
	plane_no_event(&p);
	plane_fini(&p);
}

static void an_attempt_that_fails_changes_nothing(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	wire->no_buffers = true;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	plane_lose(&p);
	wire->no_buffers = false;
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	p.net.open_error = HW_ERR_HOST_UNREACHABLE;
	plane_open_again(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_HOST_UNREACHABLE);
	p.net.open_error = 0;
	plane_open_again(&p);
	fake_connected(&p.net, 0);
	plane_turn(&p);
	plane_event(&p, EVENT_CONNECTED);
	struct worker_event e = plane_lose(&p); /* during the handshake */
	assert_false(e.oldest_sent);
	expect_no_event(&p);
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "10", 1, 2);
	plane_fini(&p);
}

static void closing_during_a_replay_waits_for_its_confirms(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	plane_lose(&p);
	plane_open_again(&p);
	wire->window = 1;
	wire->ack_at_once = false;
	plane_connect(&p);
	publisher_close(p.publisher, 3600000000000u);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_REPLAYING);
	wire->window = FAKE_BYTES;
	plane_turn(&p);
	EXPECT_WIRE(&p, "11", 1, 2);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_ENDING);
	plane_fini(&p);
}

static void closing_gives_up_in_the_middle_of_a_replay_at_its_deadline(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 3);
	plane_turn(&p);
	plane_lose(&p);
	plane_open_again(&p);
	wire->window = 1;
	wire->ack_at_once = false;
	plane_connect(&p);
	publisher_close(p.publisher, 0);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_ENDING);
	wire->window = FAKE_BYTES;
	plane_method(&p, 0, AMQP_CONNECTION_CLOSE_OK, "", 0);
	plane_turn(&p);
	EXPECT_WIRE(&p, "1", 1); /* and no other behind our connection.close */
	fake_finish(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, 0);
	plane_command(&p, (struct command){.type = COMMAND_END});
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_UNCONFIRMED, 1, 3);
	plane_fini(&p);
}

static void the_application_is_told_of_the_loss_and_of_the_next_connection(void **state)
{
	struct plane p;
	struct harewire_event e;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED - shutdown");
	plane_turn(&p);
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_DISCONNECTED);
	assert_int_equal(e.code, HW_ERR_AMQP_CONNECTION_CLOSED);
	assert_string_equal(e.text, "CONNECTION_FORCED - shutdown");
	struct worker_event closed = plane_lose(&p);
	assert_int_equal(closed.code, HW_ERR_AMQP_CONNECTION_CLOSED);
	assert_int_equal(closed.reply_code, 320);
	assert_int_equal(closed.oldest_id, 1);
	assert_false(closed.oldest_sent);
	plane_open_again(&p);
	plane_connect(&p);
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_READY);
	assert_string_equal(e.text, "broker:5672");
	plane_lose(&p);
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_DISCONNECTED);
	assert_int_equal(e.code, HW_ERR_CONN_RESET);
	assert_int_equal(atomic_load(&p.publisher->connections), 2);
	assert_int_equal(atomic_load(&p.publisher->channels), 0);
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_octets_of_a_lost_connection_mean_nothing),
		cmocka_unit_test(commands_for_the_lost_generation_do_not_touch_the_next),
		cmocka_unit_test(an_attempt_that_fails_changes_nothing),
		cmocka_unit_test(closing_during_a_replay_waits_for_its_confirms),
		cmocka_unit_test(closing_gives_up_in_the_middle_of_a_replay_at_its_deadline),
		cmocka_unit_test(the_application_is_told_of_the_loss_and_of_the_next_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
