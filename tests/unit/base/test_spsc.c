/* Rings between two threads: alone, then with a thread at each end. */
#include "tests/unit/base/base_cmocka.h"

#include <pthread.h>
#include <sched.h>

#include "dataplane/base/spsc.h"

struct record {
	uint64_t number;
	uint32_t twin; /* of number: a torn record does not match */
};

static struct record record_of(uint64_t number)
{
	return (struct record){.number = number, .twin = (uint32_t)(number * 2654435761u)};
}

static void records_come_out_in_order_until_the_ring_is_empty(void **state)
{
	struct spsc r;
	assert_int_equal(spsc_init(&r, 8, sizeof(struct record)), 0);
	assert_null(spsc_peek(&r));
	for (uint64_t round = 0; round < 100; round++) {
		for (uint64_t i = 0; i < round % 8; i++) {
			struct record in = record_of(round * 8 + i);
			assert_true(spsc_push(&r, &in));
		}
		for (uint64_t i = 0; i < round % 8; i++) {
			const struct record *out = spsc_peek(&r);
			assert_non_null(out);
			assert_int_equal(out->number, round * 8 + i);
			assert_ptr_equal(spsc_peek(&r), out); /* until it is popped */
			spsc_pop(&r);
		}
		assert_null(spsc_peek(&r));
	}
	spsc_fini(&r);
}

static void full_ring_refuses_and_keeps_what_it_has(void **state)
{
	static const uint32_t asked[] = {1, 2, 3, 5, 1000};
	static const uint32_t got[] = {1, 2, 4, 8, 1024};
	for (unsigned i = 0; i < 5; i++) {
		struct spsc r;
		assert_int_equal(spsc_init(&r, asked[i], sizeof(struct record)), 0);
		struct record in = record_of(0);
		for (uint32_t n = 0; n < got[i]; n++, in = record_of(n))
			assert_true(spsc_push(&r, &in));
		assert_false(spsc_push(&r, &in));
		assert_int_equal(((const struct record *)spsc_peek(&r))->number, 0);
		spsc_pop(&r);
		assert_true(spsc_push(&r, &in));
		assert_false(spsc_push(&r, &in));
		spsc_fini(&r);
	}
}

#define STRESS_RECORDS 300000u

static void *produce_records(void *argument)
{
	struct spsc *r = argument;
	for (uint64_t n = 0; n < STRESS_RECORDS;) {
		struct record in = record_of(n);
		if (spsc_push(r, &in))
			n++;
		else
			sched_yield();
	}
	return NULL;
}

static void no_record_is_lost_torn_or_reordered_between_two_threads(void **state)
{
	struct spsc r;
	pthread_t producer;
	assert_int_equal(spsc_init(&r, 64, sizeof(struct record)), 0);
	atomic_store(&r.head, UINT32_MAX - 1000); /* free-running cursors wrap on the way */
	atomic_store(&r.tail, UINT32_MAX - 1000);
	r.cached_head = r.cached_tail = UINT32_MAX - 1000;
	assert_int_equal(pthread_create(&producer, NULL, produce_records, &r), 0);
	for (uint64_t n = 0; n < STRESS_RECORDS;) {
		const struct record *out = spsc_peek(&r);
		if (!out) {
			sched_yield();
			continue;
		}
		struct record want = record_of(n++);
		assert_int_equal(out->number, want.number);
		assert_int_equal(out->twin, want.twin);
		spsc_pop(&r);
	}
	assert_null(spsc_peek(&r));
	pthread_join(producer, NULL);
	spsc_fini(&r);
}

/* ---- octets ----------------------------------------------------------------------------------------------------- */

static uint8_t octet_of(uint64_t n)
{
	return (uint8_t)(n * 167 + (n >> 8));
}

static void byte_ring_writes_all_or_nothing(void **state)
{
	struct byte_ring r;
	assert_int_equal(byte_ring_init(&r, 100), 0);
	assert_int_equal(byte_ring_space(&r), 128);
	uint8_t bytes[256] = {0};
	assert_false(byte_ring_write(&r, bytes, 129));
	assert_int_equal(byte_ring_held(&r), 0);
	assert_true(byte_ring_write(&r, bytes, 128));
	assert_false(byte_ring_write(&r, bytes, 1));
	assert_true(byte_ring_write(&r, bytes, 0));
	assert_int_equal(byte_ring_held(&r), 128);
	assert_int_equal(byte_ring_space(&r), 0);
	byte_ring_consume(&r, 5);
	assert_int_equal(byte_ring_space(&r), 5);
	byte_ring_fini(&r);
}

static void byte_ring_keeps_the_order_of_octets_across_its_wrap(void **state)
{
	struct byte_ring r;
	struct prng g = {5};
	uint64_t written = 0, read = 0;
	assert_int_equal(byte_ring_init(&r, 64), 0);
	for (int step = 0; step < 20000; step++) {
		uint8_t bytes[80];
		uint32_t len = (uint32_t)prng_below(&g, 80);
		for (uint32_t i = 0; i < len; i++)
			bytes[i] = octet_of(written + i);
		bool fits = len <= 64 - (written - read);
		assert_int_equal(byte_ring_write(&r, bytes, len), fits);
		written += fits ? len : 0;
		assert_int_equal(byte_ring_held(&r), written - read);

		uint32_t skip = (uint32_t)prng_below(&g, written - read + 1);
		uint32_t n = (uint32_t)prng_below(&g, written - read - skip + 1);
		byte_ring_peek(&r, skip, bytes, n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], octet_of(read + skip + i));
		uint32_t taken = (uint32_t)prng_below(&g, written - read + 1);
		byte_ring_consume(&r, taken);
		read += taken;
	}
	byte_ring_fini(&r);
}

#define STRESS_OCTETS 3000000u

static void *produce_octets(void *argument)
{
	struct byte_ring *r = argument;
	struct prng g = {6};
	for (uint64_t n = 0; n < STRESS_OCTETS;) {
		uint8_t bytes[300];
		uint32_t len = 1 + (uint32_t)prng_below(&g, sizeof bytes);
		len = len < STRESS_OCTETS - n ? len : (uint32_t)(STRESS_OCTETS - n);
		for (uint32_t i = 0; i < len; i++)
			bytes[i] = octet_of(n + i);
		if (byte_ring_write(r, bytes, len))
			n += len;
		else
			sched_yield();
	}
	return NULL;
}

static void no_octet_is_lost_or_reordered_between_two_threads(void **state)
{
	struct byte_ring r;
	pthread_t producer;
	struct prng g = {7};
	assert_int_equal(byte_ring_init(&r, 1024), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce_octets, &r), 0);
	for (uint64_t n = 0; n < STRESS_OCTETS;) {
		uint8_t bytes[1024];
		uint32_t held = byte_ring_held(&r);
		if (held == 0) {
			sched_yield();
			continue;
		}
		uint32_t len = 1 + (uint32_t)prng_below(&g, held);
		byte_ring_peek(&r, 0, bytes, len);
		for (uint32_t i = 0; i < len; i++)
			if (bytes[i] != octet_of(n + i))
				fail_msg("octet %llu differs", (unsigned long long)(n + i));
		byte_ring_consume(&r, len);
		n += len;
	}
	assert_int_equal(byte_ring_held(&r), 0);
	pthread_join(producer, NULL);
	byte_ring_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_out_in_order_until_the_ring_is_empty),
		cmocka_unit_test(full_ring_refuses_and_keeps_what_it_has),
		cmocka_unit_test(no_record_is_lost_torn_or_reordered_between_two_threads),
		cmocka_unit_test(byte_ring_writes_all_or_nothing),
		cmocka_unit_test(byte_ring_keeps_the_order_of_octets_across_its_wrap),
		cmocka_unit_test(no_octet_is_lost_or_reordered_between_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
