/* Starting the EAL wrongly: each time in a process of its own, because it starts once. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_log.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/eal_quiet.h"

struct outcome {
	int code;
	char why[512], again[512];
	char printed[4096]; /* on standard output and error */
};

/* Runs it in a child and collects what it prints. */
static void in_a_child(void (*run)(const char *argument, struct outcome *), const char *argument,
		       struct outcome *outcome)
{
	struct outcome *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int prints = memfd_create("prints", 0), status = 0;
	assert_true(shared != MAP_FAILED && prints >= 0);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		dup2(prints, STDOUT_FILENO);
		dup2(prints, STDERR_FILENO);
		run(argument, shared);
		fflush(NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	*outcome = *shared;
	ssize_t len = pread(prints, outcome->printed, sizeof outcome->printed - 1, 0);
	outcome->printed[len > 0 ? len : 0] = '\0';
	close(prints);
	munmap(shared, sizeof *shared);
}

static void start(const char *extra, struct outcome *outcome)
{
	outcome->code = eal_start(extra, &(struct why){outcome->why, sizeof outcome->why});
	eal_start(extra, &(struct why){outcome->again, sizeof outcome->again});
}

static void a_wrong_option_is_named_and_nothing_is_printed(void **state)
{
	static const struct {
		const char *extra, *sentence;
	} wrong[] = {
		{"--no-huge --foo=1",
		 "DPDK's EAL does not start: unrecognized option '--foo=1'; check the EAL arguments"},
		{"--no-huge -q", "DPDK's EAL does not start: invalid option -- 'q'; check the EAL arguments"},
		{"--no-huge --vdev",
		 "DPDK's EAL does not start: option '--vdev' requires an argument; check the EAL arguments"},
		{"--no-huge --lcores=x", "DPDK's EAL does not start: EAL: invalid parameter for --lcores"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct outcome outcome;
		in_a_child(start, wrong[i].extra, &outcome);
		assert_int_not_equal(outcome.code, 0);
		assert_string_equal(outcome.why, wrong[i].sentence);
		assert_non_null(strstr(outcome.again, "tried before in this process"));
		assert_string_equal(outcome.printed, "");
	}
}

static void start_after_the_application(const char *its_own, struct outcome *outcome)
{
	char *arguments[] = {"app", "--no-huge", "--no-shconf", "-m", "16", "--no-pci", "--no-telemetry", NULL};
	FILE *log = fdopen(dup(STDOUT_FILENO), "w");
	if (rte_eal_init(7, arguments) < 0 || rte_openlog_stream(its_own ? log : NULL) != 0)
		return;
	rmdir(rte_eal_get_runtime_dir()); /* empty: nothing is shared */
	outcome->code = eal_start("", &(struct why){outcome->why, sizeof outcome->why});
	rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "the application's words\n");
	fflush(log);
}

static void an_application_that_started_the_eal_keeps_its_log(void **state)
{
	static const char *const its_own[] = {NULL, "a stream"};
	for (size_t i = 0; i < 2; i++) {
		struct outcome outcome;
		in_a_child(start_after_the_application, its_own[i], &outcome);
		assert_string_equal(outcome.why, ""); /* not that hugepages are missing, either */
		assert_int_equal(outcome.code, 0);
		assert_non_null(strstr(outcome.printed, "the application's words\n"));
	}
}

static void a_log_that_is_asked_for_is_printed(void **state)
{
	struct outcome outcome;
	in_a_child(start, "--no-huge -m 16 --log-level=lib.eal:debug", &outcome);
	assert_int_equal(outcome.code, 0);
	assert_non_null(strstr(outcome.printed, "EAL: "));
}

static void *print_meanwhile(void *unused)
{
	printf("another's output\n");
	fprintf(stderr, "another's error\n");
	return NULL;
}

static void be_quiet(const char *unused, struct outcome *outcome)
{
	pthread_t thread;
	eal_quiet_begin();
	fprintf(stderr, "%s", "a complaint");
	fprintf(stderr, "%s", " of mine\nand more\n");
	printf("usage\n");
	pthread_create(&thread, NULL, print_meanwhile, NULL);
	pthread_join(thread, NULL);
	eal_quiet_end(outcome->why, sizeof outcome->why);
	printf("afterwards\n");
}

static void only_the_starting_thread_is_kept_quiet(void **state)
{
	struct outcome outcome;
	in_a_child(be_quiet, "", &outcome);
	assert_string_equal(outcome.why, "a complaint of mine");
	assert_non_null(strstr(outcome.printed, "another's output\n"));
	assert_non_null(strstr(outcome.printed, "another's error\n"));
	assert_non_null(strstr(outcome.printed, "afterwards\n"));
	assert_null(strstr(outcome.printed, "usage"));
	assert_null(strstr(outcome.printed, "mine"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_option_is_named_and_nothing_is_printed),
		cmocka_unit_test(an_application_that_started_the_eal_keeps_its_log),
		cmocka_unit_test(a_log_that_is_asked_for_is_printed),
		cmocka_unit_test(only_the_starting_thread_is_kept_quiet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
