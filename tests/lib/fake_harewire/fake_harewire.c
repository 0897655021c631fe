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

void harewire_worker_options_init(struct harewire_worker_options *options)
{
	*options = (struct harewire_worker_options){.cpu = -1, .queue = -1};
}

static void keep_worker(struct fake_worker *w, const struct harewire_worker_options *options)
{
	w->cpu = options->cpu;
	w->queue = options->queue;
	keep(w->driver, sizeof w->driver, options->driver);
	keep(w->interface, sizeof w->interface, options->interface);
	keep(w->device, sizeof w->device, options->device);
	keep(w->address, sizeof w->address, options->address);
	keep(w->gateway, sizeof w->gateway, options->gateway);
	w->vlan = options->vlan;
	w->mtu = options->mtu;
}

int harewire_create(const struct harewire_options *options, struct harewire **out, char *why, size_t why_bytes)
{
	keep(fake->driver, sizeof fake->driver, options->driver);
	fake->mode = options->mode;
	fake->log_line = options->log_line;
	fake->log_context = options->log_context;
	fake->checksum_offload = options->checksum_offload;
	fake->tso = options->tso;
	fake->worker_count = options->worker_count;
	for (uint32_t i = 0; i < options->worker_count; i++)
		keep_worker(&fake->workers[i], &options->workers[i]);
	if (fake->refuse_workers)
		return snprintf(why, why_bytes, "%s", fake->refuse_workers) ? HW_ERR_INVALID : 0;
	*out = (struct harewire *)fake;
	return 0;
}

uint32_t harewire_worker_count(const struct harewire *hw)
{
	return fake->worker_count ? fake->worker_count : 1;
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
	*info = (struct harewire_driver_info){.driver = "fake",
					      .device = "eth0",
					      .steering = "RSS",
					      .offloads = "checksums, TSO",
					      .cpu = worker ? (int)worker : -1,
					      .queue = worker,
					      .packets_sent = 10 + worker,
					      .longest_gap_ns = 1000 * (worker + 1)};
	for (uint32_t i = 0; i < fake->publisher_count; i++)
		info->publishers += fake->publishers[i].worker == (int)worker;
}

void harewire_publisher_options_init(struct harewire_publisher_options *options)
{
	memset(options, 0, sizeof *options);
}

static struct fake_publisher *fake_of(const struct harewire_publisher *p)
{
	return (struct fake_publisher *)p;
}

static uint32_t index_of(const struct fake_publisher *p)
{
	return (uint32_t)(p - fake->publishers);
}

/* What is set for the odd one only. */
static uint64_t odd(const struct fake_publisher *p, uint64_t value)
{
	return fake->all_are_odd || index_of(p) == fake->odd_one ? value : 0;
}

static void keep_reconnecting(struct fake_reconnecting *r, const struct harewire_publisher_options *options)
{
	*r = (struct fake_reconnecting){.order = options->host_order,
					.delivery = options->delivery,
					.policy = options->policy,
					.min_ns = options->reconnect_min_ns,
					.max_ns = options->reconnect_max_ns,
					.timeout_ns = options->reconnect_timeout_ns,
					.confirm_timeout_ns = options->confirm_timeout_ns,
					.blocked_timeout_ns = options->blocked_timeout_ns};
	for (uint32_t i = 0; i < options->host_count; i++) {
		size_t len = strlen(r->hosts);
		snprintf(r->hosts + len, sizeof r->hosts - len, "%s ", options->hosts[i]);
	}
}

int harewire_publisher_open(struct harewire *hw, const struct harewire_publisher_options *options,
			    struct harewire_publisher **out, char *why, size_t why_bytes)
{
	struct fake_publisher *p = &fake->publishers[fake->publisher_count++];

	keep(fake->url, sizeof fake->url, options->url);
	keep(fake->password, sizeof fake->password, options->password);
	keep(fake->password_file, sizeof fake->password_file, options->password_file);
	keep_reconnecting(&fake->reconnecting, options);
	fake->tcp = (struct fake_tcp){.congestion = options->congestion,
				      .congestion_window = options->congestion_window,
				      .ecn = options->ecn,
				      .restart_after_idle = options->restart_after_idle,
				      .keepalive_ns = options->keepalive_ns};
	keep(p->connection_name, sizeof p->connection_name, options->connection_name);
	p->worker = options->worker;
	p->exchange_count = options->exchange_count;
	p->queue_count = options->queue_count;
	p->binding_count = options->binding_count;
	if (options->queue_count)
		keep(fake->first_queue, sizeof fake->first_queue, options->queues[0].name);
	if (options->exchange_count)
		keep(fake->first_exchange, sizeof fake->first_exchange, options->exchanges[0].name);
	*out = (struct harewire_publisher *)p;
	return 0;
}

int harewire_publisher_close(struct harewire_publisher *p, uint64_t timeout_ns)
{
	fake_of(p)->closing = true;
	return 0;
}

void harewire_publisher_destroy(struct harewire_publisher *p)
{
	if (p)
		fake_of(p)->destroyed = true;
}

uint32_t harewire_publisher_epoch(const struct harewire_publisher *p)
{
	return 100 + index_of(fake_of(p));
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
	t->publisher = index_of(fake_of(p));
	keep(t->exchange, sizeof t->exchange, options->exchange);
	keep(t->routing_key, sizeof t->routing_key, options->routing_key);
	t->slots = options->slots;
	t->mandatory = options->mandatory;
	t->delivery_mode = options->delivery_mode;
	*out = fake->template_count++;
	return 0;
}

static uint64_t in_flight(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < fake->publisher_count; i++)
		n += fake->publishers[i].accepted - fake->publishers[i].settled;
	return n;
}

static void keep_message(const struct fake_publisher *p, uint32_t template_id, const void *body, size_t len)
{
	struct fake_message *m = &fake->messages[fake->accepted++ % FAKE_MESSAGES_MAX];

	m->publisher = index_of(p);
	m->template_id = template_id;
	m->len = len;
	memset(m->body, 0, sizeof m->body);
	memcpy(m->body, body, len < sizeof m->body ? len : sizeof m->body - 1);
}

static int64_t refuse(struct fake_publisher *p)
{
	uint64_t *left = p->away_polls ? &p->away_polls : &p->blocked_polls;

	*left -= *left > 1;
	return p->away_polls ? HAREWIRE_ERR_DISCONNECTED : HAREWIRE_ERR_BLOCKED;
}

/* Whether it goes on. */
static bool still_hindered(uint64_t *left)
{
	if (fake->reconnecting.policy == HAREWIRE_REFUSE && *left > 1)
		return true;
	return --*left > 0;
}

int64_t harewire_publish(struct harewire_publisher *publisher, uint32_t template_id, const void *body, size_t len,
			 unsigned flags)
{
	struct fake_publisher *p = fake_of(publisher);

	if (p->failed || p->closing)
		return HAREWIRE_ERR_CLOSED;
	if (template_id >= fake->template_count || fake->templates[template_id].publisher != index_of(p))
		return HAREWIRE_ERR_INVALID;
	if (fake->reconnecting.policy == HAREWIRE_REFUSE && (p->away_polls || p->blocked_polls))
		return refuse(p);
	if (fake->window && p->accepted - p->settled >= fake->window) {
		fake->log_full++;
		if (fake->reconnecting.policy == HAREWIRE_DROP_NEWEST)
			return 0;
		if (fake->signal_when_full)
			raise(fake->signal_when_full);
		return HAREWIRE_ERR_LOG_FULL;
	}
	keep_message(p, template_id, body, len);
	p->accepted++;
	if (in_flight() > fake->most_in_flight)
		fake->most_in_flight = in_flight();
	p->failed = odd(p, fake->fail_after) && p->accepted >= fake->fail_after;
	if (!p->away_said && odd(p, fake->disconnect_after) && p->accepted == fake->disconnect_after)
		p->away_polls = fake->hindered_polls;
	if (!p->blocked_said && odd(p, fake->block_after) && p->accepted == fake->block_after)
		p->blocked_polls = fake->hindered_polls;
	return (int64_t)p->accepted;
}

static int say(struct fake_publisher *p, struct harewire_event *event, enum harewire_event_type type, uint64_t first,
	       uint64_t last, int code, const char *text)
{
	*event = (struct harewire_event){.type = type, .first = first, .last = last, .code = code, .text = text};
	p->settled = last > p->settled ? last : p->settled;
	return 1;
}

/* The outcome of the oldest message without one, and of those after it that share it. */
static int say_outcome(struct fake_publisher *p, struct harewire_event *event, uint64_t limit)
{
	uint64_t id = p->settled + 1, last = id;
	uint64_t nack_id = odd(p, fake->nack_id), return_id = odd(p, fake->return_id);

	if (id == nack_id)
		return say(p, event, HAREWIRE_EVENT_NACKED, id, id, 0, NULL);
	if (id == return_id)
		return say(p, event, HAREWIRE_EVENT_RETURNED, id, id, 312, "NO_ROUTE");
	while (last < limit && last + 1 != nack_id && last + 1 != return_id)
		last++;
	return say(p, event, HAREWIRE_EVENT_CONFIRMED, id, last, 0, NULL);
}

static int say_first(struct fake_publisher *p, struct harewire_event *event)
{
	p->ready_said = true;
	p->connections = 1;
	p->end_said = index_of(p) == fake->odd_one && fake->refuse_login;
	return p->end_said ? say(p, event, HAREWIRE_EVENT_FAILED, 0, 0, HW_ERR_AMQP_LOGIN_REFUSED, fake->refuse_login)
			   : say(p, event, HAREWIRE_EVENT_READY, 0, 0, 0, NULL);
}

static int at(struct harewire_event *event, uint64_t ms)
{
	event->since_ns = ms * 1000000;
	return 1;
}

/* Beginning, losses, end; 0 when there is nothing to say. */
static int say_away(struct fake_publisher *p, struct harewire_event *event)
{
	if (!p->away_said) {
		p->away_said = true;
		fake->log_line(fake->log_context, HAREWIRE_LOG_WARNING, "there:5672: lost: reset");
		fake->log_line(fake->log_context, HAREWIRE_LOG_INFO, "trying again");
		say(p, event, HAREWIRE_EVENT_DISCONNECTED, 0, 0, HW_ERR_CONN_RESET, "reset");
		return at(event, 1000);
	}
	if (fake->reconnecting.delivery == HAREWIRE_AT_MOST_ONCE && !p->lost_said && p->settled < p->accepted) {
		p->lost_said = true;
		return say(p, event, HAREWIRE_EVENT_LOST, p->settled + 1, p->accepted, 0, NULL);
	}
	if (still_hindered(&p->away_polls))
		return 0;
	p->connections++;
	p->replayed = p->accepted - p->settled;
	say(p, event, HAREWIRE_EVENT_READY, 0, 0, 0, "other:5672");
	return at(event, 3500);
}

static int say_blocked(struct fake_publisher *p, struct harewire_event *event)
{
	if (!p->blocked_said) {
		p->blocked_said = true;
		say(p, event, HAREWIRE_EVENT_BLOCKED, 0, 0, fake->block_code, "low on memory");
		return at(event, 2000);
	}
	if (still_hindered(&p->blocked_polls))
		return 0;
	say(p, event, HAREWIRE_EVENT_UNBLOCKED, 0, 0, fake->block_code, NULL);
	return at(event, 2250);
}

int harewire_event_poll(struct harewire_publisher *publisher, struct harewire_event *event)
{
	struct fake_publisher *p = fake_of(publisher);
	uint64_t limit = p->accepted, told = odd(p, fake->confirm_none_after);

	if (told && limit > told)
		limit = told;
	if (p->end_said)
		return 0;
	if (!p->ready_said)
		return say_first(p, event);
	if (p->away_polls)
		return say_away(p, event);
	if (p->blocked_polls)
		return say_blocked(p, event);
	if (p->settled < limit && !p->failed)
		return say_outcome(p, event, limit);
	if (!p->closing && !p->failed)
		return 0;
	if (p->settled < p->accepted)
		return say(p, event, HAREWIRE_EVENT_UNCONFIRMED, p->settled + 1, p->accepted, 0, NULL);
	p->end_said = true;
	return p->failed ? say(p, event, HAREWIRE_EVENT_FAILED, 0, 0, HW_ERR_CONN_RESET, "the broker went away")
			 : say(p, event, HAREWIRE_EVENT_CLOSED, 0, 0, 0, NULL);
}

void harewire_publisher_stats(const struct harewire_publisher *p, struct harewire_publisher_stats *stats)
{
	uint64_t n = index_of(fake_of(p)) + 1;

	*stats = (struct harewire_publisher_stats){
		.retransmits = n,
		.connections = fake_of(p)->connections,
		.replayed = fake_of(p)->replayed,
		.call_to_wire = {.count = 10 * n, .p50_ns = 1000 * n, .p99_ns = 100000 / n, .max_ns = 200000 / n},
	};
}
