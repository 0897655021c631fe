/*
 * Levels: whether there is a connection, and what keeps messages from flowing. The worker sets them; the application is
 * told the differences between what is and what it was told last, so that nothing queues up for one that never looks.
 */
#include <assert.h>
#include <string.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"
#include "dataplane/publisher_internal.h"

_Static_assert((int)HAREWIRE_BLOCKAGE_LOG_FULL == PUBLISHER_BLOCKAGES - 1, "there is a time for each blockage");

/* ---- worker ---- */

/*
 * A sequence lock: the worker never waits; a reader that is overtaken looks again later. `state` goes first: whoever
 * has seen the level of a publisher that is over finds that publish refuses.
 */
static void share(struct harewire_publisher *p)
{
	uint64_t words[PUBLISHER_LEVEL_WORDS];
	uint32_t version = atomic_load_explicit(&p->level_version, memory_order_relaxed);
	memcpy(words, &p->level, sizeof words);
	atomic_store_explicit(&p->blockages, p->level.blockages, memory_order_relaxed);
	atomic_store_explicit(&p->state, p->level.state, memory_order_release);
	atomic_store_explicit(&p->level_version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < PUBLISHER_LEVEL_WORDS; i++)
		atomic_store_explicit(&p->level_words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&p->level_version, version + 2, memory_order_release);
}

/* As much of it as fits, terminated. NULL: "". */
static void copy_text(char *dst, size_t cap, const char *text, size_t len)
{
	size_t n = !text ? 0 : len < cap - 1 ? len : cap - 1;
	if (n)
		memcpy(dst, text, n);
	memset(dst + n, 0, cap - n);
}

static bool is_connected(uint32_t state)
{
	return state == PUBLISHER_READY || state == PUBLISHER_BLOCKED;
}

/* Rare enough to ask the kernel's own clock, which other programs' stamps can be compared with. */
static uint64_t level_time(void)
{
	return clock_monotonic_ns();
}

static void end_blockages(struct publisher_level *l, uint64_t now_ns)
{
	for (uint32_t which = 0; which < PUBLISHER_BLOCKAGES; which++)
		if (l->blockages & 1u << which)
			l->blockage_since_ns[which] = now_ns;
	l->blockages = 0;
}

void publisher_set_frame_max(struct harewire_publisher *p, uint32_t frame_max)
{
	if (atomic_load_explicit(&p->body_max, memory_order_relaxed) == 0)
		atomic_store_explicit(&p->body_max, frame_max - AMQP_FRAME_OVERHEAD, memory_order_relaxed);
}

void publisher_set_state(struct harewire_publisher *p, enum publisher_state state, int code, const char *text)
{
	assert(state >= PUBLISHER_CLOSED);
	struct publisher_level *l = &p->level;
	l->since_ns = level_time();
	end_blockages(l, l->since_ns);
	l->state = state;
	l->code = code;
	l->end_text = text;
	share(p);
}

void publisher_set_ready(struct harewire_publisher *p, const char *host)
{
	struct publisher_level *l = &p->level;
	l->since_ns = level_time();
	l->state = l->blockages ? PUBLISHER_BLOCKED : PUBLISHER_READY;
	copy_text(l->where, sizeof l->where, host, strlen(host));
	share(p);
}

void publisher_set_disconnected(struct harewire_publisher *p, int code, const char *text, size_t len)
{
	struct publisher_level *l = &p->level;
	const char *sentence = hw_error_sentence(code);
	l->since_ns = level_time();
	end_blockages(l, l->since_ns);
	l->state = PUBLISHER_RECONNECTING;
	l->code = code;
	copy_text(l->lost_text, sizeof l->lost_text, text ? text : sentence, text ? len : strlen(sentence));
	share(p);
}

void publisher_set_blockage(struct harewire_publisher *p, enum harewire_blockage which, bool on, const char *reason,
			    size_t len)
{
	assert(which >= HAREWIRE_BLOCKAGE_ALARM && which < HAREWIRE_BLOCKAGE_LOG_FULL);
	struct publisher_level *l = &p->level;
	uint32_t bit = 1u << which;
	bool changes = on != !!(l->blockages & bit);
	if (which == HAREWIRE_BLOCKAGE_ALARM && on) {
		copy_text(l->alarm_text, sizeof l->alarm_text, reason, len);
		atomic_fetch_add_explicit(&p->alarms, changes, memory_order_relaxed);
	} else if (!changes) {
		return;
	}
	if (changes)
		l->blockage_since_ns[which] = level_time();
	l->blockages ^= changes ? bit : 0;
	if (is_connected(l->state))
		l->state = l->blockages ? PUBLISHER_BLOCKED : PUBLISHER_READY;
	share(p);
}

void publisher_count_connection(struct harewire_publisher *p, bool channel_only)
{
	atomic_fetch_add_explicit(channel_only ? &p->channels : &p->connections, 1, memory_order_relaxed);
}

void publisher_count_replayed(struct harewire_publisher *p, uint64_t messages)
{
	atomic_fetch_add_explicit(&p->replayed, messages, memory_order_relaxed);
}

/* ---- application ---- */

void publisher_note_room(struct harewire_publisher *p, bool room, uint64_t need)
{
	bool noted = atomic_load_explicit(&p->no_room, memory_order_relaxed);
	if (!room)
		p->no_room_need = need;
	if (noted != room)
		return;
	p->no_room_since_ns = level_time();
	atomic_store_explicit(&p->no_room, !room, memory_order_relaxed);
}

/* What is shared as `version`, which was even; false: it is being written again. */
static bool copy_level(const struct harewire_publisher *p, uint32_t version, struct publisher_level *out)
{
	uint64_t words[PUBLISHER_LEVEL_WORDS];
	for (size_t i = 0; i < PUBLISHER_LEVEL_WORDS; i++)
		words[i] = atomic_load_explicit(&p->level_words[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&p->level_version, memory_order_relaxed) != version)
		return false;
	memcpy(out, words, sizeof words);
	return true;
}

uint32_t publisher_look(struct harewire_publisher *p)
{
	uint32_t version = atomic_load_explicit(&p->level_version, memory_order_acquire);
	if (version != p->seen_version && !(version & 1) && copy_level(p, version, &p->seen))
		p->seen_version = version;
	return p->seen.state;
}

bool publisher_get_level(const struct harewire_publisher *p, struct publisher_level *level)
{
	uint32_t version = atomic_load_explicit(&p->level_version, memory_order_acquire);
	return !(version & 1) && copy_level(p, version, level);
}

/* What there is to know of blockages: the worker's where there is a connection, and our own. */
static uint32_t blockages_now(struct harewire_publisher *p)
{
	uint32_t bits = is_connected(p->seen.state) ? p->seen.blockages : 0;
	if (atomic_load_explicit(&p->no_room, memory_order_relaxed) && publisher_find_ease(p, p->no_room_need))
		publisher_note_room(p, true, 0);
	if (atomic_load_explicit(&p->no_room, memory_order_relaxed))
		bits |= 1u << HAREWIRE_BLOCKAGE_LOG_FULL;
	return bits;
}

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* The first of `bits` has begun, or ended. */
static int tell_blockage(struct harewire_publisher *p, uint32_t bits, bool on, struct harewire_event *event)
{
	uint32_t which = (uint32_t)__builtin_ctz(bits);
	event->type = on ? HAREWIRE_EVENT_BLOCKED : HAREWIRE_EVENT_UNBLOCKED;
	event->code = (int)which;
	event->since_ns = which == HAREWIRE_BLOCKAGE_LOG_FULL ? p->no_room_since_ns : p->seen.blockage_since_ns[which];
	if (on && which == HAREWIRE_BLOCKAGE_ALARM)
		event->text = text_or_null(p->seen.alarm_text);
	p->told_blockages ^= 1u << which;
	return 1;
}

/* A connection that is there, or no more. */
static int tell_connection(struct harewire_publisher *p, uint32_t state, struct harewire_event *event)
{
	bool lost = state == PUBLISHER_RECONNECTING;
	event->type = lost ? HAREWIRE_EVENT_DISCONNECTED : HAREWIRE_EVENT_READY;
	event->since_ns = p->seen.since_ns;
	event->code = lost ? (int)p->seen.code : 0;
	event->text = text_or_null(lost ? p->seen.lost_text : p->seen.where);
	p->told_state = state;
	return 1;
}

/*
 * What has ended is told before what has begun: a lost connection's blockages, DISCONNECTED, READY, the new one's. So
 * an application that keeps a set of what it was told never holds a blockage of no connection.
 */
int publisher_poll_level(struct harewire_publisher *p, struct harewire_event *event)
{
	uint32_t state = is_connected(p->seen.state) ? PUBLISHER_READY : p->seen.state;
	uint32_t now = blockages_now(p);
	if (p->told_blockages & ~now)
		return tell_blockage(p, p->told_blockages & ~now, false, event);
	if (state != p->told_state)
		return tell_connection(p, state, event);
	if (now & ~p->told_blockages)
		return tell_blockage(p, now & ~p->told_blockages, true, event);
	return 0;
}

int publisher_poll_end(struct harewire_publisher *p, struct harewire_event *event)
{
	if (p->told_state == p->seen.state)
		return 0;
	event->type = p->seen.state == PUBLISHER_CLOSED ? HAREWIRE_EVENT_CLOSED : HAREWIRE_EVENT_FAILED;
	event->code = (int)p->seen.code;
	event->text = p->seen.end_text;
	event->since_ns = p->seen.since_ns;
	p->told_state = p->seen.state;
	return 1;
}
