/*
 * sim_tcp --seeds N --from S: our TCP against a model of the broker's, over a network that misbehaves as the seed says.
 * Every seed moves at least 64 KiB and has to end orderly, with every octet where it belongs, in bounded virtual time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/tcp_internal.h"
#include "tests/lib/nic.h"
#include "tests/sim/sim_peer.h"

#define MS           1000000ull
#define FAULTS_UNTIL (60000 * MS)  /* then the network heals ... */
#define DRAIN_WITHIN (600000 * MS) /* ... and everything has to end by then */
#define PUSH_MAX     (1u << 18)
#define TSO_MAX      65000u

struct world {
	uint64_t seed, now_ns, started_ns, total;
	struct prng random;
	struct tcp *t;
	struct extent_queue tx;
	struct sim_link out, in; /* ours to theirs, theirs to ours */
	struct sim_peer peer;
	uint64_t read;       /* octets of the peer's stream taken */
	uint64_t push_at_ns; /* a feed: bursts of messages, with pauses; 0: as much as TCP takes */
	bool feed, tails_only;
	uint32_t highest;           /* sequence number that has left */
	uint64_t packets, segments; /* handed to the NIC, and sent by it */
	bool healed, closed;
	bool verbose;
	const char *failure;
};

static uint8_t stream[PUSH_MAX];
static _Alignas(64) uint8_t tcp_memory[1 << 17];

static void fail(struct world *w, const char *why)
{
	if (!w->failure)
		w->failure = why;
}

static struct sim_faults draw_faults(struct prng *r)
{
	struct sim_faults f = {.tail = prng_once_in(r, 4) ? (uint32_t)prng_below(r, 300) : 0};
	if (prng_once_in(r, 8))
		return f;
	f.mark = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 100) : 0;
	f.spike = prng_once_in(r, 3) ? (uint32_t)prng_below(r, 10) : 0;
	f.loss = (uint32_t)prng_below(r, prng_once_in(r, 4) ? 200 : 30);
	f.burst_loss = prng_once_in(r, 3) ? (uint32_t)prng_below(r, 10) : 0;
	f.duplicate = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 50) : 0;
	f.reorder = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 100) : 0;
	f.flip = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 20) : 0;
	f.truncate = prng_once_in(r, 2) ? (uint32_t)prng_below(r, 20) : 0;
	return f;
}

static void link_init(struct world *w, struct sim_link *l)
{
	memset(l, 0, offsetof(struct sim_link, packets));
	memset(l->hits, 0, sizeof l->hits);
	l->random = &w->random;
	l->faults = draw_faults(&w->random);
	l->delay_ns = 10000ull << prng_below(&w->random, 12);
	l->jitter_ns = prng_once_in(&w->random, 2) ? 0 : l->delay_ns / 4;
}

/* A feed whose bursts lose nothing but their ends, to a peer that speaks SACK and reads: no timeout may be needed. */
static void lose_tails_only(struct world *w)
{
	w->tails_only = true;
	w->in.faults = (struct sim_faults){0};
	w->out.faults = (struct sim_faults){.tail = 200};
	w->in.jitter_ns = w->out.jitter_ns = 0;
	w->peer.sack = true;
	w->peer.reneges = false;
	w->peer.window = 65535;
	w->peer.read_octets = 1u << 20;
}

static void world_init(struct world *w, uint64_t seed)
{
	memset(w, 0, offsetof(struct world, out));
	w->read = w->packets = w->segments = 0;
	w->healed = w->closed = w->verbose = w->tails_only = false;
	w->push_at_ns = 0;
	w->failure = NULL;
	w->seed = seed;
	w->random.state = seed;
	w->now_ns = w->started_ns = prng_below(&w->random, 1ull << 52);
	w->feed = prng_once_in(&w->random, 3);
	w->total = 65536 + (w->feed ? 0 : prng_below(&w->random, PUSH_MAX - 65536));
	link_init(w, &w->out);
	link_init(w, &w->in);
	sim_peer_init(&w->peer, &w->random, &w->in);
	if (w->feed && prng_once_in(&w->random, 4))
		lose_tails_only(w);
	struct tcp_config config;
	tcp_config_init(&config);
	config.mtu = prng_once_in(&w->random, 4) ? 576 : 1500;
	config.receive_bytes = 4096u << prng_below(&w->random, 5);
	config.connect_timeout_ns = config.user_timeout_ns = 0;
	config.rto_max_ns = 2000 * MS;
	config.time_wait_ns = 1000 * MS;
	config.delayed_ack_ns = prng_once_in(&w->random, 2) ? 0 : MS;
	config.control = (enum tcp_control)prng_below(&w->random, 3);
	config.cwnd_max_bytes = 65536u << prng_below(&w->random, 6);
	config.keepalive_idle_ns = prng_once_in(&w->random, 3) ? 50 * MS : 0;
	config.keepalive_interval_ns = 20 * MS;
	config.keepalive_probes = 100000;
	config.ecn = !prng_once_in(&w->random, 3);
	config.restart_after_idle = prng_once_in(&w->random, 4);
	config.fill_checksum = prng_once_in(&w->random, 2);
	config.tso_bytes = config.fill_checksum ? 0 : (uint32_t)prng_below(&w->random, TSO_MAX);
	w->t = tcp_init(tcp_memory, &config);
	extents_init(&w->tx);
	struct tcp_tuple tuple = {1, 2, 40000, 5672};
	uint32_t isn = (uint32_t)prng_next(&w->random);
	if (prng_once_in(&w->random, 2))
		isn = UINT32_MAX - (uint32_t)prng_below(&w->random, 60000);
	w->highest = isn;
	if (tcp_open(w->t, &tuple, isn, &w->tx, w->now_ns))
		fail(w, "tcp_open");
}

/* Records cover exactly what is in flight, in order; what they say adds up. */
static void check_scoreboard(struct world *w)
{
	const struct tcp *t = w->t;
	uint32_t sacked = 0, lost = 0, start = t->snd_una, count = tcp_record_count(t);
	for (uint32_t i = 0; i < count; i++) {
		const struct tcp_record *r = tcp_record_at(t, i);
		if (!seq_lt(start, r->end) || r->at_ns > w->now_ns)
			fail(w, "a record is empty or of the future");
		if ((r->flags & (TCP_SACKED | TCP_LOST)) == (TCP_SACKED | TCP_LOST))
			fail(w, "a record is both SACKed and lost");
		sacked += r->flags & TCP_SACKED ? r->end - start : 0;
		lost += r->flags & TCP_LOST ? r->end - start : 0;
		start = r->end;
	}
	if (t->state != TCP_CLOSED && (start != t->snd_nxt || count > TCP_RECORDS))
		fail(w, "the records do not cover what is in flight");
	if (lost && t->recovery.phase == TCP_PHASE_OPEN)
		fail(w, "something is lost and nobody recovers it");
	if (sacked != t->scoreboard.sacked_octets || lost != t->scoreboard.lost_octets)
		fail(w, "the scoreboard does not add up");
}

static void check(struct world *w)
{
	const struct tcp *t = w->t;
	if (w->peer.wrong)
		fail(w, "an octet was delivered in the wrong place");
	if (tcp_acked(t) > w->peer.received)
		fail(w, "acknowledged what was not received");
	if (tcp_sent(t) > w->tx.end || tcp_acked(t) > tcp_sent(t))
		fail(w, "cursors out of order");
	if (tcp_synchronized(t) && tcp_flight(t) > t->snd_wnd_max + 1)
		fail(w, "more in flight than any window allowed");
	if (tcp_synchronized(t) && t->congestion.cwnd > t->config.cwnd_max_bytes)
		fail(w, "the congestion window is beyond its limit");
	if (tcp_synchronized(t) && t->config.control == TCP_NO_CONTROL &&
	    t->congestion.cwnd != t->config.cwnd_max_bytes)
		fail(w, "a window that nobody controls has moved");
	bool outstanding = t->state != TCP_CLOSED &&
			   (t->snd_una != t->snd_nxt || w->tx.end > tcp_sent(t) || t->state == TCP_SYN_SENT);
	if (outstanding && tcp_deadline(t) == TCP_NEVER)
		fail(w, "data is outstanding and no timer runs");
	check_scoreboard(w);
	if (w->segments != t->counters.segments_sent)
		fail(w, "segments are miscounted");
	if (t->state == TCP_CLOSED && tcp_error(t))
		fail(w, "the connection was lost");
}

/* The application: pushes what TCP may send, in pieces of any size, and closes when all is pushed. */
static void push(struct world *w)
{
	uint64_t burst_end = w->total;
	if (w->feed && w->now_ns >= w->push_at_ns && tcp_synchronized(w->t)) {
		w->push_at_ns = w->now_ns + 10000 + prng_below(&w->random, (10 * MS) << prng_below(&w->random, 4));
		burst_end = w->tx.end + 1 + prng_below(&w->random, 2000);
	} else if (w->feed) {
		burst_end = 0;
	}
	burst_end = burst_end < w->total ? burst_end : w->total;
	while (w->tx.end < burst_end && tcp_may_push(w->t) > 0) {
		uint64_t n = 1 + prng_below(&w->random, prng_once_in(&w->random, 2) ? 300 : 5000);
		n = n < burst_end - w->tx.end ? n : burst_end - w->tx.end;
		if (!extents_push(&w->tx, stream + w->tx.end, n, prng_once_in(&w->random, 3)))
			break;
		tcp_pushed(w->t);
	}
	if (w->tx.end == w->total && !w->closed) {
		w->closed = true;
		tcp_close(w->t, w->now_ns);
	}
}

static void take(struct world *w)
{
	uint32_t len;
	const uint8_t *p = tcp_readable(w->t, &len);
	if (len && !prng_once_in(&w->random, 3)) {
		for (uint32_t i = 0; i < len; i++)
			if (p[i] != sim_octet(w->read + i))
				fail(w, "a received octet is wrong");
		tcp_consume(w->t, len, w->now_ns);
		w->read += len;
	}
}

/* RFC 3168, 6.1: new data alone is ECT, but for probes of a closed window. */
static void check_ect(struct world *w, const struct wire_segment *s)
{
	bool fresh = s->len && seq_gt(s->seq + s->len, w->highest);
	w->highest = fresh ? s->seq + s->len : w->highest;
	if (s->ecn && (!fresh || !w->t->ecn.on))
		fail(w, "a segment is ECT and should not be");
	if (!s->ecn && fresh && w->t->ecn.on && w->t->snd_wnd > 0)
		fail(w, "new data is not ECT");
}

/* One segment, as it reaches the wire. */
static void emit(void *context, const uint8_t *packet, size_t len)
{
	struct world *w = context;
	struct wire_segment s;
	if (!wire_parse(packet, len, &s))
		fail(w, "a segment of ours is malformed");
	if (w->verbose)
		printf("%12.6f > seq %u len %u ack %u win %u flags %02x cwnd %u timeouts %u probes %u\n",
		       (double)(w->now_ns - w->started_ns) / 1e9, s.seq - w->t->isn, s.len, s.ack - w->peer.isn,
		       s.window, s.flags, w->t->congestion.cwnd, (unsigned)w->t->counters.rto_fired,
		       (unsigned)w->t->counters.tlp_probes);
	check_ect(w, &s);
	w->segments++;
	sim_link_send(&w->out, packet, len, w->now_ns);
}

/* The link sums and cuts as a NIC would, where the seed has chosen one that does. */
static void output(struct world *w)
{
	static uint8_t packet[65535];
	size_t len;
	uint32_t n = 0;
	while ((len = tcp_output(w->t, packet, sizeof packet, w->now_ns)) > 0) {
		if (++n > 2000) {
			fail(w, "output never ends");
			return;
		}
		if (w->t->config.fill_checksum)
			emit(w, packet, len);
		else
			nic_transmit(packet, len, tcp_segment_bytes(w->t, len), emit, w);
		w->packets++;
	}
}

static void receive(struct world *w)
{
	struct sim_packet packet;
	struct tcp_segment segment;
	while (sim_link_receive(&w->out, w->now_ns, &packet))
		sim_peer_input(&w->peer, &packet, w->now_ns);
	while (sim_link_receive(&w->in, w->now_ns, &packet)) {
		/* an allocation of its own, so that the sanitizers see any read beyond the packet */
		uint8_t *copy = malloc(packet.len ? packet.len : 1);
		memcpy(copy, packet.bytes, packet.len);
		if (tcp_segment_parse(copy, packet.len, true, &segment) == 0) {
			if (w->verbose)
				printf("%12.6f < seq %u len %u ack %u win %u flags %02x sacks %u\n",
				       (double)(w->now_ns - w->started_ns) / 1e9, segment.seq - w->peer.isn,
				       segment.payload_len, segment.ack - w->t->isn, segment.window, segment.flags,
				       segment.sack_count);
			tcp_input(w->t, &segment, w->now_ns);
			check_scoreboard(w);
		}
		free(copy);
	}
}

static bool finished(const struct world *w)
{
	enum tcp_state state = tcp_state_of(w->t);
	return w->closed && (state == TCP_TIME_WAIT || state == TCP_CLOSED) && w->read == w->peer.send_total;
}

static void step(struct world *w)
{
	receive(w);
	sim_peer_timer(&w->peer, w->now_ns);
	tcp_timer(w->t, w->now_ns);
	take(w);
	push(w);
	output(w);
	check(w);
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void heal(struct world *w)
{
	w->healed = true;
	w->out.faults = w->in.faults = (struct sim_faults){0};
}

static bool run(struct world *w)
{
	while (!w->failure && !finished(w)) {
		step(w);
		uint64_t next = min64(sim_link_next(&w->out), sim_link_next(&w->in));
		next = min64(next, min64(tcp_deadline(w->t), sim_peer_next(&w->peer)));
		uint32_t readable;
		tcp_readable(w->t, &readable);
		if (readable)
			next = min64(next, w->now_ns + MS);
		if (w->feed && w->tx.end < w->total && tcp_synchronized(w->t))
			next = min64(next, w->push_at_ns);
		if (next == UINT64_MAX && !finished(w))
			fail(w, "nothing will ever happen again");
		w->now_ns = next > w->now_ns ? next : w->now_ns;
		if (!w->healed && w->now_ns - w->started_ns > FAULTS_UNTIL)
			heal(w);
		if (w->now_ns - w->started_ns > DRAIN_WITHIN)
			fail(w, "not finished in time");
	}
	if (w->tails_only && w->t->counters.rto_fired)
		fail(w, "a lost tail took a timeout");
	if (!w->failure && (w->peer.received != w->total || w->read != w->peer.send_total))
		fail(w, "ended before everything was delivered");
	return !w->failure;
}

struct summary {
	uint64_t hits[9];
	uint64_t fast, rto, probes, out_of_order, sacks, octets, rack, dsacks, tlp, tlp_recovered, tlp_needless,
		reneged, undo, spurious, ce, slowed, keepalive, packets, segments;
};

static void add_up(struct summary *s, const struct world *w)
{
	const struct tcp_counters *c = &w->t->counters;
	for (int i = 0; i < 9; i++)
		s->hits[i] += w->out.hits[i] + w->in.hits[i];
	s->fast += c->retransmits_fast;
	s->rto += c->rto_fired;
	s->probes += c->persist_probes;
	s->out_of_order += c->out_of_order;
	s->sacks += c->sack_blocks;
	s->octets += w->total;
	s->rack += c->rack_losses;
	s->dsacks += c->dsack_received;
	s->keepalive += c->keepalive_probes;
	s->ce += c->ecn_ce;
	s->slowed += c->ecn_reductions;
	s->undo += c->undo;
	s->spurious += c->spurious_rto;
	s->reneged += w->peer.reneged;
	s->tlp += c->tlp_probes;
	s->tlp_recovered += c->tlp_recovered;
	s->tlp_needless += c->tlp_needless;
	s->packets += w->packets;
	s->segments += w->segments;
}

static uint64_t argument(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

int main(int argc, char **argv)
{
	static struct world w;
	struct summary s = {0};
	uint64_t seeds = argument(argc, argv, "--seeds", 200), from = argument(argc, argv, "--from", 1);
	uint64_t trace = argument(argc, argv, "--trace", 0);
	for (uint32_t i = 0; i < PUSH_MAX; i++)
		stream[i] = sim_octet(i);
	for (uint64_t seed = from; seed < from + seeds; seed++) {
		world_init(&w, seed);
		w.verbose = trace;
		if (!run(&w)) {
			printf("seed %" PRIu64 ": %s (%s, %.3f s, acked %" PRIu64 " of %" PRIu64 ")\n"
			       "replay: sim_tcp --seeds 1 --from %" PRIu64 " --trace 1\n",
			       seed, w.failure, tcp_state_name(tcp_state_of(w.t)),
			       (double)(w.now_ns - w.started_ns) / 1e9, tcp_acked(w.t), w.total, seed);
			return 1;
		}
		add_up(&s, &w);
	}
	printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " octets: lost %" PRIu64 ", bursts %" PRIu64
	       ", duplicated %" PRIu64 ", reordered %" PRIu64 ", flipped %" PRIu64 ", cut %" PRIu64
	       ", tails lost %" PRIu64 ", spikes %" PRIu64 ", marks %" PRIu64 "\n",
	       seeds, from, s.octets, s.hits[0], s.hits[1], s.hits[2], s.hits[3], s.hits[4], s.hits[5], s.hits[6],
	       s.hits[7], s.hits[8]);
	printf("fast retransmits %" PRIu64 ", timeouts %" PRIu64 ", probes %" PRIu64 ", out of order %" PRIu64
	       ", SACK blocks %" PRIu64 ", losses found by RACK %" PRIu64 "\n",
	       s.fast, s.rto, s.probes, s.out_of_order, s.sacks, s.rack);
	printf("D-SACKs %" PRIu64 ", tail probes %" PRIu64 " (recovered %" PRIu64 ", needless %" PRIu64
	       "), reneged %" PRIu64 ", undone %" PRIu64 " (timeouts %" PRIu64 "), CE %" PRIu64 ", slowed %" PRIu64
	       "\n",
	       s.dsacks, s.tlp, s.tlp_recovered, s.tlp_needless, s.reneged, s.undo, s.spurious, s.ce, s.slowed);
	printf("keepalives %" PRIu64 "; %" PRIu64 " segments in %" PRIu64 " packets\n", s.keepalive, s.segments,
	       s.packets);
	return 0;
}
