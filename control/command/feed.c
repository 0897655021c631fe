/* harewire feed */
#include <stdio.h>
#include <string.h>

#include "control/command/command.h"
#include "control/command/feed_source.h"
#include "control/command/report.h"
#include "control/feed/synthetic.h"
#include "dataplane/base/error.h"

#define DEFAULT_SYMBOLS 1000u
#define DEFAULT_SLOTS   (HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_SEND_TIME | HAREWIRE_SLOT_DUPLICATE)

static int open_feed(const struct settings *s, struct feed **feed, char *why, size_t why_bytes)
{
	if (strcmp(s->source, "synthetic") != 0)
		return capture_feed_create(s->source, feed, why, (uint32_t)why_bytes);
	struct synthetic_options options = {.symbols = s->symbols == SETTING_UNSET ? DEFAULT_SYMBOLS
										   : (uint32_t)s->symbols,
					    .seed = s->seed == SETTING_UNSET ? 0 : s->seed,
					    .count = s->count};
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

/* What only a generator heeds, or only a capture. */
static void warn_of_unused(const struct settings *s)
{
	bool synthetic = strcmp(s->source, "synthetic") == 0;

	if (!synthetic && s->symbols != SETTING_UNSET)
		complain("warning: --symbols is for synthetic: %s is published with the symbols it has", s->source);
	if (!synthetic && s->seed != SETTING_UNSET)
		complain("warning: --seed is for synthetic: %s is published as it is", s->source);
}

/* A capture of something else is no failure, but hardly what was meant. */
static void warn_if_empty(const struct settings *s, const struct feed_figures *f)
{
	if (f->messages || s->count == 0)
		return;
	complain("warning: %s holds no IEX message: of %llu packets %llu are not IEX-TP over UDP over IPv4, %llu carry "
		 "another protocol in it, %llu are malformed, %llu fragments; nothing was published",
		 s->source, (unsigned long long)f->packets, (unsigned long long)f->not_ours,
		 (unsigned long long)f->unknown_protocol, (unsigned long long)f->malformed,
		 (unsigned long long)f->fragments);
}

static bool publish(struct run *run, const struct settings *s, struct feed_source *source)
{
	if (run_open(run, s)) {
		source->run = run;
		pace_init(&source->pace, s->rate, s->speed, run->ready_ns);
		run_publish(run, feed_source_next, source);
	}
	run_close(run);
	report_publish(&(struct publish_report){.run = run,
						.feed = &source->feed->figures,
						.feed_keys = source->keys,
						.feed_symbols = source->symbols.count},
		       s);
	bool good = run_good(run);
	if (good && run->finished)
		warn_if_empty(s, &source->feed->figures);
	run_fini(run);
	return good;
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
		warn_of_unused(s);
		properties.options.exchange = s->exchange;
		status = publish(&run, s, &source) ? EXIT_GOOD : EXIT_MISSING;
	}
	feed_source_fini(&source);
	feed_destroy(feed);
	properties_fini(&properties);
	return status;
}
