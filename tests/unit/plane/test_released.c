/* Which octets of the log the application may write over while messages are being sent again. */
#include <stdio.h>

#include "tests/unit/plane/replay.h"

/* Messages 1..6, of which 2 and 5 are confirmed, and a connection on which the others have been sent again. */
static void replayed_four(struct plane *p)
{
	plane_init(p, 65536, 64);
	plane_ready(p);
	struct fake_stream *wire = &p->net.streams[0];
	uint32_t t = plane_template(p, REPLAY_SLOTS, 0);
	plane_publish_many(p, t, 6);
	plane_turn(p);
	plane_confirm(p, AMQP_BASIC_ACK, 2, false);
	plane_confirm(p, AMQP_BASIC_ACK, 5, false);
	plane_lose(p);
	wire->ack_at_once = false;
	plane_open_again(p);
	plane_connect(p);
	EXPECT_WIRE(p, "1111", 1, 3, 4, 6);
}

static void acked(struct plane *p, uint64_t octets)
{
	fake_ack_to(&p->net, 0, octets);
	plane_turn(p);
}

static void octets_sent_again_are_kept_until_tcp_has_delivered_them(void **state)
{
	struct plane p;
	replayed_four(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	/* A broker that confirms what TCP has not delivered: outcomes, but no room. */
	plane_confirm(&p, AMQP_BASIC_ACK, 4, true);
	plane_turn(&p);
	assert_int_equal(p.connection->confirms.settled_id, 7);
	assert_int_equal(atomic_load(&p.publisher->settled_id), 7);
	assert_int_equal(released(&p), 0);
	acked(&p, one - 1);
	assert_int_equal(released(&p), 0);
	acked(&p, one);
	assert_int_equal(released(&p), 2 * one); /* 3 is needed, 2 is not */
	acked(&p, 2 * one + 1);
	assert_int_equal(released(&p), 3 * one);
	acked(&p, 3 * one);
	assert_int_equal(released(&p), 5 * one); /* 6 is */
	acked(&p, 4 * one - 1);
	assert_int_equal(released(&p), 5 * one);
	acked(&p, 4 * one);
	assert_int_equal(released(&p), 6 * one);
	plane_fini(&p);
}

static void octets_acked_are_kept_until_their_messages_have_outcomes(void **state)
{
	struct plane p;
	replayed_four(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	fake_ack(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(released(&p), 0);
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false); /* 3 */
	plane_turn(&p);
	assert_int_equal(released(&p), 0);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false); /* 1: 1 2 3 have one */
	plane_turn(&p);
	assert_int_equal(released(&p), 3 * one);
	plane_confirm(&p, AMQP_BASIC_ACK, 4, true);
	plane_turn(&p);
	assert_int_equal(released(&p), 6 * one);
	plane_fini(&p);
}

/* The records of what was confirmed too early are used again; the octets are accounted for all the same. */
static void records_used_again_do_not_confuse_the_account_of_octets(void **state)
{
	struct plane p;
	char body[500];
	plane_init(&p, 65536, 8);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 8);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_confirm(&p, AMQP_BASIC_ACK, 2, false);
	plane_lose(&p);
	wire->ack_at_once = false;
	plane_open_again(&p);
	plane_connect(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 7, true);
	plane_turn(&p);
	memset(body, 'x', sizeof body);
	for (int i = 0; i < 8; i++)
		assert_true(publisher_publish(p.publisher, t, body, sizeof body, 0) > 0);
	uint32_t large = message_at(&p.publisher->index, 9)->len;
	plane_turn(&p);
	assert_int_equal(released(&p), 0);
	for (uint64_t acked_octets = 1; acked_octets <= 7 * one; acked_octets++) {
		uint64_t whole = acked_octets / one; /* of 1 3 4 5 6 7 8 */
		acked(&p, acked_octets);
		assert_int_equal(released(&p), (whole == 0 ? 0 : whole + 1) * one);
	}
	plane_confirm(&p, AMQP_BASIC_ACK, 9, true); /* ids 9 and 10 */
	acked(&p, 7 * one + large + 3);
	assert_int_equal(released(&p), 8 * one + large + 3); /* one behind the other again: to the octet */
	acked(&p, 7 * one + 8 * large);
	assert_int_equal(released(&p), 8 * one + 2 * large);
	plane_fini(&p);
}

/* All had outcomes: where new messages begin is not asked of a record that may be the application's again. */
static void a_connection_without_a_replay_begins_where_outcomes_end(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 8);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 8);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_confirm(&p, AMQP_BASIC_ACK, 8, true);
	plane_lose(&p);
	assert_int_equal(released(&p), 8 * one);
	plane_publish_many(&p, t, 8); /* the last one in the record of 8 */
	wire->ack_at_once = false;
	plane_open_again(&p);
	plane_connect(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 4, true);
	plane_turn(&p);
	assert_int_equal(released(&p), 8 * one);
	uint32_t two = (uint32_t)(position(&p, 11) - position(&p, 9));
	fake_ack_to(&p.net, 0, two);
	plane_turn(&p);
	assert_int_equal(released(&p), 8 * one + two);
	plane_fini(&p);
}

static void a_lost_connection_needs_no_octets_any_more(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	p.net.streams[0].ack_at_once = false;
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	plane_publish_many(&p, t, 3);
	plane_turn(&p);
	uint32_t one = message_at(&p.publisher->index, 1)->len;
	plane_confirm(&p, AMQP_BASIC_ACK, 2, true);
	plane_turn(&p);
	assert_int_equal(released(&p), 0);
	plane_lose(&p);
	assert_int_equal(released(&p), 2 * one);
	plane_fini(&p);
}

static void a_log_filled_to_the_brim_lives_through_replay_after_replay(void **state)
{
	static struct wire w;
	struct plane p;
	char body[256];
	uint64_t next = 1, settled = 1;
	plane_init(&p, 4096, 64);
	plane_ready(&p);
	struct fake_stream *wire = &p.net.streams[0];
	uint32_t t = plane_template(&p, REPLAY_SLOTS, 0);
	for (int round = 0; round < 60; round++) {
		for (;; next++) {
			memset(body, (int)('a' + next % 26), sizeof body);
			if (publisher_publish(p.publisher, t, body, sizeof body - next % 7, 0) < 0)
				break;
		}
		plane_turn(&p);
		plane_lose(&p);
		wire->window = 1500 + (unsigned)round * 7; /* acked in odd places */
		plane_open_again(&p);
		plane_connect(&p);
		for (int i = 0; i < 8; i++)
			plane_turn(&p);
		wire_read(&w, &p, 0);
		assert_int_equal(w.count, next - settled);
		for (uint32_t i = 0; i < w.count; i++) {
			uint64_t id = settled + i;
			memset(body, (int)('a' + id % 26), sizeof body);
			assert_int_equal(w.messages[i].id, id);
			assert_int_equal(w.messages[i].body_len, sizeof body - id % 7);
			assert_memory_equal(w.messages[i].body, body, w.messages[i].body_len);
		}
		uint64_t confirmed = 1 + (unsigned)round % w.count;
		plane_confirm(&p, AMQP_BASIC_ACK, confirmed, true);
		plane_turn(&p);
		settled += confirmed;
		assert_int_equal(p.connection->confirms.settled_id, settled);
	}
	plane_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(octets_sent_again_are_kept_until_tcp_has_delivered_them),
		cmocka_unit_test(octets_acked_are_kept_until_their_messages_have_outcomes),
		cmocka_unit_test(records_used_again_do_not_confuse_the_account_of_octets),
		cmocka_unit_test(a_connection_without_a_replay_begins_where_outcomes_end),
		cmocka_unit_test(a_lost_connection_needs_no_octets_any_more),
		cmocka_unit_test(a_log_filled_to_the_brim_lives_through_replay_after_replay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
