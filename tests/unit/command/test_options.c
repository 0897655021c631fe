#include "tests/unit/command/command_cmocka.h"

#include "control/command/options.h"
#include "control/command/prepare.h"

#define PARSE(settings, why, ...)                                                                                      \
	options_parse(settings, (int)(sizeof(char *[]){__VA_ARGS__} / sizeof(char *)), (char *[]){__VA_ARGS__}, why,   \
		      sizeof why)

static struct settings fresh(enum subcommand command)
{
	struct settings s;
	settings_init(&s, command);
	return s;
}

#define assert_refused(command, part, ...)                                                                             \
	do {                                                                                                           \
		struct settings refused = fresh(command);                                                              \
		char reason[OPTION_WHY_MAX] = "";                                                                      \
		assert_true(PARSE(&refused, reason, __VA_ARGS__) < 0);                                                 \
		assert_says(reason, part);                                                                             \
		settings_fini(&refused);                                                                               \
	} while (0)

static void reads_every_form_of_an_option(void **state)
{
	struct settings s = fresh(COMMAND_PUBLISH);
	char why[OPTION_WHY_MAX];

	assert_int_equal(PARSE(&s, why, "--exchange", "e", "--routing-key=k=v", "-n", "5", "-p", "--size=2K", "--rate",
			       "1e3", "--timeout", "0.25", "--driver", "kernel", "--header", "a=1", "-H", "b=2",
			       "--rate", "max"),
			 0);
	assert_string_equal(s.exchange, "e");
	assert_string_equal(s.routing_key, "k=v");
	assert_int_equal(s.count, 5);
	assert_true(s.persistent);
	assert_int_equal(s.size, 2048);
	assert_true(s.rate == 0); /* the last one counts */
	assert_int_equal(s.timeout_ns, 250000000);
	assert_int_equal(s.driver, DRIVER_KERNEL);
	assert_int_equal(s.headers.count, 2);
	assert_string_equal(s.headers.items[1], "b=2");
	settings_fini(&s);
}

static void the_feeds_file_is_an_operand_and_a_dash_too(void **state)
{
	struct settings s = fresh(COMMAND_FEED);
	char why[OPTION_WHY_MAX];

	assert_int_equal(PARSE(&s, why, "--json", "-"), 0);
	assert_string_equal(s.source, "-");
	s = fresh(COMMAND_FEED);
	assert_int_equal(PARSE(&s, why, "--", "--odd.pcap"), 0);
	assert_string_equal(s.source, "--odd.pcap");
	assert_refused(COMMAND_FEED, "unexpected argument 'b'", "a", "b");
}

static void a_wrong_option_is_one_sentence_with_its_name_and_what_is_allowed(void **state)
{
	assert_refused(COMMAND_PUBLISH, "unknown option --nonesuch", "--nonesuch=3");
	assert_refused(COMMAND_PUBLISH, "unknown option -Z", "-Z");
	assert_refused(COMMAND_PUBLISH, "unknown option --prefetch", "--prefetch", "3"); /* another subcommand's */
	assert_refused(COMMAND_PUBLISH, "--rate needs a value (N|max)", "--rate");
	assert_refused(COMMAND_PUBLISH, "--rate: 'fast' is neither", "--rate", "fast");
	assert_refused(COMMAND_PUBLISH, "--rate: '0x10'", "--rate", "0x10");
	assert_refused(COMMAND_PUBLISH, "--rate: 'inf'", "--rate", "inf");
	assert_refused(COMMAND_PUBLISH, "--rate: '0'", "--rate", "0");
	assert_refused(COMMAND_PUBLISH, "--priority: '256' is not a whole number from 0 to 255", "--priority", "256");
	assert_refused(COMMAND_PUBLISH, "--priority: '-1'", "--priority", "-1");
	assert_refused(COMMAND_PUBLISH, "--count: '0'", "--count", "0");
	assert_refused(COMMAND_PUBLISH, "--count: '5x'", "--count", "5x");
	assert_refused(COMMAND_PUBLISH, "--count: ''", "--count", "");
	assert_refused(COMMAND_PUBLISH, "--size: '1T'", "--size", "1T");
	assert_refused(COMMAND_PUBLISH, "--log-bytes: '18446744073709551615G'", "--log-bytes", "18446744073709551615G");
	assert_refused(COMMAND_PUBLISH, "--driver: 'netmap' is not one of auto, af_xdp, dpdk, kernel", "--driver",
		       "netmap");
	assert_refused(COMMAND_PUBLISH, "--timeout: '-1'", "--timeout", "-1");
	assert_refused(COMMAND_PUBLISH, "--duration: '0'", "--duration", "0");
	assert_refused(COMMAND_PUBLISH, "--reconnect-min: '0' is not a number of seconds from 0.001 and at most 3600",
		       "--reconnect-min", "0");
	assert_refused(COMMAND_PUBLISH, "--delivery: 'once' is not one of at-least-once, at-most-once", "--delivery",
		       "once");
	assert_refused(COMMAND_FEED, "--policy: 'drop' is not one of buffer, refuse, drop-newest", "--policy", "drop");
	assert_refused(COMMAND_FEED, "--host-order: 'random' is not one of ordered, shuffled", "--host-order",
		       "random");
	assert_refused(COMMAND_CONSUME, "unknown option --host", "--host", "b");
	assert_refused(COMMAND_PUBLISH, "--json takes no value", "--json=yes");
	assert_refused(COMMAND_PUBLISH, "--publishers: '0' is not a whole number from 1 to 256", "--publishers", "0");
	assert_refused(COMMAND_FEED, "--publishers: '257'", "--publishers", "257");
	assert_refused(COMMAND_FEED, "--tso: 'yes' is not one of auto, on, off", "--tso", "yes");
	assert_refused(COMMAND_FEED, "--slots: 'speed' is not one of none, sequence", "--slots", "sequence,speed");
	assert_refused(COMMAND_PUBLISH, "--header: 'x' is not of the form name=value", "--header", "x");
	assert_refused(COMMAND_PUBLISH, "--property: 'x=1' is not name=value with a name of", "-P", "x=1");
	assert_refused(COMMAND_PUBLISH, "--expiration: '1s' is not a whole number", "--expiration", "1s");
}

static void no_sentence_repeats_a_secret(void **state)
{
	struct settings s = fresh(COMMAND_PUBLISH);
	char why[OPTION_WHY_MAX];

	assert_true(PARSE(&s, why, "amqp://u:hush@h") < 0);
	assert_null(strstr(why, "hush"));
	assert_true(PARSE(&s, why, "--password", "hush") < 0);
	assert_null(strstr(why, "hush"));
	assert_says(why, "HAREWIRE_PASSWORD");
	assert_true(PARSE(&s, why, "--host", "amqp://u:hush@h") < 0);
	assert_null(strstr(why, "hush"));
	assert_true(PARSE(&s, why, "--host", "u:hush@h") < 0);
	assert_null(strstr(why, "hush"));
	assert_true(PARSE(&s, why, "--pasword=hush") < 0);
	assert_null(strstr(why, "hush"));
}

static void a_host_is_a_name_and_perhaps_a_port(void **state)
{
	struct settings s = fresh(COMMAND_PUBLISH);
	char why[OPTION_WHY_MAX];

	assert_int_equal(PARSE(&s, why, "--host", "b", "--host", "10.0.0.2:5673", "--host=c.example:65535"), 0);
	assert_int_equal(s.hosts.count, 3);
	assert_string_equal(s.hosts.items[1], "10.0.0.2:5673");
	settings_fini(&s);
	assert_refused(COMMAND_PUBLISH, "--host: a host is given as NAME", "--host", "");
	assert_refused(COMMAND_PUBLISH, "--host: a host is given as NAME", "--host", ":5672");
	assert_refused(COMMAND_PUBLISH, "each host by itself", "--host", "a,b");
	assert_refused(COMMAND_PUBLISH, "IPv6 is not to be had", "--host", "[::1]:5672");
	assert_refused(COMMAND_PUBLISH, "IPv6 is not to be had", "--host", "fe80::1");
	assert_refused(COMMAND_PUBLISH, "--host: the port after the host's name is not a number from 1 to 65535",
		       "--host", "b:0");
	assert_refused(COMMAND_PUBLISH, "not a number from 1 to 65535", "--host", "b:65536");
	assert_refused(COMMAND_PUBLISH, "not a number from 1 to 65535", "--host", "b:");
	assert_refused(COMMAND_PUBLISH, "not a number from 1 to 65535", "--host", "b:+5");
	assert_refused(COMMAND_PUBLISH, "are the URL's for all of them", "--host", "u@b");
}

static int prepare_with(struct prepared *p, enum subcommand command, char *why, int argc, char *argv[])
{
	unsetenv("AMQP_URL");
	unsetenv("HAREWIRE_PASSWORD");
	unsetenv("HAREWIRE_INTERFACE");
	return prepare(p, command, argc, argv, why, OPTION_WHY_MAX);
}

#define PREPARE(p, command, why, ...)                                                                                  \
	prepare_with(p, command, why, (int)(sizeof(char *[]){__VA_ARGS__} / sizeof(char *)), (char *[]){__VA_ARGS__})

static void a_published_queue_is_declared_unless_told_otherwise(void **state)
{
	struct prepared p;
	char why[OPTION_WHY_MAX];

	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--queue", "q", "--durable", "--arg", "x-max-length=10",
				 "--arg", "x-queue-type=quorum", "--arg", "x-single-active-consumer=true"),
			 0);
	assert_int_equal(p.settings.topology.queue_count, 1);
	const struct harewire_queue *q = &p.settings.topology.queues[0];
	assert_true(q->durable);
	assert_int_equal(q->argument_count, 3);
	assert_int_equal(q->arguments[0].kind, HAREWIRE_INT64);
	assert_int_equal(q->arguments[0].integer, 10);
	assert_string_equal(q->arguments[1].string, "quorum");
	assert_int_equal(q->arguments[2].kind, HAREWIRE_BOOL);
	prepared_fini(&p);

	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--queue", "q", "--no-declare"), 0);
	assert_int_equal(p.settings.topology.queue_count, 0);
	prepared_fini(&p);
	assert_int_equal(PREPARE(&p, COMMAND_CONSUME, why, "--queue", "q"), 0);
	assert_int_equal(p.settings.topology.queue_count, 0);
	prepared_fini(&p);
	assert_int_equal(PREPARE(&p, COMMAND_CONSUME, why, "--queue", "q", "--durable"), 0);
	assert_int_equal(p.settings.topology.queue_count, 1);
	prepared_fini(&p);
}

static void a_feed_declares_its_exchange_and_binds_its_queue(void **state)
{
	struct prepared p;
	char why[OPTION_WHY_MAX];

	assert_int_equal(PREPARE(&p, COMMAND_FEED, why, "synthetic", "--queue", "q"), 0);
	const struct declarations *t = &p.settings.topology;
	assert_string_equal(t->exchanges[0].name, "md");
	assert_string_equal(t->exchanges[0].type, "topic");
	assert_true(t->exchanges[0].durable);
	assert_string_equal(t->queues[0].name, "q");
	assert_string_equal(t->bindings[0].exchange, "md");
	assert_string_equal(t->bindings[0].queue, "q");
	assert_string_equal(t->bindings[0].routing_key, "#");
	prepared_fini(&p);

	assert_int_equal(PREPARE(&p, COMMAND_FEED, why, "synthetic", "--declare-exchange", "md:fanout:auto-delete"), 0);
	assert_int_equal(p.settings.topology.exchange_count, 1);
	assert_string_equal(p.settings.topology.exchanges[0].type, "fanout");
	assert_true(p.settings.topology.exchanges[0].auto_delete);
	prepared_fini(&p);
}

static void assert_pauses(struct prepared *p, uint64_t min_ns, uint64_t max_ns)
{
	assert_int_equal(p->settings.reconnect_min_ns, min_ns);
	assert_int_equal(p->settings.reconnect_max_ns, max_ns);
	prepared_fini(p);
}

/* Whoever gives one of the two has not to know the other's default. */
static void one_pause_between_attempts_moves_the_default_of_the_other(void **state)
{
	struct prepared p;
	char why[OPTION_WHY_MAX];

	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--queue", "q"), 0);
	assert_pauses(&p, 10000000, 50000000);
	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--reconnect-min", "2"), 0);
	assert_pauses(&p, 2000000000, 2000000000);
	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--reconnect-max", "0.002"), 0);
	assert_pauses(&p, 2000000, 2000000);
	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--reconnect-max", "5"), 0);
	assert_pauses(&p, 10000000, 5000000000);
	assert_true(PREPARE(&p, COMMAND_PUBLISH, why, "--reconnect-min", "2", "--reconnect-max", "1.5") < 0);
	assert_string_equal(why, "--reconnect-min 2 is more than --reconnect-max 1.5");
	prepared_fini(&p);
}

static void more_hosts_than_a_publisher_takes_are_refused(void **state)
{
	char *argv[32];
	struct prepared p;
	char why[OPTION_WHY_MAX];

	for (int i = 0; i < 32; i++)
		argv[i] = i % 2 ? "b" : "--host";
	assert_int_equal(prepare_with(&p, COMMAND_PUBLISH, why, 30, argv), 0);
	prepared_fini(&p);
	assert_true(prepare_with(&p, COMMAND_PUBLISH, why, 32, argv) < 0);
	assert_string_equal(why, "--host: 16 hosts beside the URL's are more than 15");
	prepared_fini(&p);
}

static void a_wrong_declaration_names_its_option(void **state)
{
	struct prepared p;
	char why[OPTION_WHY_MAX];

	assert_true(PREPARE(&p, COMMAND_PUBLISH, why, "--declare-exchange", "x") < 0);
	assert_says(why, "--declare-exchange: 'x': an exchange is given as NAME:TYPE");
	prepared_fini(&p);
	assert_true(PREPARE(&p, COMMAND_PUBLISH, why, "--declare-queue", "x:forever") < 0);
	assert_says(why, "--declare-queue: 'x:forever': 'forever' is not one of durable");
	prepared_fini(&p);
	assert_true(PREPARE(&p, COMMAND_PUBLISH, why, "--bind", "x") < 0);
	assert_says(why, "--bind: 'x': a binding is given as");
	prepared_fini(&p);
	assert_int_equal(PREPARE(&p, COMMAND_PUBLISH, why, "--bind", "x:q:a:b"), 0);
	assert_string_equal(p.settings.topology.bindings[0].routing_key, "a:b");
	prepared_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_form_of_an_option),
		cmocka_unit_test(the_feeds_file_is_an_operand_and_a_dash_too),
		cmocka_unit_test(a_wrong_option_is_one_sentence_with_its_name_and_what_is_allowed),
		cmocka_unit_test(no_sentence_repeats_a_secret),
		cmocka_unit_test(a_host_is_a_name_and_perhaps_a_port),
		cmocka_unit_test(one_pause_between_attempts_moves_the_default_of_the_other),
		cmocka_unit_test(more_hosts_than_a_publisher_takes_are_refused),
		cmocka_unit_test(a_published_queue_is_declared_unless_told_otherwise),
		cmocka_unit_test(a_feed_declares_its_exchange_and_binds_its_queue),
		cmocka_unit_test(a_wrong_declaration_names_its_option),
	};
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
