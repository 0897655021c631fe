/* Confirm accounting: cases by hand, then random ones against a model that searches instead of keeping cursors. */
#include "tests/unit/amqp/amqp_cmocka.h"

#include "dataplane/amqp/confirm.h"
#include "dataplane/base/error.h"

#define RING 64u

static struct message records[RING];
static struct replayed replay[RING];
static const struct message_index small_index = {.ring = records, .mask = RING - 1};
static struct histogram latency;
static struct confirms confirms;
static uint64_t next_id, next_pos;

static void start_over(void)
{
	memset(records, 0, sizeof records);
	memset(&latency, 0, sizeof latency);
	confirms_init(&confirms, &small_index, replay, &latency);
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

/* To the end, in pieces. */
static void catch_up(uint32_t piece)
{
	while (confirms_behind(&confirms)) {
		uint32_t left = piece;
		uint64_t settled = confirms.settled_id;
		confirms_catch_up(&confirms, &left);
		assert_int_equal(piece - left, confirms.settled_id - settled);
		assert_true(left < piece);
	}
}

/* The same, for the next message to be sent again, or 0. */
static uint64_t replay_due(uint32_t piece)
{
	uint64_t id;
	do {
		uint32_t left = piece;
		id = confirms_replay_due(&confirms, &left);
		assert_true(left < piece || (!id && confirms_replay_over(&confirms)));
		assert_true(id || left == 0 || confirms_replay_over(&confirms));
	} while (!id && !confirms_replay_over(&confirms));
	return id;
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
	assert_int_equal(histogram_count(&latency), 0);
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
	assert_int_equal(histogram_count(&latency), 3);
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
	assert_int_equal(histogram_count(&latency), 2);
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
	assert_int_equal(histogram_count(&latency), 2);
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
	confirms_end(&confirms, next_id);
	catch_up(UINT32_MAX);
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

static void replay_one(void)
{
	assert_true(replay_due(UINT32_MAX) > 0);
	confirms_replay(&confirms);
}

/* Sends everything again that there is. */
static void replay_all(void)
{
	while (replay_due(UINT32_MAX))
		confirms_replay(&confirms);
}

static void nothing_without_a_tag_of_its_own_generation_is_confirmed(void **state)
{
	start_over();
	publish(3);
	assert_int_equal(ack(1, false), 0);
	confirms_start(&confirms);
	assert_int_equal(replay_due(UINT32_MAX), 2);
	assert_int_equal(ack(1, false), HW_ERR_AMQP_UNKNOWN_TAG);
	assert_int_equal(ack(0, true), 0);
	assert_int_equal(confirms_returned(&confirms, 2, 312), HW_ERR_AMQP_UNEXPECTED);
	confirms_replay(&confirms);
	assert_int_equal(confirms_returned(&confirms, 3, 312), HW_ERR_AMQP_UNEXPECTED);
	assert_int_equal(ack(0, true), 0);
	assert_settled(3);
	assert_outcome(3, OUTCOME_PENDING);
}

/* Ids 1..6, of which 2 and 4 have an outcome: the new generation sends 1, 3, 5, 6 again as tags 1..4, then 7 as tag 5.
 */
static void replayed_tags_are_mapped_through_their_ring(void **state)
{
	start_over();
	publish(6);
	assert_int_equal(ack(2, false), 0);
	assert_int_equal(ack(4, false), 0);
	confirms_start(&confirms);
	static const uint64_t again[] = {1, 3, 5, 6};
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(replay_due(UINT32_MAX), again[i]);
		confirms_replay(&confirms);
	}
	assert_int_equal(replay_due(UINT32_MAX), 0);
	publish(1);
	for (unsigned tag = 1; tag <= 4; tag++)
		assert_int_equal(confirms_id(&confirms, tag), again[tag - 1]);
	assert_int_equal(confirms_id(&confirms, 5), 7);
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

static void a_third_generation_maps_its_tags_anew(void **state)
{
	start_over();
	publish(5);
	assert_int_equal(ack(2, false), 0);
	confirms_start(&confirms); /* 1 3 4 5 are tags 1..4 */
	replay_all();
	publish(2);                        /* 6 7 are tags 5 6 */
	assert_int_equal(ack(2, true), 0); /* 1 3 */
	assert_int_equal(ack(5, false), 0);
	confirms_start(&confirms); /* 4 5 7 are tags 1..3 */
	replay_all();
	publish(1);
	static const uint64_t ids[] = {4, 5, 7, 8};
	for (unsigned tag = 1; tag <= 4; tag++)
		assert_int_equal(confirms_id(&confirms, tag), ids[tag - 1]);
	assert_int_equal(ack(0, true), 0);
	assert_settled(9);
}

/* A full index: the ring of replays holds as many, and records are used again while they are being sent again. */
static void a_full_index_is_replayed_while_its_records_are_used_again(void **state)
{
	start_over();
	while (next_id - confirms.settled_id < RING)
		publish(1);
	confirms_start(&confirms);
	for (unsigned i = 0; i < RING / 2; i++)
		replay_one();
	assert_int_equal(ack(RING / 4, true), 0);
	for (unsigned i = 0; i < RING / 4; i++)
		commit(100, 0);
	replay_all();
	assert_int_equal(confirms.replayed, RING);
	while (confirms.handed_id < next_id)
		confirms_hand(&confirms);
	assert_int_equal(confirms_id(&confirms, RING), RING);
	assert_int_equal(ack(0, true), 0);
	assert_settled(RING + RING / 4 + 1);
}

/* The cursor that replay has come to lies before what was confirmed: those records are no longer looked at. */
static void replay_skips_records_that_are_the_applications_again(void **state)
{
	start_over();
	publish(4);
	assert_int_equal(ack(2, false), 0);
	assert_int_equal(ack(3, false), 0);
	confirms_start(&confirms);
	replay_one();
	assert_int_equal(ack(1, false), 0);
	assert_settled(4);
	for (unsigned id = 1; id < 4; id++)
		message_at(&small_index, id)->outcome = OUTCOME_PENDING; /* as a commit does */
	assert_int_equal(replay_due(UINT32_MAX), 4);
}

static void unsent_octets_tell_which_tags_never_left(void **state)
{
	start_over();
	publish(3);
	assert_int_equal(confirms_unsent_tag(&confirms, 0), 4);
	assert_int_equal(confirms_unsent_tag(&confirms, 99), 4); /* one octet of the third has left */
	assert_int_equal(confirms_unsent_tag(&confirms, 100), 3);
	assert_int_equal(confirms_unsent_tag(&confirms, 299), 2);
	assert_int_equal(confirms_unsent_tag(&confirms, 300), 1);
	confirms_start(&confirms);
	assert_int_equal(confirms_unsent_tag(&confirms, 0), 1);
}

static void what_has_been_transmitted_is_never_forgotten(void **state)
{
	start_over();
	publish(4);
	confirms_note_transmitted(&confirms, 1);
	assert_int_equal(confirms.transmitted_id, 1);
	confirms_note_transmitted(&confirms, 4);
	assert_int_equal(confirms.transmitted_id, 4);
	confirms_start(&confirms);
	replay_all();
	confirms_note_transmitted(&confirms, 2);
	assert_int_equal(confirms.transmitted_id, 4);
	confirms_note_transmitted(&confirms, 5);
	assert_int_equal(confirms.transmitted_id, 5);
}

static void only_what_was_sent_is_lost(void **state)
{
	start_over();
	publish(5);
	assert_int_equal(ack(2, false), 0);
	confirms_lose(&confirms, 4);
	catch_up(UINT32_MAX);
	assert_settled(4);
	assert_outcome(1, OUTCOME_LOST);
	assert_outcome(2, OUTCOME_CONFIRMED);
	assert_outcome(3, OUTCOME_LOST);
	assert_outcome(4, OUTCOME_PENDING);
	assert_int_equal(confirms.outcomes[OUTCOME_LOST], 2);
	assert_int_equal(confirms_outcomes(&confirms), 3);
	confirms_start(&confirms);
	assert_int_equal(replay_due(UINT32_MAX), 4);
	commit(100, 0);
	confirms_lose(&confirms, UINT64_MAX); /* never handed, never lost */
	catch_up(UINT32_MAX);
	assert_settled(6);
}

/* Quadratic work would take hours here. */
static void confirms_in_the_worst_order_stay_linear(void **state)
{
	const uint64_t n = 1u << 20;
	struct message_index index = {.ring = calloc(n, sizeof(struct message)), .mask = n - 1};
	struct confirms c;
	confirms_init(&c, &index, NULL, NULL);
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
	uint64_t handed;                   /* ids below are in TCP's hands, or were */
	uint64_t tags;                     /* of this generation */
	uint64_t ids[MODEL_MESSAGES + 1];  /* by tag */
	uint64_t due[RING], due_count, at; /* to be sent again */
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
	if ((tag == 0 && !multiple) || tag > model.tags)
		return HW_ERR_AMQP_UNKNOWN_TAG;
	if (tag == 0)
		tag = model.tags;
	for (uint64_t t = multiple ? 1 : tag; t && t <= tag; t++)
		model_settle(model.ids[t], outcome);
	return 0;
}

static bool model_outstanding(uint64_t id)
{
	for (uint64_t t = 1; t <= model.tags; t++)
		if (model.ids[t] == id)
			return model.outcome[id] == OUTCOME_PENDING;
	return false;
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
	assert_int_equal(histogram_count(&latency), model.counts[OUTCOME_CONFIRMED]);
}

static void random_publish(struct prng *g)
{
	for (uint64_t n = prng_below(g, 12); n > 0 && next_id < MODEL_MESSAGES; n--) {
		if (next_id - confirms.settled_id == RING)
			return;
		commit((uint32_t)prng_below(g, 5000), prng_below(g, 1000));
		model.end_pos[next_id - 1] = next_pos;
	}
	for (uint64_t n = prng_below(g, 16); n > 0; n--) {
		while (model.at < model.due_count && model.outcome[model.due[model.at]] != OUTCOME_PENDING)
			model.at++;
		assert_int_equal(replay_due(1 + (uint32_t)prng_below(g, 8)),
				 model.at < model.due_count ? model.due[model.at] : 0);
		if (model.at < model.due_count) {
			confirms_replay(&confirms);
			model.ids[++model.tags] = model.due[model.at++];
		} else if (model.handed < next_id) {
			confirms_hand(&confirms);
			model.ids[++model.tags] = model.handed++;
		}
	}
}

static void random_confirm(struct prng *g)
{
	uint64_t low = confirms.low_tag - 1;
	uint64_t tag = low + prng_below(g, model.tags - low + 3);
	if (prng_once_in(g, 10))
		tag = prng_below(g, model.tags + 1);
	bool multiple = prng_once_in(g, 6);
	enum message_outcome outcome = prng_once_in(g, 5) ? OUTCOME_NACKED : OUTCOME_CONFIRMED;
	int want = model_confirm(tag, multiple, outcome);
	assert_int_equal(confirms_settle(&confirms, tag, multiple, outcome, 5000), want);
}

static void random_return(struct prng *g)
{
	uint64_t id = confirms.settled_id + prng_below(g, model.handed - confirms.settled_id + 2);
	bool outstanding = model_outstanding(id);
	assert_int_equal(confirms_returned(&confirms, id, 313), outstanding ? 0 : HW_ERR_AMQP_UNEXPECTED);
	if (outstanding)
		model_settle(id, OUTCOME_RETURNED);
}

/* The channel is lost; so may be the oldest messages it had been given. */
static void new_generation(struct prng *g)
{
	uint64_t lost = prng_once_in(g, 2) ? model.settled + prng_below(g, model.handed - model.settled + 1) : 0;
	for (uint64_t id = model.settled; id < lost; id++)
		model_settle(id, OUTCOME_LOST);
	confirms_lose(&confirms, lost);
	bool late = prng_once_in(g, 2); /* the next generation has begun meanwhile */
	if (late)
		confirms_start(&confirms);
	catch_up(1 + (uint32_t)prng_below(g, 8));
	if (!late)
		confirms_start(&confirms);
	model.tags = model.due_count = model.at = 0;
	for (uint64_t id = model.settled; id < model.handed; id++)
		if (model.outcome[id] == OUTCOME_PENDING)
			model.due[model.due_count++] = id;
}

static void random_operations_agree_with_the_model(void **state)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct prng g = {seed};
		start_over();
		memset(&model, 0, sizeof model);
		model.settled = model.handed = 1;
		while (next_id < MODEL_MESSAGES) {
			random_publish(&g);
			for (uint64_t n = prng_below(&g, 10); n > 0; n--) {
				random_confirm(&g);
				assert_like_model();
			}
			if (prng_once_in(&g, 3))
				random_return(&g);
			if (prng_once_in(&g, 50))
				new_generation(&g);
			assert_like_model();
		}
		confirms_end(&confirms, next_id);
		catch_up(1 + (uint32_t)prng_below(&g, RING));
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
		cmocka_unit_test(nothing_without_a_tag_of_its_own_generation_is_confirmed),
		cmocka_unit_test(replayed_tags_are_mapped_through_their_ring),
		cmocka_unit_test(a_third_generation_maps_its_tags_anew),
		cmocka_unit_test(a_full_index_is_replayed_while_its_records_are_used_again),
		cmocka_unit_test(replay_skips_records_that_are_the_applications_again),
		cmocka_unit_test(unsent_octets_tell_which_tags_never_left),
		cmocka_unit_test(what_has_been_transmitted_is_never_forgotten),
		cmocka_unit_test(only_what_was_sent_is_lost),
		cmocka_unit_test(confirms_in_the_worst_order_stay_linear),
		cmocka_unit_test(random_operations_agree_with_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
