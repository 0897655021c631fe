#include "control/taps.h"

#include <stdio.h>
#include <string.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/error.h"
#include "drivers/interceptors/capture.h"

/* ---- control thread ---- */

/* 0 or HW_ERR_*; a worker without packets is left alone. */
static int tap_worker(struct taps *taps, struct control_worker *w)
{
	const struct capture_options options = {
		.clock = &taps->clock, .snap_bytes = taps->snap_bytes, .ring_bytes = TAP_RING_BYTES};
	struct tap *tap = &taps->workers[w->index];
	struct driver *capture;
	if (!w->chosen || !w->choice.driver)
		return 0;
	int err = capture_create(&options, w->choice.driver, &capture);
	if (err) {
		supervisor_log(w->supervisor, HAREWIRE_LOG_WARNING, "worker %u is not captured: %s", w->index,
			       hw_error_sentence(err));
		return err;
	}
	w->tap = tap;
	atomic_store(&tap->in_use, true);
	atomic_store(&tap->driver, capture);
	control_worker_send(w, &(struct command){.type = COMMAND_CAPTURE_START, .capture = capture});
	return 0;
}

/* Has it packets, or may it have some once it is chosen? */
static bool may_have_packets(const struct control_worker *w)
{
	return w->chosen ? w->choice.driver != NULL : strcmp(w->request.driver, "kernel") != 0;
}

static void start(struct supervisor *s, void *context)
{
	struct taps *taps = context;
	bool any = false;
	taps->error = HW_ERR_UNSUPPORTED;
	for (uint32_t i = 0; i < s->worker_count; i++) {
		if (!may_have_packets(&s->workers[i]))
			continue;
		int err = tap_worker(taps, &s->workers[i]);
		any |= !err;
		taps->error = err;
	}
	if (any)
		taps->error = 0;
	s->taps = taps->error ? NULL : taps;
}

static void stop(struct supervisor *s, void *context)
{
	s->taps = NULL;
	for (uint32_t i = 0; i < s->worker_count; i++)
		if (s->workers[i].tap)
			control_worker_send(&s->workers[i], &(struct command){.type = COMMAND_CAPTURE_STOP});
}

static void forget(struct supervisor *s, void *context)
{
	s->taps = NULL;
	for (uint32_t i = 0; i < s->worker_count; i++)
		s->workers[i].tap = NULL;
}

void taps_worker_chosen(struct supervisor *s, struct control_worker *w)
{
	if (s->taps)
		tap_worker(s->taps, w); /* a failure has been logged */
}

void taps_worker_stopped(struct control_worker *w)
{
	if (w->tap)
		atomic_store(&w->tap->in_use, false);
	w->tap = NULL;
}

/* ---- the owner ---- */

int taps_start(struct taps *taps, struct supervisor *supervisor, uint32_t snap_bytes, char *why, size_t why_bytes)
{
	memset(taps, 0, sizeof *taps);
	clock_calibrate(&taps->clock);
	taps->supervisor = supervisor;
	taps->snap_bytes = snap_bytes;
	supervisor_ask(supervisor, start, taps);
	int err = taps->error;
	snprintf(why, why_bytes, "%s",
		 err == HW_ERR_UNSUPPORTED ? "every worker uses the kernel's sockets: capture with tcpdump"
					   : hw_error_sentence(err));
	return err;
}

void taps_stop(struct taps *taps)
{
	supervisor_ask(taps->supervisor, stop, taps);
}

bool taps_stopped(const struct taps *taps)
{
	for (uint32_t i = 0; i < HAREWIRE_WORKERS_MAX; i++)
		if (atomic_load(&taps->workers[i].in_use))
			return false;
	return true;
}

void taps_fini(struct taps *taps)
{
	supervisor_ask(taps->supervisor, forget, taps);
	for (uint32_t i = 0; i < HAREWIRE_WORKERS_MAX; i++)
		if (taps->workers[i].driver)
			capture_destroy(taps->workers[i].driver);
	memset(taps, 0, sizeof *taps);
}
