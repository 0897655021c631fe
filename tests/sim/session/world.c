/* The world: what a seed draws, one step after the other, until everything has ended. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/tcp_stream.h"
#include "tests/sim/session/session.h"

#define DRAIN_WITHIN (120 * SECOND) /* after everything has healed, and the application has closed */
#define STEPS_MAX    2000000u

void fail(struct world *w, const char *why, uint64_t id)
{
	trace(w, "FAILED: %s (%llu)", why, (unsigned long long)id);
	if (w->failure)
		return;
	w->failure = why;
	w->failed_id = id;
}

void trace(const struct world *w, const char *format, ...)
{
	va_list args;
	if (!w->trace)
		return;
	printf("%12.6f ", (double)(w->now_ns - w->started_ns) / 1e9);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* ---- set-up ---- */

static void draw_network(struct world *w, struct sim_link *l)
{
	struct prng *r = &w->random;
	memset(l, 0, offsetof(struct sim_link, packets));
	memset(l->hits, 0, sizeof l->hits);
	l->random = r;
	l->delay_ns = 10000ull << prng_below(r, 10);
	l->jitter_ns = prng_once_in(r, 2) ? 0 : l->delay_ns / 4;
	if (w->quiet)
		return;
	l->faults.loss = (uint32_t)prng_below(r, w->hasty || prng_once_in(r, 4) ? 100 : 20);
	l->faults.duplicate = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 30) : 0;
	l->faults.reorder = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 50) : 0;
	l->faults.flip = prng_once_in(r, 4) ? (uint32_t)prng_below(r, 10) : 0;
	l->faults.spike = prng_once_in(r, 4) ? (uint32_t)prng_below(r, 3) : 0;
}

static void push_inline(void *context)
{
	struct producer *p = context;
	worker_push(&p->world->worker, p->connection);
}

static void producer_init(struct world *w, struct producer *p, uint32_t index)
{
	struct prng *r = &w->random;
	memset(p, 0, sizeof *p);
	p->world = w;
	p->index = index;
	p->low_id = p->next_id = p->told_id = 1;
	p->options = (struct connection_options){.at_most_once = prng_once_in(r, 3),
						 .confirm_timeout_ns = prng_once_in(r, 2) ? 0 : 3 * SECOND,
						 .blocked_timeout_ns = prng_once_in(r, 2) ? 0 : 2 * SECOND,
						 .walk_records = w->walk_records};
	p->options.at_most_once |= w->seed % 4 == 2; /* many losses make long walks */
	p->poison_left = prng_once_in(r, 10);
	p->closes_left = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 6) : 0;
	struct publisher_options o = {.log_bytes = (512u << 10) << prng_below(r, 3),
				      .max_messages = 8u << prng_below(r, 8),
				      .max_templates = TEMPLATES,
				      .policy = (enum harewire_policy)prng_below(r, 3),
				      .epoch = (uint32_t)prng_next(r),
				      .clock = &w->clock};
	if (prng_once_in(r, 3)) {
		o.push = push_inline;
		o.push_context = p;
	}
	p->policy = o.policy;
	if (publisher_create(&o, &p->publisher) || connection_create(p->publisher, &p->options, &p->connection)) {
		fail(w, "out of memory", 0);
		return;
	}
	application_init(p);
	control_init(p);
}

static void make_transport(struct world *w)
{
	struct tcp_transport_options o = {.streams = PRODUCERS_MAX};
	nic_init(w);
	tcp_config_init(&o.tcp);
	o.tcp.mtu = prng_once_in(&w->random, 4) ? 576 : 1500;
	o.tcp.control = (enum tcp_control)prng_below(&w->random, 3);
	o.tcp.receive_bytes = 4096u << prng_below(&w->random, 5);
	o.tcp.cwnd_max_bytes = 65536u << prng_below(&w->random, 6);
	o.tcp.delayed_ack_ns = prng_once_in(&w->random, 2) ? 0 : MS;
	o.tcp.ecn = prng_once_in(&w->random, 2);
	o.tcp.verify_checksum = true;
	if (tcp_transport_create(&w->nic.driver, &o, &w->transport))
		fail(w, "out of memory", 0);
	struct command cmd = {.type = COMMAND_ATTACH_TRANSPORT, .transport = w->transport};
	spsc_push(&w->worker.channel.commands, &cmd);
}

static void host_init(struct world *w, uint32_t index)
{
	struct host *h = &w->hosts[index];
	for (uint32_t i = 0; i < TCBS; i++) {
		h->tcbs[i].used = false;
		h->tcbs[i].session = NULL;
	}
	h->world = w;
	h->index = index;
	h->dead = false;
	h->listening = true;
	h->link = &w->in[index];
	w->brokers[index] = (struct broker){.restart_at_ns = NEVER, .recover_at_ns = NEVER};
	draw_network(w, &w->in[index]);
	draw_network(w, &w->out[index]);
	w->partition_until_ns[index] = 0;
}

void world_init(struct world *w, uint64_t seed)
{
	struct prng *r = &w->random;
	w->seed = seed;
	r->state = seed * 0x9e3779b97f4a7c15u;
	w->failure = NULL;
	w->now_ns = w->started_ns = SECOND + prng_below(r, 1ull << 50);
	w->clock = (struct clock_scale){.tsc = false};
	w->in_worker = w->healed = false;
	w->hasty = prng_once_in(r, 5);
	w->quiet =
		!w->hasty && prng_once_in(r, 2); /* only what is lost is sent again, and shows what is in its place */
	w->shared_store = prng_once_in(r, 2);
	w->walk_records = seed % 2 ? 0 : seed % 8 ? 1 : 3; /* indexes are too small for the default */
	w->walk_turn_ns = 1000ull << seed / 8 % 16;
	w->frame_max = prng_once_in(r, 2) ? 4096 : prng_once_in(r, 2) ? 16384 : 131072;
	w->producer_count = prng_once_in(r, 4) ? 2 : 1;
	w->steps = 0;
	struct worker_options options = {.clock = &w->clock, .cpu = -1};
	if (worker_init(&w->worker, &options))
		fail(w, "out of memory", 0);
	make_transport(w);
	for (uint32_t i = 0; i < HOSTS; i++)
		host_init(w, i);
	faults_init(w);
	for (uint32_t i = 0; i < w->producer_count; i++)
		producer_init(w, &w->producers[i], i);
}

void world_fini(struct world *w)
{
	for (uint32_t i = 0; i < w->producer_count; i++) {
		connection_destroy(w->producers[i].connection);
		publisher_destroy(w->producers[i].publisher);
	}
	w->transport->ops->destroy(w->transport);
	worker_fini(&w->worker);
}

/* ---- a step ---- */

static void network(struct world *w)
{
	struct sim_packet packet;
	for (uint32_t i = 0; i < HOSTS; i++) {
		while (sim_link_receive(&w->out[i], w->now_ns, &packet))
			host_input(&w->hosts[i], &packet);
		host_timer(&w->hosts[i]);
		broker_step(&w->hosts[i]);
	}
}

/* The worker may do neither: the linker leads these to wrap.c, which looks at in_worker. */
static void turn(struct world *w)
{
	for (uint32_t i = 0; i < w->producer_count; i++)
		account_turn(&w->producers[i]);
	w->in_worker = true;
	worker_turn(&w->worker);
	w->in_worker = false;
	for (uint32_t i = 0; i < w->producer_count; i++)
		account_settle(&w->producers[i]);
}

/* A worker polls all the time: what it has not seen yet it sees in a moment. */
static bool worker_due(struct world *w)
{
	bool due = spsc_held(&w->worker.channel.commands) > 0 || w->transport->ready_count > 0;
	for (uint32_t i = 0; i < w->producer_count; i++) {
		struct producer *p = &w->producers[i];
		due |= p->next_id != p->shown_id || byte_ring_held(&p->connection->bridge.to_wire) != p->shown_octets;
		p->shown_id = p->next_id;
		p->shown_octets = byte_ring_held(&p->connection->bridge.to_wire);
	}
	return due;
}

static void step(struct world *w)
{
	faults_step(w);
	network(w);
	uint64_t turns = 1 + prng_below(&w->random, 3);
	for (turns = w->walks ? 1 : turns; turns > 0 && !w->failure; turns--)
		turn(w);
	control_events(w);
	for (uint32_t i = 0; i < w->producer_count; i++) {
		control_step(&w->producers[i]);
		application_step(&w->producers[i]);
	}
	w->worker_due = worker_due(w);
	w->walks = connection_walks(&w->producers[0]) || (w->producer_count > 1 && connection_walks(&w->producers[1]));
}

static uint64_t next_moment(const struct world *w)
{
	uint64_t next = min64(faults_next(w), nic_next(w));
	next = min64(next, min64(w->transport->next_deadline_ns, deadlines_next(&w->worker.deadlines)));
	for (uint32_t i = 0; i < HOSTS; i++)
		next = min64(next, min64(host_next(&w->hosts[i]), broker_next(&w->hosts[i])));
	for (uint32_t i = 0; i < w->producer_count; i++)
		next = min64(next, min64(control_next(&w->producers[i]), application_next(&w->producers[i])));
	/* Pieces are small, and indexes: turns that take their time leave some to others meanwhile. */
	next = w->walks ? min64(next, w->now_ns + w->walk_turn_ns) : next;
	return w->worker_due ? min64(next, w->now_ns + 1000) : next;
}

/* For whoever looks for what keeps the world busy. */
static void describe_moments(const struct world *w)
{
	trace(w, "next: faults %+lld, links %+lld, transport %+lld, worker %+lld, at once %d",
	      (long long)(faults_next(w) - w->now_ns), (long long)(nic_next(w) - w->now_ns),
	      (long long)(w->transport->next_deadline_ns - w->now_ns),
	      (long long)(deadlines_next(&w->worker.deadlines) - w->now_ns), w->worker_due);
	for (uint32_t i = 0; i < HOSTS; i++)
		trace(w, "next: host %u %+lld, broker %+lld", i, (long long)(host_next(&w->hosts[i]) - w->now_ns),
		      (long long)(broker_next(&w->hosts[i]) - w->now_ns));
	for (uint32_t i = 0; i < w->producer_count; i++)
		trace(w, "next: control %u %+lld, application %+lld", i,
		      (long long)(control_next(&w->producers[i]) - w->now_ns),
		      (long long)(application_next(&w->producers[i]) - w->now_ns));
}

static bool finished(const struct world *w)
{
	for (uint32_t i = 0; i < w->producer_count; i++)
		if (!w->producers[i].application.ended || w->producers[i].control.state != CONTROL_GONE)
			return false;
	return true;
}

static bool all_closing(const struct world *w)
{
	for (uint32_t i = 0; i < w->producer_count; i++)
		if (!w->producers[i].application.closing && !w->producers[i].application.ended)
			return false;
	return true;
}

static void describe(const struct producer *p)
{
	const struct harewire_publisher *q = p->publisher;
	const struct confirms *c = &p->connection->confirms;
	trace(p->world,
	      "producer %u: state %u, blockages %x, accepted %llu, handed %llu, settled %llu, told %llu, reclaimed "
	      "%llu; log "
	      "%llu given back, %llu used of %llu; phase %d, control %d, generation %u, channel generation %u",
	      p->index, atomic_load(&q->state), atomic_load(&q->blockages), (unsigned long long)p->next_id - 1,
	      (unsigned long long)c->handed_id - 1, (unsigned long long)c->settled_id - 1,
	      (unsigned long long)p->told_id - 1, (unsigned long long)q->reclaimed_id - 1,
	      (unsigned long long)q->released_pos, (unsigned long long)(q->next_pos - q->released_pos),
	      (unsigned long long)q->log.capacity, p->connection->phase, p->control.state, p->control.generation,
	      p->tap.generation);
}

bool world_run(struct world *w)
{
	uint64_t drained_by = NEVER;
	while (!w->failure && !finished(w)) {
		step(w);
		uint64_t next = next_moment(w);
		if (next == NEVER) {
			if (!finished(w))
				fail(w, "nothing will ever happen again", 0);
			break;
		}
		w->now_ns = next > w->now_ns ? next : w->now_ns + 100;
		if (drained_by == NEVER && w->healed && all_closing(w))
			drained_by = w->now_ns + DRAIN_WITHIN;
		if (w->now_ns > drained_by || ++w->steps > STEPS_MAX || w->now_ns - w->started_ns > 3600 * SECOND)
			fail(w, "not finished in time", 0);
	}
	if (w->failure)
		describe_moments(w);
	for (uint32_t i = 0; i < w->producer_count && w->failure; i++)
		describe(&w->producers[i]);
	for (uint32_t i = 0; i < w->producer_count && !w->failure; i++)
		account_finish(&w->producers[i]);
	return !w->failure;
}
