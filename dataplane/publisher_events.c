/* What the application reads: outcomes and figures. States and blockages are in publisher_level.c. */
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/publisher_internal.h"

_Static_assert((int)HAREWIRE_ERR_LOG_FULL == (int)HW_ERR_LOG_FULL && (int)HAREWIRE_ERR_TIMEOUT == (int)HW_ERR_TIMEOUT &&
		       (int)HAREWIRE_ERR_NO_CLAIM == (int)HW_ERR_NO_CLAIM &&
		       (int)HAREWIRE_ERR_CLOSED == (int)HW_ERR_CLOSED,
	       "public codes are the table's");

static const char *return_text(uint16_t code)
{
	switch (code) {
	case 312:
		return "NO_ROUTE: no queue is bound for this routing key";
	case 313:
		return "NO_CONSUMERS: no consumer could take it at once";
	default:
		return "returned by the broker";
	}
}

/* Once the publisher has ended, a message committed too late for the worker to see counts as unconfirmed. */
static enum message_outcome outcome_of(const struct harewire_publisher *p, uint64_t id)
{
	enum message_outcome o = message_at(&p->index, id)->outcome;
	return o == OUTCOME_PENDING ? OUTCOME_UNCONFIRMED : o;
}

static enum harewire_event_type event_of(enum message_outcome outcome)
{
	switch (outcome) {
	case OUTCOME_CONFIRMED:
		return HAREWIRE_EVENT_CONFIRMED;
	case OUTCOME_NACKED:
		return HAREWIRE_EVENT_NACKED;
	case OUTCOME_RETURNED:
		return HAREWIRE_EVENT_RETURNED;
	case OUTCOME_LOST:
		return HAREWIRE_EVENT_LOST;
	default:
		return HAREWIRE_EVENT_UNCONFIRMED;
	}
}

/* The next outcome, a range where that loses nothing. Frees the index slots it reports. */
static int poll_outcome(struct harewire_publisher *p, uint64_t end, struct harewire_event *event)
{
	uint64_t first = p->reported_id, next = first;
	if (first >= end)
		return 0;
	/* What publish has reclaimed was confirmed: its records may be in use again already. */
	enum message_outcome outcome = OUTCOME_CONFIRMED;
	if (next < p->reclaimed_id)
		next = p->reclaimed_id;
	else
		outcome = outcome_of(p, next++);
	if (outcome == OUTCOME_CONFIRMED || outcome == OUTCOME_UNCONFIRMED || outcome == OUTCOME_LOST)
		while (next < end && outcome_of(p, next) == outcome)
			next++;

	event->type = event_of(outcome);
	event->first = first;
	event->last = next - 1;
	if (outcome == OUTCOME_RETURNED) {
		event->code = message_at(&p->index, first)->code;
		event->text = return_text((uint16_t)event->code);
	}
	p->reported_id = next;
	p->reclaimed_id = next > p->reclaimed_id ? next : p->reclaimed_id;
	return 1;
}

int publisher_event_poll(struct harewire_publisher *p, struct harewire_event *event)
{
	memset(event, 0, sizeof *event);
	bool ended = publisher_look(p) >= PUBLISHER_CLOSED;
	if (!ended && publisher_poll_level(p, event))
		return 1;
	uint64_t end = ended ? atomic_load_explicit(&p->committed_id, memory_order_relaxed)
			     : atomic_load_explicit(&p->settled_id, memory_order_acquire);
	return poll_outcome(p, end, event) || (ended && publisher_poll_end(p, event));
}

/* ---- figures ---- */

static struct harewire_percentiles percentiles(const struct histogram *h, const struct clock_scale *clock)
{
	struct histogram copy;
	histogram_copy(&copy, h);
	return (struct harewire_percentiles){
		.count = histogram_count(&copy),
		.p50_ns = clock_ticks_to_ns(clock, histogram_quantile(&copy, 0.5)),
		.p90_ns = clock_ticks_to_ns(clock, histogram_quantile(&copy, 0.9)),
		.p99_ns = clock_ticks_to_ns(clock, histogram_quantile(&copy, 0.99)),
		.p999_ns = clock_ticks_to_ns(clock, histogram_quantile(&copy, 0.999)),
		.p9999_ns = clock_ticks_to_ns(clock, histogram_quantile(&copy, 0.9999)),
		.max_ns = clock_ticks_to_ns(clock, copy.max),
	};
}

void publisher_set_figures(struct harewire_publisher *p, const struct publisher_figures *figures)
{
	uint64_t words[PUBLISHER_FIGURE_WORDS];
	memcpy(words, figures, sizeof words);
	for (size_t i = 0; i < PUBLISHER_FIGURE_WORDS; i++)
		atomic_store_explicit(&p->figures[i], words[i], memory_order_relaxed);
}

void publisher_get_figures(const struct harewire_publisher *p, struct publisher_figures *figures)
{
	uint64_t words[PUBLISHER_FIGURE_WORDS];
	for (size_t i = 0; i < PUBLISHER_FIGURE_WORDS; i++)
		words[i] = atomic_load_explicit(&p->figures[i], memory_order_relaxed);
	memcpy(figures, words, sizeof *figures);
}

static void state_stats(const struct harewire_publisher *p, uint32_t state, struct harewire_publisher_stats *stats)
{
	stats->connected = state == PUBLISHER_READY || state == PUBLISHER_BLOCKED;
	if (stats->connected)
		stats->blockages = atomic_load_explicit(&p->blockages, memory_order_relaxed);
	if (state < PUBLISHER_CLOSED && atomic_load_explicit(&p->no_room, memory_order_relaxed))
		stats->blockages |= 1u << HAREWIRE_BLOCKAGE_LOG_FULL;
	stats->blocked_count = atomic_load_explicit(&p->alarms, memory_order_relaxed);
	stats->refused = atomic_load_explicit(&p->refused, memory_order_relaxed);
	stats->dropped = atomic_load_explicit(&p->dropped, memory_order_relaxed);
	stats->replayed = atomic_load_explicit(&p->replayed, memory_order_relaxed);
	stats->connections = atomic_load_explicit(&p->connections, memory_order_relaxed);
	stats->channels = atomic_load_explicit(&p->channels, memory_order_relaxed);
}

static uint64_t with_outcome(const struct harewire_publisher *p, enum message_outcome outcome)
{
	return atomic_load_explicit(&p->outcomes[outcome], memory_order_acquire);
}

static void outcome_stats(const struct harewire_publisher *p, uint32_t state, struct harewire_publisher_stats *stats)
{
	stats->confirmed = with_outcome(p, OUTCOME_CONFIRMED);
	stats->nacked = with_outcome(p, OUTCOME_NACKED);
	stats->returned = with_outcome(p, OUTCOME_RETURNED);
	stats->lost = with_outcome(p, OUTCOME_LOST);
	stats->unconfirmed = with_outcome(p, OUTCOME_UNCONFIRMED);
	uint64_t known = stats->confirmed + stats->nacked + stats->returned + stats->lost;
	stats->accepted = atomic_load_explicit(&p->committed_id, memory_order_acquire) - 1; /* behind the outcomes */
	if (state >= PUBLISHER_CLOSED)
		stats->unconfirmed = stats->accepted - known;
	stats->in_flight = stats->accepted - known - stats->unconfirmed;
}

/* As much as there was room for: between the two loads the application may have gone on. */
static uint64_t log_used(const struct harewire_publisher *p)
{
	uint64_t released = atomic_load_explicit(&p->released_pos, memory_order_acquire);
	uint64_t used = atomic_load_explicit(&p->next_pos, memory_order_relaxed) - released;
	return used < p->log.capacity ? used : p->log.capacity;
}

void publisher_stats(const struct harewire_publisher *p, struct harewire_publisher_stats *stats)
{
	uint32_t state = atomic_load_explicit(&p->state, memory_order_acquire);
	struct publisher_figures f;
	publisher_get_figures(p, &f);
	*stats = (struct harewire_publisher_stats){.srtt_ns = f.srtt_ns,
						   .retransmits = f.retransmits,
						   .rto_fired = f.rto_fired,
						   .octets_sent = f.octets_sent,
						   .segments_sent = f.segments_sent,
						   .segments_received = f.segments_received,
						   .cwnd = f.cwnd,
						   .peer_window = f.peer_window,
						   .mss = f.mss};
	memcpy(stats->tcp_state, f.tcp_state, sizeof stats->tcp_state);
	state_stats(p, state, stats);
	outcome_stats(p, state, stats);
	stats->log_capacity = p->log.capacity;
	stats->log_used = log_used(p);
	stats->call_to_wire = percentiles(&p->call_to_wire_ticks, p->clock);
	stats->publish_to_confirm = percentiles(&p->publish_to_confirm_ticks, p->clock);
}
