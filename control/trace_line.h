/* How a line of a trace looks, in a file and at the command. */
#ifndef HAREWIRE_TRACE_LINE_H
#define HAREWIRE_TRACE_LINE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

struct trace_line {
	uint64_t ns;       /* since 1970 */
	uint64_t since_ns; /* the line before; 0: none */
	uint32_t in_flight, cwnd, srtt_us;
	const char *text;
};

static inline void trace_line_head(FILE *out)
{
	fprintf(out, "%-15s %14s %9s %9s %8s  %s\n", "time (UTC)", "+us", "in flight", "cwnd", "srtt us", "event");
}

static inline void trace_line_print(FILE *out, const struct trace_line *l)
{
	time_t s = (time_t)(l->ns / 1000000000u);
	struct tm tm;
	gmtime_r(&s, &tm);
	fprintf(out, "%02d:%02d:%02d.%06u %14.1f %9" PRIu32 " %9" PRIu32 " %8" PRIu32 "  %s\n", tm.tm_hour, tm.tm_min,
		tm.tm_sec, (unsigned)(l->ns / 1000 % 1000000), (double)l->since_ns / 1e3, l->in_flight, l->cwnd,
		l->srtt_us, l->text);
}

#endif
