#include "control/session/verify.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define WORDS  (VERIFY_WINDOW / 64)
#define PLACES (2 * VERIFY_EPOCHS_MAX)

static bool bit_test(const uint64_t *bits, uint64_t number)
{
	return bits[number / 64 % WORDS] >> (number % 64) & 1;
}

static void bit_set(uint64_t *bits, uint64_t number)
{
	bits[number / 64 % WORDS] |= 1ull << (number % 64);
}

static void bit_clear(uint64_t *bits, uint64_t number)
{
	bits[number / 64 % WORDS] &= ~(1ull << (number % 64));
}

void verify_init(struct verify *v, bool from_first_seen)
{
	memset(v, 0, sizeof *v);
	v->from_first_seen = from_first_seen;
}

void verify_fini(struct verify *v)
{
	for (uint32_t i = 0; i < v->count; i++) {
		free(v->epochs[i].seen);
		free(v->epochs[i].only_flagged);
	}
	v->count = 0;
	v->last = NULL;
	memset(v->places, 0, sizeof v->places);
}

/* The epoch's place, or the free one where it belongs: at most half of them are taken. Epochs are random numbers. */
static uint16_t *find_place(struct verify *v, uint32_t epoch)
{
	uint32_t i = epoch % PLACES;

	while (v->places[i] && v->epochs[v->places[i] - 1].epoch != epoch)
		i = (i + 1) % PLACES;
	return &v->places[i];
}

static struct verify_epoch *find_epoch(struct verify *v, uint32_t epoch)
{
	if (v->last && v->last->epoch == epoch)
		return v->last;
	uint16_t place = *find_place(v, epoch);
	return place ? &v->epochs[place - 1] : NULL;
}

static int add_epoch(struct verify *v, const struct verify_message *m, struct verify_epoch **out)
{
	struct verify_epoch *e = &v->epochs[v->count];
	uint64_t start = v->from_first_seen ? m->sequence : 1;
	*e = (struct verify_epoch){.epoch = m->epoch, .start = start, .highest = start - 1};
	e->seen = calloc(WORDS, sizeof *e->seen);
	if (!e->seen)
		return HW_ERR_NOMEM;
	*find_place(v, m->epoch) = (uint16_t)(v->count + 1);
	v->count++;
	*out = e;
	return 0;
}

/* Number `n` enters the window at the place of the one that leaves it. */
static void slide_by_one(struct verify_epoch *e, uint64_t n)
{
	if (n >= VERIFY_WINDOW && n - VERIFY_WINDOW >= e->start && !bit_test(e->seen, n))
		e->missing_behind++;
	bit_clear(e->seen, n);
	if (e->only_flagged)
		bit_clear(e->only_flagged, n);
}

/* A jump of a window or more: none of what the window holds stays. */
static void slide_beyond(struct verify_epoch *e, uint64_t highest)
{
	uint64_t behind = highest - VERIFY_WINDOW; /* the last number older than the new window */
	e->missing_behind = behind >= e->start ? behind - e->start + 1 - e->distinct : 0;
	memset(e->seen, 0, WORDS * sizeof *e->seen);
	if (e->only_flagged)
		memset(e->only_flagged, 0, WORDS * sizeof *e->only_flagged);
}

static void slide_to(struct verify_epoch *e, uint64_t highest)
{
	if (highest - e->highest >= VERIFY_WINDOW) {
		slide_beyond(e, highest);
	} else {
		for (uint64_t n = e->highest + 1; n <= highest; n++)
			slide_by_one(e, n);
	}
	e->highest = highest;
}

static void count_duplicate(struct verify_report *t, const struct verify_message *m, bool only_flagged_before)
{
	if (m->redelivered)
		t->duplicates_redelivered++;
	else if (m->flagged || only_flagged_before)
		t->duplicates_flagged++;
	else
		t->duplicates++;
}

/* Of an id's copies at most one lacks the flag; it need not be the first to arrive. Remembers whether it has come. */
static int note_flag(struct verify_epoch *e, const struct verify_message *m, bool first)
{
	if (m->flagged && first) {
		if (!e->only_flagged)
			e->only_flagged = calloc(WORDS, sizeof *e->only_flagged);
		if (!e->only_flagged)
			return HW_ERR_NOMEM;
		bit_set(e->only_flagged, m->sequence);
	}
	if (!m->flagged && e->only_flagged)
		bit_clear(e->only_flagged, m->sequence);
	return 0;
}

static bool older_than_window(const struct verify_epoch *e, uint64_t sequence)
{
	return sequence <= e->highest && e->highest - sequence >= VERIFY_WINDOW;
}

static void count_old(struct verify_epoch *e, const struct verify_message *m)
{
	if (e->missing_behind == 0 && m->sequence >= e->start)
		count_duplicate(&e->tally, m, false);
	else
		e->tally.unjudged++;
}

static int add_sequence(struct verify_epoch *e, const struct verify_message *m)
{
	e->tally.received++;
	if (older_than_window(e, m->sequence)) {
		count_old(e, m);
		return 0;
	}
	if (m->sequence > e->highest) {
		slide_to(e, m->sequence);
	} else if (bit_test(e->seen, m->sequence)) {
		count_duplicate(&e->tally, m, e->only_flagged && bit_test(e->only_flagged, m->sequence));
		return note_flag(e, m, false);
	} else {
		e->tally.disorder++;
	}
	bit_set(e->seen, m->sequence);
	e->distinct += m->sequence >= e->start;
	return note_flag(e, m, true);
}

static void add_latency(struct verify *v, uint64_t send_time_ns, uint64_t now_ns)
{
	if (send_time_ns == 0)
		return;
	if (send_time_ns > now_ns)
		v->tally.clock_skew++;
	else
		histogram_add(&v->latency_ns, now_ns - send_time_ns);
}

int verify_add(struct verify *v, const struct verify_message *m, uint64_t now_ns)
{
	add_latency(v, m->send_time_ns, now_ns);
	if (!m->sequenced || m->sequence == 0) {
		v->tally.received++;
		v->tally.unsequenced++;
		return 0;
	}
	struct verify_epoch *e = find_epoch(v, m->epoch);
	if (!e && v->count == VERIFY_EPOCHS_MAX) {
		v->tally.received++;
		v->tally.epochs_refused++;
		return 0;
	}
	int rc = e ? 0 : add_epoch(v, m, &e);
	if (rc)
		return rc;
	v->last = e;
	return add_sequence(e, m);
}

void verify_summarize_epoch(const struct verify_epoch *epoch, struct verify_report *report)
{
	*report = epoch->tally;
	report->epochs = 1;
	report->gaps = epoch->highest - epoch->start + 1 - epoch->distinct;
}

void verify_summarize(const struct verify *v, struct verify_report *report)
{
	*report = v->tally;
	for (uint32_t i = 0; i < v->count; i++) {
		struct verify_report one;
		verify_summarize_epoch(&v->epochs[i], &one);
		report->received += one.received;
		report->gaps += one.gaps;
		report->duplicates += one.duplicates;
		report->duplicates_redelivered += one.duplicates_redelivered;
		report->duplicates_flagged += one.duplicates_flagged;
		report->disorder += one.disorder;
		report->unjudged += one.unjudged;
		report->epochs++;
	}
}

bool verify_clean(const struct verify_report *report)
{
	return report->gaps == 0 && report->duplicates == 0 && report->disorder == 0 && report->unjudged == 0 &&
	       report->epochs_refused == 0 && report->unsequenced == 0;
}
