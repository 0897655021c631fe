/* publish and feed against a library that reaches no broker. */
#include "tests/unit/command/command_cmocka.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>

#include "control/command/body_source.h"
#include "control/command/command.h"
#include "control/command/options.h"
#include "control/command/pace.h"
#include "control/command/prepare.h"
#include "tests/lib/fake_harewire/fake_harewire.h"

static struct json_object *result;

static int reset(void **state)
{
	memset(&fake_harewire, 0, sizeof fake_harewire);
	unsetenv("AMQP_URL");
	return 0;
}

static int drop_result(void **state)
{
	json_object_put(result);
	result = NULL;
	return 0;
}

/* Runs the subcommand with --json --quiet; its object is `result` afterwards. */
static int run_command(enum subcommand command, int argc, char *argv[])
{
	struct prepared p;
	char why[OPTION_WHY_MAX], text[8192] = "";
	int saved = dup(STDOUT_FILENO), pipes[2];

	if (prepare(&p, command, argc, argv, why, sizeof why))
		fail_msg("%s", why);
	p.settings.json = p.settings.quiet = true;
	assert_int_equal(pipe(pipes), 0);
	fflush(stdout);
	dup2(pipes[1], STDOUT_FILENO);
	close(pipes[1]);
	int status = command == COMMAND_PUBLISH ? publish_main(&p.settings) : feed_main(&p.settings);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	ssize_t n = read(pipes[0], text, sizeof text - 1);
	close(pipes[0]);
	prepared_fini(&p);
	drop_result(NULL);
	result = n > 0 ? json_tokener_parse(text) : NULL;
	return status;
}

#define RUN(command, ...)                                                                                              \
	run_command(command, (int)(sizeof(char *[]){__VA_ARGS__} / sizeof(char *)), (char *[]){__VA_ARGS__})

static int64_t number(const char *name)
{
	struct json_object *o;

	assert_true(json_object_object_get_ex(result, name, &o));
	return json_object_get_int64(o);
}

static const char *error_text(void)
{
	struct json_object *error, *text;

	assert_true(json_object_object_get_ex(result, "error", &error));
	assert_true(json_object_object_get_ex(error, "text", &text));
	return json_object_get_string(text);
}

static void publishes_one_body_to_a_queue_it_declares(void **state)
{
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "hello", "--persistent"), EXIT_GOOD);
	assert_int_equal(fake_harewire.accepted, 1);
	assert_string_equal(fake_harewire.messages[0].body, "hello");
	assert_string_equal(fake_harewire.templates[0].exchange, "");
	assert_string_equal(fake_harewire.templates[0].routing_key, "q");
	assert_int_equal(fake_harewire.templates[0].delivery_mode, 2);
	assert_int_equal(fake_harewire.templates[0].slots, 0);
	assert_string_equal(fake_harewire.first_queue, "q");
	assert_int_equal(number("confirmed"), 1);
	assert_true(fake_harewire.closed && fake_harewire.destroyed);
}

static void generated_bodies_hold_their_number_and_are_the_same_every_time(void **state)
{
	uint8_t a[32], b[32];

	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "300", "--size", "20"), EXIT_GOOD);
	assert_int_equal(fake_harewire.accepted, 300);
	assert_int_equal(fake_harewire.messages[299].len, 20);
	assert_memory_equal(fake_harewire.messages[299].body, "300\n", 4);
	assert_true(fake_harewire.templates[0].slots != 0);
	body_generate(12345, a, 32);
	body_generate(12345, b, 32);
	assert_memory_equal(a, b, 32);
	body_generate(12345, a, 3);
	assert_memory_equal(a, "345", 3);
	body_generate(12345, a, 5);
	assert_memory_equal(a, "12345", 5);
	body_generate(12345, a, 0);
}

static void every_line_is_a_message_also_an_empty_one_and_one_without_newline(void **state)
{
	char path[64];

	write_file(path, "one\n\nthree", 0600);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--exchange", "e", "--routing-key", "k", "--lines", "--file", path),
			 EXIT_GOOD);
	assert_int_equal(fake_harewire.accepted, 3);
	assert_string_equal(fake_harewire.messages[0].body, "one");
	assert_int_equal(fake_harewire.messages[1].len, 0);
	assert_string_equal(fake_harewire.messages[2].body, "three");
	reset(NULL);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--lines", "--count", "2", "--file", path), EXIT_GOOD);
	assert_int_equal(fake_harewire.accepted, 2);
	unlink(path);
}

static void a_full_log_is_waited_for(void **state)
{
	fake_harewire.window = 10;
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "1000", "--symbols", "10"), EXIT_GOOD);
	assert_int_equal(number("accepted"), 1000);
	assert_int_equal(number("confirmed"), 1000);
}

static void confirm_limits_the_messages_without_an_outcome(void **state)
{
	fake_harewire.window = 5; /* would refuse the sixth */
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "100", "--confirm", "5"), EXIT_GOOD);
	assert_int_equal(fake_harewire.log_full, 0);
}

static void a_feed_makes_one_template_per_routing_key(void **state)
{
	struct json_object *feed, *keys, *symbols;

	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "2000", "--symbols", "10", "--seed", "4"),
			 EXIT_GOOD);
	assert_true(json_object_object_get_ex(result, "feed", &feed));
	assert_true(json_object_object_get_ex(feed, "keys", &keys));
	assert_true(json_object_object_get_ex(feed, "symbols", &symbols));
	assert_int_equal(json_object_get_int64(keys), fake_harewire.template_count);
	assert_int_equal(json_object_get_int64(symbols), 10);
	for (uint32_t i = 0; i < fake_harewire.template_count; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(fake_harewire.templates[i].routing_key,
						fake_harewire.templates[j].routing_key);
	for (uint32_t i = 0; i < 2000; i++) {
		const char *key = fake_harewire.templates[fake_harewire.messages[i].template_id].routing_key;
		assert_memory_equal(key, "md.deep.", 8);
		assert_int_equal(key[8], fake_harewire.messages[i].body[0]);
	}
	assert_string_equal(fake_harewire.first_exchange, "md");
}

static void without_the_symbol_in_the_pattern_symbols_are_still_counted(void **state)
{
	struct json_object *feed, *symbols;

	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "2000", "--symbols", "10", "--pattern", "all"),
			 EXIT_GOOD);
	assert_int_equal(fake_harewire.template_count, 1);
	assert_true(json_object_object_get_ex(result, "feed", &feed));
	assert_true(json_object_object_get_ex(feed, "symbols", &symbols));
	assert_int_equal(json_object_get_int64(symbols), 10);
}

static void a_nack_a_return_and_a_missing_confirm_each_fail_the_run_and_are_counted(void **state)
{
	fake_harewire.nack_id = 3;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10"), EXIT_MISSING);
	assert_int_equal(number("nacked"), 1);
	assert_int_equal(number("confirmed"), 9);

	reset(NULL);
	fake_harewire.return_id = 10;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--mandatory", "--slots", "none"),
			 EXIT_MISSING);
	assert_int_equal(number("returned"), 1);
	assert_true(fake_harewire.templates[0].mandatory);
	assert_int_equal(fake_harewire.templates[0].slots, 4); /* sequence: a return could not be matched */

	reset(NULL);
	fake_harewire.confirm_none_after = 6;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--timeout", "0.01"), EXIT_MISSING);
	assert_int_equal(number("confirmed"), 6);
	assert_int_equal(number("unconfirmed"), 4);
}

static void a_lost_connection_ends_the_run_with_its_sentence_and_exact_counts(void **state)
{
	fake_harewire.fail_after = 7;
	fake_harewire.confirm_none_after = 2;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "100"), EXIT_MISSING);
	assert_int_equal(number("accepted"), 7);
	assert_int_equal(number("confirmed") + number("unconfirmed"), 7);
	assert_string_equal(error_text(), "the broker went away");
}

static void a_refused_login_ends_the_run_before_it_begins(void **state)
{
	fake_harewire.refuse_login = "the broker refused the login of 'me'";
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x"), EXIT_MISSING);
	assert_int_equal(fake_harewire.accepted, 0);
	assert_string_equal(error_text(), fake_harewire.refuse_login);
}

static void inline_mode_runs_the_worker_while_it_waits(void **state)
{
	fake_harewire.window = 1;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "50", "--inline"), EXIT_GOOD);
	assert_true(fake_harewire.polls >= 50);
	assert_int_equal(fake_harewire.mode, 1);
}

static void options_that_clash_are_wrong_usage(void **state)
{
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--exchange", "e"), EXIT_USAGE);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--body", "x"), EXIT_USAGE);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x", "--size", "3"), EXIT_USAGE);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--file", "/nonexistent"), EXIT_USAGE);
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--rate", "1", "--speed", "1"), EXIT_USAGE);
	assert_int_equal(RUN(COMMAND_FEED, "--count", "1"), EXIT_USAGE);
	assert_int_equal(fake_harewire.accepted, 0);
}

static void the_schedule_is_absolute_and_a_late_sender_does_not_move_it(void **state)
{
	struct pace p;

	pace_init(&p, 1000, 0, 5000);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(pace_next(&p, 0), 5000 + i * 1000000);
	pace_init(&p, 0, 2, 5000);
	assert_int_equal(pace_next(&p, 700000), 5000);
	assert_int_equal(pace_next(&p, 700200), 5100);
	assert_int_equal(pace_next(&p, 100), 0); /* a feed that starts anew */
	pace_init(&p, 0, 0, 5000);
	assert_int_equal(pace_next(&p, 700000), 0);
}

static void a_paced_run_reports_how_late_it_was(void **state)
{
	struct json_object *slip, *count;

	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "20", "--rate", "100000"), EXIT_GOOD);
	assert_true(json_object_object_get_ex(result, "schedule_slip", &slip));
	assert_true(json_object_object_get_ex(slip, "count", &count));
	assert_int_equal(json_object_get_int64(count), 20);
	assert_true(json_object_object_get_ex(result, "due_to_confirm", &slip));
}

/* Last: an interrupt is remembered for the life of the process. */
static void an_interrupt_stops_publishing_and_closes_in_order(void **state)
{
	fake_harewire.window = 1;
	fake_harewire.confirm_none_after = 1; /* would wait for ever */
	fake_harewire.signal_when_full = SIGINT;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--timeout", "0.01"), EXIT_MISSING);
	assert_int_equal(number("accepted"), 2);
	assert_int_equal(number("unconfirmed"), 1);
	assert_true(fake_harewire.closed);
}

#define test(f) cmocka_unit_test_setup_teardown(f, reset, drop_result)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(publishes_one_body_to_a_queue_it_declares),
		test(generated_bodies_hold_their_number_and_are_the_same_every_time),
		test(every_line_is_a_message_also_an_empty_one_and_one_without_newline),
		test(a_full_log_is_waited_for),
		test(confirm_limits_the_messages_without_an_outcome),
		test(a_feed_makes_one_template_per_routing_key),
		test(without_the_symbol_in_the_pattern_symbols_are_still_counted),
		test(a_nack_a_return_and_a_missing_confirm_each_fail_the_run_and_are_counted),
		test(a_lost_connection_ends_the_run_with_its_sentence_and_exact_counts),
		test(a_refused_login_ends_the_run_before_it_begins),
		test(inline_mode_runs_the_worker_while_it_waits),
		test(options_that_clash_are_wrong_usage),
		test(the_schedule_is_absolute_and_a_late_sender_does_not_move_it),
		test(a_paced_run_reports_how_late_it_was),
		test(an_interrupt_stops_publishing_and_closes_in_order),
	};
	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
