#include "control/command/standing.h"

#include <stdarg.h>
#include <stdio.h>

#include "control/command/command.h"
#include "control/command/progress.h"
#include "control/command/run.h"
#include "dataplane/base/clock.h"

#define NS_PER_S 1000000000ull

static const struct {
	const char *name, *live, *begins, *ends;
	uint64_t patience_ns; /* what does not last so long is not said */
} hindrances[HINDRANCES] = {
	/* The library's log says it. */
	[HINDRANCE_DISCONNECTED] = {"disconnected", "no connection", NULL, NULL, 0},
	[HAREWIRE_BLOCKAGE_ALARM] = {"alarm", "blocked by the broker's alarm", "the broker has blocked publishing",
				     "the broker's alarm is over", 0},
	/* A busy broker closes its window for moments. */
	[HAREWIRE_BLOCKAGE_WINDOW] = {"window", "the broker reads nothing",
				      "the broker reads nothing: its TCP window is closed", "the broker reads again",
				      NS_PER_S},
	[HAREWIRE_BLOCKAGE_SILENCE] = {"silence", "the broker confirms nothing",
				       "the broker takes messages and confirms none of them",
				       "the broker confirms again", 0},
	/* What a source does that is faster than its broker: nothing to be told of. */
	[HAREWIRE_BLOCKAGE_LOG_FULL] = {"log_full", "the log is full", NULL, NULL, 0},
};

const char *hindrance_name(unsigned hindrance)
{
	return hindrances[hindrance].name;
}

/* Unless the same was said within the last second. */
static void __attribute__((format(printf, 3, 4))) say(struct run *run, unsigned slot, const char *format, ...)
{
	struct standings *s = &run->standings;
	uint64_t now_ns = clock_monotonic_ns();
	char text[RUN_TEXT_MAX];
	va_list arguments;

	if (run->settings->quiet)
		return;
	if (s->said_ns[slot] && now_ns - s->said_ns[slot] < NS_PER_S) {
		s->unsaid[slot]++;
		return;
	}
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	progress_end(run);
	if (s->unsaid[slot])
		complain("%s (not said since the last time: %llu more)", text, (unsigned long long)s->unsaid[slot]);
	else
		complain("%s", text);
	s->said_ns[slot] = now_ns;
	s->unsaid[slot] = 0;
}

/* An alarm is the broker's: it blocks all of them, and is said once. */
static void tell_begin(struct run *run, unsigned hindrance, const char *reason)
{
	if (!hindrances[hindrance].begins || run->standings.told[hindrance])
		return;
	run->standings.told[hindrance] = true;
	say(run, hindrance, "%s%s%s", hindrances[hindrance].begins, reason ? ": " : "", reason ? reason : "");
}

static void begin(struct run *run, struct run_publisher *p, unsigned hindrance, const struct harewire_event *event)
{
	struct spell *spell = &p->standing.spells[hindrance];

	if (spell->since_ns)
		return;
	spell->since_ns = event->since_ns ? event->since_ns : clock_monotonic_ns();
	spell->count++;
	run->standings.now[hindrance]++;
	if (!hindrances[hindrance].patience_ns)
		tell_begin(run, hindrance, event->text);
}

static uint64_t end(struct run *run, struct run_publisher *p, unsigned hindrance, uint64_t now_ns)
{
	struct spell *spell = &p->standing.spells[hindrance];
	uint64_t lasted_ns = spell->since_ns && now_ns > spell->since_ns ? now_ns - spell->since_ns : 0;

	if (!spell->since_ns)
		return 0;
	if (lasted_ns > spell->longest_ns)
		spell->longest_ns = lasted_ns;
	spell->since_ns = 0;
	run->standings.now[hindrance]--;
	return lasted_ns;
}

static void take_ready(struct run *run, struct run_publisher *p, const struct harewire_event *event, uint64_t now_ns)
{
	double seconds = (double)end(run, p, HINDRANCE_DISCONNECTED, now_ns) / 1e9;
	char who[48] = "";

	if (run->publisher_count > 1)
		snprintf(who, sizeof who, "publisher %u of %u: ", (unsigned)(p - run->publishers) + 1,
			 run->publisher_count);
	say(run, HINDRANCE_DISCONNECTED, "%sconnected again%s%s after %.3f s", who, event->text ? " to " : "",
	    event->text ? event->text : "", seconds);
}

static void take_unblocked(struct run *run, struct run_publisher *p, unsigned hindrance, uint64_t now_ns)
{
	double seconds = (double)end(run, p, hindrance, now_ns) / 1e9;

	if (run->standings.now[hindrance] || !run->standings.told[hindrance])
		return;
	run->standings.told[hindrance] = false;
	say(run, HINDRANCES + hindrance, "%s after %.3f s", hindrances[hindrance].ends, seconds);
}

void standing_take(struct run *run, struct run_publisher *p, const struct harewire_event *event)
{
	uint64_t now_ns = event->since_ns ? event->since_ns : clock_monotonic_ns();
	unsigned blockage = HAREWIRE_BLOCKAGE_ALARM;

	if (event->code > 0 && event->code < HINDRANCES)
		blockage = (unsigned)event->code;
	switch (event->type) {
	case HAREWIRE_EVENT_READY:
		take_ready(run, p, event, now_ns);
		break;
	case HAREWIRE_EVENT_DISCONNECTED:
		begin(run, p, HINDRANCE_DISCONNECTED, event);
		break;
	case HAREWIRE_EVENT_BLOCKED:
		begin(run, p, blockage, event);
		break;
	case HAREWIRE_EVENT_UNBLOCKED:
		take_unblocked(run, p, blockage, now_ns);
		break;
	default:
		break;
	}
}

void standing_end(struct run *run, struct run_publisher *p, uint64_t now_ns)
{
	for (unsigned i = 0; i < HINDRANCES; i++)
		end(run, p, i, now_ns);
}

void standing_add(struct standing *sum, const struct standing *other)
{
	for (unsigned i = 0; i < HINDRANCES; i++) {
		sum->spells[i].count += other->spells[i].count;
		if (other->spells[i].longest_ns > sum->spells[i].longest_ns)
			sum->spells[i].longest_ns = other->spells[i].longest_ns;
	}
}

static uint64_t earliest(const struct run *run, unsigned hindrance)
{
	uint64_t since_ns = UINT64_MAX;

	for (uint32_t i = 0; i < run->publisher_count; i++) {
		uint64_t one_ns = run->publishers[i].standing.spells[hindrance].since_ns;
		if (one_ns && one_ns < since_ns)
			since_ns = one_ns;
	}
	return since_ns;
}

void standing_watch(struct run *run, uint64_t now_ns)
{
	for (unsigned i = 0; i < HINDRANCES; i++)
		if (hindrances[i].patience_ns && run->standings.now[i] &&
		    now_ns >= earliest(run, i) + hindrances[i].patience_ns)
			tell_begin(run, i, NULL);
}

const char *standing_describe(const struct run *run, uint64_t now_ns, char *text, size_t bytes)
{
	unsigned worst = 0; /* they are in the order of what says most */
	char some[48] = "";

	while (worst < HINDRANCES && !run->standings.now[worst])
		worst++;
	if (worst == HINDRANCES)
		return "";
	uint64_t since_ns = earliest(run, worst);
	if (run->publisher_count > 1)
		snprintf(some, sizeof some, " (%u of %u publishers)", run->standings.now[worst], run->publisher_count);
	snprintf(text, bytes, "%s%s for %.1f s", hindrances[worst].live, some,
		 now_ns > since_ns ? (double)(now_ns - since_ns) / 1e9 : 0);
	return text;
}
