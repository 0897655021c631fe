#include "control/command/stat_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <json-c/json.h>

#include "control/command/answer_field.h"

#define NO_SSTHRESH UINT32_MAX

/* One entry of a list, and the same one in the answer before, or NULL. */
struct entry {
	struct json_object *now, *earlier;
	double seconds; /* between the two; 0: there is none */
};

static double rate(const struct entry *e, const char *name)
{
	uint64_t now = answer_number(e->now, name), before = e->earlier ? answer_number(e->earlier, name) : now;
	return e->seconds > 0 && now > before ? (double)(now - before) / e->seconds : 0;
}

static struct json_object *find(struct json_object *list, uint64_t id)
{
	size_t n = list ? json_object_array_length(list) : 0;
	for (size_t i = 0; i < n; i++)
		if (answer_number(json_object_array_get_idx(list, i), "id") == id)
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
		e.seconds = (double)(answer_number(answer, "time_ns") - answer_number(earlier, "time_ns")) / 1e9;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		e.now = json_object_array_get_idx(list, i);
		e.earlier = find(old, answer_number(e.now, "id"));
		print(out, &e);
	}
}

static void print_worker(FILE *out, const struct entry *e)
{
	char cpu[24] = "-", driver[64];
	if (answer_number(e->now, "pinned"))
		snprintf(cpu, sizeof cpu, "%" PRIu64, answer_number(e->now, "cpu"));
	snprintf(driver, sizeof driver, "%.15s (%.31s)", answer_text(e->now, "driver"), answer_text(e->now, "mode"));
	fprintf(out,
		"%6" PRIu64 "  %-24s %-12s %5" PRIu64 " %4s %10" PRIu64 " %12" PRIu64 " %10.0f %12" PRIu64
		" %10.0f %8" PRIu64 " %10.1f us\n",
		answer_number(e->now, "id"), *answer_text(e->now, "driver") ? driver : "(not chosen yet)",
		answer_text(e->now, "device"), answer_number(e->now, "queue"), cpu, answer_number(e->now, "publishers"),
		answer_number(e->now, "packets_sent"), rate(e, "packets_sent"),
		answer_number(e->now, "packets_received"), rate(e, "packets_received"),
		answer_number(e->now, "packets_dropped"), (double)answer_number(e->now, "longest_gap_ns") / 1e3);
}

static void print_connection(FILE *out, const struct entry *e)
{
	char ssthresh[24] = "-", rtt[48];
	if (answer_number(e->now, "ssthresh") < NO_SSTHRESH)
		snprintf(ssthresh, sizeof ssthresh, "%" PRIu64, answer_number(e->now, "ssthresh"));
	snprintf(rtt, sizeof rtt, "%.1f+-%.1f", (double)answer_number(e->now, "srtt_ns") / 1e3,
		 (double)answer_number(e->now, "rttvar_ns") / 1e3);
	fprintf(out,
		"%6" PRIu64 "  %-12s %-22s %16s %9" PRIu64 " %9s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %6" PRIu64
		" %6" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
		answer_number(e->now, "id"), answer_text(e->now, "tcp_state"), answer_text(e->now, "remote"), rtt,
		answer_number(e->now, "cwnd"), ssthresh, answer_number(e->now, "peer_window"),
		answer_number(e->now, "receive_window"), answer_number(e->now, "in_flight"),
		answer_number(e->now, "retransmits_fast"), answer_number(e->now, "retransmits_rto"),
		answer_number(e->now, "rto_fired"), answer_number(e->now, "tlp_probes"));
}

static void print_publisher(FILE *out, const struct entry *e)
{
	uint64_t capacity = answer_number(e->now, "log_capacity");
	fprintf(out,
		"%6" PRIu64 "  %-24.24s %-12s %12" PRIu64 " %10.0f %12" PRIu64 " %10.0f %9" PRIu64 " %6.1f %% %8" PRIu64
		" %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %6" PRIu64 " %6" PRIu64 "\n",
		answer_number(e->now, "id"), answer_text(e->now, "name"), answer_text(e->now, "state"),
		answer_number(e->now, "accepted"), rate(e, "accepted"), answer_number(e->now, "confirmed"),
		rate(e, "confirmed"), answer_number(e->now, "in_flight"),
		capacity ? 100.0 * (double)answer_number(e->now, "log_used") / (double)capacity : 0,
		answer_number(e->now, "replayed"), answer_number(e->now, "lost"), answer_number(e->now, "dropped"),
		answer_number(e->now, "refused"), answer_number(e->now, "connections"),
		answer_number(e->now, "blocked_count"));
}

/* Where all is well nothing more is to be said. */
static void print_hindrance(FILE *out, const struct entry *e)
{
	const char *state = answer_text(e->now, "state"), *reason = answer_text(e->now, "reason");
	const char *failure = answer_text(e->now, "last_failure"); /* at first that is the loss itself */
	bool blocked = strcmp(state, "blocked") == 0;
	if (!blocked && strcmp(state, "reconnecting") != 0)
		return;
	fprintf(out, "%6" PRIu64 "  %s%s%s%s for %.1f s%s%s", answer_number(e->now, "id"), state, blocked ? " (" : "",
		blocked ? answer_text(e->now, "blockages") : "", blocked ? ")" : "",
		(double)answer_number(e->now, "state_ns") / 1e9, *reason ? ": " : "", reason);
	if (answer_number(e->now, "attempts"))
		fprintf(out, "; attempt %" PRIu64 ", %s", answer_number(e->now, "attempts"),
			answer_text(e->now, "phase"));
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
		json_object_get_boolean(running) ? "capturing into" : "captured into", answer_text(c, "file"),
		answer_number(c, "packets"), answer_number(c, "octets"), answer_number(c, "dropped"),
		answer_text(c, "error"));
}

void stat_print(FILE *out, struct json_object *answer, struct json_object *earlier)
{
	fprintf(out, "harewire %s, process %" PRIu64 "\n\n", answer_text(answer, "version"),
		answer_number(answer, "pid"));
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
