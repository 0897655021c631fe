/*
 * Any text as a config file. Octets from 128 on are words: the sections, every option's name and the values that
 * options take, so that mutations are of keys and values and not only of letters. What is refused has a sentence that
 * names the file; what is taken is read again in the same way, and all of it is given back.
 */
#define _GNU_SOURCE /* memfd_create */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/command/config.h"
#include "control/command/declare.h"
#include "control/command/options.h"
#include "control/command/properties.h"
#include "tests/fuzz/words.h"

#define FILE_MAX  32768u
#define WORDS_MAX 127u

/* Indented, as the table of options gives only names. */
static const char *const fixed[] = {
	"broker:\n",
	"driver:\n",
	"workers:\n",
	"topology:\n",
	"publish:\n",
	"feed:\n",
	"consume:\n",
	"  exchanges:\n",
	"  queues:\n",
	"  bindings:\n",
	"    - name: ",
	"      type: ",
	"    - exchange: ",
	"      queue: ",
	"      to-exchange: ",
	"      routing-key: ",
	"      arguments: ",
	"      durable: ",
	"  - core: ",
	"    queue: ",
	"    driver: ",
	"    address: ",
	"  ",
	"    ",
	"- ",
	"[",
	"]",
	"{",
	"}",
	", ",
	": ",
	"\n",
	"a=1",
	"x-max-length=5",
	"true",
	"yes",
	"no",
	"10.1.2.3/24",
	"1e3",
	"max",
	"auto",
	"af_xdp",
	"sequence,time",
	"q:durable",
	"x:topic:durable",
	"x:q:#",
	"1M",
	"0",
	"4096",
	"amqp://me:pw@there:5672/v",
	"md.{feed}.{symbol}",
	"|\n    ",
	"'",
	"\"",
	"&a ",
	"*a",
	"---\n",
	"# ",
};

#define FIXED (sizeof fixed / sizeof fixed[0])

static const struct words *config_words(void)
{
	static char keys[WORDS_MAX][40];
	static const char *list[WORDS_MAX];
	static struct words words = {.list = list};
	for (uint32_t i = 0; !words.count && i < FIXED; i++)
		list[i] = fixed[i];
	for (uint32_t i = 0; words.count < FIXED + option_count && FIXED + i < WORDS_MAX && i < option_count; i++) {
		snprintf(keys[i], sizeof keys[i], "  %s: ", options[i].name);
		list[FIXED + i] = keys[i];
	}
	words.count = FIXED + option_count < WORDS_MAX ? FIXED + option_count : WORDS_MAX;
	return &words;
}

/* What the command goes on to do with settings that were taken. */
static void use(struct settings *s)
{
	char why[OPTION_WHY_MAX] = "";
	struct properties p;
	if (!s->exchange && s->command == COMMAND_FEED)
		s->exchange = "md"; /* as prepare.c does */
	if (declare_from_settings(s, why, sizeof why))
		words_check_sentence(why, sizeof why);
	if (s->command != COMMAND_CONSUME) {
		REQUIRE(properties_init(&p, s, 0, why, sizeof why) == 0);
		properties_fini(&p);
	}
	REQUIRE(s->worker_count == 0 || s->workers);
}

static int load(const char *path, enum subcommand command)
{
	char why[OPTION_WHY_MAX] = "";
	struct settings s;
	struct config *c = NULL;
	settings_init(&s, command);
	int code = config_load(path, &s, &c, why, sizeof why);
	if (code) {
		words_check_sentence(why, sizeof why);
		REQUIRE(strstr(why, path));
	} else {
		use(&s);
	}
	settings_fini(&s);
	config_free(c);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[FILE_MAX];
	static int fd = -1;
	struct script s = {data, size};
	char path[32];
	uint32_t how = take(&s, 1);
	enum subcommand command = 1u << how % 3;
	size_t len = words_spell(config_words(), s.p, s.left, text, sizeof text);
	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, len, 0) == (ssize_t)len);
	REQUIRE(fchmod(fd, how & 128 ? 0644 : 0600) == 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	REQUIRE(load(path, command) == load(path, command));
	return 0;
}
