#include "control/command/stat_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <json-c/json.h>

#define NO_SSTHRESH UINT32_MAX

/* One entry of a list, and the same one in the answer before, or NULL. */
struct entry {
	struct json_object *now, *earlier;
	double seconds; /* between the two; 0: there is none */
};

static uint64_t number(struct json_object *o, const char *name)
{
	struct json_object *value;
	return json_object_object_get_ex(o, name, &value) ? json_object_get_uint64(value) : 0;
}

static const char *text(struct json_object *o, const char *name)
{
	struct json_object *value;
	return json_object_object_get_ex(o, name, &value) ? json_object_get_string(value) : "";
}

static double rate(const struct entry *e, const char *name)
{
	uint64_t now = number(e->now, name), before = e->earlier ? number(e->earlier, name) : now;
	return e->seconds > 0 && now > before ? (double)(now - before) / e->seconds : 0;
}

static struct json_object *find(struct json_object *list, uint64_t id)
{
	size_t n = list ? json_object_array_length(list) : 0;
	for (size_t i = 0; i < n; i++)
		if (number(json_object_array_get_idx(list, i), "id") == id)
			return json_object_array_get_idx(list, i);
	return NULL;
}

static void print_list(FILE *out, struct json_object *answer, struct json_object *earlier, const char *name,
		       void (*print)(FILE *out, const struct entry *e))
{
	struct json_object *list = NULL, *old = NULL;
	struct entry e = {0};
	json_object_object_get_ex(answer, name, &list);
	if (earlier && json_object_object_get_ex(earlier, name, &old))
		e.seconds = (double)(number(answer, "time_ns") - number(earlier, "time_ns")) / 1e9;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		e.now = json_object_array_get_idx(list, i);
		e.earlier = find(old, number(e.now, "id"));
		print(out, &e);
	}
}

static void print_worker(FILE *out, const struct entry *e)
{
	char cpu[24] = "-", driver[64];
	if (number(e->now, "pinned"))
		snprintf(cpu, sizeof cpu, "%" PRIu64, number(e->now, "cpu"));
	snprintf(driver, sizeof driver, "%.15s (%.31s)", text(e->now, "driver"), text(e->now, "mode"));
	fprintf(out,
		"%6" PRIu64 "  %-24s %-12s %5" PRIu64 " %4s %10" PRIu64 " %12" PRIu64 " %10.0f %12" PRIu64
		" %10.0f %8" PRIu64 " %10.1f us\n",
		number(e->now, "id"), *text(e->now, "driver") ? driver : "(not chosen yet)", text(e->now, "device"),
		number(e->now, "queue"), cpu, number(e->now, "publishers"), number(e->now, "packets_sent"),
		rate(e, "packets_sent"), number(e->now, "packets_received"), rate(e, "packets_received"),
		number(e->now, "packets_dropped"), (double)number(e->now, "longest_gap_ns") / 1e3);
}

static void print_connection(FILE *out, const struct entry *e)
{
	char ssthresh[24] = "-", rtt[48];
	if (number(e->now, "ssthresh") < NO_SSTHRESH)
		snprintf(ssthresh, sizeof ssthresh, "%" PRIu64, number(e->now, "ssthresh"));
	snprintf(rtt, sizeof rtt, "%.1f+-%.1f", (double)number(e->now, "srtt_ns") / 1e3,
		 (double)number(e->now, "rttvar_ns") / 1e3);
	fprintf(out,
		"%6" PRIu64 "  %-12s %-22s %16s %9" PRIu64 " %9s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %6" PRIu64
		" %6" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
		number(e->now, "id"), text(e->now, "tcp_state"), text(e->now, "remote"), rtt, number(e->now, "cwnd"),
		ssthresh, number(e->now, "peer_window"), number(e->now, "receive_window"), number(e->now, "in_flight"),
		number(e->now, "retransmits_fast"), number(e->now, "retransmits_rto"), number(e->now, "rto_fired"),
		number(e->now, "tlp_probes"));
}

static void print_publisher(FILE *out, const struct entry *e)
{
	uint64_t capacity = number(e->now, "log_capacity");
	fprintf(out,
		"%6" PRIu64 "  %-24.24s %-12s %12" PRIu64 " %10.0f %12" PRIu64 " %10.0f %9" PRIu64 " %6.1f %% %8" PRIu64
		" %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
		number(e->now, "id"), text(e->now, "name"), text(e->now, "state"), number(e->now, "accepted"),
		rate(e, "accepted"), number(e->now, "confirmed"), rate(e, "confirmed"), number(e->now, "in_flight"),
		capacity ? 100.0 * (double)number(e->now, "log_used") / (double)capacity : 0,
		number(e->now, "replayed"), number(e->now, "lost"), number(e->now, "dropped"),
		number(e->now, "refused"), number(e->now, "connections"), number(e->now, "blocked_count"));
}

/* Where all is well nothing more is to be said. */
static void print_hindrance(FILE *out, const struct entry *e)
{
	const char *state = text(e->now, "state"), *reason = text(e->now, "reason");
	const char *failure = text(e->now, "last_failure"); /* at first that is the loss itself */
	bool blocked = strcmp(state, "blocked") == 0;
	if (!blocked && strcmp(state, "reconnecting") != 0)
		return;
	fprintf(out, "%6" PRIu64 "  %s%s%s%s for %.1f s%s%s", number(e->now, "id"), state, blocked ? " (" : "",
		blocked ? text(e->now, "blockages") : "", blocked ? ")" : "", (double)number(e->now, "state_ns") / 1e9,
		*reason ? ": " : "", reason);
	if (number(e->now, "attempts"))
		fprintf(out, "; attempt %" PRIu64 ", %s", number(e->now, "attempts"), text(e->now, "phase"));
	if (*failure && !strstr(failure, reason))
		fprintf(out, "; last: %s", failure);
	fputc('\n', out);
}

static void print_capture(FILE *out, struct json_object *answer)
{
	struct json_object *c, *running;
	if (!json_object_object_get_ex(answer, "capture", &c) || !json_object_object_get_ex(c, "running", &running))
		return;
	fprintf(out, "\n%s %s: %" PRIu64 " packets, %" PRIu64 " octets, %" PRIu64 " packets dropped %s\n",
		json_object_get_boolean(running) ? "capturing into" : "captured into", text(c, "file"),
		number(c, "packets"), number(c, "octets"), number(c, "dropped"), text(c, "error"));
}

void stat_print(FILE *out, struct json_object *answer, struct json_object *earlier)
{
	fprintf(out, "harewire %s, process %" PRIu64 "\n\n", text(answer, "version"), number(answer, "pid"));
	fprintf(out, "%6s  %-24s %-12s %5s %4s %10s %12s %10s %12s %10s %8s %13s\n", "worker", "driver", "device",
		"queue", "cpu", "publishers", "packets sent", "/s", "received", "/s", "dropped", "longest gap");
	print_list(out, answer, earlier, "workers", print_worker);
	fprintf(out, "\n%6s  %-12s %-22s %16s %9s %9s %9s %9s %9s %6s %6s %6s %6s\n", "conn", "state", "broker",
		"rtt us", "cwnd", "ssthresh", "peer wnd", "our wnd", "in flight", "fast", "late", "RTO", "TLP");
	print_list(out, answer, earlier, "connections", print_connection);
	fprintf(out, "\n%6s  %-24s %-12s %12s %10s %12s %10s %9s %8s %8s %8s %8s %8s %6s %6s\n", "publ", "name",
		"state", "accepted", "/s", "confirmed", "/s", "in flight", "log", "replayed", "lost", "dropped",
		"refused", "conns", "alarms");
	print_list(out, answer, earlier, "publishers", print_publisher);
	print_list(out, answer, earlier, "publishers", print_hindrance);
	print_capture(out, answer);
}
