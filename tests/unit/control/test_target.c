/* A publisher's options: what is refused in words, and what a connection is made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/target.h"
#include "dataplane/base/error.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MS           1000000ull
#define HOUR         (3600000 * MS)

static struct target target;

static struct harewire_publisher_options defaults(void)
{
	struct harewire_publisher_options o;
	harewire_publisher_options_init(&o);
	return o;
}

/* Refused, and the sentence contains `words`. */
static void refused(const struct harewire_publisher_options *o, const char *words)
{
	char why[512] = "";
	assert_int_equal(target_make(o, &target, why, sizeof why), HW_ERR_INVALID);
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_int_equal(target_make(o, &target, NULL, 0), HW_ERR_INVALID); /* nobody has to listen */
}

static void taken(const struct harewire_publisher_options *o)
{
	char why[512] = "";
	if (target_make(o, &target, why, sizeof why))
		fail_msg("%s", why);
	topology_free(&target.topology);
}

static void defaults_are_taken_and_carried(void **state)
{
	struct harewire_publisher_options o = defaults();
	taken(&o);
	assert_int_equal(target.host_count, 1);
	assert_string_equal(target.hosts[0].name, "localhost");
	assert_int_equal(target.hosts[0].port, 5672);
	assert_false(target.shuffle);
	assert_string_equal(target.user, "guest");
	assert_string_equal(target.password, "guest");
	assert_string_equal(target.password_file, "");
	assert_string_equal(target.vhost, "/");
	assert_string_equal(target.connection_name, "harewire");
	assert_int_equal(target.frame_max, 131072);
	assert_int_equal(target.heartbeat_s, 10);
	assert_int_equal(target.connect_timeout_ns, 10000 * MS);
	assert_int_equal(target.user_timeout_ns, 10000 * MS);
	assert_int_equal(target.rto_min_ns, 5 * MS);
	assert_int_equal(target.tuning.congestion, STREAM_CUBIC);
	assert_int_equal(target.tuning.congestion_window, 0);
	assert_int_equal(target.tuning.keepalive_ns, 0);
	assert_false(target.tuning.ecn || target.tuning.restart_after_idle);
	assert_int_equal(target.reconnect_min_ns, 10 * MS);
	assert_int_equal(target.reconnect_max_ns, 50 * MS);
	assert_int_equal(target.reconnect_timeout_ns, 0);
}

static void what_is_given_is_carried(void **state)
{
	const char *const hosts[] = {"mq2", "10.1.2.3:5673", "mq2"};
	const struct harewire_queue queue = {.name = "ticks"};
	struct harewire_publisher_options o = defaults();
	o.url = "amqp://feed:secret@mq1:5680/md";
	o.hosts = hosts;
	o.host_count = 3;
	o.host_order = HAREWIRE_HOSTS_SHUFFLED;
	o.reconnect_min_ns = 3 * MS;
	o.reconnect_max_ns = 4 * MS;
	o.reconnect_timeout_ns = 5 * MS;
	o.congestion = HAREWIRE_NO_CONGESTION_CONTROL;
	o.congestion_window = 65536;
	o.ecn = o.restart_after_idle = 1;
	o.keepalive_ns = 6 * MS;
	o.connection_name = "feed-1";
	o.queues = &queue;
	o.queue_count = 1;
	char why[256];
	assert_int_equal(target_make(&o, &target, why, sizeof why), 0);
	assert_string_equal(target.topology.queues[0].name, "ticks");
	topology_free(&target.topology);
	assert_int_equal(target.host_count, 4);
	assert_string_equal(target.hosts[0].name, "mq1");
	assert_int_equal(target.hosts[0].port, 5680);
	assert_string_equal(target.hosts[1].name, "mq2");
	assert_int_equal(target.hosts[1].port, 5680); /* the URL's */
	assert_string_equal(target.hosts[2].name, "10.1.2.3");
	assert_int_equal(target.hosts[2].port, 5673);
	assert_string_equal(target.hosts[3].name, "mq2"); /* twice is twice */
	assert_true(target.shuffle);
	assert_string_equal(target.user, "feed");
	assert_string_equal(target.password, "secret");
	assert_string_equal(target.vhost, "md");
	assert_string_equal(target.connection_name, "feed-1");
	assert_int_equal(target.reconnect_min_ns, 3 * MS);
	assert_int_equal(target.reconnect_max_ns, 4 * MS);
	assert_int_equal(target.reconnect_timeout_ns, 5 * MS);
	assert_int_equal(target.tuning.congestion, STREAM_NO_CONTROL);
	assert_int_equal(target.tuning.congestion_window, 65536);
	assert_int_equal(target.tuning.keepalive_ns, 6 * MS);
	assert_true(target.tuning.ecn);
	assert_true(target.tuning.restart_after_idle);
}

/* ---- numbers ---- */

/* Every number's place, its limits, and what is said beyond them. Zero for a limit that cannot be passed. */
static const struct {
	size_t offset, bytes;
	uint64_t least, most;
	bool zero_too;
	const char *words;
} numbers[] = {
#define NUMBER(name, least, most, zero_too, words)                                                                     \
	{                                                                                                              \
		offsetof(struct harewire_publisher_options, name),                                                     \
			sizeof((struct harewire_publisher_options *)0)->name, least, most, zero_too,                   \
			#name " must be " words                                                                        \
	}
	NUMBER(frame_max, 4096, 1048576, false, "4096 to 1048576 octets"),
	NUMBER(heartbeat_s, 0, 65535, true, "0 to 65535 seconds"),
	NUMBER(log_bytes, 1, 1ull << 40, false, "1 to 2^40"),
	NUMBER(max_messages, 1, 1ull << 32, false, "1 to 2^32"),
	NUMBER(max_templates, 1, UINT32_MAX, false, "at least 1"),
	NUMBER(connect_timeout_ns, 1, 24 * HOUR, false, "more than 0 and at most a day"),
	NUMBER(user_timeout_ns, 0, 24 * HOUR, true, "at most a day"),
	NUMBER(rto_min_ns, MS, 60000 * MS, false, "a millisecond to a minute"),
	NUMBER(reconnect_min_ns, MS, 50 * MS, false, "a millisecond to reconnect_max_ns"), /* its default */
	NUMBER(reconnect_max_ns, 10 * MS, HOUR, false, ""), /* below it reconnect_min_ns is at fault */
	NUMBER(reconnect_timeout_ns, MS, 365 * 24 * HOUR, true, "0 (never) or a millisecond to a year"),
	NUMBER(confirm_timeout_ns, MS, 24 * HOUR, true, "0 (never) or a millisecond to a day"),
	NUMBER(congestion_window, 4096, 1u << 30, true, "0 or 4096 to 2^30 octets"),
	NUMBER(keepalive_ns, MS, 24 * HOUR, true, "0 (never) or a millisecond to a day"),
	NUMBER(blocked_timeout_ns, MS, 24 * HOUR, true, "0 (never) or a millisecond to a day"),
};

static struct harewire_publisher_options with_number(size_t i, uint64_t value)
{
	struct harewire_publisher_options o = defaults();
	uint32_t small = (uint32_t)value;
	void *place = (char *)&o + numbers[i].offset;
	if (numbers[i].bytes == sizeof small)
		memcpy(place, &small, sizeof small);
	else
		memcpy(place, &value, sizeof value);
	return o;
}

static void numbers_out_of_range_are_refused_and_limits_taken(void **state)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		uint64_t widest = numbers[i].bytes == 4 ? UINT32_MAX : UINT64_MAX;
		struct harewire_publisher_options o = with_number(i, numbers[i].least);
		taken(&o);
		o = with_number(i, numbers[i].most);
		taken(&o);
		const char *words = numbers[i].words;
		if (numbers[i].least > 1) {
			o = with_number(i, numbers[i].least - 1);
			refused(&o, words[0] == 'r' && strlen(words) < 30 ? "reconnect_min_ns" : words);
		}
		o = with_number(i, 0);
		if (numbers[i].zero_too)
			taken(&o);
		else
			refused(&o, " must be ");
		if (numbers[i].most == widest)
			continue;
		o = with_number(i, numbers[i].most + 1);
		refused(&o, words);
		o = with_number(i, widest);
		refused(&o, words);
	}
}

static void a_pause_longer_than_the_longest_is_refused_by_its_name(void **state)
{
	struct harewire_publisher_options o = defaults();
	o.reconnect_max_ns = MS - 1;
	refused(&o, "reconnect_max_ns must be a millisecond to an hour, not 999999");
	o.reconnect_max_ns = 9 * MS;
	refused(&o, "reconnect_min_ns must be a millisecond to reconnect_max_ns, not 10000000");
	o.reconnect_min_ns = o.reconnect_max_ns;
	taken(&o);
}

static void choices_that_do_not_exist_are_refused(void **state)
{
	struct harewire_publisher_options o = defaults();
	o.host_order = (enum harewire_host_order)2;
	refused(&o, "host_order must be HAREWIRE_HOSTS_ORDERED or HAREWIRE_HOSTS_SHUFFLED");
	o = defaults();
	o.delivery = (enum harewire_delivery)2;
	refused(&o, "delivery must be HAREWIRE_AT_LEAST_ONCE or HAREWIRE_AT_MOST_ONCE");
	o = defaults();
	o.policy = (enum harewire_policy)3;
	refused(&o, "policy must be HAREWIRE_BUFFER, HAREWIRE_REFUSE or HAREWIRE_DROP_NEWEST");
	o.policy = (enum harewire_policy) - 1;
	refused(&o, "policy must be");
	o.policy = HAREWIRE_DROP_NEWEST;
	o.delivery = HAREWIRE_AT_MOST_ONCE;
	taken(&o);
}

/* ---- hosts ---- */

static void one_host(struct harewire_publisher_options *o, const char *const *host)
{
	*o = defaults();
	o->hosts = host;
	o->host_count = 1;
}

static void hosts_that_are_none_are_refused_with_their_place(void **state)
{
	static char long_name[257];
	memset(long_name, 'a', sizeof long_name - 1);
	const struct {
		const char *host, *words;
	} bad[] = {
		{NULL, "hosts[0] is NULL"},
		{"", "hosts[0] is empty"},
		{":5672", "hosts[0] ':5672' has no name"},
		{"mq1:", "hosts[0] 'mq1:' has a port that is not a number from 1 to 65535"},
		{"mq1:0", "has a port"},
		{"mq1:65536", "has a port"},
		{"mq1:4294967297", "has a port"},
		{"mq1:99999", "has a port"},
		{"mq1:+1", "has a port"},
		{"mq1:5672x", "has a port"},
		{"mq1: 5672", "has a port"},
		{"::1", "hosts[0] '::1' is an IPv6 address"},
		{"[::1]:5672", "is an IPv6 address"},
		{"[mq1]", "is an IPv6 address"},
		{"fe80::1%eth0", "is an IPv6 address"},
		{"mq 1", "is neither a name nor an IPv4 address"},
		{"amqp://mq1", "hosts[0] 'amqp://mq1' is a URL"},
		{"user@mq1", "is neither a name nor an IPv4 address"},
		{"mq1/vhost", "is neither a name nor an IPv4 address"},
		{"br\xc3\xbcssel", "is neither a name nor an IPv4 address"},
		{"mq1\n", "is neither a name nor an IPv4 address"},
		{"10.1.2", "is neither a name nor an IPv4 address"},
		{"10.1.2.300:5672", "is neither a name nor an IPv4 address"},
		{"mq.1", "is neither a name nor an IPv4 address"},
		{long_name, "has a name of more than 255 octets"},
	};
	struct harewire_publisher_options o;
	for (size_t i = 0; i < COUNT(bad); i++) {
		one_host(&o, &bad[i].host);
		refused(&o, bad[i].words);
	}
	static const char *const secret[] = {"amqp://me:sesame@mq1", "me:sesame@mq1"};
	char why[256];
	for (size_t i = 0; i < COUNT(secret); i++) {
		one_host(&o, &secret[i]);
		assert_int_not_equal(target_make(&o, &target, why, sizeof why), 0);
		assert_null(strstr(why, "sesame"));
	}
	const char *const second[] = {"mq1", "mq2:x"};
	o.hosts = second;
	o.host_count = 2;
	refused(&o, "hosts[1] 'mq2:x'");
}

static void hosts_are_names_or_addresses_with_or_without_a_port(void **state)
{
	static char longest[256];
	memset(longest, 'a', sizeof longest - 1);
	const struct {
		const char *host, *name;
		uint16_t port;
	} good[] = {
		{"mq1", "mq1", 5672},
		{"mq1:1", "mq1", 1},
		{"MQ-1.example_net:65535", "MQ-1.example_net", 65535},
		{"10.1.2.3:05672", "10.1.2.3", 5672},
		{"10.example", "10.example", 5672},
		{longest, longest, 5672},
	};
	struct harewire_publisher_options o;
	for (size_t i = 0; i < COUNT(good); i++) {
		one_host(&o, &good[i].host);
		taken(&o);
		assert_int_equal(target.host_count, 2);
		assert_string_equal(target.hosts[1].name, good[i].name);
		assert_int_equal(target.hosts[1].port, good[i].port);
	}
}

static void as_many_hosts_as_there_is_room_for(void **state)
{
	const char *hosts[HAREWIRE_HOSTS_MAX];
	struct harewire_publisher_options o = defaults();
	for (size_t i = 0; i < COUNT(hosts); i++)
		hosts[i] = "mq";
	o.hosts = hosts;
	o.host_count = HAREWIRE_HOSTS_MAX - 1;
	taken(&o);
	assert_int_equal(target.host_count, HAREWIRE_HOSTS_MAX);
	o.host_count = HAREWIRE_HOSTS_MAX;
	refused(&o, "host_count must be 0 to 15, not 16");
	o.host_count = UINT32_MAX;
	refused(&o, "host_count must be");
	o.hosts = NULL;
	o.host_count = 1;
	refused(&o, "hosts is NULL, but host_count is 1");
}

/* ---- words ---- */

static void a_password_comes_from_one_place(void **state)
{
	static char path[4097];
	struct harewire_publisher_options o = defaults();
	o.password_file = "/run/secrets/mq";
	taken(&o);
	assert_string_equal(target.password_file, "/run/secrets/mq");
	assert_string_equal(target.password, ""); /* nothing that could be sent by mistake */
	o.password = "hunter2";
	char why[512];
	assert_int_equal(target_make(&o, &target, why, sizeof why), HW_ERR_INVALID);
	assert_string_equal(why, "password and password_file are both given: leave one of them out");
	o.password_file = "";
	o.password = NULL;
	refused(&o, "password_file is empty");
	memset(path, '/', sizeof path - 1);
	o.password_file = path;
	refused(&o, "the path in password_file is longer than 4095 octets");
	path[4095] = '\0';
	taken(&o);
}

static void texts_that_do_not_fit_are_refused_without_quoting_them(void **state)
{
	static char text[2000];
	memset(text, 's', sizeof text - 1);
	struct harewire_publisher_options o = defaults();
	o.password = text;
	refused(&o, "the password is longer than 1023 octets");
	assert_null(memchr(target.password, 's', sizeof target.password));
	o = defaults();
	o.user = text;
	refused(&o, "the user is longer than 255 octets");
	o = defaults();
	o.vhost = text;
	refused(&o, "the vhost is longer than 255 octets");
	o = defaults();
	o.connection_name = text;
	refused(&o, "the connection name is longer than 255 octets");
}

static void what_others_refuse_is_passed_on(void **state)
{
	struct harewire_publisher_options o = defaults();
	const struct harewire_queue nameless = {.name = ""};
	o.url = "http://mq1";
	refused(&o, "the URL does not begin with amqp://");
	o = defaults();
	o.queues = &nameless;
	o.queue_count = 1;
	refused(&o, topology_check(&o));
	o = defaults();
	o.url = "amqps://mq1";
	assert_int_equal(target_make(&o, &target, NULL, 0), HW_ERR_UNSUPPORTED);
	o.url = NULL;
	taken(&o);
	assert_string_equal(target.hosts[0].name, "localhost");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_taken_and_carried),
		cmocka_unit_test(what_is_given_is_carried),
		cmocka_unit_test(numbers_out_of_range_are_refused_and_limits_taken),
		cmocka_unit_test(a_pause_longer_than_the_longest_is_refused_by_its_name),
		cmocka_unit_test(choices_that_do_not_exist_are_refused),
		cmocka_unit_test(hosts_that_are_none_are_refused_with_their_place),
		cmocka_unit_test(hosts_are_names_or_addresses_with_or_without_a_port),
		cmocka_unit_test(as_many_hosts_as_there_is_room_for),
		cmocka_unit_test(a_password_comes_from_one_place),
		cmocka_unit_test(texts_that_do_not_fit_are_refused_without_quoting_them),
		cmocka_unit_test(what_others_refuse_is_passed_on),
	};
	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
