/* What an application sees of a publisher: room, ids, outcomes, states. */
#include "tests/unit/plane/plane.h"

static void refuses_until_ready_and_says_disconnected(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 16);
	uint32_t t = plane_template(&p, 0, 0);
	char big[8192] = {0};
	assert_int_equal(plane_publish(&p, t, "early"), HW_ERR_DISCONNECTED);
	assert_int_equal(publisher_publish(p.publisher, t, big, sizeof big, 0), HW_ERR_DISCONNECTED);
	int err;
	assert_null(publisher_claim(p.publisher, t, 10, &err));
	assert_int_equal(err, HW_ERR_DISCONNECTED);
	plane_fini(&p);
}

static void ids_count_from_one_and_bytes_lie_in_the_log_as_sent(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 16);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	assert_int_equal(plane_publish(&p, t, "one"), 1);
	assert_int_equal(plane_publish(&p, t, "two"), 2);
	plane_turn(&p);
	const struct fake_stream *wire = &p.net.streams[0];
	const struct message *first = message_at(&p.publisher->index, 1), *second = message_at(&p.publisher->index, 2);
	assert_int_equal(wire->sent_len, first->len + second->len);
	assert_memory_equal(wire->sent, log_at(&p.publisher->log, first->pos), wire->sent_len);
	assert_memory_equal(wire->sent + first->len - 4, "one\xCE", 4);
	plane_fini(&p);
}

static void a_claim_publishes_what_was_written_and_may_shrink(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 16);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	int err;
	char *body = publisher_claim(p.publisher, t, 100, &err);
	assert_non_null(body);
	memcpy(body, "claimed", 7);
	assert_int_equal(plane_publish(&p, t, "x"), HW_ERR_CLAIM_OPEN);
	assert_int_equal(publisher_commit(p.publisher, 101, 0), HW_ERR_INVALID);
	assert_int_equal(publisher_commit(p.publisher, 7, 0), 1);
	assert_int_equal(publisher_commit(p.publisher, 7, 0), HW_ERR_NO_CLAIM);
	assert_int_equal(plane_publish(&p, t, "claimed"), 2);
	const struct message *a = message_at(&p.publisher->index, 1), *b = message_at(&p.publisher->index, 2);
	assert_int_equal(a->len, b->len);
	assert_memory_equal(log_at(&p.publisher->log, a->pos), log_at(&p.publisher->log, b->pos), a->len);
	plane_fini(&p);
}

static void a_cancelled_claim_leaves_no_trace(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 16);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	uint64_t before = p.publisher->next_pos;
	assert_non_null(publisher_claim(p.publisher, t, 100, NULL));
	publisher_cancel(p.publisher);
	assert_int_equal(p.publisher->next_pos, before);
	assert_int_equal(plane_publish(&p, t, "next"), 1);
	plane_fini(&p);
}

static void a_full_log_refuses_and_confirms_make_room(void **state)
{
	struct plane p;
	char body[1000];
	memset(body, 'b', sizeof body);
	plane_init(&p, 4096, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	int64_t id, last = 0;
	while ((id = publisher_publish(p.publisher, t, body, sizeof body, 0)) > 0)
		last = id;
	assert_int_equal(id, HW_ERR_LOG_FULL);
	assert_int_equal(last, 3);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_turn(&p);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), 4);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), HW_ERR_LOG_FULL);
	plane_fini(&p);
}

static void log_space_is_kept_until_tcp_has_its_ack_too(void **state)
{
	struct plane p;
	char body[3000] = {0};
	plane_init(&p, 4096, 64);
	plane_ready(&p);
	p.net.streams[0].ack_at_once = false;
	uint32_t t = plane_template(&p, 0, 0);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), 1);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 1);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), HW_ERR_LOG_FULL);
	fake_ack(&p.net, 0);
	plane_turn(&p);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), 2);
	plane_fini(&p);
}

static void a_full_index_refuses_until_exceptions_are_polled(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 4);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	for (int i = 1; i <= 4; i++)
		assert_int_equal(plane_publish(&p, t, "m"), i);
	assert_int_equal(plane_publish(&p, t, "m"), HW_ERR_LOG_FULL);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_NACK, 4, true);
	plane_turn(&p);
	/* Nobody has been told of the nacks: their records may not be written over. */
	assert_int_equal(plane_publish(&p, t, "m"), HW_ERR_LOG_FULL);
	expect_event(&p, HAREWIRE_EVENT_BLOCKED, 0, 0);
	expect_event(&p, HAREWIRE_EVENT_NACKED, 1, 1);
	expect_event(&p, HAREWIRE_EVENT_UNBLOCKED, 0, 0);
	for (uint64_t i = 2; i <= 4; i++)
		expect_event(&p, HAREWIRE_EVENT_NACKED, i, i);
	assert_int_equal(plane_publish(&p, t, "m"), 5);
	plane_fini(&p);
}

static void an_application_that_never_polls_may_publish_for_ever_while_all_is_confirmed(void **state)
{
	struct plane p;
	plane_init(&p, 4096, 4);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	for (uint64_t i = 1; i <= 1000; i++) {
		assert_int_equal(plane_publish(&p, t, "tick"), i);
		plane_turn(&p);
		plane_confirm(&p, AMQP_BASIC_ACK, i, false);
		plane_turn(&p);
	}
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 1000);
	expect_no_event(&p);
	plane_fini(&p);
}

static void outcomes_come_in_id_order_with_ranges_for_confirms(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	for (int i = 1; i <= 8; i++)
		plane_publish(&p, t, "m");
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 6, false);
	plane_confirm(&p, AMQP_BASIC_NACK, 5, false);
	plane_turn(&p);
	expect_no_event(&p); /* 1 to 4 come first */
	plane_confirm(&p, AMQP_BASIC_ACK, 4, true);
	plane_turn(&p);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 1, 4);
	expect_event(&p, HAREWIRE_EVENT_NACKED, 5, 5);
	expect_event(&p, HAREWIRE_EVENT_CONFIRMED, 6, 6);
	expect_no_event(&p);
	plane_fini(&p);
}

static void messages_larger_than_the_log_are_refused_for_good(void **state)
{
	struct plane p;
	static char body[70000];
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), HW_ERR_TOO_LARGE);
	assert_int_equal(publisher_publish(p.publisher, t, body, SIZE_MAX, 0), HW_ERR_TOO_LARGE);
	int err;
	assert_null(publisher_claim(p.publisher, t, PLANE_FRAME_MAX, &err));
	assert_int_equal(err, HW_ERR_TOO_LARGE);
	assert_null(publisher_claim(p.publisher, t, SIZE_MAX, &err));
	assert_int_equal(err, HW_ERR_TOO_LARGE);
	assert_int_equal(plane_publish(&p, t, "fits"), 1);
	plane_fini(&p);
}

static void large_and_empty_bodies_take_the_octets_they_should(void **state)
{
	struct plane p;
	static char body[10000];
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	assert_int_equal(publisher_publish(p.publisher, t, body, sizeof body, 0), 1);
	assert_int_equal(publisher_publish(p.publisher, t, NULL, 0, 0), 2);
	uint32_t image = p.publisher->templates[t]->image_len;
	/* 10,000 octets in frames of 4,096: three, each with 8 octets around it; the first one's header is the image's.
	 */
	assert_int_equal(message_at(&p.publisher->index, 1)->len, image + 10000 + 1 + 2 * 8);
	assert_int_equal(message_at(&p.publisher->index, 2)->len, image - 7);
	plane_fini(&p);
}

static void bad_arguments_are_refused(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	assert_int_equal(plane_publish(&p, t + 1, "m"), HW_ERR_INVALID);
	assert_int_equal(plane_publish(&p, UINT32_MAX, "m"), HW_ERR_INVALID);
	assert_int_equal(publisher_publish(p.publisher, t, NULL, 5, 0), HW_ERR_INVALID);
	plane_fini(&p);
}

static void a_template_is_released_once_its_last_message_has_an_outcome(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t a = plane_template(&p, 0, 0), b = plane_template(&p, 0, 0);
	plane_publish(&p, a, "m");
	assert_int_equal(publisher_release_template(p.publisher, a), HW_ERR_BUSY);
	assert_int_equal(publisher_release_template(p.publisher, b), 0);
	assert_int_equal(publisher_release_template(p.publisher, b), HW_ERR_INVALID);
	plane_turn(&p);
	plane_confirm(&p, AMQP_BASIC_ACK, 1, false);
	plane_turn(&p);
	assert_int_equal(publisher_release_template(p.publisher, a), 0);
	assert_int_equal(plane_publish(&p, a, "m"), HW_ERR_INVALID);
	plane_fini(&p);
}

static void templates_run_out_with_a_code_and_ids_are_used_again(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	struct harewire_template_options o = {.routing_key = "k", .priority = -1};
	uint32_t id, last = 0;
	int err;
	for (int i = 0; i < 16; i++)
		last = plane_template(&p, 0, 0);
	err = publisher_prepare(p.publisher, &o, &id, NULL);
	assert_int_equal(err, HW_ERR_NOMEM);
	assert_int_equal(publisher_release_template(p.publisher, last), 0);
	assert_int_equal(publisher_prepare(p.publisher, &o, &id, NULL), 0);
	assert_int_equal(id, last);
	plane_fini(&p);
}

static void a_message_committed_while_the_publisher_ends_is_still_counted_once(void **state)
{
	struct plane p;
	plane_init(&p, 65536, 64);
	plane_ready(&p);
	uint32_t t = plane_template(&p, 0, 0);
	plane_publish(&p, t, "seen");
	confirms_end(&p.connection->confirms, 2);
	confirms_catch_up(&p.connection->confirms, &(uint32_t){UINT32_MAX});
	publisher_progress(p.publisher, &p.connection->confirms, 0);
	assert_int_equal(plane_publish(&p, t, "too late for the worker"), 2);
	publisher_set_state(p.publisher, PUBLISHER_FAILED, HW_ERR_CONN_RESET, "gone");
	expect_event(&p, HAREWIRE_EVENT_UNCONFIRMED, 1, 2);
	struct harewire_event e;
	assert_int_equal(publisher_event_poll(p.publisher, &e), 1);
	assert_int_equal(e.type, HAREWIRE_EVENT_FAILED);
	assert_int_equal(e.code, HW_ERR_CONN_RESET);
	assert_string_equal(e.text, "gone");
	expect_no_event(&p);
	assert_int_equal(plane_publish(&p, t, "m"), HW_ERR_CLOSED);
	struct harewire_publisher_stats s;
	publisher_stats(p.publisher, &s);
	assert_int_equal(s.accepted, 2);
	assert_int_equal(s.unconfirmed, 2);
	assert_int_equal(s.in_flight, 0);
	plane_fini(&p);
}

static void options_that_cannot_work_are_refused(void **state)
{
	struct clock_scale clock = {0};
	struct harewire_publisher *p;
	struct publisher_options o = {.log_bytes = 0, .max_messages = 1, .max_templates = 1, .clock = &clock};
	assert_int_equal(publisher_create(&o, &p), HW_ERR_INVALID);
	o.log_bytes = 4096;
	o.max_messages = 0;
	assert_int_equal(publisher_create(&o, &p), HW_ERR_INVALID);
	o.max_messages = (1ull << 32) + 1;
	assert_int_equal(publisher_create(&o, &p), HW_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_until_ready_and_says_disconnected),
		cmocka_unit_test(ids_count_from_one_and_bytes_lie_in_the_log_as_sent),
		cmocka_unit_test(a_claim_publishes_what_was_written_and_may_shrink),
		cmocka_unit_test(a_cancelled_claim_leaves_no_trace),
		cmocka_unit_test(a_full_log_refuses_and_confirms_make_room),
		cmocka_unit_test(log_space_is_kept_until_tcp_has_its_ack_too),
		cmocka_unit_test(a_full_index_refuses_until_exceptions_are_polled),
		cmocka_unit_test(an_application_that_never_polls_may_publish_for_ever_while_all_is_confirmed),
		cmocka_unit_test(outcomes_come_in_id_order_with_ranges_for_confirms),
		cmocka_unit_test(messages_larger_than_the_log_are_refused_for_good),
		cmocka_unit_test(large_and_empty_bodies_take_the_octets_they_should),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(a_template_is_released_once_its_last_message_has_an_outcome),
		cmocka_unit_test(templates_run_out_with_a_code_and_ids_are_used_again),
		cmocka_unit_test(a_message_committed_while_the_publisher_ends_is_still_counted_once),
		cmocka_unit_test(options_that_cannot_work_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
