#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/session/session.h"
#include "dataplane/base/error.h"
#include "tests/lib/amqp_phrases.h"

#define FRAME_MAX   131072
#define CHANNEL_MAX 2047
#define HEARTBEAT_S 10

static struct script script;
static int our_end;
static struct session_request request;
static struct session_result result;

static int set_up(void **state)
{
	memset(&script, 0, sizeof script);
	request = (struct session_request){
		.user = "me",
		.password = "hush",
		.vhost = "v",
		.connection_name = "tester",
		.heartbeat_s = HEARTBEAT_S,
		.frame_max = FRAME_MAX,
		.timeout_ns = 5000000000u,
	};
	return 0;
}

/* ---- what the broker and we are to say ------------------------------------------------------------------------------
 */

static void greet(struct script *s, uint16_t heartbeat_s)
{
	script_expect_protocol_header(s);
	script_send_start(s, 9, "AMQPLAIN PLAIN");
	script_expect_start_ok(s, false);
	script_send_tune(s, CHANNEL_MAX, FRAME_MAX, heartbeat_s);
	script_expect_tune_ok_and_open(s, CHANNEL_MAX, FRAME_MAX, heartbeat_s);
	script_send_open_ok(s);
	script_expect_channel_open(s);
}

static void expect_confirm_select(struct script *s)
{
	struct octets arguments = {0};
	octets_int(&arguments, 0, 1);
	script_expect_method(s, 1, 85, 10, &arguments);
}

static void expect_passive_declare(struct script *s, const char *queue)
{
	struct octets arguments = {0};
	octets_int(&arguments, 0, 2);
	octets_short_string(&arguments, queue);
	octets_int(&arguments, 1, 1); /* passive */
	octets_int(&arguments, 0, 4); /* no arguments */
	script_expect_method(s, 1, 50, 10, &arguments);
}

static void send_declare_ok(struct script *s, const char *queue)
{
	struct octets arguments = {0};
	octets_short_string(&arguments, queue);
	octets_int(&arguments, 0, 8);
	script_send_method(s, 1, 50, 11, &arguments);
}

/* ---- running it -------------------------------------------------------------------------------------------------- */

static void establish(struct script *s, struct session_request *r, struct session_result *out)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	script_start(s, fds[1]);
	our_end = r->fd = fds[0];
	session_establish(r, out);
}

/* Ends both sides; the broker must have seen exactly its script. */
static void finish(void)
{
	assert_int_not_equal(fcntl(our_end, F_GETFD), -1); /* not closed behind our back */
	close(our_end);
	script_join(&script);
	assert_string_equal(script.complaint, "");
	assert_null(strstr(result.text, "hush"));
}

static void check_failure(int code, const char *text)
{
	establish(&script, &request, &result);
	finish();
	assert_string_equal(result.text, text);
	assert_int_equal(result.code, code);
}

/* ---- the cases -----------------------------------------------------------------------------------------------------
 */

static const struct harewire_field queue_arguments[] = {
	{.name = "x-queue-type", .kind = HAREWIRE_STRING, .string = "quorum"},
	{.name = "x-max-length", .kind = HAREWIRE_INT64, .integer = 1000000},
	{.name = "x-single-active-consumer", .kind = HAREWIRE_BOOL, .integer = 1},
};

static void script_declarations(struct script *s)
{
	struct octets a = {0}, table = {0};
	octets_int(&a, 0, 2);
	octets_short_string(&a, "x");
	octets_short_string(&a, "topic");
	octets_int(&a, 0x02, 1); /* durable */
	octets_int(&a, 0, 4);
	script_expect_method(s, 1, 40, 10, &a);
	script_send_zeros(s, 1, 40, 11, 0);

	octets_int(&a, 0, 2);
	octets_short_string(&a, "y");
	octets_short_string(&a, "fanout");
	octets_int(&a, 0x0c, 1); /* auto-delete, internal */
	octets_int(&a, 0, 4);
	script_expect_method(s, 1, 40, 10, &a);
	script_send_zeros(s, 1, 40, 11, 0);

	octets_int(&a, 0, 2);
	octets_short_string(&a, "q");
	octets_int(&a, 0x02, 1); /* durable */
	octets_entry_string(&table, "x-queue-type", "quorum");
	octets_entry_int64(&table, "x-max-length", 1000000);
	octets_entry_bool(&table, "x-single-active-consumer", true);
	octets_table(&a, &table);
	script_expect_method(s, 1, 50, 10, &a);
	send_declare_ok(s, "q");

	octets_int(&a, 0, 2);
	octets_short_string(&a, "q");
	octets_short_string(&a, "x");
	octets_short_string(&a, "md.#");
	octets_int(&a, 0, 1);
	octets_int(&a, 0, 4);
	script_expect_method(s, 1, 50, 20, &a);
	script_send_zeros(s, 1, 50, 21, 0);

	octets_int(&a, 0, 2);
	octets_short_string(&a, "y");
	octets_short_string(&a, "x");
	octets_short_string(&a, "k");
	octets_int(&a, 0, 1);
	octets_int(&a, 0, 4);
	script_expect_method(s, 1, 40, 30, &a);
	script_send_zeros(s, 1, 40, 31, 0);
}

static void the_whole_handshake_is_these_octets_and_no_others(void **state)
{
	const struct harewire_exchange exchanges[] = {{.name = "x", .durable = 1},
						      {.name = "y", .type = "fanout", .auto_delete = 1, .internal = 1}};
	const struct harewire_queue queue = {
		.name = "q", .durable = 1, .arguments = queue_arguments, .argument_count = 3};
	const struct harewire_binding bindings[] = {{.exchange = "x", .queue = "q", .routing_key = "md.#"},
						    {.exchange = "x", .to_exchange = "y", .routing_key = "k"}};
	request.exchanges = exchanges;
	request.exchange_count = 2;
	request.queues = &queue;
	request.queue_count = 1;
	request.bindings = bindings;
	request.binding_count = 2;

	greet(&script, HEARTBEAT_S);
	script_declarations(&script);
	expect_confirm_select(&script);
	script_send_zeros(&script, 1, 85, 11, 0);
	script_add(&script, SCRIPT_HANG);

	establish(&script, &request, &result);
	char octet;
	assert_int_equal(recv(our_end, &octet, 1, MSG_DONTWAIT), -1); /* still open, nothing in it */
	finish();
	assert_string_equal(result.text, "");
	assert_int_equal(result.code, 0);
	assert_int_equal(result.frame_max, FRAME_MAX);
	assert_int_equal(result.heartbeat_s, HEARTBEAT_S);
	assert_int_equal(result.channel_max, CHANNEL_MAX);
}

static void the_lower_of_both_sides_limits_is_agreed(void **state)
{
	request.heartbeat_s = 60;
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, false);
	script_send_tune(&script, 7, 4096, 30);
	script_expect_tune_ok_and_open(&script, 7, 4096, 30);
	script_send_open_ok(&script);
	script_expect_channel_open(&script);
	expect_confirm_select(&script);
	script_send_zeros(&script, 1, 85, 11, 0);
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, 0);
	assert_int_equal(result.frame_max, 4096);
	assert_int_equal(result.heartbeat_s, 30);
	assert_int_equal(result.channel_max, 7);
}

static void the_brokers_zero_means_no_limit(void **state)
{
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, false);
	script_send_tune(&script, 0, 0, 0);
	script_expect_tune_ok_and_open(&script, CHANNEL_MAX, FRAME_MAX, HEARTBEAT_S);
	script_add(&script, SCRIPT_END);
	check_failure(HW_ERR_CONN_CLOSED_BY_PEER,
		      "opening vhost 'v' as user 'me': the connection was closed without a word");
}

static void a_refused_login_is_quoted_and_answered(void **state)
{
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, false);
	octets_close(script_add(&script, SCRIPT_SEND), 0, 403, "ACCESS_REFUSED - Login was refused");
	script_expect_method(&script, 0, 10, 51, NULL);
	check_failure(HW_ERR_AMQP_LOGIN_REFUSED, "logging in as user 'me': 403 ACCESS_REFUSED - Login was refused");
}

static void an_end_without_a_word_after_the_login_is_explained(void **state)
{
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, false);
	script_add(&script, SCRIPT_END);
	check_failure(HW_ERR_CONN_CLOSED_BY_PEER, "logging in as user 'me': the connection was closed without a word "
						  "(which is how some brokers refuse a login)");
}

static void a_missing_vhost_is_quoted(void **state)
{
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, false);
	script_send_tune(&script, CHANNEL_MAX, FRAME_MAX, HEARTBEAT_S);
	script_expect_tune_ok_and_open(&script, CHANNEL_MAX, FRAME_MAX, HEARTBEAT_S);
	octets_close(script_add(&script, SCRIPT_SEND), 0, 530, "NOT_ALLOWED - vhost v not found");
	script_expect_method(&script, 0, 10, 51, NULL);
	check_failure(HW_ERR_AMQP_LOGIN_REFUSED, "opening vhost 'v' as user 'me': 530 NOT_ALLOWED - vhost v not found");
}

static void a_broker_without_plain_is_said(void **state)
{
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "XPLAIN PLAINX EXTERNAL");
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_AMQP_LOGIN_REFUSED);
	assert_string_equal(result.text, "waiting for connection.start: the broker does not offer SASL PLAIN, only "
					 "'XPLAIN PLAINX EXTERNAL'");
}

static void a_frame_max_below_amqps_minimum_is_refused(void **state)
{
	for (uint32_t frame_max = 1; frame_max < 4096; frame_max = frame_max * 3 + 2) {
		char text[SESSION_TEXT_MAX];
		script_expect_protocol_header(&script);
		script_send_start(&script, 9, "PLAIN");
		script_expect_start_ok(&script, false);
		script_send_tune(&script, 0, frame_max, 0);
		script_add(&script, SCRIPT_END);
		snprintf(text, sizeof text,
			 "logging in as user 'me': the broker's frame_max of %u is below AMQP's minimum of 4096",
			 frame_max);
		check_failure(HW_ERR_UNSUPPORTED, text);
	}
}

static void what_amqp_cannot_say_is_refused_before_a_word(void **state)
{
	char name[300];
	memset(name, 'n', sizeof name);
	name[256] = '\0';
	struct session_request bad[5];
	for (int i = 0; i < 5; i++)
		bad[i] = request;
	bad[0].user = name;
	bad[1].vhost = name;
	bad[2].frame_max = 4095;
	bad[3].frame_max = 1024 * 1024 + 1;
	bad[4].heartbeat_s = 65536;
	for (int i = 0; i < 5; i++) {
		script_add(&script, SCRIPT_END);
		request = bad[i];
		establish(&script, &request, &result);
		finish();
		assert_int_equal(result.code, HW_ERR_INVALID);
	}
}

static void another_protocol_version_is_said(void **state)
{
	script_expect_protocol_header(&script);
	octets_raw(script_add(&script, SCRIPT_SEND), "AMQP\0\1\0\0", 8);
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_AMQP_PROTOCOL_HEADER);
	assert_string_equal(result.text,
			    "waiting for connection.start: the broker does not speak AMQP 0-9-1, it offers "
			    "version 0-0");

	script_expect_protocol_header(&script);
	script_send_start(&script, 8, "PLAIN");
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_AMQP_PROTOCOL_HEADER);
}

static void what_is_no_broker_at_all_is_said(void **state)
{
	script_expect_protocol_header(&script);
	octets_raw(script_add(&script, SCRIPT_SEND), "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	check_failure(HW_ERR_AMQP_PROTOCOL_HEADER, "waiting for connection.start: the peer does not speak AMQP 0-9-1");
}

static void a_silent_broker_is_given_up_at_the_step_it_was_silent(void **state)
{
	request.timeout_ns = 30000000;
	script_expect_protocol_header(&script);
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_TIMEOUT);
	assert_string_equal(result.text, "waiting for connection.start: timed out: no answer from the broker");

	static const char there[] = "asking for publisher confirms: timed out: no answer from the broker";
	/* The steps before it take what they take on a loaded machine: given up before, it is given longer. */
	do {
		request.timeout_ns *= 2;
		greet(&script, HEARTBEAT_S);
		expect_confirm_select(&script);
		script_add(&script, SCRIPT_HANG);
		establish(&script, &request, &result);
		close(our_end);
		script_join(&script);
		assert_int_equal(result.code, HW_ERR_TIMEOUT);
	} while (strcmp(result.text, there) != 0 && request.timeout_ns < 10000000000u);
	assert_string_equal(script.complaint, "");
	assert_string_equal(result.text, there);
}

static void a_shutdown_of_the_descriptor_ends_it(void **state)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	shutdown(fds[0], SHUT_RDWR);
	request.fd = fds[0];
	session_establish(&request, &result);
	assert_int_equal(result.code, HW_ERR_CONN_RESET);
	close(fds[0]);
	close(fds[1]);
}

static void a_close_at_any_step_is_an_error_not_a_hang(void **state)
{
	for (unsigned steps = 1; steps < 9; steps++) {
		greet(&script, HEARTBEAT_S);
		while (script.count > steps)
			octets_free(&script.steps[--script.count].octets);
		script_add(&script, SCRIPT_END);
		establish(&script, &request, &result);
		finish();
		assert_true(result.code == HW_ERR_CONN_CLOSED_BY_PEER || result.code == HW_ERR_CONN_RESET);
	}
}

static void a_refused_declaration_is_quoted_and_the_connection_closed(void **state)
{
	const struct harewire_queue queue = {.name = "absent", .passive = 1};
	request.queues = &queue;
	request.queue_count = 1;
	greet(&script, HEARTBEAT_S);
	expect_passive_declare(&script, "absent");
	octets_close(script_add(&script, SCRIPT_SEND), 1, 404, "NOT_FOUND - no queue 'absent' in vhost 'v'");
	script_expect_method(&script, 1, 20, 41, NULL); /* channel.close-ok */
	script_expect_goodbye(&script);
	check_failure(HW_ERR_AMQP_SETUP, "looking for queue 'absent': 404 NOT_FOUND - no queue 'absent' in vhost 'v'");
}

static void a_broker_going_down_is_no_refused_declaration(void **state)
{
	greet(&script, HEARTBEAT_S);
	expect_confirm_select(&script);
	octets_close(script_add(&script, SCRIPT_SEND), 0, 320, "CONNECTION_FORCED - shutdown");
	script_expect_method(&script, 0, 10, 51, NULL);
	check_failure(HW_ERR_AMQP_CONNECTION_CLOSED, "asking for publisher confirms: 320 CONNECTION_FORCED - shutdown");
}

static void names_too_long_for_amqp_are_refused(void **state)
{
	char name[300];
	memset(name, 'n', sizeof name);
	name[256] = '\0';
	const struct harewire_queue queue = {.name = name};
	request.queues = &queue;
	request.queue_count = 1;
	greet(&script, HEARTBEAT_S);
	script_expect_goodbye(&script);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_INVALID);
	assert_non_null(strstr(result.text, "its name is longer than 255 octets"));
}

static void arguments_beyond_a_frame_are_refused(void **state)
{
	static char big[140000];
	memset(big, 'b', sizeof big - 1);
	const struct harewire_field field = {.name = "x", .kind = HAREWIRE_STRING, .string = big};
	const struct harewire_queue queue = {.name = "q", .arguments = &field, .argument_count = 1};
	request.queues = &queue;
	request.queue_count = 1;
	greet(&script, HEARTBEAT_S);
	script_expect_goodbye(&script);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_TOO_LARGE);
	big[65000] = '\0'; /* within our limit, not within a frame of 4096 */
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, false);
	script_send_tune(&script, CHANNEL_MAX, 4096, HEARTBEAT_S);
	script_expect_tune_ok_and_open(&script, CHANNEL_MAX, 4096, HEARTBEAT_S);
	script_send_open_ok(&script);
	script_expect_channel_open(&script);
	script_expect_goodbye(&script);
	check_failure(HW_ERR_TOO_LARGE, "declaring queue 'q': the method does not fit in a frame of 4096 octets");
}

static void frames_out_of_place_end_it(void **state)
{
	greet(&script, HEARTBEAT_S);
	expect_confirm_select(&script);
	script_send_zeros(&script, 1, 50, 21, 0); /* queue.bind-ok */
	check_failure(HW_ERR_AMQP_UNEXPECTED,
		      "asking for publisher confirms: the broker sent AMQP_QUEUE_BIND_OK_METHOD "
		      "on channel 1 out of place");
}

static void octets_after_the_last_reply_are_not_swallowed(void **state)
{
	greet(&script, HEARTBEAT_S);
	expect_confirm_select(&script);
	struct octets *last = script_add(&script, SCRIPT_SEND);
	octets_method(last, 1, 85, 11, NULL);
	octets_raw(last, "\1", 1);
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, HW_ERR_AMQP_UNEXPECTED);
}

static void blocked_is_no_answer_and_no_error(void **state)
{
	greet(&script, HEARTBEAT_S);
	expect_confirm_select(&script);
	struct octets reason = {0};
	octets_short_string(&reason, "low on memory");
	octets_method(script_add(&script, SCRIPT_SEND), 0, 10, 60, &reason);
	script_send_zeros(&script, 1, 85, 11, 0);
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_int_equal(result.code, 0);
}

/* The worker keeps the broker's heartbeats for itself, so none comes here; the broker still wants ours. */
static void a_slow_declaration_outlives_the_heartbeat(void **state)
{
	const struct harewire_queue queue = {.name = "slow", .passive = 1};
	request.queues = &queue;
	request.queue_count = 1;
	greet(&script, 1);
	expect_passive_declare(&script, "slow");
	for (int i = 0; i < 5; i++) /* 2.5 s: longer than the two intervals after which rabbitmq-c would give up */
		octets_heartbeat(script_add(&script, SCRIPT_EXPECT));
	send_declare_ok(&script, "slow");
	expect_confirm_select(&script);
	script_send_zeros(&script, 1, 85, 11, 0);
	script_add(&script, SCRIPT_HANG);
	establish(&script, &request, &result);
	finish();
	assert_string_equal(result.text, "");
	assert_int_equal(result.heartbeat_s, 1);
}

/* ---- several at once
 * ------------------------------------------------------------------------------------------------- */

#define SESSIONS 8

struct concurrent {
	struct script script;
	struct session_request request;
	struct session_result result;
	pthread_t thread;
};

static void *run_session(void *context)
{
	struct concurrent *c = context;
	session_establish(&c->request, &c->result);
	return NULL;
}

static void several_sessions_run_at_once(void **state)
{
	static struct concurrent all[SESSIONS];
	for (int i = 0; i < SESSIONS; i++) {
		int fds[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		greet(&all[i].script, HEARTBEAT_S);
		expect_confirm_select(&all[i].script);
		script_send_zeros(&all[i].script, 1, 85, 11, 0);
		script_add(&all[i].script, SCRIPT_HANG);
		script_start(&all[i].script, fds[1]);
		all[i].request = request;
		all[i].request.fd = fds[0];
		assert_int_equal(pthread_create(&all[i].thread, NULL, run_session, &all[i]), 0);
	}
	for (int i = 0; i < SESSIONS; i++) {
		pthread_join(all[i].thread, NULL);
		close(all[i].request.fd);
		script_join(&all[i].script);
		assert_string_equal(all[i].script.complaint, "");
		assert_int_equal(all[i].result.code, 0);
	}
}

#define CASE(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_whole_handshake_is_these_octets_and_no_others),
		CASE(the_lower_of_both_sides_limits_is_agreed),
		CASE(the_brokers_zero_means_no_limit),
		CASE(a_refused_login_is_quoted_and_answered),
		CASE(an_end_without_a_word_after_the_login_is_explained),
		CASE(a_missing_vhost_is_quoted),
		CASE(a_broker_without_plain_is_said),
		CASE(a_frame_max_below_amqps_minimum_is_refused),
		CASE(what_amqp_cannot_say_is_refused_before_a_word),
		CASE(another_protocol_version_is_said),
		CASE(what_is_no_broker_at_all_is_said),
		CASE(a_silent_broker_is_given_up_at_the_step_it_was_silent),
		CASE(a_shutdown_of_the_descriptor_ends_it),
		CASE(a_close_at_any_step_is_an_error_not_a_hang),
		CASE(a_refused_declaration_is_quoted_and_the_connection_closed),
		CASE(a_broker_going_down_is_no_refused_declaration),
		CASE(names_too_long_for_amqp_are_refused),
		CASE(arguments_beyond_a_frame_are_refused),
		CASE(frames_out_of_place_end_it),
		CASE(octets_after_the_last_reply_are_not_swallowed),
		CASE(blocked_is_no_answer_and_no_error),
		CASE(a_slow_declaration_outlives_the_heartbeat),
		CASE(several_sessions_run_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
