/* The summaries for people. Quiet drops what went well; what went wrong is always said. */
#include "control/command/report.h"

#include <stdio.h>

#include "control/command/command.h"
#include "control/command/report_json.h"

#define NS_PER_US 1000.0

static void print_latency(const char *name, const struct harewire_percentiles *p)
{
	if (!p->count)
		return;
	fprintf(stderr, "  %-20s p50 %.1f  p90 %.1f  p99 %.1f", name, (double)p->p50_ns / NS_PER_US,
		(double)p->p90_ns / NS_PER_US, (double)p->p99_ns / NS_PER_US);
	if (p->count >= REPORT_P999_SAMPLES)
		fprintf(stderr, "  p99.9 %.1f", (double)p->p999_ns / NS_PER_US);
	if (p->count >= REPORT_P9999_SAMPLES)
		fprintf(stderr, "  p99.99 %.1f", (double)p->p9999_ns / NS_PER_US);
	fprintf(stderr, "  max %.1f us\n", (double)p->max_ns / NS_PER_US);
}

struct harewire_percentiles report_percentiles(const struct histogram *h)
{
	return (struct harewire_percentiles){
		.count = h->count,
		.p50_ns = histogram_quantile(h, 0.5),
		.p90_ns = histogram_quantile(h, 0.9),
		.p99_ns = histogram_quantile(h, 0.99),
		.p999_ns = histogram_quantile(h, 0.999),
		.p9999_ns = histogram_quantile(h, 0.9999),
		.max_ns = h->max,
	};
}

double report_publish_seconds(const struct run *run)
{
	return run->ready && run->end_ns > run->ready_ns ? (double)(run->end_ns - run->ready_ns) / 1e9 : 0;
}

/* While messages were being published: the wait for the last confirms is not part of the rate. */
double report_publish_rate(const struct run *run)
{
	if (run->last_publish_ns <= run->ready_ns || run->accepted < 2)
		return 0;
	return (double)run->accepted / ((double)(run->last_publish_ns - run->ready_ns) / 1e9);
}

static void print_feed(const struct publish_report *r)
{
	const struct feed_figures *f = r->feed;

	fprintf(stderr, "feed        %llu messages of %llu symbols, %llu routing keys", (unsigned long long)f->messages,
		(unsigned long long)r->feed_symbols, (unsigned long long)r->feed_keys);
	if (f->packets)
		fprintf(stderr, ", in %llu packets", (unsigned long long)f->packets);
	if (f->sequence_gaps)
		fprintf(stderr, "; its own numbering breaks %llu times (%llu of them back)",
			(unsigned long long)f->sequence_gaps, (unsigned long long)f->sequence_rewinds);
	if (f->malformed || f->fragments || f->unknown_protocol)
		fprintf(stderr, "; skipped: %llu malformed, %llu fragments, %llu of another protocol",
			(unsigned long long)f->malformed, (unsigned long long)f->fragments,
			(unsigned long long)f->unknown_protocol);
	fprintf(stderr, "%s\n", f->truncated ? "; the capture's last packet is cut short" : "");
}

static void print_publish(const struct publish_report *r)
{
	const struct run *run = r->run;
	const struct harewire_driver_info *d = r->driver;

	fprintf(stderr, "driver      %s%s%s%s%s%s%s\n", d->driver[0] ? d->driver : "none", d->mode[0] ? " (" : "",
		d->mode, d->mode[0] ? ")" : "", d->device[0] ? " on " : "", d->device,
		run->settings->inline_worker ? ", inline" : "");
	if (d->reason[0])
		fprintf(stderr, "            %s\n", d->reason);
	if (r->feed)
		print_feed(r);
	fprintf(stderr, "published   %llu in %.3f s, %.0f messages/s\n", (unsigned long long)run->accepted,
		report_publish_seconds(run), report_publish_rate(run));
	fprintf(stderr, "confirmed   %llu   nacked %llu   returned %llu   unconfirmed %llu\n",
		(unsigned long long)run->confirmed, (unsigned long long)run->nacked, (unsigned long long)run->returned,
		(unsigned long long)run->unconfirmed);
	fprintf(stderr, "packets     %llu sent, %llu received, %llu retransmitted segments\n",
		(unsigned long long)d->packets_sent, (unsigned long long)d->packets_received,
		(unsigned long long)r->stats->retransmits);
	struct harewire_percentiles slip = report_percentiles(&run->slip),
				    due = report_percentiles(&run->due_to_confirm);
	print_latency("call-to-wire", &r->stats->call_to_wire);
	print_latency("publish-to-confirm", &r->stats->publish_to_confirm);
	print_latency("schedule slip", &slip);
	print_latency("due-to-confirm", &due);
}

void report_refused(enum subcommand command, bool as_json, const char *why)
{
	static const char *const names[] = {
		[COMMAND_PUBLISH] = "publish", [COMMAND_FEED] = "feed", [COMMAND_CONSUME] = "consume"};

	complain("%s: %s", names[command], why);
	if (as_json)
		report_refused_json(names[command], why);
}

void report_publish(const struct publish_report *report, const struct settings *settings)
{
	const struct run *run = report->run;

	if (run->ready && !settings->quiet && !settings->json)
		print_publish(report);
	if (run->code)
		complain("%s", run->text);
	if (run->returned)
		complain("%llu returned: %s", (unsigned long long)run->returned, run->return_text);
	if (run->nacked || run->unconfirmed)
		complain("%llu nacked by the broker, %llu unconfirmed (may or may not have arrived)",
			 (unsigned long long)run->nacked, (unsigned long long)run->unconfirmed);
	if (settings->json)
		report_publish_json(report);
}

static void print_consume(const struct consume_report *r)
{
	const struct verify_report *v = r->verify;
	double seconds = (double)r->span_ns / 1e9;

	fprintf(stderr, "received    %llu from %s, %llu octets in %.3f s", (unsigned long long)v->received, r->queue,
		(unsigned long long)r->bytes, seconds);
	if (v->received > 1 && seconds > 0)
		fprintf(stderr, ", %.0f messages/s", (double)(v->received - 1) / seconds);
	fprintf(stderr,
		"\nsequence    gaps %llu   duplicates %llu   disorder %llu   redelivered %llu   publishers %llu\n",
		(unsigned long long)v->gaps, (unsigned long long)v->duplicates, (unsigned long long)v->disorder,
		(unsigned long long)r->redelivered, (unsigned long long)v->epochs);
	struct harewire_percentiles latency = report_percentiles(r->latency_ns);
	print_latency("publish-to-deliver", &latency);
}

void report_consume(const struct consume_report *report, const struct settings *settings)
{
	const struct verify_report *v = report->verify;

	if (!settings->quiet && !settings->json && !(report->code && !v->received))
		print_consume(report);
	if (report->code)
		complain("%s", report->text);
	if (report->verified && !verify_clean(v))
		complain("the sequence is not whole: %llu gaps, %llu duplicates, %llu out of order, %llu too old to "
			 "judge",
			 (unsigned long long)v->gaps, (unsigned long long)v->duplicates,
			 (unsigned long long)v->disorder, (unsigned long long)v->unjudged);
	if (report->verified && v->unsequenced)
		complain("%llu without a sequence slot: could not be verified", (unsigned long long)v->unsequenced);
	if (settings->json)
		report_consume_json(report);
}
