/* Marshalling: byte order, and readers and writers that never step over their end. */
#include "tests/unit/base/base_cmocka.h"

#include "dataplane/base/bytes.h"

static const uint8_t octets[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void big_endian_integers_start_with_their_high_octet(void **state)
{
	assert_int_equal(get_be16(octets), 0x0102);
	assert_int_equal(get_be32(octets + 1), 0x02030405);
	assert_int_equal(get_be64(octets + 1), 0x0203040506070809);
	uint8_t out[9] = {0};
	put_be16(out, 0x0102);
	assert_memory_equal(out, octets, 2);
	put_be32(out + 1, 0x02030405);
	assert_memory_equal(out, octets, 5);
	put_be64(out + 1, 0x0203040506070809);
	assert_memory_equal(out, octets, 9);
}

static void little_endian_integers_start_with_their_low_octet(void **state)
{
	assert_int_equal(get_le16(octets), 0x0201);
	assert_int_equal(get_le32(octets + 1), 0x05040302);
	assert_int_equal(get_le64(octets + 1), 0x0908070605040302);
	uint8_t out[9] = {1};
	put_le64(out + 1, 0x0908070605040302);
	assert_memory_equal(out, octets, 9);
	memset(out + 1, 0, 8);
	put_le32(out + 1, 0x05040302);
	assert_memory_equal(out, octets, 5);
	memset(out + 1, 0, 8);
	put_le16(out + 1, 0x0302);
	assert_memory_equal(out, octets, 3);
}

static void reader_yields_fields_in_turn(void **state)
{
	struct reader r = reader_over(octets, sizeof octets);
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_be16(&r), 0x0203);
	assert_int_equal(reader_be32(&r), 0x04050607);
	assert_ptr_equal(reader_take(&r, 2), octets + 7);
	assert_int_equal(reader_left(&r), 0);
	assert_non_null(reader_take(&r, 0));
	assert_false(r.failed);
	r = reader_over(octets, 8);
	assert_int_equal(reader_be64(&r), 0x0102030405060708);
	assert_false(r.failed);
}

static void reader_fails_at_the_end_and_stays_failed(void **state)
{
	struct reader r = reader_over(octets, 3);
	assert_int_equal(reader_be32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(reader_u8(&r), 0); /* although three octets are left */
	assert_int_equal(reader_left(&r), 3);
	r = reader_over(octets, 1);
	assert_int_equal(reader_be16(&r), 0);
	r = reader_over(octets, 7);
	assert_int_equal(reader_be64(&r), 0);
	assert_true(r.failed);
	r = reader_over(octets, 0);
	assert_int_equal(reader_u8(&r), 0);
	assert_true(r.failed);
}

static void lengths_near_the_address_space_do_not_overflow(void **state)
{
	struct reader r = reader_over(octets, 3);
	assert_null(reader_take(&r, SIZE_MAX));
	uint8_t out[3] = {1, 2, 3};
	struct writer w = writer_over(out, 3);
	assert_null(writer_take(&w, SIZE_MAX));
	assert_true(w.failed);
	assert_memory_equal(out, octets, 3);
}

static void writer_writes_fields_in_turn(void **state)
{
	uint8_t out[sizeof octets];
	struct writer w = writer_over(out, sizeof out);
	writer_u8(&w, 1);
	writer_be16(&w, 0x0203);
	writer_be32(&w, 0x04050607);
	writer_bytes(&w, octets + 7, 2);
	assert_int_equal(writer_len(&w), sizeof octets);
	assert_false(w.failed);
	assert_memory_equal(out, octets, sizeof octets);
	w = writer_over(out, 8);
	writer_be64(&w, 0x0102030405060708);
	assert_memory_equal(out, octets, 8);
}

static void writer_fails_at_the_end_writes_nothing_more_and_stays_failed(void **state)
{
	uint8_t out[8] = {0};
	static const uint8_t untouched[8] = {0};
	struct writer w = writer_over(out, 3);
	writer_be32(&w, 0xffffffff);
	assert_true(w.failed);
	writer_u8(&w, 0xff); /* although there is room */
	assert_int_equal(writer_len(&w), 0);
	assert_memory_equal(out, untouched, sizeof out);
	w = writer_over(out, 1);
	writer_be16(&w, 0xffff);
	w = writer_over(out, 7);
	writer_be64(&w, UINT64_MAX);
	assert_memory_equal(out, untouched, sizeof out);
}

static void no_octets_may_come_from_nowhere(void **state)
{
	uint8_t out[1];
	struct writer w = writer_over(out, 0);
	writer_bytes(&w, NULL, 0);
	assert_false(w.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(big_endian_integers_start_with_their_high_octet),
		cmocka_unit_test(little_endian_integers_start_with_their_low_octet),
		cmocka_unit_test(reader_yields_fields_in_turn),
		cmocka_unit_test(reader_fails_at_the_end_and_stays_failed),
		cmocka_unit_test(lengths_near_the_address_space_do_not_overflow),
		cmocka_unit_test(writer_writes_fields_in_turn),
		cmocka_unit_test(writer_fails_at_the_end_writes_nothing_more_and_stays_failed),
		cmocka_unit_test(no_octets_may_come_from_nowhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
