/* The error table: every code once, every code explained, and the public header in step with it. */
#include "tests/unit/base/base_cmocka.h"

#include <ctype.h>

#include "dataplane/base/error.h"
#include "dataplane/harewire.h"

static const struct {
	const char *name;
	int value;
} codes[] = {
#define X(name, value, sentence) {#name, value},
	HW_ERRORS(X)
#undef X
};

#define CODES (sizeof codes / sizeof *codes)

static void values_are_negative_and_unique(void **state)
{
	for (size_t i = 0; i < CODES; i++) {
		assert_true(codes[i].value < 0);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(codes[i].value, codes[j].value);
	}
}

static void every_code_has_its_name_and_a_sentence(void **state)
{
	for (size_t i = 0; i < CODES; i++) {
		const char *sentence = hw_error_sentence(codes[i].value);
		assert_string_equal(hw_error_name(codes[i].value), codes[i].name);
		assert_true(strlen(sentence) >= 6);
		assert_string_not_equal(sentence, hw_error_sentence(12345));
		assert_false(isspace((unsigned char)sentence[0]));
		assert_int_not_equal(sentence[strlen(sentence) - 1], '.'); /* they are built into longer ones */
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(sentence, hw_error_sentence(codes[j].value));
	}
}

static void success_and_unknown_codes_say_so(void **state)
{
	assert_string_equal(hw_error_name(0), "OK");
	assert_string_equal(hw_error_sentence(0), "success");
	static const int unknown[] = {1, -10000, INT32_MIN, INT32_MAX};
	for (unsigned i = 0; i < 4; i++) {
		assert_string_equal(hw_error_name(unknown[i]), "UNKNOWN");
		assert_string_equal(hw_error_sentence(unknown[i]), "unknown error code");
	}
}

static void public_codes_are_the_table_s(void **state)
{
#define SAME(name) assert_int_equal((int)HAREWIRE_ERR_##name, (int)HW_ERR_##name)
	SAME(LOG_FULL);
	SAME(BLOCKED);
	SAME(DISCONNECTED);
	SAME(TOO_LARGE);
	SAME(CLOSED);
	SAME(INVALID);
	SAME(NOMEM);
	SAME(BUSY);
	SAME(SYSTEM);
	SAME(UNSUPPORTED);
	SAME(CLAIM_OPEN);
	SAME(NO_CLAIM);
	SAME(TIMEOUT);
#undef SAME
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_negative_and_unique),
		cmocka_unit_test(every_code_has_its_name_and_a_sentence),
		cmocka_unit_test(success_and_unknown_codes_say_so),
		cmocka_unit_test(public_codes_are_the_table_s),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
