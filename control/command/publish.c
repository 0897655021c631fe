/* harewire publish */
#include <stdio.h>

#include "control/command/body_source.h"
#include "control/command/command.h"
#include "control/command/properties.h"
#include "control/command/report.h"
#include "control/command/run.h"
#include "dataplane/base/error.h"

#define DEFAULT_SLOTS (HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_SEND_TIME | HAREWIRE_SLOT_DUPLICATE)

static int check(const struct settings *s, char *why, size_t why_bytes)
{
	const char *clash = NULL;

	if (s->queue && (s->exchange || s->routing_key))
		clash = "--queue publishes through the default exchange: it does not go with --exchange or "
			"--routing-key";
	else if (!s->queue && !s->routing_key && !s->exchange)
		clash = "say where to: --queue NAME, or --exchange NAME and --routing-key KEY";
	else if (s->body && (s->file || s->lines || s->size != SETTING_UNSET))
		clash = "--body does not go with --file, --lines or --size";
	else if (s->size != SETTING_UNSET && (s->file || s->lines))
		clash = "--size generates bodies: it does not go with --file or --lines";
	if (clash)
		snprintf(why, why_bytes, "%s", clash);
	return clash ? HW_ERR_INVALID : 0;
}

/* One template, at each publisher. */
static void prepare_templates(struct run *run, struct properties *p, uint32_t *template_ids)
{
	const struct settings *s = run->settings;
	const char *why = NULL;
	int code = 0;

	p->options.exchange = s->exchange && !s->queue ? s->exchange : "";
	p->options.routing_key = s->queue ? s->queue : s->routing_key ? s->routing_key : "";
	for (uint32_t i = 0; i < run->publisher_count && !code; i++)
		code = harewire_template_prepare(run->publishers[i].handle, &p->options, &template_ids[i], &why);
	if (code)
		run_fail(run, code, "the message cannot be encoded: %s", why ? why : harewire_error_text(code));
}

static bool publish(struct run *run, const struct settings *s, struct properties *properties,
		    struct body_source *bodies)
{
	if (run_open(run, s)) {
		bodies->run = run;
		pace_init(&bodies->pace, s->rate, 0, run->ready_ns);
		prepare_templates(run, properties, bodies->template_ids);
		run_publish(run, body_source_next, bodies);
	}
	run_close(run);
	report_publish(&(struct publish_report){.run = run}, s);
	bool good = run_good(run);
	run_fini(run);
	return good;
}

int publish_main(struct settings *s)
{
	char why[RUN_TEXT_MAX] = "out of memory";
	struct run run;
	struct properties properties;
	struct body_source bodies;
	bool timed = (s->rate > 0 || s->duration_ns != SETTING_UNSET) && !s->body && !s->file && !s->lines;
	uint32_t slots = timed || (s->count != SETTING_UNSET && s->count > 1) ? DEFAULT_SLOTS : 0;

	if (check(s, why, sizeof why) || properties_init(&properties, s, slots, why, sizeof why)) {
		report_refused(COMMAND_PUBLISH, s->json, why);
		return EXIT_USAGE;
	}
	int status = EXIT_USAGE;
	if (body_source_init(&bodies, s, why, sizeof why))
		report_refused(COMMAND_PUBLISH, s->json, why);
	else
		status = publish(&run, s, &properties, &bodies) ? EXIT_GOOD : EXIT_MISSING;
	body_source_fini(&bodies);
	properties_fini(&properties);
	return status;
}
