#include "tests/unit/feed/feed_cmocka.h"

#include <stdio.h>
#include <string.h>

#include "control/feed/iex_message.h"
#include "control/feed/key_table.h"
#include "control/feed/pattern.h"

static struct feed_message message(enum feed_kind kind, char type, const char *symbol, uint32_t channel)
{
	struct feed_message m = {.kind = kind, .type = type, .channel = channel, .symbol_len = (uint8_t)strlen(symbol)};
	memcpy(m.symbol, symbol, m.symbol_len);
	return m;
}

static void assert_key(const char *text, struct feed_message m, const char *expected)
{
	struct pattern p;
	char why[256], key[ROUTING_KEY_MAX + 1];

	assert_int_equal(pattern_init(&p, text, why, sizeof why), 0);
	assert_int_equal(pattern_write(&p, &m, key), strlen(expected));
	assert_string_equal(key, expected);
}

static void assert_refused(const char *text, const char *sentence)
{
	struct pattern p;
	char why[256] = "";

	assert_true(pattern_init(&p, text, why, sizeof why) < 0);
	if (!strstr(why, sentence))
		fail_msg("'%s' does not say '%s'", why, sentence);
}

static void fills_in_every_field(void **state)
{
	assert_key(PATTERN_DEFAULT, message(FEED_DEEP, 'T', "AAPL", 1), "md.deep.T.AAPL");
	assert_key("{channel}-{symbol}{type}x{feed}", message(FEED_TOPS, 'Q', "IBM", 4294967295u),
		   "4294967295-IBMQxtops");
	assert_key("all", message(FEED_DEEP, 'T', "AAPL", 1), "all");
	assert_key("", message(FEED_DEEP, 'T', "AAPL", 1), "");
}

static void a_value_is_always_one_word_of_a_topic(void **state)
{
	assert_key(PATTERN_DEFAULT, message(FEED_DEEP, 'T', "BRK.A", 1), "md.deep.T.BRK/A");
	assert_key(PATTERN_DEFAULT, message(FEED_DEEP, 'S', "", 1), "md.deep.S.-");
	assert_key(PATTERN_DEFAULT, message(FEED_DEEP, 0, "", 1), "md.deep.-.-");
	assert_key(PATTERN_DEFAULT, message(FEED_DEEP, '.', "\x01\xff Z", 1), "md.deep./.???Z");
}

static void a_wrong_pattern_is_refused_with_name_and_column(void **state)
{
	assert_refused("md.{fed}.x", "unknown field {fed} at column 4");
	assert_refused("md.{feed", "'{' without its '}' at column 4");
	assert_refused("md.{fe{ed}}", "'{' without its '}' at column 4");
	assert_refused("md}.x", "'}' without its '{' at column 3");
	assert_refused("{}", "unknown field {} at column 1");
}

static void a_key_can_never_be_longer_than_amqp_allows(void **state)
{
	char text[300];

	memset(text, 'x', sizeof text);
	text[256] = '\0';
	assert_refused(text, "longer than a routing key");
	strcpy(text + 240, "{symbol}{symbol}"); /* 240 + 16 */
	text[256] = '\0';
	assert_refused(text, "longer than a routing key");
	strcpy(text + 235, "{symbol}{symbol}{type}"); /* fits as text, not as a key of 252 */
	assert_refused(text, "longer than a routing key");
	strcpy(text + 228, "{channel}{channel}{symbol}");
	assert_true(strlen(text) <= ROUTING_KEY_MAX);
	assert_refused(text, "could make routing keys of 256 octets");
	strcpy(text + 227, "{channel}{channel}{symbol}");
	char why[256];
	struct pattern p;
	assert_int_equal(pattern_init(&p, text, why, sizeof why), 0);
}

static void messages_with_the_same_key_share_it_whatever_the_pattern_leaves_out(void **state)
{
	struct pattern p;
	char why[256];
	struct feed_message a = message(FEED_DEEP, 'T', "A", 1), b = message(FEED_TOPS, 'T', "B", 2);

	assert_int_equal(pattern_init(&p, "x.{type}", why, sizeof why), 0);
	struct pattern_key ka = pattern_key(&p, &a), kb = pattern_key(&p, &b);
	assert_memory_equal(&ka, &kb, sizeof ka);
	assert_int_equal(pattern_init(&p, "x.{symbol}", why, sizeof why), 0);
	ka = pattern_key(&p, &a);
	kb = pattern_key(&p, &b);
	assert_memory_not_equal(&ka, &kb, sizeof ka);
}

static struct pattern_key numbered(uint32_t n)
{
	struct feed_message m = {.kind = FEED_DEEP, .type = (char)('A' + n % 7), .channel = n % 3};
	struct pattern p;
	char why[256];

	m.symbol_len = (uint8_t)snprintf(m.symbol, sizeof m.symbol, "%u", n);
	assert_int_equal(pattern_init(&p, "{symbol}{type}{channel}", why, sizeof why), 0);
	return pattern_key(&p, &m);
}

static void the_table_finds_every_one_of_100000_keys_as_it_grows(void **state)
{
	struct key_table t;

	assert_int_equal(key_table_init(&t, 1), 0);
	for (uint32_t i = 0; i < 100000; i++) {
		struct pattern_key key = numbered(i);
		assert_null(key_table_find(&t, &key));
		assert_int_equal(key_table_insert(&t, &key, i), 0);
	}
	assert_int_equal(t.count, 100000);
	for (uint32_t i = 0; i < 100000; i++) {
		struct pattern_key key = numbered(i);
		assert_int_equal(*key_table_find(&t, &key), i);
	}
	key_table_fini(&t);
}

static void reads_type_and_symbol_of_messages_of_any_length(void **state)
{
	struct feed_message m;
	const uint8_t trade[] = "T.12345678ZXIET   rest";
	const uint8_t event[] = "SO12345678ABCDEFGH";

	iex_message_read(trade, 22, &m);
	assert_int_equal(m.type, 'T');
	assert_int_equal(m.symbol_len, 5);
	assert_memory_equal(m.symbol, "ZXIET\0\0\0", 8);
	iex_message_read(trade, 17, &m); /* one octet too short for a symbol */
	assert_int_equal(m.symbol_len, 0);
	iex_message_read(event, 18, &m); /* never has one */
	assert_int_equal(m.symbol_len, 0);
	iex_message_read(trade, 0, &m);
	assert_int_equal(m.type, 0);
}

static void knows_deep_and_both_tops(void **state)
{
	enum feed_kind kind;

	assert_true(iex_feed_kind(0x8002, &kind));
	assert_int_equal(kind, FEED_TOPS);
	assert_true(iex_feed_kind(0x8003, &kind));
	assert_int_equal(kind, FEED_TOPS);
	assert_true(iex_feed_kind(0x8004, &kind));
	assert_int_equal(kind, FEED_DEEP);
	assert_false(iex_feed_kind(0x8005, &kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_in_every_field),
		cmocka_unit_test(a_value_is_always_one_word_of_a_topic),
		cmocka_unit_test(a_wrong_pattern_is_refused_with_name_and_column),
		cmocka_unit_test(a_key_can_never_be_longer_than_amqp_allows),
		cmocka_unit_test(messages_with_the_same_key_share_it_whatever_the_pattern_leaves_out),
		cmocka_unit_test(the_table_finds_every_one_of_100000_keys_as_it_grows),
		cmocka_unit_test(reads_type_and_symbol_of_messages_of_any_length),
		cmocka_unit_test(knows_deep_and_both_tops),
	};
	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
