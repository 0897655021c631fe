/* The AF_XDP driver on a veth pair: how it attaches, what it refuses, what it leaves behind. Root. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/base/error.h"
#include "tests/integration/af_xdp_lab.h"

/* ---- modes ------------------------------------------------------------------------------------------------------ */

static void takes_native_copy_on_veth_and_says_why_not_zero_copy(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	assert_string_equal(d->info.name, "af_xdp");
	assert_string_equal(d->info.mode, "native, copy");
	assert_string_equal(d->info.reason, "veth cannot do zero-copy");
	assert_string_equal(d->info.device, "xdp0");
	assert_memory_equal(d->info.mac, mac, 6);
	assert_int_equal(d->info.mtu, 1500);
	assert_int_equal(d->info.queues, 1);
	assert_int_equal(d->info.queue, 0);
	assert_true(d->info.shared_address);
	assert_string_equal(d->info.interface, "xdp0");
	assert_string_equal(d->info.steering, "one queue");
	d->ops->destroy(d);
	assert_false(xdp_program_attached());
}

static void a_named_mode_is_used_or_refused(void **state)
{
	char why[256];
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_ZERO_COPY, why), HW_ERR_UNSUPPORTED);
	assert_string_equal(why, "veth cannot do zero-copy");
	assert_false(xdp_program_attached());
	struct driver *d = xdp_create(AF_XDP_COPY, 0);
	assert_string_equal(d->info.mode, "native, copy");
	assert_string_equal(d->info.reason, "");
	d->ops->destroy(d);
	d = xdp_create(AF_XDP_SKB, 0);
	assert_string_equal(d->info.mode, "skb, copy");
	d->ops->destroy(d);
}

/* Rings of sockets mapped into this process, which keep the socket and its memory alive. */
static uint32_t mapped_sockets(void)
{
	char line[512];
	uint32_t n = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps))
		n += strstr(line, "socket:[") != NULL;
	fclose(maps);
	return n;
}

static void a_refused_socket_leaves_nothing_mapped(void **state)
{
	char why[256];
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_ZERO_COPY, why), HW_ERR_UNSUPPORTED);
	assert_int_equal(mapped_sockets(), 0);
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	assert_int_equal(mapped_sockets(), 4);
	d->ops->destroy(d);
	assert_int_equal(mapped_sockets(), 0);
}

static void falls_back_to_skb_where_the_mtu_forbids_native(void **state)
{
	lab_run(lab.theirs, "ip link set xdp1 mtu 9000");
	lab_run(lab.ours, "ip link set xdp0 mtu 9000");
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	assert_string_equal(d->info.mode, "skb, copy");
	assert_non_null(strstr(d->info.reason, "MTU"));
	assert_int_equal(d->info.mtu, 4096 - 256 - 18);
	d->ops->destroy(d);
	char why[256];
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_COPY, why), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "lower"));
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void a_killed_owner_leaves_nothing(void **state)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t owner = fork();
	if (owner == 0) {
		struct driver *d = xdp_create(AF_XDP_BEST, 0);
		ssize_t n = d->ops->flow_add(d, &FLOW) == 0 ? write(pipes[1], "x", 1) : 0;
		for (;;)
			pause();
		_exit((int)n);
	}
	char ready;
	assert_int_equal(read(pipes[0], &ready, 1), 1);
	assert_true(xdp_program_attached());
	peer_send_syn(&FLOW, &PLAIN);
	assert_false(kernel_answers_with_rst(FLOW.local_port, SILENCE_MS));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	for (uint64_t end = lab_now_ms() + PATIENCE_MS; xdp_program_attached() && lab_now_ms() < end;)
		usleep(1000);
	assert_false(xdp_program_attached());
	peer_send_syn(&FLOW, &PLAIN);
	assert_true(kernel_answers_with_rst(FLOW.local_port, PATIENCE_MS));
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	assert_our_flow_comes_to_us(d);
	d->ops->destroy(d);
	close(pipes[0]);
	close(pipes[1]);
}

static void a_queue_can_be_taken_again_at_once(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct driver *d = xdp_create(AF_XDP_BEST, 64);
		d->ops->destroy(d);
	}
	assert_false(xdp_program_attached());
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

static void a_second_owner_is_told_about_the_first(void **state)
{
	char why[256], ready;
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t owner = fork();
	if (owner == 0) {
		xdp_create(AF_XDP_BEST, 64);
		ssize_t n = write(pipes[1], "x", 1);
		for (;;)
			pause();
		_exit((int)n);
	}
	assert_int_equal(read(pipes[0], &ready, 1), 1);
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_BEST, why), HW_ERR_BUSY);
	assert_non_null(strstr(why, "another XDP program is attached to xdp0"));
	const char *first = strstr(why, "another harewire"), *then = strstr(why, "ip link set dev xdp0 xdp off");
	assert_true(first && then && first < then); /* removing it would cut off one that works */
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_SKB, why), HW_ERR_BUSY);
	assert_true(xdp_program_attached());
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
}

static void a_queue_has_one_owner_in_a_process(void **state)
{
	char why[256];
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_BEST, why), HW_ERR_BUSY);
	assert_non_null(strstr(why, "queue 0 of xdp0 is taken"));
	assert_our_flow_comes_to_us(d); /* the refused one has taken nothing with it */
	d->ops->destroy(d);
	assert_false(xdp_program_attached());
}

static void owners_of_two_queues_share_the_program_until_the_last_has_gone(void **state)
{
	char why[256];
	struct driver *first = xdp_create_on(0, AF_XDP_BEST), *second = xdp_create_on(3, AF_XDP_BEST);
	assert_int_equal(second->info.queue, 3);
	assert_int_equal(xdp_refusal("xdp0", 2, AF_XDP_SKB, why), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "native mode"));
	first->ops->destroy(first);
	assert_true(xdp_program_attached());
	first = xdp_create_on(0, AF_XDP_BEST);
	second->ops->destroy(second);
	assert_true(xdp_program_attached());
	first->ops->destroy(first);
	assert_false(xdp_program_attached());
	second = xdp_create_on(3, AF_XDP_SKB); /* any mode again */
	assert_string_equal(second->info.mode, "skb, copy");
	second->ops->destroy(second);
}

static void impossible_options_are_refused_with_a_sentence(void **state)
{
	char why[256];
	assert_int_equal(xdp_refusal("nosuch0", -1, AF_XDP_BEST, why), HW_ERR_INVALID);
	assert_non_null(strstr(why, "there is no interface nosuch0"));
	assert_int_equal(xdp_refusal("an-interface-name-too-long", -1, AF_XDP_BEST, why), HW_ERR_INVALID);
	assert_int_equal(xdp_refusal(NULL, -1, AF_XDP_BEST, why), HW_ERR_INVALID);
	assert_int_equal(xdp_refusal("lo", -1, AF_XDP_BEST, why), HW_ERR_INVALID);
	assert_non_null(strstr(why, "lo is not an Ethernet interface"));
	assert_int_equal(xdp_refusal("xdp0", 1, AF_XDP_BEST, why), HW_ERR_INVALID);
	assert_string_equal(why, "queue 1 is out of range: xdp0 has 1 receive queue, numbered from 0");
	lab_run(lab.ours, "ip link set xdp0 down");
	assert_int_equal(xdp_refusal("xdp0", -1, AF_XDP_BEST, why), HW_ERR_LINK_DOWN);
	assert_string_equal(why, "xdp0 is down: bring it up with `ip link set dev xdp0 up`");
	assert_false(xdp_program_attached());
}

/* Gives up root, keeping only `capabilities` (bits). */
static bool become_nobody(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)capabilities, (uint32_t)capabilities, 0},
		{(uint32_t)(capabilities >> 32), (uint32_t)(capabilities >> 32), 0},
	};
	return prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(65534, 65534, 65534) == 0 &&
	       syscall(SYS_capset, &header, data) == 0;
}

/* What a process with only these capabilities and this much lockable memory gets. */
static int as_nobody(uint64_t capabilities, rlim_t memlock, char why[256])
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char sentence[256] = "";
		setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){memlock, memlock});
		int rc = become_nobody(capabilities) ? xdp_refusal("xdp0", -1, AF_XDP_BEST, sentence) : -1000;
		ssize_t n = write(pipes[1], sentence, sizeof sentence);
		_exit(n == sizeof sentence ? -rc : 255);
	}
	assert_int_equal(read(pipes[0], why, 256), 256);
	int status;
	waitpid(pid, &status, 0);
	close(pipes[0]);
	close(pipes[1]);
	return -WEXITSTATUS(status);
}

#define BIT(capability) (1ull << (capability))

static void missing_privilege_is_named(void **state)
{
	const uint64_t load = BIT(CAP_BPF) | BIT(CAP_NET_ADMIN);
	char why[256];
	assert_int_equal(as_nobody(0, RLIM_INFINITY, why), HW_ERR_SYSTEM);
	assert_non_null(strstr(why, "no permission to load an XDP program for xdp0: run as root, or give"));
	assert_non_null(strstr(why, "CAP_NET_ADMIN"));
	assert_int_equal(as_nobody(load, RLIM_INFINITY, why), HW_ERR_SYSTEM);
	assert_non_null(strstr(why, "no permission for an AF_XDP socket on xdp0"));
	assert_int_equal(as_nobody(load | BIT(CAP_NET_RAW), 1 << 20, why), HW_ERR_NOMEM);
	assert_non_null(strstr(why, "xdp0 needs 16384 KiB of locked memory"));
	assert_false(xdp_program_attached());
}

static void the_named_capabilities_are_enough(void **state)
{
	char why[256];
	uint64_t capabilities = BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_IPC_LOCK);
	int rc = as_nobody(capabilities, 1 << 20, why);
	if (rc)
		fail_msg("%s", why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ONE_QUEUE(takes_native_copy_on_veth_and_says_why_not_zero_copy),
		WITH_ONE_QUEUE(a_named_mode_is_used_or_refused),
		WITH_ONE_QUEUE(a_refused_socket_leaves_nothing_mapped),
		WITH_ONE_QUEUE(falls_back_to_skb_where_the_mtu_forbids_native),
		WITH_ONE_QUEUE(a_killed_owner_leaves_nothing),
		WITH_ONE_QUEUE(a_queue_can_be_taken_again_at_once),
		WITH_ONE_QUEUE(a_second_owner_is_told_about_the_first),
		WITH_ONE_QUEUE(a_queue_has_one_owner_in_a_process),
		WITH_FOUR_QUEUES(owners_of_two_queues_share_the_program_until_the_last_has_gone),
		WITH_ONE_QUEUE(impossible_options_are_refused_with_a_sentence),
		WITH_ONE_QUEUE(missing_privilege_is_named),
		WITH_ONE_QUEUE(the_named_capabilities_are_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
