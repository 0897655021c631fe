#include "dataplane/publisher_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/base/error.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define MAX_MESSAGES_LIMIT (1ull << 32)

static uint64_t round_up_pow2(uint64_t v)
{
	return v <= 1 ? 1 : 1ull << (64 - __builtin_clzll(v - 1));
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int publisher_create(const struct publisher_options *options, struct harewire_publisher **out)
{
	uint64_t messages = round_up_pow2(options->max_messages);
	if (options->max_messages == 0 || messages > MAX_MESSAGES_LIMIT || options->max_templates == 0)
		return HW_ERR_INVALID;

	struct harewire_publisher *p = aligned_alloc(CACHE_LINE, sizeof *p);
	if (!p)
		return HW_ERR_NOMEM;
	memset(p, 0, sizeof *p);
	int err = log_init(&p->log, options->log_bytes);
	p->index.mask = messages - 1;
	p->index.ring = aligned_alloc(CACHE_LINE, messages < 2 ? CACHE_LINE : messages * sizeof(struct message));
	p->templates = calloc(options->max_templates, sizeof *p->templates);
	if (err || !p->index.ring || !p->templates) {
		publisher_destroy(p);
		return err ? err : HW_ERR_NOMEM;
	}
	/* Touch the pages now: the first lap must not fault. */
	memset(p->index.ring, 0, messages * sizeof(struct message));
	p->max_templates = options->max_templates;
	p->epoch = options->epoch;
	p->policy = options->policy;
	p->clock = options->clock;
	p->push = options->push;
	p->push_context = options->push_context;
	p->reclaimed_id = p->reported_id = 1;
	atomic_init(&p->committed_id, 1);
	atomic_init(&p->settled_id, 1);
	atomic_init(&p->close_deadline_ns, PUBLISHER_NOT_CLOSING);
	*out = p;
	return 0;
}

void publisher_destroy(struct harewire_publisher *p)
{
	for (uint32_t i = 0; p->templates && i < p->max_templates && p->template_count > 0; i++) {
		if (p->templates[i]) {
			free(p->templates[i]);
			p->template_count--;
		}
	}
	free(p->templates);
	free(p->index.ring);
	log_fini(&p->log);
	free(p);
}

/* ---- templates ---- */

_Static_assert((int)HAREWIRE_SLOT_TIMESTAMP == (int)AMQP_SLOT_TIMESTAMP &&
		       (int)HAREWIRE_SLOT_MESSAGE_ID == (int)AMQP_SLOT_MESSAGE_ID &&
		       (int)HAREWIRE_SLOT_SEQUENCE == (int)AMQP_SLOT_SEQUENCE &&
		       (int)HAREWIRE_SLOT_SEND_TIME == (int)AMQP_SLOT_SEND_TIME &&
		       (int)HAREWIRE_SLOT_DUPLICATE == (int)AMQP_SLOT_DUPLICATE,
	       "slots are the same bits in the public API and below");
_Static_assert((int)HAREWIRE_STRING == (int)AMQP_FIELD_STRING && (int)HAREWIRE_INT64 == (int)AMQP_FIELD_INT64 &&
		       (int)HAREWIRE_BOOL == (int)AMQP_FIELD_BOOL,
	       "field kinds are the same numbers");
_Static_assert(sizeof(struct harewire_field) == sizeof(struct amqp_field) &&
		       offsetof(struct harewire_field, string) == offsetof(struct amqp_field, string) &&
		       offsetof(struct harewire_field, integer) == offsetof(struct amqp_field, integer),
	       "a public field can be read as an AMQP field");

static struct amqp_message_options message_options(const struct harewire_template_options *o)
{
	return (struct amqp_message_options){
		.exchange = o->exchange ? o->exchange : "",
		.routing_key = o->routing_key ? o->routing_key : "",
		.mandatory = o->mandatory != 0,
		.slots = o->slots,
		.delivery_mode = (uint8_t)o->delivery_mode,
		.priority = o->priority,
		.content_type = o->content_type,
		.content_encoding = o->content_encoding,
		.correlation_id = o->correlation_id,
		.reply_to = o->reply_to,
		.expiration = o->expiration,
		.type = o->type,
		.user_id = o->user_id,
		.app_id = o->app_id,
		.headers = (const struct amqp_field *)(const void *)o->headers,
		.header_count = o->header_count,
	};
}

/* A free template id, or max_templates when there is none. */
static uint32_t free_template_id(struct harewire_publisher *p)
{
	if (p->template_count == p->max_templates)
		return p->max_templates;
	while (p->templates[p->free_template])
		p->free_template = p->free_template + 1 == p->max_templates ? 0 : p->free_template + 1;
	return p->free_template;
}

int publisher_prepare(struct harewire_publisher *p, const struct harewire_template_options *options, uint32_t *out,
		      const char **why)
{
	_Alignas(struct amqp_template) uint8_t scratch[sizeof(struct amqp_template) + AMQP_IMAGE_MAX];
	struct amqp_template *t = (struct amqp_template *)scratch;
	const char *ignored;
	const char **reason = why ? why : &ignored;

	*reason = NULL;
	if (options->delivery_mode < 0 || options->delivery_mode > 2) {
		*reason = "delivery_mode must be 0 (absent), 1 (transient) or 2 (persistent)";
		return HW_ERR_INVALID;
	}
	struct amqp_message_options amqp = message_options(options);
	int err = amqp_template_encode(t, sizeof scratch, &amqp, 1, reason);
	if (err)
		return err;
	uint32_t id = free_template_id(p);
	if (id == p->max_templates)
		return HW_ERR_NOMEM;
	size_t bytes = sizeof *t + t->image_len;
	struct amqp_template *kept = aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!kept)
		return HW_ERR_NOMEM;
	memcpy(kept, t, bytes);
	p->templates[id] = kept;
	p->template_count++;
	*out = id;
	return 0;
}

int publisher_release_template(struct harewire_publisher *p, uint32_t template_id)
{
	if (template_id >= p->max_templates || !p->templates[template_id])
		return HW_ERR_INVALID;
	if (p->claimed == p->templates[template_id])
		return HW_ERR_CLAIM_OPEN;
	uint64_t next = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	for (uint64_t id = atomic_load_explicit(&p->settled_id, memory_order_acquire); id < next; id++)
		if (message_at(&p->index, id)->template_id == template_id)
			return HW_ERR_BUSY;
	free(p->templates[template_id]);
	p->templates[template_id] = NULL;
	p->template_count--;
	return 0;
}

/* ---- room in the log and the index ---- */

/* This thread is the only one that writes it; others read it for display. */
static inline uint64_t next_pos(const struct harewire_publisher *p)
{
	return atomic_load_explicit(&p->next_pos, memory_order_relaxed);
}

/* Frees index slots of confirmed messages that the application has not polled: they need no event of their own. */
static void reclaim_confirmed(struct harewire_publisher *p)
{
	uint64_t settled = atomic_load_explicit(&p->settled_id, memory_order_acquire);
	while (p->reclaimed_id < settled && message_at(&p->index, p->reclaimed_id)->outcome == OUTCOME_CONFIRMED)
		p->reclaimed_id++;
}

bool publisher_find_room(struct harewire_publisher *p, uint64_t need)
{
	p->known_released_pos = atomic_load_explicit(&p->released_pos, memory_order_acquire);
	reclaim_confirmed(p);
	uint64_t next_id = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	return need <= p->log.capacity - (next_pos(p) - p->known_released_pos) &&
	       next_id - p->reclaimed_id <= p->index.mask;
}

bool publisher_find_ease(struct harewire_publisher *p, uint64_t need)
{
	uint64_t eighth = p->log.capacity / 8;
	uint64_t next_id = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	return publisher_find_room(p, need > eighth ? need : eighth) &&
	       next_id - p->reclaimed_id <= p->index.mask - p->index.mask / 8;
}

/* What the state and the application's policy say to a message. */
static int check_state(const struct harewire_publisher *p)
{
	if (atomic_load_explicit(&p->close_deadline_ns, memory_order_relaxed) != PUBLISHER_NOT_CLOSING)
		return HW_ERR_CLOSED;
	switch (atomic_load_explicit(&p->state, memory_order_acquire)) {
	case PUBLISHER_CONNECTING:
		return HW_ERR_DISCONNECTED;
	case PUBLISHER_READY:
		return 0;
	case PUBLISHER_BLOCKED:
		return p->policy == HAREWIRE_REFUSE ? HW_ERR_BLOCKED : 0;
	case PUBLISHER_RECONNECTING:
		return p->policy == HAREWIRE_REFUSE ? HW_ERR_DISCONNECTED : 0;
	default:
		return HW_ERR_CLOSED;
	}
}

/* The hot path's guard failed: why, or 0 when the message may be accepted after all. */
static __attribute__((noinline)) int make_room(struct harewire_publisher *p, uint64_t need)
{
	int err = check_state(p);
	if (err)
		return err;
	if (p->claimed)
		return HW_ERR_CLAIM_OPEN;
	if (need > p->log.capacity)
		return HW_ERR_TOO_LARGE;
	bool room = publisher_find_room(p, need);
	if (!room || publisher_find_ease(p, need))
		publisher_note_room(p, room, need);
	return room ? 0 : HW_ERR_LOG_FULL;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* A call that publishes nothing. Returns what the application is told: `err`, or 0 for a message that is dropped. */
static __attribute__((noinline)) int refuse(struct harewire_publisher *p, int err)
{
	bool drop = err == HW_ERR_LOG_FULL && p->policy == HAREWIRE_DROP_NEWEST;
	count(drop ? &p->dropped : &p->refused);
	return drop ? 0 : err;
}

/* 0 when a message of `need` octets can be accepted now. */
static inline int check_room(struct harewire_publisher *p, uint64_t need)
{
	uint64_t next_id = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	if (likely(atomic_load_explicit(&p->state, memory_order_acquire) == PUBLISHER_READY && !p->claimed &&
		   need <= p->log.capacity - (next_pos(p) - p->known_released_pos) &&
		   next_id - p->reclaimed_id <= p->index.mask &&
		   atomic_load_explicit(&p->close_deadline_ns, memory_order_relaxed) == PUBLISHER_NOT_CLOSING))
		return 0;
	return make_room(p, need);
}

/* ---- publishing ---- */

static inline const struct amqp_template *find_template(const struct harewire_publisher *p, uint32_t template_id)
{
	return likely(template_id < p->max_templates) ? p->templates[template_id] : NULL;
}

static inline struct amqp_slot_values slot_values(const struct harewire_publisher *p, const struct amqp_template *t,
						  uint64_t id)
{
	struct amqp_slot_values v = {.id = id, .epoch = p->epoch};
	if (t->slots & (AMQP_SLOT_SEND_TIME | AMQP_SLOT_TIMESTAMP)) {
		v.send_time_ns = realtime_ns();
		v.timestamp_s = v.send_time_ns / 1000000000u;
	}
	return v;
}

/* The message's bytes lie in the log at next_pos: record it and hand it to the worker. */
static inline int64_t hand_over(struct harewire_publisher *p, uint64_t id, uint32_t template_id, uint64_t len,
				uint64_t ticks, unsigned flags)
{
	struct message *m = message_at(&p->index, id);
	uint64_t pos = next_pos(p);
	m->pos = pos;
	m->len = (uint32_t)len;
	m->template_id = template_id;
	m->committed_ticks = ticks;
	m->code = 0;
	m->outcome = OUTCOME_PENDING;
	atomic_store_explicit(&p->next_pos, pos + len, memory_order_relaxed);
	atomic_store_explicit(&p->committed_id, id + 1, memory_order_release);
	if (p->push && !(flags & HAREWIRE_MORE))
		p->push(p->push_context);
	return (int64_t)id;
}

static __attribute__((noinline)) int64_t publish_split(struct harewire_publisher *p, uint32_t template_id,
						       const struct amqp_template *t, const void *body, size_t len,
						       uint64_t ticks, unsigned flags)
{
	/* Before READY the frame size is not known: ask for the state first. */
	int err = check_room(p, 1);
	if (err)
		return refuse(p, err);
	uint32_t frame_max = atomic_load_explicit(&p->body_max, memory_order_relaxed) + AMQP_FRAME_OVERHEAD;
	if (len > p->log.capacity)
		return refuse(p, HW_ERR_TOO_LARGE);
	uint64_t need = amqp_message_bytes(t, len, frame_max);
	err = need > UINT32_MAX ? HW_ERR_TOO_LARGE : check_room(p, need);
	if (err)
		return refuse(p, err);
	uint64_t id = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	struct amqp_slot_values values = slot_values(p, t, id);
	amqp_message_write_split(t, log_at(&p->log, next_pos(p)), body, len, frame_max, &values);
	return hand_over(p, id, template_id, need, ticks, flags);
}

int64_t publisher_publish(struct harewire_publisher *p, uint32_t template_id, const void *body, size_t len,
			  unsigned flags)
{
	uint64_t ticks = clock_ticks(p->clock);
	const struct amqp_template *t = find_template(p, template_id);
	if (unlikely(!t || (!body && len)))
		return refuse(p, HW_ERR_INVALID);
	if (unlikely(len > atomic_load_explicit(&p->body_max, memory_order_relaxed)))
		return publish_split(p, template_id, t, body, len, ticks, flags);

	int err = check_room(p, (uint64_t)t->image_len + len + 1);
	if (unlikely(err))
		return refuse(p, err);
	uint64_t id = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	struct amqp_slot_values values = slot_values(p, t, id);
	uint8_t *dst = log_at(&p->log, next_pos(p));
	if (likely(len))
		memcpy(dst + amqp_body_offset(t), body, len);
	uint32_t written = amqp_message_write(t, dst, (uint32_t)len, &values);
	return hand_over(p, id, template_id, written, ticks, flags);
}

void *publisher_claim(struct harewire_publisher *p, uint32_t template_id, size_t max_body, int *error)
{
	uint64_t ticks = clock_ticks(p->clock);
	const struct amqp_template *t = find_template(p, template_id);
	int err = t ? 0 : HW_ERR_INVALID;
	if (!err)
		err = max_body > p->log.capacity ? HW_ERR_TOO_LARGE : check_room(p, t->image_len + max_body + 1);
	if (!err && max_body > atomic_load_explicit(&p->body_max, memory_order_relaxed))
		err = HW_ERR_TOO_LARGE;
	if (err) {
		refuse(p, err);
		if (error)
			*error = err;
		return NULL;
	}
	p->claimed = t;
	p->claimed_id = template_id;
	p->claimed_max = (uint32_t)max_body;
	p->claimed_ticks = ticks;
	return log_at(&p->log, next_pos(p)) + amqp_body_offset(t);
}

int64_t publisher_commit(struct harewire_publisher *p, size_t len, unsigned flags)
{
	const struct amqp_template *t = p->claimed;
	if (unlikely(!t))
		return refuse(p, HW_ERR_NO_CLAIM);
	if (unlikely(len > p->claimed_max))
		return refuse(p, HW_ERR_INVALID);
	/*
	 * Its space is reserved: whatever has become of the connection, it is accepted. But if the publisher has ended
	 * there is nobody left to give this message an outcome.
	 */
	if (unlikely(atomic_load_explicit(&p->state, memory_order_acquire) >= PUBLISHER_CLOSED ||
		     atomic_load_explicit(&p->close_deadline_ns, memory_order_relaxed) != PUBLISHER_NOT_CLOSING)) {
		p->claimed = NULL;
		return refuse(p, HW_ERR_CLOSED);
	}
	uint64_t id = atomic_load_explicit(&p->committed_id, memory_order_relaxed);
	struct amqp_slot_values values = slot_values(p, t, id);
	uint32_t written = amqp_message_write(t, log_at(&p->log, next_pos(p)), (uint32_t)len, &values);
	p->claimed = NULL;
	return hand_over(p, id, p->claimed_id, written, p->claimed_ticks, flags);
}

void publisher_cancel(struct harewire_publisher *p)
{
	p->claimed = NULL;
}

int publisher_close(struct harewire_publisher *p, uint64_t timeout_ns)
{
	uint64_t now = clock_ns(p->clock); /* the worker's clock: it compares */
	uint64_t deadline = timeout_ns < PUBLISHER_NOT_CLOSING - 1 - now ? now + timeout_ns : PUBLISHER_NOT_CLOSING - 1;
	p->claimed = NULL;
	atomic_store_explicit(&p->close_deadline_ns, deadline, memory_order_release);
	return 0;
}
