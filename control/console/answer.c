#include "control/console/answer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/telemetry.h"
#include "control/trace.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"

/* json-c takes NULL for the value null, and copies texts. What it has no memory for is missing. */
static void add_number(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *name, const char *value)
{
	json_object_object_add(o, name, json_object_new_string(value));
}

struct json_object *answer_good(void)
{
	struct json_object *o = json_object_new_object();
	if (o)
		json_object_object_add(o, "ok", json_object_new_boolean(true));
	return o;
}

struct json_object *answer_error(const char *sentence)
{
	struct json_object *o = json_object_new_object();
	if (!o)
		return NULL;
	json_object_object_add(o, "ok", json_object_new_boolean(false));
	add_text(o, "error", sentence);
	return o;
}

static void add_capture(struct json_object *o, const struct capture_result *c)
{
	add_text(o, "file", c->file);
	add_number(o, "packets", c->packets);
	add_number(o, "octets", c->octets);
	add_number(o, "dropped", c->dropped);
	if (c->error)
		add_text(o, "error", strerror(c->error));
}

struct json_object *answer_capture(const struct capture_result *capture)
{
	struct json_object *o = answer_good();
	if (o)
		add_capture(o, capture);
	return o;
}

static struct json_object *describe(struct supervisor *s, enum telemetry_list list, uint64_t id)
{
	struct telemetry_figure figures[TELEMETRY_FIGURES_MAX];
	uint32_t n = telemetry_describe(s, list, id, figures);
	struct json_object *o = n ? json_object_new_object() : NULL; /* none: it has gone meanwhile */
	if (!o)
		return NULL;
	add_number(o, "id", id);
	for (uint32_t i = 0; i < n; i++) {
		if (figures[i].is_text)
			add_text(o, figures[i].name, figures[i].text);
		else
			add_number(o, figures[i].name, figures[i].number);
	}
	return o;
}

static void add_list(struct json_object *o, const char *name, struct supervisor *s, enum telemetry_list list)
{
	uint64_t ids[TELEMETRY_IDS_MAX];
	uint32_t n = telemetry_list(s, list, ids, TELEMETRY_IDS_MAX);
	struct json_object *all = json_object_new_array();
	for (uint32_t i = 0; all && i < n; i++) {
		struct json_object *one = describe(s, list, ids[i]);
		if (one)
			json_object_array_add(all, one);
	}
	json_object_object_add(o, name, all);
}

struct json_object *answer_stat(struct supervisor *s, const struct capture_result *capture, bool running)
{
	struct json_object *o = answer_good();
	if (!o)
		return NULL;
	add_text(o, "version", HAREWIRE_VERSION);
	add_number(o, "pid", (uint64_t)getpid());
	add_number(o, "time_ns", clock_monotonic_ns());
	add_list(o, "workers", s, TELEMETRY_WORKERS);
	add_list(o, "connections", s, TELEMETRY_CONNECTIONS);
	add_list(o, "publishers", s, TELEMETRY_PUBLISHERS);
	if (capture) {
		struct json_object *c = json_object_new_object();
		json_object_object_add(o, "capture", c);
		if (c) {
			json_object_object_add(c, "running", json_object_new_boolean(running));
			add_capture(c, capture);
		}
	}
	return o;
}

static struct json_object *record(const struct tcp_trace_record *r, uint64_t since_1970_ns)
{
	char sentence[256];
	struct json_object *o = json_object_new_object();
	if (!o)
		return NULL;
	tcp_trace_text(r, sentence, sizeof sentence);
	add_number(o, "ns", r->at_ns + since_1970_ns);
	add_text(o, "event", tcp_trace_name(r->kind));
	add_number(o, "detail", r->detail);
	add_number(o, "seq", r->seq);
	add_number(o, "ack", r->ack);
	add_number(o, "value", r->value);
	add_number(o, "cwnd", r->cwnd);
	add_number(o, "in_flight", r->in_flight);
	add_number(o, "srtt_us", r->srtt_us);
	add_text(o, "text", sentence);
	return o;
}

static struct json_object *trace_object(const struct trace_copy *c)
{
	struct json_object *o = answer_good(), *records = json_object_new_array();
	if (!o || !records) {
		json_object_put(o);
		json_object_put(records);
		return NULL;
	}
	add_number(o, "connection", c->connection);
	add_number(o, "worker", c->worker);
	add_text(o, "name", c->name);
	add_text(o, "local", c->local);
	add_text(o, "remote", c->remote);
	for (uint32_t i = 0; i < c->count; i++)
		json_object_array_add(records, record(&c->records[i], c->since_1970_ns));
	json_object_object_add(o, "records", records);
	return o;
}

struct json_object *answer_trace(struct supervisor *supervisor, uint64_t connection)
{
	char why[256];
	struct trace_copy *copy = malloc(sizeof *copy);
	if (!copy)
		return answer_error(hw_error_sentence(HW_ERR_NOMEM));
	int err = trace_take(supervisor, connection, copy, why, sizeof why);
	struct json_object *o = err ? answer_error(why) : trace_object(copy);
	free(copy);
	return o;
}
