/* What has to pass over many records does so a few at a turn: nothing that is told or sent differs, only when. */
#include <stdio.h>

#include "tests/unit/plane/replay.h"

#define RECORDS 3u  /* a turn */
#define LAST    60u /* the message that is not confirmed either */

static void start(struct plane *p, bool at_most_once)
{
	const struct connection_options options = {.at_most_once = at_most_once, .walk_records = RECORDS};
	plane_init_with(p, 65536, 64, &options, false);
	plane_ready(p);
}

/* `n` messages of which the second to the one before the last are confirmed, one by one. */
static uint32_t start_with_one_stuck(struct plane *p, bool at_most_once, uint32_t n)
{
	start(p, at_most_once);
	uint32_t t = plane_template(p, REPLAY_SLOTS, 0);
	plane_publish_many(p, t, n);
	plane_turn(p);
	for (uint64_t tag = 2; tag < n; tag++)
		plane_confirm(p, AMQP_BASIC_ACK, tag, false);
	plane_turn(p);
	assert_int_equal(p->connection->confirms.settled_id, 1);
	return t;
}

static uint64_t settled(const struct plane *p)
{
	return atomic_load(&p->publisher->settled_id);
}

/* Until nothing is behind: so many turns. Each brings the application RECORDS outcomes on at most. */
static uint32_t turns_to_catch_up(struct plane *p)
{
	uint32_t turns = 0;
	while (confirms_behind(&p->connection->confirms)) {
		uint64_t before = settled(p);
		assert_int_equal(released(p), p->connection->confirms.settled_pos);
		worker_turn(&p->worker);
		turns++;
		assert_int_equal(settled(p), p->connection->confirms.settled_id);
		assert_in_range(settled(p), before + 1, before + RECORDS);
	}
	return turns;
}

static void a_replay_is_sought_a_few_records_a_turn(void **state)
{
	struct plane p;
	uint32_t t = start_with_one_stuck(&p, false, LAST);
	plane_lose(&p);
	plane_open_again(&p);
	plane_publish_many(&p, t, 1);
	plane_connect(&p);
	uint32_t turns = 0;
	for (; p.connection->phase == CONNECTION_REPLAYING; turns++) {
		EXPECT_WIRE(&p, "1", 1);
		assert_true(worker_turn(&p.worker) > 0); /* not an idle one: nobody goes to sleep meanwhile */
	}
	assert_in_range(turns, LAST / RECORDS - 4, LAST / RECORDS);
	EXPECT_WIRE(&p, "110", 1, LAST, LAST + 1);
	assert_int_equal(released(&p), 0);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	plane_turn(&p);
	assert_int_equal(settled(&p), LAST + 2);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, LAST + 1);
	plane_turn(&p);
	assert_int_equal(released(&p), p.publisher->next_pos);
	plane_fini(&p);
}

static void what_is_confirmed_while_a_replay_is_sought_is_settled(void **state)
{
	struct plane p;
	uint32_t t = start_with_one_stuck(&p, false, LAST);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false); /* records up to LAST are the application's now */
	plane_turn(&p);
	assert_int_equal(settled(&p), LAST);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, LAST - 1);
	plane_publish_many(&p, t, 30); /* into some of them */
	for (uint32_t i = 0; i < 20; i++)
		worker_turn(&p.worker);
	static struct wire w;
	wire_read(&w, &p, 0);
	assert_int_equal(w.count, 32);
	for (uint32_t i = 1; i < w.count; i++)
		assert_int_equal(w.messages[i].id, LAST - 1 + i);
	plane_confirm(&p, AMQP_BASIC_ACK, 32, true);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, LAST, LAST + 30);
	plane_fini(&p);
}

static void a_replay_that_is_cut_off_while_it_is_sought_begins_anew(void **state)
{
	struct plane p;
	start_with_one_stuck(&p, false, LAST);
	plane_lose(&p);
	plane_open_again(&p);
	plane_connect(&p);
	worker_turn(&p.worker);
	assert_int_equal(p.connection->phase, CONNECTION_REPLAYING);
	struct worker_event e = plane_lose(&p);
	assert_int_equal(e.oldest_id, 1);
	assert_int_equal(e.outcomes, LAST - 2);
	assert_true(e.oldest_sent);
	plane_open_again(&p);
	plane_connect(&p);
	for (uint32_t i = 0; i < LAST; i++)
		worker_turn(&p.worker);
	EXPECT_WIRE(&p, "11", 1, LAST);
	plane_fini(&p);
}

static void expect_first_and_last_lost(struct plane *p)
{
	expect_event(p, HAREWIRE_EVENT_LOST, 1, 1);
	expect_event(p, HAREWIRE_EVENT_CONFIRMED, 2, LAST - 1);
	expect_event(p, HAREWIRE_EVENT_LOST, LAST, LAST);
}

static void losses_are_told_in_order_a_few_a_turn(void **state)
{
	struct plane p;
	uint32_t t = start_with_one_stuck(&p, true, LAST);
	struct worker_event e = plane_lose(&p); /* at once */
	assert_int_equal(e.oldest_id, 1);
	assert_int_equal(e.outcomes, LAST - 2);
	assert_in_range(turns_to_catch_up(&p), LAST / RECORDS - 4, LAST / RECORDS);
	expect_event(&p, HAREWIRE_EVENT_DISCONNECTED, 0, 0);
	expect_first_and_last_lost(&p);
	assert_int_equal(released(&p), p.publisher->next_pos);
	assert_int_equal(histogram_count(&p.publisher->call_to_wire_ticks), LAST);
	plane_open_again(&p);
	plane_publish_many(&p, t, 1);
	plane_connect(&p);
	EXPECT_WIRE(&p, "0", LAST + 1);
	plane_fini(&p);
}

static void a_connection_made_before_all_losses_are_told_waits_for_them(void **state)
{
	struct plane p;
	uint32_t t = start_with_one_stuck(&p, true, LAST);
	p.net.streams[0].no_buffers = true;
	plane_publish_many(&p, t, 2); /* handed and never sent: not lost */
	worker_turn(&p.worker);
	plane_lose(&p);
	p.net.streams[0].no_buffers = false;
	plane_open_again(&p);
	plane_connect(&p);
	assert_true(confirms_behind(&p.connection->confirms));
	assert_int_equal(p.connection->phase, CONNECTION_REPLAYING);
	assert_int_equal(p.net.streams[0].sent_len, 0);
	/* Those given up are not what the next end asks about. */
	struct worker_event e = plane_lose(&p);
	assert_int_equal(e.oldest_id, LAST + 1);
	assert_false(e.oldest_sent);
	plane_open_again(&p);
	plane_publish_many(&p, t, 1);
	plane_connect(&p);
	turns_to_catch_up(&p);
	plane_turn(&p);
	assert_int_equal(p.connection->phase, CONNECTION_PUBLISHING);
	EXPECT_WIRE(&p, "000", LAST + 1, LAST + 2, LAST + 3);
	expect_first_and_last_lost(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 3, true);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, LAST + 1, LAST + 3);
	plane_fini(&p);
}

static void losses_give_the_log_back_while_the_next_connection_is_being_made(void **state)
{
	struct plane p;
	start_with_one_stuck(&p, true, LAST);
	plane_lose(&p);
	plane_open_again(&p);
	assert_int_equal(p.connection->phase, CONNECTION_CONNECTING);
	assert_true(turns_to_catch_up(&p) > 1);
	assert_int_equal(released(&p), p.publisher->next_pos);
	plane_fini(&p);
}

/* Ten messages, of which five and an octet leave, and a broker that confirms the seventh as well. */
static void lose_what_is_partly_sent(uint32_t records)
{
	const struct connection_options options = {.at_most_once = true, .walk_records = records};
	struct plane p;
	plane_init_with(&p, 65536, 64, &options, false);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	const struct histogram *stamped = &p.publisher->call_to_wire_ticks;
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	wire->no_buffers = true;
	plane_publish_many(&p, t, 10);
	plane_turn(&p);
	wire->no_buffers = wire->ack_at_once = false;
	wire->window = 5 * message_at(&p.publisher->index, 1)->len + 1;
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 7, false);
	plane_turn(&p);
	uint64_t before = histogram_count(stamped);
	plane_lose(&p);
	turns_to_catch_up(&p);
	assert_int_equal(settled(&p), 8);
	wire->window = FAKE_BYTES;
	wire->ack_at_once = true;
	plane_open_again(&p);
	plane_connect(&p);
	EXPECT_WIRE(&p, "000", 8, 9, 10);
	plane_turn(&p);
	assert_int_equal(histogram_count(stamped), before + 3);
	plane_fini(&p);
}

static void what_is_given_up_is_not_stamped_when_the_next_connection_sends(void **state)
{
	lose_what_is_partly_sent(RECORDS);
	lose_what_is_partly_sent(WALK_RECORDS);
}

static void publishing_begins_behind_the_last_loss_whenever_the_hand_over_comes(void **state)
{
	for (uint32_t turns = 0; turns < LAST / RECORDS; turns++) {
		struct plane p;
		start_with_one_stuck(&p, true, LAST);
		plane_confirm(&p, AMQP_BASIC_ACK, LAST, false);
		plane_turn(&p);
		plane_lose(&p);
		plane_open_again(&p);
		for (uint32_t i = 0; i < turns; i++)
			worker_turn(&p.worker);
		plane_connect(&p);
		while (p.connection->phase == CONNECTION_REPLAYING)
			worker_turn(&p.worker);
		assert_int_equal(p.connection->phase, CONNECTION_PUBLISHING);
		assert_int_equal(settled(&p), LAST + 1);
		plane_fini(&p);
	}
}

static void losses_of_a_closed_channel_are_told_while_another_is_opened(void **state)
{
	struct plane p;
	uint32_t t = start_with_one_stuck(&p, true, LAST);
	plane_close(&p, 1, AMQP_CHANNEL_CLOSE, 404, "NOT_FOUND");
	worker_turn(&p.worker);
	plane_event(&p, EVENT_CHANNEL_CLOSED);
	struct byte_ring *to_control = &p.connection->bridge.to_control;
	byte_ring_consume(to_control, byte_ring_held(to_control));
	uint32_t from = p.net.streams[0].sent_len;
	plane_hand_over(&p);
	assert_int_equal(p.connection->phase, CONNECTION_REPLAYING);
	plane_publish_many(&p, t, 1);
	turns_to_catch_up(&p);
	plane_turn(&p);
	expect_first_and_last_lost(&p);
	expect_wire(&p, from, (const uint64_t[]){LAST + 1}, "0");
	plane_fini(&p);
}

/* Sent and lost, never sent, and committed while nobody was connected. */
static void start_with_all_kinds(struct plane *p)
{
	uint32_t t = start_with_one_stuck(p, true, 20);
	p->net.streams[0].no_buffers = true;
	plane_publish_many(p, t, 10);
	worker_turn(&p->worker);
	plane_lose(p);
	plane_publish_many(p, t, 10);
}

static void the_end_is_told_when_every_message_has_its_outcome(void **state)
{
	struct plane p;
	start_with_all_kinds(&p);
	plane_command(&p, (struct command){.type = COMMAND_END, .end = {.code = HW_ERR_AMQP_POISON, .text = "poison"}});
	worker_turn(&p.worker);
	uint32_t turns = 0;
	for (; settled(&p) < 41; turns++) {
		plane_no_event(&p);
		assert_true(atomic_load(&p.publisher->state) < PUBLISHER_CLOSED);
		worker_turn(&p.worker);
	}
	assert_in_range(turns, 20 / RECORDS, 40 / RECORDS);
	plane_event(&p, EVENT_ENDED);
	plane_no_event(&p);
	expect_event(&p, HAREWIRE_EVENT_LOST, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 2, 19);
	expect_event(&p, HAREWIRE_EVENT_LOST, 20, 20);
	expect_event(&p, HAREWIRE_EVENT_UNCONFIRMED, 21, 40);
	expect_event(&p, HAREWIRE_EVENT_FAILED, 0, 0);
	plane_fini(&p);
}

static void a_connection_is_forgotten_in_the_middle_of_it(void **state)
{
	struct plane p;
	start_with_all_kinds(&p);
	plane_command(&p, (struct command){.type = COMMAND_END});
	plane_command(&p, (struct command){.type = COMMAND_REMOVE});
	worker_turn(&p.worker);
	plane_event(&p, EVENT_REMOVED);
	uint64_t before = settled(&p);
	assert_true(before < 41);
	plane_turn(&p);
	plane_no_event(&p);
	assert_int_equal(settled(&p), before);
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replay_is_sought_a_few_records_a_turn),
		cmocka_unit_test(what_is_confirmed_while_a_replay_is_sought_is_settled),
		cmocka_unit_test(a_replay_that_is_cut_off_while_it_is_sought_begins_anew),
		cmocka_unit_test(losses_are_told_in_order_a_few_a_turn),
		cmocka_unit_test(a_connection_made_before_all_losses_are_told_waits_for_them),
		cmocka_unit_test(losses_give_the_log_back_while_the_next_connection_is_being_made),
		cmocka_unit_test(what_is_given_up_is_not_stamped_when_the_next_connection_sends),
		cmocka_unit_test(publishing_begins_behind_the_last_loss_whenever_the_hand_over_comes),
		cmocka_unit_test(losses_of_a_closed_channel_are_told_while_another_is_opened),
		cmocka_unit_test(the_end_is_told_when_every_message_has_its_outcome),
		cmocka_unit_test(a_connection_is_forgotten_in_the_middle_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
