#include "control/command/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "control/command/run.h"
#include "control/command/standing.h"
#include "dataplane/base/clock.h"

#define INTERVAL_NS 1000000000ull
/* Figures of a connection cost microseconds, on the thread that publishes: so many are asked for them. */
#define ASKED_MAX 16u

static bool wanted(const struct run *run)
{
	return !run->settings->quiet && (run->settings->progress || isatty(STDERR_FILENO));
}

static void print_unless_zero(const char *name, uint64_t count)
{
	if (count)
		fprintf(stderr, "  %s %llu", name, (unsigned long long)count);
}

/* Of all connections together. */
static void print_tcp(const struct run *run)
{
	uint64_t window = 0, retransmits = 0, replayed = 0;

	for (uint32_t i = 0; i < run->publisher_count; i++) {
		struct harewire_publisher_stats stats;
		harewire_publisher_stats(run->publishers[i].handle, &stats);
		window += stats.cwnd < stats.peer_window ? stats.cwnd : stats.peer_window;
		retransmits += stats.retransmits;
		replayed += stats.replayed;
	}
	fprintf(stderr, "  window %llu  retransmits %llu", (unsigned long long)window, (unsigned long long)retransmits);
	print_unless_zero("sent again", replayed);
}

static void print_line(struct run *run, uint64_t now_ns)
{
	double seconds = (double)(now_ns - run->shown_ns) / 1e9;
	bool live = isatty(STDERR_FILENO);
	char text[128];

	fprintf(stderr, "%s%8.0f msg/s  confirmed %llu  in flight %llu", live ? "\r" : "",
		(double)(run->total.confirmed - run->shown_confirmed) / seconds,
		(unsigned long long)run->total.confirmed, (unsigned long long)tally_in_flight(&run->total));
	print_unless_zero("lost", run->total.lost);
	print_unless_zero("refused", run->total.refused);
	print_unless_zero("dropped", run->total.dropped);
	if (run->publisher_count <= ASKED_MAX)
		print_tcp(run);
	const char *hindrance = standing_describe(run, now_ns, text, sizeof text);
	fprintf(stderr, "%s%s", *hindrance ? "  " : "", hindrance);
	fputs(live ? "\033[K" : "\n", stderr);
	fflush(stderr);
	run->line_open = live;
}

void progress_show(struct run *run)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!run->ready)
		return;
	if (!run->shown_ns)
		run->shown_ns = now_ns;
	if (now_ns - run->shown_ns < INTERVAL_NS)
		return;
	standing_watch(run, now_ns);
	if (wanted(run))
		print_line(run, now_ns);
	run->shown_ns = now_ns;
	run->shown_confirmed = run->total.confirmed;
}

void progress_end(struct run *run)
{
	if (run->line_open)
		fputc('\n', stderr);
	run->line_open = false;
}
