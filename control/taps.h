/*
 * The taps of a capture: one interceptor for each worker that sends packets (drivers/interceptors/capture.h). The
 * control thread puts them into the workers' transports, now or when a worker gets one, and takes them out again; the
 * owner of the taps reads the packets.
 *
 *     owner ── taps_start ──▶ control ── COMMAND_CAPTURE_START ──▶ worker
 *           ◀──────────────── packets ───────────────────────────
 *           ── taps_stop ───▶ control ── COMMAND_CAPTURE_STOP ───▶ worker ── EVENT_CAPTURE_STOPPED ──▶ control
 */
#ifndef HAREWIRE_TAPS_H
#define HAREWIRE_TAPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/supervisor.h"
#include "dataplane/base/clock.h"
#include "drivers/driver.h"

#define TAP_RING_BYTES (16u << 20) /* of each worker: 10 ms of 12 Gbit/s */

struct tap {
	_Atomic(struct driver *) driver; /* the interceptor; NULL: there is none, or not yet */
	_Atomic bool in_use;             /* the worker may still have it */
};

struct taps {
	struct supervisor *supervisor;
	struct clock_scale clock;
	uint32_t snap_bytes; /* 0: whole packets */
	struct tap workers[HAREWIRE_WORKERS_MAX];
	int error; /* of taps_start */
};

/*
 * All of these: one thread of the owner's, not the control thread. One capture at a time.
 *
 * 0, or HW_ERR_* with a sentence and no tap in use, taps_fini all the same: HW_ERR_UNSUPPORTED when no worker has
 * packets or will have, HW_ERR_NOMEM or _SYSTEM when none could be given a tap. (If some could, it is a warning in the
 * log.)
 */
int taps_start(struct taps *taps, struct supervisor *supervisor, uint32_t snap_bytes, char *why, size_t why_bytes);
/* The workers are told. Once taps_stopped says so no packet is added any more. */
void taps_stop(struct taps *taps);
bool taps_stopped(const struct taps *taps);
/* Frees the interceptors: once taps_stopped, or when the workers' threads have ended. */
void taps_fini(struct taps *taps);

/* Control thread: a worker has got its transport; a worker has let go of its tap. */
struct control_worker;
void taps_worker_chosen(struct supervisor *supervisor, struct control_worker *worker);
void taps_worker_stopped(struct control_worker *worker);

#endif
