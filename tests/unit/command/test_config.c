#include "tests/unit/command/command_cmocka.h"

#include <stdio.h>

#include "control/command/config.h"
#include "control/command/options.h"
#include "control/command/prepare.h"

static char path[64];

static int load_mode(const char *text, mode_t mode, enum subcommand command, struct settings *s, struct config **c,
		     char *why)
{
	write_file(path, text, mode);
	settings_init(s, command);
	*c = NULL;
	int code = config_load(path, s, c, why, OPTION_WHY_MAX);
	unlink(path);
	return code;
}

static void assert_refused(const char *text, int line, const char *sentence)
{
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX] = "", place[96];

	assert_true(load_mode(text, 0600, COMMAND_PUBLISH, &s, &c, why) < 0);
	snprintf(place, sizeof place, "%s:%d: ", path, line);
	assert_says(why, place);
	assert_says(why, sentence);
	settings_fini(&s);
	config_free(c);
}

static void reads_every_section_and_those_of_other_subcommands_do_not_count(void **state)
{
	static const char text[] = "broker:\n  url: amqp://me@there/\n  heartbeat: 3\n"
				   "driver:\n  driver: af_xdp\n  inline: true\n  log-bytes: 1M\n"
				   "topology:\n"
				   "  exchanges:\n    - name: md\n      type: topic\n      durable: true\n"
				   "  queues:\n    - {name: q, arguments: [x-max-length=5]}\n"
				   "  bindings:\n    - exchange: md\n      queue: q\n      routing-key: '#'\n"
				   "publish:\n  exchange: md\n  rate: 10.5\n  persistent: yes\n  header: [a=1, b=c]\n"
				   "feed:\n  exchange: other\n  symbols: 7\n";
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	if (load_mode(text, 0644, COMMAND_PUBLISH, &s, &c, why))
		fail_msg("%s", why);
	assert_string_equal(s.url, "amqp://me@there/");
	assert_int_equal(s.heartbeat_s, 3);
	assert_int_equal(s.driver, DRIVER_AF_XDP);
	assert_true(s.inline_worker);
	assert_int_equal(s.log_bytes, 1 << 20);
	assert_string_equal(s.exchange, "md");
	assert_true(s.rate == 10.5);
	assert_true(s.persistent);
	assert_int_equal(s.headers.count, 2);
	assert_string_equal(s.headers.items[1], "b=c");
	assert_true(s.symbols == SETTING_UNSET);
	assert_int_equal(s.topology.exchange_count, 1);
	assert_true(s.topology.exchanges[0].durable);
	assert_int_equal(s.topology.queues[0].arguments[0].integer, 5);
	assert_string_equal(s.topology.bindings[0].routing_key, "#");
	settings_fini(&s);
	config_free(c);
}

static void an_unknown_key_is_refused_with_line_and_name(void **state)
{
	assert_refused("publish:\n  exchange: a\n  foo: 3\n", 3, "unknown key 'foo'");
	assert_refused("publish:\n  exchange: a\n\n# a comment\nfoo: 3\n", 5, "unknown key 'foo'");
	assert_refused("publish:\n  prefetch: 3\n", 2, "unknown key 'prefetch'"); /* consume's */
	assert_refused("topology:\n  queues:\n    - name: q\n      lazy: true\n", 4, "unknown key 'lazy'");
	assert_refused("publish: {exchange: a, foo: 3}\n", 1, "unknown key 'foo'");
	assert_refused("publish:\n  config: x\n", 2, "unknown key 'config'");
}

static void a_wrong_type_is_refused_with_line_and_name(void **state)
{
	assert_refused("publish:\n  exchange: [a]\n", 2, "exchange: must be a single value");
	assert_refused("publish:\n  exchange:\n    a: b\n", 3, "exchange: must be a single value");
	assert_refused("publish:\n  header: a=b\n", 2, "header: must be a list");
	assert_refused("publish: 3\n", 1, "publish: must be a mapping");
	assert_refused("topology:\n  queues:\n    - name: q\n      durable: maybe\n", 4,
		       "durable: must be true or false");
	assert_refused("topology:\n  queues:\n    - durable: true\n", 3, "'name' is missing");
}

static void a_wrong_value_is_refused_with_line_and_name_in_any_section(void **state)
{
	assert_refused("feed:\n  rate: 1\npublish:\n  exchange: a\n  rate: fast\n", 5, "rate: 'fast' is neither");
	assert_refused("publish:\n  exchange: a\nfeed:\n  symbols: 0\n", 4,
		       "symbols: '0' is not a whole number from 1");
	assert_refused("driver:\n  driver: netmap\n", 2, "driver: 'netmap' is not one of auto, af_xdp, dpdk, kernel");
	assert_refused("publish:\n  persistent: maybe\n", 2, "persistent: 'maybe' is not true or false");
	assert_refused("topology:\n  bindings:\n    - exchange: b\n      queue: q\n    - exchange: a\n", 5,
		       "bindings: a binding of a needs either queue or to-exchange");
	assert_refused("topology:\n  queues:\n    - name: q\n      arguments: [x]\n", 3,
		       "'x' is not of the form name=value");
}

/* As flags they are looked at late; in a file they have a line. */
static void what_is_given_as_a_text_is_checked_where_it_stands(void **state)
{
	assert_refused("publish:\n  exchange: a\n  header:\n    - a=1\n    # not so\n    - source\n", 6,
		       "header: 'source' is not of the form name=value");
	assert_refused("feed:\n  header: [a=1,\n    source]\n", 3, "header: 'source' is not of the form");
	assert_refused("publish:\n  property: [type=x, colour=red]\n", 2, "property: 'colour=red' is not name=value");
	assert_refused("feed:\n  slots: sequence,speed\n", 2, "slots: 'speed' is not one of none, sequence");
	assert_refused("publish:\n  expiration: soon\n", 2, "expiration: 'soon' is not a whole number");
	assert_refused("consume:\n  arg: [x-max-length]\n", 2, "arg: 'x-max-length' is not of the form");
	assert_refused("feed:\n  rate: 1\n  pattern: md.{sybol}\n", 3, "pattern: ");
	assert_refused("feed:\n  declare-exchange: [x]\n", 2, "declare-exchange: 'x': an exchange is given as");
	assert_refused("feed:\n  declare-queue: [q:forever]\n", 2,
		       "declare-queue: 'q:forever': 'forever' is not one of");
	assert_refused("feed:\n  bind: [x]\n", 2, "bind: 'x': a binding is given as");
}

static void a_second_document_is_refused_with_its_line(void **state)
{
	assert_refused("publish:\n  exchange: a\n---\npublish:\n  rate: 5\n", 3, "a second YAML document begins here");
	assert_refused("---\npublish:\n  exchange: a\n...\n---\n", 5, "a second YAML document begins here");
	assert_refused("publish:\n  exchange: a\n---\nrate: [\n", 5, "a second YAML document begins here");
}

static void one_document_may_have_its_marks(void **state)
{
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	if (load_mode("%YAML 1.1\n---\npublish:\n  exchange: a\n...\n# the end\n", 0644, COMMAND_PUBLISH, &s, &c, why))
		fail_msg("%s", why);
	assert_string_equal(s.exchange, "a");
	settings_fini(&s);
	config_free(c);
}

static void every_key_of_a_dpdk_port_is_read(void **state)
{
	static const char text[] = "driver:\n  driver: dpdk\n  device: 0000:3b:00.0\n  address: 10.1.2.3/24\n"
				   "  gateway: 10.1.2.1\n  vlan: 7\n  mtu: 9000\n  eal: --no-huge -m 64\n"
				   "  checksum-offload: on\n  tso: off\n  telemetry: true\n  nic-queue: 2\n";
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	if (load_mode(text, 0644, COMMAND_FEED, &s, &c, why))
		fail_msg("%s", why);
	assert_int_equal(s.driver, DRIVER_DPDK);
	assert_string_equal(s.device, "0000:3b:00.0");
	assert_string_equal(s.address, "10.1.2.3/24");
	assert_string_equal(s.gateway, "10.1.2.1");
	assert_int_equal(s.vlan, 7);
	assert_int_equal(s.mtu, 9000);
	assert_string_equal(s.eal, "--no-huge -m 64");
	assert_int_equal(s.checksum_offload, HAREWIRE_USE_ON);
	assert_int_equal(s.tso, HAREWIRE_USE_OFF);
	assert_true(s.telemetry);
	assert_int_equal(s.nic_queue, 2);
	settings_fini(&s);
	config_free(c);
	assert_refused("driver:\n  vlan: 0\n", 2, "vlan: '0' is not a whole number from 1 to 4094");
	assert_refused("driver:\n  driver: dpdk\n  mtu: 100\n", 3, "mtu: '100' is not a whole number from 576");
	assert_refused("driver:\n  tso: maybe\n", 2, "tso: 'maybe' is not one of auto, on, off");
	assert_refused("driver:\n  checksum-offload: 1\n", 2, "checksum-offload: '1' is not one of auto, on, off");
	assert_refused("driver:\n  telemetry: 1\n", 2, "telemetry: '1' is not true or false");
	assert_refused("driver:\n  publishers: 257\n", 2, "publishers: '257' is not a whole number from 1 to 256");
}

static void a_worker_has_what_its_entry_says_and_no_more(void **state)
{
	static const char text[] = "driver:\n  driver: dpdk\n  cpu: 9\n  address: 10.0.0.1/8\n"
				   "workers:\n"
				   "  - core: 3\n    driver: af_xdp\n    interface: eth1\n    queue: 5\n"
				   "  - {core: 4, device: '0000:3b:00.0', queue: 0, address: 10.1.2.3/24,\n"
				   "     gateway: 10.1.2.1, vlan: 7, mtu: 9000}\n"
				   "  - {}\n";
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	if (load_mode(text, 0644, COMMAND_PUBLISH, &s, &c, why))
		fail_msg("%s", why);
	assert_int_equal(s.worker_count, 3);
	const struct harewire_worker_options *w = s.workers;
	assert_int_equal(w[0].cpu, 3);
	assert_string_equal(w[0].driver, "af_xdp");
	assert_string_equal(w[0].interface, "eth1");
	assert_int_equal(w[0].queue, 5);
	assert_null(w[0].address); /* the library takes it from the options, where the driver needs one */
	assert_int_equal(w[1].cpu, 4);
	assert_null(w[1].driver);
	assert_string_equal(w[1].device, "0000:3b:00.0");
	assert_int_equal(w[1].queue, 0);
	assert_string_equal(w[1].address, "10.1.2.3/24");
	assert_string_equal(w[1].gateway, "10.1.2.1");
	assert_int_equal(w[1].vlan, 7);
	assert_int_equal(w[1].mtu, 9000);
	assert_int_equal(w[2].cpu, -1);
	assert_int_equal(w[2].queue, -1);
	assert_null(w[2].interface);
	assert_int_equal(s.cpu, 9);
	settings_fini(&s);
	config_free(c);
}

static void a_wrong_worker_is_refused_with_line_and_key(void **state)
{
	char text[1024] = "workers:\n";

	assert_refused("workers:\n  - core: 3\n  - queue: 1\n    core: x\n", 4,
		       "core: 'x' is not a whole number from 0");
	assert_refused("workers: [{core: 3},\n  {core: 4,\n   driver: netmap}]\n", 3,
		       "driver: 'netmap' is not one of auto, af_xdp, dpdk, kernel");
	assert_refused("workers:\n  - core: 3\n  - vlan: 4095\n", 3, "vlan: '4095' is not a whole number");
	assert_refused("workers:\n  - mtu: 1500\n  - mtu: 10\n", 3, "mtu: '10' is not a whole number");
	assert_refused("workers:\n  - queue: -1\n", 2, "queue: '-1' is not a whole number");
	assert_refused("workers:\n  - cpu: 3\n", 2, "unknown key 'cpu'");
	assert_refused("workers:\n  - core: [3]\n", 2, "core: must be a single value");
	assert_refused("workers:\n  core: 3\n", 2, "workers: must be a list");
	for (int i = 0; i < 17; i++)
		strcat(text, "  - {}\n");
	assert_refused(text, 1, "workers: 17 are more than 16");
}

static void what_is_no_yaml_is_refused_with_its_line(void **state)
{
	assert_refused("publish:\n  exchange: a\n   rate: 3\n", 2, "mapping values are not allowed");
	assert_refused("publish:\n  exchange: a\n  exchange: b\n", 2, "exchange: given twice");
	assert_refused("publish:\n  exchange: &x a\n  routing-key: *x\n", 3, "routing-key: ");
}

static void an_empty_file_and_an_empty_section_are_no_mistake(void **state)
{
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	assert_int_equal(load_mode("", 0644, COMMAND_PUBLISH, &s, &c, why), 0);
	config_free(c);
	assert_int_equal(load_mode("# nothing\npublish:\nbroker:\n", 0644, COMMAND_PUBLISH, &s, &c, why), 0);
	config_free(c);
}

static void a_password_is_refused_in_a_file_that_others_may_read(void **state)
{
	static const char *const texts[] = {"broker:\n  password: hush\n", "broker:\n  url: amqp://u:hush@h\n"};
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	for (int i = 0; i < 2; i++) {
		assert_true(load_mode(texts[i], 0640, COMMAND_FEED, &s, &c, why) < 0);
		assert_says(why, "mode is 0640: chmod 600 /tmp/");
		assert_null(strstr(why, "hush"));
		config_free(c);
		assert_int_equal(load_mode(texts[i], 0600, COMMAND_FEED, &s, &c, why), 0);
		config_free(c);
	}
	assert_int_equal(load_mode("broker:\n  url: amqp://u@h\n", 0644, COMMAND_FEED, &s, &c, why), 0);
	config_free(c);
}

static void further_hosts_are_a_list_and_each_is_checked(void **state)
{
	static const char text[] = "broker:\n  url: amqp://a\n  hosts:\n    - b\n    - c:5673\n  host-order: shuffled\n"
				   "  reconnect-min: 0.5\n  reconnect-max: 2\n  reconnect-timeout: 60\n"
				   "  delivery: at-most-once\n  policy: drop-newest\n  confirm-timeout: 5\n"
				   "  blocked-timeout: 9\n";
	struct settings s;
	struct config *c;
	char why[OPTION_WHY_MAX];

	if (load_mode(text, 0644, COMMAND_FEED, &s, &c, why))
		fail_msg("%s", why);
	assert_int_equal(s.hosts.count, 2);
	assert_string_equal(s.hosts.items[0], "b");
	assert_string_equal(s.hosts.items[1], "c:5673");
	assert_int_equal(s.host_order, HAREWIRE_HOSTS_SHUFFLED);
	assert_int_equal(s.reconnect_min_ns, 500000000);
	assert_int_equal(s.reconnect_max_ns, 2000000000);
	assert_int_equal(s.reconnect_timeout_ns, 60000000000);
	assert_int_equal(s.delivery, HAREWIRE_AT_MOST_ONCE);
	assert_int_equal(s.policy, HAREWIRE_DROP_NEWEST);
	assert_int_equal(s.confirm_timeout_ns, 5000000000);
	assert_int_equal(s.blocked_timeout_ns, 9000000000);
	settings_fini(&s);
	config_free(c);
	assert_refused("broker:\n  hosts:\n    - b\n    - c:x\n", 4, "hosts: the port after the host's name");
	assert_refused("broker:\n  hosts: b\n", 2, "hosts: must be a list");
	assert_refused("broker:\n  host: [b]\n", 2, "unknown key 'host'");
	assert_refused("broker:\n  policy: wait\n", 2, "policy: 'wait' is not one of buffer, refuse, drop-newest");
	assert_refused("broker:\n  password-credential: a/b\n", 2, "'a/b' is not the name of a file");
}

static void flags_override_the_file(void **state)
{
	struct prepared p;
	char why[OPTION_WHY_MAX];

	write_file(path, "publish:\n  exchange: a\n  rate: 5\n  header: [x=1]\n", 0644);
	char *argv[] = {"--rate", "7", "--config", path, "--header", "y=2"};
	assert_int_equal(prepare(&p, COMMAND_PUBLISH, 6, argv, why, sizeof why), 0);
	assert_string_equal(p.settings.exchange, "a");
	assert_true(p.settings.rate == 7);
	assert_int_equal(p.settings.headers.count, 2); /* lists grow */
	prepared_fini(&p);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_section_and_those_of_other_subcommands_do_not_count),
		cmocka_unit_test(an_unknown_key_is_refused_with_line_and_name),
		cmocka_unit_test(a_wrong_type_is_refused_with_line_and_name),
		cmocka_unit_test(a_wrong_value_is_refused_with_line_and_name_in_any_section),
		cmocka_unit_test(what_is_given_as_a_text_is_checked_where_it_stands),
		cmocka_unit_test(a_second_document_is_refused_with_its_line),
		cmocka_unit_test(one_document_may_have_its_marks),
		cmocka_unit_test(every_key_of_a_dpdk_port_is_read),
		cmocka_unit_test(a_worker_has_what_its_entry_says_and_no_more),
		cmocka_unit_test(a_wrong_worker_is_refused_with_line_and_key),
		cmocka_unit_test(what_is_no_yaml_is_refused_with_its_line),
		cmocka_unit_test(an_empty_file_and_an_empty_section_are_no_mistake),
		cmocka_unit_test(a_password_is_refused_in_a_file_that_others_may_read),
		cmocka_unit_test(further_hosts_are_a_list_and_each_is_checked),
		cmocka_unit_test(flags_override_the_file),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
