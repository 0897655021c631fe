#include "control/telemetry.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/clock.h"

#define LEVEL_TRIES 100u /* the worker writes it in less than a microsecond, unless it is taken from its CPU */

struct question {
	enum telemetry_list list;
	uint64_t id;
	/* the answer */
	uint64_t *ids;
	struct telemetry_figure *figures;
	uint32_t max, count;
};

/* ---- writing ---- */

static struct telemetry_figure *next(struct question *q, const char *name)
{
	assert(q->count < TELEMETRY_FIGURES_MAX);
	struct telemetry_figure *f = &q->figures[q->count++];
	f->name = name;
	return f;
}

static void number(struct question *q, const char *name, uint64_t value)
{
	struct telemetry_figure *f = next(q, name);
	f->is_text = false;
	f->number = value;
}

static void text(struct question *q, const char *name, const char *value)
{
	struct telemetry_figure *f = next(q, name);
	f->is_text = true;
	snprintf(f->text, sizeof f->text, "%.*s", (int)sizeof f->text - 1, value);
}

static void endpoint(struct question *q, const char *name, uint32_t ip, uint16_t port)
{
	char ip_octets[16], value[32];
	snprintf(value, sizeof value, "%s:%u", ip_text(ip, ip_octets), (unsigned)port);
	text(q, name, value);
}

/* ---- what there is ---- */

static void describe_worker(struct question *q, struct control_worker *w)
{
	struct harewire_driver_info info = {0};
	if (w->chosen)
		transport_describe(&w->choice, &info);
	text(q, "driver", info.driver);
	text(q, "mode", info.mode);
	text(q, "device", info.device);
	text(q, "reason", info.reason);
	text(q, "steering", info.steering);
	text(q, "offloads", info.offloads);
	number(q, "queue", info.queue);
	number(q, "pinned", w->request.cpu >= 0);
	number(q, "cpu", w->request.cpu >= 0 ? (uint64_t)w->request.cpu : 0);
	number(q, "publishers", w->publishers);
	number(q, "packets_sent", info.packets_sent);
	number(q, "packets_received", info.packets_received);
	number(q, "packets_dropped", info.packets_dropped);
	number(q, "kicks", info.kicks);
	number(q, "longest_gap_ns", atomic_load_explicit(w->longest_gap_ns, memory_order_relaxed));
}

static void describe_connection(struct question *q, const struct charge *c)
{
	struct publisher_figures s;
	publisher_get_figures(c->connection->publisher, &s);
	number(q, "worker", c->worker->index);
	text(q, "phase", charge_phase_name(c->phase));
	text(q, "tcp_state", s.tcp_state);
	text(q, "host", c->host->name);
	endpoint(q, "local", c->flow.local_ip, c->flow.local_port);
	endpoint(q, "remote", c->remote_ip, c->host->port);
	number(q, "srtt_ns", s.srtt_ns);
	number(q, "rttvar_ns", s.rttvar_ns);
	number(q, "cwnd", s.cwnd);
	number(q, "ssthresh", s.ssthresh);
	number(q, "peer_window", s.peer_window);
	number(q, "receive_window", s.receive_window);
	number(q, "in_flight", s.in_flight);
	number(q, "mss", s.mss);
	number(q, "retransmits", s.retransmits);
	number(q, "retransmits_fast", s.retransmits_fast);
	number(q, "retransmits_rto", s.retransmits_rto);
	number(q, "tlp_probes", s.tlp_probes);
	number(q, "rack_losses", s.rack_losses);
	number(q, "spurious", s.spurious);
	number(q, "rto_fired", s.rto_fired);
	number(q, "octets_sent", s.octets_sent);
	number(q, "segments_sent", s.segments_sent);
	number(q, "segments_received", s.segments_received);
}

static void latency(struct question *q, const char *const names[3], const struct harewire_percentiles *p)
{
	number(q, names[0], p->p50_ns);
	number(q, names[1], p->p99_ns);
	number(q, names[2], p->max_ns);
}

/* "alarm, window" */
static void name_blockages(struct question *q, uint32_t bits)
{
	static const char *const names[] = {[HAREWIRE_BLOCKAGE_ALARM] = "alarm",
					    [HAREWIRE_BLOCKAGE_WINDOW] = "window",
					    [HAREWIRE_BLOCKAGE_SILENCE] = "silence",
					    [HAREWIRE_BLOCKAGE_LOG_FULL] = "log_full"};
	char value[TELEMETRY_TEXT_MAX] = "";
	size_t len = 0;
	for (uint32_t i = HAREWIRE_BLOCKAGE_ALARM; i < sizeof names / sizeof names[0]; i++)
		if (bits & 1u << i)
			len += (size_t)snprintf(value + len, sizeof value - len, "%s%s", len ? ", " : "", names[i]);
	text(q, "blockages", value);
}

/* Of the state, or of the first of the worker's blockages if that is what it is. */
static uint64_t state_since_ns(const struct publisher_level *l)
{
	uint32_t bits = l->state == PUBLISHER_BLOCKED ? l->blockages : 0;
	uint64_t since_ns = l->since_ns;
	for (uint32_t i = 0; i < PUBLISHER_BLOCKAGES; i++)
		if (bits & 1u << i && (since_ns == l->since_ns || l->blockage_since_ns[i] < since_ns))
			since_ns = l->blockage_since_ns[i];
	return since_ns;
}

static const char *state_reason(const struct publisher_level *l)
{
	if (l->state == PUBLISHER_RECONNECTING)
		return l->lost_text;
	if (l->state >= PUBLISHER_CLOSED && l->end_text)
		return l->end_text;
	return l->blockages & 1u << HAREWIRE_BLOCKAGE_ALARM ? l->alarm_text : "";
}

/* How it stands: connected to whom, or why not; for how long. */
static void describe_state(struct question *q, const struct harewire_publisher *p)
{
	static const char *const names[] = {
		[PUBLISHER_CONNECTING] = "connecting", [PUBLISHER_READY] = "ready",
		[PUBLISHER_BLOCKED] = "blocked",       [PUBLISHER_RECONNECTING] = "reconnecting",
		[PUBLISHER_CLOSED] = "closed",         [PUBLISHER_FAILED] = "failed"};
	struct publisher_level level = {0};
	for (unsigned tries = 0; tries < LEVEL_TRIES && !publisher_get_level(p, &level); tries++)
		;
	uint64_t since_ns = state_since_ns(&level), now_ns = clock_monotonic_ns();
	text(q, "state", names[level.state]);
	text(q, "host", level.where);
	number(q, "state_ns", since_ns && since_ns < now_ns ? now_ns - since_ns : 0);
	text(q, "reason", state_reason(&level));
}

/* What is done about a connection that is not there. */
static void describe_attempts(struct question *q, const struct charge *c)
{
	bool trying = c->phase < CHARGE_RUNNING;
	text(q, "phase", charge_phase_name(c->phase));
	number(q, "attempts", trying ? c->reconnect.attempts : 0);
	text(q, "last_failure", trying ? c->failure : "");
}

static void describe_publisher(struct question *q, const struct charge *c)
{
	static const char *const to_wire[3] = {"call_to_wire_p50_ns", "call_to_wire_p99_ns", "call_to_wire_max_ns"};
	static const char *const to_confirm[3] = {"publish_to_confirm_p50_ns", "publish_to_confirm_p99_ns",
						  "publish_to_confirm_max_ns"};
	struct harewire_publisher_stats s;
	publisher_stats(c->connection->publisher, &s);
	number(q, "worker", c->worker->index);
	text(q, "name", c->target.connection_name);
	text(q, "vhost", c->target.vhost);
	describe_state(q, c->connection->publisher);
	describe_attempts(q, c);
	name_blockages(q, s.blockages);
	number(q, "accepted", s.accepted);
	number(q, "confirmed", s.confirmed);
	number(q, "nacked", s.nacked);
	number(q, "returned", s.returned);
	number(q, "lost", s.lost);
	number(q, "unconfirmed", s.unconfirmed);
	number(q, "refused", s.refused);
	number(q, "dropped", s.dropped);
	number(q, "replayed", s.replayed);
	number(q, "connections", s.connections);
	number(q, "channels", s.channels);
	number(q, "in_flight", s.in_flight);
	number(q, "log_used", s.log_used);
	number(q, "log_capacity", s.log_capacity);
	number(q, "blocked_count", s.blocked_count);
	number(q, "blocked", publisher_is_blocked(c->connection->publisher));
	latency(q, to_wire, &s.call_to_wire);
	latency(q, to_confirm, &s.publish_to_confirm);
}

/* ---- asking ---- */

static void describe(struct supervisor *s, void *context)
{
	struct question *q = context;
	if (q->list == TELEMETRY_WORKERS) {
		if (q->id < s->worker_count)
			describe_worker(q, &s->workers[q->id]);
		return;
	}
	const struct charge *c = s->charges;
	while (c && c->id != q->id)
		c = c->next;
	if (c && q->list == TELEMETRY_CONNECTIONS)
		describe_connection(q, c);
	else if (c)
		describe_publisher(q, c);
}

/* Keeps them ascending, and the lowest where not all fit. */
static void insert(struct question *q, uint64_t id)
{
	uint32_t at = q->count;
	while (at > 0 && q->ids[at - 1] > id)
		at--;
	if (at == q->max)
		return;
	q->count += q->count < q->max;
	memmove(&q->ids[at + 1], &q->ids[at], (q->count - at - 1) * sizeof q->ids[0]);
	q->ids[at] = id;
}

static void list(struct supervisor *s, void *context)
{
	struct question *q = context;
	for (uint32_t i = 0; q->list == TELEMETRY_WORKERS && i < s->worker_count; i++)
		insert(q, i);
	for (const struct charge *c = s->charges; c && q->list != TELEMETRY_WORKERS; c = c->next)
		insert(q, c->id);
}

uint32_t telemetry_list(void *context, enum telemetry_list which, uint64_t *ids, uint32_t max)
{
	struct question q = {.list = which, .ids = ids, .max = max};
	supervisor_ask(context, list, &q);
	return q.count;
}

uint32_t telemetry_describe(void *context, enum telemetry_list which, uint64_t id, struct telemetry_figure *figures)
{
	struct question q = {.list = which, .id = id, .figures = figures};
	supervisor_ask(context, describe, &q);
	return q.count;
}
