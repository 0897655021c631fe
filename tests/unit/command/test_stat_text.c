/* What stat makes of an engine's answers for people. */
#include "tests/unit/command/command_cmocka.h"

#include <json-c/json.h>
#include <stdio.h>

#include "control/command/stat_text.h"

static char shown[8192];

static void show(const char *answer, const char *earlier)
{
	struct json_object *now = json_tokener_parse(answer), *before = earlier ? json_tokener_parse(earlier) : NULL;
	FILE *f = tmpfile();

	assert_non_null(now);
	assert_non_null(f);
	stat_print(f, now, before);
	rewind(f);
	shown[fread(shown, 1, sizeof shown - 1, f)] = '\0';
	fclose(f);
	json_object_put(now);
	json_object_put(before);
}

#define PUBLISHER(figures) "{\"time_ns\": 3000000000, \"publishers\": [{\"id\": 4, \"name\": \"feed\", " figures "}]}"

static void a_publisher_that_is_well_has_its_line_and_no_more(void **state)
{
	show(PUBLISHER(
		     "\"state\": \"ready\", \"state_ns\": 9, \"accepted\": 5001, \"replayed\": 31, \"lost\": 32, "
		     "\"dropped\": 33, \"refused\": 34, \"connections\": 35, \"blocked_count\": 36, \"reason\": \"\""),
	     "{\"time_ns\": 1000000000, \"publishers\": [{\"id\": 4, \"accepted\": 1}]}");
	assert_says(shown, "feed                     ready                5001       2500 ");
	assert_says(shown, "       31       32       33       34     35     36\n");
	assert_null(strstr(shown, " for "));
}

static void one_that_is_not_says_since_when_and_why(void **state)
{
	show(PUBLISHER("\"state\": \"reconnecting\", \"state_ns\": 1500000000, \"reason\": \"320 CONNECTION_FORCED\", "
		       "\"attempts\": 3, \"phase\": \"connecting\", \"last_failure\": \"refused\""),
	     NULL);
	assert_says(shown,
		    "     4  reconnecting for 1.5 s: 320 CONNECTION_FORCED; attempt 3, connecting; last: refused\n");
	show(PUBLISHER("\"state\": \"reconnecting\", \"state_ns\": 1500000000, \"reason\": \"reset\", "
		       "\"attempts\": 1, \"phase\": \"connecting\", \"last_failure\": \"mq:5672: reset\""),
	     NULL);
	assert_says(shown, "     4  reconnecting for 1.5 s: reset; attempt 1, connecting\n");
	show(PUBLISHER("\"state\": \"blocked\", \"state_ns\": 2000000000, \"blockages\": \"alarm, window\", "
		       "\"reason\": \"low on memory\""),
	     NULL);
	assert_says(shown, "     4  blocked (alarm, window) for 2.0 s: low on memory\n");
	show(PUBLISHER("\"state\": \"blocked\", \"state_ns\": 2000000000, \"blockages\": \"window\", \"reason\": \"\""),
	     NULL);
	assert_says(shown, "     4  blocked (window) for 2.0 s\n");
}

/* An engine of another version: what is missing is left out. */
static void an_answer_without_all_that_is_shown_too(void **state)
{
	show("{}", NULL);
	assert_says(shown, "harewire , process 0");
	show(PUBLISHER("\"accepted\": 7"), NULL);
	assert_says(shown, " 7 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_publisher_that_is_well_has_its_line_and_no_more),
		cmocka_unit_test(one_that_is_not_says_since_when_and_why),
		cmocka_unit_test(an_answer_without_all_that_is_shown_too),
	};
	return cmocka_run_group_tests_name("stat_text", tests, NULL, NULL);
}
