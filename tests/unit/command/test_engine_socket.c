/* Which sockets are taken for those of killed processes. */
#include "tests/unit/command/command_cmocka.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "control/command/engine_socket.h"

static char directory[] = "/tmp/harewire-test-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static int bind_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(strlen(path_of(name)) < sizeof address.sun_path);
	strcpy(address.sun_path, path_of(name));
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static bool is_there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

/* The number of a process that has been. */
static pid_t dead_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static int tear_down(void **state)
{
	DIR *d = opendir(directory);

	for (struct dirent *e; d && (e = readdir(d));)
		unlink(path_of(e->d_name));
	closedir(d);
	return rmdir(directory);
}

static int set_up(void **state)
{
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static void the_socket_of_a_process_that_is_no_more_is_removed(void **state)
{
	char name[32];

	snprintf(name, sizeof name, "%d.sock", (int)dead_process());
	close(bind_at(name));
	assert_true(is_there(name));
	engine_socket_sweep(directory);
	assert_false(is_there(name));
}

static void what_may_be_somebodys_still_stays(void **state)
{
	char ours[32], answered[32], file[32], other[32];
	int pid = (int)dead_process();

	snprintf(ours, sizeof ours, "%d.sock", (int)getpid());
	snprintf(answered, sizeof answered, "%d.sock", pid);
	snprintf(file, sizeof file, "0%d.sock", pid);
	snprintf(other, sizeof other, "%dx.sock", pid);
	int not_yet_listening = bind_at(ours), elsewhere = bind_at(answered);
	assert_int_equal(listen(elsewhere, 8), 0); /* a process of another PID namespace, say */
	close(bind_at("name.sock"));
	close(bind_at(other));
	FILE *f = fopen(path_of(file), "w"); /* and this is no socket */
	assert_non_null(f);
	fclose(f);
	engine_socket_sweep(directory);
	assert_true(is_there(ours));
	assert_true(is_there(answered));
	assert_true(is_there("name.sock"));
	assert_true(is_there(other));
	assert_true(is_there(file));
	close(not_yet_listening);
	close(elsewhere);
}

static void a_directory_that_is_not_there_is_no_matter(void **state)
{
	engine_socket_sweep("/nonexistent/harewire");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_socket_of_a_process_that_is_no_more_is_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_may_be_somebodys_still_stays, set_up, tear_down),
		cmocka_unit_test(a_directory_that_is_not_there_is_no_matter),
	};
	return cmocka_run_group_tests_name("engine_socket", tests, NULL, NULL);
}
