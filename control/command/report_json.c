#include "control/command/report_json.h"

#include <json-c/json.h>
#include <stdio.h>

#include "control/command/report_sum.h"
#include "dataplane/base/error.h"

typedef struct json_object json;

static void add_count(json *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_uint64(n));
}

static void add_text(json *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static void add_real(json *o, const char *name, double value, const char *format)
{
	char text[64];

	snprintf(text, sizeof text, format, value);
	json_object_object_add(o, name, json_object_new_double_s(value, text));
}

static void add_us(json *o, const char *name, uint64_t ns)
{
	add_real(o, name, (double)ns / 1000.0, "%.3f");
}

/* In microseconds; absent when nothing was measured. */
static void add_percentiles(json *parent, const char *name, const struct harewire_percentiles *p)
{
	if (!p->count)
		return;
	json *o = json_object_new_object();
	json_object_object_add(parent, name, o);
	add_count(o, "count", p->count);
	add_us(o, "p50", p->p50_ns);
	add_us(o, "p90", p->p90_ns);
	add_us(o, "p99", p->p99_ns);
	if (p->count >= REPORT_P999_SAMPLES)
		add_us(o, "p99.9", p->p999_ns);
	if (p->count >= REPORT_P9999_SAMPLES)
		add_us(o, "p99.99", p->p9999_ns);
	add_us(o, "max", p->max_ns);
}

static json *add_object(json *parent, const char *name)
{
	json *o = json_object_new_object();

	json_object_object_add(parent, name, o);
	return o;
}

static json *append_object(json *array)
{
	json *o = json_object_new_object();

	json_object_array_add(array, o);
	return o;
}

static json *add_array(json *parent, const char *name)
{
	json *o = json_object_new_array();

	json_object_object_add(parent, name, o);
	return o;
}

static void describe_driver(json *o, const struct harewire_driver_info *d)
{
	add_text(o, "name", d->driver);
	add_text(o, "mode", d->mode);
	add_text(o, "reason", d->reason);
	add_text(o, "device", d->device);
	add_text(o, "steering", d->steering);
	add_text(o, "offloads", d->offloads);
	add_count(o, "packets_sent", d->packets_sent);
	add_count(o, "packets_received", d->packets_received);
	add_count(o, "packets_dropped", d->packets_dropped);
	add_count(o, "kicks", d->kicks);
	add_us(o, "longest_gap_us", d->longest_gap_ns);
}

/* What is one worker's only. */
static void describe_place(json *o, const struct harewire_driver_info *d)
{
	if (report_has_queue(d))
		add_count(o, "queue", d->queue);
	if (d->driver[0] && d->cpu >= 0)
		add_count(o, "cpu", (uint64_t)d->cpu);
}

static void add_workers(json *parent, const struct run *run)
{
	struct harewire_driver_info sum = report_sum_drivers(run);
	json *o = add_object(parent, "driver");

	describe_driver(o, &sum);
	if (run->worker_count < 2) {
		describe_place(o, &sum);
		return;
	}
	json *workers = add_array(parent, "workers");
	for (uint32_t i = 0; i < run->worker_count; i++) {
		const struct harewire_driver_info *d = &run->drivers[i];
		o = append_object(workers);
		add_count(o, "worker", i);
		add_count(o, "publishers", d->publishers);
		describe_driver(o, d);
		describe_place(o, d);
	}
}

static void add_tcp(json *parent, const struct harewire_publisher_stats *s, bool one)
{
	json *o = add_object(parent, "tcp");

	add_count(o, "retransmits", s->retransmits);
	add_count(o, "rto_fired", s->rto_fired);
	add_count(o, "octets_sent", s->octets_sent);
	add_count(o, "segments_sent", s->segments_sent);
	add_count(o, "segments_received", s->segments_received);
	if (!one)
		return;
	add_text(o, "state", s->tcp_state);
	add_us(o, "srtt_us", s->srtt_ns);
	add_count(o, "cwnd", s->cwnd);
	add_count(o, "peer_window", s->peer_window);
	add_count(o, "mss", s->mss);
}

static void add_tally(json *o, const struct tally *t)
{
	add_count(o, "attempted", tally_attempted(t));
	add_count(o, "accepted", t->accepted);
	add_count(o, "refused", t->refused);
	add_count(o, "dropped", t->dropped);
	add_count(o, "confirmed", t->confirmed);
	add_count(o, "nacked", t->nacked);
	add_count(o, "returned", t->returned);
	add_count(o, "lost", t->lost);
	add_count(o, "unconfirmed", t->unconfirmed);
	add_count(o, "waits_for_log", t->waits_for_log);
}

/* What came of connections that come and go. */
static void add_standing(json *o, const struct standing *standing, const struct harewire_publisher_stats *s)
{
	add_count(o, "replayed", s->replayed);
	add_count(o, "connections", s->connections);
	add_count(o, "channels", s->channels);
	add_us(o, "longest_disconnected_us", standing->spells[HINDRANCE_DISCONNECTED].longest_ns);
	add_count(o, "blocked", standing->spells[HAREWIRE_BLOCKAGE_ALARM].count);
	json *blockages = add_object(o, "blockages");
	for (unsigned i = HINDRANCE_DISCONNECTED + 1; i < HINDRANCES; i++) {
		json *one = add_object(blockages, hindrance_name(i));
		add_count(one, "count", standing->spells[i].count);
		add_us(one, "longest_us", standing->spells[i].longest_ns);
	}
}

static void add_publishers(json *parent, const struct run *run)
{
	if (run->publisher_count < 2 || !run->publishers)
		return;
	json *publishers = add_array(parent, "publishers");
	for (uint32_t i = 0; i < run->publisher_count; i++) {
		const struct run_publisher *p = &run->publishers[i];
		json *o = append_object(publishers);
		add_count(o, "publisher", i + 1);
		add_count(o, "worker", p->worker);
		add_count(o, "epoch", p->epoch);
		add_tally(o, &p->tally);
		add_standing(o, &p->standing, &p->stats);
		add_tcp(o, &p->stats, true);
		add_percentiles(o, "call_to_wire", &p->stats.call_to_wire);
		add_percentiles(o, "publish_to_confirm", &p->stats.publish_to_confirm);
	}
}

static void add_feed(json *parent, const struct publish_report *r)
{
	const struct feed_figures *f = r->feed;
	json *o = json_object_new_object();

	json_object_object_add(parent, "feed", o);
	add_count(o, "messages", f->messages);
	add_count(o, "symbols", r->feed_symbols);
	add_count(o, "keys", r->feed_keys);
	add_count(o, "packets", f->packets);
	add_count(o, "heartbeats", f->heartbeats);
	add_count(o, "sequence_gaps", f->sequence_gaps);
	add_count(o, "sequence_rewinds", f->sequence_rewinds);
	add_count(o, "missed_messages", f->missed_messages);
	add_count(o, "fragments", f->fragments);
	add_count(o, "malformed", f->malformed);
	add_count(o, "not_ours", f->not_ours);
	add_count(o, "unknown_protocol", f->unknown_protocol);
	add_count(o, "cut_packets", f->cut_packets);
	json_object_object_add(o, "truncated", json_object_new_boolean(f->truncated));
}

static void add_error(json *parent, int code, const char *text)
{
	json *o = json_object_new_object();

	json_object_object_add(parent, "error", o);
	json_object_object_add(o, "code", json_object_new_int(code));
	add_text(o, "name", hw_error_name(code));
	add_text(o, "text", text);
}

static void print_and_free(json *o)
{
	/* Standard output may hold message bodies, or the end of a line of them. */
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
	json_object_put(o);
}

void report_refused_json(const char *command, const char *why)
{
	json *o = json_object_new_object();

	add_text(o, "command", command);
	json_object_object_add(o, "ok", json_object_new_boolean(0));
	add_error(o, HW_ERR_INVALID, why);
	print_and_free(o);
}

static void add_latencies(json *o, const struct run *run, const struct harewire_publisher_stats *stats)
{
	struct harewire_percentiles slip = report_percentiles(&run->schedule.slip),
				    due = report_percentiles(&run->schedule.due_to_confirm);
	bool several = run->publisher_count > 1;

	add_percentiles(o, several ? "call_to_wire_at_most" : "call_to_wire", &stats->call_to_wire);
	add_percentiles(o, several ? "publish_to_confirm_at_most" : "publish_to_confirm", &stats->publish_to_confirm);
	add_percentiles(o, "schedule_slip", &slip);
	add_percentiles(o, "due_to_confirm", &due);
}

void report_publish_json(const struct publish_report *r)
{
	const struct run *run = r->run;
	struct harewire_publisher_stats stats = report_sum_stats(run);
	struct standing standing = report_sum_standing(run);
	json *o = json_object_new_object();

	add_text(o, "command", run->settings->command == COMMAND_FEED ? "feed" : "publish");
	json_object_object_add(o, "ok", json_object_new_boolean(run_good(run)));
	if (run->code)
		add_error(o, run->code, run->text);
	add_tally(o, &run->total);
	add_standing(o, &standing, &stats);
	if (run->total.returned)
		add_text(o, "returned_reason", run->return_text);
	json_object_object_add(o, "stopped", json_object_new_boolean(run->stopped));
	add_real(o, "seconds", report_publish_seconds(run), "%.6f");
	add_real(o, "acceptance_rate", report_acceptance_rate(run), "%.1f");
	add_workers(o, run);
	add_tcp(o, &stats, run->publisher_count == 1);
	add_publishers(o, run);
	add_latencies(o, run, &stats);
	if (r->feed)
		add_feed(o, r);
	print_and_free(o);
}

static void add_verdict(json *o, const struct verify_report *v)
{
	add_count(o, "received", v->received);
	add_count(o, "gaps", v->gaps);
	add_count(o, "duplicates", v->duplicates);
	add_count(o, "duplicates_redelivered", v->duplicates_redelivered);
	add_count(o, "duplicates_flagged", v->duplicates_flagged);
	add_count(o, "disorder", v->disorder);
	add_count(o, "unjudged", v->unjudged);
}

static void add_epochs(json *parent, const struct verify *verify)
{
	json *epochs = add_array(parent, "epochs");

	for (uint32_t i = 0; i < verify->count; i++) {
		const struct verify_epoch *e = &verify->epochs[i];
		struct verify_report v;
		json *o = append_object(epochs);
		verify_summarize_epoch(e, &v);
		add_count(o, "epoch", e->epoch);
		add_verdict(o, &v);
		add_count(o, "last_number", e->highest);
	}
}

void report_consume_json(const struct consume_report *r)
{
	const struct verify_report *v = r->sum;
	struct harewire_percentiles latency = report_percentiles(r->latency_ns);
	double seconds = (double)r->span_ns / 1e9;
	json *o = json_object_new_object();

	add_text(o, "command", "consume");
	json_object_object_add(o, "ok", json_object_new_boolean(r->good));
	if (r->code)
		add_error(o, r->code, r->text);
	add_verdict(o, v);
	add_count(o, "unsequenced", v->unsequenced);
	add_count(o, "redelivered", r->redelivered);
	add_count(o, "publishers", v->epochs);
	add_epochs(o, r->verify);
	add_count(o, "bytes", r->bytes);
	add_real(o, "seconds", seconds, "%.6f");
	add_real(o, "rate", v->received > 1 && seconds > 0 ? (double)(v->received - 1) / seconds : 0, "%.1f");
	add_percentiles(o, "publish_to_deliver", &latency);
	print_and_free(o);
}
