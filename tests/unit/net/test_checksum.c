#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/net/checksum.h"
#include "tests/lib/prng.h"
#include "tests/lib/tcp_peer.h"

static uint16_t in_memory_order(uint16_t checksum)
{
	return __builtin_bswap16(checksum);
}

static void agrees_with_the_rfc_at_every_length_and_alignment(void **state)
{
	uint8_t bytes[700];
	struct prng g = {1};
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)prng_next(&g);
	for (size_t at = 0; at < 17; at++)
		for (size_t len = 0; len + at <= 600; len++)
			assert_int_equal(checksum_finish(checksum_partial(bytes + at, len)),
					 in_memory_order(wire_checksum(0, bytes + at, len)));
}

static void copies_and_sums_without_touching_its_neighbours(void **state)
{
	uint8_t from[700], to[720];
	struct prng g = {2};
	for (size_t i = 0; i < sizeof from; i++)
		from[i] = (uint8_t)prng_next(&g);
	for (size_t len = 0; len <= 600; len++) {
		memset(to, 0xa5, sizeof to);
		uint64_t sum = checksum_copy(to + 3, from + len % 16, len);
		assert_int_equal(checksum_fold(sum), checksum_fold(checksum_partial(from + len % 16, len)));
		assert_memory_equal(to + 3, from + len % 16, len);
		assert_int_equal(to[2], 0xa5);
		assert_int_equal(to[3 + len], 0xa5);
	}
}

static void carries_are_never_lost(void **state)
{
	static uint8_t ones[65535];
	memset(ones, 0xff, sizeof ones);
	for (size_t len = 60000; len <= sizeof ones; len += 37)
		assert_int_equal(checksum_finish(checksum_partial(ones, len)),
				 in_memory_order(wire_checksum(0, ones, len)));
}

static void pieces_join_at_odd_offsets(void **state)
{
	uint8_t bytes[300];
	struct prng g = {3};
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)prng_next(&g);
	for (size_t cut = 0; cut <= sizeof bytes; cut++) {
		uint64_t sum = checksum_partial(bytes, cut) +
			       checksum_at(checksum_partial(bytes + cut, sizeof bytes - cut), cut);
		assert_int_equal(checksum_finish(sum), in_memory_order(wire_checksum(0, bytes, sizeof bytes)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_rfc_at_every_length_and_alignment),
		cmocka_unit_test(copies_and_sums_without_touching_its_neighbours),
		cmocka_unit_test(carries_are_never_lost),
		cmocka_unit_test(pieces_join_at_odd_offsets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
