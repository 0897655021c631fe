#include "control/command/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define SLOTS_MIN 64u

int schedule_init(struct schedule *schedule, const struct settings *settings, uint32_t publishers)
{
	uint64_t slots = SLOTS_MIN;

	memset(schedule, 0, sizeof *schedule);
	if (!(settings->rate > 0 || settings->speed > 0))
		return 0;
	/*
	 * Behind the library's index, which it rounds up, there is the message that waits for room in it, and before it
	 * those that are confirmed but whose events have not been looked at (run.c): all have a due time still.
	 */
	while (slots < settings->max_messages)
		slots *= 2;
	slots *= 2;
	schedule->due_ns = calloc(slots * publishers, sizeof *schedule->due_ns);
	schedule->mask = slots - 1;
	return schedule->due_ns ? 0 : HW_ERR_NOMEM;
}

void schedule_fini(struct schedule *schedule)
{
	free(schedule->due_ns);
	schedule->due_ns = NULL;
}

static uint64_t *slot(struct schedule *schedule, uint32_t publisher, uint64_t id)
{
	return &schedule->due_ns[publisher * (schedule->mask + 1) + (id & schedule->mask)];
}

void schedule_publish(struct schedule *schedule, uint32_t publisher, uint64_t id, uint64_t due_ns, uint64_t now_ns)
{
	if (!schedule->due_ns)
		return;
	if (due_ns)
		histogram_add(&schedule->slip, now_ns - due_ns);
	*slot(schedule, publisher, id) = due_ns ? due_ns : now_ns;
}

void schedule_confirm(struct schedule *schedule, uint32_t publisher, uint64_t first, uint64_t last)
{
	if (!schedule->due_ns)
		return;
	uint64_t now_ns = clock_monotonic_ns();
	for (uint64_t id = first; id <= last; id++) {
		uint64_t due_ns = *slot(schedule, publisher, id);
		histogram_add(&schedule->due_to_confirm, now_ns > due_ns ? now_ns - due_ns : 0);
	}
}
