/* The application: publishes at its own pace, in every way there is, polls when it likes, and closes. */
#include <string.h>

#include "dataplane/base/error.h"
#include "tests/sim/session/session.h"

/* Slots and mandatory of each template. Without a slot for its id a message needs a body that names it. */
static const struct {
	uint32_t slots;
	bool mandatory;
} templates[TEMPLATES] = {
	{0, false},
	{HAREWIRE_SLOT_SEQUENCE, false},
	{HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE, false},
	{HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_DUPLICATE | HAREWIRE_SLOT_MESSAGE_ID, true},
	{HAREWIRE_SLOT_MESSAGE_ID | HAREWIRE_SLOT_TIMESTAMP, true},
	{HAREWIRE_SLOT_DUPLICATE, false},
};

bool template_has_flag(uint32_t template)
{
	return templates[template].slots & HAREWIRE_SLOT_DUPLICATE;
}

bool template_is_mandatory(uint32_t template)
{
	return templates[template].mandatory;
}

static uint32_t shortest_body(uint32_t template)
{
	return templates[template].slots & (HAREWIRE_SLOT_SEQUENCE | HAREWIRE_SLOT_MESSAGE_ID) ? 0 : 12;
}

void application_init(struct producer *p)
{
	struct application *a = &p->application;
	struct prng *r = &p->world->random;
	memset(a, 0, sizeof *a);
	a->target = prng_once_in(r, 5) ? (uint32_t)prng_below(r, 30) : 20 + (uint32_t)prng_below(r, 300);
	a->gap_ns = (20 * MS) << prng_below(r, 5);
	a->body_max = 64u << prng_below(r, 13);
	a->at_ns = a->poll_at_ns = p->world->now_ns;
	a->close_timeout_ns = prng_once_in(r, 4) ? prng_below(r, 3 * SECOND) : 1000 * SECOND;
	for (uint32_t i = 0; i < TEMPLATES; i++) {
		const struct harewire_template_options o = {.exchange = "x",
							    .routing_key = "key",
							    .priority = -1,
							    .slots = templates[i].slots,
							    .mandatory = templates[i].mandatory,
							    .delivery_mode = 2};
		if (publisher_prepare(p->publisher, &o, &p->templates[i], NULL))
			fail(p->world, "a template is refused", i);
	}
}

static uint32_t draw_len(struct producer *p, uint32_t template)
{
	struct prng *r = &p->world->random;
	uint32_t min = shortest_body(template);
	if (min == 0 && prng_once_in(r, 20))
		return 0;
	uint64_t max = prng_once_in(r, 10) ? p->application.body_max : 200;
	return min + (uint32_t)prng_below(r, max);
}

/* Any refusal changes nothing; which there may be depends on the state. */
static void refused(struct producer *p, int err)
{
	struct world *w = p->world;
	uint32_t state = atomic_load(&p->publisher->state);
	bool refuses = p->policy == HAREWIRE_REFUSE, drops = p->policy == HAREWIRE_DROP_NEWEST;
	bool dropped = drops && (err == 0 || err == HW_ERR_LOG_FULL);
	*(dropped ? &p->application.dropped : &p->application.refused) += 1;
	if (err == 0 && drops)
		hit(w, HIT_DROPPED);
	else if (err == HW_ERR_LOG_FULL && state != PUBLISHER_CONNECTING)
		hit(w, HIT_LOG_FULL);
	else if (err == HW_ERR_DISCONNECTED &&
		 (state == PUBLISHER_CONNECTING || (refuses && state == PUBLISHER_RECONNECTING)))
		hit(w, HIT_DISCONNECTED);
	else if (err == HW_ERR_BLOCKED && refuses && state == PUBLISHER_BLOCKED)
		hit(w, HIT_REFUSED_BLOCKED);
	else if (err == HW_ERR_CLOSED && (p->application.closing || p->control.told_end))
		return;
	else
		fail(w, "publish answers what it must not", (uint64_t)-err);
}

static void publish(struct producer *p)
{
	static uint8_t body[INTAKE_BODY_MAX];
	struct application *a = &p->application;
	uint32_t template = (uint32_t)prng_below(&p->world->random, TEMPLATES), len = draw_len(p, template);
	body_write(p->index, p->next_id, body, len);
	unsigned flags = a->burst_left && prng_once_in(&p->world->random, 2) ? HAREWIRE_MORE : 0;
	account_offer(p, len, template);
	int64_t id = publisher_publish(p->publisher, p->templates[template], body, len, flags);
	memset(body, 0x5a, len);
	if (!account_answered(p, id))
		refused(p, (int)id);
}

static void claim(struct producer *p)
{
	struct application *a = &p->application;
	uint32_t template = (uint32_t)prng_below(&p->world->random, TEMPLATES);
	size_t max = shortest_body(template) + draw_len(p, template);
	int err = 0;
	max = max < p->world->frame_max - 8 ? max : p->world->frame_max - 8;
	a->claim = publisher_claim(p->publisher, p->templates[template], max, &err);
	a->claim_template = template;
	a->claim_max = max;
	if (a->claim)
		hit(p->world, HIT_CLAIMED);
	else
		refused(p, err);
}

static void end_claim(struct producer *p)
{
	struct application *a = &p->application;
	struct prng *r = &p->world->random;
	size_t min = shortest_body(a->claim_template), len = min + (size_t)prng_below(r, a->claim_max - min + 1);
	if (prng_once_in(r, 8)) {
		publisher_cancel(p->publisher);
		hit(p->world, HIT_CANCELLED);
	} else {
		body_write(p->index, p->next_id, a->claim, len);
		account_offer(p, (uint32_t)len, a->claim_template);
		int64_t id = publisher_commit(p->publisher, len, 0);
		bool kept = account_answered(p, id);
		if (!kept && id != HW_ERR_CLOSED) /* its space is reserved, whatever has become of the connection */
			fail(p->world, "a commit is refused", (uint64_t)-id);
		else if (!kept)
			refused(p, (int)id);
		else if (atomic_load(&p->publisher->state) != PUBLISHER_READY)
			hit(p->world, HIT_COMMITTED_LATE);
	}
	a->claim = NULL;
}

static void close_publisher(struct producer *p)
{
	struct application *a = &p->application;
	a->closing = true;
	a->closed_at_ns = p->world->now_ns;
	a->claim = NULL;
	trace(p->world, "producer %u: closes", p->index);
	publisher_close(p->publisher, a->close_timeout_ns);
}

static void act(struct producer *p)
{
	struct application *a = &p->application;
	struct prng *r = &p->world->random;
	bool reconnects = atomic_load(&p->publisher->state) == PUBLISHER_RECONNECTING;
	if (a->claim)
		end_claim(p);
	else if (p->next_id > a->target ? prng_once_in(r, 3) : reconnects && prng_once_in(r, 40))
		close_publisher(p);
	else if (p->next_id > a->target)
		a->burst_left = 0; /* it has said all, and waits a little */
	else if (prng_once_in(r, 5))
		claim(p);
	else
		publish(p);
	if (a->burst_left)
		a->burst_left--;
	else if (prng_once_in(r, 10))
		a->burst_left = (uint32_t)prng_below(r, 40);
	uint64_t rest_ns = prng_once_in(r, 300) ? prng_below(r, 12 * SECOND) : 0;
	a->at_ns =
		p->world->now_ns + rest_ns + (a->burst_left ? prng_below(r, 3) * 1000 : prng_below(r, 2 * a->gap_ns));
}

static void count_blockage(struct world *w, int which)
{
	hit(w, HIT_BLOCKED);
	if (which == HAREWIRE_BLOCKAGE_ALARM)
		hit(w, HIT_BLOCKED_ALARM);
	else if (which == HAREWIRE_BLOCKAGE_WINDOW)
		hit(w, HIT_BLOCKED_WINDOW);
	else if (which == HAREWIRE_BLOCKAGE_SILENCE)
		hit(w, HIT_BLOCKED_SILENCE);
}

/* Levels: each is told once when it begins and once when it ends. */
static void state_reported(struct producer *p, const struct harewire_event *e)
{
	struct application *a = &p->application;
	struct world *w = p->world;
	uint32_t bit = 1u << (unsigned)e->code % 32;
	trace(w, "producer %u: event %d, ids %llu to %llu, code %d %s", p->index, e->type, (unsigned long long)e->first,
	      (unsigned long long)e->last, e->code, e->text ? e->text : "");
	switch (e->type) {
	case HAREWIRE_EVENT_READY:
		if (a->ready)
			fail(w, "ready, and told so already", 0);
		hit(w, a->was_ready ? HIT_READY_AGAIN : HIT_READY);
		a->ready = a->was_ready = true;
		a->disconnected = false;
		break;
	case HAREWIRE_EVENT_DISCONNECTED:
		if (a->disconnected || !e->text)
			fail(w, "disconnected, and told so already, or without a reason", 0);
		hit(w, HIT_TOLD_DISCONNECTED);
		a->ready = false;
		a->disconnected = true;
		break;
	case HAREWIRE_EVENT_BLOCKED:
		if (a->blockages & bit)
			fail(w, "blocked, and told so already", (uint64_t)e->code);
		a->blockages |= bit;
		count_blockage(w, e->code);
		break;
	case HAREWIRE_EVENT_UNBLOCKED:
		if (!(a->blockages & bit))
			fail(w, "unblocked, and was not blocked", (uint64_t)e->code);
		a->blockages &= ~bit;
		break;
	case HAREWIRE_EVENT_FAILED:
	case HAREWIRE_EVENT_CLOSED:
		a->ended = true;
		hit(w, e->type == HAREWIRE_EVENT_FAILED                    ? HIT_FAILED
		       : w->now_ns > a->closed_at_ns + a->close_timeout_ns ? HIT_CLOSED_LATE
									   : HIT_CLOSED);
		break;
	default:
		break;
	}
}

static void poll(struct producer *p)
{
	struct application *a = &p->application;
	struct prng *r = &p->world->random;
	struct harewire_event e;
	for (uint64_t n = 1 + prng_below(r, 50); n > 0 && publisher_event_poll(p->publisher, &e); n--) {
		if (a->ended)
			fail(p->world, "an event behind the last one", e.first);
		account_reported(p, &e);
		state_reported(p, &e);
	}
	a->poll_at_ns = p->world->now_ns + prng_below(r, prng_once_in(r, 20) ? 2 * SECOND : 50 * MS);
}

void application_step(struct producer *p)
{
	struct application *a = &p->application;
	uint32_t calls = 0;
	while (a->at_ns <= p->world->now_ns && !a->closing && calls++ < 100)
		act(p);
	if (a->poll_at_ns <= p->world->now_ns && !a->ended)
		poll(p);
}

uint64_t application_next(const struct producer *p)
{
	const struct application *a = &p->application;
	return min64(a->closing ? NEVER : a->at_ns, a->ended ? NEVER : a->poll_at_ns);
}
