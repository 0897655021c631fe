/* A channel that the broker closes, and the next one on the same stream. */
#include <stdio.h>

#include "tests/unit/plane/replay.h"

/* Messages 1..`n` sent and not acked at all. */
static uint32_t publishing(struct plane *p, uint32_t n)
{
	plane_init(p, 65536, 64);
	plane_ready(p);
	p->net.streams[0].ack_at_once = false;
	uint32_t t = plane_template(p, REPLAY_SLOTS, 0);
	plane_publish_many(p, t, n);
	plane_turn(p);
	return t;
}

static struct worker_event channel_closed(struct plane *p)
{
	plane_close(p, 1, AMQP_CHANNEL_CLOSE, 404, "NOT_FOUND - no exchange 'x'");
	plane_turn(p);
	return plane_event(p, EVENT_CHANNEL_CLOSED);
}

/* As control does: its words, and the broker's answers. */
static void channel_opened(struct plane *p)
{
	struct byte_ring *to_control = &p->connection->bridge.to_control;
	byte_ring_consume(to_control, byte_ring_held(to_control));
	uint8_t open[] = {1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, AMQP_FRAME_END};
	assert_true(byte_ring_write(&p->connection->bridge.to_wire, open, sizeof open));
	plane_turn(p);
	plane_method(p, 1, AMQP_METHOD(20, 11), "\0\0\0\0", 4);
	plane_turn(p);
	assert_int_equal(byte_ring_held(to_control), 16);
	byte_ring_consume(to_control, 16);
	plane_hand_over(p);
}

static void it_is_answered_behind_what_was_pushed_and_reported_once(void **state)
{
	struct plane p;
	uint8_t ok[AMQP_SMALL_FRAME_MAX];
	publishing(&p, 3);
	uint32_t len = p.net.streams[0].sent_len;
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	struct worker_event e = channel_closed(&p);
	assert_int_equal(e.code, HW_ERR_AMQP_CHANNEL_CLOSED);
	assert_int_equal(e.reply_code, 404);
	assert_int_equal(e.oldest_id, 2);
	assert_int_equal(e.outcomes, 1);
	assert_true(e.oldest_sent);
	plane_no_event(&p);
	size_t n = amqp_write_channel_close_ok(ok, 1);
	assert_int_equal(p.net.streams[0].sent_len, len + n);
	assert_memory_equal(p.net.streams[0].sent + len, ok, n);
	assert_true(byte_ring_held(&p.connection->bridge.to_control) > 0);
	assert_int_equal(p.connection->phase, CONNECTION_HANDSHAKE);
	plane_fini(&p);
}

static void its_messages_are_sent_again_on_the_next_and_new_ones_follow(void **state)
{
	struct plane p;
	struct harewire_event e;
	uint32_t t = publishing(&p, 3);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false);
	channel_closed(&p);
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_DISCONNECTED);
	assert_int_equal(e.code, HW_ERR_AMQP_CHANNEL_CLOSED);
	assert_string_equal(e.text, "NOT_FOUND - no exchange 'x'");
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	uint32_t before = p.net.streams[0].sent_len;
	channel_opened(&p);
	expect_wire(&p, before + 13, (const uint64_t[]){1, 3, 4}, "110"); /* behind channel.open */
	expect_event(&p, HAREWIRE_EVENT_READY, 0, 0);
	assert_int_equal(atomic_load(&p.publisher->connections), 1);
	assert_int_equal(atomic_load(&p.publisher->channels), 1);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 4);
	plane_fini(&p);
}

/* What was pushed goes out although the broker drops it: its next copy may not look like a first one. */
static void messages_that_go_out_behind_the_close_count_as_transmitted(void **state)
{
	struct plane p;
	uint32_t t = publishing(&p, 1);
	p.net.streams[0].no_buffers = true;
	plane_publish_many(&p, t, 2);
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.handed_id, 4);
	struct worker_event e = channel_closed(&p);
	assert_true(e.oldest_sent);
	p.net.streams[0].no_buffers = false;
	plane_turn(&p);
	EXPECT_WIRE(&p, "000", 1, 2, 3);
	uint32_t before = p.net.streams[0].sent_len;
	channel_opened(&p);
	expect_wire(&p, before + 13, (const uint64_t[]){1, 2, 3}, "111");
	plane_fini(&p);
}

static void at_most_once_only_what_had_been_sent_by_then_is_lost(void **state)
{
	const struct connection_options once = {.at_most_once = true};
	struct plane p;
	plane_init_with(&p, 65536, 64, &once, false);
	plane_ready(&p);
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	p.net.streams[0].no_buffers = true;
	plane_publish_many(&p, t, 1);
	plane_turn(&p);
	channel_closed(&p);
	p.net.streams[0].no_buffers = false;
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	expect_event(&p, HAREWIRE_EVENT_LOST, 1, 1);
	expect_no_event(&p);
	uint32_t before = p.net.streams[0].sent_len;
	channel_opened(&p);
	expect_wire(&p, before + 13, (const uint64_t[]){2}, "1");
	plane_fini(&p);
}

static void octets_of_the_old_channel_are_kept_until_they_are_acked(void **state)
{
	struct plane p;
	publishing(&p, 4);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	fake_ack_to(&p.net, 0, one);
	plane_turn(&p);
	assert_int_equal(released(&p), one);
	channel_closed(&p);
	fake_ack_to(&p.net, 0, one + 5);
	plane_turn(&p);
	assert_int_equal(released(&p), one + 5); /* of settled ones still to the octet */
	uint32_t before = p.net.streams[0].sent_len;
	channel_opened(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true); /* 3 and 4, on the new one */
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.settled_id, 5);
	assert_int_equal(released(&p), one + 5);
	fake_ack_to(&p.net, 0, 4 * one - 1); /* of the old channel's last message an octet is missing */
	plane_turn(&p);
	assert_int_equal(released(&p), one + 5);
	fake_ack_to(&p.net, 0, 4 * one);
	plane_turn(&p);
	assert_int_equal(released(&p), 2 * one); /* 3 and 4 are in flight again */
	fake_ack_to(&p.net, 0, before + 13 + one);
	plane_turn(&p);
	assert_int_equal(released(&p), 3 * one);
	fake_ack_to(&p.net, 0, before + 13 + 2 * one);
	plane_turn(&p);
	assert_int_equal(released(&p), 4 * one);
	plane_fini(&p);
}

static void a_channel_closed_in_the_middle_of_its_replay_is_opened_again(void **state)
{
	struct plane p;
	publishing(&p, 4);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	channel_closed(&p);
	fake_ack(&p.net, 0);
	wire->window = one + 1;
	uint32_t before = wire->sent_len;
	channel_opened(&p); /* 1 goes out, of 2 one octet */
	assert_int_equal(wire->sent_len, before + one + 1);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	struct worker_event e = channel_closed(&p);
	assert_int_equal(e.oldest_id, 2);
	wire->window = FAKE_BYTES;
	fake_ack(&p.net, 0);
	plane_turn(&p);
	fake_ack(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(released(&p), one);
	before = wire->sent_len;
	channel_opened(&p);
	expect_wire(&p, before + 13, (const uint64_t[]){2, 3, 4}, "111");
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	fake_ack(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(released(&p), 4 * one);
	assert_int_equal(atomic_load(&p.publisher->channels), 2);
	plane_fini(&p);
}

static void an_alarm_survives_it(void **state)
{
	struct plane p;
	uint32_t t = publishing(&p, 1);
	plane_blocked(&p, "low on disk");
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_BLOCKED, 0, 0);
	channel_closed(&p);
	plane_publish_many(&p, t, 1);
	expect_event(&p, HAREWIRE_EVENT_UNBLOCKED, 0, 0); /* no connection, no blockage of it */
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	uint32_t before = p.net.streams[0].sent_len;
	channel_opened(&p);
	expect_event(&p, HAREWIRE_EVENT_READY, 0, 0);
	expect_event(&p, HAREWIRE_EVENT_BLOCKED, 0, 0);
	assert_int_equal(p.net.streams[0].sent_len, before + 13); /* control's octets alone */
	plane_method(&p, 0, AMQP_CONNECTION_UNBLOCKED, "", 0);
	plane_turn(&p);
	expect_wire(&p, before + 13, (const uint64_t[]){1, 2}, "10");
	plane_fini(&p);
}

static void heartbeats_go_on_while_it_is_opened_and_silence_still_ends_the_connection(void **state)
{
	static struct wire w;
	struct plane p;
	publishing(&p, 1);
	struct connection *c = p.connection;
	c->heartbeat_ns = 10000000000u;
	channel_closed(&p);
	uint32_t before = p.net.streams[0].sent_len;
	uint64_t now_ns = c->last_sent_ns > c->last_received_ns ? c->last_sent_ns : c->last_received_ns;
	connection_timer(c, now_ns); /* notes what has been sent */
	connection_timer(c, now_ns + 5000000000u);
	wire_read(&w, &p, before);
	assert_int_equal(w.heartbeats, 1);
	connection_timer(c, now_ns + 21000000000u);
	struct worker_event e = plane_event(&p, EVENT_CLOSED);
	assert_int_equal(e.code, HW_ERR_AMQP_HEARTBEAT);
	assert_int_equal(e.reply_code, 0); /* the channel's is not the connection's */
	plane_fini(&p);
}

static void a_connection_close_meanwhile_is_answered_and_ends_the_connection(void **state)
{
	struct plane p;
	uint8_t ok[AMQP_SMALL_FRAME_MAX];
	publishing(&p, 1);
	channel_closed(&p);
	uint32_t before = p.net.streams[0].sent_len;
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED");
	plane_turn(&p);
	size_t n = amqp_write_connection_close_ok(ok);
	assert_int_equal(p.net.streams[0].sent_len, before + n);
	assert_memory_equal(p.net.streams[0].sent + before, ok, n);
	struct worker_event e = plane_lose(&p);
	assert_int_equal(e.code, HW_ERR_AMQP_CONNECTION_CLOSED);
	assert_int_equal(e.reply_code, 320);
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	expect_no_event(&p); /* told once */
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "1", 1);
	plane_fini(&p);
}

/* A channel that is over has no tags: what a broker says of them in between, or behind its goodbye, is nothing. */
static void confirms_of_the_old_channel_mean_nothing(void **state)
{
	struct plane p;
	publishing(&p, 2);
	channel_closed(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_close(&p, 0, AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED");
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_FINISHED);
	assert_int_equal(p.connection->confirms.settled_id, 1);
	plane_no_event(&p);
	plane_fini(&p);
}

static void control_may_give_the_connection_up_instead(void **state)
{
	struct plane p;
	publishing(&p, 2);
	channel_closed(&p);
	plane_command(&p, (struct command){.type = COMMAND_ABORT});
	plane_turn(&p);
	struct worker_event e = plane_event(&p, EVENT_CLOSED);
	assert_int_equal(e.code, HW_ERR_CONN_ABORTED);
	assert_int_equal(e.oldest_id, 1);
	assert_true(p.net.streams[0].aborted);
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "11", 1, 2);
	plane_fini(&p);
}

/* A return whose content header had not come yet: the next channel owes no header. */
static void a_return_cut_off_by_it_is_forgotten(void **state)
{
	struct plane p;
	publishing(&p, 1);
	const uint8_t args[] = {0x01, 0x38, 8, 'N', 'O', '_', 'R', 'O', 'U', 'T', 'E', 1, 'x', 1, 'k'};
	plane_method(&p, 1, AMQP_BASIC_RETURN, args, sizeof args);
	channel_closed(&p);
	channel_opened(&p);
	const struct message *m = message_at(&p.publisher->index, 1);
	const uint8_t *bytes = log_at(&p.publisher->log, m->pos);
	uint32_t method_frame = get_be32(bytes + 3) + 8;
	fake_feed(&p.net, 0, bytes + method_frame, m->len - method_frame);
	plane_turn(&p);
	assert_int_equal(plane_event(&p, EVENT_CLOSED).code, HW_ERR_AMQP_UNEXPECTED);
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_answered_behind_what_was_pushed_and_reported_once),
		cmocka_unit_test(its_messages_are_sent_again_on_the_next_and_new_ones_follow),
		cmocka_unit_test(messages_that_go_out_behind_the_close_count_as_transmitted),
		cmocka_unit_test(at_most_once_only_what_had_been_sent_by_then_is_lost),
		cmocka_unit_test(octets_of_the_old_channel_are_kept_until_they_are_acked),
		cmocka_unit_test(a_channel_closed_in_the_middle_of_its_replay_is_opened_again),
		cmocka_unit_test(an_alarm_survives_it),
		cmocka_unit_test(heartbeats_go_on_while_it_is_opened_and_silence_still_ends_the_connection),
		cmocka_unit_test(a_connection_close_meanwhile_is_answered_and_ends_the_connection),
		cmocka_unit_test(confirms_of_the_old_channel_mean_nothing),
		cmocka_unit_test(control_may_give_the_connection_up_instead),
		cmocka_unit_test(a_return_cut_off_by_it_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
