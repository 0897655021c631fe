/* harewire trace: what has happened to a connection of a running engine. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/command/answer_field.h"
#include "control/command/command.h"
#include "control/command/engine_socket.h"
#include "control/command/options.h"
#include "control/trace_line.h"

static struct json_object *trace_request(const struct settings *s)
{
	struct json_object *o = json_object_new_object();
	if (!o)
		return NULL;
	json_object_object_add(o, "request", json_object_new_string("trace"));
	if (s->connection)
		json_object_object_add(o, "connection", json_object_new_uint64(s->connection));
	return o;
}

static void show(struct json_object *answer)
{
	struct json_object *records;
	uint64_t before_ns = 0;
	printf("connection %" PRIu64 " (%s) of worker %" PRIu64 ": %s to %s\n\n", answer_number(answer, "connection"),
	       answer_text(answer, "name"), answer_number(answer, "worker"), answer_text(answer, "local"),
	       answer_text(answer, "remote"));
	trace_line_head(stdout);
	size_t n = json_object_object_get_ex(answer, "records", &records) ? json_object_array_length(records) : 0;
	for (size_t i = 0; i < n; i++) {
		struct json_object *r = json_object_array_get_idx(records, i);
		uint64_t ns = answer_number(r, "ns");
		trace_line_print(stdout, &(struct trace_line){.ns = ns,
							      .since_ns = before_ns ? ns - before_ns : 0,
							      .in_flight = (uint32_t)answer_number(r, "in_flight"),
							      .cwnd = (uint32_t)answer_number(r, "cwnd"),
							      .srtt_us = (uint32_t)answer_number(r, "srtt_us"),
							      .text = answer_text(r, "text")});
		before_ns = ns;
	}
}

int trace_main(struct settings *s)
{
	char why[OPTION_WHY_MAX];
	struct json_object *answer = NULL;
	int status = EXIT_GOOD;
	if (s->operands.count > 1) {
		complain("trace: one engine at a time");
		return EXIT_USAGE;
	}
	struct json_object *request = trace_request(s);
	int fd = engine_socket_connect(s->operands.count ? s->operands.items[0] : NULL, why, sizeof why);
	if (fd < 0 || engine_socket_ask(fd, request, &answer, why, sizeof why)) {
		complain("%s", why);
		status = EXIT_MISSING;
	} else if (s->json) {
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	} else {
		show(answer);
	}
	if (fd >= 0)
		close(fd);
	json_object_put(answer);
	json_object_put(request);
	return status;
}
