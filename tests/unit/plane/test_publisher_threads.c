/*
 * A publisher between two threads, as it is in threaded mode: one plays the worker, and loses, makes and blocks
 * connections as fast as it can; the other is the application. A third asks for figures all the time. Texts are copied
 * while they change, so each is made of what belongs to it: none may ever come half from one event and half from the
 * next. For ThreadSanitizer, too.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "tests/unit/plane/bare.h"

#define LEVELS     1000u /* that the application is to be told of, at least */
#define TEXT_BYTES 200u

struct threads {
	struct bare bare;
	uint32_t rounds;         /* the worker's */
	_Atomic uint32_t asked;  /* for figures, so many times */
	_Atomic bool over;       /* nobody is to ask any more */
	_Atomic uint32_t levels; /* told so far */
	uint64_t told[HAREWIRE_EVENT_DISCONNECTED + 1];
	uint64_t outcomes; /* ids the application was told of */
	uint32_t blockages;
	bool connected, ended;
};

/* A text that consists of its code. */
static void fill_text(char *text, int code)
{
	memset(text, 'a' + -code % 26, TEXT_BYTES);
}

static void check_text(const struct harewire_event *e)
{
	char expected[TEXT_BYTES];
	fill_text(expected, e->code);
	assert_int_equal(strlen(e->text), TEXT_BYTES);
	assert_memory_equal(e->text, expected, TEXT_BYTES);
}

/* ---- the worker's thread ---- */

/* Some of what is there is sent, and has an outcome. */
static void settle_some(struct threads *t, bool lost)
{
	struct confirms *c = &t->bare.confirms;
	uint64_t committed = atomic_load_explicit(&t->bare.publisher->committed_id, memory_order_acquire);
	while (c->handed_id < committed)
		confirms_hand(c);
	if (c->next_tag > 1)
		confirms_settle(c, c->next_tag - 1, true, lost ? OUTCOME_LOST : OUTCOME_CONFIRMED, 0);
	publisher_progress(t->bare.publisher, c, c->settled_pos);
	publisher_set_outcomes(t->bare.publisher, c->outcomes);
	histogram_add(&t->bare.publisher->publish_to_confirm_ticks, committed % 97 * committed);
}

static void *work(void *arg)
{
	struct threads *t = arg;
	struct harewire_publisher *p = t->bare.publisher;
	char text[TEXT_BYTES], host[32];
	publisher_set_frame_max(p, BARE_FRAME_MAX);
	uint32_t round = 0;
	for (; atomic_load(&t->levels) < LEVELS; round++) {
		snprintf(host, sizeof host, "mq%u:%u", round, round);
		publisher_count_connection(p, false);
		publisher_set_ready(p, host);
		fill_text(text, HAREWIRE_BLOCKAGE_ALARM);
		if (round % 3 == 0)
			publisher_set_blockage(p, HAREWIRE_BLOCKAGE_ALARM, true, text, sizeof text);
		publisher_set_blockage(p, HAREWIRE_BLOCKAGE_WINDOW, round % 2, NULL, 0);
		settle_some(t, round % 5 == 0);
		if (round % 4 == 0)
			publisher_set_blockage(p, HAREWIRE_BLOCKAGE_ALARM, false, NULL, 0);
		publisher_count_replayed(p, 1);
		int code = HW_ERR_CONN_REFUSED - (int)(round % 9);
		fill_text(text, code);
		publisher_set_disconnected(p, code, text, sizeof text);
		sched_yield(); /* the two may share a core */
	}
	t->rounds = round;
	confirms_end(&t->bare.confirms, atomic_load_explicit(&p->committed_id, memory_order_acquire));
	confirms_catch_up(&t->bare.confirms, &(uint32_t){UINT32_MAX});
	publisher_progress(p, &t->bare.confirms, t->bare.confirms.settled_pos);
	publisher_set_outcomes(p, t->bare.confirms.outcomes);
	publisher_set_state(p, PUBLISHER_FAILED, HW_ERR_AMQP_POISON, "the end");
	return NULL;
}

/* ---- a thread that only looks ---- */

static void check_figures(const struct harewire_publisher_stats *s, const struct harewire_publisher_stats *before)
{
	const struct harewire_percentiles *l = &s->publish_to_confirm;
	uint64_t outcomes = s->confirmed + s->nacked + s->returned + s->lost + s->unconfirmed;
	assert_true(outcomes <= s->accepted);
	assert_int_equal(s->in_flight, s->accepted - outcomes);
	assert_true(s->accepted >= before->accepted && s->confirmed >= before->confirmed && s->lost >= before->lost);
	assert_true(s->log_used <= s->log_capacity);
	assert_true(l->p50_ns <= l->p90_ns && l->p90_ns <= l->p99_ns && l->p99_ns <= l->p999_ns);
	assert_true(l->p999_ns <= l->p9999_ns && l->p9999_ns <= l->max_ns &&
		    l->count >= before->publish_to_confirm.count);
}

static void *look(void *arg)
{
	struct threads *t = arg;
	struct harewire_publisher_stats before = {0}, now;
	while (!atomic_load(&t->over)) {
		publisher_stats(t->bare.publisher, &now);
		check_figures(&now, &before);
		before = now;
		atomic_fetch_add(&t->asked, 1);
		sched_yield();
	}
	return NULL;
}

/* ---- the application's thread ---- */

static void take_level(struct threads *t, const struct harewire_event *e)
{
	atomic_fetch_add(&t->levels, 1);
	switch (e->type) {
	case HAREWIRE_EVENT_READY: {
		unsigned name, port;
		assert_false(t->connected);
		assert_int_equal(sscanf(e->text, "mq%u:%u", &name, &port), 2);
		assert_int_equal(name, port);
		t->connected = true;
		break;
	}
	case HAREWIRE_EVENT_DISCONNECTED:
		check_text(e);
		assert_int_equal(t->blockages & ~(1u << HAREWIRE_BLOCKAGE_LOG_FULL), 0);
		t->connected = false;
		break;
	case HAREWIRE_EVENT_BLOCKED:
		assert_false(t->blockages & 1u << e->code);
		if (e->code == HAREWIRE_BLOCKAGE_ALARM)
			check_text(e);
		t->blockages |= 1u << e->code;
		break;
	default:
		assert_int_equal(e->type, HAREWIRE_EVENT_UNBLOCKED);
		assert_true(t->blockages & 1u << e->code);
		t->blockages &= ~(1u << e->code);
		break;
	}
}

static void take_event(struct threads *t, const struct harewire_event *e)
{
	t->told[e->type]++;
	assert_false(t->ended);
	if (e->type == HAREWIRE_EVENT_FAILED) {
		assert_string_equal(e->text, "the end");
		t->ended = true;
	} else if (e->first) {
		assert_int_equal(e->first, t->outcomes + 1); /* in order, each once */
		t->outcomes = e->last;
	} else {
		take_level(t, e);
	}
}

static void apply(struct threads *t)
{
	uint64_t accepted = 0, refused = 0;
	while (!t->ended) {
		struct harewire_event e;
		int64_t id = bare_publish(&t->bare, "tick");
		if (id > 0)
			assert_int_equal(id, ++accepted);
		refused += id < 0;
		for (int i = 0; i < 3 && publisher_event_poll(t->bare.publisher, &e); i++)
			take_event(t, &e);
	}
	assert_int_equal(bare_publish(&t->bare, "late"), HW_ERR_CLOSED);
	assert_int_equal(t->outcomes, accepted);
	assert_int_equal(atomic_load(&t->bare.publisher->refused), refused + 1);
}

static void run(enum harewire_policy policy)
{
	struct threads t = {0};
	pthread_t worker, onlooker;
	bare_init(&t.bare, policy, 4096, 16);
	assert_int_equal(pthread_create(&worker, NULL, work, &t), 0);
	assert_int_equal(pthread_create(&onlooker, NULL, look, &t), 0);
	apply(&t);
	assert_int_equal(pthread_join(worker, NULL), 0);
	for (uint32_t asked = atomic_load(&t.asked); atomic_load(&t.asked) == asked;)
		sched_yield(); /* once more at least, of how it has ended */
	atomic_store(&t.over, true);
	assert_int_equal(pthread_join(onlooker, NULL), 0);
	assert_int_equal(t.told[HAREWIRE_EVENT_FAILED], 1);
	struct harewire_publisher_stats stats = bare_stats(&t.bare);
	assert_int_equal(stats.connections, t.rounds);
	assert_int_equal(stats.replayed, t.rounds);
	bare_fini(&t.bare);
}

static void texts_and_levels_are_whole_while_they_change(void **state)
{
	run(HAREWIRE_BUFFER);
}

static void refusing_while_levels_change_loses_no_outcome(void **state)
{
	run(HAREWIRE_REFUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_and_levels_are_whole_while_they_change),
		cmocka_unit_test(refusing_while_levels_change_loses_no_outcome),
	};
	return cmocka_run_group_tests_name("publisher_threads", tests, NULL, NULL);
}
