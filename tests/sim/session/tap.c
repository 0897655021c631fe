/*
 * What leaves our NIC, read as a broker that loses nothing would: order, flags and octets of every message, and where
 * one was cut off.
 */
#include <string.h>

#include "tests/sim/session/session.h"

/* In this generation of the channel everything without an outcome goes out again, in order; nothing is left out. */
static void check_none_skipped(struct producer *p, uint64_t id)
{
	uint64_t from = p->tap.last_id ? p->tap.last_id + 1 : p->low_id;
	for (uint64_t skipped = from; skipped < id; skipped++)
		if (account_outcome(p, skipped) == OUTCOME_PENDING)
			fail(p->world, "a message is sent before an older one that has no outcome", skipped);
}

/*
 * An octet of it has left, or perhaps. What had left in earlier generations decides about the flag. What leaves behind
 * the broker's channel.close is thrown away there: at most once may send it again.
 */
void tap_begun(struct producer *p, uint64_t id, bool surely, bool thrown_away)
{
	struct record *r = &p->records[id];
	if (r->begun != p->tap.generation) {
		enum begun before = r->begun_surely ? BEGUN : BEGUN_PERHAPS;
		r->prior = r->begun && before > r->prior ? before : r->prior;
		r->prior_taken |= r->begun_surely && !r->thrown_away;
		r->begun = p->tap.generation;
		r->begun_surely = false;
		r->thrown_away = thrown_away;
	}
	r->begun_surely |= surely;
	if (p->options.at_most_once && r->prior_taken && r->begun_surely)
		fail(p->world, "at most once, and sent twice", id);
}

static void check_flag(struct producer *p, uint64_t id, const struct intake_message *m)
{
	const struct record *r = &p->records[id];
	if (!m->has_flag)
		return;
	if (m->flag && r->prior == NOT_BEGUN)
		fail(p->world, "flagged, and no octet of it had been sent before", id);
	if (!m->flag && r->prior == BEGUN)
		fail(p->world, "not flagged, and an octet of it had been sent before", id);
}

static void count_replay(struct producer *p, uint64_t id, const struct intake_message *m)
{
	struct tap *tap = &p->tap;
	struct world *w = p->world;
	if (p->records[id].prior) {
		hit(w, HIT_REPLAYED);
		if (m->flag)
			hit(w, HIT_REPLAYED_FLAGGED);
		if (tap->last_id && id > tap->last_id + 1)
			hit(w, HIT_REPLAY_SKIPS);
	} else if (id <= tap->handed_before) {
		hit(w, HIT_REPLAYED_UNSENT);
	}
	if (id > tap->newest_id)
		tap->newest_id = id;
}

static void on_message(void *context, uint16_t channel, const struct intake_message *m)
{
	struct producer *p = context;
	struct tap *tap = &p->tap;
	struct world *w = p->world;
	uint64_t id = account_identify(p, m);
	if (id == 0)
		return;
	if (channel != CHANNEL)
		fail(w, "a message on another channel", id);
	if (id <= tap->last_id)
		fail(w, "a message is sent out of order", id);
	if (tap->partial_id && tap->partial_id != id)
		fail(w, "another message than the next one without an outcome", id);
	check_none_skipped(p, id);
	tap_begun(p, id, true, tap->channel_closed);
	check_flag(p, id, m);
	count_replay(p, id, m);
	tap->last_id = id;
	tap->partial_id = tap->maybe_id = 0;
	trace(w, "producer %u: message %llu of %llu octets%s left", p->index, (unsigned long long)id,
	      (unsigned long long)m->body_len, m->flag ? ", flagged," : "");
}

static void on_method(void *context, uint16_t channel, uint32_t method, const uint8_t *args, uint32_t len)
{
	struct producer *p = context;
	if (method == CHANNEL_OPEN) {
		if (p->tap.last_id && p->tap.last_id < p->tap.newest_id)
			hit(p->world, HIT_REPLAY_CUT_OFF);
		p->tap.handed_before = p->connection->confirms.handed_id - 1;
		p->tap.generation++;
		p->tap.close_expected = p->tap.channel_closed = false;
		p->tap.last_id = p->tap.partial_id = p->tap.maybe_id = 0;
	}
}

static const struct intake_events events = {.method = on_method, .message = on_message};

static uint64_t next_pending(const struct producer *p)
{
	uint64_t id = p->tap.last_id ? p->tap.last_id + 1 : p->low_id;
	while (id < p->next_id && account_outcome(p, id) != OUTCOME_PENDING)
		id++;
	return id;
}

/* Octets of a message have left whose id is not to be seen yet: it is the next one without an outcome. */
static void note_partial(struct producer *p)
{
	struct tap *tap = &p->tap;
	enum intake_partial partial = intake_partial(&tap->reader);
	uint64_t known = tap->partial_id ? tap->partial_id : tap->maybe_id;
	tap->maybe_id = 0;
	if (partial == PARTIAL_NO)
		return;
	uint64_t id = known ? known : next_pending(p);
	if (id >= p->next_id) {
		if (partial == PARTIAL_YES)
			fail(p->world, "a message is sent that was never accepted, or has an outcome", id);
		return;
	}
	tap_begun(p, id, partial == PARTIAL_YES, tap->channel_closed);
	*(partial == PARTIAL_YES ? &tap->partial_id : &tap->maybe_id) = id;
}

static void on_data(struct producer *p, const struct wire_segment *s)
{
	struct tap *tap = &p->tap;
	uint64_t offset = tap->emitted + (uint64_t)(int64_t)(int32_t)(s->seq - (tap->isn + 1 + (uint32_t)tap->emitted));
	if ((int64_t)offset > (int64_t)tap->emitted) {
		fail(p->world, "a segment leaves a gap behind", 0);
		return;
	}
	if (offset + s->len <= tap->emitted || (int64_t)offset + s->len <= 0) {
		hit(p->world, HIT_RETRANSMITTED);
		return;
	}
	/* The worker acknowledges what it has read in the same turn. */
	tap->channel_closed = tap->close_expected && (int32_t)(s->ack - tap->close_ends_at) >= 0;
	uint64_t known = tap->emitted - offset;
	tap->emitted = offset + s->len;
	uint64_t heartbeats = tap->reader.heartbeats;
	intake_feed(&tap->reader, s->payload + known, s->len - known);
	if (tap->reader.heartbeats != heartbeats)
		hit(p->world, HIT_HEARTBEAT);
	if (tap->reader.broken)
		fail(p->world, tap->reader.broken, tap->last_id);
	note_partial(p);
}

void tap_packet(struct world *w, const uint8_t *packet, size_t len)
{
	struct wire_segment s;
	struct producer *p = NULL;
	wire_parse(packet, len, &s);
	for (uint32_t i = 0; i < w->producer_count; i++)
		if (w->producers[i].control.port == s.source_port)
			p = &w->producers[i];
	if (!p) {
		if (s.len)
			fail(w, "octets for a connection that is gone", 0);
		return;
	}
	if (s.flags & WIRE_SYN && (!p->tap.open || s.seq != p->tap.isn)) {
		if (p->tap.partial_id)
			hit(w, HIT_CUT_OFF);
		p->tap.open = true;
		p->tap.close_expected = p->tap.channel_closed = false;
		p->tap.isn = s.seq;
		p->tap.emitted = 0;
		intake_init(&p->tap.reader, w->frame_max, &events, p);
	}
	if (s.len)
		on_data(p, &s);
}
