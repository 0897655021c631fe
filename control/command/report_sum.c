#include "control/command/report_sum.h"

#include <stdio.h>
#include <string.h>

struct harewire_percentiles report_percentiles(const struct histogram *h)
{
	return (struct harewire_percentiles){
		.count = histogram_count(h),
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

/* The wait for the last confirms is not part of it. */
double report_acceptance_rate(const struct run *run)
{
	if (run->last_publish_ns <= run->ready_ns || run->total.accepted < 2)
		return 0;
	return (double)run->total.accepted / ((double)(run->last_publish_ns - run->ready_ns) / 1e9);
}

static void raise_to(uint64_t *bound, uint64_t value)
{
	if (value > *bound)
		*bound = value;
}

static void bound_percentiles(struct harewire_percentiles *bound, const struct harewire_percentiles *p)
{
	bound->count += p->count;
	raise_to(&bound->p50_ns, p->p50_ns);
	raise_to(&bound->p90_ns, p->p90_ns);
	raise_to(&bound->p99_ns, p->p99_ns);
	raise_to(&bound->p999_ns, p->p999_ns);
	raise_to(&bound->p9999_ns, p->p9999_ns);
	raise_to(&bound->max_ns, p->max_ns);
}

struct harewire_publisher_stats report_sum_stats(const struct run *run)
{
	struct harewire_publisher_stats sum = {0};

	if (run->publishers)
		sum = run->publishers[0].stats;
	for (uint32_t i = 1; run->publishers && i < run->publisher_count; i++) {
		const struct harewire_publisher_stats *s = &run->publishers[i].stats;
		sum.replayed += s->replayed;
		sum.connections += s->connections;
		sum.channels += s->channels;
		sum.retransmits += s->retransmits;
		sum.rto_fired += s->rto_fired;
		sum.octets_sent += s->octets_sent;
		sum.segments_sent += s->segments_sent;
		sum.segments_received += s->segments_received;
		bound_percentiles(&sum.call_to_wire, &s->call_to_wire);
		bound_percentiles(&sum.publish_to_confirm, &s->publish_to_confirm);
	}
	return sum;
}

struct standing report_sum_standing(const struct run *run)
{
	struct standing sum = {0};

	for (uint32_t i = 0; run->publishers && i < run->publisher_count; i++)
		standing_add(&sum, &run->publishers[i].standing);
	return sum;
}

static void join(char *text, size_t bytes, const char *other)
{
	if (strcmp(text, other) != 0)
		snprintf(text, bytes, "mixed");
}

struct harewire_driver_info report_sum_drivers(const struct run *run)
{
	struct harewire_driver_info sum = run->drivers[0];

	for (uint32_t i = 1; i < run->worker_count; i++) {
		const struct harewire_driver_info *d = &run->drivers[i];
		sum.publishers += d->publishers;
		sum.packets_sent += d->packets_sent;
		sum.packets_received += d->packets_received;
		sum.packets_dropped += d->packets_dropped;
		sum.kicks += d->kicks;
		raise_to(&sum.longest_gap_ns, d->longest_gap_ns);
		if (!d->driver[0]) /* a worker without publishers has none */
			continue;
		join(sum.driver, sizeof sum.driver, d->driver);
		join(sum.mode, sizeof sum.mode, d->mode);
		join(sum.reason, sizeof sum.reason, d->reason);
		join(sum.device, sizeof sum.device, d->device);
		join(sum.steering, sizeof sum.steering, d->steering);
		join(sum.offloads, sizeof sum.offloads, d->offloads);
	}
	return sum;
}

bool report_has_queue(const struct harewire_driver_info *driver)
{
	return driver->driver[0] && strcmp(driver->driver, "kernel") != 0;
}
