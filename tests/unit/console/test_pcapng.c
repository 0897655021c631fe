/* The blocks of a pcapng file, octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/console/pcapng.h"

/* Written by a little-endian host; on another the test has nothing to compare with. */
static uint8_t block[PCAPNG_BLOCK_MAX];

#define EXPECT(len, octets)                                                                                            \
	do {                                                                                                           \
		assert_int_equal((len), sizeof(octets) - 1);                                                           \
		assert_memory_equal(block, (octets), sizeof(octets) - 1);                                              \
	} while (0)

static void a_section_header_names_its_writer(void **state)
{
	EXPECT(pcapng_section(block, sizeof block, "hw 1"), "\x0a\x0d\x0d\x0a\x28\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0"
							    "\xff\xff\xff\xff\xff\xff\xff\xff"
							    "\x04\0\x04\0hw 1\0\0\0\0\x28\0\0\0");
}

static void an_interface_has_its_name_and_counts_in_nanoseconds(void **state)
{
	EXPECT(pcapng_interface(block, sizeof block, "eth0", "queue 3", 96),
	       "\x01\0\0\0\x34\0\0\0\x01\0\0\0\x60\0\0\0"
	       "\x02\0\x04\0eth0\x03\0\x07\0queue 3\0"
	       "\x09\0\x01\0\x09\0\0\0\0\0\0\0\x34\0\0\0");
}

static void a_packet_is_padded_and_says_which_way_it_went(void **state)
{
	const struct pcapng_packet sent = {.interface = 2,
					   .time_ns = 0x1122334455667788,
					   .data = (const uint8_t *)"abcde",
					   .captured = 5,
					   .len = 300,
					   .sent = true};
	struct pcapng_packet received = sent;
	EXPECT(pcapng_packet(block, sizeof block, &sent),
	       "\x06\0\0\0\x34\0\0\0\x02\0\0\0\x44\x33\x22\x11\x88\x77\x66\x55"
	       "\x05\0\0\0\x2c\x01\0\0"
	       "abcde\0\0\0\x02\0\x04\0\x02\0\0\0\0\0\0\0\x34\0\0\0");
	assert_int_equal(pcapng_packet_bytes(5), 0x34);
	received.sent = false;
	pcapng_packet(block, sizeof block, &received);
	assert_int_equal(block[40], 1);
}

static void statistics_tell_what_came_by_and_what_was_dropped(void **state)
{
	const struct pcapng_statistics s = {
		.interface = 1, .begin_ns = 0x100000002, .end_ns = 0x300000004, .packets = 5, .dropped = 6};
	EXPECT(pcapng_statistics(block, sizeof block, &s), "\x05\0\0\0\x4c\0\0\0\x01\0\0\0\x03\0\0\0\x04\0\0\0"
							   "\x02\0\x08\0\x01\0\0\0\x02\0\0\0"
							   "\x03\0\x08\0\x03\0\0\0\x04\0\0\0"
							   "\x04\0\x08\0\x05\0\0\0\0\0\0\0"
							   "\x05\0\x08\0\x06\0\0\0\0\0\0\0"
							   "\0\0\0\0\x4c\0\0\0");
}

static void what_does_not_fit_is_not_written(void **state)
{
	const struct pcapng_packet p = {.data = (const uint8_t *)"abcde", .captured = 5, .len = 5};
	size_t whole = pcapng_packet_bytes(5);
	uint8_t small[64];
	for (size_t cap = 0; cap < whole; cap++) {
		memset(small, 0xaa, sizeof small);
		assert_int_equal(pcapng_packet(small, cap, &p), 0);
		for (size_t i = cap; i < sizeof small; i++)
			assert_int_equal(small[i], 0xaa);
	}
	assert_int_equal(pcapng_packet(small, whole, &p), whole);
	assert_int_equal(pcapng_section(small, 27, ""), 0);
}

static void a_name_too_long_is_cut(void **state)
{
	char name[600];
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = '\0';
	assert_int_equal(pcapng_interface(block, sizeof block, name, name, 0), 16 + 2 * (4 + 256) + 8 + 4 + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_section_header_names_its_writer),
		cmocka_unit_test(an_interface_has_its_name_and_counts_in_nanoseconds),
		cmocka_unit_test(a_packet_is_padded_and_says_which_way_it_went),
		cmocka_unit_test(statistics_tell_what_came_by_and_what_was_dropped),
		cmocka_unit_test(what_does_not_fit_is_not_written),
		cmocka_unit_test(a_name_too_long_is_cut),
	};
	return cmocka_run_group_tests_name("pcapng", tests, NULL, NULL);
}
