#include "tests/lib/fake_harewire/fake_harewire.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/harewire.h"

struct fake_harewire fake_harewire;

static struct fake_harewire *const fake = &fake_harewire;

static void keep(char *dst, size_t bytes, const char *text)
{
	snprintf(dst, bytes, "%s", text ? text : "");
}

const char *harewire_error_text(int code)
{
	return hw_error_sentence(code);
}

const char *harewire_version(void)
{
	return HAREWIRE_VERSION;
}

void harewire_options_init(struct harewire_options *options)
{
	memset(options, 0, sizeof *options);
}

int harewire_create(const struct harewire_options *options, struct harewire **out)
{
	keep(fake->driver, sizeof fake->driver, options->driver);
	fake->mode = options->mode;
	*out = (struct harewire *)fake;
	return 0;
}

void harewire_destroy(struct harewire *hw)
{
	fake->destroyed = true;
}

int harewire_poll(struct harewire *hw)
{
	fake->polls++;
	return 0;
}

void harewire_driver_info(const struct harewire *hw, uint32_t worker, struct harewire_driver_info *info)
{
	memset(info, 0, sizeof *info);
	keep(info->driver, sizeof info->driver, "fake");
}

void harewire_publisher_options_init(struct harewire_publisher_options *options)
{
	memset(options, 0, sizeof *options);
}

int harewire_publisher_open(struct harewire *hw, const struct harewire_publisher_options *options,
			    struct harewire_publisher **out, char *why, size_t why_bytes)
{
	keep(fake->url, sizeof fake->url, options->url);
	keep(fake->password, sizeof fake->password, options->password);
	keep(fake->connection_name, sizeof fake->connection_name, options->connection_name);
	fake->exchange_count = options->exchange_count;
	fake->queue_count = options->queue_count;
	fake->binding_count = options->binding_count;
	if (options->queue_count)
		keep(fake->first_queue, sizeof fake->first_queue, options->queues[0].name);
	if (options->exchange_count)
		keep(fake->first_exchange, sizeof fake->first_exchange, options->exchanges[0].name);
	*out = (struct harewire_publisher *)fake;
	return 0;
}

int harewire_publisher_close(struct harewire_publisher *p, uint64_t timeout_ns)
{
	fake->closing = true;
	return 0;
}

void harewire_publisher_destroy(struct harewire_publisher *p)
{
	fake->closed = true;
}

void harewire_template_options_init(struct harewire_template_options *options)
{
	memset(options, 0, sizeof *options);
	options->priority = -1;
}

int harewire_template_prepare(struct harewire_publisher *p, const struct harewire_template_options *options,
			      uint32_t *out, const char **why)
{
	if (fake->template_count == FAKE_TEMPLATES_MAX)
		return HAREWIRE_ERR_NOMEM;
	struct fake_template *t = &fake->templates[fake->template_count];
	keep(t->exchange, sizeof t->exchange, options->exchange);
	keep(t->routing_key, sizeof t->routing_key, options->routing_key);
	t->slots = options->slots;
	t->mandatory = options->mandatory;
	t->delivery_mode = options->delivery_mode;
	*out = fake->template_count++;
	return 0;
}

int64_t harewire_publish(struct harewire_publisher *p, uint32_t template_id, const void *body, size_t len,
			 unsigned flags)
{
	if (fake->failed || fake->closing)
		return HAREWIRE_ERR_CLOSED;
	if (fake->window && fake->accepted - fake->settled >= fake->window) {
		fake->log_full++;
		if (fake->signal_when_full)
			raise(fake->signal_when_full);
		return HAREWIRE_ERR_LOG_FULL;
	}
	struct fake_message *m = &fake->messages[fake->accepted % FAKE_MESSAGES_MAX];
	m->template_id = template_id;
	m->len = len;
	memset(m->body, 0, sizeof m->body);
	memcpy(m->body, body, len < sizeof m->body ? len : sizeof m->body - 1);
	fake->accepted++;
	fake->failed = fake->fail_after && fake->accepted >= fake->fail_after;
	return (int64_t)fake->accepted;
}

static int say(struct harewire_event *event, enum harewire_event_type type, uint64_t first, uint64_t last, int code,
	       const char *text)
{
	*event = (struct harewire_event){.type = type, .first = first, .last = last, .code = code, .text = text};
	fake->settled = last > fake->settled ? last : fake->settled;
	return 1;
}

/* The outcome of the oldest message without one, and of those after it that share it. */
static int say_outcome(struct harewire_event *event, uint64_t limit)
{
	uint64_t id = fake->settled + 1, last = id;

	if (id == fake->nack_id)
		return say(event, HAREWIRE_EVENT_NACKED, id, id, 0, NULL);
	if (id == fake->return_id)
		return say(event, HAREWIRE_EVENT_RETURNED, id, id, 312, "NO_ROUTE");
	while (last < limit && last + 1 != fake->nack_id && last + 1 != fake->return_id)
		last++;
	return say(event, HAREWIRE_EVENT_CONFIRMED, id, last, 0, NULL);
}

int harewire_event_poll(struct harewire_publisher *p, struct harewire_event *event)
{
	uint64_t limit = fake->accepted;

	if (fake->confirm_none_after && limit > fake->confirm_none_after)
		limit = fake->confirm_none_after;
	if (fake->end_said)
		return 0;
	if (!fake->ready_said) {
		fake->ready_said = true;
		fake->end_said = fake->refuse_login != NULL;
		return fake->refuse_login
			       ? say(event, HAREWIRE_EVENT_FAILED, 0, 0, HW_ERR_AMQP_LOGIN_REFUSED, fake->refuse_login)
			       : say(event, HAREWIRE_EVENT_READY, 0, 0, 0, NULL);
	}
	if (fake->settled < limit && !fake->failed)
		return say_outcome(event, limit);
	if (!fake->closing && !fake->failed)
		return 0;
	if (fake->settled < fake->accepted)
		return say(event, HAREWIRE_EVENT_UNCONFIRMED, fake->settled + 1, fake->accepted, 0, NULL);
	fake->end_said = true;
	return fake->failed ? say(event, HAREWIRE_EVENT_FAILED, 0, 0, HW_ERR_CONN_RESET, "the broker went away")
			    : say(event, HAREWIRE_EVENT_CLOSED, 0, 0, 0, NULL);
}

void harewire_publisher_stats(const struct harewire_publisher *p, struct harewire_publisher_stats *stats)
{
	memset(stats, 0, sizeof *stats);
}
