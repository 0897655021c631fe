/* What is kept when a connection is lost or a timeout fires: one file for each incident, and not too many. */
#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/supervisor_internal.h"
#include "control/trace.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define S 1000000000ull

static struct supervisor supervisor;
static struct charge charge;
static struct clock_scale clock_scale;
static struct tcp_trace *trace;
static char last_line[512];
static enum harewire_log_level last_level;

static void log_line(void *context, enum harewire_log_level level, const char *line)
{
	snprintf(last_line, sizeof last_line, "%s", line);
	last_level = level;
}

static int setup(void **state)
{
	const struct publisher_options o = {
		.log_bytes = 65536, .max_messages = 64, .max_templates = 1, .epoch = 1, .clock = &clock_scale};
	struct harewire_publisher *p;
	memset(&supervisor, 0, sizeof supervisor);
	memset(&charge, 0, sizeof charge);
	last_line[0] = '\0';
	clock_calibrate(&clock_scale);
	supervisor.wake = eventfd(0, EFD_NONBLOCK);
	supervisor.pool = pool_create(supervisor.wake);
	supervisor.log_line = log_line;
	strcpy(supervisor.incidents.directory, "/tmp/harewire-test-XXXXXX");
	if (!mkdtemp(supervisor.incidents.directory) || publisher_create(&o, &p))
		return -1;
	charge.id = 5;
	charge.supervisor = &supervisor;
	charge.worker = &supervisor.workers[0];
	charge.phase = CHARGE_RUNNING;
	strcpy(charge.target.connection_name, "ticks");
	charge.host = &charge.target.hosts[0];
	if (connection_create(p, &(struct connection_options){0}, &charge.connection))
		return -1;
	trace = aligned_alloc(64, sizeof *trace);
	tcp_trace_init(trace);
	const struct tcp_trace_record r = {.at_ns = clock_monotonic_ns(),
					   .seq = 1001,
					   .value = 500,
					   .kind = TCP_TRACE_RESENT,
					   .detail = TCP_TRACE_BY_RTO};
	tcp_trace_add(trace, &r);
	atomic_store(&charge.connection->trace, trace);
	return 0;
}

/* Until a pool thread has written everything: it wakes us for each job that is done. */
static void await_written(void)
{
	struct pollfd wake = {.fd = supervisor.wake, .events = POLLIN};
	uint64_t count;
	incidents_step(&supervisor);
	for (uint32_t i = 0; i < INCIDENT_PENDING; i++) {
		while (supervisor.incidents.pending[i]) {
			assert_int_equal(poll(&wake, 1, 60000), 1);
			assert_int_equal(read(wake.fd, &count, sizeof count), sizeof count);
			incidents_step(&supervisor);
		}
	}
}

/* Everything is written when this returns. */
static void stop(void)
{
	incidents_stop(&supervisor);
	pool_destroy(supervisor.pool);
}

static int teardown(void **state)
{
	struct harewire_publisher *p = charge.connection->publisher;
	incidents_fini(&supervisor);
	close(supervisor.wake);
	connection_destroy(charge.connection);
	publisher_destroy(p);
	free(trace);
	return rmdir(supervisor.incidents.directory); /* each test removes its files */
}

/* Removes the files; the octets of the last one. */
static uint32_t take_files(char *octets, size_t bytes)
{
	char path[PATH_MAX + 300];
	uint32_t n = 0;
	DIR *d = opendir(supervisor.incidents.directory);
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", supervisor.incidents.directory, e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		FILE *f = fopen(path, "r");
		octets[fread(octets, 1, bytes - 1, f)] = '\0';
		fclose(f);
		unlink(path);
		n++;
	}
	closedir(d);
	return n;
}

static void figures(uint64_t rto_fired)
{
	const struct publisher_figures f = {.rto_fired = rto_fired};
	publisher_set_figures(charge.connection->publisher, &f);
}

static void a_lost_connection_leaves_its_trace(void **state)
{
	char text[4096];
	incident_closed(&charge, HW_ERR_CONN_RESET, S);
	await_written();
	stop();
	assert_int_equal(take_files(text, sizeof text), 1);
	assert_non_null(strstr(text, hw_error_sentence(HW_ERR_CONN_RESET)));
	assert_non_null(strstr(text, "connection 5 (ticks) of worker 0"));
	assert_non_null(strstr(text, "resent, after a timeout: seq 1001, 500 octets"));
	assert_int_equal(last_level, HAREWIRE_LOG_INFO);
	assert_non_null(strstr(last_line, "the trace of connection 5 is in "));
}

static void an_orderly_end_leaves_none(void **state)
{
	char text[4096];
	incident_closed(&charge, 0, S);
	stop();
	assert_int_equal(take_files(text, sizeof text), 0);
}

static void without_a_directory_nothing_is_kept(void **state)
{
	char text[4096], kept[PATH_MAX];
	strcpy(kept, supervisor.incidents.directory);
	supervisor.incidents.directory[0] = '\0';
	incident_closed(&charge, HW_ERR_CONN_RESET, S);
	figures(3);
	incident_step(&charge, 2 * S);
	stop();
	strcpy(supervisor.incidents.directory, kept);
	assert_int_equal(take_files(text, sizeof text), 0);
	assert_int_equal(supervisor.incidents.taken, 0);
}

static void the_first_timeout_of_an_episode_leaves_one(void **state)
{
	char text[4096];
	for (uint64_t i = 0; i < 40; i++) { /* every half second for 20 s */
		figures(i + 1);
		incident_step(&charge, 100 * S + i * S / 2);
	}
	assert_int_equal(supervisor.incidents.taken, 1);
	incident_step(&charge, 125 * S);
	assert_int_equal(supervisor.incidents.taken, 1);
	figures(41);
	incident_step(&charge, 126 * S); /* the next episode */
	assert_int_equal(supervisor.incidents.taken, 2);
	figures(42);
	incident_step(&charge, 130 * S); /* another, but so soon */
	assert_int_equal(supervisor.incidents.taken, 2);
	stop();
	assert_int_equal(take_files(text, sizeof text), 2);
	assert_non_null(strstr(text, "a retransmission timeout fired"));
}

/* A later connection counts its timeouts from 0 again: fewer than before are news all the same. */
static void timeouts_of_the_next_connection_are_news(void **state)
{
	char text[4096];
	figures(7);
	incident_step(&charge, 100 * S);
	incident_closed(&charge, HW_ERR_CONN_LOST, 101 * S);
	figures(1);
	incident_step(&charge, 120 * S);
	assert_int_equal(supervisor.incidents.taken, 3);
	stop();
	assert_int_equal(take_files(text, sizeof text), 3);
}

static void timeouts_of_the_lost_connection_are_no_news(void **state)
{
	char text[4096];
	figures(7);
	incident_step(&charge, 100 * S);
	incident_closed(&charge, HW_ERR_CONN_RESET, 200 * S);
	incident_step(&charge, 201 * S); /* the figures are still the old connection's */
	assert_int_equal(supervisor.incidents.taken, 2);
	stop();
	assert_int_equal(take_files(text, sizeof text), 2);
}

static void a_broker_that_accepts_and_closes_leaves_one_in_ten_seconds(void **state)
{
	char text[4096];
	for (uint64_t i = 0; i < 150; i++) { /* every 100 ms for 15 s */
		charge.ready_ns = 100 * S + i * S / 10;
		incident_closed(&charge, HW_ERR_CONN_RESET, charge.ready_ns + S / 100);
	}
	assert_int_equal(supervisor.incidents.taken, 2);
	incident_closed(&charge, HW_ERR_CONN_RESET, 116 * S); /* this one had lasted */
	assert_int_equal(supervisor.incidents.taken, 3);
	stop();
	assert_int_equal(take_files(text, sizeof text), 3);
}

static void a_broker_that_is_away_leaves_one_in_ten_seconds(void **state)
{
	char text[4096];
	charge.phase = CHARGE_CONNECTING;
	for (uint64_t i = 0; i < 150; i++) /* refused every 100 ms for 15 s */
		incident_closed(&charge, HW_ERR_CONN_REFUSED, 100 * S + i * S / 10);
	assert_int_equal(supervisor.incidents.taken, 2);
	stop();
	assert_int_equal(take_files(text, sizeof text), 2);
}

static void files_are_bounded_and_so_is_what_waits(void **state)
{
	char text[4096];
	for (uint32_t i = 0; i < 3 * INCIDENT_FILES; i++) {
		incident_closed(&charge, HW_ERR_CONN_RESET, S);
		await_written();
	}
	assert_int_equal(supervisor.incidents.left_out, 0);
	for (uint32_t i = 0; i < INCIDENT_PENDING; i++) /* no pool thread has one of these: they wait */
		supervisor.incidents.pending[i] = calloc(1, sizeof(struct job) + PATH_MAX + 256);
	uint64_t taken = supervisor.incidents.taken;
	incident_closed(&charge, HW_ERR_CONN_RESET, S);
	assert_int_equal(supervisor.incidents.taken, taken);
	assert_int_equal(supervisor.incidents.left_out, 1);
	stop();
	assert_int_equal(take_files(text, sizeof text), INCIDENT_FILES);
}

static void what_is_in_the_way_is_replaced_and_never_followed(void **state)
{
	char path[PATH_MAX + 64], victim[] = "/tmp/harewire-test-XXXXXX", text[4096];
	int fd = mkstemp(victim);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	snprintf(path, sizeof path, "%s/harewire-%d-00.trace", supervisor.incidents.directory, (int)getpid());
	assert_int_equal(symlink(victim, path), 0);
	incident_closed(&charge, HW_ERR_CONN_RESET, S);
	stop();
	assert_int_equal(take_files(text, sizeof text), 1);
	FILE *f = fopen(victim, "r");
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	unlink(victim);
	assert_string_equal(text, "mine");
}

static void a_file_that_cannot_be_written_is_warned_of(void **state)
{
	char kept[PATH_MAX];
	strcpy(kept, supervisor.incidents.directory);
	strcat(supervisor.incidents.directory, "/gone");
	incident_closed(&charge, HW_ERR_CONN_RESET, S);
	await_written();
	stop();
	strcpy(supervisor.incidents.directory, kept);
	assert_int_equal(last_level, HAREWIRE_LOG_WARNING);
	assert_non_null(strstr(last_line, "No such file"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_lost_connection_leaves_its_trace),
		CASE(an_orderly_end_leaves_none),
		CASE(without_a_directory_nothing_is_kept),
		CASE(the_first_timeout_of_an_episode_leaves_one),
		CASE(timeouts_of_the_next_connection_are_news),
		CASE(timeouts_of_the_lost_connection_are_no_news),
		CASE(a_broker_that_accepts_and_closes_leaves_one_in_ten_seconds),
		CASE(a_broker_that_is_away_leaves_one_in_ten_seconds),
		CASE(files_are_bounded_and_so_is_what_waits),
		CASE(what_is_in_the_way_is_replaced_and_never_followed),
		CASE(a_file_that_cannot_be_written_is_warned_of),
	};
	return cmocka_run_group_tests_name("incident", tests, NULL, NULL);
}
