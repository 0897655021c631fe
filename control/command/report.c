/* The summaries for people. Quiet drops what went well; what went wrong is always said. */
#include "control/command/report.h"

#include <stdio.h>
#include <string.h>

#include "control/command/command.h"
#include "control/command/options.h"
#include "control/command/report_json.h"
#include "control/command/report_sum.h"

#define NS_PER_US            1000.0
#define PUBLISHERS_SHOWN_MAX 8u

static void print_latency(const char *name, const struct harewire_percentiles *p)
{
	if (!p->count)
		return;
	fprintf(stderr, "  %-21s p50 %.1f  p90 %.1f  p99 %.1f", name, (double)p->p50_ns / NS_PER_US,
		(double)p->p90_ns / NS_PER_US, (double)p->p99_ns / NS_PER_US);
	if (p->count >= REPORT_P999_SAMPLES)
		fprintf(stderr, "  p99.9 %.1f", (double)p->p999_ns / NS_PER_US);
	if (p->count >= REPORT_P9999_SAMPLES)
		fprintf(stderr, "  p99.99 %.1f", (double)p->p9999_ns / NS_PER_US);
	fprintf(stderr, "  max %.1f us\n", (double)p->max_ns / NS_PER_US);
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

/* Which driver a worker uses, and what it does for us. */
static void print_driver(const struct harewire_driver_info *d)
{
	fprintf(stderr, "%s%s%s%s%s%s", d->driver[0] ? d->driver : "none", d->mode[0] ? " (" : "", d->mode,
		d->mode[0] ? ")" : "", d->device[0] ? " on " : "", d->device);
	if (report_has_queue(d))
		fprintf(stderr, " queue %u", d->queue);
	if (d->driver[0] && d->cpu >= 0)
		fprintf(stderr, ", CPU %d", d->cpu);
	if (d->steering[0])
		fprintf(stderr, ", steering: %s", d->steering);
	if (d->offloads[0])
		fprintf(stderr, ", offloads: %s", d->offloads);
}

static void print_workers(const struct run *run)
{
	const char *mode = run->settings->inline_worker ? ", inline" : "", *said = "";

	for (uint32_t i = 0; i < run->worker_count; i++) {
		const struct harewire_driver_info *d = &run->drivers[i];
		fputs(i ? "            " : "driver      ", stderr);
		if (run->worker_count > 1)
			fprintf(stderr, "worker %u: ", i);
		print_driver(d);
		fprintf(stderr, "%s\n", mode);
		if (run->worker_count > 1 && d->driver[0])
			fprintf(stderr, "            publishers %u, packets %llu sent, %llu received\n", d->publishers,
				(unsigned long long)d->packets_sent, (unsigned long long)d->packets_received);
		if (d->reason[0] && strcmp(d->reason, said) != 0)
			fprintf(stderr, "            %s\n", d->reason);
		said = d->reason;
	}
}

/* The least and the most of a count among the publishers. */
static void print_range(const struct run *run, const char *name, uint64_t (*count)(const struct run_publisher *p))
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t i = 0; i < run->publisher_count; i++) {
		uint64_t one = count(&run->publishers[i]);
		least = one < least ? one : least;
		most = one > most ? one : most;
	}
	fprintf(stderr, "  %s %llu", name, (unsigned long long)least);
	if (most != least)
		fprintf(stderr, " to %llu", (unsigned long long)most);
}

static uint64_t accepted_of(const struct run_publisher *p)
{
	return p->tally.accepted;
}

static uint64_t confirmed_of(const struct run_publisher *p)
{
	return p->tally.confirmed;
}

static uint64_t bad_of(const struct run_publisher *p)
{
	return p->tally.accepted - p->tally.confirmed;
}

static uint64_t retransmits_of(const struct run_publisher *p)
{
	return p->stats.retransmits;
}

static void print_publisher(const struct run *run, const struct run_publisher *p)
{
	const struct tally *t = &p->tally;

	fprintf(stderr,
		"  publisher %-3u worker %u: accepted %llu  confirmed %llu  nacked %llu  returned %llu  lost %llu  "
		"unconfirmed %llu  retransmits %llu\n",
		(unsigned)(p - run->publishers) + 1, p->worker, (unsigned long long)t->accepted,
		(unsigned long long)t->confirmed, (unsigned long long)t->nacked, (unsigned long long)t->returned,
		(unsigned long long)t->lost, (unsigned long long)t->unconfirmed,
		(unsigned long long)p->stats.retransmits);
}

/* A line for each of a few; of many the range, and a line for each of those that something is wrong with. */
static void print_publishers(const struct run *run)
{
	bool many = run->publisher_count > PUBLISHERS_SHOWN_MAX;
	uint32_t shown = 0;

	for (uint32_t i = 0; run->publisher_count > 1 && i < run->publisher_count; i++) {
		const struct run_publisher *p = &run->publishers[i];
		if (shown < PUBLISHERS_SHOWN_MAX && (!many || bad_of(p)) && ++shown)
			print_publisher(run, p);
	}
	if (!many)
		return;
	fprintf(stderr, "  each of %u: ", run->publisher_count);
	print_range(run, "accepted", accepted_of);
	print_range(run, "confirmed", confirmed_of);
	print_range(run, "not confirmed", bad_of);
	print_range(run, "retransmits", retransmits_of);
	fputc('\n', stderr);
}

/* Only where there is more to say than that the connections were made and held. */
static void print_standing(const struct run *run, const struct harewire_publisher_stats *stats)
{
	struct standing sum = report_sum_standing(run);
	const char *separator = "blocked     ";

	if (stats->connections > run->publisher_count || stats->channels || sum.spells[HINDRANCE_DISCONNECTED].count)
		fprintf(stderr,
			"connections %llu made, %llu channels re-opened, longest without one %.3f s, "
			"%llu messages sent again\n",
			(unsigned long long)stats->connections, (unsigned long long)stats->channels,
			(double)sum.spells[HINDRANCE_DISCONNECTED].longest_ns / 1e9,
			(unsigned long long)stats->replayed);
	for (unsigned i = HINDRANCE_DISCONNECTED + 1; i < HINDRANCES; i++) {
		if (!sum.spells[i].count || i == HAREWIRE_BLOCKAGE_LOG_FULL)
			continue;
		fprintf(stderr, "%s%s %llu time%s, at most %.3f s", separator, hindrance_name(i),
			(unsigned long long)sum.spells[i].count, sum.spells[i].count == 1 ? "" : "s",
			(double)sum.spells[i].longest_ns / 1e9);
		separator = "; ";
	}
	if (*separator == ';')
		fputc('\n', stderr);
}

static void print_latencies(const struct run *run, const struct harewire_publisher_stats *stats)
{
	struct harewire_percentiles slip = report_percentiles(&run->schedule.slip),
				    due = report_percentiles(&run->schedule.due_to_confirm);
	bool several = run->publisher_count > 1;

	print_latency(several ? "call-to-wire <=" : "call-to-wire", &stats->call_to_wire);
	print_latency(several ? "publish-to-confirm <=" : "publish-to-confirm", &stats->publish_to_confirm);
	print_latency("schedule slip", &slip);
	print_latency("due-to-confirm", &due);
}

static void print_publish(const struct publish_report *r)
{
	const struct run *run = r->run;
	const struct tally *t = &run->total;
	struct harewire_driver_info drivers = report_sum_drivers(run);
	struct harewire_publisher_stats stats = report_sum_stats(run);

	print_workers(run);
	if (r->feed)
		print_feed(r);
	fprintf(stderr, "published   %llu in %.3f s, accepted at %.0f messages/s\n", (unsigned long long)t->accepted,
		report_publish_seconds(run), report_acceptance_rate(run));
	if (t->refused || t->dropped)
		fprintf(stderr, "not taken   %llu refused, %llu dropped, of %llu\n", (unsigned long long)t->refused,
			(unsigned long long)t->dropped, (unsigned long long)tally_attempted(t));
	fprintf(stderr, "confirmed   %llu   nacked %llu   returned %llu   lost %llu   unconfirmed %llu\n",
		(unsigned long long)t->confirmed, (unsigned long long)t->nacked, (unsigned long long)t->returned,
		(unsigned long long)t->lost, (unsigned long long)t->unconfirmed);
	print_standing(run, &stats);
	print_publishers(run);
	fprintf(stderr, "packets     %llu sent, %llu received, %llu retransmitted segments\n",
		(unsigned long long)drivers.packets_sent, (unsigned long long)drivers.packets_received,
		(unsigned long long)stats.retransmits);
	print_latencies(run, &stats);
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
	const struct tally *t = &run->total;

	if (run->ready && !settings->quiet && !settings->json)
		print_publish(report);
	if (run->code)
		complain("%s", run->text);
	if (t->returned)
		complain("%llu returned: %s", (unsigned long long)t->returned, run->return_text);
	if (t->nacked || t->unconfirmed)
		complain("%llu nacked by the broker, %llu unconfirmed (may or may not have arrived)",
			 (unsigned long long)t->nacked, (unsigned long long)t->unconfirmed);
	if (t->lost)
		complain("%llu lost (sent at most once: their connection ended first; they may have arrived)",
			 (unsigned long long)t->lost);
	if (t->refused || t->dropped)
		complain("%llu refused and %llu dropped, of %llu: the policy was %s", (unsigned long long)t->refused,
			 (unsigned long long)t->dropped, (unsigned long long)tally_attempted(t),
			 policy_name(settings->policy));
	if (settings->json)
		report_publish_json(report);
}

static void print_sequence(const struct verify_report *v)
{
	fprintf(stderr, "gaps %llu   duplicates %llu   disorder %llu", (unsigned long long)v->gaps,
		(unsigned long long)v->duplicates, (unsigned long long)v->disorder);
}

/* Each publisher's numbers, where there are several. */
static void print_epochs(const struct verify *verify)
{
	for (uint32_t i = 0; verify->count > 1 && i < verify->count; i++) {
		struct verify_report v;
		verify_summarize_epoch(&verify->epochs[i], &v);
		fprintf(stderr, "  epoch %-10u  received %llu   ", verify->epochs[i].epoch,
			(unsigned long long)v.received);
		print_sequence(&v);
		fprintf(stderr, "   last number %llu\n", (unsigned long long)verify->epochs[i].highest);
	}
}

static void print_consume(const struct consume_report *r)
{
	const struct verify_report *v = r->sum;
	double seconds = (double)r->span_ns / 1e9;

	fprintf(stderr, "received    %llu from %s, %llu octets in %.3f s", (unsigned long long)v->received, r->queue,
		(unsigned long long)r->bytes, seconds);
	if (v->received > 1 && seconds > 0)
		fprintf(stderr, ", %.0f messages/s", (double)(v->received - 1) / seconds);
	fputs("\nsequence    ", stderr);
	print_sequence(v);
	fprintf(stderr, "   redelivered %llu   publishers %llu\n", (unsigned long long)r->redelivered,
		(unsigned long long)v->epochs);
	print_epochs(r->verify);
	struct harewire_percentiles latency = report_percentiles(r->latency_ns);
	print_latency("publish-to-deliver", &latency);
}

void report_consume(const struct consume_report *report, const struct settings *settings)
{
	const struct verify_report *v = report->sum;

	if (!settings->quiet && !settings->json && !(report->code && !v->received))
		print_consume(report);
	if (report->code)
		complain("%s", report->text);
	if (report->verified && (v->gaps || v->duplicates || v->disorder || v->unjudged))
		complain("the sequence is not whole: %llu gaps, %llu duplicates, %llu out of order, %llu too old to "
			 "judge",
			 (unsigned long long)v->gaps, (unsigned long long)v->duplicates,
			 (unsigned long long)v->disorder, (unsigned long long)v->unjudged);
	if (report->verified && v->unsequenced)
		complain("%llu without a sequence slot: could not be verified", (unsigned long long)v->unsequenced);
	if (report->verified && v->epochs_refused)
		complain("%llu of further publishers than the %u that can be followed: could not be verified",
			 (unsigned long long)v->epochs_refused, VERIFY_EPOCHS_MAX);
	if (settings->json)
		report_consume_json(report);
}
