/*
 * Any arguments on the command line. Octets from 128 on are words: every option, and values that options take; a
 * newline ends an argument. What is refused has a sentence; what is taken goes through everything that looks at it
 * before a broker is asked, and all of it is given back.
 */
#include <stdio.h>
#include <string.h>

#include "control/command/declare.h"
#include "control/command/options.h"
#include "control/command/properties.h"
#include "control/feed/pattern.h"
#include "control/session/url.h"
#include "tests/fuzz/words.h"

#define TEXT_MAX      16384u
#define ARGUMENTS_MAX 256u
#define WORDS_MAX     127u

static const char *const fixed[] = {
	"\n",
	"=",
	"--",
	"-n",
	"-p",
	"-k\n",
	"-e\n",
	"-P\n",
	"-H\n",
	"a=1",
	"x-max-length=5",
	"user-id=me",
	"x:topic:durable",
	"q:durable",
	"x:q:#",
	"1e3",
	"max",
	"0.25",
	"64K",
	"1M",
	"4096",
	"amqp://me:pw@there:5672/v",
	"md.{feed}.{type}.{symbol}",
	"sequence,time",
	"none",
	"kernel",
	"auto",
	"100",
	"file.pcap",
	"-",
};

#define FIXED (sizeof fixed / sizeof fixed[0])

static const struct words *option_words(void)
{
	static char names[WORDS_MAX][40];
	static const char *list[WORDS_MAX];
	static struct words words = {.list = list};
	for (uint32_t i = 0; !words.count && i < FIXED; i++)
		list[i] = fixed[i];
	for (uint32_t i = 0; !words.count && FIXED + i < WORDS_MAX && i < option_count; i++) {
		snprintf(names[i], sizeof names[i], "\n--%s%s", options[i].name,
			 options[i].kind == OPTION_FLAG ? "\n" : "=");
		list[FIXED + i] = names[i];
	}
	words.count = FIXED + option_count < WORDS_MAX ? FIXED + option_count : WORDS_MAX;
	return &words;
}

/* Cuts the text at its newlines; empty lines are no arguments. */
static int split(char *text, char *argv[ARGUMENTS_MAX])
{
	int n = 0;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line && n < (int)ARGUMENTS_MAX;
	     line = strtok_r(NULL, "\n", &save))
		argv[n++] = line;
	return n;
}

static void check_taken(struct settings *s)
{
	char why[OPTION_WHY_MAX] = "";
	struct properties p;
	struct pattern pattern;
	struct url_parts url;
	const char *reason;
	REQUIRE(pattern_init(&pattern, s->pattern, why, sizeof why) == 0); /* its check has seen it */
	if (s->url)
		url_parse(s->url, &url, &reason);
	if (!s->exchange && s->command == COMMAND_FEED)
		s->exchange = "md"; /* as prepare.c does */
	if (declare_from_settings(s, why, sizeof why))
		words_check_sentence(why, sizeof why);
	if (s->command == COMMAND_CONSUME)
		return;
	REQUIRE(properties_init(&p, s, 0, why, sizeof why) == 0);
	properties_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[TEXT_MAX];
	struct script s = {data, size};
	char *argv[ARGUMENTS_MAX], why[OPTION_WHY_MAX] = "out of memory";
	struct settings settings;
	settings_init(&settings, 1u << take(&s, 1) % 3);
	words_spell(option_words(), s.p, s.left, text, sizeof text);
	int argc = split(text, argv);
	if (options_parse(&settings, argc, argv, why, sizeof why))
		words_check_sentence(why, sizeof why);
	else
		check_taken(&settings);
	settings_fini(&settings);
	return 0;
}
