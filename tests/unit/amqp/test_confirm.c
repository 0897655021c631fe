/* Confirm accounting: cases by hand, then random ones against a model that searches instead of keeping cursors. */
#include "tests/unit/amqp/amqp_cmocka.h"

#include "dataplane/amqp/confirm.h"
#include "dataplane/base/error.h"

#define RING 64u

static struct message records[RING];
static const struct message_index small_index = {.ring = records, .mask = RING - 1};
static struct histogram latency;
static struct confirms confirms;
static uint64_t next_id, next_pos;

static void start_over(void)
{
	memset(records, 0, sizeof records);
	memset(&latency, 0, sizeof latency);
	confirms_init(&confirms, &small_index, &latency);
	next_id = 1;
	next_pos = 0;
}

/* What the application does at commit: a record in the ring, whatever lay there before. */
static void commit(uint32_t len, uint64_t ticks)
{
	assert_true(next_id - confirms.settled_id < RING);
	*message_at(&small_index, next_id++) = (struct message){.pos = next_pos, .len = len, .committed_ticks = ticks};
	next_pos += len;
}

static void publish(unsigned n)
{
	while (n-- > 0) {
		commit(100, 1000);
		confirms_hand(&confirms);
	}
}

static int ack(uint64_t tag, bool multiple)
{
	return confirms_settle(&confirms, tag, multiple, OUTCOME_CONFIRMED, 1500);
}

static int nack(uint64_t tag, bool multiple)
{
	return confirms_settle(&confirms, tag, multiple, OUTCOME_NACKED, 1500);
}

static void assert_settled(uint64_t id)
{
	assert_int_equal(confirms.settled_id, id);
	assert_int_equal(confirms.settled_pos, (id - 1) * 100);
}

static void assert_outcome(uint64_t id, enum message_outcome outcome)
{
	assert_int_equal(message_at(&small_index, id)->outcome, outcome);
}

static void single_ack_settles_one_message(void **state)
{
	start_over();
	publish(3);
	assert_settled(1);
	assert_int_equal(ack(1, false), 0);
	assert_settled(2);
	assert_outcome(1, OUTCOME_CONFIRMED);
	assert_outcome(2, OUTCOME_PENDING);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 1);
}

static void multiple_ack_settles_all_up_to_its_tag(void **state)
{
	start_over();
	publish(5);
	assert_int_equal(ack(4, true), 0);
	assert_settled(5);
	assert_outcome(5, OUTCOME_PENDING);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 4);
}

static void multiple_ack_of_tag_zero_settles_all_outstanding(void **state)
{
	start_over();
	assert_int_equal(ack(0, true), 0);
	publish(5);
	assert_int_equal(ack(0, true), 0);
	assert_settled(6);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 5);
}

static void out_of_order_acks_hold_settled_back_until_the_gap_is_filled(void **state)
{
	start_over();
	publish(5);
	assert_int_equal(ack(3, false), 0);
	assert_int_equal(ack(5, false), 0);
	assert_int_equal(ack(2, false), 0);
	assert_settled(1);
	assert_int_equal(ack(1, false), 0);
	assert_settled(4);
	assert_int_equal(ack(4, false), 0);
	assert_settled(6);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 5);
}

static void multiple_ack_passes_over_what_was_settled_before(void **state)
{
	start_over();
	publish(5);
	assert_int_equal(nack(2, false), 0);
	assert_int_equal(ack(4, true), 0);
	assert_outcome(2, OUTCOME_NACKED);
	assert_settled(5);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 3);
	assert_int_equal(confirms.outcomes[OUTCOME_NACKED], 1);
}

static void nacks_settle_like_acks_with_their_own_outcome(void **state)
{
	start_over();
	publish(4);
	assert_int_equal(nack(1, false), 0);
	assert_int_equal(nack(3, true), 0);
	assert_settled(4);
	assert_int_equal(confirms.outcomes[OUTCOME_NACKED], 3);
	assert_int_equal(latency.count, 0);
}

static void repeated_acks_change_nothing(void **state)
{
	start_over();
	publish(4);
	assert_int_equal(ack(3, false), 0);
	assert_int_equal(ack(3, false), 0);
	assert_int_equal(nack(3, false), 0);
	assert_outcome(3, OUTCOME_CONFIRMED);
	assert_int_equal(ack(2, true), 0);
	assert_int_equal(ack(1, false), 0);
	assert_int_equal(nack(2, true), 0);
	assert_settled(4);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 3);
	assert_int_equal(confirms.outcomes[OUTCOME_NACKED], 0);
	assert_int_equal(latency.count, 3);
}

static void tags_never_used_are_refused_and_change_nothing(void **state)
{
	start_over();
	assert_int_equal(ack(1, true), HW_ERR_AMQP_UNKNOWN_TAG);
	publish(2);
	commit(100, 0); /* not handed to TCP yet: it has no tag */
	for (int multiple = 0; multiple < 2; multiple++) {
		assert_int_equal(ack(3, multiple), HW_ERR_AMQP_UNKNOWN_TAG);
		assert_int_equal(nack(UINT64_MAX, multiple), HW_ERR_AMQP_UNKNOWN_TAG);
	}
	assert_int_equal(ack(0, false), HW_ERR_AMQP_UNKNOWN_TAG);
	assert_settled(1);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 0);
}

static void returned_message_stays_returned_on_its_ack_and_counts_once(void **state)
{
	start_over();
	publish(3);
	assert_int_equal(confirms_returned(&confirms, 2, 312), 0);
	assert_int_equal(ack(3, true), 0);
	assert_outcome(2, OUTCOME_RETURNED);
	assert_int_equal(message_at(&small_index, 2)->code, 312);
	assert_settled(4);
	assert_int_equal(confirms.outcomes[OUTCOME_RETURNED], 1);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 2);
	assert_int_equal(latency.count, 2);
}

static void return_of_what_is_not_outstanding_is_refused(void **state)
{
	start_over();
	assert_int_equal(confirms_returned(&confirms, 1, 312), HW_ERR_AMQP_UNEXPECTED);
	publish(3);
	commit(100, 0);
	assert_int_equal(ack(1, false), 0);
	assert_int_equal(ack(3, false), 0);
	static const uint64_t ids[] = {0, 1, 3, 4, 5, 2 + RING, UINT64_MAX};
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++)
		assert_int_equal(confirms_returned(&confirms, ids[i], 312), HW_ERR_AMQP_UNEXPECTED);
	assert_int_equal(confirms_returned(&confirms, 2, 312), 0);
	assert_int_equal(confirms_returned(&confirms, 2, 312), HW_ERR_AMQP_UNEXPECTED);
	assert_int_equal(confirms.outcomes[OUTCOME_RETURNED], 1);
}

/*
 * The oldest message is returned, its record goes back to the application and is used again, and only then comes the
 * ack: it must not confirm the record's new owner.
 */
static void ack_of_a_returned_message_does_not_touch_its_reused_record(void **state)
{
	start_over();
	publish(RING - 1);
	assert_int_equal(confirms_returned(&confirms, 1, 312), 0);
	publish(1);
	assert_settled(2);
	publish(1);
	assert_ptr_equal(message_at(&small_index, 1), message_at(&small_index, 1 + RING));
	assert_int_equal(ack(1, false), 0);
	assert_outcome(1 + RING, OUTCOME_PENDING);
	assert_int_equal(ack(1, true), 0);
	assert_outcome(1 + RING, OUTCOME_PENDING);
	assert_outcome(2, OUTCOME_PENDING);
}

static void latency_is_recorded_from_commit_to_confirm(void **state)
{
	start_over();
	commit(1, 1000);
	confirms_hand(&confirms);
	commit(1, 1490);
	confirms_hand(&confirms);
	assert_int_equal(ack(2, true), 0);
	assert_int_equal(latency.count, 2);
	assert_int_equal(latency.max, 500);
	assert_int_equal(latency.buckets[histogram_bucket(10)], 1);
}

static void no_histogram_is_needed(void **state)
{
	start_over();
	confirms.latency_ticks = NULL;
	publish(1);
	assert_int_equal(ack(1, false), 0);
	assert_settled(2);
}

static void end_gives_an_outcome_to_everything_that_has_none(void **state)
{
	start_over();
	publish(4);
	commit(100, 0);
	commit(100, 0);
	assert_int_equal(ack(2, false), 0);
	confirms_end(&confirms, next_id, OUTCOME_UNCONFIRMED);
	assert_settled(7);
	assert_outcome(2, OUTCOME_CONFIRMED);
	assert_outcome(6, OUTCOME_UNCONFIRMED);
	assert_int_equal(confirms.outcomes[OUTCOME_UNCONFIRMED], 5);
	assert_int_equal(ack(3, false), 0); /* late */
	assert_int_equal(ack(0, true), 0);
	assert_int_equal(confirms_returned(&confirms, 3, 312), HW_ERR_AMQP_UNEXPECTED);
	assert_outcome(3, OUTCOME_UNCONFIRMED);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 1);
	assert_int_equal(confirms.handed_id, next_id);
}

static void new_generation_counts_its_tags_from_one(void **state)
{
	start_over();
	publish(3);
	assert_int_equal(ack(3, true), 0);
	confirms_start(&confirms);
	assert_int_equal(ack(1, false), HW_ERR_AMQP_UNKNOWN_TAG);
	publish(2);
	assert_int_equal(ack(2, false), 0);
	assert_outcome(5, OUTCOME_CONFIRMED);
	assert_outcome(4, OUTCOME_PENDING);
	assert_int_equal(ack(1, false), 0);
	assert_settled(6);
}

static void messages_of_an_old_generation_are_beyond_the_new_one(void **state)
{
	start_over();
	publish(3);
	assert_int_equal(ack(1, false), 0);
	confirms_start(&confirms);
	publish(2);
	assert_int_equal(ack(0, true), 0);
	assert_int_equal(confirms_returned(&confirms, 2, 312), HW_ERR_AMQP_UNEXPECTED);
	assert_settled(2);
	assert_outcome(2, OUTCOME_PENDING);
	assert_outcome(4, OUTCOME_CONFIRMED);
}

/* Ids 1..6, of which 2 and 4 have an outcome: the new generation sends 1, 3, 5, 6 again as tags 1..4, then 7 as tag 5.
 */
static void replayed_tags_are_mapped_through_their_ring(void **state)
{
	static uint64_t replay_ids[RING];
	start_over();
	publish(6);
	assert_int_equal(ack(2, false), 0);
	assert_int_equal(ack(4, false), 0);
	confirms_start(&confirms);
	static const uint64_t again[] = {1, 3, 5, 6};
	for (unsigned i = 0; i < 4; i++)
		replay_ids[confirms.next_tag++ & small_index.mask] = again[i];
	confirms.replay_ids = replay_ids;
	confirms.replayed = 4;
	publish(1);
	assert_int_equal(ack(3, false), 0);
	assert_outcome(5, OUTCOME_CONFIRMED);
	assert_int_equal(confirms_returned(&confirms, 3, 312), 0);
	assert_int_equal(confirms_returned(&confirms, 2, 312), HW_ERR_AMQP_UNEXPECTED);
	assert_int_equal(ack(2, true), 0);
	assert_settled(6);
	assert_int_equal(ack(5, true), 0);
	assert_settled(8);
	assert_int_equal(confirms.outcomes[OUTCOME_CONFIRMED], 6);
}

/* Quadratic work would take hours here. */
static void confirms_in_the_worst_order_stay_linear(void **state)
{
	const uint64_t n = 1u << 20;
	struct message_index index = {.ring = calloc(n, sizeof(struct message)), .mask = n - 1};
	struct confirms c;
	confirms_init(&c, &index, NULL);
	for (uint64_t i = 0; i < n - 1; i++)
		confirms_hand(&c);
	for (uint64_t tag = n - 1; tag > 1; tag--)
		assert_int_equal(confirms_settle(&c, tag, false, OUTCOME_CONFIRMED, 0), 0);
	assert_int_equal(c.settled_id, 1);
	assert_int_equal(confirms_settle(&c, 1, true, OUTCOME_CONFIRMED, 0), 0);
	assert_int_equal(c.settled_id, n);
	assert_int_equal(c.low_tag, n);
	free(index.ring);
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

#define MODEL_MESSAGES 40000u

static struct {
	uint8_t outcome[MODEL_MESSAGES + 1];
	uint64_t end_pos[MODEL_MESSAGES + 1];
	uint64_t counts[OUTCOME_COUNT];
	uint64_t settled;
	uint64_t handed;           /* ids below are in TCP's hands */
	uint64_t generation_first; /* the id of tag 1 */
} model;

static void model_settle(uint64_t id, enum message_outcome outcome)
{
	if (model.outcome[id] != OUTCOME_PENDING)
		return;
	model.outcome[id] = (uint8_t)outcome;
	model.counts[outcome]++;
}

static int model_confirm(uint64_t tag, bool multiple, enum message_outcome outcome)
{
	uint64_t last = model.handed - model.generation_first;
	if ((tag == 0 && !multiple) || tag > last)
		return HW_ERR_AMQP_UNKNOWN_TAG;
	if (tag == 0)
		tag = last;
	for (uint64_t t = multiple ? 1 : tag; t <= tag; t++)
		model_settle(model.generation_first + t - 1, outcome);
	return 0;
}

static void assert_like_model(void)
{
	uint64_t settled = confirms.settled_id;
	assert_int_equal(confirms.handed_id, model.handed);
	while (model.settled < model.handed && model.outcome[model.settled] != OUTCOME_PENDING)
		model.settled++;
	assert_int_equal(settled, model.settled);
	assert_int_equal(confirms.settled_pos, model.end_pos[settled - 1]);
	for (uint64_t id = settled; id < next_id; id++)
		assert_outcome(id, model.outcome[id]);
	for (int o = 0; o < OUTCOME_COUNT; o++)
		assert_int_equal(confirms.outcomes[o], model.counts[o]);
	assert_int_equal(latency.count, model.counts[OUTCOME_CONFIRMED]);
}

static void random_publish(struct prng *g)
{
	for (uint64_t n = prng_below(g, 12); n > 0 && next_id < MODEL_MESSAGES; n--) {
		if (next_id - confirms.settled_id == RING)
			return;
		commit((uint32_t)prng_below(g, 5000), prng_below(g, 1000));
		model.end_pos[next_id - 1] = next_pos;
	}
	for (uint64_t n = prng_below(g, 16); n > 0 && model.handed < next_id; n--) {
		confirms_hand(&confirms);
		model.handed++;
	}
}

static void random_confirm(struct prng *g)
{
	uint64_t low = confirms.settled_id > model.generation_first ? confirms.settled_id - model.generation_first : 0;
	uint64_t tag = low + prng_below(g, model.handed - model.generation_first - low + 3);
	if (prng_once_in(g, 10))
		tag = prng_below(g, model.handed - model.generation_first + 1);
	bool multiple = prng_once_in(g, 6);
	enum message_outcome outcome = prng_once_in(g, 5) ? OUTCOME_NACKED : OUTCOME_CONFIRMED;
	int want = model_confirm(tag, multiple, outcome);
	assert_int_equal(confirms_settle(&confirms, tag, multiple, outcome, 5000), want);
}

static void random_return(struct prng *g)
{
	uint64_t id = confirms.settled_id + prng_below(g, model.handed - confirms.settled_id + 2);
	bool outstanding = id >= model.generation_first && id < model.handed && model.outcome[id] == OUTCOME_PENDING;
	assert_int_equal(confirms_returned(&confirms, id, 313), outstanding ? 0 : HW_ERR_AMQP_UNEXPECTED);
	if (outstanding)
		model_settle(id, OUTCOME_RETURNED);
}

static void new_generation(void)
{
	for (uint64_t id = confirms.settled_id; id < next_id; id++)
		model_settle(id, OUTCOME_LOST);
	confirms_end(&confirms, next_id, OUTCOME_LOST);
	confirms_start(&confirms);
	model.handed = model.generation_first = next_id;
}

static void random_operations_agree_with_the_model(void **state)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct prng g = {seed};
		start_over();
		memset(&model, 0, sizeof model);
		model.settled = model.handed = model.generation_first = 1;
		while (next_id < MODEL_MESSAGES) {
			random_publish(&g);
			for (uint64_t n = prng_below(&g, 10); n > 0; n--) {
				random_confirm(&g);
				assert_like_model();
			}
			if (prng_once_in(&g, 3))
				random_return(&g);
			if (prng_once_in(&g, 500))
				new_generation();
			assert_like_model();
		}
		confirms_end(&confirms, next_id, OUTCOME_UNCONFIRMED);
		uint64_t total = 0;
		for (int o = 0; o < OUTCOME_COUNT; o++)
			total += confirms.outcomes[o];
		assert_int_equal(total, next_id - 1);
		assert_int_equal(confirms.settled_pos, next_pos);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_ack_settles_one_message),
		cmocka_unit_test(multiple_ack_settles_all_up_to_its_tag),
		cmocka_unit_test(multiple_ack_of_tag_zero_settles_all_outstanding),
		cmocka_unit_test(out_of_order_acks_hold_settled_back_until_the_gap_is_filled),
		cmocka_unit_test(multiple_ack_passes_over_what_was_settled_before),
		cmocka_unit_test(nacks_settle_like_acks_with_their_own_outcome),
		cmocka_unit_test(repeated_acks_change_nothing),
		cmocka_unit_test(tags_never_used_are_refused_and_change_nothing),
		cmocka_unit_test(returned_message_stays_returned_on_its_ack_and_counts_once),
		cmocka_unit_test(return_of_what_is_not_outstanding_is_refused),
		cmocka_unit_test(ack_of_a_returned_message_does_not_touch_its_reused_record),
		cmocka_unit_test(latency_is_recorded_from_commit_to_confirm),
		cmocka_unit_test(no_histogram_is_needed),
		cmocka_unit_test(end_gives_an_outcome_to_everything_that_has_none),
		cmocka_unit_test(new_generation_counts_its_tags_from_one),
		cmocka_unit_test(messages_of_an_old_generation_are_beyond_the_new_one),
		cmocka_unit_test(replayed_tags_are_mapped_through_their_ring),
		cmocka_unit_test(confirms_in_the_worst_order_stay_linear),
		cmocka_unit_test(random_operations_agree_with_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
