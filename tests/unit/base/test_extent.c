/* The extent queue against a model that keeps every octet of the stream by itself. */
#include "tests/unit/base/base_cmocka.h"

#include "dataplane/base/extent.h"

static uint8_t memory[1u << 16];

static void neighbours_in_memory_of_one_kind_merge(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	assert_true(extents_push(&q, memory, 10, EXTENT_LOG));
	assert_true(extents_push(&q, memory + 10, 5, EXTENT_LOG));
	assert_int_equal(q.tail - q.head, 1);
	uint64_t len;
	assert_ptr_equal(extents_at(&q, 0, &len), memory);
	assert_int_equal(len, 15);
}

static void others_do_not_merge(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	extents_push(&q, memory, 10, EXTENT_LOG);
	extents_push(&q, memory + 10, 10, EXTENT_CONTROL); /* another kind */
	extents_push(&q, memory + 21, 10, EXTENT_CONTROL); /* a gap */
	extents_push(&q, memory + 21, 10, EXTENT_CONTROL); /* the same again */
	assert_int_equal(q.tail - q.head, 4);
	assert_int_equal(q.end, 40);
}

static void full_queue_refuses_new_extents_but_still_merges(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	for (uint32_t i = 0; i < EXTENTS_MAX; i++) {
		assert_false(extents_full(&q));
		assert_true(extents_push(&q, memory + 20 * i, 10, EXTENT_LOG));
	}
	assert_true(extents_full(&q));
	assert_false(extents_push(&q, memory + 30000, 10, EXTENT_LOG));
	assert_int_equal(q.end, 10 * EXTENTS_MAX);
	assert_true(extents_push(&q, memory + 20 * (EXTENTS_MAX - 1) + 10, 3, EXTENT_LOG));
	assert_int_equal(q.end, 10 * EXTENTS_MAX + 3);
	extents_pop(&q, 10);
	assert_false(extents_full(&q));
	assert_true(extents_push(&q, memory + 30000, 10, EXTENT_LOG));
}

static void counts_the_octets_of_a_kind_behind_an_offset(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	assert_int_equal(extents_count(&q, 0, EXTENT_LOG), 0);
	extents_push(&q, memory, 10, EXTENT_LOG);
	extents_push(&q, memory + 100, 7, EXTENT_CONTROL);
	extents_push(&q, memory + 200, 20, EXTENT_LOG);
	assert_int_equal(extents_count(&q, 0, EXTENT_LOG), 30);
	assert_int_equal(extents_count(&q, 1, EXTENT_LOG), 29);
	assert_int_equal(extents_count(&q, 10, EXTENT_LOG), 20);
	assert_int_equal(extents_count(&q, 11, EXTENT_CONTROL), 6);
	assert_int_equal(extents_count(&q, 36, EXTENT_LOG), 1);
	assert_int_equal(extents_count(&q, 37, EXTENT_LOG), 0);
	extents_pop(&q, 12);
	assert_int_equal(extents_count(&q, 12, EXTENT_CONTROL), 5);
	assert_int_equal(extents_count(&q, 20, EXTENT_LOG), 17);
}

static void pop_inside_an_extent_keeps_its_rest(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	extents_push(&q, memory, 10, EXTENT_LOG);
	extents_push(&q, memory + 100, 10, EXTENT_CONTROL);
	uint64_t len;
	extents_pop(&q, 4);
	assert_int_equal(q.freed[EXTENT_LOG], 4);
	assert_ptr_equal(extents_at(&q, 4, &len), memory + 4);
	assert_int_equal(len, 6);
	extents_pop(&q, 13);
	assert_int_equal(q.freed[EXTENT_LOG], 10);
	assert_int_equal(q.freed[EXTENT_CONTROL], 3);
	assert_ptr_equal(extents_at(&q, 13, &len), memory + 103);
	assert_int_equal(q.tail - q.head, 1);
}

static void emptied_queue_does_not_merge_with_what_it_held(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	uint64_t len;
	extents_push(&q, memory, 10, EXTENT_LOG);
	extents_pop(&q, 10);
	assert_int_equal(q.tail, q.head);
	extents_push(&q, memory + 10, 5, EXTENT_LOG);
	assert_ptr_equal(extents_at(&q, 10, &len), memory + 10);
	assert_int_equal(len, 5);
}

static void copy_runs_across_extents(void **state)
{
	struct extent_queue q;
	extents_init(&q);
	memcpy(memory, "abc", 3);
	memcpy(memory + 100, "defgh", 5);
	memcpy(memory + 200, "ij", 2);
	extents_push(&q, memory, 3, EXTENT_LOG);
	extents_push(&q, memory + 100, 5, EXTENT_CONTROL);
	extents_push(&q, memory + 200, 2, EXTENT_LOG);
	uint8_t got[10];
	extents_copy(&q, 0, got, 10);
	assert_memory_equal(got, "abcdefghij", 10);
	extents_copy(&q, 2, got, 7);
	assert_memory_equal(got, "cdefghi", 7);
	extents_copy(&q, 5, got, 0);
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

#define STREAM_OCTETS 200000u

static struct {
	uint8_t octet[STREAM_OCTETS];
	uint8_t kind[STREAM_OCTETS];
	uint64_t start, end;
} model;

static void random_push(struct extent_queue *q, struct prng *g, const uint8_t **follow)
{
	uint64_t len = 1 + prng_below(g, 200);
	bool merges = *follow && prng_once_in(g, 2) && *follow + len < memory + sizeof memory;
	const uint8_t *bytes = merges ? *follow : memory + prng_below(g, sizeof memory - 200);
	enum extent_kind kind = prng_once_in(g, 5) ? EXTENT_CONTROL : EXTENT_LOG;
	bool full = extents_full(q);
	uint64_t end = q->end;
	if (!extents_push(q, bytes, len, kind)) {
		assert_true(full);
		assert_int_equal(q->end, end);
		return;
	}
	for (uint64_t i = 0; i < len; i++) {
		model.octet[model.end] = bytes[i];
		model.kind[model.end++] = (uint8_t)kind;
	}
	*follow = bytes + len;
}

static void random_pop(struct extent_queue *q, struct prng *g)
{
	uint64_t to = model.start + prng_below(g, model.end - model.start + 1);
	uint64_t want[2] = {q->freed[0], q->freed[1]};
	extents_pop(q, to);
	while (model.start < to)
		want[model.kind[model.start++]]++;
	assert_memory_equal(q->freed, want, sizeof want);
}

static void assert_like_model(const struct extent_queue *q, struct prng *g)
{
	static uint8_t got[STREAM_OCTETS];
	assert_int_equal(q->start, model.start);
	assert_int_equal(q->end, model.end);
	if (model.start == model.end)
		return;
	uint64_t from = model.start + prng_below(g, model.end - model.start);
	uint64_t len = prng_below(g, model.end - from + 1);
	extents_copy(q, from, got, len);
	assert_memory_equal(got, model.octet + from, len);
	uint64_t run;
	const uint8_t *p = extents_at(q, from, &run);
	assert_true(run > 0 && run <= model.end - from);
	assert_memory_equal(p, model.octet + from, run);
}

static void random_operations_agree_with_the_model(void **state)
{
	struct prng g = {11};
	for (size_t i = 0; i < sizeof memory; i++)
		memory[i] = (uint8_t)prng_next(&g);
	for (int round = 0; round < 20; round++) {
		struct extent_queue q;
		const uint8_t *follow = NULL;
		memset(&model, 0, sizeof model);
		extents_init(&q);
		q.head = q.tail = UINT32_MAX - 20; /* free-running indices wrap during the round */
		while (model.end < STREAM_OCTETS - 200) {
			/* Long stretches without a pop fill the queue. */
			if (prng_once_in(&g, round % 2 ? 100 : 4))
				random_pop(&q, &g);
			else
				random_push(&q, &g, &follow);
			assert_like_model(&q, &g);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_in_memory_of_one_kind_merge),
		cmocka_unit_test(others_do_not_merge),
		cmocka_unit_test(full_queue_refuses_new_extents_but_still_merges),
		cmocka_unit_test(counts_the_octets_of_a_kind_behind_an_offset),
		cmocka_unit_test(pop_inside_an_extent_keeps_its_rest),
		cmocka_unit_test(emptied_queue_does_not_merge_with_what_it_held),
		cmocka_unit_test(copy_runs_across_extents),
		cmocka_unit_test(random_operations_agree_with_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
