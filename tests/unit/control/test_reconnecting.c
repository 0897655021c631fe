/*
 * A whole engine over kernel sockets, whose brokers are played here: what control makes of connections that cannot be
 * made or are lost. The worker is inline, so it is this thread's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"
#include "tests/lib/played_broker.h"

#define BROKERS     3u
#define PATIENCE_NS 20000000000ull
#define SECOND_NS   1000000000ull

static struct played_broker brokers[BROKERS];
static struct harewire *hw;
static struct harewire_publisher *publisher;
static struct harewire_publisher_options options;
static uint32_t template_id;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[16384];
static char failure[512]; /* the text of FAILED or DISCONNECTED, whichever came last */
static char password_path[64];

/* What the application has been told. */
static struct {
	uint32_t ready, disconnected, closed, failed;
	int code;
	uint64_t confirmed, unconfirmed;
	char where[300]; /* of the last READY */
} told;

/* ---- the engine ---- */

/* The control thread's. */
static void log_line(void *context, enum harewire_log_level level, const char *line)
{
	pthread_mutex_lock(&log_lock);
	size_t len = strlen(log_text);
	snprintf(log_text + len, sizeof log_text - len, "%d %s\n", (int)level, line);
	pthread_mutex_unlock(&log_lock);
}

/* How many times. */
static uint32_t logged(const char *words)
{
	uint32_t n = 0;
	pthread_mutex_lock(&log_lock);
	for (const char *at = log_text; (at = strstr(at, words)); at++)
		n++;
	pthread_mutex_unlock(&log_lock);
	return n;
}

static int setup(void **state)
{
	struct harewire_options engine;
	memset(&told, 0, sizeof told);
	log_text[0] = failure[0] = '\0';
	for (uint32_t i = 0; i < BROKERS; i++)
		brokers[i] = (struct played_broker){0};
	harewire_options_init(&engine);
	engine.driver = "kernel";
	engine.mode = HAREWIRE_INLINE;
	engine.log_line = log_line;
	assert_int_equal(harewire_create(&engine, &hw, NULL, 0), 0);
	harewire_publisher_options_init(&options);
	options.log_bytes = 1 << 16;
	options.max_messages = 256;
	options.max_templates = 4;
	options.connection_name = "tester";
	options.reconnect_min_ns = 1000000;
	options.reconnect_max_ns = 4000000;
	publisher = NULL;
	return 0;
}

static int teardown(void **state)
{
	harewire_publisher_destroy(publisher);
	harewire_destroy(hw);
	for (uint32_t i = 0; i < BROKERS; i++)
		played_broker_stop(&brokers[i]);
	if (password_path[0])
		unlink(password_path);
	password_path[0] = '\0';
	return 0;
}

/* The last one has a name that is looked up for each connection. */
static const char *host_of(uint32_t broker)
{
	return broker == BROKERS - 1 ? "localhost" : "127.0.0.1";
}

/* Its brokers are the first `count`, which have their ports by now. */
static void open_publisher(uint32_t count)
{
	static char url[64], names[BROKERS][32];
	static const char *hosts[BROKERS];
	struct harewire_template_options to;
	char why[256] = "";
	snprintf(url, sizeof url, "amqp://127.0.0.1:%u", brokers[0].port);
	for (uint32_t i = 1; i < count; i++) {
		snprintf(names[i], sizeof names[i], "%s:%u", host_of(i), brokers[i].port);
		hosts[i - 1] = names[i];
	}
	options.url = url;
	options.hosts = hosts;
	options.host_count = count - 1;
	if (harewire_publisher_open(hw, &options, &publisher, why, sizeof why))
		fail_msg("%s", why);
	harewire_template_options_init(&to);
	to.routing_key = "q";
	assert_int_equal(harewire_template_prepare(publisher, &to, &template_id, NULL), 0);
}

static void take_events(void)
{
	struct harewire_event e;
	while (harewire_event_poll(publisher, &e)) {
		uint64_t count = e.last - e.first + 1;
		told.ready += e.type == HAREWIRE_EVENT_READY;
		told.disconnected += e.type == HAREWIRE_EVENT_DISCONNECTED;
		told.closed += e.type == HAREWIRE_EVENT_CLOSED;
		told.failed += e.type == HAREWIRE_EVENT_FAILED;
		told.confirmed += e.type == HAREWIRE_EVENT_CONFIRMED ? count : 0;
		told.unconfirmed += e.type == HAREWIRE_EVENT_UNCONFIRMED ? count : 0;
		if (e.type == HAREWIRE_EVENT_READY)
			snprintf(told.where, sizeof told.where, "%s", e.text ? e.text : "");
		if (e.type == HAREWIRE_EVENT_FAILED || e.type == HAREWIRE_EVENT_DISCONNECTED) {
			told.code = e.code;
			snprintf(failure, sizeof failure, "%s", e.text ? e.text : "");
		}
	}
}

/* Turns the worker until `condition` holds. */
#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;                                              \
		while (!(condition)) {                                                                                 \
			harewire_poll(hw);                                                                             \
			take_events();                                                                                 \
			if (clock_monotonic_ns() > give_up_ns)                                                         \
				fail_msg("in vain: %s\n%s%s", #condition, log_text, failure);                          \
		}                                                                                                      \
	} while (0)

static struct harewire_publisher_stats figures(void)
{
	struct harewire_publisher_stats s;
	harewire_publisher_stats(publisher, &s);
	return s;
}

static void publish(uint32_t count)
{
	while (count--)
		assert_true(harewire_publish(publisher, template_id, "tick", 4, 0) > 0);
}

static void assert_said(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' is not in '%s'", words, text);
}

static void where_is(uint32_t broker, char where[32])
{
	snprintf(where, 32, "%s:%u", host_of(broker), brokers[broker].port);
}

static void assert_at(uint32_t broker)
{
	char where[32];
	where_is(broker, where);
	assert_string_equal(told.where, where);
}

/* ---- the first connection ---- */

static void each_host_is_asked_once_and_the_sentence_names_them_all(void **state)
{
	char where[32];
	for (uint32_t i = 0; i < 3; i++) {
		played_broker_start(&brokers[i]);
		played_broker_stop(&brokers[i]);
	}
	open_publisher(3);
	UNTIL(told.failed);
	assert_said(failure, "none of 3 hosts can be used: cannot connect to ");
	for (uint32_t i = 0; i < 3; i++) {
		where_is(i, where);
		assert_said(failure, where);
	}
	assert_int_equal(told.code, HW_ERR_CONN_REFUSED);
	assert_int_equal(told.ready, 0);
}

static void the_next_host_serves_when_the_first_does_not(void **state)
{
	played_broker_start(&brokers[0]);
	played_broker_stop(&brokers[0]);
	brokers[1].visits[0] = (struct visit){.end = VISIT_REFUSES_LOGIN, .code = 541, .text = "INTERNAL_ERROR"};
	played_broker_start(&brokers[1]);
	played_broker_start(&brokers[2]);
	open_publisher(3);
	UNTIL(told.ready);
	assert_at(2);
	assert_int_equal(brokers[1].connections, 1);
}

static void a_refused_login_ends_it_at_the_first_host(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_REFUSES_LOGIN, .code = 403, .text = "ACCESS_REFUSED"};
	played_broker_start(&brokers[0]);
	played_broker_start(&brokers[1]);
	open_publisher(2);
	UNTIL(told.failed);
	assert_said(failure, "403 ACCESS_REFUSED");
	assert_int_equal(brokers[1].connections, 0);
}

static void hosts_may_be_tried_in_any_order(void **state)
{
	uint32_t at_second = 0;
	for (uint32_t i = 0; i < 2; i++)
		played_broker_start(&brokers[i]);
	options.host_order = HAREWIRE_HOSTS_SHUFFLED;
	/* One in a million times chance has it that all 20 go to the same. */
	for (uint32_t i = 0; i < 20; i++) {
		told.ready = 0;
		open_publisher(2);
		UNTIL(told.ready);
		harewire_publisher_destroy(publisher);
		publisher = NULL;
		at_second = brokers[1].connections;
	}
	assert_true(at_second > 0 && at_second < 20);
}

/* ---- losses ---- */

static void a_killed_broker_is_connected_to_again_when_it_is_back(void **state)
{
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(10);
	UNTIL(told.confirmed == 10);
	played_broker_stop(&brokers[0]);
	UNTIL(told.disconnected == 1);
	publish(5);
	played_broker_start(&brokers[0]);
	UNTIL(told.ready == 2);
	publish(5);
	UNTIL(told.confirmed == 20);
	assert_int_equal(figures().connections, 2);
	assert_true(logged("ready again after"));
}

static void the_same_host_is_tried_first_then_the_next(void **state)
{
	for (uint32_t i = 0; i < 2; i++)
		played_broker_start(&brokers[i]);
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 10, .acks = 9};
	open_publisher(2);
	UNTIL(told.ready);
	publish(10);
	UNTIL(told.confirmed == 10);
	UNTIL(figures().connections == 2);
	assert_int_equal(brokers[0].connections, 2);
	assert_int_equal(brokers[1].connections, 0);
	played_broker_stop(&brokers[0]);
	UNTIL(figures().connections == 3 && told.ready >= 2);
	assert_at(1);
}

/* Its queue of connections is full: it drops SYNs. */
static void start_silent_host(struct played_broker *broker, int fds[3])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	for (int i = 0; i < 3; i++)
		assert_true((fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) >= 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fds[0], 0), 0);
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)&at, &len), 0);
	for (int i = 1; i < 3; i++)
		connect(fds[i], (struct sockaddr *)&at, sizeof at);
	broker->port = ntohs(at.sin_port);
}

/* However long a login may take. */
static void a_host_that_does_not_answer_is_soon_left_for_the_next(void **state)
{
	int fds[3];
	played_broker_start(&brokers[0]);
	start_silent_host(&brokers[1], fds);
	options.connect_timeout_ns = 10 * PATIENCE_NS;
	open_publisher(2);
	UNTIL(told.ready == 1);
	played_broker_stop(&brokers[0]);
	UNTIL(logged("timed out while connecting"));
	played_broker_start(&brokers[0]);
	UNTIL(told.ready == 2);
	assert_at(0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void the_words_of_a_close_are_told(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_CLOSES,
					      .publishes = 1,
					      .acks = PLAYED_ACK_ALL,
					      .code = 320,
					      .text = "CONNECTION_FORCED - by hand"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(1);
	UNTIL(figures().connections == 2);
	publish(1);
	UNTIL(told.confirmed == 2);
	assert_true(logged("1 127.0.0.1:"));
	assert_true(logged("lost: the broker closed the connection: 320 CONNECTION_FORCED - by hand"));
}

/* The service that the broker asks about users is away for a moment, say. */
static void a_login_refused_later_is_tried_again_and_said_once(void **state)
{
	char where[32], warning[64];
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	brokers[0].visits[1] =
		(struct visit){.end = VISIT_REFUSES_LOGIN, .code = 541, .text = "INTERNAL_ERROR - vhost '/' is down"};
	for (int i = 2; i < 4; i++)
		brokers[0].visits[i] =
			(struct visit){.end = VISIT_REFUSES_LOGIN, .code = 403, .text = "ACCESS_REFUSED - changed"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(2);
	UNTIL(told.confirmed == 2);
	assert_int_equal(told.failed, 0);
	assert_true(logged("541 INTERNAL_ERROR - vhost '/' is down"));
	assert_int_equal(brokers[0].connections, 5);
	/* The second time it is a detail. */
	where_is(0, where);
	snprintf(warning, sizeof warning, "%d %s: logging in as ", HAREWIRE_LOG_WARNING, where);
	assert_int_equal(logged("403 ACCESS_REFUSED - changed (unless this passes"), 2);
	assert_int_equal(logged(warning), 2); /* 541, 403 */
}

static void a_login_refused_by_one_is_no_matter_when_another_serves(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	brokers[0].visits[1] = (struct visit){
		.end = VISIT_REFUSES_LOGIN, .code = 403, .text = "ACCESS_REFUSED - changed", .forever = true};
	for (uint32_t i = 0; i < 2; i++)
		played_broker_start(&brokers[i]);
	open_publisher(2);
	UNTIL(told.ready);
	publish(2);
	UNTIL(told.confirmed == 2 && told.ready == 2);
	assert_at(1);
	assert_int_equal(brokers[0].connections, 2);
}

static void a_declaration_that_may_succeed_later_is_tried_again(void **state)
{
	const struct harewire_queue queues[] = {{.name = "q"}};
	options.queues = queues;
	options.queue_count = 1;
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	brokers[0].visits[1] = (struct visit){.end = VISIT_REFUSES_DECLARE, .code = 405, .text = "RESOURCE_LOCKED"};
	brokers[0].visits[2] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	brokers[0].visits[3] = (struct visit){.end = VISIT_REFUSES_DECLARE, .code = 406, .text = "PRECONDITION_FAILED"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(1);
	UNTIL(figures().connections == 2);
	publish(1);
	UNTIL(told.failed);
	assert_said(failure, "406 PRECONDITION_FAILED");
	assert_int_equal(brokers[0].declares, 4);
	assert_int_equal(told.confirmed, 2);
}

static void the_first_declaration_refused_ends_it(void **state)
{
	const struct harewire_queue queues[] = {{.name = "q"}};
	options.queues = queues;
	options.queue_count = 1;
	brokers[0].visits[0] = (struct visit){.end = VISIT_REFUSES_DECLARE, .code = 405, .text = "RESOURCE_LOCKED"};
	played_broker_start(&brokers[0]);
	played_broker_start(&brokers[1]);
	open_publisher(2);
	UNTIL(told.failed);
	assert_said(failure, "405 RESOURCE_LOCKED");
	assert_int_equal(brokers[1].connections, 0);
}

static void a_host_that_confirms_nothing_is_left_for_the_next(void **state)
{
	options.confirm_timeout_ns = SECOND_NS;
	for (uint32_t i = 0; i < 2; i++)
		played_broker_start(&brokers[i]);
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = UINT32_MAX};
	open_publisher(2);
	UNTIL(told.ready);
	publish(10);
	UNTIL(told.confirmed == 10);
	assert_at(1);
	assert_int_equal(brokers[0].connections, 1);
	assert_true(logged("confirmed nothing for longer than the confirm timeout"));
}

/* ---- frames ---- */

static void a_host_that_tunes_lower_is_left_for_the_next(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	brokers[0].visits[1] = (struct visit){.end = VISIT_RESETS, .publishes = UINT32_MAX, .frame_max = 8192};
	played_broker_start(&brokers[0]);
	played_broker_start(&brokers[1]);
	open_publisher(2);
	UNTIL(told.ready);
	publish(1);
	UNTIL(figures().connections == 2 && told.ready);
	publish(1);
	UNTIL(told.confirmed == 2);
	assert_at(1);
	assert_int_equal(brokers[0].connections, 2);
	assert_true(logged("tunes frame_max to 8192, lower than the first connection's 131072"));
}

static void the_only_host_that_tunes_lower_is_the_end(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	brokers[0].visits[1] = (struct visit){.end = VISIT_RESETS, .publishes = UINT32_MAX, .frame_max = 8192};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(1);
	UNTIL(told.failed);
	assert_said(failure, "tunes frame_max to 8192, lower than the first connection's 131072");
}

static void a_host_that_tunes_higher_gets_the_first_ones_frames(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1, .frame_max = 8192};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(1);
	UNTIL(figures().connections == 2);
	publish(1);
	UNTIL(told.confirmed == 2);
	assert_int_equal(figures().frame_max, 8192);
	assert_int_equal(brokers[0].frame_max, 8192);
}

/* ---- channels ---- */

static void a_closed_channel_is_opened_again_on_its_connection(void **state)
{
	brokers[0].visits[0] = (struct visit){.end = VISIT_CLOSES_CHANNEL,
					      .publishes = 10,
					      .acks = 9,
					      .code = 404,
					      .text = "NOT_FOUND - no exchange"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(20);
	UNTIL(told.confirmed == 20);
	assert_int_equal(brokers[0].connections, 1);
	assert_int_equal(brokers[0].channels, 2);
	assert_int_equal(figures().connections, 1);
	assert_int_equal(figures().channels, 1);
	assert_true(logged("the broker closed the channel: 404 NOT_FOUND - no exchange"));
}

static void what_is_missing_is_declared_again_on_a_new_connection(void **state)
{
	const struct harewire_queue queues[] = {{.name = "q"}};
	options.queues = queues;
	options.queue_count = 1;
	brokers[0].visits[0] = (struct visit){.end = VISIT_CLOSES_CHANNEL,
					      .publishes = 10,
					      .acks = 9,
					      .code = 404,
					      .text = "NOT_FOUND - no exchange"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(20);
	UNTIL(told.confirmed == 20);
	assert_int_equal(brokers[0].connections, 2);
	assert_int_equal(brokers[0].declares, 2);
}

static void a_connection_that_ends_while_the_channel_is_opened_is_made_again(void **state)
{
	brokers[0].visits[0] = (struct visit){
		.end = VISIT_CLOSES_CHANNEL, .publishes = 10, .acks = 9, .code = 404, .text = "NOT_FOUND"};
	brokers[0].visits[1] = (struct visit){.end = VISIT_REFUSES_REOPENING, .code = 504, .text = "CHANNEL_ERROR"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(20);
	UNTIL(told.confirmed == 20);
	assert_int_equal(brokers[0].connections, 2);
	assert_true(logged("opening the channel again: the broker closed the connection: 504 CHANNEL_ERROR"));
}

static void a_connection_that_is_reset_while_the_channel_is_opened_is_made_again(void **state)
{
	brokers[0].visits[0] = (struct visit){
		.end = VISIT_CLOSES_CHANNEL, .publishes = 10, .acks = 9, .code = 404, .text = "NOT_FOUND"};
	brokers[0].visits[1] = (struct visit){.end = VISIT_REFUSES_REOPENING};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(20);
	UNTIL(told.confirmed == 20);
	assert_int_equal(brokers[0].connections, 2);
	assert_true(logged("opening the channel again: connection reset"));
}

static void a_channel_that_is_not_opened_again_costs_the_connection(void **state)
{
	options.connect_timeout_ns = 2 * SECOND_NS;
	brokers[0].visits[0] = (struct visit){
		.end = VISIT_CLOSES_CHANNEL, .publishes = 10, .acks = 9, .code = 404, .text = "NOT_FOUND"};
	brokers[0].visits[1] = (struct visit){.end = VISIT_IGNORES_REOPENING};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready == 1);
	publish(20);
	UNTIL(told.confirmed == 20);
	assert_int_equal(brokers[0].connections, 2);
	assert_true(logged("timed out while opening the channel again"));
}

/* ---- poison ---- */

static void a_message_that_closes_the_channel_for_a_second_ends_it(void **state)
{
	brokers[0].visits[0] = (struct visit){
		.end = VISIT_CLOSES_CHANNEL, .publishes = 5, .acks = 4, .code = 406, .text = "PRECONDITION_FAILED"};
	brokers[0].visits[1] = (struct visit){.end = VISIT_CLOSES_CHANNEL,
					      .publishes = 1,
					      .code = 406,
					      .text = "PRECONDITION_FAILED - message size",
					      .forever = true};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(9);
	UNTIL(told.failed);
	assert_int_equal(told.code, HW_ERR_AMQP_POISON);
	assert_said(failure, "message 5, or one behind it, ended the channel again and again: the broker closed the "
			     "channel: 406 PRECONDITION_FAILED - message size");
	UNTIL(told.confirmed == 4 && told.unconfirmed == 5);
	assert_true(brokers[0].connections >= 2); /* the second close, at once, costs the connection */
}

static void a_message_that_closes_the_connection_for_a_second_ends_it(void **state)
{
	brokers[0].visits[0] = (struct visit){
		.end = VISIT_CLOSES, .publishes = 1, .code = 501, .text = "FRAME_ERROR", .forever = true};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(5);
	UNTIL(told.failed);
	assert_said(failure, "message 1, or one behind it, ended the connection again and again: the broker closed the "
			     "connection: 501 FRAME_ERROR");
	assert_int_equal(told.code, HW_ERR_AMQP_POISON);
}

/* Somebody else deletes the exchange and declares it again. */
static void closes_that_are_over_soon_end_nothing(void **state)
{
	for (int i = 0; i < 5; i++)
		brokers[0].visits[i] = (struct visit){.end = VISIT_CLOSES_CHANNEL,
						      .publishes = i ? 1 : 5,
						      .acks = i ? 0 : 4,
						      .code = 404,
						      .text = "NOT_FOUND"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(9);
	UNTIL(told.confirmed == 9);
	assert_int_equal(told.failed, 0);
}

/* A firewall is reloaded. */
static void connections_that_are_reset_for_a_moment_end_nothing(void **state)
{
	for (int i = 0; i < 12; i++)
		brokers[0].visits[i] = (struct visit){
			.end = i % 2 ? VISIT_RESETS : VISIT_FINISHES, .publishes = i ? 1 : 5, .acks = i ? 0 : 4};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(9);
	UNTIL(told.confirmed == 9);
	assert_int_equal(brokers[0].connections, 13);
	assert_int_equal(told.failed, 0);
}

/* ---- closing ---- */

static void a_close_without_a_connection_and_nothing_in_flight_is_at_once(void **state)
{
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(3);
	UNTIL(told.confirmed == 3);
	played_broker_stop(&brokers[0]);
	UNTIL(told.disconnected);
	harewire_publisher_close(publisher, 3600 * SECOND_NS);
	UNTIL(told.closed);
	assert_int_equal(told.unconfirmed, 0);
}

static void a_close_without_a_connection_waits_for_one_while_it_may(void **state)
{
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	played_broker_stop(&brokers[0]);
	UNTIL(told.disconnected);
	publish(3);
	harewire_publisher_close(publisher, 3600 * SECOND_NS);
	played_broker_start(&brokers[0]);
	UNTIL(told.closed);
	assert_int_equal(told.confirmed, 3);
}

static void a_close_without_a_connection_ends_when_its_time_is_over(void **state)
{
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	played_broker_stop(&brokers[0]);
	UNTIL(told.disconnected);
	publish(3);
	harewire_publisher_close(publisher, 1000000);
	UNTIL(told.closed);
	assert_int_equal(told.confirmed, 0);
	assert_int_equal(told.unconfirmed, 3);
}

static void a_publisher_can_be_destroyed_while_it_waits(void **state)
{
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	played_broker_stop(&brokers[0]);
	UNTIL(told.disconnected);
}

static void the_same_failure_again_is_no_warning(void **state)
{
	char where[32], warning[64], detail[64];
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	where_is(0, where);
	snprintf(warning, sizeof warning, "%d cannot connect to %s", HAREWIRE_LOG_WARNING, where);
	snprintf(detail, sizeof detail, "%d cannot connect to %s", HAREWIRE_LOG_DEBUG, where);
	played_broker_stop(&brokers[0]);
	UNTIL(logged(detail) >= 3);
	assert_int_equal(logged(warning), 1);
}

/* And then one line that says it is over. */
static void assert_logged_losses(uint32_t warnings, uint32_t details)
{
	char where[32], warning[64], detail[64], info[64], lasting[80];
	where_is(0, where);
	snprintf(warning, sizeof warning, "%d %s: lost", HAREWIRE_LOG_WARNING, where);
	snprintf(detail, sizeof detail, "%d %s: lost", HAREWIRE_LOG_DEBUG, where);
	snprintf(info, sizeof info, "%d %s: ", HAREWIRE_LOG_INFO, where);
	snprintf(lasting, sizeof lasting, "%d %s: connected again for good", HAREWIRE_LOG_INFO, where);
	UNTIL(logged(lasting));
	assert_int_equal(logged(warning), warnings);
	assert_int_equal(logged(detail), details);
	assert_int_equal(logged(lasting), 1);
	assert_int_equal(logged(info), 2); /* the other one: it was ready at first */
}

static void a_broker_that_accepts_and_closes_does_not_fill_the_log(void **state)
{
	for (int i = 0; i < 6; i++)
		brokers[0].visits[i] = (struct visit){.end = VISIT_FINISHES, .publishes = i ? 1 : 5, .acks = i ? 0 : 4};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(9);
	UNTIL(told.confirmed == 9);
	assert_logged_losses(2, 4); /* of the one that was good for something, and of the first that was not */
}

/* Each of them was good for something, and none of them lasted. */
static void a_channel_that_is_closed_again_and_again_does_not_fill_the_log(void **state)
{
	for (int i = 0; i < 6; i++)
		brokers[0].visits[i] = (struct visit){
			.end = VISIT_CLOSES_CHANNEL, .publishes = 2, .acks = 1, .code = 404, .text = "NOT_FOUND"};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(9);
	UNTIL(told.confirmed == 9);
	assert_int_equal(brokers[0].connections, 1);
	assert_logged_losses(1, 5);
}

static void patience_for_a_connection_can_be_limited(void **state)
{
	options.reconnect_timeout_ns = 30000000;
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(1);
	UNTIL(told.confirmed == 1);
	played_broker_stop(&brokers[0]);
	UNTIL(told.failed);
	assert_int_equal(told.code, HW_ERR_TIMEOUT);
	assert_said(failure, "no connection for 0.03 s");
}

/* A broker that takes us in and throws us out is no connection, however often it does so. */
static void connections_that_do_not_last_do_not_renew_that_patience(void **state)
{
	options.reconnect_timeout_ns = 2000000000;
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .forever = true};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	publish(1);
	UNTIL(told.failed);
	assert_int_equal(told.code, HW_ERR_TIMEOUT);
	assert_said(failure, "no lasting connection for 2 s, in ");
	assert_true(brokers[0].connections > 2);
}

/* ---- credentials ---- */

static void write_password(const char *text, mode_t mode)
{
	snprintf(password_path, sizeof password_path, "/tmp/harewire-password-%d", (int)getpid());
	FILE *f = fopen(password_path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(password_path, mode), 0);
}

static void the_password_file_is_read_for_every_connection(void **state)
{
	write_password("one\n", 0600);
	options.password_file = password_path;
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.ready);
	assert_string_equal(brokers[0].password, "one");
	write_password("two\n", 0600);
	publish(1);
	UNTIL(figures().connections == 2);
	assert_string_equal(brokers[0].password, "two");
	assert_false(logged("two"));
}

static void a_password_file_for_all_to_read_is_refused_at_first_and_waited_for_later(void **state)
{
	write_password("one\n", 0644);
	options.password_file = password_path;
	brokers[0].visits[0] = (struct visit){.end = VISIT_RESETS, .publishes = 1, .acks = 1};
	played_broker_start(&brokers[0]);
	open_publisher(1);
	UNTIL(told.failed);
	assert_said(failure, "has mode 0644");
	assert_int_equal(brokers[0].channels, 0);
	harewire_publisher_destroy(publisher);
	publisher = NULL;
	write_password("one\n", 0600);
	open_publisher(1);
	UNTIL(told.ready);
	write_password("two\n", 0644);
	publish(1);
	UNTIL(logged("1 127.0.0.1:") && logged("has mode 0644"));
	write_password("two\n", 0600);
	UNTIL(figures().connections == 2);
	assert_string_equal(brokers[0].password, "two");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_host_is_asked_once_and_the_sentence_names_them_all),
		TEST(the_next_host_serves_when_the_first_does_not),
		TEST(a_refused_login_ends_it_at_the_first_host),
		TEST(hosts_may_be_tried_in_any_order),
		TEST(a_killed_broker_is_connected_to_again_when_it_is_back),
		TEST(the_same_host_is_tried_first_then_the_next),
		TEST(a_host_that_does_not_answer_is_soon_left_for_the_next),
		TEST(the_words_of_a_close_are_told),
		TEST(a_login_refused_later_is_tried_again_and_said_once),
		TEST(a_login_refused_by_one_is_no_matter_when_another_serves),
		TEST(a_declaration_that_may_succeed_later_is_tried_again),
		TEST(the_first_declaration_refused_ends_it),
		TEST(a_host_that_confirms_nothing_is_left_for_the_next),
		TEST(a_host_that_tunes_lower_is_left_for_the_next),
		TEST(the_only_host_that_tunes_lower_is_the_end),
		TEST(a_host_that_tunes_higher_gets_the_first_ones_frames),
		TEST(a_closed_channel_is_opened_again_on_its_connection),
		TEST(what_is_missing_is_declared_again_on_a_new_connection),
		TEST(a_connection_that_ends_while_the_channel_is_opened_is_made_again),
		TEST(a_connection_that_is_reset_while_the_channel_is_opened_is_made_again),
		TEST(a_channel_that_is_not_opened_again_costs_the_connection),
		TEST(a_message_that_closes_the_channel_for_a_second_ends_it),
		TEST(a_message_that_closes_the_connection_for_a_second_ends_it),
		TEST(closes_that_are_over_soon_end_nothing),
		TEST(connections_that_are_reset_for_a_moment_end_nothing),
		TEST(a_close_without_a_connection_and_nothing_in_flight_is_at_once),
		TEST(a_close_without_a_connection_waits_for_one_while_it_may),
		TEST(a_close_without_a_connection_ends_when_its_time_is_over),
		TEST(a_publisher_can_be_destroyed_while_it_waits),
		TEST(the_same_failure_again_is_no_warning),
		TEST(a_broker_that_accepts_and_closes_does_not_fill_the_log),
		TEST(a_channel_that_is_closed_again_and_again_does_not_fill_the_log),
		TEST(patience_for_a_connection_can_be_limited),
		TEST(connections_that_do_not_last_do_not_renew_that_patience),
		TEST(the_password_file_is_read_for_every_connection),
		TEST(a_password_file_for_all_to_read_is_refused_at_first_and_waited_for_later),
	};
	return cmocka_run_group_tests_name("reconnecting", tests, NULL, NULL);
}
