/* Time: what happens when, until all is over. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/net/icmp.h"
#include "tests/lib/nic.h"
#include "tests/sim/sim_tcp_world.h"

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool away(const struct sim_world *w)
{
	return w->now_ns < w->away_until_ns;
}

/* ---- incidents ---- */

static void heal(struct sim_world *w)
{
	w->healed = true;
	w->healed_ns = w->now_ns;
	for (int i = 0; i < 2; i++) {
		sim_links(w, i)->faults = (struct sim_faults){0};
		sim_links(w, i)->burst_left = 0;
		sim_links(w, i)->cut_until_ns = min64(sim_links(w, i)->cut_until_ns, w->now_ns);
	}
	w->nic.refuse = 0;
	sim_peer_heal(&w->peer);
	sim_trace_event(w, "the faults are over");
	sim_count(w, COUNT_HEALED);
}

static void cut_links(struct sim_world *w, const struct sim_incident *i)
{
	bool out = i->kind != CUT_IN, in = i->kind != CUT_OUT;
	sim_count(w, out && in ? COUNT_CUT_FULL : COUNT_CUT_ONE_WAY);
	if (out)
		w->out.cut_until_ns = w->now_ns + i->for_ns;
	if (in)
		w->in.cut_until_ns = w->now_ns + i->for_ns;
	sim_trace_event(w, "a partition of %.3f s: %s", (double)i->for_ns / 1e9,
			out && in ? "both ways"
			: out     ? "nothing of ours arrives"
				  : "nothing arrives here");
}

static void change_mtu(struct sim_world *w, const struct sim_incident *i)
{
	sim_count(w, i->kind == SMALLER_MTU ? COUNT_MTU_SMALLER : COUNT_MTU_LARGER);
	w->mtu = i->mtu;
	sim_trace_event(w, "the path's MTU is %u", i->mtu);
}

static void happen(struct sim_world *w, const struct sim_incident *i)
{
	switch (i->kind) {
	case CUT_OUT:
	case CUT_IN:
	case CUT_BOTH:
		cut_links(w, i);
		break;
	case SMALLER_MTU:
	case LARGER_MTU:
		change_mtu(w, i);
		break;
	case JUMP:
		sim_count(w, COUNT_JUMP);
		w->away_until_ns = w->now_ns + i->for_ns;
		sim_trace_event(w, "the clock jumps by %.3f s", (double)i->for_ns / 1e9);
		break;
	case ABORT:
		sim_trace_event(w, "aborted");
		tcp_abort(w->t, w->now_ns);
		break;
	case SILENCE:
		sim_trace_event(w, "silence");
		w->silent_ns = w->now_ns;
		w->out.cut_until_ns = w->in.cut_until_ns = NEVER;
	}
}

static bool harmless(const struct sim_incident *i)
{
	return i->kind == LARGER_MTU || i->kind == ABORT || i->kind == SILENCE;
}

static void run_incidents(struct sim_world *w)
{
	uint64_t acked = tcp_acked(w->t);
	for (uint32_t n = 0; n < w->incident_count; n++) {
		struct sim_incident *i = &w->incidents[n];
		if (i->happened || acked < i->at_offset || (w->healed && !harmless(i)))
			continue;
		i->happened = true;
		happen(w, i);
	}
	bool late = w->now_ns - w->started_ns > FAULTS_UNTIL || acked >= w->heal_offset;
	if (!w->healed && late && w->ending != LOST && w->ending != UNANSWERED)
		heal(w);
}

/* ---- the application ---- */

static void push_some(struct sim_world *w, uint64_t end)
{
	struct prng *r = &w->application;
	while (w->tx.end < end && tcp_may_push(w->t) > 0) {
		uint64_t n = 1 + prng_below(r, prng_once_in(r, 2) ? 300 : 5000);
		enum extent_kind kind = prng_once_in(r, 3) ? EXTENT_CONTROL : EXTENT_LOG;
		n = min64(n, end - w->tx.end);
		if (!extents_push(&w->tx, sim_stream + w->tx.end, n, kind))
			return;
		memset(w->control + (w->tx.end - n), kind == EXTENT_CONTROL, n);
		tcp_pushed(w->t);
	}
}

/* Pushes what TCP may send, in pieces of any size, and closes when all is pushed. */
static void push(struct sim_world *w)
{
	struct prng *r = &w->application;
	uint64_t end = w->total;
	if (tcp_state_of(w->t) == TCP_CLOSED)
		return;
	if (w->feed && w->now_ns >= w->push_at_ns && tcp_synchronized(w->t)) {
		w->push_at_ns = w->now_ns + 10000 + prng_below(r, (10 * MS) << prng_below(r, 4));
		end = w->tx.end + 1 + prng_below(r, 4000);
	} else if (w->feed) {
		end = 0;
	}
	push_some(w, min64(end, w->total));
	if (w->tx.end == w->total && !w->closed) {
		w->closed = true;
		tcp_close(w->t, w->now_ns);
	}
}

static void take(struct sim_world *w)
{
	struct prng *r = &w->application;
	uint32_t len;
	const uint8_t *p = tcp_readable(w->t, &len);
	if (len == 0 || w->now_ns < w->read_after_ns)
		return;
	w->read_after_ns = w->now_ns;
	if (prng_once_in(r, 3))
		w->read_after_ns += prng_once_in(r, 30) ? 300 * MS : MS;
	if (w->read + len > w->peer.send_total || memcmp(p, sim_stream + w->read, len) != 0)
		sim_fail(w, "a received octet is wrong");
	tcp_consume(w->t, len, w->now_ns);
	w->read += len;
}

/* ---- the path ---- */

static void send_icmp(struct sim_world *w, const uint8_t *packet)
{
	struct prng *r = &w->network;
	sim_count(w, COUNT_TOO_BIG);
	if (w->icmp_at_ns != NEVER || prng_once_in(r, 3)) {
		sim_count(w, COUNT_ICMP_LOST);
		return;
	}
	w->icmp_at_ns = w->now_ns + w->out.delay_ns / 2 + w->in.delay_ns / 2;
	w->icmp_seq = (uint32_t)packet[24] << 24 | (uint32_t)packet[25] << 16 | (uint32_t)packet[26] << 8 | packet[27];
	w->icmp_mtu = prng_once_in(r, 4) ? 0 : (uint16_t)(prng_once_in(r, 16) ? 68 : w->mtu);
	if (prng_once_in(r, 8)) {
		w->icmp_seq = (uint32_t)prng_next(r);
		sim_count(w, COUNT_ICMP_FORGED);
	}
}

static void take_icmp(struct sim_world *w)
{
	if (w->now_ns < w->icmp_at_ns)
		return;
	uint16_t before = w->t->path_mtu;
	w->icmp_at_ns = NEVER;
	sim_check_before(w);
	tcp_icmp(w->t, ICMP_DESTINATION_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, w->icmp_seq, w->icmp_mtu, w->now_ns);
	sim_count(w, w->t->path_mtu < before ? COUNT_MTU_LEARNED : COUNT_ICMP_IGNORED);
	sim_trace_event(w, "a router says that the next MTU is %u: ours is %u", w->icmp_mtu, w->t->path_mtu);
	sim_check_timer_done(w);
}

/* ---- the device ---- */

/* One segment, as it reaches the wire. */
static void emit(void *context, const uint8_t *packet, size_t len)
{
	struct sim_world *w = context;
	uint64_t before[SIM_LINK_HITS];
	sim_check_sent(w, packet, len);
	if (w->refused || len > w->mtu) {
		sim_trace_segment(w, ">", packet, len, w->refused ? "the device loses it" : "too big for the path");
		if (!w->refused)
			send_icmp(w, packet);
		return;
	}
	memcpy(before, w->out.hits, sizeof before);
	sim_link_send(&w->out, packet, len, w->now_ns);
	bool lost = w->out.hits[SIM_LOSS] + w->out.hits[SIM_BURST] + w->out.hits[SIM_CUT] + w->out.hits[SIM_TAIL] +
			    w->out.hits[SIM_OVERFLOW] >
		    before[SIM_LOSS] + before[SIM_BURST] + before[SIM_CUT] + before[SIM_TAIL] + before[SIM_OVERFLOW];
	sim_trace_segment(w, ">", packet, len, lost ? "lost" : NULL);
}

static bool tx_full(struct sim_world *w)
{
	struct sim_nic *n = &w->nic;
	while (n->head != n->tail && n->left_at_ns[n->head % SLOTS_MAX] <= w->now_ns)
		n->head++;
	return n->tail - n->head == n->slots;
}

static void tx_take(struct sim_world *w)
{
	struct sim_nic *n = &w->nic;
	if (n->packet_ns == 0)
		return;
	uint64_t from_ns = n->head == n->tail ? w->now_ns : n->left_at_ns[(n->tail - 1) % SLOTS_MAX];
	n->left_at_ns[n->tail++ % SLOTS_MAX] = from_ns + n->packet_ns;
}

/* When a descriptor is free again, if somebody waits for one. */
static uint64_t tx_next(const struct sim_world *w)
{
	const struct sim_nic *n = &w->nic;
	return n->tail - n->head == n->slots ? n->left_at_ns[n->head % SLOTS_MAX] : NEVER;
}

/* Sums and cuts where the seed has chosen a device that does. */
static void transmit(struct sim_world *w, const uint8_t *packet, size_t len)
{
	tx_take(w);
	sim_count(w, COUNT_PACKETS);
	w->refused = w->nic.refuse && prng_below(&w->device, 1000) < w->nic.refuse;
	w->counts[COUNT_TX_REFUSED] += w->refused;
	uint32_t cut = tcp_segment_bytes(w->t, len);
	w->counts[COUNT_TSO] += cut > 0;
	if (w->config.fill_checksum)
		emit(w, packet, len);
	else
		nic_transmit(packet, len, cut, emit, w);
}

/* Returns whether tcp has nothing more to say. */
static bool output(struct sim_world *w)
{
	static uint8_t packet[65535];
	for (uint32_t n = 0; n < 4000; n++) {
		if (tx_full(w)) {
			w->counts[COUNT_TX_FULL] += tcp_output_due(w->t);
			return false;
		}
		sim_check_before(w);
		size_t len = tcp_output(w->t, packet, sizeof packet, w->now_ns);
		if (len == 0)
			return true;
		transmit(w, packet, len);
		sim_check_output_done(w);
		if (w->failure)
			return true;
	}
	sim_fail(w, "output never ends");
	return true;
}

static bool ours(const struct tcp_tuple *tuple)
{
	return tuple->local_ip == 1 && tuple->remote_ip == 2 && tuple->local_port == 40000 &&
	       tuple->remote_port == 5672;
}

static void hear(struct sim_world *w, const struct sim_packet *packet)
{
	struct tcp_segment segment;
	/* an allocation of its own, so that the sanitizers see any read beyond the packet */
	uint8_t *copy = malloc(packet->len ? packet->len : 1);
	memcpy(copy, packet->bytes, packet->len);
	bool good = tcp_segment_parse(copy, packet->len, true, &segment) == 0 && ours(&segment.tuple);
	sim_trace_segment(w, "<", copy, packet->len, good ? NULL : "not for us");
	if (good) {
		sim_check_before(w);
		sim_check_input(w, &segment);
		w->predicted = !tcp_input(w->t, &segment, w->now_ns);
		w->counts[COUNT_PREDICTED] += w->predicted;
		sim_check_input_done(w, &segment);
	}
	free(copy);
}

/* While nobody polls, what comes fills the ring. */
static void receive(struct sim_world *w)
{
	static struct sim_packet packet;
	struct sim_nic *n = &w->nic;
	if (!away(w)) {
		for (uint32_t i = 0; i < n->received && !w->failure; i++)
			hear(w, &n->ring[i]);
		n->received = 0;
	}
	while (!w->failure && sim_link_receive(&w->in, w->now_ns, &packet)) {
		if (!away(w))
			hear(w, &packet);
		else if (n->received < n->slots)
			n->ring[n->received++] = packet;
		else
			sim_count(w, COUNT_RX_DROPPED);
	}
}

/* ---- time ---- */

static void run_timers(struct sim_world *w)
{
	if (tcp_deadline(w->t) > w->now_ns)
		return;
	sim_check_before(w);
	tcp_timer(w->t, w->now_ns);
	sim_check_timer_done(w);
}

static void step(struct sim_world *w)
{
	static struct sim_packet packet;
	run_incidents(w);
	while (sim_link_receive(&w->out, w->now_ns, &packet))
		sim_peer_input(&w->peer, &packet, w->now_ns);
	sim_peer_timer(&w->peer, w->now_ns);
	receive(w);
	if (away(w) || w->failure)
		return;
	take_icmp(w);
	run_timers(w);
	take(w);
	push(w);
	sim_check_step(w, output(w));
}

static uint64_t next_of_ours(const struct sim_world *w)
{
	uint32_t readable;
	uint64_t next = min64(min64(tcp_deadline(w->t), tx_next(w)), w->icmp_at_ns);
	if (away(w))
		return w->away_until_ns;
	tcp_readable(w->t, &readable);
	if (readable)
		next = min64(next, w->read_after_ns > w->now_ns ? w->read_after_ns : w->now_ns + MS);
	if (w->feed && w->tx.end < w->total && tcp_synchronized(w->t))
		next = min64(next, w->push_at_ns);
	return next;
}

/*
 * Silence that begins when all is sent and acknowledged is noticed by nobody: FIN-WAIT-2 only listens (RFC 9293, 3.6),
 * and how long is for its user to say.
 */
static bool waits_for_ever(const struct sim_world *w)
{
	bool silent = w->now_ns >= w->silent_ns && sim_link_next(&w->in) == NEVER;
	return w->ending == LOST && silent && tcp_state_of(w->t) == TCP_FIN_WAIT_2;
}

static bool finished(const struct sim_world *w)
{
	enum tcp_state state = tcp_state_of(w->t);
	if (w->ending != ORDERLY)
		return (state == TCP_CLOSED && !w->t->reset_due) || waits_for_ever(w);
	return w->closed && (state == TCP_TIME_WAIT || state == TCP_CLOSED) && w->read == w->peer.send_total;
}

static void advance(struct sim_world *w)
{
	uint64_t next = min64(sim_link_next(&w->out), sim_link_next(&w->in));
	next = min64(next, min64(next_of_ours(w), sim_peer_next(&w->peer)));
	if (next == NEVER && !finished(w))
		sim_fail(w, "nothing will ever happen again");
	else if (next > w->now_ns)
		w->now_ns = next;
	uint64_t since_ns = w->healed ? w->healed_ns : w->silent_ns != NEVER ? w->silent_ns : w->started_ns;
	if (w->now_ns - since_ns > DRAIN_WITHIN)
		sim_fail(w, "not finished in time");
}

bool sim_world_run(struct sim_world *w)
{
	while (!w->failure && !finished(w)) {
		step(w);
		if (!w->failure && !finished(w))
			advance(w);
	}
	if (!w->failure)
		sim_check_end(w);
	return !w->failure;
}
