/*
 * run_scripts [--verbose] [--so_filename=FILE] [--so_flags=NAME=VALUE,...] [--tolerance_usecs=N] [SCRIPT...]
 *
 * Without scripts, all of tests/packetdrill/scripts and tests/packetdrill/wrong. Each is played twice: with our
 * sequence numbers as they come, and wrapping early. A script whose first line is "// fails: TEXT" has to fail, saying
 * TEXT. The last line is "N passed, N failed".
 */
#include <assert.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/packetdrill/run_play.h"

#define SCRIPT_BYTES    65536
#define OUTPUT_BYTES    16384
#define SECONDS_AT_MOST 60 /* of real time: only a loop without end takes so long */
#define FAILS           "// fails: "

static const char *const all_scripts[] = {"tests/packetdrill/scripts/*.pkt", "tests/packetdrill/wrong/*.pkt"};

/* What to append to the library's flags in each run. 2^32 - 1001: the thousandth octet of ours is the last in front of
 * 0. */
static const char *const variants[] = {"", "isn=4294966295"};

struct options {
	const char *so_filename, *so_flags;
	int64_t tolerance_usecs;
	bool verbose;
	int passed, failed;
};

/* ---- one run, in a process of its own ---- */

static void read_script(const char *path, char text[SCRIPT_BYTES])
{
	FILE *f = fopen(path, "r");
	if (!f)
		script_fail(path, 0, "%s", strerror(errno));
	size_t len = fread(text, 1, SCRIPT_BYTES - 1, f);
	fclose(f);
	text[len] = 0;
	if (len == SCRIPT_BYTES - 1)
		script_fail(path, 0, "longer than %d octets", SCRIPT_BYTES - 2);
}

static void run(const struct options *o, const char *path, const char *text, const char *variant)
{
	struct script *script = calloc(1, sizeof *script);
	assert(script);
	script->tolerance_usecs = o->tolerance_usecs;
	alarm(SECONDS_AT_MOST);
	script_parse(script, path, text);
	char flags[3 * FLAGS_MAX];
	const char *parts[] = {script->so_flags, o->so_flags, variant};
	size_t len = 0;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (*parts[i])
			len += (size_t)snprintf(flags + len, sizeof flags - len, "%s%s", len ? "," : "", parts[i]);
	play_script(script, o->so_filename, len ? flags : NULL, o->verbose);
	free(script);
}

/* Reads to the end; what does not fit is dropped, but its writer not held up. Returns how much fitted. */
static size_t drain(int fd, char output[OUTPUT_BYTES])
{
	char rest[512];
	size_t len = 0;
	ssize_t n;
	while ((n = len < OUTPUT_BYTES - 1 ? read(fd, output + len, OUTPUT_BYTES - 1 - len)
					   : read(fd, rest, sizeof rest)) > 0)
		len += len < OUTPUT_BYTES - 1 ? (size_t)n : 0;
	return len;
}

/* Runs the script with its complaints into `output`. Returns the process's status. */
static int run_apart(const struct options *o, const char *path, const char *text, const char *variant, char *output)
{
	int pipe_fds[2], status = 0;
	size_t len;
	fflush(stdout);
	if (pipe(pipe_fds))
		script_fail(path, 0, "pipe: %s", strerror(errno));
	pid_t child = fork();
	if (child < 0)
		script_fail(path, 0, "fork: %s", strerror(errno));
	if (child == 0) {
		dup2(pipe_fds[1], STDERR_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		run(o, path, text, variant);
		exit(EXIT_SUCCESS);
	}
	close(pipe_fds[1]);
	len = drain(pipe_fds[0], output);
	output[len] = 0;
	close(pipe_fds[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* ---- all of them ---- */

/* The text a script has to fail with, or NULL. */
static const char *should_fail(const char *text, char expected[128])
{
	if (strncmp(text, FAILS, strlen(FAILS)) != 0)
		return NULL;
	text += strlen(FAILS);
	snprintf(expected, 128, "%.*s", (int)strcspn(text, "\n"), text);
	return expected;
}

static bool went_as_it_should(int status, const char *output, const char *expected)
{
	if (expected)
		return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE && strstr(output, expected);
	return status == 0;
}

static bool play_variant(const struct options *o, const char *path, const char *text, const char *variant)
{
	char expected[128], output[OUTPUT_BYTES];
	const char *failure = should_fail(text, expected);
	int status = run_apart(o, path, text, variant, output);
	bool good = went_as_it_should(status, output, failure);
	if (!good || o->verbose)
		fputs(output, stdout);
	if (good)
		return true;
	if (failure)
		printf("%s: should have failed with: %s\n", path, failure);
	if (WIFSIGNALED(status))
		printf("%s: ended by signal %d\n", path, WTERMSIG(status));
	if (*variant)
		printf("%s: played with %s\n", path, variant);
	return false;
}

static void play_file(struct options *o, const char *path)
{
	char text[SCRIPT_BYTES];
	bool good = true;
	read_script(path, text);
	for (size_t i = 0; good && i < sizeof variants / sizeof variants[0]; i++)
		good = play_variant(o, path, text, variants[i]);
	o->passed += good;
	o->failed += !good;
}

static void play_all(struct options *o)
{
	for (size_t i = 0; i < sizeof all_scripts / sizeof all_scripts[0]; i++) {
		glob_t found;
		if (glob(all_scripts[i], 0, NULL, &found)) {
			fprintf(stderr, "no scripts %s: run from the top of the source tree\n", all_scripts[i]);
			exit(EXIT_FAILURE);
		}
		for (size_t n = 0; n < found.gl_pathc; n++)
			play_file(o, found.gl_pathv[n]);
		globfree(&found);
	}
}

/* harewire_packetdrill.so beside this program. */
static void default_library(char path[4096])
{
	ssize_t len = readlink("/proc/self/exe", path, 4000);
	while (len > 0 && path[len - 1] != '/')
		len--;
	strcpy(path + (len > 0 ? len : 0), "harewire_packetdrill.so");
}

static bool take_value(const char *argument, const char *name, const char **value)
{
	size_t len = strlen(name);
	if (strncmp(argument, name, len) != 0 || argument[len] != '=')
		return false;
	*value = argument + len + 1;
	return true;
}

static void take_option(struct options *o, const char *argument)
{
	const char *tolerance;
	if (strcmp(argument, "--verbose") == 0) {
		o->verbose = true;
	} else if (take_value(argument, "--tolerance_usecs", &tolerance)) {
		o->tolerance_usecs = atoll(tolerance);
	} else if (!take_value(argument, "--so_filename", &o->so_filename) &&
		   !take_value(argument, "--so_flags", &o->so_flags)) {
		fprintf(stderr,
			"run_scripts: unknown option %s; there are --verbose, --so_filename=FILE, "
			"--so_flags=NAME=VALUE,... and --tolerance_usecs=N\n",
			argument);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	char library[4096];
	default_library(library);
	struct options o = {.so_filename = library, .so_flags = "", .tolerance_usecs = 100};
	int i = 1;
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
		take_option(&o, argv[i]);
	if (access(o.so_filename, R_OK)) {
		fprintf(stderr, "run_scripts: %s: %s: make packetdrill builds it\n", o.so_filename, strerror(errno));
		return EXIT_FAILURE;
	}
	if (i == argc)
		play_all(&o);
	for (; i < argc; i++)
		play_file(&o, argv[i]);
	printf("%d passed, %d failed\n", o.passed, o.failed);
	return o.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
