/*
 * One publisher as control sees it, in virtual time: what it makes of losses, refusals and names that are not found;
 * and what it must not do in between, before its worker has followed and once the connection is to be forgotten.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/session/password_file.h"
#include "control/supervisor_internal.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define MS     1000000ull
#define SECOND (1000 * MS)

static struct supervisor supervisor;
static struct charge charge;
static struct command_channel channel;
static char log_text[4096];

/* The resolver: hangs until it is open, then finds this address, or nothing (0). */
static struct {
	_Atomic uint32_t asked, ip;
	_Atomic bool open;
} resolver;

/* The mount with the password file: reading hangs until it is there. */
static struct {
	_Atomic uint32_t asked, intact, done; /* intact: whose path was there when they came back */
	_Atomic bool there;
} mount;

static uint32_t kernel_asked;

/* ---- in libraries' stead ---- */

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	static struct sockaddr_in addresses[8];
	static struct addrinfo found[8];
	uint32_t n = atomic_fetch_add(&resolver.asked, 1) % 8;
	while (!atomic_load(&resolver.open))
		poll(NULL, 0, 1);
	addresses[n].sin_addr.s_addr = htonl(atomic_load(&resolver.ip));
	found[n].ai_addr = (struct sockaddr *)&addresses[n];
	*out = &found[n];
	return addresses[n].sin_addr.s_addr ? 0 : EAI_AGAIN;
}

void freeaddrinfo(struct addrinfo *found)
{
}

int password_file_read(const char *path, char *password, size_t password_bytes, char *why, size_t why_bytes)
{
	mount.asked++;
	while (!mount.there)
		poll(NULL, 0, 1);
	/* By then the publisher may be gone, but not what the caller has given us. */
	mount.intact += strcmp(path, "/mount/password") == 0;
	memset(password, 'x', password_bytes - 1);
	snprintf(why, why_bytes, "there is nothing in the file");
	mount.done++;
	return HW_ERR_INVALID;
}

/* No netlink to be had: the kernel knows nothing. */
struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	kernel_asked++;
	return NULL;
}

/* ---- a publisher that has been READY, without a worker ---- */

static void log_line(void *context, enum harewire_log_level level, const char *line)
{
	size_t len = strlen(log_text);
	snprintf(log_text + len, sizeof log_text - len, "%d %s\n", (int)level, line);
}

static uint32_t logged(const char *words)
{
	uint32_t n = 0;
	for (const char *at = log_text; (at = strstr(at, words)); at++)
		n++;
	return n;
}

static int setup(void **state)
{
	static struct clock_scale clock_scale;
	const struct publisher_options o = {
		.log_bytes = 65536, .max_messages = 64, .max_templates = 1, .epoch = 1, .clock = &clock_scale};
	struct harewire_publisher *p;
	clock_calibrate(&clock_scale);
	log_text[0] = '\0';
	kernel_asked = 0;
	resolver.asked = mount.asked = mount.intact = mount.done = 0;
	mount.there = false;
	supervisor = (struct supervisor){.log_line = log_line, .wake = eventfd(0, EFD_NONBLOCK)};
	charge = (struct charge){.supervisor = &supervisor, .worker = &supervisor.workers[0], .ready_ns = SECOND};
	charge.host = &charge.target.hosts[0];
	charge.pump.fd = -1;
	charge.target.host_count = 1;
	charge.target.connect_timeout_ns = 10 * SECOND;
	strcpy(charge.target.hosts[0].name, "broker.example");
	charge.target.hosts[0].port = 5672;
	charge.worker->channel = &channel;
	reconnect_init(&charge.reconnect, 1, false, 10 * MS, 50 * MS, 1);
	reconnect_ready(&charge.reconnect);
	assert_int_equal(spsc_init(&channel.commands, 64, sizeof(struct command)), 0);
	assert_int_equal(publisher_create(&o, &p), 0);
	assert_int_equal(connection_create(p, &(struct connection_options){0}, &charge.connection), 0);
	pthread_mutex_init(&supervisor.lock, NULL);
	supervisor.pool = pool_create(supervisor.wake);
	return 0;
}

static int teardown(void **state)
{
	struct harewire_publisher *p = charge.connection->publisher;
	resolver.open = mount.there = true;
	charge_resolve_forget(&charge);
	charge_session_forget(&charge);
	pool_destroy(supervisor.pool);
	pthread_mutex_destroy(&supervisor.lock);
	connection_destroy(charge.connection);
	publisher_destroy(p);
	spsc_fini(&channel.commands);
	close(supervisor.wake);
	return 0;
}

/* ---- losses ---- */

static void lose_channel(uint64_t now_ns, uint16_t reply_code, uint64_t oldest_id)
{
	const struct worker_event event = {
		.type = EVENT_CHANNEL_CLOSED, .reply_code = reply_code, .oldest_id = oldest_id, .oldest_sent = true};
	charge.phase = CHARGE_RUNNING;
	charge_channel_lost(&charge, &event, now_ns);
	charge.ready_ns = now_ns; /* of the next */
}

static void a_channel_closed_again_and_again_costs_the_connection_then_pauses_then_the_publisher(void **state)
{
	lose_channel(10 * SECOND, 404, 5);
	assert_int_equal(charge.phase, CHARGE_REOPENING);
	lose_channel(10 * SECOND + 1 * MS, 404, 5);
	assert_int_equal(charge.phase, CHARGE_WAITING);
	for (uint64_t ms = 2; ms < 1000; ms += 50) {
		lose_channel(10 * SECOND + ms * MS, 404, 5);
		assert_int_equal(charge.phase, CHARGE_WAITING);
		assert_true(charge.retry_ns >= 10 * SECOND + (ms + 5) * MS);
	}
	assert_int_equal(charge.lost_ns, 10 * SECOND); /* patience is counted from there */
	lose_channel(11 * SECOND, 404, 5);
	assert_int_equal(charge.phase, CHARGE_ENDING);
	assert_non_null(strstr(charge.text, "message 5, or one behind it, ended the channel again and again: "));
}

/* The pause left by an outage of long ago is not for a connection that has been good since. */
static void a_connection_that_ends_while_its_channel_is_opened_again_is_made_again_at_once(void **state)
{
	const struct worker_event closed = {.type = EVENT_CLOSED, .code = HW_ERR_CONN_RESET};
	charge.reconnect.pause_ns = charge.reconnect.max_ns = 3600 * SECOND;
	charge.reconnect.attempts = 7;
	lose_channel(10 * SECOND, 406, 5);
	assert_int_equal(charge.phase, CHARGE_REOPENING);
	charge_event(&charge, &closed, 10 * SECOND);
	assert_int_equal(charge.phase, CHARGE_WAITING);
	assert_true(charge.retry_ns <= clock_monotonic_ns());
	assert_int_equal(charge.reconnect.attempts, 0);
}

static void two_closes_are_twice(void **state)
{
	lose_channel(10 * SECOND, 406, 5);
	lose_channel(12 * SECOND, 406, 5);
	assert_int_equal(charge.phase, CHARGE_ENDING);
	assert_non_null(strstr(charge.text, "message 5, or one behind it, ended the channel twice: "));
}

/* At most once: what was sent is LOST, so the oldest is another one each time. */
static void a_permission_withdrawn_ends_it_soon_whatever_the_message(void **state)
{
	uint64_t id = 5, now = 10 * SECOND;
	for (; now < 30 * SECOND; now += 2 * SECOND, id++) {
		lose_channel(now, 403, id);
		assert_int_equal(charge.phase, CHARGE_REOPENING);
	}
	lose_channel(now, 403, id);
	assert_int_equal(charge.phase, CHARGE_ENDING);
	assert_non_null(strstr(charge.text, "again and again for 20 s: "));
}

static void a_login_refused_for_a_while_ends_it_with_the_brokers_words(void **state)
{
	charge_fail(&charge, RECONNECT_REFUSED, HW_ERR_AMQP_LOGIN_REFUSED, "broker.example:5672: 403 words");
	assert_int_equal(charge.phase, CHARGE_WAITING);
	assert_int_equal(logged("1 broker.example:5672: 403 words (unless this passes, the publisher ends after 20 s"),
			 1);
	charge.reconnect.refused_ns[0] -= REFUSED_MOST_NS;
	charge_fail(&charge, RECONNECT_REFUSED, HW_ERR_AMQP_LOGIN_REFUSED, "broker.example:5672: 403 words");
	assert_int_equal(charge.phase, CHARGE_ENDING);
	assert_string_equal(charge.text, "broker.example:5672: 403 words");
}

/* ---- names ---- */

static void attempt(uint64_t now_ns)
{
	charge_attempt(&charge, now_ns);
}

static void until_resolved(uint64_t now_ns)
{
	struct pollfd news = {.fd = supervisor.wake, .events = POLLIN};
	uint64_t count;
	assert_int_equal(poll(&news, 1, 20000), 1);
	assert_int_equal(read(supervisor.wake, &count, sizeof count), sizeof count);
	if (charge.phase == CHARGE_RESOLVING)
		charge_resolve_step(&charge, now_ns);
}

/* A resolver that hangs has one thread of the pool, not one for each attempt. */
static void attempts_wait_for_the_look_up_that_is_under_way(void **state)
{
	resolver.open = false;
	resolver.ip = 0x0a010203;
	for (uint64_t i = 1; i <= 5; i++) {
		attempt(i * 20 * SECOND);
		assert_int_equal(charge.phase, CHARGE_RESOLVING);
		charge_step(&charge, i * 20 * SECOND + 10 * SECOND);
		assert_int_equal(charge.phase, CHARGE_WAITING);
	}
	attempt(200 * SECOND);
	resolver.open = true;
	until_resolved(200 * SECOND);
	assert_int_equal(charge.phase, CHARGE_ROUTING);
	assert_int_equal(charge.remote_ip, 0x0a010203);
	assert_int_equal(resolver.asked, 1);
}

static void a_name_that_cannot_be_found_any_more_is_where_it_was(void **state)
{
	resolver.open = true;
	resolver.ip = 0x0a010203;
	attempt(SECOND);
	until_resolved(SECOND);
	resolver.ip = 0;
	for (uint64_t i = 2; i < 5; i++) {
		charge.remote_ip = 0;
		attempt(i * SECOND);
		until_resolved(i * SECOND);
		assert_int_equal(charge.phase, CHARGE_ROUTING);
		assert_int_equal(charge.remote_ip, 0x0a010203);
		assert_int_equal(charge.answer_by_ns, (i + 2) * SECOND);
	}
	assert_int_equal(resolver.asked, 4);
	assert_int_equal(logged("1 cannot resolve the host name 'broker.example': "), 1);
	assert_int_equal(logged("; going on with its last address, 10.1.2.3\n"), 3);
}

static void a_name_that_is_not_found_in_a_second_is_where_it_was_and_later_where_it_is(void **state)
{
	resolver.open = true;
	resolver.ip = 0x0a010203;
	attempt(SECOND);
	until_resolved(SECOND);
	resolver.open = false;
	attempt(10 * SECOND);
	charge_resolve_step(&charge, 11 * SECOND - 1);
	assert_int_equal(charge.phase, CHARGE_RESOLVING);
	charge_resolve_step(&charge, 11 * SECOND);
	assert_int_equal(charge.phase, CHARGE_ROUTING);
	assert_int_equal(charge.remote_ip, 0x0a010203);
	assert_int_equal(charge.answer_by_ns, 13 * SECOND); /* the wait is not the broker's */
	resolver.ip = 0x0a090909;
	resolver.open = true;
	until_resolved(0);
	/* What came too late is used when the next look-up does not answer either. */
	resolver.open = false;
	attempt(20 * SECOND);
	charge_resolve_step(&charge, 21 * SECOND);
	assert_int_equal(charge.remote_ip, 0x0a090909);
	while (resolver.asked < 3) /* its thread may not have begun yet */
		poll(NULL, 0, 1);
}

static void a_name_that_was_never_found_ends_the_attempt(void **state)
{
	resolver.open = true;
	resolver.ip = 0;
	attempt(SECOND);
	until_resolved(SECOND);
	assert_int_equal(charge.phase, CHARGE_WAITING);
	assert_non_null(strstr(charge.failure, "cannot resolve the host name 'broker.example': "));
}

/* ---- a password file that cannot be read to its end ---- */

static void until_asked(uint32_t times)
{
	while (mount.asked < times)
		poll(NULL, 0, 1);
}

static void start_hanging(uint64_t now_ns, uint32_t times)
{
	strcpy(charge.target.password_file, "/mount/password");
	charge.deadline_ns = now_ns + SECOND;
	charge_session_start(&charge, now_ns);
	until_asked(times);
}

/* An attempt that has come to the handshake and whose time is over. */
static void hang_in_handshake(uint64_t now_ns, uint32_t times)
{
	start_hanging(now_ns, times);
	charge_step(&charge, now_ns + 2 * SECOND);
	assert_int_equal(charge.phase, CHARGE_WAITING);
	assert_non_null(strstr(charge.failure, "timed out while reading the password file"));
	charge.retry_ns = UINT64_MAX; /* the test says when */
}

static void a_handshake_that_hangs_is_left_to_itself_but_two_are_not(void **state)
{
	hang_in_handshake(10 * SECOND, 1);
	charge_step(&charge, 12 * SECOND); /* it is seen to go on */
	charge_step(&charge, 14 * SECOND - 1);
	assert_non_null(charge.session);
	charge_step(&charge, 14 * SECOND);
	assert_null(charge.session);
	assert_int_equal(charge.pump.fd, -1);
	hang_in_handshake(20 * SECOND, 2);
	for (uint64_t i = 0; i < 100; i++)
		charge_step(&charge, (22 + i) * SECOND);
	assert_non_null(charge.session); /* so there is no third */
	assert_int_equal(logged("1 broker.example:5672: two handshakes hang, the last one while reading the password "
				"file: nothing is tried again until one of them is over\n"),
			 1);
	mount.there = true;
	while (charge.session || charge.stuck_session) {
		charge_step(&charge, 200 * SECOND);
		poll(NULL, 0, 1);
	}
	assert_int_equal(mount.asked, 2);
}

/* Nobody has a connection yet: every host is tried, each once, and then it is over. */
static void handshakes_that_hang_at_the_first_hosts_do_not_keep_the_last_from_its_turn(void **state)
{
	charge.target.host_count = 3;
	reconnect_init(&charge.reconnect, 3, false, 10 * MS, 50 * MS, 1);
	for (uint32_t i = 1; i < 3; i++) {
		hang_in_handshake(i * 10 * SECOND, i);
		charge_step(&charge, i * 10 * SECOND + 2 * SECOND);
		charge_step(&charge, i * 10 * SECOND + 4 * SECOND);
		assert_null(charge.session);
	}
	start_hanging(30 * SECOND, 3);
	charge_step(&charge, 32 * SECOND);
	assert_int_equal(charge.phase, CHARGE_ENDING);
	assert_int_equal(logged("nothing is tried again"), 0);
	mount.there = true;
	while (charge.session || charge.stuck_session) {
		charge_step(&charge, 33 * SECOND);
		poll(NULL, 0, 1);
	}
	while (mount.done < 3)
		poll(NULL, 0, 1);
	assert_int_equal(mount.intact, 3);
}

static void a_publisher_is_removed_while_its_handshake_hangs(void **state)
{
	hang_in_handshake(10 * SECOND, 1);
	for (uint64_t i = 12; i < 15; i++)
		charge_step(&charge, i * SECOND);
	hang_in_handshake(20 * SECOND, 2);
	charge.remove_wanted = true;
	charge_step(&charge, 23 * SECOND);
	assert_int_equal(charge.phase, CHARGE_ENDING);
	charge_step(&charge, 25 * SECOND);
	assert_int_equal(charge.phase, CHARGE_REMOVING);
	memset(&charge.target, 0, sizeof charge.target);
	assert_int_equal(mount.done, 0);
	mount.there = true;
	while (mount.done < 2)
		poll(NULL, 0, 1);
	assert_int_equal(mount.intact, 2);
}

/* ---- neighbours ---- */

static void the_kernel_is_asked_for_a_neighbour_now_and_then_and_at_once_when_there_is_news(void **state)
{
	static const uint8_t mac[6] = {2};
	charge.worker->choice.packets = true;
	charge.phase = CHARGE_NEIGHBOUR;
	charge.route.interface_index = 7;
	charge.route.next_hop = 0x0a000001;
	for (uint64_t ms = 0; ms < 1000; ms++)
		charge_path_neighbour(&charge, SECOND + ms * MS);
	assert_int_equal(kernel_asked, 20);
	charge_neighbour(&charge, NULL, 7, 0x0a000002, NEIGHBOUR_KNOWN, mac);
	charge_path_neighbour(&charge, 2 * SECOND - MS);
	assert_int_equal(kernel_asked, 20);
	charge_neighbour(&charge, NULL, 7, 0x0a000001, NEIGHBOUR_KNOWN, mac);
	charge_path_neighbour(&charge, 2 * SECOND - MS);
	assert_int_equal(kernel_asked, 21);
}

/* ---- what is not for control to touch ---- */

/* After EVENT_REMOVED the connection is freed, whether the worker has read its commands by then or not. */
static void an_icmp_error_is_not_passed_on_to_a_connection_that_is_being_removed(void **state)
{
	static const enum charge_phase phases[] = {CHARGE_RUNNING, CHARGE_WAITING, CHARGE_ENDED, CHARGE_REMOVING,
						   CHARGE_REMOVED};
	static const uint32_t passed_on[] = {1, 2, 3, 3, 3};
	const struct icmp_error error = {.type = 3,
					 .code = 1,
					 .quoted_source_ip = 1,
					 .quoted_destination_ip = 2,
					 .quoted_source_port = 50000,
					 .quoted_destination_port = 5672};
	charge.nic_port = 50000;
	charge.flow = (struct driver_flow){.local_ip = 1, .remote_ip = 2, .local_port = 50000, .remote_port = 5672};
	for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
		charge.phase = phases[i];
		assert_true(charge_icmp_error(&charge, NULL, &error)); /* nobody else's */
		assert_int_equal(spsc_held(&channel.commands), passed_on[i]);
	}
}

/* A handshake was given up while a long frame was being passed on: what is left of it is no frame. */
static void an_attempt_finds_nothing_of_the_one_before(void **state)
{
	strcpy(charge.target.hosts[0].name, "10.1.2.3");
	assert_true(byte_ring_write(&charge.connection->bridge.to_control, "abc", 3));
	attempt(1);
	assert_int_equal(charge.phase, CHARGE_ROUTING);
	assert_int_equal(byte_ring_held(&charge.connection->bridge.to_control), 0);
}

/* "channel.close" right behind the last reply: the worker must find it there, or it would publish into nothing. */
static void frames_behind_the_last_reply_are_left_until_the_worker_has_taken_over(void **state)
{
	static const uint8_t frame[] = {1, 0, 1, 0, 0, 0, 4, 0, 20, 0, 40, 206};
	struct byte_ring *to_control = &charge.connection->bridge.to_control;
	charge.phase = CHARGE_HANDSHAKE;
	for (int channel_only = 0; channel_only < 2; channel_only++) {
		assert_true(byte_ring_write(to_control, frame, sizeof frame));
		charge_hand_over(&charge, 1);
		charge_step(&charge, 2);
		assert_int_equal(byte_ring_held(to_control), sizeof frame);
		publisher_count_connection(charge.connection->publisher, channel_only); /* what the worker does */
		charge_step(&charge, 3);
		assert_int_equal(byte_ring_held(to_control), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_channel_closed_again_and_again_costs_the_connection_then_pauses_then_the_publisher),
		TEST(a_connection_that_ends_while_its_channel_is_opened_again_is_made_again_at_once),
		TEST(two_closes_are_twice),
		TEST(a_permission_withdrawn_ends_it_soon_whatever_the_message),
		TEST(a_login_refused_for_a_while_ends_it_with_the_brokers_words),
		TEST(attempts_wait_for_the_look_up_that_is_under_way),
		TEST(a_name_that_cannot_be_found_any_more_is_where_it_was),
		TEST(a_name_that_is_not_found_in_a_second_is_where_it_was_and_later_where_it_is),
		TEST(a_name_that_was_never_found_ends_the_attempt),
		TEST(a_handshake_that_hangs_is_left_to_itself_but_two_are_not),
		TEST(handshakes_that_hang_at_the_first_hosts_do_not_keep_the_last_from_its_turn),
		TEST(a_publisher_is_removed_while_its_handshake_hangs),
		TEST(the_kernel_is_asked_for_a_neighbour_now_and_then_and_at_once_when_there_is_news),
		TEST(an_icmp_error_is_not_passed_on_to_a_connection_that_is_being_removed),
		TEST(an_attempt_finds_nothing_of_the_one_before),
		TEST(frames_behind_the_last_reply_are_left_until_the_worker_has_taken_over),
	};
	return cmocka_run_group_tests_name("charge", tests, NULL, NULL);
}
