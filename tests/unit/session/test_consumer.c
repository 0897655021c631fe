/* The consumer against scripted deliveries, over TCP on the loopback interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/session/consumer.h"
#include "dataplane/base/error.h"
#include "tests/lib/amqp_phrases.h"

#define WAIT_NS 5000000000u

static struct script script;
static struct consumer *consumer;
static struct consumer_options options;
static struct delivery delivery;
static char text[512];

static int set_up(void **state)
{
	memset(&script, 0, sizeof script);
	options = (struct consumer_options){
		.host = "127.0.0.1",
		.user = "me",
		.password = "hush",
		.vhost = "v",
		.connection_name = "tester",
		.frame_max = 4096,
		.timeout_ns = WAIT_NS,
		.queue = "q",
		.prefetch = 10,
	};
	return 0;
}

static void reply(uint16_t channel, uint16_t class_id, uint16_t method_id, const void *arguments, size_t len)
{
	struct octets o = {0};
	octets_raw(&o, arguments, len);
	script_send_method(&script, channel, class_id, method_id, &o);
}

static void expect(uint16_t channel, uint16_t class_id, uint16_t method_id, const void *arguments, size_t len)
{
	struct octets o = {0};
	octets_raw(&o, arguments, len);
	script_expect_method(&script, channel, class_id, method_id, &o);
}

/* Up to basic.consume-ok, with the options as set. */
static void script_opening(void)
{
	script_expect_protocol_header(&script);
	script_send_start(&script, 9, "PLAIN");
	script_expect_start_ok(&script, true);
	script_send_tune(&script, 2047, 131072, 0);
	script_expect_tune_ok_and_open(&script, 2047, 4096, 0);
	script_send_open_ok(&script);
	script_expect_channel_open(&script);
	expect(1, 60, 10, "\0\0\0\0\0\x0a\0", 7);
	reply(1, 60, 11, NULL, 0);
	struct octets consume = {0};
	octets_int(&consume, 0, 2);
	octets_short_string(&consume, "q");
	octets_short_string(&consume, "harewire");
	octets_int(&consume, options.auto_ack ? 2 : 0, 1);
	octets_int(&consume, 0, 4);
	octets_method(script_add(&script, SCRIPT_EXPECT), 1, 60, 20, &consume);
	reply(1, 60, 21, "\x08harewire", 9);
}

static void append_deliver(struct octets *o, uint64_t tag, bool redelivered)
{
	struct octets a = {0};
	octets_short_string(&a, "harewire");
	octets_int(&a, tag, 8);
	octets_int(&a, redelivered, 1);
	octets_short_string(&a, "x");
	octets_short_string(&a, "md.deep.q.AAPL");
	octets_method(o, 1, 60, 60, &a);
}

/* `properties`: flags and fields; freed. */
static void append_header(struct octets *o, uint64_t body_size, struct octets *properties)
{
	struct octets payload = {0};
	octets_int(&payload, 60, 2);
	octets_int(&payload, 0, 2);
	octets_int(&payload, body_size, 8);
	octets_raw(&payload, properties->bytes, properties->len);
	octets_free(properties);
	octets_frame(o, 2, 1, &payload);
}

static void append_body(struct octets *o, const void *body, size_t len)
{
	struct octets payload = {0};
	octets_raw(&payload, body, len);
	octets_frame(o, 3, 1, &payload);
}

static void append_message(struct octets *o, uint64_t tag, const char *body)
{
	struct octets properties = {0};
	octets_int(&properties, 0, 2);
	append_deliver(o, tag, false);
	append_header(o, strlen(body), &properties);
	if (*body)
		append_body(o, body, strlen(body));
}

static void expect_ack(uint64_t tag)
{
	struct octets a = {0};
	octets_int(&a, tag, 8);
	octets_int(&a, 1, 1); /* multiple */
	octets_method(script_add(&script, SCRIPT_EXPECT), 1, 60, 80, &a);
}

static void expect_cancel_and_goodbye(void)
{
	expect(1, 60, 30, "\x08harewire\0", 10);
	reply(1, 60, 31, "\x08harewire", 9);
	script_expect_goodbye(&script);
}

/* The script runs on what accept gives. */
static int open_consumer(void)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	options.port = ntohs(address.sin_port);

	script_start_listening(&script, listener);
	return consumer_open(&options, &consumer, text, sizeof text);
}

static void close_consumer(int code)
{
	assert_int_equal(consumer_close(consumer, WAIT_NS, text, sizeof text), code);
	script_join(&script);
	assert_string_equal(script.complaint, "");
}

static void expect_next(const char *body)
{
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), 1);
	assert_int_equal(delivery.body_len, strlen(body));
	assert_memory_equal(delivery.body, body, strlen(body));
}

static void check_bare(void)
{
	assert_false(delivery.redelivered);
	assert_null(delivery.message_id);
	assert_false(delivery.has_timestamp || delivery.has_sequence || delivery.has_epoch || delivery.has_send_time ||
		     delivery.duplicate);
}

static void a_message_comes_with_all_that_it_carries(void **state)
{
	script_opening();
	struct octets *o = script_add(&script, SCRIPT_SEND), p = {0}, headers = {0};
	append_deliver(o, 1, true);
	octets_int(&p, 0x2000 | 0x0080 | 0x0040, 2); /* headers, message-id, timestamp */
	octets_entry_string(&headers, "venue", "IEX");
	octets_entry_int64(&headers, "harewire-seq", 77);
	octets_entry_int64(&headers, "harewire-epoch", 0xfedcba98);
	octets_entry_int64(&headers, "harewire-time", 1700000000123456789);
	octets_entry_bool(&headers, "harewire-dup", true);
	octets_table(&p, &headers);
	octets_short_string(&p, "fedcba98-000000000000004d");
	octets_int(&p, 1700000000, 8);
	append_header(o, 4, &p);
	append_body(o, "tick", 4);
	append_message(o, 2, "");
	expect_cancel_and_goodbye();

	assert_int_equal(open_consumer(), 0);
	expect_next("tick");
	assert_int_equal(delivery.tag, 1);
	assert_true(delivery.redelivered);
	assert_string_equal(delivery.exchange, "x");
	assert_string_equal(delivery.routing_key, "md.deep.q.AAPL");
	assert_string_equal(delivery.message_id, "fedcba98-000000000000004d");
	assert_true(delivery.has_timestamp && delivery.has_sequence && delivery.has_epoch && delivery.has_send_time);
	assert_int_equal(delivery.timestamp_s, 1700000000);
	assert_int_equal(delivery.sequence, 77);
	assert_int_equal(delivery.epoch, 0xfedcba98);
	assert_int_equal(delivery.send_time_ns, 1700000000123456789);
	assert_true(delivery.duplicate);
	expect_next(""); /* what this one lacks is not left over from the one before */
	check_bare();
	close_consumer(0);
}

static void headers_of_the_right_name_and_the_wrong_kind_are_none_of_ours(void **state)
{
	script_opening();
	struct octets *o = script_add(&script, SCRIPT_SEND), p = {0}, headers = {0};
	append_deliver(o, 1, false);
	octets_int(&p, 0x2000, 2);
	octets_entry_int64(&headers, "harewire-seq", -1);
	octets_entry_string(&headers, "harewire-dup", "true");
	octets_entry_int64(&headers, "harewire-epoch", 0x100000000);
	octets_entry_string(&headers, "harewire-time", "1");
	octets_table(&p, &headers);
	append_header(o, 0, &p);
	expect_cancel_and_goodbye();
	assert_int_equal(open_consumer(), 0);
	expect_next("");
	check_bare();
	close_consumer(0);
}

static void bodies_of_several_frames_are_put_together(void **state)
{
	static char body[30001];
	for (size_t i = 0; i < sizeof body - 1; i++)
		body[i] = (char)('a' + i % 23);
	script_opening();
	struct octets *o = script_add(&script, SCRIPT_SEND), p = {0};
	append_deliver(o, 1, false);
	octets_int(&p, 0, 2);
	append_header(o, sizeof body - 1, &p);
	for (size_t at = 0; at < sizeof body - 1; at += 4000) {
		size_t left = sizeof body - 1 - at;
		append_body(o, body + at, left < 4000 ? left : 4000);
		octets_heartbeat(o);
	}
	append_message(o, 2, "short");
	expect_cancel_and_goodbye();
	assert_int_equal(open_consumer(), 0);
	expect_next(body);
	expect_next("short");
	close_consumer(0);
}

static void a_wait_may_end_inside_a_message_and_go_on_later(void **state)
{
	script_opening();
	struct octets whole = {0};
	append_message(&whole, 1, "in two parts");
	size_t half = whole.len - 6;
	octets_raw(script_add(&script, SCRIPT_SEND), whole.bytes, half);
	expect(1, 60, 80, "\0\0\0\0\0\0\0\0\1", 9); /* a signal of the test's, see below */
	octets_raw(script_add(&script, SCRIPT_SEND), whole.bytes + half, whole.len - half);
	octets_free(&whole);
	expect_cancel_and_goodbye();

	options.ack_every = 1;
	assert_int_equal(open_consumer(), 0);
	assert_int_equal(consumer_next(consumer, 20000000, &delivery), 0);
	struct delivery none = {0};
	assert_int_equal(consumer_ack(consumer, &none), 0);
	expect_next("in two parts");
	close_consumer(0);
}

static void acks_go_out_in_batches_and_when_idle(void **state)
{
	script_opening();
	struct octets *o = script_add(&script, SCRIPT_SEND);
	for (uint64_t tag = 1; tag <= 5; tag++)
		append_message(o, tag, "m");
	expect_ack(2);
	expect_ack(4);
	expect_ack(5); /* nothing more to read */
	append_message(script_add(&script, SCRIPT_SEND), 6, "m");
	expect_ack(6); /* at close */
	expect_cancel_and_goodbye();
	options.ack_every = 2;
	assert_int_equal(open_consumer(), 0);
	for (int i = 0; i < 6; i++) {
		expect_next("m");
		assert_int_equal(consumer_ack(consumer, &delivery), 0);
	}
	close_consumer(0);
}

static void auto_ack_acknowledges_nothing(void **state)
{
	options.auto_ack = true;
	script_opening();
	append_message(script_add(&script, SCRIPT_SEND), 1, "m");
	expect_cancel_and_goodbye();
	options.ack_every = 1;
	assert_int_equal(open_consumer(), 0);
	expect_next("m");
	assert_int_equal(consumer_ack(consumer, &delivery), 0);
	assert_int_equal(consumer_next(consumer, 0, &delivery), 0);
	close_consumer(0);
}

static void deliveries_under_way_at_the_close_are_skipped(void **state)
{
	script_opening();
	expect(1, 60, 30, "\x08harewire\0", 10);
	struct octets *o = script_add(&script, SCRIPT_SEND);
	for (uint64_t tag = 1; tag <= 100; tag++)
		append_message(o, tag, "too late");
	reply(1, 60, 31, "\x08harewire", 9);
	script_expect_goodbye(&script);
	assert_int_equal(open_consumer(), 0);
	close_consumer(0);
}

static void the_end_of_the_channel_the_connection_or_the_queue_is_told(void **state)
{
	script_opening();
	octets_close(script_add(&script, SCRIPT_SEND), 1, 406, "PRECONDITION_FAILED - unknown delivery tag");
	expect(1, 20, 41, NULL, 0);
	script_expect_goodbye(&script);
	assert_int_equal(open_consumer(), 0);
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), HW_ERR_AMQP_CHANNEL_CLOSED);
	assert_string_equal(consumer_reason(consumer),
			    "consuming from queue 'q': 406 PRECONDITION_FAILED - unknown delivery tag");
	close_consumer(HW_ERR_AMQP_CHANNEL_CLOSED);

	script_opening();
	octets_close(script_add(&script, SCRIPT_SEND), 0, 320, "CONNECTION_FORCED - bye");
	expect(0, 10, 51, NULL, 0);
	assert_int_equal(open_consumer(), 0);
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), HW_ERR_AMQP_CONNECTION_CLOSED);
	close_consumer(HW_ERR_AMQP_CONNECTION_CLOSED);

	script_opening();
	reply(1, 60, 30, "\x08harewire\1", 10); /* basic.cancel */
	script_expect_goodbye(&script);
	assert_int_equal(open_consumer(), 0);
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), HW_ERR_AMQP_CHANNEL_CLOSED);
	assert_non_null(strstr(consumer_reason(consumer), "cancelled the consumer"));
	close_consumer(HW_ERR_AMQP_CHANNEL_CLOSED);

	script_opening();
	script_add(&script, SCRIPT_END);
	assert_int_equal(open_consumer(), 0);
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), HW_ERR_CONN_CLOSED_BY_PEER);
	close_consumer(HW_ERR_CONN_CLOSED_BY_PEER);
}

static void fail_on(struct octets *frames, int code)
{
	script_opening();
	*script_add(&script, SCRIPT_SEND) = *frames;
	script_add(&script, SCRIPT_HANG);
	assert_int_equal(open_consumer(), 0);
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), code);
	assert_int_equal(consumer_next(consumer, WAIT_NS, &delivery), code); /* and stays so */
	assert_int_equal(consumer_close(consumer, 1, text, sizeof text), code);
	script_join(&script);
	*frames = (struct octets){0};
}

static void frames_that_make_no_message_are_refused(void **state)
{
	struct octets f = {0}, p = {0};
	append_body(&f, "m", 1); /* a body out of the blue */
	fail_on(&f, HW_ERR_AMQP_UNEXPECTED);

	octets_int(&p, 0, 2);
	append_header(&f, 1, &p);
	fail_on(&f, HW_ERR_AMQP_UNEXPECTED);

	append_deliver(&f, 1, false); /* two methods running */
	append_deliver(&f, 2, false);
	fail_on(&f, HW_ERR_AMQP_UNEXPECTED);

	append_deliver(&f, 1, false); /* more body than announced */
	octets_int(&p, 0, 2);
	append_header(&f, 3, &p);
	append_body(&f, "four", 4);
	fail_on(&f, HW_ERR_AMQP_SYNTAX);

	append_deliver(&f, 1, false); /* in two frames */
	octets_int(&p, 0, 2);
	append_header(&f, 3, &p);
	append_body(&f, "12", 2);
	append_body(&f, "34", 2);
	fail_on(&f, HW_ERR_AMQP_SYNTAX);

	append_deliver(&f, 1, false); /* a body larger than any memory */
	octets_int(&p, 0, 2);
	append_header(&f, UINT64_MAX, &p);
	fail_on(&f, HW_ERR_TOO_LARGE);

	append_deliver(&f, 1, false); /* properties cut short */
	octets_int(&p, 0x2000, 2);
	octets_int(&p, 1000, 4);
	append_header(&f, 0, &p);
	fail_on(&f, HW_ERR_AMQP_SYNTAX);

	octets_raw(&f, "\1\0\1\0\0\0\0\0", 8); /* no end octet */
	fail_on(&f, HW_ERR_AMQP_SYNTAX);
}

static void a_refused_connection_names_host_and_port(void **state)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0); /* bound, not listening */
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	options.port = ntohs(address.sin_port);
	char wanted[100];
	snprintf(wanted, sizeof wanted, "connecting to 127.0.0.1:%u: Connection refused", options.port);
	assert_int_equal(consumer_open(&options, &consumer, text, sizeof text), HW_ERR_CONN_REFUSED);
	assert_string_equal(text, wanted);
	assert_null(consumer);
	close(listener);
}

#define CASE(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_message_comes_with_all_that_it_carries),
		CASE(headers_of_the_right_name_and_the_wrong_kind_are_none_of_ours),
		CASE(bodies_of_several_frames_are_put_together),
		CASE(a_wait_may_end_inside_a_message_and_go_on_later),
		CASE(acks_go_out_in_batches_and_when_idle),
		CASE(auto_ack_acknowledges_nothing),
		CASE(deliveries_under_way_at_the_close_are_skipped),
		CASE(the_end_of_the_channel_the_connection_or_the_queue_is_told),
		CASE(frames_that_make_no_message_are_refused),
		CASE(a_refused_connection_names_host_and_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
