/* What goes wrong, and when: drawn from the seed, hits whatever connection there is at that time, and ends. */
#include <string.h>

#include "tests/sim/session/session.h"

static const enum hit kinds[] = {HIT_FAULT_ALARM,         HIT_FAULT_DEAF,          HIT_FAULT_SILENT,
				 HIT_FAULT_MAJORITY_LOST, HIT_FAULT_CHANNEL_CLOSE, HIT_FAULT_FORCED_CLOSE,
				 HIT_FAULT_POLITE_CLOSE,  HIT_FAULT_KILL,          HIT_FAULT_CRASH,
				 HIT_FAULT_FROZEN,        HIT_FAULT_PARTITION,     HIT_FAULT_FIN,
				 HIT_FAULT_NO_BUFFERS,    HIT_FAULT_ABORT};
#define KINDS (sizeof kinds / sizeof kinds[0])

static bool disturbs(enum hit kind)
{
	return kind == HIT_FAULT_PARTITION || kind == HIT_FAULT_NO_BUFFERS || kind == HIT_FAULT_CRASH;
}

void faults_init(struct world *w)
{
	struct prng *r = &w->random;
	uint64_t last = w->started_ns;
	w->fault_count = prng_once_in(r, 8) ? 0 : (uint32_t)prng_below(r, FAULTS_MAX + 1);
	w->fault_next = 0;
	w->undisturbed = w->quiet;
	w->freezes = false;
	uint64_t gap = (20 * MS) << prng_below(r, 8);
	for (uint32_t i = 0; i < w->fault_count; i++) {
		last += prng_below(r, 2 * gap);
		w->faults[i] = (struct fault){.at_ns = last, .kind = kinds[prng_below(r, KINDS)]};
		w->freezes |= w->faults[i].kind == HIT_FAULT_FROZEN;
		w->undisturbed &= !disturbs(w->faults[i].kind);
	}
	w->heal_at_ns = last + 12 * SECOND;
}

static uint64_t draw_pause(struct world *w)
{
	return w->now_ns + ((20 * MS) << prng_below(&w->random, 8)) + prng_below(&w->random, 20 * MS);
}

static void drop_sessions(struct host *h, bool reset)
{
	for (uint32_t i = 0; i < TCBS; i++) {
		struct tcb *t = &h->tcbs[i];
		if (!t->used)
			continue;
		if (t->session)
			broker_lost(t->session);
		t->session = NULL;
		if (reset)
			tcb_reset(t, h);
		t->used = false;
	}
}

/* The process, or the whole machine, is gone with all it knew but its store; it comes back. */
static void down(struct world *w, struct host *h, bool crash)
{
	drop_sessions(h, !crash);
	h->dead = crash;
	h->listening = false;
	if (prng_once_in(&w->random, 2)) /* else the disk is still full */
		w->brokers[h->index].alarm = false;
	w->brokers[h->index].restart_at_ns = draw_pause(w);
}

static void forced_close(struct world *w, struct host *h, struct session *s)
{
	session_close(s, 320);
	session_flush(s);
	if (prng_once_in(&w->random, 2))
		down(w, h, false);
	else
		s->close_at_ns = w->now_ns + 22000;
}

/* One that needs a connection. False: there is none it could happen to. */
static bool happen_to(struct world *w, struct host *h, struct session *s, enum hit kind)
{
	if (!s->tcb || s->phase != SESSION_OPEN)
		return false;
	switch (kind) {
	case HIT_FAULT_DEAF:
		s->deaf = true;
		break;
	case HIT_FAULT_SILENT:
		s->silent = true;
		break;
	case HIT_FAULT_FROZEN:
		s->frozen = true;
		break;
	case HIT_FAULT_MAJORITY_LOST:
		if (!s->channel_open || s->producer->options.confirm_timeout_ns == 0)
			return false;
		s->majority_lost = true;
		return true;
	case HIT_FAULT_CHANNEL_CLOSE:
		if (!s->channel_open)
			return false;
		session_close_channel(s, 404);
		session_flush(s);
		return true;
	case HIT_FAULT_FORCED_CLOSE:
		forced_close(w, h, s);
		return true;
	case HIT_FAULT_POLITE_CLOSE:
		session_close(s, 541);
		session_flush(s);
		s->close_at_ns = w->now_ns + 3 * SECOND;
		return true;
	default:
		session_flush(s);
		tcb_finish(s->tcb, h);
		return true;
	}
	w->brokers[h->index].recover_at_ns = draw_pause(w);
	return true;
}

static void raise_alarm(struct world *w, struct broker *b, struct producer *p)
{
	struct prng *r = &w->random;
	b->alarm = true;
	b->alarm_until_ns = draw_pause(w) + (prng_once_in(r, 4) ? 6 * SECOND : 0);
	if (prng_once_in(r, 3)) /* the next connection is made while it lasts */
		p->control.give_up_at_ns = w->now_ns + prng_below(r, b->alarm_until_ns - w->now_ns);
}

static bool happen(struct world *w, enum hit kind)
{
	struct producer *p = &w->producers[prng_below(&w->random, w->producer_count)];
	struct host *h = &w->hosts[p->control.host];
	switch (kind) {
	case HIT_FAULT_ALARM:
		raise_alarm(w, &w->brokers[h->index], p);
		return true;
	case HIT_FAULT_KILL:
	case HIT_FAULT_CRASH:
		down(w, h, kind == HIT_FAULT_CRASH);
		return true;
	case HIT_FAULT_ABORT:
		return control_abort(p);
	case HIT_FAULT_PARTITION:
		w->partition_until_ns[h->index] = draw_pause(w) + (prng_once_in(&w->random, 4) ? 8 * SECOND : 0);
		return true;
	case HIT_FAULT_NO_BUFFERS:
		w->nic.no_buffers_until_ns = w->now_ns + prng_below(&w->random, 50 * MS);
		return true;
	default:
		for (uint32_t i = 0; i < TCBS; i++)
			if (h->tcbs[i].used && h->tcbs[i].session && h->tcbs[i].port == p->control.port)
				return happen_to(w, h, h->tcbs[i].session, kind);
		return false;
	}
}

static void recover(struct world *w, struct host *h)
{
	w->brokers[h->index].recover_at_ns = NEVER;
	for (uint32_t i = 0; i < TCBS; i++) {
		struct session *s = h->tcbs[i].session;
		if (!h->tcbs[i].used || !s)
			continue;
		if (s->deaf || s->frozen)
			s->heard_at_ns = w->now_ns;
		s->deaf = s->frozen = s->silent = false;
	}
}

static void heal(struct world *w)
{
	w->healed = true;
	trace(w, "everything heals");
	for (uint32_t i = 0; i < HOSTS; i++) {
		w->out[i].faults = w->in[i].faults = (struct sim_faults){0};
		w->partition_until_ns[i] = 0;
	}
	w->heal_at_ns = NEVER;
}

static void step_host(struct world *w, struct host *h)
{
	struct broker *b = &w->brokers[h->index];
	if (b->restart_at_ns <= w->now_ns) {
		trace(w, "broker %u: is back", h->index);
		b->restart_at_ns = NEVER;
		h->dead = false;
		h->listening = true;
	}
	if (b->alarm && b->alarm_until_ns <= w->now_ns)
		b->alarm = false;
	if (b->recover_at_ns <= w->now_ns)
		recover(w, h);
}

void faults_step(struct world *w)
{
	for (; w->fault_next < w->fault_count && w->faults[w->fault_next].at_ns <= w->now_ns; w->fault_next++) {
		enum hit kind = w->faults[w->fault_next].kind;
		if (happen(w, kind)) {
			hit(w, kind);
			trace(w, "fault: %s", hit_words(kind));
		}
	}
	for (uint32_t i = 0; i < HOSTS; i++)
		step_host(w, &w->hosts[i]);
	if (w->heal_at_ns <= w->now_ns)
		heal(w);
}

uint64_t faults_next(const struct world *w)
{
	uint64_t next = w->fault_next < w->fault_count ? w->faults[w->fault_next].at_ns : NEVER;
	for (uint32_t i = 0; i < HOSTS; i++) {
		const struct broker *b = &w->brokers[i];
		next = min64(next, min64(b->restart_at_ns, b->recover_at_ns));
		next = b->alarm ? min64(next, b->alarm_until_ns) : next;
	}
	return min64(next, w->heal_at_ns);
}
