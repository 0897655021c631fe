/* harewire consume */
#define _GNU_SOURCE /* explicit_bzero */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/command/body_output.h"
#include "control/command/command.h"
#include "control/command/interrupt.h"
#include "control/command/report.h"
#include "control/session/consumer.h"
#include "control/session/url.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define NS_PER_S         1000000000ull
#define WAIT_NS          (NS_PER_S / 10) /* how soon an interrupt is seen */
#define CLOSE_TIMEOUT_NS (5 * NS_PER_S)

struct consumption {
	const struct settings *settings;
	struct consumer *consumer;
	struct body_output output;
	struct verify verify;
	uint64_t received, redelivered, bytes;
	uint64_t first_ns, last_ns, shown_ns, shown_received; /* CLOCK_MONOTONIC */
	int code;
	char text[RUN_TEXT_MAX];
};

static void __attribute__((format(printf, 3, 4))) fail(struct consumption *c, int code, const char *format, ...)
{
	va_list arguments;

	if (c->code)
		return;
	c->code = code;
	va_start(arguments, format);
	vsnprintf(c->text, sizeof c->text, format, arguments);
	va_end(arguments);
}

static void open_consumer(struct consumption *c)
{
	const struct settings *s = c->settings;
	struct url_parts url;
	const char *why = NULL;
	char text[RUN_TEXT_MAX] = "";

	int code = url_parse(s->url, &url, &why);
	if (code) {
		fail(c, code, "%s", why);
		return;
	}
	struct consumer_options options = {
		.host = url.host,
		.port = url.port,
		.user = s->user ? s->user : url.user,
		.password = s->password ? s->password : url.password,
		.vhost = s->vhost ? s->vhost : url.vhost,
		.connection_name = s->connection_name,
		.heartbeat_s = (uint32_t)s->heartbeat_s,
		.frame_max = (uint32_t)s->frame_max,
		.timeout_ns = s->connect_timeout_ns,
		.exchanges = s->topology.exchanges,
		.exchange_count = s->topology.exchange_count,
		.queues = s->topology.queues,
		.queue_count = s->topology.queue_count,
		.bindings = s->topology.bindings,
		.binding_count = s->topology.binding_count,
		.queue = s->queue,
		.auto_ack = s->auto_ack,
		.prefetch = (uint16_t)s->prefetch,
	};
	code = consumer_open(&options, &c->consumer, text, sizeof text);
	explicit_bzero(&url, sizeof url);
	if (code)
		fail(c, code, "%s", text[0] ? text : hw_error_sentence(code));
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* A message is acknowledged once it has been written and counted. */
static void take(struct consumption *c, const struct delivery *d)
{
	struct verify_message m = {
		.sequenced = d->has_sequence && d->has_epoch,
		.sequence = d->sequence,
		.epoch = d->epoch,
		.redelivered = d->redelivered,
		.flagged = d->duplicate,
		.send_time_ns = d->has_send_time ? d->send_time_ns : 0,
	};

	c->last_ns = clock_monotonic_ns();
	if (!c->received++)
		c->first_ns = c->last_ns;
	c->bytes += d->body_len;
	c->redelivered += d->redelivered;
	if (verify_add(&c->verify, &m, realtime_ns()))
		fail(c, HW_ERR_NOMEM, "out of memory for another publisher's numbers");
	if (body_output_write(&c->output, d->body, d->body_len))
		fail(c, HW_ERR_SYSTEM, "cannot write to %s: %s", c->settings->output, strerror(errno));
	if (!c->code && consumer_ack(c->consumer, d))
		fail(c, HW_ERR_CONN_LOST, "%s", consumer_reason(c->consumer));
}

static void show_progress(struct consumption *c, uint64_t now_ns)
{
	bool live = isatty(STDERR_FILENO);

	if (now_ns - c->shown_ns < NS_PER_S)
		return;
	if (!c->settings->quiet && (live || c->settings->progress))
		fprintf(stderr, "%s%8.0f msg/s  received %llu%s", live ? "\r" : "",
			(double)(c->received - c->shown_received) / ((double)(now_ns - c->shown_ns) / 1e9),
			(unsigned long long)c->received, live ? "\033[K" : "\n");
	c->shown_ns = now_ns;
	c->shown_received = c->received;
}

static bool time_over(const struct consumption *c, uint64_t start_ns, uint64_t now_ns)
{
	const struct settings *s = c->settings;
	uint64_t quiet_since_ns = c->received ? c->last_ns : start_ns;

	return (s->duration_ns != SETTING_UNSET && now_ns - start_ns >= s->duration_ns) ||
	       (s->idle_timeout_ns != SETTING_UNSET && now_ns - quiet_since_ns >= s->idle_timeout_ns);
}

static void consume(struct consumption *c)
{
	uint64_t start_ns = clock_monotonic_ns(), now_ns = start_ns;
	struct delivery d;

	c->shown_ns = start_ns;
	while (!c->code && !interrupt_seen() && c->received < c->settings->count && !time_over(c, start_ns, now_ns)) {
		int result = consumer_next(c->consumer, WAIT_NS, &d);
		if (result > 0)
			take(c, &d);
		else if (result < 0)
			fail(c, result, "%s", consumer_reason(c->consumer));
		now_ns = clock_monotonic_ns();
		show_progress(c, now_ns);
	}
}

static void close_all(struct consumption *c)
{
	char text[RUN_TEXT_MAX] = "";

	if (body_output_close(&c->output))
		fail(c, HW_ERR_SYSTEM, "cannot write to %s: %s", c->settings->output, strerror(errno));
	int code = consumer_close(c->consumer, CLOSE_TIMEOUT_NS, text, sizeof text);
	if (code)
		fail(c, code, "%s", text[0] ? text : hw_error_sentence(code));
	if (isatty(STDERR_FILENO) && c->shown_received)
		fputc('\n', stderr);
}

static bool report(struct consumption *c)
{
	struct verify_report verify;
	const struct settings *s = c->settings;

	verify_summarize(&c->verify, &verify);
	if (s->count != SETTING_UNSET && c->received < s->count)
		fail(c, HW_ERR_TIMEOUT, "%llu messages came, %llu were asked for", (unsigned long long)c->received,
		     (unsigned long long)s->count);
	if (s->verify && !c->received && s->count != 0)
		fail(c, HW_ERR_TIMEOUT, "nothing came: there was nothing to verify");
	bool good = !c->code && (!s->verify || (verify_clean(&verify) && !verify.unsequenced));
	report_consume(&(struct consume_report){.queue = s->queue,
						.verify = &c->verify,
						.sum = &verify,
						.latency_ns = &c->verify.latency_ns,
						.redelivered = c->redelivered,
						.bytes = c->bytes,
						.span_ns = c->last_ns - c->first_ns,
						.verified = s->verify,
						.good = good,
						.code = c->code,
						.text = c->text},
		       s);
	return good;
}

int consume_main(struct settings *s)
{
	struct consumption c = {.settings = s};
	char why[RUN_TEXT_MAX];

	if (!s->queue || !*s->queue) {
		report_refused(COMMAND_CONSUME, s->json, "say which queue to consume: --queue NAME");
		return EXIT_USAGE;
	}
	if (s->json && s->output && strcmp(s->output, "-") == 0 && s->format == FORMAT_LEN32) {
		complain("--json and --output - --format len32 would mix on standard output: write the bodies to a "
			 "file");
		return EXIT_USAGE;
	}
	if (body_output_open(&c.output, s->output, s->format)) {
		snprintf(why, sizeof why, "cannot write to %s: %s", s->output, strerror(errno));
		report_refused(COMMAND_CONSUME, s->json, why);
		return EXIT_USAGE;
	}
	interrupt_catch();
	verify_init(&c.verify, s->from_first);
	open_consumer(&c);
	if (!c.code)
		consume(&c);
	close_all(&c);
	bool good = report(&c);
	verify_fini(&c.verify);
	return good ? EXIT_GOOD : EXIT_MISSING;
}
