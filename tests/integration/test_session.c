/*
 * control/session against a real RabbitMQ at $AMQP_URL. A thread plays the worker: it carries octets between the
 * bridge's rings and an ordinary TCP connection, through the pump and the frame reader that the real one uses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/session/connect.h"
#include "control/session/consumer.h"
#include "control/session/pump.h"
#include "control/session/session.h"
#include "control/session/url.h"
#include "control/session/verify.h"
#include "dataplane/amqp/frame_reader.h"
#include "dataplane/amqp/method.h"
#include "dataplane/amqp/template.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define TIMEOUT_NS 20000000000u
#define FRAME_MAX  131072u

static struct url_parts url;
static char text[SESSION_TEXT_MAX];

/* ---- the worker's part ---------------------------------------------------------------------------------------------
 */

struct link {
	int tcp, session_end;
	struct bridge bridge;
	struct pump pump;
	struct frame_reader reader;
	pthread_t thread;
	_Atomic bool stop;
};

static void carry_frames(struct link *l, const uint8_t *bytes, uint32_t len)
{
	uint32_t used;
	struct frame frame;
	while (len > 0 && frame_reader_next(&l->reader, bytes, len, &used, &frame) > 0) {
		bytes += used;
		len -= used;
		if (frame.type != FRAME_HEARTBEAT)
			byte_ring_write(&l->bridge.to_control, frame.raw, frame.payload_len + 8);
	}
}

static void carry_to_wire(struct link *l)
{
	uint8_t chunk[4096];
	uint32_t held = byte_ring_held(&l->bridge.to_wire), len = held < sizeof chunk ? held : (uint32_t)sizeof chunk;
	if (len == 0)
		return;
	byte_ring_peek(&l->bridge.to_wire, 0, chunk, len);
	ssize_t sent = send(l->tcp, chunk, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		byte_ring_consume(&l->bridge.to_wire, (uint32_t)sent);
}

static void *run_link(void *context)
{
	struct link *l = context;
	while (!l->stop) {
		uint8_t chunk[4096];
		struct pollfd fds[] = {{.fd = l->tcp, .events = POLLIN}, {.fd = l->pump.fd, .events = POLLIN}};
		poll(fds, 2, 5);
		ssize_t got = recv(l->tcp, chunk, sizeof chunk, MSG_DONTWAIT);
		if (got > 0)
			carry_frames(l, chunk, (uint32_t)got);
		while (pump_run(&l->pump) || byte_ring_held(&l->bridge.to_wire))
			carry_to_wire(l);
		if (got == 0) {
			shutdown(l->pump.fd, SHUT_RDWR);
			break;
		}
	}
	return NULL;
}

static struct link *link_open(void)
{
	static struct link l;
	int fds[2];
	memset(&l, 0, sizeof l);
	l.tcp = connect_tcp(url.host, url.port, TIMEOUT_NS, text, sizeof text);
	if (l.tcp < 0)
		fail_msg("%s", text);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	l.session_end = fds[0];
	byte_ring_init(&l.bridge.to_control, BRIDGE_BYTES);
	byte_ring_init(&l.bridge.to_wire, BRIDGE_BYTES);
	frame_reader_init(&l.reader, FRAME_MAX);
	pump_init(&l.pump, &l.bridge, fds[1]);
	assert_int_equal(pthread_create(&l.thread, NULL, run_link, &l), 0);
	return &l;
}

static void link_stop(struct link *l)
{
	l->stop = true;
	pthread_join(l->thread, NULL);
}

static void link_close(struct link *l)
{
	close(l->tcp);
	close(l->session_end);
	close(l->pump.fd);
	byte_ring_fini(&l->bridge.to_control);
	byte_ring_fini(&l->bridge.to_wire);
}

static struct session_request base_request(void)
{
	return (struct session_request){
		.user = url.user,
		.password = url.password,
		.vhost = url.vhost,
		.connection_name = "harewire test",
		.heartbeat_s = 10,
		.frame_max = FRAME_MAX,
		.timeout_ns = TIMEOUT_NS,
	};
}

static struct session_result run(struct session_request request)
{
	struct session_result result;
	struct link *l = link_open();
	request.fd = l->session_end;
	session_establish(&request, &result);
	assert_int_not_equal(fcntl(l->session_end, F_GETFD), -1);
	link_stop(l);
	if (result.code == 0)
		assert_true(pump_idle(&l->pump));
	link_close(l);
	return result;
}

static void expect_failure(struct session_request request, int code, const char *says)
{
	struct session_result result = run(request);
	if (result.code != code || !strstr(result.text, says))
		fail_msg("code %d: %s", result.code, result.text);
}

static void expect_success(struct session_request request)
{
	struct session_result result = run(request);
	if (result.code)
		fail_msg("%s", result.text);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------
 */

static void logs_in_and_negotiates(void **state)
{
	struct session_request request = base_request();
	request.heartbeat_s = 7;
	request.frame_max = 8192;
	struct session_result result = run(request);
	assert_string_equal(result.text, "");
	assert_int_equal(result.code, 0);
	assert_int_equal(result.frame_max, 8192);
	assert_int_equal(result.heartbeat_s, 7);
	assert_int_equal(result.channel_max, 2047);
}

static void a_wrong_password_is_refused_with_the_brokers_words(void **state)
{
	struct session_request request = base_request();
	request.password = "open-sesame";
	struct session_result result = run(request);
	assert_int_equal(result.code, HW_ERR_AMQP_LOGIN_REFUSED);
	assert_non_null(strstr(result.text, "403 ACCESS_REFUSED"));
	assert_non_null(strstr(result.text, url.user));
	assert_null(strstr(result.text, "open-sesame"));
}

static void a_missing_vhost_is_named(void **state)
{
	struct session_request request = base_request();
	request.vhost = "nowhere";
	expect_failure(request, HW_ERR_AMQP_LOGIN_REFUSED, "opening vhost 'nowhere'");
	expect_failure(request, HW_ERR_AMQP_LOGIN_REFUSED, "530 NOT_ALLOWED - vhost nowhere not found");
}

static void what_is_passively_declared_must_exist(void **state)
{
	const struct harewire_queue queue = {.name = "hw-absent", .passive = 1};
	const struct harewire_exchange exchange = {.name = "hw-absent-x", .passive = 1};
	struct session_request request = base_request();
	request.queues = &queue;
	request.queue_count = 1;
	expect_failure(request, HW_ERR_AMQP_SETUP, "looking for queue 'hw-absent': 404 NOT_FOUND - no queue");
	request.exchanges = &exchange;
	request.exchange_count = 1;
	expect_failure(request, HW_ERR_AMQP_SETUP, "looking for exchange 'hw-absent-x': 404 NOT_FOUND - no exchange");
}

static void inequivalent_arguments_are_named(void **state)
{
	struct harewire_field field = {.name = "x-max-length", .kind = HAREWIRE_INT64, .integer = 1000};
	const struct harewire_queue queue = {
		.name = "hw-limited", .auto_delete = 0, .durable = 0, .arguments = &field, .argument_count = 1};
	struct session_request request = base_request();
	request.queues = &queue;
	request.queue_count = 1;
	expect_success(request);
	expect_success(request); /* the same again is no error */
	field.integer = 2000;
	expect_failure(request, HW_ERR_AMQP_SETUP,
		       "declaring queue 'hw-limited': 406 PRECONDITION_FAILED - inequivalent arg 'x-max-length'");
}

static void every_kind_of_argument_and_binding_is_accepted(void **state)
{
	const struct harewire_field queue_fields[] = {
		{.name = "x-queue-type", .kind = HAREWIRE_STRING, .string = "classic"},
		{.name = "x-max-length", .kind = HAREWIRE_INT64, .integer = 10},
		{.name = "x-single-active-consumer", .kind = HAREWIRE_BOOL, .integer = 1},
	};
	const struct harewire_field match[] = {{.name = "x-match", .kind = HAREWIRE_STRING, .string = "any"},
					       {.name = "venue", .kind = HAREWIRE_STRING, .string = "IEX"}};
	const struct harewire_exchange exchanges[] = {
		{.name = "hw-x", .durable = 1},
		{.name = "hw-inner", .type = "headers", .auto_delete = 1, .internal = 1},
		{.name = "amq.topic", .type = "topic", .passive = 1},
	};
	const struct harewire_queue queue = {.name = "hw-q", .arguments = queue_fields, .argument_count = 3};
	const struct harewire_binding bindings[] = {
		{.exchange = "hw-x", .queue = "hw-q", .routing_key = "md.#"},
		{.exchange = "hw-x", .to_exchange = "hw-inner", .routing_key = "#"},
		{.exchange = "hw-inner", .queue = "hw-q", .arguments = match, .argument_count = 2},
	};
	struct session_request request = base_request();
	request.exchanges = exchanges;
	request.exchange_count = 3;
	request.queues = &queue;
	request.queue_count = 1;
	request.bindings = bindings;
	request.binding_count = 3;
	expect_success(request);

	const struct harewire_binding dangling = {.exchange = "hw-none", .queue = "hw-q", .routing_key = "k"};
	request.bindings = &dangling;
	request.binding_count = 1;
	expect_failure(
		request, HW_ERR_AMQP_SETUP,
		"binding queue 'hw-q' to exchange 'hw-none' with key 'k': 404 NOT_FOUND - no exchange 'hw-none'");
}

/* ---- after hand-over, and the consumer
 * --------------------------------------------------------------------------------- */

#define MESSAGES 5000

static const struct harewire_exchange ticks_exchange = {.name = "hw-ticks", .type = "topic"};
static const struct harewire_queue ticks_queue = {.name = "hw-ticks-q"};
static const struct harewire_binding ticks_binding = {
	.exchange = "hw-ticks", .queue = "hw-ticks-q", .routing_key = "md.*"};

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		if (n <= 0)
			assert_int_equal(poll(&p, 1, 10000), 1);
		else
			bytes += n, len -= (size_t)n;
	}
}

static uint64_t now_realtime_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Message `id` has a body of its id in decimal; every tenth one of 20000 octets more. */
static size_t make_body(uint64_t id, char *body)
{
	size_t len = (size_t)sprintf(body, "%llu ", (unsigned long long)id);
	size_t more = id % 10 == 0 ? 20000 : 0;
	memset(body + len, 'x', more);
	return len + more;
}

static void publish_messages(int tcp)
{
	const size_t room = sizeof(struct amqp_template) + AMQP_IMAGE_MAX;
	struct amqp_template *template = malloc(room);
	const struct amqp_message_options options = {
		.exchange = "hw-ticks",
		.routing_key = "md.AAPL",
		.priority = -1,
		.slots = AMQP_SLOT_SEQUENCE | AMQP_SLOT_SEND_TIME | AMQP_SLOT_MESSAGE_ID | AMQP_SLOT_TIMESTAMP |
			 AMQP_SLOT_DUPLICATE,
	};
	const char *why;
	assert_int_equal(amqp_template_encode(template, room, &options, SESSION_CHANNEL, &why), 0);
	uint8_t *wire = malloc(65536);
	char *body = malloc(32768);
	for (uint64_t id = 1; id <= MESSAGES; id++) {
		const struct amqp_slot_values values = {
			.id = id, .epoch = 0xabcd, .timestamp_s = 1700000000, .send_time_ns = now_realtime_ns()};
		size_t len = make_body(id, body);
		send_all(tcp, wire, amqp_message_write_split(template, wire, body, len, 8192, &values));
	}
	free(body);
	free(wire);
	free(template);
}

/* Reads until the last message is confirmed. */
static void await_confirms(int tcp, struct frame_reader *reader)
{
	uint64_t confirmed = 0;
	while (confirmed < MESSAGES) {
		uint8_t buffer[4096], *p = buffer;
		struct pollfd fd = {.fd = tcp, .events = POLLIN};
		assert_int_equal(poll(&fd, 1, 20000), 1);
		ssize_t got = recv(tcp, buffer, sizeof buffer, 0);
		assert_true(got > 0);
		uint32_t left = (uint32_t)got, used;
		struct frame frame;
		while (left && frame_reader_next(reader, p, left, &used, &frame) > 0) {
			p += used;
			left -= used;
			struct amqp_confirm confirm;
			if (frame.type == FRAME_HEARTBEAT)
				continue;
			assert_int_equal(amqp_method_id(&frame), AMQP_BASIC_ACK);
			assert_int_equal(amqp_parse_confirm(&frame, &confirm), 0);
			confirmed =
				confirm.multiple ? (confirm.tag > confirmed ? confirm.tag : confirmed) : confirmed + 1;
		}
	}
}

/* Establishes, takes the connection over at the frame boundary, publishes on it. */
static void publish_after_hand_over(void)
{
	struct session_request request = base_request();
	request.exchanges = &ticks_exchange;
	request.exchange_count = 1;
	request.queues = &ticks_queue;
	request.queue_count = 1;
	request.bindings = &ticks_binding;
	request.binding_count = 1;
	request.heartbeat_s = 60;
	struct session_result result;
	struct link *l = link_open();
	request.fd = l->session_end;
	session_establish(&request, &result);
	assert_string_equal(result.text, "");
	link_stop(l);
	assert_true(pump_idle(&l->pump));
	publish_messages(l->tcp);
	await_confirms(l->tcp, &l->reader);
	link_close(l);
}

static struct consumer_options consumer_options(void)
{
	return (struct consumer_options){
		.host = url.host,
		.port = url.port,
		.user = url.user,
		.password = url.password,
		.vhost = url.vhost,
		.connection_name = "harewire test consumer",
		.heartbeat_s = 10,
		.frame_max = 8192,
		.timeout_ns = TIMEOUT_NS,
		.queues = &ticks_queue,
		.queue_count = 1,
		.queue = "hw-ticks-q",
		.prefetch = 200,
	};
}

static struct consumer *open_consumer(const struct consumer_options *options)
{
	struct consumer *c;
	if (consumer_open(options, &c, text, sizeof text))
		fail_msg("%s", text);
	return c;
}

static void check_delivery(const struct delivery *d, char *body)
{
	char message_id[64];
	assert_true(d->has_sequence && d->has_epoch && d->has_send_time && d->has_timestamp);
	size_t len = make_body(d->sequence, body);
	assert_int_equal(d->body_len, len);
	assert_memory_equal(d->body, body, len);
	assert_string_equal(d->exchange, "hw-ticks");
	assert_string_equal(d->routing_key, "md.AAPL");
	snprintf(message_id, sizeof message_id, "0000abcd-%016llx", (unsigned long long)d->sequence);
	assert_string_equal(d->message_id, message_id);
	assert_int_equal(d->timestamp_s, 1700000000);
	assert_int_equal(d->epoch, 0xabcd);
	assert_false(d->duplicate);
}

static void consume(struct consumer *c, uint64_t count, bool ack, struct verify *verify)
{
	char *body = malloc(32768);
	for (uint64_t i = 0; i < count; i++) {
		struct delivery d;
		if (consumer_next(c, TIMEOUT_NS, &d) != 1)
			fail_msg("after %llu messages: %s", (unsigned long long)i, consumer_reason(c));
		check_delivery(&d, body);
		const struct verify_message m = {
			.sequenced = true,
			.sequence = d.sequence,
			.epoch = d.epoch,
			.redelivered = d.redelivered,
			.flagged = d.duplicate,
			.send_time_ns = d.send_time_ns,
		};
		assert_int_equal(verify_add(verify, &m, now_realtime_ns()), 0);
		if (ack)
			assert_int_equal(consumer_ack(c, &d), 0);
	}
	free(body);
}

static void what_is_published_after_hand_over_is_consumed_once_and_in_order(void **state)
{
	publish_after_hand_over();
	struct verify verify;
	verify_init(&verify, false);
	const struct consumer_options options = consumer_options();
	struct consumer *c = open_consumer(&options);
	consume(c, MESSAGES, true, &verify);
	struct delivery d;
	assert_int_equal(consumer_next(c, 100000000, &d), 0);
	assert_int_equal(consumer_close(c, TIMEOUT_NS, text, sizeof text), 0);

	struct verify_report report;
	verify_summarize(&verify, &report);
	assert_true(verify_clean(&report));
	assert_int_equal(report.received, MESSAGES);
	assert_int_equal(histogram_count(&verify.latency_ns), MESSAGES);
	verify_fini(&verify);

	c = open_consumer(&options); /* everything was acknowledged */
	assert_int_equal(consumer_next(c, 300000000, &d), 0);
	assert_int_equal(consumer_close(c, TIMEOUT_NS, text, sizeof text), 0);
}

static void prefetch_holds_back_what_is_not_acknowledged_and_it_comes_again(void **state)
{
	publish_after_hand_over();
	struct verify verify;
	verify_init(&verify, false);
	struct consumer_options options = consumer_options();
	options.prefetch = 50;
	options.ack_every = 1;
	struct consumer *c = open_consumer(&options);
	struct delivery d;
	consume(c, 50, false, &verify);
	assert_int_equal(consumer_next(c, 300000000, &d), 0); /* the prefetch is used up */
	assert_int_equal(consumer_close(c, TIMEOUT_NS, text, sizeof text), 0);

	options.auto_ack = true;
	c = open_consumer(&options);
	consume(c, MESSAGES, true, &verify);
	assert_int_equal(consumer_close(c, TIMEOUT_NS, text, sizeof text), 0);
	struct verify_report report;
	verify_summarize(&verify, &report);
	assert_int_equal(report.duplicates_redelivered, 50);
	assert_true(verify_clean(&report));
	verify_fini(&verify);
}

static void the_consumers_errors_are_sentences(void **state)
{
	struct consumer *c;
	struct consumer_options options = consumer_options();
	options.password = "open-sesame";
	assert_int_equal(consumer_open(&options, &c, text, sizeof text), HW_ERR_AMQP_LOGIN_REFUSED);
	assert_non_null(strstr(text, "403 ACCESS_REFUSED"));
	assert_null(strstr(text, "open-sesame"));

	options = consumer_options();
	options.queue = "hw-absent";
	assert_int_equal(consumer_open(&options, &c, text, sizeof text), HW_ERR_AMQP_SETUP);
	assert_non_null(strstr(text, "consuming from queue 'hw-absent': 404 NOT_FOUND - no queue 'hw-absent'"));

	options.host = "no-such-host.invalid";
	assert_int_equal(consumer_open(&options, &c, text, sizeof text), HW_ERR_HOST_UNREACHABLE);
	assert_non_null(strstr(text, "looking up host 'no-such-host.invalid'"));
}

/* rabbitmq-c sends and expects heartbeats while the consumer waits. */
static void an_idle_consumer_outlives_its_heartbeat(void **state)
{
	struct consumer_options options = consumer_options();
	options.heartbeat_s = 1;
	struct consumer *c = open_consumer(&options);
	struct delivery d;
	assert_int_equal(consumer_next(c, 4500000000u, &d), 0);
	assert_int_equal(consumer_close(c, TIMEOUT_NS, text, sizeof text), 0);
}

int main(void)
{
	const char *given = getenv("AMQP_URL"), *why;
	if (!given) {
		fputs("test_session needs a RabbitMQ: set AMQP_URL, e.g. amqp://127.0.0.1:5672\n", stderr);
		return 2;
	}
	if (url_parse(given, &url, &why)) {
		fprintf(stderr, "test_session: AMQP_URL: %s\n", why);
		return 2;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logs_in_and_negotiates),
		cmocka_unit_test(a_wrong_password_is_refused_with_the_brokers_words),
		cmocka_unit_test(a_missing_vhost_is_named),
		cmocka_unit_test(what_is_passively_declared_must_exist),
		cmocka_unit_test(inequivalent_arguments_are_named),
		cmocka_unit_test(every_kind_of_argument_and_binding_is_accepted),
		cmocka_unit_test(what_is_published_after_hand_over_is_consumed_once_and_in_order),
		cmocka_unit_test(prefetch_holds_back_what_is_not_acknowledged_and_it_comes_again),
		cmocka_unit_test(the_consumers_errors_are_sentences),
		cmocka_unit_test(an_idle_consumer_outlives_its_heartbeat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
