/* What the application reads: outcomes, states, figures. */
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/publisher.h"

_Static_assert((int)HAREWIRE_ERR_LOG_FULL == (int)HW_ERR_LOG_FULL && (int)HAREWIRE_ERR_TIMEOUT == (int)HW_ERR_TIMEOUT &&
		       (int)HAREWIRE_ERR_NO_CLAIM == (int)HW_ERR_NO_CLAIM &&
		       (int)HAREWIRE_ERR_CLOSED == (int)HW_ERR_CLOSED,
	       "public codes are the table's");

static bool has_ended(uint32_t state)
{
	return state == PUBLISHER_CLOSED || state == PUBLISHER_FAILED;
}

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
	if (outcome == OUTCOME_CONFIRMED || outcome == OUTCOME_UNCONFIRMED)
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

/* Copies the broker's reason to where only the application writes. */
static const char *take_reason(struct harewire_publisher *p)
{
	uint64_t words[PUBLISHER_REASON_MAX / 8];
	uint32_t before, after;
	do {
		before = atomic_load_explicit(&p->reason_version, memory_order_acquire);
		for (size_t i = 0; i < PUBLISHER_REASON_MAX / 8; i++)
			words[i] = atomic_load_explicit(&p->blocked_reason[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&p->reason_version, memory_order_relaxed);
	} while (before != after || (before & 1));
	memcpy(p->seen_reason, words, sizeof words);
	return p->seen_reason;
}

/* The level has changed since the application last looked. A READY that turned to BLOCKED meanwhile is told first. */
static int poll_state(struct harewire_publisher *p, uint32_t state, struct harewire_event *event)
{
	if (state == p->seen_state)
		return 0;
	event->since_ns = atomic_load_explicit(&p->state_since_ns, memory_order_relaxed);
	if (p->seen_state == PUBLISHER_CONNECTING && state == PUBLISHER_BLOCKED) {
		event->type = HAREWIRE_EVENT_READY;
		p->seen_state = PUBLISHER_READY;
		return 1;
	}
	switch (state) {
	case PUBLISHER_READY:
		event->type = p->seen_state == PUBLISHER_BLOCKED ? HAREWIRE_EVENT_UNBLOCKED : HAREWIRE_EVENT_READY;
		break;
	case PUBLISHER_BLOCKED:
		event->type = HAREWIRE_EVENT_BLOCKED;
		event->text = take_reason(p);
		break;
	case PUBLISHER_CLOSED:
		event->type = HAREWIRE_EVENT_CLOSED;
		break;
	default:
		event->type = HAREWIRE_EVENT_FAILED;
		event->code = atomic_load_explicit(&p->end_code, memory_order_relaxed);
		event->text = atomic_load_explicit(&p->state_text, memory_order_relaxed);
		break;
	}
	p->seen_state = state;
	return 1;
}

int publisher_event_poll(struct harewire_publisher *p, struct harewire_event *event)
{
	memset(event, 0, sizeof *event);
	uint32_t state = atomic_load_explicit(&p->state, memory_order_acquire);
	if (!has_ended(state) && poll_state(p, state, event))
		return 1;
	uint64_t end = has_ended(state) ? atomic_load_explicit(&p->committed_id, memory_order_relaxed)
					: atomic_load_explicit(&p->settled_id, memory_order_acquire);
	return poll_outcome(p, end, event) || poll_state(p, state, event);
}

void publisher_set_frame_max(struct harewire_publisher *p, uint32_t frame_max)
{
	atomic_store_explicit(&p->body_max, frame_max - AMQP_FRAME_OVERHEAD, memory_order_relaxed);
}

void publisher_set_state(struct harewire_publisher *p, enum publisher_state state, int code, const char *text)
{
	/* Rare enough to ask the kernel's own clock, which other programs' stamps can be compared with. */
	atomic_store_explicit(&p->state_since_ns, clock_monotonic_ns(), memory_order_relaxed);
	atomic_store_explicit(&p->end_code, code, memory_order_relaxed);
	atomic_store_explicit(&p->state_text, text, memory_order_relaxed);
	atomic_store_explicit(&p->state, state, memory_order_release);
}

/* A sequence lock: the worker never waits, and a reader that was overtaken looks again. */
void publisher_set_blocked(struct harewire_publisher *p, const char *reason, size_t len)
{
	uint64_t words[PUBLISHER_REASON_MAX / 8] = {0};
	uint32_t version = atomic_load_explicit(&p->reason_version, memory_order_relaxed);
	memcpy(words, reason, len < sizeof words - 1 ? len : sizeof words - 1);
	atomic_store_explicit(&p->reason_version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < PUBLISHER_REASON_MAX / 8; i++)
		atomic_store_explicit(&p->blocked_reason[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&p->reason_version, version + 2, memory_order_release);
	p->blocked_count++;
	publisher_set_state(p, PUBLISHER_BLOCKED, 0, NULL);
}

/* ---- figures ---- */

static struct harewire_percentiles percentiles(const struct histogram *h, const struct clock_scale *clock)
{
	return (struct harewire_percentiles){
		.count = h->count,
		.p50_ns = clock_ticks_to_ns(clock, histogram_quantile(h, 0.5)),
		.p90_ns = clock_ticks_to_ns(clock, histogram_quantile(h, 0.9)),
		.p99_ns = clock_ticks_to_ns(clock, histogram_quantile(h, 0.99)),
		.p999_ns = clock_ticks_to_ns(clock, histogram_quantile(h, 0.999)),
		.p9999_ns = clock_ticks_to_ns(clock, histogram_quantile(h, 0.9999)),
		.max_ns = clock_ticks_to_ns(clock, h->max),
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
	stats->accepted = atomic_load_explicit(&p->committed_id, memory_order_acquire) - 1;
	stats->confirmed = p->outcomes[OUTCOME_CONFIRMED];
	stats->nacked = p->outcomes[OUTCOME_NACKED];
	stats->returned = p->outcomes[OUTCOME_RETURNED];
	stats->unconfirmed = p->outcomes[OUTCOME_UNCONFIRMED];
	stats->blocked_count = p->blocked_count;
	uint64_t known = stats->confirmed + stats->nacked + stats->returned;
	if (has_ended(state))
		stats->unconfirmed = stats->accepted - known;
	known += stats->unconfirmed;
	stats->in_flight = stats->accepted > known ? stats->accepted - known : 0;
	stats->log_capacity = p->log.capacity;
	uint64_t released = atomic_load_explicit(&p->released_pos, memory_order_relaxed);
	stats->log_used = p->next_pos > released ? p->next_pos - released : 0;
	stats->call_to_wire = percentiles(&p->call_to_wire_ticks, p->clock);
	stats->publish_to_confirm = percentiles(&p->publish_to_confirm_ticks, p->clock);
}
