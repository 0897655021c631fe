/* What an application is told of connections and blockages: levels, in an order that leaves it right. */
#include "tests/unit/plane/bare.h"

/* ---- connections ---- */

static void nothing_is_told_before_the_first_hand_over_and_ready_names_the_broker(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_no_event(&b);
	uint64_t before = clock_monotonic_ns();
	bare_hand_over(&b, BARE_HOST);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_READY, 0);
	assert_string_equal(e.text, BARE_HOST);
	assert_in_range(e.since_ns, before, clock_monotonic_ns());
	bare_no_event(&b);
	bare_fini(&b);
}

static void a_loss_is_told_with_its_reason_and_the_next_connection_with_its_broker(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	uint64_t before = clock_monotonic_ns();
	publisher_set_disconnected(b.publisher, HW_ERR_AMQP_CONNECTION_CLOSED, "320 CONNECTION_FORCED and more", 20);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_AMQP_CONNECTION_CLOSED);
	assert_string_equal(e.text, "320 CONNECTION_FORCE");
	assert_in_range(e.since_ns, before, clock_monotonic_ns());
	bare_no_event(&b);
	bare_hand_over(&b, "mq2:5673");
	assert_string_equal(bare_state(&b, HAREWIRE_EVENT_READY, 0).text, "mq2:5673");
	bare_no_event(&b);

	/* Without words the code has its own; words of the last time are gone. */
	publisher_set_disconnected(b.publisher, HW_ERR_CONN_RESET, NULL, 0);
	e = bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	assert_string_equal(e.text, hw_error_sentence(HW_ERR_CONN_RESET));
	bare_fini(&b);
}

static void texts_longer_than_their_place_are_cut(void **state)
{
	struct bare b;
	static char words[PUBLISHER_TEXT_MAX * 2];
	memset(words, 'w', sizeof words);
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	publisher_set_blockage(b.publisher, HAREWIRE_BLOCKAGE_ALARM, true, words, sizeof words);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	assert_int_equal(strlen(e.text), PUBLISHER_REASON_MAX - 1);
	publisher_set_disconnected(b.publisher, HW_ERR_CONN_RESET, words, sizeof words);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	e = bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	assert_int_equal(strlen(e.text), PUBLISHER_TEXT_MAX - 1);
	bare_fini(&b);
}

static void a_loss_that_was_over_before_anybody_looked_is_told_as_nothing(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	bare_lose(&b);
	bare_hand_over(&b, "mq2:5672");
	bare_no_event(&b);
	/* And so is a connection that came and went while the application knew of no other. */
	bare_lose(&b);
	bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	bare_hand_over(&b, BARE_HOST);
	publisher_set_disconnected(b.publisher, HW_ERR_AMQP_HEARTBEAT, NULL, 0);
	bare_no_event(&b);
	bare_hand_over(&b, "mq3:5672");
	assert_string_equal(bare_state(&b, HAREWIRE_EVENT_READY, 0).text, "mq3:5672");
	bare_fini(&b);
}

static void a_first_connection_lost_before_anybody_looked_is_told_as_lost(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_hand_over(&b, BARE_HOST);
	bare_lose(&b);
	bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	bare_no_event(&b);
	bare_hand_over(&b, BARE_HOST);
	bare_state(&b, HAREWIRE_EVENT_READY, 0);
	bare_fini(&b);
}

static void states_are_told_before_outcomes_and_the_end_after_them(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	bare_publish(&b, "confirmed");
	bare_publish(&b, "in doubt");
	bare_settle(&b, 1, OUTCOME_CONFIRMED);
	bare_lose(&b);
	bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	bare_no_event(&b);
	uint64_t before = clock_monotonic_ns();
	publisher_set_state(b.publisher, PUBLISHER_FAILED, HW_ERR_AMQP_LOGIN_REFUSED, "403 ACCESS_REFUSED");
	bare_outcome(&b, HAREWIRE_EVENT_UNCONFIRMED, 2, 2);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_FAILED, HW_ERR_AMQP_LOGIN_REFUSED);
	assert_string_equal(e.text, "403 ACCESS_REFUSED");
	assert_in_range(e.since_ns, before, clock_monotonic_ns());
	bare_no_event(&b);
	bare_fini(&b);
}

static void the_end_is_the_last_event_whatever_had_been_told(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	bare_block(&b, HAREWIRE_BLOCKAGE_ALARM);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	bare_block(&b, HAREWIRE_BLOCKAGE_SILENCE);
	assert_int_equal(bare_fill(&b, 4000), HW_ERR_LOG_FULL);
	publisher_set_state(b.publisher, PUBLISHER_CLOSED, 0, NULL);
	bare_event(&b, HAREWIRE_EVENT_UNCONFIRMED);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_CLOSED, 0);
	assert_null(e.text);
	bare_no_event(&b);
	assert_int_equal(bare_stats(&b).blockages, 0);
	bare_fini(&b);
}

/* ---- blockages ---- */

static void each_blockage_begins_and_ends_on_its_own(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_REFUSE, 65536, 16);
	bare_ready(&b);
	bare_block(&b, HAREWIRE_BLOCKAGE_SILENCE);
	bare_block(&b, HAREWIRE_BLOCKAGE_ALARM);
	bare_block(&b, HAREWIRE_BLOCKAGE_WINDOW);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	bare_no_event(&b);
	assert_int_equal(bare_stats(&b).blockages, 1 << 1 | 1 << 2 | 1 << 3);
	bare_unblock(&b, HAREWIRE_BLOCKAGE_WINDOW);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	bare_no_event(&b);
	assert_int_equal(bare_publish(&b, "refused"), HW_ERR_BLOCKED);
	bare_unblock(&b, HAREWIRE_BLOCKAGE_ALARM);
	assert_int_equal(bare_publish(&b, "refused"), HW_ERR_BLOCKED);
	bare_unblock(&b, HAREWIRE_BLOCKAGE_SILENCE);
	assert_int_equal(bare_publish(&b, "taken"), 1);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	bare_no_event(&b);
	bare_fini(&b);
}

static void a_blockage_has_the_time_at_which_it_began_and_ended(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	uint64_t before = clock_monotonic_ns();
	bare_block(&b, HAREWIRE_BLOCKAGE_WINDOW);
	uint64_t between = clock_monotonic_ns();
	uint32_t version = b.publisher->level_version;
	bare_block(&b, HAREWIRE_BLOCKAGE_WINDOW); /* it is there already: nothing is written */
	assert_int_equal(b.publisher->level_version, version);
	bare_block(&b, HAREWIRE_BLOCKAGE_SILENCE);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	assert_in_range(e.since_ns, before, between);
	assert_null(e.text);
	e = bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	assert_in_range(e.since_ns, between, clock_monotonic_ns());
	before = clock_monotonic_ns();
	bare_unblock(&b, HAREWIRE_BLOCKAGE_WINDOW);
	e = bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	assert_in_range(e.since_ns, before, clock_monotonic_ns());
	bare_fini(&b);
}

static void a_blockage_that_was_over_before_anybody_looked_is_told_as_nothing(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	bare_block(&b, HAREWIRE_BLOCKAGE_SILENCE);
	bare_unblock(&b, HAREWIRE_BLOCKAGE_SILENCE);
	bare_no_event(&b);
	bare_block(&b, HAREWIRE_BLOCKAGE_WINDOW);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_WINDOW);
	bare_unblock(&b, HAREWIRE_BLOCKAGE_WINDOW);
	bare_block(&b, HAREWIRE_BLOCKAGE_WINDOW);
	bare_no_event(&b);
	bare_fini(&b);
}

static void blockages_of_a_lost_connection_end_before_its_loss_is_told(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	bare_block(&b, HAREWIRE_BLOCKAGE_ALARM);
	bare_block(&b, HAREWIRE_BLOCKAGE_SILENCE);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	uint64_t before = clock_monotonic_ns();
	bare_lose(&b);
	assert_int_equal(bare_stats(&b).blockages, 0);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	assert_in_range(e.since_ns, before, clock_monotonic_ns());
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_SILENCE);
	bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	bare_no_event(&b);
	/* The next connection begins without them. */
	bare_hand_over(&b, BARE_HOST);
	bare_state(&b, HAREWIRE_EVENT_READY, 0);
	bare_no_event(&b);
	bare_fini(&b);
}

static void an_alarm_of_the_handshake_is_told_behind_ready(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_REFUSE, 65536, 16);
	publisher_set_blockage(b.publisher, HAREWIRE_BLOCKAGE_ALARM, true, "low on disk", 11);
	bare_no_event(&b); /* there is nothing to be kept from */
	assert_int_equal(bare_publish(&b, "early"), HW_ERR_DISCONNECTED);
	assert_int_equal(bare_stats(&b).blockages, 0);
	bare_hand_over(&b, BARE_HOST);
	assert_int_equal(bare_publish(&b, "blocked"), HW_ERR_BLOCKED);
	bare_state(&b, HAREWIRE_EVENT_READY, 0);
	assert_string_equal(bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM).text, "low on disk");
	bare_no_event(&b);
	bare_fini(&b);
}

static void an_alarm_has_the_brokers_newest_reason_and_counts_once(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	publisher_set_blockage(b.publisher, HAREWIRE_BLOCKAGE_ALARM, true, "low on memory", 13);
	uint64_t begun = clock_monotonic_ns();
	publisher_set_blockage(b.publisher, HAREWIRE_BLOCKAGE_ALARM, true, "low on memory and disk", 22);
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	assert_string_equal(e.text, "low on memory and disk");
	assert_in_range(e.since_ns, 1, begun); /* it has been there since the first */
	assert_int_equal(bare_stats(&b).blocked_count, 1);
	bare_unblock(&b, HAREWIRE_BLOCKAGE_ALARM);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_ALARM);
	bare_block(&b, HAREWIRE_BLOCKAGE_ALARM);
	assert_null(bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_ALARM).text);
	bare_block(&b, HAREWIRE_BLOCKAGE_WINDOW);
	assert_int_equal(bare_stats(&b).blocked_count, 2); /* the window is no alarm */
	bare_fini(&b);
}

/* ---- the full log ---- */

static void a_full_log_is_a_blockage_until_the_message_that_did_not_fit_would(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 4096, 16);
	bare_ready(&b);
	uint64_t before = clock_monotonic_ns();
	assert_int_equal(bare_fill(&b, 1000), HW_ERR_LOG_FULL);
	uint64_t between = clock_monotonic_ns();
	struct harewire_event e = bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	assert_in_range(e.since_ns, before, between);
	assert_int_equal(bare_stats(&b).blockages, 1 << HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_no_event(&b);
	assert_int_equal(publisher_publish(b.publisher, b.template_id, &b, 2500, 0), HW_ERR_LOG_FULL);
	bare_settle(&b, 1, OUTCOME_CONFIRMED);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 1, 1); /* not enough for the last one */
	bare_no_event(&b);
	before = clock_monotonic_ns();
	bare_settle(&b, 2, OUTCOME_CONFIRMED);
	e = bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	assert_in_range(e.since_ns, before, clock_monotonic_ns());
	assert_int_equal(bare_stats(&b).blockages, 0);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 2, 2);
	bare_no_event(&b);
	bare_fini(&b);
}

static void a_publish_that_finds_room_ends_the_full_log(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 4);
	bare_ready(&b);
	assert_int_equal(bare_fill(&b, 10), HW_ERR_LOG_FULL); /* the index, not the octets */
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_settle(&b, 4, OUTCOME_CONFIRMED);
	assert_int_equal(bare_publish(&b, "fits"), 5);
	assert_int_equal(bare_stats(&b).blockages, 0);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_fini(&b);
}

/* One message more fits with each confirm: that is a full log still. */
static void a_log_that_is_emptied_and_filled_message_by_message_is_full_all_the_time(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 1 << 20, 64);
	bare_ready(&b);
	assert_int_equal(bare_fill(&b, 10), HW_ERR_LOG_FULL);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	for (uint32_t id = 1; id <= 32; id++) {
		bare_settle(&b, id, OUTCOME_CONFIRMED);
		bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, id, id);
		assert_int_equal(bare_publish(&b, "one more"), 64 + id);
		assert_int_equal(bare_publish(&b, "and no more"), HW_ERR_LOG_FULL);
		bare_no_event(&b);
	}
	bare_settle(&b, 39, OUTCOME_CONFIRMED);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 33, 39);
	bare_no_event(&b);
	bare_settle(&b, 40, OUTCOME_CONFIRMED); /* an eighth of 64 */
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_fini(&b);
}

static void a_full_log_that_has_room_again_is_told_as_nothing(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 4);
	bare_ready(&b);
	assert_int_equal(bare_fill(&b, 10), HW_ERR_LOG_FULL);
	bare_settle(&b, 4, OUTCOME_CONFIRMED);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 1, 4);
	bare_no_event(&b);
	bare_fini(&b);
}

static void a_log_fills_without_a_connection_too_and_stays_full_across_it(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 4);
	bare_ready(&b);
	bare_lose(&b);
	assert_int_equal(bare_fill(&b, 10), HW_ERR_LOG_FULL);
	bare_state(&b, HAREWIRE_EVENT_DISCONNECTED, HW_ERR_CONN_RESET);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_hand_over(&b, BARE_HOST);
	bare_state(&b, HAREWIRE_EVENT_READY, 0);
	bare_no_event(&b);
	bare_settle(&b, 4, OUTCOME_CONFIRMED);
	bare_state(&b, HAREWIRE_EVENT_UNBLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_fini(&b);
}

/* Whatever the worker does, its blockages never outlive their connection in the application's eyes. */
static void an_application_that_keeps_a_set_is_always_right(void **state)
{
	struct bare b;
	uint64_t random = 1;
	uint32_t set = 0;
	bool connected = false;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	for (int i = 0; i < 20000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint32_t what = random >> 40 & 15;
		bool up = atomic_load(&b.publisher->state) == PUBLISHER_READY ||
			  atomic_load(&b.publisher->state) == PUBLISHER_BLOCKED;
		if (what < 2 && up)
			bare_lose(&b);
		else if (what < 4 && !up)
			bare_hand_over(&b, BARE_HOST);
		else if (what < 10 && up)
			publisher_set_blockage(b.publisher, 1 + what % 3, what & 1, NULL, 0);
		else if (what < 13)
			continue; /* more than one thing happens between two looks */
		struct harewire_event e;
		while (publisher_event_poll(b.publisher, &e)) {
			if (e.type == HAREWIRE_EVENT_READY || e.type == HAREWIRE_EVENT_DISCONNECTED) {
				assert_int_equal(set, 0);
				assert_true(connected == (e.type == HAREWIRE_EVENT_DISCONNECTED));
				connected = !connected;
			} else {
				assert_true(connected);
				assert_true(!!(set & 1u << e.code) == (e.type == HAREWIRE_EVENT_UNBLOCKED));
				set ^= 1u << e.code;
			}
		}
		struct harewire_publisher_stats stats = bare_stats(&b);
		assert_int_equal(set, stats.blockages);
		assert_int_equal(connected, stats.connected);
	}
	bare_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_told_before_the_first_hand_over_and_ready_names_the_broker),
		cmocka_unit_test(a_loss_is_told_with_its_reason_and_the_next_connection_with_its_broker),
		cmocka_unit_test(texts_longer_than_their_place_are_cut),
		cmocka_unit_test(a_loss_that_was_over_before_anybody_looked_is_told_as_nothing),
		cmocka_unit_test(a_first_connection_lost_before_anybody_looked_is_told_as_lost),
		cmocka_unit_test(states_are_told_before_outcomes_and_the_end_after_them),
		cmocka_unit_test(the_end_is_the_last_event_whatever_had_been_told),
		cmocka_unit_test(each_blockage_begins_and_ends_on_its_own),
		cmocka_unit_test(a_blockage_has_the_time_at_which_it_began_and_ended),
		cmocka_unit_test(a_blockage_that_was_over_before_anybody_looked_is_told_as_nothing),
		cmocka_unit_test(blockages_of_a_lost_connection_end_before_its_loss_is_told),
		cmocka_unit_test(an_alarm_of_the_handshake_is_told_behind_ready),
		cmocka_unit_test(an_alarm_has_the_brokers_newest_reason_and_counts_once),
		cmocka_unit_test(a_full_log_is_a_blockage_until_the_message_that_did_not_fit_would),
		cmocka_unit_test(a_publish_that_finds_room_ends_the_full_log),
		cmocka_unit_test(a_log_that_is_emptied_and_filled_message_by_message_is_full_all_the_time),
		cmocka_unit_test(a_full_log_that_has_room_again_is_told_as_nothing),
		cmocka_unit_test(a_log_fills_without_a_connection_too_and_stays_full_across_it),
		cmocka_unit_test(an_application_that_keeps_a_set_is_always_right),
	};
	return cmocka_run_group_tests_name("publisher_level", tests, NULL, NULL);
}
