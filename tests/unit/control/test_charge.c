/* What control must not do in between: before its worker has followed, and once the connection is to be forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/clock.h"

static struct supervisor supervisor;
static struct charge charge;

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
	static struct command_channel channel;
	assert_int_equal(spsc_init(&channel.commands, 8, sizeof(struct command)), 0);
	charge.supervisor = &supervisor;
	charge.worker = &supervisor.workers[0];
	charge.worker->channel = &channel;
	charge.nic_port = 50000;
	charge.flow = (struct driver_flow){.local_ip = 1, .remote_ip = 2, .local_port = 50000, .remote_port = 5672};
	for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
		charge.phase = phases[i];
		assert_true(charge_icmp_error(&charge, NULL, &error)); /* nobody else's */
		assert_int_equal(spsc_held(&channel.commands), passed_on[i]);
	}
	spsc_fini(&channel.commands);
}

/* A handshake was given up while a long frame was being passed on: what is left of it is no frame. */
static void an_attempt_finds_nothing_of_the_one_before(void **state)
{
	static struct clock_scale clock_scale;
	const struct publisher_options o = {
		.log_bytes = 65536, .max_messages = 64, .max_templates = 1, .epoch = 1, .clock = &clock_scale};
	struct harewire_publisher *p;
	clock_calibrate(&clock_scale);
	assert_int_equal(publisher_create(&o, &p), 0);
	charge = (struct charge){.supervisor = &supervisor, .worker = &supervisor.workers[0]};
	strcpy(charge.target.hosts[0].name, "10.1.2.3");
	reconnect_init(&charge.reconnect, 1, false, 1000000, 1000000, 1);
	assert_int_equal(connection_create(p, &(struct connection_options){0}, &charge.connection), 0);
	assert_true(byte_ring_write(&charge.connection->bridge.to_control, "abc", 3));
	charge_attempt(&charge, 1);
	assert_int_equal(charge.phase, CHARGE_ROUTING);
	assert_int_equal(byte_ring_held(&charge.connection->bridge.to_control), 0);
	connection_destroy(charge.connection);
	publisher_destroy(p);
}

/* "channel.close" right behind the last reply: the worker must find it there, or it would publish into nothing. */
static void frames_behind_the_last_reply_are_left_until_the_worker_has_taken_over(void **state)
{
	static const uint8_t frame[] = {1, 0, 1, 0, 0, 0, 4, 0, 20, 0, 40, 206};
	static struct clock_scale clock_scale;
	static struct command_channel channel;
	const struct publisher_options o = {
		.log_bytes = 65536, .max_messages = 64, .max_templates = 1, .epoch = 1, .clock = &clock_scale};
	struct harewire_publisher *p;
	clock_calibrate(&clock_scale);
	assert_int_equal(spsc_init(&channel.commands, 8, sizeof(struct command)), 0);
	assert_int_equal(publisher_create(&o, &p), 0);
	charge =
		(struct charge){.supervisor = &supervisor, .worker = &supervisor.workers[0], .phase = CHARGE_HANDSHAKE};
	charge.host = &charge.target.hosts[0];
	charge.worker->channel = &channel;
	pthread_mutex_init(&supervisor.lock, NULL);
	assert_int_equal(connection_create(p, &(struct connection_options){0}, &charge.connection), 0);
	struct byte_ring *to_control = &charge.connection->bridge.to_control;
	for (int channel_only = 0; channel_only < 2; channel_only++) {
		assert_true(byte_ring_write(to_control, frame, sizeof frame));
		charge_hand_over(&charge, 1);
		charge_step(&charge, 2);
		assert_int_equal(byte_ring_held(to_control), sizeof frame);
		publisher_count_connection(p, channel_only); /* what the worker does */
		charge_step(&charge, 3);
		assert_int_equal(byte_ring_held(to_control), 0);
	}
	pthread_mutex_destroy(&supervisor.lock);
	connection_destroy(charge.connection);
	publisher_destroy(p);
	spsc_fini(&channel.commands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_icmp_error_is_not_passed_on_to_a_connection_that_is_being_removed),
		cmocka_unit_test(an_attempt_finds_nothing_of_the_one_before),
		cmocka_unit_test(frames_behind_the_last_reply_are_left_until_the_worker_has_taken_over),
	};
	return cmocka_run_group_tests_name("charge", tests, NULL, NULL);
}
