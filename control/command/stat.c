/* harewire stat: what a running engine does, again and again. */
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/command/command.h"
#include "control/command/engine_socket.h"
#include "control/command/interrupt.h"
#include "control/command/options.h"
#include "control/command/stat_text.h"
#include "dataplane/base/clock.h"

#define NS_PER_S 1000000000ull

static void show(const struct settings *s, struct json_object *answer, struct json_object *earlier, bool first)
{
	if (s->json) {
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	} else {
		if (!first && !isatty(STDOUT_FILENO))
			putchar('\n');
		else if (!s->once && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout); /* home, and clear */
		stat_print(stdout, answer, earlier);
	}
	fflush(stdout);
}

/* An interrupt ends it. */
static void sleep_until(uint64_t when_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(when_ns / NS_PER_S), .tv_nsec = (long)(when_ns % NS_PER_S)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int watch(const struct settings *s, int fd, struct json_object *request)
{
	char why[OPTION_WHY_MAX];
	struct json_object *answer, *earlier = NULL;
	uint64_t due_ns = clock_monotonic_ns();
	int status = EXIT_GOOD;
	for (bool first = true; first || !interrupt_seen(); first = false) {
		if (engine_socket_ask(fd, request, &answer, why, sizeof why)) {
			/* Seen once, its end is no failure. */
			if (first)
				complain("%s", why);
			status = first ? EXIT_MISSING : EXIT_GOOD;
			break;
		}
		show(s, answer, earlier, first);
		json_object_put(earlier);
		earlier = answer;
		if (s->once || ferror(stdout))
			break;
		due_ns += s->interval_ns;
		sleep_until(due_ns);
	}
	json_object_put(earlier);
	return status;
}

int stat_main(struct settings *s)
{
	char why[OPTION_WHY_MAX];
	if (s->operands.count > 1) {
		complain("stat: one engine at a time");
		return EXIT_USAGE;
	}
	int fd = engine_socket_connect(s->operands.count ? s->operands.items[0] : NULL, why, sizeof why);
	if (fd < 0) {
		complain("%s", why);
		return EXIT_MISSING;
	}
	interrupt_catch();
	struct json_object *request = json_object_new_object();
	if (request)
		json_object_object_add(request, "request", json_object_new_string("stat"));
	int status = watch(s, fd, request);
	json_object_put(request);
	close(fd);
	return status;
}
