/* The control socket of an engine that has no publisher: who is answered, and what clients can do to it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "control/console/console.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"

#define STAT "{\"request\":\"stat\"}\n"

static char directory[64], socket_path[96], file_path[96];
static char why[512];

static int make_directory(void **state)
{
	strcpy(directory, "/tmp/harewire-test-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(socket_path, sizeof socket_path, "%s/control", directory);
	snprintf(file_path, sizeof file_path, "%s/file", directory);
	return 0;
}

static int remove_directory(void **state)
{
	unlink(socket_path);
	unlink(file_path);
	return rmdir(directory); /* nothing else was left there */
}

static int try_engine(const char *driver, struct harewire **out)
{
	struct harewire_options o;
	harewire_options_init(&o);
	o.driver = driver;
	o.mode = HAREWIRE_THREADED;
	o.idle = HAREWIRE_IDLE_BACKOFF;
	o.control_path = socket_path;
	return harewire_create(&o, out, why, sizeof why);
}

static struct harewire *engine(const char *driver)
{
	struct harewire *hw;
	if (try_engine(driver, &hw))
		fail_msg("%s", why);
	return hw;
}

/* A client whose reads end the test if nothing comes. */
static int client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = 20};
	strcpy(address.sun_path, socket_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line; NULL: the engine has closed. */
static struct json_object *hear(int fd)
{
	static char line[1 << 20];
	size_t len = 0;
	do {
		ssize_t n = recv(fd, line + len, 1, 0);
		if (n <= 0)
			return NULL;
	} while (line[len++] != '\n');
	line[len] = '\0';
	struct json_object *o = json_tokener_parse(line);
	assert_non_null(o);
	return o;
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *value;
	assert_true(json_object_object_get_ex(o, name, &value));
	return value;
}

static void hear_good(int fd)
{
	struct json_object *o = hear(fd);
	assert_non_null(o);
	if (!json_object_get_boolean(member(o, "ok")))
		fail_msg("%s", json_object_get_string(o));
	json_object_put(o);
}

static void hear_error(int fd, const char *says)
{
	struct json_object *o = hear(fd);
	assert_non_null(o);
	assert_false(json_object_get_boolean(member(o, "ok")));
	if (!strstr(json_object_get_string(member(o, "error")), says))
		fail_msg("%s does not say '%s'", json_object_get_string(o), says);
	json_object_put(o);
}

static void stat_is_answered(int fd)
{
	say(fd, STAT);
	hear_good(fd);
}

/* A worker that has just been started has made no two turns yet: there is no gap between them. */
static struct json_object *figures_of_a_worker_that_turns(int fd)
{
	struct json_object *o = NULL, *worker;
	for (uint32_t tries = 0; tries < 100000; tries++) {
		say(fd, STAT);
		o = hear(fd);
		worker = json_object_array_get_idx(member(o, "workers"), 0);
		if (json_object_get_int64(member(worker, "longest_gap_ns")) > 0)
			return o;
		json_object_put(o);
	}
	fail_msg("the worker does not turn");
	return NULL;
}

static void an_engine_tells_its_figures(void **state)
{
	struct harewire *hw = engine("kernel");
	int fd = client();
	struct json_object *o = figures_of_a_worker_that_turns(fd);
	assert_int_equal(json_object_get_int64(member(o, "pid")), getpid());
	assert_int_equal(json_object_array_length(member(o, "workers")), 1);
	struct json_object *worker = json_object_array_get_idx(member(o, "workers"), 0);
	assert_int_equal(json_object_get_int64(member(worker, "publishers")), 0);
	assert_int_equal(json_object_array_length(member(o, "connections")), 0);
	json_object_put(o);
	close(fd);
	harewire_destroy(hw);
}

static void the_socket_is_its_owners_and_goes_with_the_engine(void **state)
{
	struct stat st;
	mode_t mask = umask(0);
	struct harewire *hw = engine("kernel");
	umask(mask);
	assert_int_equal(lstat(socket_path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_uid, geteuid());
	harewire_destroy(hw);
	assert_int_equal(lstat(socket_path, &st), -1);
}

static void a_socket_that_nobody_answers_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, socket_path);
	int dead = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
	close(dead);
	struct harewire *hw = engine("kernel");
	int fd = client();
	stat_is_answered(fd);
	close(fd);
	harewire_destroy(hw);
}

static void a_socket_that_is_answered_is_left_alone(void **state)
{
	struct harewire *other, *hw = engine("kernel");
	assert_int_equal(try_engine("kernel", &other), HAREWIRE_ERR_BUSY);
	assert_non_null(strstr(why, "another engine answers"));
	int fd = client();
	stat_is_answered(fd);
	close(fd);
	harewire_destroy(hw);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct harewire *hw;
	struct stat st;
	fclose(fopen(socket_path, "w"));
	assert_int_equal(try_engine("kernel", &hw), HAREWIRE_ERR_INVALID);
	assert_non_null(strstr(why, "is not a socket"));
	assert_int_equal(lstat(socket_path, &st), 0);
}

static void a_place_that_cannot_be_is_said(void **state)
{
	struct harewire *hw;
	char kept[sizeof socket_path];
	strcpy(kept, socket_path);
	snprintf(socket_path, sizeof socket_path, "%s/nowhere/control", directory);
	assert_int_equal(try_engine("kernel", &hw), HW_ERR_SYSTEM);
	assert_non_null(strstr(why, "No such file"));
	strcpy(socket_path, kept);
}

static void a_socket_that_has_been_replaced_meanwhile_is_not_removed(void **state)
{
	struct stat st;
	struct harewire *hw = engine("kernel");
	unlink(socket_path);
	fclose(fopen(socket_path, "w"));
	harewire_destroy(hw);
	assert_int_equal(lstat(socket_path, &st), 0);
}

static void garbage_is_answered_and_the_next_request_too(void **state)
{
	static const char zeros[64] = "";
	struct harewire *hw = engine("kernel");
	int fd = client();
	say(fd, "\xff\xfe garbage\n{}\n\n");
	hear_error(fd, "not JSON");
	hear_error(fd, "no member");
	hear_error(fd, "one line");
	assert_int_equal(send(fd, zeros, sizeof zeros, 0), sizeof zeros);
	say(fd, "\n{\"request\":");
	hear_error(fd, "not JSON");
	say(fd, "\"stat\"}\n"); /* in two pieces */
	hear_good(fd);
	close(fd);
	harewire_destroy(hw);
}

static void a_line_without_end_is_refused_and_its_client_let_go(void **state)
{
	struct harewire *hw = engine("kernel");
	int fd = client(), other = client();
	for (int i = 0; i < 64; i++)
		if (send(fd,
			 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
			 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			 128, MSG_NOSIGNAL) < 0)
			break;
	hear_error(fd, "too long");
	assert_null(hear(fd));
	stat_is_answered(other);
	close(fd);
	close(other);
	harewire_destroy(hw);
}

static void of_too_many_clients_the_one_silent_longest_goes(void **state)
{
	struct harewire *hw = engine("kernel");
	int fds[CONSOLE_CLIENTS + 1];
	for (uint32_t i = 0; i < CONSOLE_CLIENTS; i++) {
		fds[i] = client();
		stat_is_answered(fds[i]);
	}
	stat_is_answered(fds[0]); /* so that it is the second that has been silent longest */
	fds[CONSOLE_CLIENTS] = client();
	stat_is_answered(fds[CONSOLE_CLIENTS]);
	assert_null(hear(fds[1]));
	for (uint32_t i = 0; i <= CONSOLE_CLIENTS; i++) {
		if (i != 1)
			stat_is_answered(fds[i]);
		close(fds[i]);
	}
	harewire_destroy(hw);
}

/* It asks and asks, and never listens: it is not read from any more, and the others are answered. */
static void a_client_that_takes_no_answers_holds_up_nobody(void **state)
{
	struct harewire *hw = engine("kernel");
	int deaf = client(), other = client();
	const struct timeval patience = {.tv_usec = 100000};
	bool full = false;
	setsockopt(deaf, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	for (int i = 0; i < 1000000 && !full; i++)
		full = send(deaf, STAT, strlen(STAT), MSG_NOSIGNAL) < (ssize_t)strlen(STAT);
	assert_true(full);
	for (int i = 0; i < 10; i++)
		stat_is_answered(other);
	close(deaf);
	stat_is_answered(other);
	close(other);
	harewire_destroy(hw);
}

static void a_client_that_listens_late_gets_every_answer_whole(void **state)
{
	enum { REQUESTS = 600 }; /* their answers are more than the socket holds */
	struct harewire *hw = engine("kernel");
	int late = client(), other = client();
	for (int i = 0; i < REQUESTS; i++)
		say(late, STAT);
	stat_is_answered(other);
	for (int i = 0; i < REQUESTS; i++)
		hear_good(late);
	close(late);
	close(other);
	harewire_destroy(hw);
}

static void a_trace_needs_a_connection(void **state)
{
	struct harewire *hw = engine("kernel");
	int fd = client();
	say(fd, "{\"request\":\"trace\"}\n{\"request\":\"trace\",\"connection\":3}\n");
	hear_error(fd, "no such connection");
	hear_error(fd, "no such connection");
	close(fd);
	harewire_destroy(hw);
}

static void a_trace_directory_that_cannot_be_is_said(void **state)
{
	struct harewire_options o;
	struct harewire *hw;
	harewire_options_init(&o);
	o.trace_dir = "/nowhere/traces";
	assert_int_equal(harewire_create(&o, &hw, why, sizeof why), HW_ERR_SYSTEM);
	assert_non_null(strstr(why, "cannot keep traces in /nowhere/traces: No such file"));
	fclose(fopen(file_path, "w"));
	o.trace_dir = file_path;
	assert_int_equal(harewire_create(&o, &hw, why, sizeof why), HW_ERR_SYSTEM);
	assert_non_null(strstr(why, "Not a directory"));
}

static void start_capture(int fd, const char *path)
{
	char line[256];
	snprintf(line, sizeof line, "{\"request\":\"capture-start\",\"file\":\"%s\"}\n", path);
	say(fd, line);
}

static void a_capture_needs_packets(void **state)
{
	struct stat st;
	struct harewire *hw = engine("kernel");
	int fd = client();
	start_capture(fd, file_path);
	hear_error(fd, "capture with tcpdump");
	say(fd, "{\"request\":\"capture-stop\"}\n");
	hear_error(fd, "no capture runs");
	assert_int_equal(stat(file_path, &st), 0);
	close(fd);
	harewire_destroy(hw);
}

static void a_capture_starts_and_stops_again_and_again(void **state)
{
	struct stat st;
	struct harewire *hw = engine("auto");
	int fd = client();
	for (int i = 0; i < 2; i++) {
		start_capture(fd, file_path);
		hear_good(fd);
		start_capture(fd, file_path);
		hear_error(fd, "runs already");
		say(fd, "{\"request\":\"capture-stop\"}\n");
		hear_good(fd);
	}
	assert_int_equal(stat(file_path, &st), 0);
	assert_true(st.st_size > 28); /* the section header: no worker had packets yet */
	assert_int_equal(st.st_mode & 0777, 0600);
	start_capture(fd, file_path);
	hear_good(fd);
	close(fd);
	harewire_destroy(hw); /* ends it */
}

static void a_capture_goes_into_a_regular_file_only(void **state)
{
	struct harewire *hw = engine("auto");
	int fd = client();
	assert_int_equal(mkfifo(file_path, 0600), 0);
	start_capture(fd, file_path);
	hear_error(fd, "cannot capture into");
	start_capture(fd, directory);
	hear_error(fd, "cannot capture into");
	start_capture(fd, "/dev/null");
	hear_error(fd, "not a regular file");
	unlink(file_path);
	assert_int_equal(symlink("/etc/passwd", file_path), 0);
	start_capture(fd, file_path);
	hear_error(fd, "cannot capture into");
	close(fd);
	harewire_destroy(hw);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_engine_tells_its_figures),
		CASE(the_socket_is_its_owners_and_goes_with_the_engine),
		CASE(a_socket_that_nobody_answers_is_replaced),
		CASE(a_socket_that_is_answered_is_left_alone),
		CASE(what_is_no_socket_is_left_alone),
		CASE(a_place_that_cannot_be_is_said),
		CASE(a_socket_that_has_been_replaced_meanwhile_is_not_removed),
		CASE(garbage_is_answered_and_the_next_request_too),
		CASE(a_line_without_end_is_refused_and_its_client_let_go),
		CASE(of_too_many_clients_the_one_silent_longest_goes),
		CASE(a_client_that_takes_no_answers_holds_up_nobody),
		CASE(a_client_that_listens_late_gets_every_answer_whole),
		CASE(a_trace_needs_a_connection),
		CASE(a_trace_directory_that_cannot_be_is_said),
		CASE(a_capture_needs_packets),
		CASE(a_capture_starts_and_stops_again_and_again),
		CASE(a_capture_goes_into_a_regular_file_only),
	};
	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
