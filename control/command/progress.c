#include "control/command/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "control/command/run.h"
#include "dataplane/base/clock.h"

#define INTERVAL_NS 1000000000ull

static bool wanted(const struct run *run)
{
	return !run->settings->quiet && (run->settings->progress || isatty(STDERR_FILENO));
}

static void print_line(struct run *run, uint64_t now_ns)
{
	struct harewire_publisher_stats stats;
	double seconds = (double)(now_ns - run->shown_ns) / 1e9;
	bool live = isatty(STDERR_FILENO);

	harewire_publisher_stats(run->publisher, &stats);
	uint32_t window = stats.cwnd < stats.peer_window ? stats.cwnd : stats.peer_window;
	fprintf(stderr, "%s%8.0f msg/s  confirmed %llu  in flight %llu  window %u  retransmits %llu%s",
		live ? "\r" : "", (double)(run->confirmed - run->shown_confirmed) / seconds,
		(unsigned long long)run->confirmed, (unsigned long long)run_in_flight(run), window,
		(unsigned long long)stats.retransmits, live ? "\033[K" : "\n");
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
	if (wanted(run))
		print_line(run, now_ns);
	run->shown_ns = now_ns;
	run->shown_confirmed = run->confirmed;
}

void progress_end(struct run *run)
{
	if (run->line_open)
		fputc('\n', stderr);
	run->line_open = false;
}
