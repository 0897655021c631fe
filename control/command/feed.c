/* harewire feed */
#include <stdio.h>
#include <string.h>

#include "control/command/command.h"
#include "control/command/feed_source.h"
#include "control/command/report.h"
#include "control/feed/synthetic.h"
#include "dataplane/base/error.h"

#define DEFAULT_SLOTS (HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_SEND_TIME | HAREWIRE_SLOT_DUPLICATE)

static int open_feed(const struct settings *s, struct feed **feed, char *why, size_t why_bytes)
{
	if (strcmp(s->source, "synthetic") != 0)
		return capture_feed_create(s->source, feed, why, (uint32_t)why_bytes);
	struct synthetic_options options = {.symbols = (uint32_t)s->symbols, .seed = s->seed, .count = s->count};
	return synthetic_feed_create(&options, feed);
}

static int check(const struct settings *s, struct pattern *pattern, char *why, size_t why_bytes)
{
	char reason[256];
	const char *clash = NULL;

	if (!s->source)
		clash = "say what to publish: a capture file, - or synthetic";
	else if (s->rate > 0 && s->speed > 0)
		clash = "--rate and --speed both set the pace: give one of them";
	if (clash) {
		snprintf(why, why_bytes, "%s", clash);
		return HW_ERR_INVALID;
	}
	int code = pattern_init(pattern, s->pattern, reason, sizeof reason);
	if (code)
		snprintf(why, why_bytes, "--pattern: %s", reason);
	return code;
}

static bool publish(struct run *run, const struct settings *s, struct feed_source *source)
{
	struct harewire_publisher_stats stats;
	struct harewire_driver_info driver;

	if (run_open(run, s)) {
		source->run = run;
		pace_init(&source->pace, s->rate, s->speed, run->ready_ns);
		run_publish(run, feed_source_next, source);
	}
	run_close(run, &stats, &driver);
	report_publish(&(struct publish_report){.run = run,
						.stats = &stats,
						.driver = &driver,
						.feed = &source->feed->figures,
						.feed_keys = source->templates.count,
						.feed_symbols = source->symbols.count},
		       s);
	return run_good(run);
}

int feed_main(struct settings *s)
{
	char why[RUN_TEXT_MAX] = "out of memory";
	struct pattern pattern;
	struct run run;
	struct properties properties = {0};
	struct feed_source source = {0};
	struct feed *feed = NULL;
	int status = EXIT_USAGE;

	if (check(s, &pattern, why, sizeof why) || properties_init(&properties, s, DEFAULT_SLOTS, why, sizeof why) ||
	    open_feed(s, &feed, why, sizeof why) || feed_source_init(&source, feed, &pattern, &properties, s->count)) {
		report_refused(COMMAND_FEED, s->json, why);
	} else {
		properties.options.exchange = s->exchange;
		status = publish(&run, s, &source) ? EXIT_GOOD : EXIT_MISSING;
	}
	feed_source_fini(&source);
	feed_destroy(feed);
	properties_fini(&properties);
	return status;
}
