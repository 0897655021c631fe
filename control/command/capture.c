/* harewire capture: has a running engine capture its packets. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/command/answer_field.h"
#include "control/command/command.h"
#include "control/command/engine_socket.h"
#include "control/command/options.h"

/* The engine may be somewhere else: it is told the whole path. */
static struct json_object *start_request(const struct settings *s, const char *file)
{
	char path[PATH_MAX], *here = *file == '/' ? NULL : get_current_dir_name();
	int len = snprintf(path, sizeof path, "%s%s%s", here ? here : "", here ? "/" : "", file);
	free(here);
	struct json_object *o = (size_t)len < sizeof path ? json_object_new_object() : NULL;
	if (o) {
		json_object_object_add(o, "request", json_object_new_string("capture-start"));
		json_object_object_add(o, "file", json_object_new_string(path));
		json_object_object_add(o, "snaplen", json_object_new_uint64(s->snap_bytes));
	}
	return o;
}

static struct json_object *stop_request(void)
{
	struct json_object *o = json_object_new_object();
	if (o)
		json_object_object_add(o, "request", json_object_new_string("capture-stop"));
	return o;
}

/* What stop has brought. */
static int tell(struct json_object *answer)
{
	struct json_object *file, *error;
	json_object_object_get_ex(answer, "file", &file);
	printf("%s: %" PRIu64 " packets, %" PRIu64 " octets, %" PRIu64 " packets dropped\n",
	       json_object_get_string(file), answer_number(answer, "packets"), answer_number(answer, "octets"),
	       answer_number(answer, "dropped"));
	if (!json_object_object_get_ex(answer, "error", &error))
		return EXIT_GOOD;
	complain("the capture ended early: %s", json_object_get_string(error));
	return EXIT_MISSING;
}

static int ask(const struct settings *s, const char *engine, struct json_object *request, int starts)
{
	char why[OPTION_WHY_MAX];
	struct json_object *answer = NULL;
	int status = EXIT_GOOD;
	int fd = engine_socket_connect(engine, why, sizeof why);
	if (fd < 0 || engine_socket_ask(fd, request, &answer, why, sizeof why)) {
		complain("%s", why);
		status = EXIT_MISSING;
	} else if (s->json) {
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	} else if (!starts) {
		status = tell(answer);
	}
	if (fd >= 0)
		close(fd);
	json_object_put(answer);
	return status;
}

int capture_main(struct settings *s)
{
	const char *const *words = s->operands.items;
	const char *verb = s->operands.count ? words[0] : "";
	uint32_t taken = strcmp(verb, "start") == 0 ? 2 : strcmp(verb, "stop") == 0 ? 1 : 0;
	if (!taken || s->operands.count < taken || s->operands.count > taken + 1) {
		complain(
			"capture: say start FILE or stop, and behind it the engine's socket or process id if there are "
			"several");
		return EXIT_USAGE;
	}
	struct json_object *request = taken == 2 ? start_request(s, words[1]) : stop_request();
	int status = ask(s, s->operands.count > taken ? words[taken] : NULL, request, taken == 2);
	json_object_put(request);
	return status;
}
