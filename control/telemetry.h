/*
 * What an engine tells of its workers, connections and publishers while it runs. The figures are put together by the
 * control thread, whose own they are or who may look at them; whoever asks waits for that, a few milliseconds.
 */
#ifndef HAREWIRE_CONTROL_TELEMETRY_H
#define HAREWIRE_CONTROL_TELEMETRY_H

#include "control/supervisor.h"
#include "drivers/dpdk/telemetry.h"

/* As struct telemetry_source has them; `context` is a struct supervisor. Any thread but the control thread. */
uint32_t telemetry_list(void *context, enum telemetry_list list, uint64_t *ids, uint32_t max);
uint32_t telemetry_describe(void *context, enum telemetry_list list, uint64_t id, struct telemetry_figure *figures);

#endif
