/*
 * What a worker notices of a broker that neither closes nor answers: a closed window, silence; and when to stop
 * waiting. Looked at every LOOK_EVERY_NS, so the fast path knows nothing of it.
 */
#include <string.h>

#include "dataplane/base/error.h"
#include "dataplane/connection_internal.h"

#define SILENCE_NS 1000000000u /* messages wait, and none gets an outcome */
#define SHUT_NS    500000000u  /* a window closed for less is a busy broker's, not worth telling */
#define OPEN_NS    200000000u  /* ... and open for less it is not open yet */

/* A look that comes late counts for no more: our own absence is not the broker's silence. */
#define LOOK_COUNTS_NS (2 * LOOK_EVERY_NS)

void connection_watch_start(struct connection *c, uint64_t now_ns)
{
	memset(&c->watch, 0, sizeof c->watch);
	c->watch.looked_ns = now_ns;
	c->watch.outcomes = confirms_outcomes(&c->confirms);
}

static bool messages_wait(const struct connection *c)
{
	return c->confirms.low_tag < c->confirms.next_tag;
}

/* Octets wait, and the window takes not even a segment of them. */
static bool window_shut(const struct connection *c, const struct stream_info *info)
{
	bool unpushed =
		c->phase == CONNECTION_REPLAYING ||
		atomic_load_explicit(&c->publisher->committed_id, memory_order_relaxed) != c->confirms.handed_id;
	uint64_t one = unpushed || info->unsent > info->mss ? info->mss : info->unsent;
	return info->peer_window < one;
}

static void tell(struct connection *c, enum harewire_blockage which, bool on)
{
	uint32_t bit = 1u << which;
	if (on == !!(c->watch.told & bit))
		return;
	c->watch.told ^= bit;
	publisher_set_blockage(c->publisher, which, on, NULL, 0);
}

/*
 * Time under an alarm is not the broker's to answer for. Behind a closed window it is: a channel that will never
 * confirm again (its quorum lost) is not read any more either, and flow control that goes on confirming is no silence.
 */
static uint64_t silent_ns(const struct connection *c, uint64_t outcomes, uint64_t passed_ns)
{
	const struct connection_watch *w = &c->watch;
	if (outcomes != w->outcomes)
		return 0;
	return w->silent_ns + (w->waiting && !c->blocked ? passed_ns : 0);
}

/* Whether the window has been closed for so long that the application is told; open for a while, if it was. */
static bool shut_for_long(struct connection_watch *w, bool shut, uint64_t passed_ns)
{
	bool told = w->told & 1u << HAREWIRE_BLOCKAGE_WINDOW;
	w->same_ns = shut == w->shut ? w->same_ns + passed_ns : 0;
	w->shut = shut;
	return shut ? told || w->same_ns >= SHUT_NS : told && w->same_ns < OPEN_NS;
}

int connection_watch(struct connection *c, const struct stream_info *info, uint64_t now_ns)
{
	struct connection_watch *w = &c->watch;
	uint64_t passed_ns = now_ns - w->looked_ns < LOOK_COUNTS_NS ? now_ns - w->looked_ns : LOOK_COUNTS_NS;
	uint64_t outcomes = confirms_outcomes(&c->confirms);
	bool shut = window_shut(c, info);

	w->silent_ns = silent_ns(c, outcomes, passed_ns);
	tell(c, HAREWIRE_BLOCKAGE_SILENCE, w->silent_ns >= SILENCE_NS);
	tell(c, HAREWIRE_BLOCKAGE_WINDOW, shut_for_long(w, shut, passed_ns));
	bool blocked = c->blocked || shut || (w->told & 1u << HAREWIRE_BLOCKAGE_WINDOW);
	w->blocked_ns = blocked ? w->blocked_ns + passed_ns : 0;

	w->looked_ns = now_ns;
	w->outcomes = outcomes;
	w->waiting = messages_wait(c);
	if (c->options.confirm_timeout_ns && w->silent_ns >= c->options.confirm_timeout_ns)
		return HW_ERR_AMQP_CONFIRM_TIMEOUT;
	if (c->options.blocked_timeout_ns && w->blocked_ns >= c->options.blocked_timeout_ns)
		return HW_ERR_AMQP_BLOCKED_TIMEOUT;
	return 0;
}
