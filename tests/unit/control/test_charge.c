/* What a charge must not say to its worker any more once the connection is to be forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/supervisor_internal.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_icmp_error_is_not_passed_on_to_a_connection_that_is_being_removed),
	};
	return cmocka_run_group_tests_name("charge", tests, NULL, NULL);
}
