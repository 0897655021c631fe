/* What becomes of the options of several workers, and which cannot work together. And why a CPU cannot be had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "control/cpu.h"
#include "control/worker_plan.h"
#include "dataplane/base/error.h"

static char why[512];

struct given {
	struct harewire_options options;
	struct harewire_worker_options workers[HAREWIRE_WORKERS_MAX + 1];
};

/* As harewire_options_init and harewire_worker_options_init have them. */
static struct given *given(uint32_t count)
{
	static struct given g;
	memset(&g, 0, sizeof g);
	g.options = (struct harewire_options){.driver = "auto", .queue = -1, .worker_cpu = -1};
	for (uint32_t i = 0; i <= HAREWIRE_WORKERS_MAX; i++)
		g.workers[i] = (struct harewire_worker_options){.cpu = -1, .queue = -1};
	g.options.workers = g.workers;
	g.options.worker_count = count;
	return &g;
}

static struct given *on_one_port(uint32_t count)
{
	struct given *g = given(count);
	g->options.driver = "dpdk";
	g->options.device = "0000:3b:00.0";
	g->options.address = "10.1.2.3/24";
	return g;
}

static struct worker_plan accepted(const struct given *g)
{
	struct worker_plan plan;
	why[0] = '\0';
	if (worker_plan_make(&g->options, &plan, why, sizeof why))
		fail_msg("refused: %s", why);
	return plan;
}

static void refused(const struct given *g, const char *word, const char *other)
{
	struct worker_plan plan;
	why[0] = '\0';
	assert_int_equal(worker_plan_make(&g->options, &plan, why, sizeof why), HW_ERR_INVALID);
	if (!strstr(why, word) || !strstr(why, other))
		fail_msg("'%s' and '%s' are not both in: %s", word, other, why);
}

static void without_workers_there_is_one_made_of_the_options(void **state)
{
	struct given *g = given(0);
	g->options.workers = NULL;
	g->options.interface = "eth7";
	g->options.worker_cpu = 3;
	struct worker_plan plan = accepted(g);
	assert_int_equal(plan.count, 1);
	assert_string_equal(plan.workers[0].driver, "auto");
	assert_string_equal(plan.workers[0].interface, "eth7");
	assert_int_equal(plan.workers[0].queue, 0);
	assert_int_equal(plan.workers[0].queues, 1);
	assert_int_equal(plan.workers[0].cpu, 3);
	assert_null(plan.workers[0].device);
	g->options.driver = "dpdk";
	g->options.mtu = 9000;
	g->options.tso = HAREWIRE_USE_ON;
	plan = accepted(g);
	assert_int_equal(plan.workers[0].mtu, 9000);
	assert_int_equal(plan.workers[0].tso, HAREWIRE_USE_ON);
}

static void a_worker_takes_from_the_options_what_it_does_not_say_itself(void **state)
{
	struct given *g = on_one_port(3);
	g->options.gateway = "10.1.2.1";
	g->options.eal = "--no-huge";
	g->options.vlan = 7;
	g->options.worker_cpu = 1;
	g->workers[1] = (struct harewire_worker_options){.cpu = 4, .queue = 2, .driver = "af_xdp", .interface = "eth1"};
	g->workers[2] = (struct harewire_worker_options){.cpu = -1,
							 .queue = -1,
							 .device = "0000:5e:00.1",
							 .address = "10.9.9.9/8",
							 .gateway = "",
							 .vlan = 9,
							 .mtu = 9000};
	struct worker_plan plan = accepted(g);
	assert_string_equal(plan.workers[0].driver, "dpdk");
	assert_string_equal(plan.workers[0].gateway, "10.1.2.1");
	assert_int_equal(plan.workers[0].vlan, 7);
	assert_int_equal(plan.workers[0].cpu, 1);
	assert_string_equal(plan.workers[1].driver, "af_xdp");
	assert_string_equal(plan.workers[1].interface, "eth1");
	assert_int_equal(plan.workers[1].queue, 2);
	assert_int_equal(plan.workers[1].cpu, 4);
	assert_string_equal(plan.workers[2].device, "0000:5e:00.1");
	assert_string_equal(plan.workers[2].address, "10.9.9.9/8");
	assert_string_equal(plan.workers[2].gateway, "10.1.2.1"); /* "" says nothing */
	assert_string_equal(plan.workers[2].eal, "--no-huge");
	assert_int_equal(plan.workers[2].vlan, 9);
	assert_int_equal(plan.workers[2].mtu, 9000);
}

static void queues_that_nobody_names_are_given_out_in_order_on_each_device(void **state)
{
	struct given *g = on_one_port(5);
	g->workers[1].queue = 0;
	g->workers[2].driver = "af_xdp";
	g->workers[3].driver = "kernel";
	g->workers[4].device = "3B:00.0,txq_inline_max=128"; /* the same one */
	struct worker_plan plan = accepted(g);
	assert_int_equal(plan.workers[0].queue, 1);
	assert_int_equal(plan.workers[1].queue, 0);
	assert_int_equal(plan.workers[2].queue, 0);
	assert_int_equal(plan.workers[4].queue, 2);
	assert_int_equal(plan.workers[0].queues, 3);
	assert_int_equal(plan.workers[4].queues, 3);
	assert_int_equal(plan.workers[2].queues, 1);
}

static void workers_of_the_kernel_share_nothing(void **state)
{
	struct given *g = given(3);
	g->options.driver = "kernel";
	g->options.queue = 0;
	assert_int_equal(accepted(g).count, 3);
}

static void a_port_has_its_queues_without_gaps_and_each_once(void **state)
{
	struct given *g = on_one_port(2);
	g->workers[1].queue = 2;
	refused(g, "worker 1 has queue 2 of 0000:3b:00.0", "0 to 1");
	g->workers[0].queue = 2;
	refused(g, "workers 0 and 1", "queue 2");
	g = on_one_port(1);
	g->options.queue = 1;
	refused(g, "queue 1", "queue 0");
	g = given(2);
	g->options.driver = "af_xdp";
	g->options.queue = 1;
	refused(g, "workers 0 and 1", "queue 1");
	g->workers[1].queue = 5; /* AF_XDP may leave queues to the kernel */
	assert_int_equal(accepted(g).workers[1].queue, 5);
}

static void a_port_has_one_of_everything_else(void **state)
{
	struct given *g = on_one_port(2);
	g->workers[1].address = "10.1.2.4/24";
	refused(g, "workers 0 and 1 share 0000:3b:00.0", "address");
	g = on_one_port(2);
	g->workers[1].gateway = "10.1.2.1";
	refused(g, "0000:3b:00.0", "gateway");
	g = on_one_port(2);
	g->workers[0].vlan = 3;
	refused(g, "0000:3b:00.0", "VLAN");
	g = on_one_port(2);
	g->workers[0].mtu = 9000;
	refused(g, "0000:3b:00.0", "MTU");
}

static void two_ports_have_two_addresses(void **state)
{
	struct given *g = on_one_port(2);
	g->workers[1].device = "0000:5e:00.0";
	refused(g, "0000:5e:00.0", "10.1.2.3/24");
	g->workers[1].vlan = 5; /* another network */
	assert_int_equal(accepted(g).count, 2);
}

static void how_many_there_can_be_and_which_drivers_is_said(void **state)
{
	refused(given(0), "1 to 16", "not 0");
	refused(given(HAREWIRE_WORKERS_MAX + 1), "1 to 16", "17");
	assert_int_equal(accepted(given(HAREWIRE_WORKERS_MAX)).count, 16);
	struct given *g = given(2);
	g->workers[1].driver = "verbs";
	refused(g, "'verbs'", "af_xdp");
	g->options.workers = NULL;
	refused(g, "worker_count", "2");
}

static void telemetry_is_dpdks(void **state)
{
	struct given *g = on_one_port(2);
	g->options.telemetry = 1;
	assert_true(accepted(g).telemetry && accepted(g).workers[1].telemetry);
	g->workers[0].driver = "kernel";
	assert_true(accepted(g).telemetry);
	g = given(2);
	g->options.telemetry = 1;
	g->workers[1].driver = "af_xdp";
	refused(g, "telemetry", "dpdk");
}

/* A device that is named but not taken would be believed to be what sends. */
static void what_only_dpdk_heeds_is_refused_without_it(void **state)
{
	static const struct {
		struct harewire_worker_options own;
		const char *word;
	} words[] = {{{.device = "0000:3b:00.0"}, "a device"},
		     {{.address = "10.1.2.3/24"}, "an address"},
		     {{.gateway = "10.1.2.1"}, "a gateway"},
		     {{.vlan = 7}, "a VLAN"},
		     {{.mtu = 9000}, "an MTU"}};
	static const char *const drivers[] = {"auto", "af_xdp", "kernel"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		const struct harewire_worker_options *own = &words[i].own;
		struct given *g = given(1);
		g->options.workers = NULL;
		g->options.driver = drivers[i % 3];
		g->options.device = own->device, g->options.address = own->address, g->options.gateway = own->gateway;
		g->options.vlan = own->vlan, g->options.mtu = own->mtu;
		refused(g, words[i].word, drivers[i % 3]);
		g = on_one_port(2); /* for worker 0, and in order; for worker 1 its own is not */
		g->workers[1] = *own;
		g->workers[1].cpu = g->workers[1].queue = -1;
		g->workers[1].driver = drivers[i % 3];
		refused(g, "worker 1 names", words[i].word);
	}
	struct given *g = given(2);
	g->options.eal = "--no-huge";
	refused(g, "EAL arguments", "the first worker's driver is auto");
	g = given(1);
	g->options.checksum_offload = HAREWIRE_USE_ON;
	refused(g, "checksum offload", "dpdk");
	g->options.checksum_offload = HAREWIRE_USE_OFF;
	g->options.tso = HAREWIRE_USE_ON;
	refused(g, "TSO", "dpdk");
	g->options.tso = HAREWIRE_USE_OFF; /* it is */
	g->options.device = g->options.address = "";
	assert_int_equal(accepted(g).count, 1);
}

static void the_kernels_address_has_the_kernels_network(void **state)
{
	struct given *g = on_one_port(1);
	g->options.address = NULL;
	g->options.vlan = 7;
	refused(g, "worker 0 has a VLAN but no address", "10.1.2.3/24");
	g->options.vlan = 0;
	g->options.gateway = "10.1.2.1";
	refused(g, "worker 0 has a gateway but no address", "kernel's routes");
	g->options.address = "10.1.2.3/24";
	assert_int_equal(accepted(g).count, 1);
}

static void two_threads_on_one_cpu_are_worth_a_warning(void **state)
{
	struct given *g = given(3);
	g->options.driver = "kernel";
	assert_string_equal(accepted(g).warning, "");
	g->workers[0].cpu = g->workers[2].cpu = 5;
	struct worker_plan plan = accepted(g);
	assert_non_null(strstr(plan.warning, "workers 0 and 2"));
	assert_non_null(strstr(plan.warning, "CPU 5"));
	g->options.mode = HAREWIRE_INLINE; /* where the application's threads run is its business */
	assert_string_equal(accepted(g).warning, "");
}

/* ---- CPUs ---- */

static void write_list(const char *root, const char *name, const char *list)
{
	char path[512];
	snprintf(path, sizeof path, "%s/devices/system/cpu/%s", root, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(list, f);
	assert_int_equal(fclose(f), 0);
}

static void expect_reason(const char *root, int cpu, const char *words)
{
	cpu_explain(root, cpu, why, sizeof why);
	if (!strstr(why, words))
		fail_msg("CPU %d: '%s' is not in: %s", cpu, words, why);
}

static void a_cpu_is_missing_or_offline_or_somebody_elses(void **state)
{
	char root[] = "/tmp/harewire-cpu-XXXXXX", command[600];
	assert_non_null(mkdtemp(root));
	snprintf(command, sizeof command, "mkdir -p %s/devices/system/cpu", root);
	assert_int_equal(system(command), 0);
	write_list(root, "present", "0-7,16\n");
	write_list(root, "online", "0-2,4-7\n");
	expect_reason(root, 8, "CPU 8 does not exist: this host has 0-7,16");
	expect_reason(root, 4000, "0-2,4-7 are online");
	expect_reason(root, 3, "echo 1 > /sys/devices/system/cpu/cpu3/online");
	expect_reason(root, 16, "cpu16/online");
	expect_reason(root, 5, "not given to this process");
	expect_reason("/nonexistent", 5, "not given to this process");
	snprintf(command, sizeof command, "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_workers_there_is_one_made_of_the_options),
		cmocka_unit_test(a_worker_takes_from_the_options_what_it_does_not_say_itself),
		cmocka_unit_test(queues_that_nobody_names_are_given_out_in_order_on_each_device),
		cmocka_unit_test(workers_of_the_kernel_share_nothing),
		cmocka_unit_test(a_port_has_its_queues_without_gaps_and_each_once),
		cmocka_unit_test(a_port_has_one_of_everything_else),
		cmocka_unit_test(two_ports_have_two_addresses),
		cmocka_unit_test(how_many_there_can_be_and_which_drivers_is_said),
		cmocka_unit_test(telemetry_is_dpdks),
		cmocka_unit_test(what_only_dpdk_heeds_is_refused_without_it),
		cmocka_unit_test(the_kernels_address_has_the_kernels_network),
		cmocka_unit_test(two_threads_on_one_cpu_are_worth_a_warning),
		cmocka_unit_test(a_cpu_is_missing_or_offline_or_somebody_elses),
	};
	return cmocka_run_group_tests_name("worker plan", tests, NULL, NULL);
}
