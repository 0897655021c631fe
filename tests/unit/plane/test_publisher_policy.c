/* What publish, claim and commit answer in every state under every policy, and what is counted. */
#include "tests/unit/plane/bare.h"

enum situation { NOT_YET_READY, READY, BLOCKED, LOST, CLOSING, CLOSED, FAILED, SITUATIONS };

static void bring_to(struct bare *b, enum situation situation)
{
	if (situation == NOT_YET_READY)
		return;
	bare_hand_over(b, BARE_HOST);
	switch (situation) {
	case BLOCKED:
		bare_block(b, HAREWIRE_BLOCKAGE_SILENCE);
		break;
	case LOST:
		bare_lose(b);
		break;
	case CLOSING:
		bare_lose(b); /* without a connection too */
		publisher_close(b->publisher, 1000);
		break;
	case CLOSED:
		publisher_set_state(b->publisher, PUBLISHER_CLOSED, 0, NULL);
		break;
	case FAILED:
		publisher_set_state(b->publisher, PUBLISHER_FAILED, HW_ERR_CONN_RESET, "gone");
		break;
	default:
		break;
	}
}

/* What a message that there is room for is answered: an id (1), or a code. */
static const int answers[][SITUATIONS] = {
	[HAREWIRE_BUFFER] = {HW_ERR_DISCONNECTED, 1, 1, 1, HW_ERR_CLOSED, HW_ERR_CLOSED, HW_ERR_CLOSED},
	[HAREWIRE_REFUSE] = {HW_ERR_DISCONNECTED, 1, HW_ERR_BLOCKED, HW_ERR_DISCONNECTED, HW_ERR_CLOSED, HW_ERR_CLOSED,
			     HW_ERR_CLOSED},
	[HAREWIRE_DROP_NEWEST] = {HW_ERR_DISCONNECTED, 1, 1, 1, HW_ERR_CLOSED, HW_ERR_CLOSED, HW_ERR_CLOSED},
};

static void the_policy_decides_in_every_state(void **state)
{
	static char large[BARE_FRAME_MAX * 2];
	for (int policy = HAREWIRE_BUFFER; policy <= HAREWIRE_DROP_NEWEST; policy++) {
		for (int situation = 0; situation < SITUATIONS; situation++) {
			struct bare b;
			int expected = answers[policy][situation], err = 0;
			bare_init(&b, (enum harewire_policy)policy, 65536, 16);
			bring_to(&b, (enum situation)situation);
			assert_int_equal(bare_publish(&b, "m"), expected);
			assert_int_equal(publisher_publish(b.publisher, b.template_id, large, sizeof large, 0),
					 expected > 0 ? 2 : expected);
			void *body = publisher_claim(b.publisher, b.template_id, 10, &err);
			assert_int_equal(!!body, expected > 0);
			assert_int_equal(err, expected > 0 ? 0 : expected);
			assert_int_equal(publisher_commit(b.publisher, 5, 0), expected > 0 ? 3 : HW_ERR_NO_CLAIM);
			struct harewire_publisher_stats stats = bare_stats(&b);
			assert_int_equal(stats.accepted, expected > 0 ? 3 : 0);
			assert_int_equal(stats.refused, expected > 0 ? 0 : 4);
			assert_int_equal(stats.dropped, 0);
			bare_fini(&b);
		}
	}
}

static void a_full_log_is_refused_or_dropped_in_every_state_that_accepts(void **state)
{
	for (int policy = HAREWIRE_BUFFER; policy <= HAREWIRE_DROP_NEWEST; policy++) {
		for (int situation = READY; situation <= LOST; situation++) {
			struct bare b;
			if (answers[policy][situation] < 0)
				continue;
			bool drops = policy == HAREWIRE_DROP_NEWEST;
			int err = 0;
			bare_init(&b, (enum harewire_policy)policy, 4096, 16);
			bring_to(&b, (enum situation)situation);
			assert_int_equal(bare_fill(&b, 1000), drops ? 0 : HW_ERR_LOG_FULL);
			assert_null(publisher_claim(b.publisher, b.template_id, 1000, &err));
			assert_int_equal(err, HW_ERR_LOG_FULL);
			struct harewire_publisher_stats stats = bare_stats(&b);
			assert_int_equal(stats.accepted, 3);
			assert_int_equal(stats.dropped, drops ? 2 : 0);
			assert_int_equal(stats.refused, drops ? 0 : 2);
			bare_fini(&b);
		}
	}
}

/* A message that has been dropped leaves no gap in the ids, and nothing of it in the log. */
static void what_is_dropped_leaves_no_trace_but_its_count(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_DROP_NEWEST, 8192, 2);
	bare_ready(&b);
	assert_int_equal(bare_publish(&b, "one"), 1);
	assert_int_equal(bare_publish(&b, "two"), 2);
	uint64_t before = b.publisher->next_pos;
	static char large[5000];
	assert_int_equal(bare_publish(&b, "dropped"), 0);
	assert_int_equal(publisher_publish(b.publisher, b.template_id, large, sizeof large, 0), 0);
	assert_int_equal(b.publisher->next_pos, before);
	bare_settle(&b, 2, OUTCOME_CONFIRMED);
	assert_int_equal(bare_publish(&b, "three"), 3);
	assert_int_equal(bare_stats(&b).dropped, 2);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 1, 2);
	bare_no_event(&b);
	bare_fini(&b);
}

/* Only a message that would fit an empty log is dropped: one that never fits is the application's mistake. */
static void what_can_never_fit_is_refused_not_dropped(void **state)
{
	struct bare b;
	static char large[5000];
	int err;
	bare_init(&b, HAREWIRE_DROP_NEWEST, 4096, 16);
	bare_ready(&b);
	assert_int_equal(publisher_publish(b.publisher, b.template_id, large, sizeof large, 0), HW_ERR_TOO_LARGE);
	assert_null(publisher_claim(b.publisher, b.template_id, sizeof large, &err));
	assert_int_equal(err, HW_ERR_TOO_LARGE);
	assert_int_equal(bare_stats(&b).dropped, 0);
	assert_int_equal(bare_stats(&b).refused, 2);
	bare_no_event(&b); /* and its log is not full */
	bare_fini(&b);
}

/* ---- claims ---- */

static void an_open_claim_is_accepted_whatever_becomes_of_the_connection(void **state)
{
	for (int policy = HAREWIRE_BUFFER; policy <= HAREWIRE_DROP_NEWEST; policy++) {
		for (int situation = BLOCKED; situation <= LOST; situation++) {
			struct bare b;
			bare_init(&b, (enum harewire_policy)policy, 65536, 16);
			bare_ready(&b);
			char *body = publisher_claim(b.publisher, b.template_id, 100, NULL);
			assert_non_null(body);
			memcpy(body, "claimed", 7);
			bring_to(&b, (enum situation)situation);
			/* The claim is what stands in another's way, unless the policy does. */
			assert_int_equal(bare_publish(&b, "m"), answers[policy][situation] > 0
									? HW_ERR_CLAIM_OPEN
									: answers[policy][situation]);
			assert_int_equal(publisher_commit(b.publisher, 7, 0), 1);
			const struct message *m = message_at(&b.publisher->index, 1);
			assert_memory_equal(log_at(&b.publisher->log, m->pos + m->len - 8), "claimed\xCE", 8);
			bare_fini(&b);
		}
	}
}

static void a_claim_lives_through_a_loss_and_the_next_connection(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_REFUSE, 65536, 16);
	bare_ready(&b);
	assert_int_equal(bare_publish(&b, "one"), 1);
	char *body = publisher_claim(b.publisher, b.template_id, 10, NULL);
	bare_lose(&b);
	bare_hand_over(&b, "mq2:5672");
	memcpy(body, "two", 3);
	assert_int_equal(publisher_commit(b.publisher, 3, 0), 2);
	bare_settle(&b, 2, OUTCOME_CONFIRMED);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 1, 2);
	bare_fini(&b);
}

static void a_claim_of_a_publisher_that_has_ended_is_refused_and_over(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	assert_non_null(publisher_claim(b.publisher, b.template_id, 10, NULL));
	bare_lose(&b);
	publisher_set_state(b.publisher, PUBLISHER_FAILED, HW_ERR_AMQP_POISON, "poison");
	assert_int_equal(publisher_commit(b.publisher, 3, 0), HW_ERR_CLOSED);
	assert_int_equal(publisher_commit(b.publisher, 3, 0), HW_ERR_NO_CLAIM);
	assert_int_equal(bare_stats(&b).accepted, 0);
	bare_state(&b, HAREWIRE_EVENT_FAILED, HW_ERR_AMQP_POISON);
	bare_fini(&b);
}

static void a_cancelled_claim_leaves_no_trace_without_a_connection_either(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	bare_lose(&b);
	uint64_t before = b.publisher->next_pos;
	assert_non_null(publisher_claim(b.publisher, b.template_id, 10, NULL));
	publisher_cancel(b.publisher);
	assert_int_equal(b.publisher->next_pos, before);
	assert_int_equal(bare_publish(&b, "next"), 1);
	bare_fini(&b);
}

static void the_first_hand_over_fixes_the_frame_size(void **state)
{
	struct bare b;
	int err;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	publisher_set_frame_max(b.publisher, 4096);
	publisher_set_ready(b.publisher, BARE_HOST);
	bare_lose(&b);
	publisher_set_frame_max(b.publisher, 131072);
	publisher_set_ready(b.publisher, BARE_HOST);
	assert_null(publisher_claim(b.publisher, b.template_id, 4096 - 7, &err));
	assert_int_equal(err, HW_ERR_TOO_LARGE);
	assert_non_null(publisher_claim(b.publisher, b.template_id, 4096 - 8, &err));
	bare_fini(&b);
}

/* ---- outcomes and figures ---- */

static void lost_messages_come_as_ranges_in_their_place(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	for (int i = 1; i <= 9; i++)
		assert_int_equal(bare_publish(&b, "m"), i);
	bare_settle(&b, 2, OUTCOME_CONFIRMED);
	bare_settle(&b, 5, OUTCOME_LOST);
	bare_settle(&b, 6, OUTCOME_CONFIRMED);
	bare_settle(&b, 7, OUTCOME_LOST);
	bare_settle(&b, 8, OUTCOME_NACKED);
	confirms_end(&b.confirms, 10);
	confirms_catch_up(&b.confirms, &(uint32_t){UINT32_MAX});
	publisher_progress(b.publisher, &b.confirms, b.confirms.settled_pos);
	publisher_set_outcomes(b.publisher, b.confirms.outcomes);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 1, 2);
	bare_outcome(&b, HAREWIRE_EVENT_LOST, 3, 5);
	bare_outcome(&b, HAREWIRE_EVENT_CONFIRMED, 6, 6);
	bare_outcome(&b, HAREWIRE_EVENT_LOST, 7, 7);
	bare_outcome(&b, HAREWIRE_EVENT_NACKED, 8, 8);
	bare_outcome(&b, HAREWIRE_EVENT_UNCONFIRMED, 9, 9);
	bare_no_event(&b);
	struct harewire_publisher_stats stats = bare_stats(&b);
	assert_int_equal(stats.accepted, 9);
	assert_int_equal(stats.confirmed, 3);
	assert_int_equal(stats.lost, 4);
	assert_int_equal(stats.nacked, 1);
	assert_int_equal(stats.unconfirmed, 1);
	assert_int_equal(stats.in_flight, 0);
	bare_fini(&b);
}

/* Their records are needed until somebody has been told. */
static void lost_messages_keep_their_place_until_they_are_polled(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 4);
	bare_ready(&b);
	assert_int_equal(bare_fill(&b, 10), HW_ERR_LOG_FULL);
	bare_settle(&b, 4, OUTCOME_LOST);
	assert_int_equal(bare_publish(&b, "m"), HW_ERR_LOG_FULL);
	bare_state(&b, HAREWIRE_EVENT_BLOCKED, HAREWIRE_BLOCKAGE_LOG_FULL);
	bare_outcome(&b, HAREWIRE_EVENT_LOST, 1, 4);
	assert_int_equal(bare_publish(&b, "m"), 5);
	bare_fini(&b);
}

static void the_end_counts_what_was_lost_once(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	bare_ready(&b);
	for (int i = 0; i < 5; i++)
		bare_publish(&b, "m");
	bare_settle(&b, 3, OUTCOME_LOST);
	publisher_set_state(b.publisher, PUBLISHER_CLOSED, 0, NULL);
	bare_outcome(&b, HAREWIRE_EVENT_LOST, 1, 3);
	bare_outcome(&b, HAREWIRE_EVENT_UNCONFIRMED, 4, 5);
	bare_state(&b, HAREWIRE_EVENT_CLOSED, 0);
	struct harewire_publisher_stats stats = bare_stats(&b);
	assert_int_equal(stats.lost, 3);
	assert_int_equal(stats.unconfirmed, 2);
	assert_int_equal(stats.in_flight, 0);
	bare_fini(&b);
}

static void figures_tell_of_connections_channels_and_what_was_sent_again(void **state)
{
	struct bare b;
	bare_init(&b, HAREWIRE_BUFFER, 65536, 16);
	struct harewire_publisher_stats stats = bare_stats(&b);
	assert_int_equal(stats.connected, 0);
	assert_int_equal(stats.connections, 0);
	bare_ready(&b);
	bare_publish(&b, "m");
	stats = bare_stats(&b);
	assert_int_equal(stats.connected, 1);
	assert_int_equal(stats.connections, 1);
	assert_int_equal(stats.in_flight, 1);
	bare_block(&b, HAREWIRE_BLOCKAGE_ALARM);
	assert_int_equal(bare_stats(&b).connected, 1);
	bare_lose(&b);
	assert_int_equal(bare_stats(&b).connected, 0);
	bare_hand_over(&b, BARE_HOST);
	publisher_count_connection(b.publisher, true);
	publisher_count_replayed(b.publisher, 3);
	publisher_count_replayed(b.publisher, 4);
	stats = bare_stats(&b);
	assert_int_equal(stats.connections, 2);
	assert_int_equal(stats.channels, 1);
	assert_int_equal(stats.replayed, 7);
	assert_int_equal(stats.blocked_count, 1);
	publisher_set_state(b.publisher, PUBLISHER_CLOSED, 0, NULL);
	assert_int_equal(bare_stats(&b).connected, 0);
	bare_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_policy_decides_in_every_state),
		cmocka_unit_test(a_full_log_is_refused_or_dropped_in_every_state_that_accepts),
		cmocka_unit_test(what_is_dropped_leaves_no_trace_but_its_count),
		cmocka_unit_test(what_can_never_fit_is_refused_not_dropped),
		cmocka_unit_test(an_open_claim_is_accepted_whatever_becomes_of_the_connection),
		cmocka_unit_test(a_claim_lives_through_a_loss_and_the_next_connection),
		cmocka_unit_test(a_claim_of_a_publisher_that_has_ended_is_refused_and_over),
		cmocka_unit_test(a_cancelled_claim_leaves_no_trace_without_a_connection_either),
		cmocka_unit_test(the_first_hand_over_fixes_the_frame_size),
		cmocka_unit_test(lost_messages_come_as_ranges_in_their_place),
		cmocka_unit_test(lost_messages_keep_their_place_until_they_are_polled),
		cmocka_unit_test(the_end_counts_what_was_lost_once),
		cmocka_unit_test(figures_tell_of_connections_channels_and_what_was_sent_again),
	};
	return cmocka_run_group_tests_name("publisher_policy", tests, NULL, NULL);
}
