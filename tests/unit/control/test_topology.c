#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/topology.h"
#include "control/transports.h"
#include "dataplane/base/error.h"

static void a_copy_outlives_what_it_was_made_from(void **state)
{
	char name[] = "ticks", key[] = "#", argument[] = "x-queue-type", value[] = "quorum";
	struct harewire_field field = {.name = argument, .kind = HAREWIRE_STRING, .string = value};
	struct harewire_queue queue = {.name = name, .durable = 1, .arguments = &field, .argument_count = 1};
	struct harewire_exchange exchange = {.name = name, .type = NULL};
	struct harewire_binding binding = {.exchange = name, .queue = name, .routing_key = key};
	struct harewire_publisher_options o = {.queues = &queue,
					       .queue_count = 1,
					       .exchanges = &exchange,
					       .exchange_count = 1,
					       .bindings = &binding,
					       .binding_count = 1};
	struct topology t;
	assert_int_equal(topology_copy(&t, &o), 0);
	memset(name, 'X', sizeof name - 1);
	memset(key, 'X', sizeof key - 1);
	memset(argument, 'X', sizeof argument - 1);
	memset(value, 'X', sizeof value - 1);
	assert_string_equal(t.queues[0].name, "ticks");
	assert_string_equal(t.queues[0].arguments[0].name, "x-queue-type");
	assert_string_equal(t.queues[0].arguments[0].string, "quorum");
	assert_int_equal(t.queues[0].durable, 1);
	assert_string_equal(t.exchanges[0].name, "ticks");
	assert_null(t.exchanges[0].type);
	assert_string_equal(t.bindings[0].routing_key, "#");
	topology_free(&t);
	assert_int_equal(t.queue_count, 0);
}

static void declarations_the_broker_could_only_refuse_are_refused_here(void **state)
{
	char long_name[300];
	memset(long_name, 'n', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	struct harewire_queue queue = {.name = ""};
	struct harewire_binding binding = {.exchange = "md", .routing_key = "#"};
	struct harewire_publisher_options o = {.queues = &queue, .queue_count = 1};
	assert_non_null(topology_check(&o));
	queue.name = long_name;
	assert_non_null(topology_check(&o));
	queue.name = NULL;
	assert_non_null(topology_check(&o));
	queue.name = "ticks";
	assert_null(topology_check(&o));
	o.bindings = &binding;
	o.binding_count = 1;
	assert_non_null(topology_check(&o)); /* bound to nothing */
	binding.queue = "ticks";
	assert_null(topology_check(&o));
}

static const struct route to_lan = {.interface = "eth9", .interface_index = 9, .up = true, .mtu = 1500};
static const struct route to_self = {.interface = "lo", .loopback = true, .up = true, .mtu = 65535};

static void auto_takes_the_kernel_for_a_broker_on_this_host_and_says_why(void **state)
{
	struct transport_request request = {.driver = "auto", .queue = -1};
	struct transport_choice choice;
	char why[256];
	assert_int_equal(transport_choose(&request, &to_self, &choice, why, sizeof why), 0);
	assert_string_equal(choice.name, "kernel");
	assert_non_null(strstr(choice.reason, "on this host"));
	choice.transport->ops->destroy(choice.transport);
}

static void auto_falls_back_to_the_kernel_and_says_what_af_xdp_lacked(void **state)
{
	struct transport_request request = {.driver = "auto", .queue = -1};
	struct transport_choice choice;
	char why[256];
	assert_int_equal(transport_choose(&request, &to_lan, &choice, why, sizeof why), 0);
	assert_string_equal(choice.name, "kernel");
	assert_non_null(strstr(choice.reason, "eth9"));
	choice.transport->ops->destroy(choice.transport);
}

static void a_named_driver_is_used_or_refused_with_a_sentence(void **state)
{
	struct transport_request request = {.driver = "af_xdp", .queue = -1};
	struct transport_choice choice;
	struct route down = to_lan;
	char why[256];
	down.up = false;
	assert_int_equal(transport_choose(&request, &to_self, &choice, why, sizeof why), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "kernel"));
	assert_int_equal(transport_choose(&request, &down, &choice, why, sizeof why), HW_ERR_LINK_DOWN);
	assert_non_null(strstr(why, "eth9"));
	request.interface = "eth8";
	assert_int_equal(transport_choose(&request, &to_lan, &choice, why, sizeof why), HW_ERR_INVALID);
	assert_non_null(strstr(why, "eth8"));
}

static void a_port_of_its_own_needs_a_whole_address_before_it_is_touched(void **state)
{
	struct transport_request request = {.driver = "dpdk", .device = "net_null0", .queues = 1, .cpu = -1};
	struct transport_choice choice;
	struct transport_seat seat = {.request = &request, .choice = &choice};
	char why[256];
	assert_true(transport_known("dpdk") && transport_is_made_together(&request));
	assert_false(transport_is_exclusive(&request));
	request.address = "10.1.2.3/24";
	assert_true(transport_is_exclusive(&request));
	request.gateway = "10.9.9.9";
	assert_int_equal(transport_choose_port(&seat, 1, NULL, why, sizeof why), HW_ERR_INVALID);
	assert_non_null(strstr(why, "10.9.9.9"));
}

static void a_second_broker_behind_another_interface_is_refused(void **state)
{
	struct driver driver = {.info = {.interface = ""}};
	struct transport_choice choice = {.packets = true, .driver = &driver, .device = "eth8"};
	char why[256];
	assert_int_equal(transport_check(&choice, &to_lan, why, sizeof why), HW_ERR_INVALID);
	choice.packets = false;
	assert_int_equal(transport_check(&choice, &to_lan, why, sizeof why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_outlives_what_it_was_made_from),
		cmocka_unit_test(declarations_the_broker_could_only_refuse_are_refused_here),
		cmocka_unit_test(auto_takes_the_kernel_for_a_broker_on_this_host_and_says_why),
		cmocka_unit_test(auto_falls_back_to_the_kernel_and_says_what_af_xdp_lacked),
		cmocka_unit_test(a_named_driver_is_used_or_refused_with_a_sentence),
		cmocka_unit_test(a_port_of_its_own_needs_a_whole_address_before_it_is_touched),
		cmocka_unit_test(a_second_broker_behind_another_interface_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
