/* Who is asked when, and what becomes of the answers: time is made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/nic/arp_cache.h"

#define HOST 0x0a010203u
#define S    1000000000ull

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};

static enum neighbour_state state_of(const struct arp_cache *c, uint32_t ip)
{
	uint8_t mac[6];
	return arp_cache_lookup(c, ip, mac);
}

static void asks_three_times_a_second_apart_and_gives_up(void **state)
{
	struct arp_cache c = {0};
	struct arp_cache_request r;
	arp_cache_resolve(&c, HOST, 5 * S);
	for (uint64_t at = 5 * S; at < 8 * S; at += S) {
		assert_true(arp_cache_due(&c, at, &r));
		assert_int_equal(r.ip, HOST);
		assert_false(r.unicast);
		assert_false(arp_cache_due(&c, at + S - 1, &r));
		assert_int_equal(state_of(&c, HOST), NEIGHBOUR_PENDING);
	}
	assert_false(arp_cache_due(&c, 8 * S, &r));
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_FAILED);
	arp_cache_resolve(&c, HOST, 9 * S); /* and begins anew when told */
	assert_true(arp_cache_due(&c, 9 * S, &r));
}

static void an_answer_is_news_once(void **state)
{
	struct arp_cache c = {0};
	uint8_t mac[6];
	arp_cache_resolve(&c, HOST, 0);
	assert_true(arp_cache_learn(&c, HOST, mac_a, 1));
	assert_int_equal(arp_cache_lookup(&c, HOST, mac), NEIGHBOUR_KNOWN);
	assert_memory_equal(mac, mac_a, 6);
	assert_false(arp_cache_learn(&c, HOST, mac_a, 2));
	assert_true(arp_cache_learn(&c, HOST, mac_b, 3)); /* it has moved */
	arp_cache_lookup(&c, HOST, mac);
	assert_memory_equal(mac, mac_b, 6);
}

static void strangers_and_the_unspecified_address_are_not_remembered(void **state)
{
	struct arp_cache c = {0};
	assert_false(arp_cache_learn(&c, HOST, mac_a, 0));
	assert_false(arp_cache_learn(&c, 0, mac_a, 0));
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_UNKNOWN);
}

static void a_known_neighbour_is_asked_directly_after_thirty_seconds_then_everybody(void **state)
{
	struct arp_cache c = {0};
	struct arp_cache_request r;
	arp_cache_resolve(&c, HOST, 0);
	arp_cache_learn(&c, HOST, mac_a, 0);
	assert_false(arp_cache_due(&c, 30 * S - 1, &r));
	for (uint32_t i = 0; i < ARP_TRIES; i++) {
		assert_true(arp_cache_due(&c, (30 + i) * S, &r));
		assert_true(r.unicast);
		assert_memory_equal(r.mac, mac_a, 6);
	}
	assert_true(arp_cache_due(&c, 33 * S, &r));
	assert_false(r.unicast);
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_KNOWN); /* usable all the while */
	arp_cache_resolve(&c, HOST, 34 * S);                   /* but not trusted with a new connection */
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_PENDING);
}

static void an_answer_ends_the_asking_for_thirty_seconds(void **state)
{
	struct arp_cache c = {0};
	struct arp_cache_request r;
	arp_cache_resolve(&c, HOST, 0);
	arp_cache_learn(&c, HOST, mac_a, 0);
	assert_true(arp_cache_due(&c, 30 * S, &r));
	arp_cache_learn(&c, HOST, mac_a, 30 * S + 5);
	assert_false(arp_cache_due(&c, 60 * S, &r));
	arp_cache_resolve(&c, HOST, 60 * S);
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_KNOWN);
	assert_true(arp_cache_due(&c, 60 * S + 5, &r));
}

static void a_doubted_neighbour_is_asked_for_at_once_by_broadcast_and_stays_usable(void **state)
{
	struct arp_cache c = {0};
	struct arp_cache_request r;
	arp_cache_doubt(&c, HOST, 0); /* nobody asked for it */
	assert_false(arp_cache_due(&c, 0, &r));
	arp_cache_resolve(&c, HOST, 0);
	arp_cache_learn(&c, HOST, mac_a, 0);
	arp_cache_doubt(&c, HOST, S);
	assert_true(arp_cache_due(&c, S, &r));
	assert_false(r.unicast);
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_KNOWN);
	assert_true(arp_cache_learn(&c, HOST, mac_b, S + 1));
}

static void a_full_table_forgets_who_was_resolved_longest_ago(void **state)
{
	struct arp_cache c = {0};
	for (uint32_t i = 0; i < ARP_CACHE_ENTRIES; i++)
		arp_cache_resolve(&c, HOST + i, 100 - i);
	arp_cache_resolve(&c, 1, 200);
	assert_int_equal(state_of(&c, 1), NEIGHBOUR_PENDING);
	assert_int_equal(state_of(&c, HOST + ARP_CACHE_ENTRIES - 1), NEIGHBOUR_UNKNOWN);
	assert_int_equal(state_of(&c, HOST), NEIGHBOUR_PENDING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_three_times_a_second_apart_and_gives_up),
		cmocka_unit_test(an_answer_is_news_once),
		cmocka_unit_test(strangers_and_the_unspecified_address_are_not_remembered),
		cmocka_unit_test(a_known_neighbour_is_asked_directly_after_thirty_seconds_then_everybody),
		cmocka_unit_test(an_answer_ends_the_asking_for_thirty_seconds),
		cmocka_unit_test(a_doubted_neighbour_is_asked_for_at_once_by_broadcast_and_stays_usable),
		cmocka_unit_test(a_full_table_forgets_who_was_resolved_longest_ago),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
