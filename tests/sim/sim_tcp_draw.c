/*
 * What a seed decides. Network, peer, application and device each draw from a generator of their own, so that one more
 * choice of one of them changes nothing for the others.
 */
#include <string.h>

#include "tests/sim/sim_tcp_world.h"

static _Alignas(64) uint8_t tcp_memory[1 << 17];

static struct prng generator(uint64_t seed, uint64_t which)
{
	struct prng g = {seed * 8 + which};
	g.state = prng_next(&g);
	return g;
}

/* ---- the network ---- */

static uint32_t sometimes(struct prng *r, uint64_t once_in, uint64_t below)
{
	return prng_once_in(r, once_in) ? (uint32_t)prng_below(r, below) : 0;
}

static struct sim_faults draw_faults(struct prng *r)
{
	struct sim_faults f = {.tail = sometimes(r, 4, 300)};
	if (prng_once_in(r, 8))
		return f;
	f.mark = sometimes(r, 2, 100);
	f.spike = sometimes(r, 3, 10);
	f.loss = (uint32_t)prng_below(r, prng_once_in(r, 4) ? 200 : 30);
	f.burst_loss = sometimes(r, 3, 10);
	f.duplicate = sometimes(r, 2, 50);
	f.reorder = sometimes(r, 2, 100);
	f.flip = sometimes(r, 2, 20);
	f.truncate = sometimes(r, 2, 20);
	f.mend = sometimes(r, 3, 30);
	f.stale = sometimes(r, 3, 20);
	return f;
}

static void draw_link(struct sim_world *w, struct sim_link *l)
{
	struct prng *r = &w->network;
	memset(l, 0, offsetof(struct sim_link, heap));
	l->random = r;
	l->faults = draw_faults(r);
	l->delay_ns = 10000ull << prng_below(r, 12);
	l->jitter_ns = prng_once_in(r, 2) ? 0 : l->delay_ns / 4;
	if (prng_once_in(r, 3)) {
		l->octet_ns = 1ull << prng_below(r, 10); /* 8 Gbit/s to 16 Mbit/s */
		l->queue_ns = l->octet_ns * (10000 << prng_below(r, 5));
	}
}

/* Nothing happens to these links by chance. */
static void calm(struct sim_world *w)
{
	w->in.faults = w->out.faults = (struct sim_faults){0};
	w->in.jitter_ns = w->out.jitter_ns = 0;
	w->in.octet_ns = w->out.octet_ns = 0;
	w->nic.refuse = 0;
	w->nic.packet_ns = 0;
	w->incident_count = 0;
	w->peer.reneges = w->peer.shrinks = w->peer.forges = false;
}

/* ---- incidents ---- */

static void add_incident(struct sim_world *w, struct sim_incident incident)
{
	if (w->incident_count < INCIDENTS)
		w->incidents[w->incident_count++] = incident;
}

static void draw_partitions(struct sim_world *w)
{
	struct prng *r = &w->network;
	if (!prng_once_in(r, 4))
		return;
	for (uint64_t n = 1 + prng_below(r, 2); n > 0; n--)
		add_incident(w, (struct sim_incident){.kind = CUT_OUT + (uint32_t)prng_below(r, 3),
						      .at_offset = prng_below(r, w->total),
						      .for_ns = prng_below(r, (10 * MS) << prng_below(r, 11))});
}

static void draw_mtus(struct sim_world *w)
{
	struct prng *r = &w->network;
	if (!prng_once_in(r, 4))
		return;
	uint32_t smaller = 576 + (uint32_t)prng_below(r, w->mtu - 576 + 1);
	uint64_t at_offset = prng_below(r, w->total);
	add_incident(w, (struct sim_incident){.kind = SMALLER_MTU, .at_offset = at_offset, .mtu = smaller});
	if (prng_once_in(r, 2))
		add_incident(w, (struct sim_incident){.kind = LARGER_MTU,
						      .at_offset = at_offset + prng_below(r, w->total - at_offset),
						      .mtu = 9000});
}

static void draw_jumps(struct sim_world *w)
{
	struct prng *r = &w->device;
	if (!prng_once_in(r, 4))
		return;
	add_incident(w, (struct sim_incident){.kind = JUMP,
					      .at_offset = prng_below(r, w->total),
					      .for_ns = prng_once_in(r, 2) ? 1000 * MS : prng_below(r, 1000 * MS)});
}

/* ---- how it ends ---- */

/* Nearly always in order. Where silence is to end it, nothing else may. */
static void draw_ending(struct sim_world *w, struct tcp_config *config)
{
	struct prng *r = &w->manners;
	uint64_t at_offset = prng_below(r, w->total - 32768);
	w->ending = prng_once_in(r, 16) ? RESET + (enum sim_ending)prng_below(r, 4) : ORDERLY;
	if (w->ending == RESET)
		w->peer.reset_offset = at_offset;
	if (w->ending == ABORTED)
		add_incident(w, (struct sim_incident){.kind = ABORT, .at_offset = at_offset});
	if (w->ending == LOST) {
		calm(w);
		config->user_timeout_ns = 20000 * MS;
		add_incident(w, (struct sim_incident){.kind = SILENCE, .at_offset = at_offset});
	}
	if (w->ending == UNANSWERED) {
		calm(w);
		config->connect_timeout_ns = 3000 * MS;
		add_incident(w, (struct sim_incident){.kind = SILENCE});
	}
}

/* ---- all of it ---- */

static void draw_device(struct sim_world *w)
{
	struct prng *r = &w->device;
	struct sim_nic *nic = &w->nic;
	nic->slots = prng_once_in(r, 3) ? 4u << prng_below(r, 3) : SLOTS_MAX;
	nic->packet_ns = prng_once_in(r, 3) ? 100ull << prng_below(r, 9) : 0;
	nic->refuse = sometimes(r, 4, 20);
	nic->head = nic->tail = nic->received = 0;
}

static void draw_config(struct sim_world *w, struct tcp_config *config)
{
	static const uint16_t mtus[] = {576, 1500, 1500, 1500, 9000};
	struct prng *r = &w->application;
	tcp_config_init(config);
	config->mtu = mtus[prng_below(r, 5)];
	config->receive_bytes = 4096u << prng_below(r, 5);
	config->connect_timeout_ns = config->user_timeout_ns = 0;
	config->rto_max_ns = 2000 * MS;
	config->time_wait_ns = 1000 * MS;
	config->delayed_ack_ns = prng_once_in(r, 2) ? 0 : MS;
	config->control = (enum tcp_control)prng_below(r, 3);
	config->cwnd_max_bytes = 65536u << prng_below(r, 6);
	config->keepalive_idle_ns = prng_once_in(r, 3) ? 50 * MS : 0;
	config->keepalive_interval_ns = 20 * MS;
	config->keepalive_probes = 100000;
	config->ecn = !prng_once_in(r, 3);
	config->restart_after_idle = prng_once_in(r, 4);
	config->fill_checksum = prng_once_in(r, 2);
	config->tso_bytes = config->fill_checksum ? 0 : (uint32_t)prng_below(r, TSO_MAX);
}

/* A feed whose bursts lose nothing but their ends, to a peer that speaks SACK and reads: no timeout may be needed. */
static void lose_tails_only(struct sim_world *w)
{
	w->tails_only = true;
	calm(w);
	w->out.faults.tail = 200;
	w->peer.sack = true;
	w->peer.window = w->peer.full_window = 65535;
	w->peer.read_octets = 1u << 20;
}

/* Hundreds of small segments in flight, with gaps all over: more than the scoreboard has records for. */
static void crowd(struct sim_world *w)
{
	w->config.control = TCP_NO_CONTROL;
	w->config.cwnd_max_bytes = 1u << 20;
	w->out.faults = (struct sim_faults){.loss = 200 + (uint32_t)prng_below(&w->network, 300)};
	w->out.octet_ns = 0;
	w->nic.packet_ns = 0;
	w->feed = false;
	w->peer.sack = true;
	w->peer.mss = 536;
	w->peer.scale = 3;
	w->peer.window = w->peer.full_window = PEER_WINDOW_MAX;
}

static void draw_application(struct sim_world *w)
{
	struct prng *r = &w->application;
	w->now_ns = w->started_ns = prng_below(r, 1ull << 52);
	w->feed = prng_once_in(r, 3);
	w->total = TOTAL_MIN + (w->feed ? 0 : prng_below(r, TOTAL_MAX - TOTAL_MIN));
	w->heal_offset = prng_once_in(r, 3) ? prng_below(r, w->total) : NEVER;
}

static void open_connection(struct sim_world *w, const struct tcp_config *config)
{
	struct prng *r = &w->application;
	struct tcp_tuple tuple = {1, 2, 40000, 5672};
	uint32_t isn = prng_once_in(r, 2) ? UINT32_MAX - (uint32_t)prng_below(r, 60000) : (uint32_t)prng_next(r);
	w->t = tcp_init(tcp_memory, config);
	extents_init(&w->tx);
	w->highest = w->ours_furthest = isn;
	sim_model_init(&w->model, isn);
	if (tcp_open(w->t, &tuple, isn, &w->tx, w->now_ns))
		sim_fail(w, "tcp_open");
}

void sim_world_draw(struct sim_world *w, uint64_t seed)
{
	memset(w, 0, offsetof(struct sim_world, control));
	w->seed = seed;
	w->network = generator(seed, 0);
	w->manners = generator(seed, 1);
	w->application = generator(seed, 2);
	w->device = generator(seed, 3);
	w->icmp_at_ns = w->silent_ns = NEVER;
	draw_application(w);
	draw_config(w, &w->config);
	draw_link(w, &w->out);
	draw_link(w, &w->in);
	sim_peer_init(&w->peer, &w->manners, &w->in, sim_stream);
	draw_device(w);
	w->mtu = w->config.mtu;
	draw_partitions(w);
	draw_mtus(w);
	draw_jumps(w);
	draw_ending(w, &w->config);
	if (w->ending == ORDERLY && w->feed && prng_once_in(&w->manners, 4))
		lose_tails_only(w);
	struct prng rare = generator(seed, 4);
	if (w->ending == ORDERLY && !w->tails_only && prng_once_in(&rare, 512))
		crowd(w);
	open_connection(w, &w->config);
}
