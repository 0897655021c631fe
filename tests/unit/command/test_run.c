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
#include "control/command/schedule.h"
#include "dataplane/base/clock.h"
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

static char output[1 << 20];
static bool summary_wanted; /* the one for people, on standard error, instead of JSON */

/* Runs the subcommand with --json --quiet; its object is `result` afterwards. */
static int run_command(enum subcommand command, int argc, char *argv[])
{
	struct prepared p;
	char why[OPTION_WHY_MAX];
	int saved = dup(STDOUT_FILENO);
	FILE *f = tmpfile();

	if (prepare(&p, command, argc, argv, why, sizeof why))
		fail_msg("%s", why);
	p.settings.json = p.settings.quiet = !summary_wanted;
	assert_non_null(f);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	int status = command == COMMAND_PUBLISH ? publish_main(&p.settings) : feed_main(&p.settings);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(f);
	output[fread(output, 1, sizeof output - 1, f)] = '\0';
	fclose(f);
	prepared_fini(&p);
	drop_result(NULL);
	result = *output ? json_tokener_parse(output) : NULL;
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
	assert_true(fake_harewire.publishers[0].destroyed && fake_harewire.destroyed);
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

static void the_library_is_told_how_to_reconnect(void **state)
{
	const struct fake_reconnecting *r = &fake_harewire.reconnecting;
	char file[64];

	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x"), EXIT_GOOD);
	assert_string_equal(r->hosts, "");
	assert_int_equal(r->min_ns, 10000000);
	assert_int_equal(r->max_ns, 50000000);
	assert_int_equal(r->confirm_timeout_ns, 30000000000);
	assert_int_equal(r->blocked_timeout_ns, 0);
	assert_int_equal(r->timeout_ns, 0);
	reset(NULL);
	write_file(file, "hush", 0600);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x", "--host", "b", "--host", "c:1",
			     "--host-order", "shuffled", "--reconnect-min", "0.5", "--reconnect-max", "3",
			     "--reconnect-timeout", "60", "--delivery", "at-most-once", "--policy", "refuse",
			     "--confirm-timeout", "0", "--blocked-timeout", "7", "--password-file", file),
			 EXIT_GOOD);
	assert_string_equal(r->hosts, "b c:1 ");
	assert_int_equal(r->order, HAREWIRE_HOSTS_SHUFFLED);
	assert_int_equal(r->min_ns, 500000000);
	assert_int_equal(r->max_ns, 3000000000);
	assert_int_equal(r->timeout_ns, 60000000000);
	assert_int_equal(r->delivery, HAREWIRE_AT_MOST_ONCE);
	assert_int_equal(r->policy, HAREWIRE_REFUSE);
	assert_int_equal(r->confirm_timeout_ns, 0);
	assert_int_equal(r->blocked_timeout_ns, 7000000000);
	assert_string_equal(fake_harewire.password_file, file);
	assert_string_equal(fake_harewire.password, "");
	unlink(file);
}

static void the_library_is_told_what_is_chosen_of_tcp(void **state)
{
	const struct fake_tcp *t = &fake_harewire.tcp;

	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x"), EXIT_GOOD);
	assert_int_equal(t->congestion, HAREWIRE_CUBIC);
	assert_int_equal(t->congestion_window, 0);
	assert_int_equal(t->ecn, 0);
	assert_int_equal(t->restart_after_idle, 0);
	assert_int_equal(t->keepalive_ns, 0);
	reset(NULL);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x", "--congestion", "none",
			     "--congestion-window", "64K", "--ecn", "--restart-after-idle", "--keepalive", "1.5"),
			 EXIT_GOOD);
	assert_int_equal(t->congestion, HAREWIRE_NO_CONGESTION_CONTROL);
	assert_int_equal(t->congestion_window, 65536);
	assert_int_equal(t->ecn, 1);
	assert_int_equal(t->restart_after_idle, 1);
	assert_int_equal(t->keepalive_ns, 1500000000);
	reset(NULL);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x", "--congestion", "reno"), EXIT_GOOD);
	assert_int_equal(t->congestion, HAREWIRE_RENO);
}

static void a_refused_login_ends_the_run_before_it_begins(void **state)
{
	fake_harewire.refuse_login = "the broker refused the login of 'me'";
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x"), EXIT_MISSING);
	assert_int_equal(fake_harewire.accepted, 0);
	assert_string_equal(error_text(), fake_harewire.refuse_login);
}

/* An object of an array of the result. */
static struct json_object *entry(const char *array, size_t index)
{
	struct json_object *list;

	assert_true(json_object_object_get_ex(result, array, &list));
	struct json_object *o = json_object_array_get_idx(list, index);
	assert_non_null(o);
	return o;
}

static int64_t number_in(struct json_object *parent, const char *name)
{
	struct json_object *o;

	if (!json_object_object_get_ex(parent, name, &o))
		fail_msg("there is no %s", name);
	return json_object_get_int64(o);
}

static int64_t number_of(const char *object, const char *name)
{
	struct json_object *o;

	if (!json_object_object_get_ex(result, object, &o))
		fail_msg("there is no %s", object);
	return number_in(o, name);
}

static int64_t number_of_blockage(const char *name, const char *figure)
{
	struct json_object *all, *one;

	assert_true(json_object_object_get_ex(result, "blockages", &all));
	assert_true(json_object_object_get_ex(all, name, &one));
	return number_in(one, figure);
}

static void a_connection_lost_and_made_again_is_no_failure_and_is_told_of(void **state)
{
	fake_harewire.disconnect_after = 5;
	fake_harewire.hindered_polls = 3;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10"), EXIT_GOOD);
	assert_int_equal(number("attempted"), 10);
	assert_int_equal(number("confirmed"), 10);
	assert_int_equal(number("connections"), 2);
	assert_true(number("replayed") > 0);
	assert_int_equal(number("longest_disconnected_us"), 2500000);
	assert_int_equal(number("blocked"), 0);
	assert_int_equal(number_of_blockage("alarm", "count"), 0);
}

static void what_is_lost_with_its_connection_fails_the_run(void **state)
{
	fake_harewire.disconnect_after = 5;
	fake_harewire.hindered_polls = 3;
	assert_int_equal(
		RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--delivery", "at-most-once", "--confirm", "5"),
		EXIT_MISSING);
	assert_true(number("lost") > 0);
	assert_int_equal(number("confirmed") + number("lost"), 10); /* also the window knew it */
	assert_int_equal(number("unconfirmed"), 0);
}

static void each_kind_of_blockage_is_counted_and_timed(void **state)
{
	static const char *const names[] = {"alarm", "window", "silence", "log_full"};

	for (int code = HAREWIRE_BLOCKAGE_ALARM; code <= HAREWIRE_BLOCKAGE_LOG_FULL; code++) {
		reset(NULL);
		fake_harewire.block_after = 5;
		fake_harewire.block_code = code;
		fake_harewire.hindered_polls = 3;
		assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--publishers", "2"), EXIT_GOOD);
		for (int i = 0; i < 4; i++) {
			bool it = i == code - 1;
			assert_int_equal(number_of_blockage(names[i], "count"), it ? 1 : 0);
			assert_int_equal(number_of_blockage(names[i], "longest_us"), it ? 250000 : 0);
		}
		assert_int_equal(number("blocked"), code == HAREWIRE_BLOCKAGE_ALARM);
		assert_int_equal(number_in(entry("publishers", 0), "blocked"), code == HAREWIRE_BLOCKAGE_ALARM);
		assert_int_equal(number_in(entry("publishers", 1), "blocked"), 0);
	}
}

/* Nobody waits for a message without a time of its own: the source does. */
static void without_a_pace_what_is_refused_now_is_published_later(void **state)
{
	fake_harewire.disconnect_after = 5;
	fake_harewire.block_after = 7;
	fake_harewire.block_code = HAREWIRE_BLOCKAGE_ALARM;
	fake_harewire.hindered_polls = 20;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--policy", "refuse"), EXIT_GOOD);
	assert_int_equal(number("confirmed"), 10);
	assert_int_equal(number("refused"), 0);
}

static void with_a_pace_what_is_refused_is_counted_and_passed_over(void **state)
{
	fake_harewire.disconnect_after = 5;
	fake_harewire.hindered_polls = 4;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "30", "--rate", "1000", "--policy", "refuse"),
			 EXIT_MISSING);
	assert_int_equal(number("refused"), 3);
	assert_int_equal(number("attempted"), 30);
	assert_int_equal(number("accepted"), 27);
	assert_int_equal(number("confirmed"), number("accepted"));
	/* and the next one is generated, not the same again */
	assert_memory_equal(fake_harewire.messages[5].body, "9\n", 2);
	reset(NULL);
	fake_harewire.window = 1; /* a full log is refused too */
	fake_harewire.confirm_none_after = 3;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--rate", "1000", "--policy", "refuse",
			     "--timeout", "0"),
			 EXIT_MISSING);
	assert_int_equal(number("accepted"), 4);
	assert_int_equal(number("refused"), 6);
	assert_int_equal(number("waits_for_log"), 0);
}

static void what_the_library_drops_is_counted_and_fails_the_run(void **state)
{
	fake_harewire.window = 2;
	fake_harewire.confirm_none_after = 3;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--rate", "1000", "--policy",
			     "drop-newest", "--timeout", "0"),
			 EXIT_MISSING);
	assert_int_equal(number("accepted"), 5);
	assert_int_equal(number("dropped"), 5);
	assert_int_equal(number("attempted"), 10);
	assert_int_equal(number("confirmed"), 3);
}

static void messages_go_to_the_publishers_in_turn_and_the_report_sums_them(void **state)
{
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--publishers", "4"), EXIT_GOOD);
	assert_int_equal(fake_harewire.publisher_count, 4);
	assert_int_equal(fake_harewire.template_count, 4);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(fake_harewire.messages[i].publisher, i % 4);
		assert_int_equal(fake_harewire.messages[i].body[0], "1234567891"[i]);
	}
	assert_int_equal(number("accepted"), 10);
	assert_int_equal(number("confirmed"), 10);
	for (uint32_t i = 0; i < 4; i++) {
		struct json_object *p = entry("publishers", i);
		assert_int_equal(number_in(p, "publisher"), i + 1);
		assert_int_equal(number_in(p, "epoch"), 100 + i);
		assert_int_equal(number_in(p, "accepted"), i < 2 ? 3 : 2);
		assert_int_equal(number_in(p, "confirmed"), i < 2 ? 3 : 2);
		assert_true(fake_harewire.publishers[i].closing && fake_harewire.publishers[i].destroyed);
	}
	assert_string_equal(fake_harewire.publishers[2].connection_name, "harewire publish 3/4");
	assert_int_equal(number_of("tcp", "retransmits"), 1 + 2 + 3 + 4);
	/* 1000, 2000, 3000, 4000 ns; 100000 ns divided by 1, 2, 3, 4 */
	assert_int_equal(number_of("call_to_wire_at_most", "count"), 10 + 20 + 30 + 40);
	assert_int_equal(number_of("call_to_wire_at_most", "p50"), 4);
	assert_int_equal(number_of("call_to_wire_at_most", "p99"), 100);
	assert_int_equal(number_of("call_to_wire_at_most", "max"), 200);
}

static void one_publisher_is_reported_without_lists(void **state)
{
	struct json_object *unused;

	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10"), EXIT_GOOD);
	assert_false(json_object_object_get_ex(result, "publishers", &unused));
	assert_false(json_object_object_get_ex(result, "workers", &unused));
	assert_false(json_object_object_get_ex(result, "rate", &unused));
	assert_true(json_object_object_get_ex(result, "acceptance_rate", &unused));
	assert_true(json_object_object_get_ex(result, "call_to_wire", &unused));
	assert_int_equal(number_of("driver", "queue"), 0);
	assert_string_equal(fake_harewire.publishers[0].connection_name, "harewire publish");
	assert_int_equal(fake_harewire.worker_count, 0);
}

/* After a broker's restart any of them may be the first to be back. An exclusive queue is one connection's. */
static void every_publisher_declares_all_but_exclusive_queues_which_are_the_firsts(void **state)
{
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "10", "--queue", "q", "--publishers", "3"),
			 EXIT_GOOD);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(fake_harewire.publishers[i].exchange_count, 1);
		assert_int_equal(fake_harewire.publishers[i].queue_count, 1);
		assert_int_equal(fake_harewire.publishers[i].binding_count, 1);
	}
	assert_string_equal(fake_harewire.first_queue, "q");
	reset(NULL);
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "10", "--queue", "q", "--publishers", "2",
			     "--declare-queue", "mine:exclusive", "--bind", "md:mine:#"),
			 EXIT_GOOD);
	assert_int_equal(fake_harewire.publishers[0].queue_count, 2);
	assert_int_equal(fake_harewire.publishers[0].binding_count, 2);
	assert_int_equal(fake_harewire.publishers[1].exchange_count, 1);
	assert_int_equal(fake_harewire.publishers[1].queue_count, 1);
	assert_int_equal(fake_harewire.publishers[1].binding_count, 1);
	assert_string_equal(fake_harewire.first_queue, "q"); /* the second publisher's */
}

/* The symbol in a message of the synthetic feed (DEEP 1.0: type, flags, timestamp, symbol). */
static const char *symbol_of(const struct fake_message *m)
{
	return m->body + 10;
}

static const struct fake_message *first_of_its_symbol(const struct fake_message *m)
{
	const struct fake_message *first = fake_harewire.messages;

	while (memcmp(symbol_of(first), symbol_of(m), 8) != 0)
		first++;
	return first;
}

/* Dealt in turn as they are first seen, over three; without a symbol: to the first. */
static void assert_symbols_stay_with_their_publishers(uint32_t count)
{
	uint32_t symbols = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct fake_message *m = &fake_harewire.messages[i], *first = first_of_its_symbol(m);
		bool has_symbol = m->len >= 18;
		if (first == m)
			assert_int_equal(m->publisher, has_symbol ? symbols++ % 3 : 0);
		assert_int_equal(m->publisher, first->publisher);
	}
	assert_int_equal(symbols, 20);
}

static void a_feed_is_spread_by_symbol_whatever_the_pattern(void **state)
{
	static const char *const patterns[] = {"md.{feed}.{type}.{symbol}", "md.{type}", "all", "{symbol}.{channel}"};

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		reset(NULL);
		assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "1500", "--symbols", "20", "--pattern",
				     (char *)patterns[i], "--publishers", "3"),
				 EXIT_GOOD);
		assert_symbols_stay_with_their_publishers(1500);
		assert_int_equal(number_of("feed", "symbols"), 20);
	}
}

static void a_template_is_made_only_where_it_is_used(void **state)
{
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "2000", "--symbols", "20", "--publishers", "3"),
			 EXIT_GOOD);
	assert_int_equal(number_of("feed", "keys"), fake_harewire.template_count);
	for (uint32_t i = 0; i < fake_harewire.template_count; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(fake_harewire.templates[i].routing_key,
						fake_harewire.templates[j].routing_key);
	reset(NULL);
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "2000", "--symbols", "20", "--publishers", "3",
			     "--pattern", "all"),
			 EXIT_GOOD);
	assert_int_equal(fake_harewire.template_count, 3);
	assert_int_equal(number_of("feed", "keys"), 1);
}

static void the_confirm_window_is_over_all_publishers(void **state)
{
	fake_harewire.odd_one = 1;
	fake_harewire.confirm_none_after = 1; /* this one soon holds the window, which the others then do not have */
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "100", "--publishers", "4", "--confirm", "6",
			     "--duration", "0.2", "--timeout", "0.01"),
			 EXIT_MISSING);
	assert_int_equal(fake_harewire.most_in_flight, 6);
}

static void one_publisher_that_fails_ends_the_run_and_the_others_close_in_order(void **state)
{
	fake_harewire.odd_one = 2;
	fake_harewire.fail_after = 5;
	fake_harewire.confirm_none_after = 2;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "1000", "--publishers", "4"), EXIT_MISSING);
	assert_string_equal(error_text(), "publisher 3 of 4: the broker went away");
	assert_true(number("accepted") < 1000);
	assert_int_equal(number("unconfirmed"), 3);
	assert_int_equal(number("confirmed") + 3, number("accepted"));
	for (uint32_t i = 0; i < 4; i++) {
		const struct fake_publisher *p = &fake_harewire.publishers[i];
		assert_true(p->destroyed && p->end_said);
		assert_int_equal(p->closing, i != 2);
		assert_int_equal(number_in(entry("publishers", i), "unconfirmed"), i == 2 ? 3 : 0);
	}
}

static void one_publisher_whose_login_is_refused_ends_the_run_before_it_begins(void **state)
{
	fake_harewire.odd_one = 1;
	fake_harewire.refuse_login = "the broker refused the login of 'me'";
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--publishers", "3"), EXIT_MISSING);
	assert_int_equal(fake_harewire.accepted, 0);
	assert_string_equal(error_text(), "publisher 2 of 3: the broker refused the login of 'me'");
	assert_true(fake_harewire.publishers[0].closing && fake_harewire.publishers[0].destroyed);
	assert_true(fake_harewire.publishers[1].destroyed);
}

static void when_the_first_publisher_fails_no_other_is_opened(void **state)
{
	fake_harewire.refuse_login = "no";
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--publishers", "3"), EXIT_MISSING);
	assert_int_equal(fake_harewire.publisher_count, 1);
}

static void the_bad_outcome_of_any_publisher_fails_the_run(void **state)
{
	fake_harewire.odd_one = 3;
	fake_harewire.nack_id = 2;
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "20", "--publishers", "4"), EXIT_MISSING);
	assert_int_equal(number("nacked"), 1);
	assert_int_equal(number_in(entry("publishers", 3), "nacked"), 1);
	assert_int_equal(number_in(entry("publishers", 2), "nacked"), 0);
}

static void a_full_log_of_one_publisher_is_waited_for(void **state)
{
	fake_harewire.window = 1;
	assert_int_equal(RUN(COMMAND_FEED, "synthetic", "--count", "600", "--symbols", "10", "--publishers", "256"),
			 EXIT_GOOD);
	assert_int_equal(fake_harewire.publisher_count, 256);
	assert_int_equal(number("confirmed"), 600);
}

static void publishers_go_to_the_workers_of_the_file_in_turn(void **state)
{
	char path[64];

	write_file(path,
		   "driver:\n  driver: kernel\n  cpu: 7\nworkers:\n  - core: 1\n    queue: 2\n  - driver: af_xdp\n"
		   "    interface: eth1\n",
		   0600);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--publishers", "5", "--config", path),
			 EXIT_GOOD);
	assert_int_equal(fake_harewire.worker_count, 2);
	assert_string_equal(fake_harewire.driver, "kernel");
	assert_int_equal(fake_harewire.workers[0].cpu, 1);
	assert_int_equal(fake_harewire.workers[0].queue, 2);
	assert_int_equal(fake_harewire.workers[1].cpu, -1);
	assert_string_equal(fake_harewire.workers[1].driver, "af_xdp");
	assert_string_equal(fake_harewire.workers[1].interface, "eth1");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fake_harewire.publishers[i].worker, i % 2);
		assert_int_equal(number_in(entry("publishers", (size_t)i), "worker"), i % 2);
	}
	assert_int_equal(number_in(entry("workers", 0), "publishers"), 3);
	assert_int_equal(number_in(entry("workers", 1), "worker"), 1);
	assert_int_equal(number_in(entry("workers", 1), "queue"), 1);
	assert_int_equal(number_in(entry("workers", 1), "cpu"), 1);
	assert_int_equal(number_of("driver", "packets_sent"), 10 + 11);
	assert_int_equal(number_of("driver", "longest_gap_us"), 2);
	/* and without --publishers one for each */
	reset(NULL);
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--config", path), EXIT_GOOD);
	assert_int_equal(fake_harewire.publisher_count, 2);
	unlink(path);
}

static void workers_that_the_library_refuses_are_told_in_its_words(void **state)
{
	fake_harewire.refuse_workers = "workers 0 and 1 both want queue 0 of eth1";
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x"), EXIT_MISSING);
	assert_string_equal(error_text(), fake_harewire.refuse_workers);
	assert_int_equal(fake_harewire.publisher_count, 0);
}

static void what_the_device_is_to_do_is_passed_on(void **state)
{
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--body", "x", "--driver", "dpdk", "--tso", "off",
			     "--checksum-offload", "on"),
			 EXIT_GOOD);
	assert_string_equal(fake_harewire.driver, "dpdk");
	assert_int_equal(fake_harewire.tso, HAREWIRE_USE_OFF);
	assert_int_equal(fake_harewire.checksum_offload, HAREWIRE_USE_ON);
}

static char said[8192];
static enum exit_code expected_status = EXIT_GOOD;

/* What is said on standard error meanwhile. */
#define LISTEN_TO(...)                                                                                                 \
	do {                                                                                                           \
		int saved_error = dup(STDERR_FILENO);                                                                  \
		FILE *heard = tmpfile();                                                                               \
		assert_non_null(heard);                                                                                \
		dup2(fileno(heard), STDERR_FILENO);                                                                    \
		__VA_ARGS__                                                                                            \
		dup2(saved_error, STDERR_FILENO);                                                                      \
		close(saved_error);                                                                                    \
		rewind(heard);                                                                                         \
		said[fread(said, 1, sizeof said - 1, heard)] = '\0';                                                   \
		fclose(heard);                                                                                         \
	} while (0)

#define RUN_AND_LISTEN(command, ...)                                                                                   \
	do {                                                                                                           \
		int status;                                                                                            \
		LISTEN_TO({ status = RUN(command, __VA_ARGS__); });                                                    \
		assert_int_equal(status, expected_status);                                                             \
	} while (0)

static void the_summary_has_a_line_for_each_worker_and_publisher(void **state)
{
	char path[64];

	write_file(path, "workers: [{core: 0}, {core: 1}]\n", 0600);
	summary_wanted = true;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10", "--publishers", "3", "--config", path);
	assert_says(said, "worker 0: fake on eth0 queue 0, steering: RSS, offloads: checksums, TSO\n");
	assert_says(said, "worker 1: fake on eth0 queue 1, CPU 1, steering: RSS, offloads: checksums, TSO\n");
	assert_says(said, "publishers 2, packets 10 sent");
	assert_says(said, "  publisher 1   worker 0: accepted 4  confirmed 4  nacked 0  returned 0  lost 0  "
			  "unconfirmed 0  retransmits 1\n");
	assert_says(said, "  publisher 2   worker 1: accepted 3 ");
	assert_says(said, "  publisher 3   worker 0: accepted 3 ");
	assert_says(said, "confirmed   10 ");
	assert_says(said, "packets     21 sent, 0 received, 6 retransmitted segments");
	assert_says(said, "call-to-wire <=");
	reset(NULL);
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10");
	assert_says(said, "driver      fake on eth0 queue 0, steering: RSS, offloads: checksums, TSO\n");
	assert_null(strstr(said, "publisher 1"));
	assert_null(strstr(said, "worker"));
	assert_null(strstr(said, "<="));
	summary_wanted = false;
	unlink(path);
}

static void of_many_publishers_the_summary_has_the_range_and_those_something_is_wrong_with(void **state)
{
	summary_wanted = true;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "19", "--publishers", "9");
	assert_null(strstr(said, "publisher 1"));
	assert_says(said, "  each of 9:   accepted 2 to 3  confirmed 2 to 3  not confirmed 0  retransmits 1 to 9\n");
	reset(NULL);
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "8", "--publishers", "8");
	assert_says(said, "  publisher 8   worker 0: accepted 1 ");
	assert_null(strstr(said, "each of"));
	reset(NULL);
	fake_harewire.odd_one = 6;
	fake_harewire.nack_id = 1;
	expected_status = EXIT_MISSING;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "20", "--publishers", "10");
	expected_status = EXIT_GOOD;
	assert_says(said, "  publisher 7   worker 0: accepted 2  confirmed 1  nacked 1 ");
	assert_null(strstr(said, "publisher 6"));
	assert_says(said, "not confirmed 0 to 1 ");
	summary_wanted = false;
}

/* The same scene as people see it. */
static void what_hinders_publishing_is_said_once_and_summed_up(void **state)
{
	summary_wanted = true;
	fake_harewire.disconnect_after = 5;
	fake_harewire.hindered_polls = 3;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10");
	assert_says(said, "harewire: there:5672: lost: reset\nharewire: connected again to other:5672 after 2.500 s\n");
	assert_null(strstr(said, "trying again"));
	assert_says(said, "connections 2 made, 0 channels re-opened, longest without one 2.500 s, ");
	assert_null(strstr(said, "blocked "));
	reset(NULL);
	fake_harewire.block_after = 5;
	fake_harewire.block_code = HAREWIRE_BLOCKAGE_ALARM;
	fake_harewire.hindered_polls = 3;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10");
	assert_says(said, "harewire: the broker has blocked publishing: low on memory\n");
	assert_says(said, "harewire: the broker's alarm is over after 0.250 s\n");
	assert_says(said, "blocked     alarm 1 time, at most 0.250 s\n");
	assert_null(strstr(said, "connections "));
	reset(NULL);
	fake_harewire.block_after = 5;
	fake_harewire.block_code = HAREWIRE_BLOCKAGE_WINDOW; /* a moment's is no news */
	fake_harewire.hindered_polls = 3;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10");
	assert_null(strstr(said, "harewire: "));
	assert_says(said, "blocked     window 1 time, at most 0.250 s\n");
	reset(NULL);
	fake_harewire.block_after = 5;
	fake_harewire.block_code = HAREWIRE_BLOCKAGE_LOG_FULL; /* and this is none ever */
	fake_harewire.hindered_polls = 3;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10");
	assert_null(strstr(said, "harewire: "));
	assert_null(strstr(said, "blocked "));
	summary_wanted = false;
	reset(NULL);
	fake_harewire.disconnect_after = 5;
	fake_harewire.hindered_polls = 3;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "10"); /* --quiet */
	assert_string_equal(said, "");
}

static struct harewire_event blockage(enum harewire_event_type type, int code, uint64_t since_ns)
{
	return (struct harewire_event){.type = type, .code = code, .since_ns = since_ns};
}

/* At made-up times. */
static void a_closed_window_is_said_once_it_lasts(void **state)
{
	struct settings s;
	struct run_publisher p[2] = {{.ready = true}, {.ready = true}};
	struct run run = {.settings = &s, .publishers = p, .publisher_count = 2};
	const int window = HAREWIRE_BLOCKAGE_WINDOW;
	struct harewire_event begun = blockage(HAREWIRE_EVENT_BLOCKED, window, 5000000000),
			      later = blockage(HAREWIRE_EVENT_BLOCKED, window, 6000000000),
			      ended = blockage(HAREWIRE_EVENT_UNBLOCKED, window, 9000000000);

	settings_init(&s, COMMAND_PUBLISH);
	LISTEN_TO({
		standing_take(&run, &p[0], &begun);
		standing_take(&run, &p[1], &later);
		standing_watch(&run, 5999999999);
	});
	assert_string_equal(said, "");
	LISTEN_TO({
		standing_watch(&run, 6000000000);
		standing_watch(&run, 7000000000);
	});
	assert_string_equal(said, "harewire: the broker reads nothing: its TCP window is closed\n");
	char text[128];
	assert_string_equal(standing_describe(&run, 7500000000, text, sizeof text),
			    "the broker reads nothing (2 of 2 publishers) for 2.5 s");
	LISTEN_TO({
		standing_take(&run, &p[0], &ended); /* one is still blocked */
	});
	assert_string_equal(said, "");
	LISTEN_TO({ standing_take(&run, &p[1], &ended); });
	assert_string_equal(said, "harewire: the broker reads again after 3.000 s\n");
	assert_string_equal(standing_describe(&run, 9000000000, text, sizeof text), "");
	assert_int_equal(p[0].standing.spells[window].longest_ns, 4000000000);
	settings_fini(&s);
}

/* All of 200 publishers lose their broker at once: not 200 sentences. */
static void the_same_of_many_publishers_is_said_at_most_once_a_second(void **state)
{
	summary_wanted = true;
	fake_harewire.all_are_odd = true;
	fake_harewire.disconnect_after = 2;
	fake_harewire.hindered_polls = 3;
	uint64_t sentences = 0, start_ns = clock_monotonic_ns();
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "800", "--publishers", "200");
	uint64_t seconds = (clock_monotonic_ns() - start_ns) / 1000000000u;
	summary_wanted = false;
	for (const char *p = said; (p = strstr(p, " of 200: connected again to other:5672")); p++)
		sentences++;
	assert_true(sentences >= 1 && sentences <= 1 + seconds);
	sentences = 0;
	for (const char *p = said; (p = strstr(p, "there:5672: lost")); p++)
		sentences++;
	assert_true(sentences >= 8 && sentences <= 8 * (1 + seconds));
	assert_says(said, "connections 400 made");
}

static void verbose_says_all(void **state)
{
	uint64_t sentences = 0;

	fake_harewire.all_are_odd = true;
	fake_harewire.disconnect_after = 2;
	fake_harewire.hindered_polls = 3;
	summary_wanted = true;
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--count", "80", "--publishers", "20", "--verbose");
	summary_wanted = false;
	for (const char *p = said; (p = strstr(p, "trying again")); p++)
		sentences++;
	assert_int_equal(sentences, 20);
}

/* A pcap file (link type Ethernet) of one ARP packet. */
static void write_capture_without_iex(char path[64])
{
	static const uint8_t capture[24 + 16 + 42] = {
		0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, [16] = 0xff, 0xff, 0, 0, 1, [32] = 42, [36] = 42, [52] = 8, 6};

	strcpy(path, "/tmp/harewire-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, capture, sizeof capture), sizeof capture);
	close(fd);
}

static void a_capture_without_iex_and_options_it_does_not_heed_are_warned_of(void **state)
{
	char path[64];

	write_capture_without_iex(path);
	RUN_AND_LISTEN(COMMAND_FEED, path);
	assert_says(said, "warning: /tmp/harewire-test-");
	assert_says(said, "holds no IEX message: of 1 packets 1 are not IEX-TP");
	assert_null(strstr(said, "--symbols"));
	RUN_AND_LISTEN(COMMAND_FEED, path, "--symbols", "5", "--seed", "0");
	assert_says(said, "warning: --symbols is for synthetic: /tmp/");
	assert_says(said, "warning: --seed is for synthetic: /tmp/");
	unlink(path);
	RUN_AND_LISTEN(COMMAND_FEED, "synthetic", "--count", "5", "--symbols", "5", "--seed", "1");
	assert_string_equal(said, "");
}

static void a_default_that_every_worker_overrides_is_warned_of(void **state)
{
	char path[64] = "/tmp/harewire-test-XXXXXX";
	static const char text[] = "workers: [{core: 0, queue: 1}, {core: 1, mtu: 1400}]\n";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--config", path, "--cpu", "3", "--nic-queue", "2", "--mtu",
		       "1500");
	assert_says(said, "warning: cpu has no effect: every entry of workers says its own core\n");
	assert_null(strstr(said, "nic-queue"));
	assert_null(strstr(said, "mtu"));
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--config", path);
	assert_null(strstr(said, "warning"));
	unlink(path);
	RUN_AND_LISTEN(COMMAND_PUBLISH, "--queue", "q", "--cpu", "3");
	assert_null(strstr(said, "warning"));
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

static void the_schedule_is_one_over_all_publishers_and_every_message_counts_in_it(void **state)
{
	assert_int_equal(RUN(COMMAND_PUBLISH, "--queue", "q", "--count", "200", "--rate", "20000", "--publishers", "3",
			     "--max-messages", "16"),
			 EXIT_GOOD);
	assert_int_equal(number_of("schedule_slip", "count"), 200);
	assert_int_equal(number_of("due_to_confirm", "count"), 200);
	assert_true(number("accepted") == 200);
}

/* The index is full: number 65 waits with its due time, which is not to be taken for that of number 1. */
static void a_message_that_waits_for_room_leaves_the_due_times_of_those_in_flight_alone(void **state)
{
	struct settings s;
	struct schedule schedule;

	settings_init(&s, COMMAND_PUBLISH);
	s.rate = 1;
	s.max_messages = 64;
	assert_int_equal(schedule_init(&schedule, &s, 1), 0);
	uint64_t now_ns = clock_monotonic_ns();
	for (uint64_t id = 1; id <= 64; id++)
		schedule_publish(&schedule, 0, id, now_ns - 3000000000u, now_ns);
	schedule_publish(&schedule, 0, 65, now_ns, now_ns);
	schedule_confirm(&schedule, 0, 1, 1);
	assert_true(schedule.due_to_confirm.max >= 3000000000u);
	schedule_fini(&schedule);
	settings_fini(&s);
}

static void due_times_of_publishers_do_not_mix(void **state)
{
	struct settings s;
	struct schedule schedule;

	settings_init(&s, COMMAND_PUBLISH);
	s.rate = 1;
	s.max_messages = 16;
	assert_int_equal(schedule_init(&schedule, &s, 3), 0);
	uint64_t now_ns = clock_monotonic_ns();
	/* the same ids at each publisher, and ids that share a slot */
	for (uint64_t id = 1; id <= 16; id++) {
		schedule_publish(&schedule, 0, id, now_ns - 3000000000u, now_ns);
		schedule_publish(&schedule, 1, id, now_ns, now_ns);
		schedule_publish(&schedule, 2, id, now_ns - 9000000000u, now_ns);
	}
	assert_int_equal(schedule.slip.max, 9000000000u);
	schedule_confirm(&schedule, 1, 1, 16);
	assert_int_equal(histogram_count(&schedule.due_to_confirm), 16);
	assert_true(schedule.due_to_confirm.max < 2000000000u);
	schedule_confirm(&schedule, 0, 16, 16);
	assert_true(schedule.due_to_confirm.max >= 3000000000u && schedule.due_to_confirm.max < 9000000000u);
	schedule_fini(&schedule);
	settings_fini(&s);
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
	assert_true(fake_harewire.publishers[0].destroyed);
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
		test(the_library_is_told_how_to_reconnect),
		test(the_library_is_told_what_is_chosen_of_tcp),
		test(a_refused_login_ends_the_run_before_it_begins),
		test(a_connection_lost_and_made_again_is_no_failure_and_is_told_of),
		test(what_is_lost_with_its_connection_fails_the_run),
		test(each_kind_of_blockage_is_counted_and_timed),
		test(without_a_pace_what_is_refused_now_is_published_later),
		test(with_a_pace_what_is_refused_is_counted_and_passed_over),
		test(what_the_library_drops_is_counted_and_fails_the_run),
		test(of_many_publishers_the_summary_has_the_range_and_those_something_is_wrong_with),
		test(what_hinders_publishing_is_said_once_and_summed_up),
		test(a_closed_window_is_said_once_it_lasts),
		test(the_same_of_many_publishers_is_said_at_most_once_a_second),
		test(verbose_says_all),
		test(messages_go_to_the_publishers_in_turn_and_the_report_sums_them),
		test(one_publisher_is_reported_without_lists),
		test(every_publisher_declares_all_but_exclusive_queues_which_are_the_firsts),
		test(a_feed_is_spread_by_symbol_whatever_the_pattern),
		test(a_template_is_made_only_where_it_is_used),
		test(the_confirm_window_is_over_all_publishers),
		test(one_publisher_that_fails_ends_the_run_and_the_others_close_in_order),
		test(one_publisher_whose_login_is_refused_ends_the_run_before_it_begins),
		test(when_the_first_publisher_fails_no_other_is_opened),
		test(the_bad_outcome_of_any_publisher_fails_the_run),
		test(a_full_log_of_one_publisher_is_waited_for),
		test(publishers_go_to_the_workers_of_the_file_in_turn),
		test(workers_that_the_library_refuses_are_told_in_its_words),
		test(what_the_device_is_to_do_is_passed_on),
		test(the_summary_has_a_line_for_each_worker_and_publisher),
		test(a_capture_without_iex_and_options_it_does_not_heed_are_warned_of),
		test(a_default_that_every_worker_overrides_is_warned_of),
		test(inline_mode_runs_the_worker_while_it_waits),
		test(options_that_clash_are_wrong_usage),
		test(the_schedule_is_absolute_and_a_late_sender_does_not_move_it),
		test(a_paced_run_reports_how_late_it_was),
		test(the_schedule_is_one_over_all_publishers_and_every_message_counts_in_it),
		test(a_message_that_waits_for_room_leaves_the_due_times_of_those_in_flight_alone),
		test(due_times_of_publishers_do_not_mix),
		test(an_interrupt_stops_publishing_and_closes_in_order),
	};
	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
