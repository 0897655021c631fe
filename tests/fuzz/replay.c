/*
 * Plays a corpus to a fuzzer's function without libFuzzer, in any build: replay_NAME [FILE|FOLDER...], by default
 * tests/fuzz/corpus/NAME. Inputs go in the order of their names, each as a block of its own; the empty one goes first.
 * A demand that is not met ends the program, after the name of its input.
 */
#define _GNU_SOURCE /* program_invocation_short_name */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1u << 20)
#define PATH_MAX_ 4096

static char current[PATH_MAX_];

static void on_abort(int signal_number)
{
	static const char says[] = "a demand is not met by ";
	ssize_t ignored = write(STDOUT_FILENO, says, sizeof says - 1);
	ignored = write(STDOUT_FILENO, current, strlen(current));
	ignored = write(STDOUT_FILENO, "\n", 1);
	(void)ignored;
}

static uint32_t play_file(const char *path)
{
	static uint8_t octets[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	snprintf(current, sizeof current, "%s", path);
	if (!f) {
		printf("cannot read %s: %s\n", path, strerror(errno));
		exit(1);
	}
	size_t len = fread(octets, 1, sizeof octets, f);
	fclose(f);
	uint8_t *input = malloc(len ? len : 1);
	memcpy(input, octets, len);
	LLVMFuzzerTestOneInput(input, len);
	free(input);
	return 1;
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static uint32_t play(const char *path)
{
	struct dirent **entries;
	struct stat st;
	uint32_t played = 0;
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return play_file(path);
	int n = scandir(path, &entries, is_input, alphasort);
	for (int i = 0; i < n; i++) {
		char name[PATH_MAX_];
		snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		free(entries[i]);
		played += play_file(name);
	}
	if (n >= 0)
		free(entries);
	return played;
}

int main(int argc, char *argv[])
{
	char corpus[PATH_MAX_];
	const char *name = strchr(program_invocation_short_name, '_');
	uint32_t played = 0;
	signal(SIGABRT, on_abort);
	snprintf(current, sizeof current, "the empty input");
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s", name ? name + 1 : "");
	for (int i = 1; i < argc; i++)
		played += play(argv[i]);
	if (argc < 2)
		played = play(corpus);
	if (!played) {
		printf("there is nothing to play in %s\n", argc < 2 ? corpus : argv[1]);
		return 1;
	}
	printf("%u passed, 0 failed\n", played);
	return 0;
}
