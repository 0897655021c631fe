#define _GNU_SOURCE
#include "dataplane/worker.h"

#include <assert.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/base/error.h"
#include "dataplane/base/thread.h"

#define SCAN_COLD        8u /* connections outside the hot set looked at each turn */
#define COOL_AFTER_TURNS 64u
#define SPIN_TURNS       2000u
#define YIELD_TURNS      200u
#define SLEEP_MAX_NS     50000

int worker_init(struct worker *w, const struct worker_options *options)
{
	memset(w, 0, sizeof *w);
	w->clock = options->clock;
	w->backoff = options->backoff;
	w->cpu = options->cpu;
	if (deadlines_init(&w->deadlines, STREAMS_MAX) ||
	    spsc_init(&w->channel.commands, COMMAND_RING, sizeof(struct command)) ||
	    spsc_init(&w->channel.events, EVENT_RING, sizeof(struct worker_event))) {
		worker_fini(w);
		return HW_ERR_NOMEM;
	}
	return 0;
}

void worker_fini(struct worker *w)
{
	deadlines_fini(&w->deadlines);
	spsc_fini(&w->channel.commands);
	spsc_fini(&w->channel.events);
}

/* ---- which connections are looked at ---- */

static void swap_order(struct worker *w, uint32_t a, uint32_t b)
{
	uint16_t slot_a = w->order[a], slot_b = w->order[b];
	w->order[a] = slot_b;
	w->order[b] = slot_a;
	w->place[slot_b] = (uint16_t)a;
	w->place[slot_a] = (uint16_t)b;
}

static void make_hot(struct worker *w, uint32_t slot)
{
	w->idle_turns[slot] = 0;
	if (w->place[slot] >= w->hot)
		swap_order(w, w->place[slot], w->hot++);
}

static void make_cold(struct worker *w, uint32_t slot)
{
	if (w->place[slot] < w->hot)
		swap_order(w, w->place[slot], --w->hot);
}

static void add(struct worker *w, struct connection *c)
{
	uint32_t slot = 0;
	while (w->connections[slot])
		slot++; /* control adds no more than STREAMS_MAX */
	assert(slot < STREAMS_MAX);
	w->connections[slot] = c;
	c->slot = slot;
	c->events = &w->channel.events;
	w->place[slot] = (uint16_t)w->count;
	w->order[w->count++] = (uint16_t)slot;
}

static void drop(struct worker *w, struct connection *c)
{
	make_cold(w, c->slot);
	swap_order(w, w->place[c->slot], --w->count);
	deadlines_set(&w->deadlines, c->slot, DEADLINE_NEVER);
	w->connections[c->slot] = NULL;
	struct worker_event e = {.type = EVENT_REMOVED, .generation = c->generation, .connection = c};
	bool pushed = spsc_push(&w->channel.events, &e);
	assert(pushed);
	(void)pushed;
}

/* ---- commands ---- */

static void stop_capture(struct worker *w)
{
	const struct worker_event e = {.type = EVENT_CAPTURE_STOPPED};
	w->transport->ops->intercept(w->transport, NULL);
	bool pushed = spsc_push(&w->channel.events, &e);
	assert(pushed);
	(void)pushed;
}

static void open_connection(struct worker *w, const struct command *cmd, uint64_t now_ns)
{
	struct connection *c = cmd->connection;
	assert(w->transport && c->phase == CONNECTION_IDLE);
	connection_open(c, w->transport->streams[c->slot], &cmd->address, cmd->generation, now_ns);
	if (c->phase != CONNECTION_IDLE) {
		connection_send(c, now_ns);
		deadlines_set(&w->deadlines, c->slot, now_ns);
	}
}

static void run_command(struct worker *w, const struct command *cmd, uint64_t now_ns)
{
	struct connection *c = cmd->connection;
	bool of_generation = cmd->type == COMMAND_HAND_OVER || cmd->type == COMMAND_NEXT_HOP ||
			     cmd->type == COMMAND_ERROR || cmd->type == COMMAND_ABORT;
	if (of_generation && cmd->generation != c->generation) {
		w->stale_records++;
		return;
	}
	switch ((enum command_type)cmd->type) {
	case COMMAND_ATTACH_TRANSPORT:
		w->transport = cmd->transport;
		break;
	case COMMAND_ADD:
		add(w, c);
		break;
	case COMMAND_OPEN:
		open_connection(w, cmd, now_ns);
		break;
	case COMMAND_HAND_OVER:
		connection_hand_over(c, &cmd->hand_over, now_ns);
		break;
	case COMMAND_NEXT_HOP:
		if (c->phase != CONNECTION_IDLE)
			c->ops->next_hop(c->stream, cmd->mac);
		break;
	case COMMAND_ERROR:
		if (c->phase != CONNECTION_IDLE && c->ops->take_error)
			c->ops->take_error(c->stream, &cmd->error, now_ns);
		break;
	case COMMAND_ABORT:
		connection_abort(c, HW_ERR_CONN_ABORTED, now_ns);
		break;
	case COMMAND_END:
		connection_end_publisher(c, cmd->end.code, cmd->end.text);
		break;
	case COMMAND_REMOVE:
		connection_abort(c, HW_ERR_CONN_ABORTED, now_ns);
		drop(w, c);
		break;
	case COMMAND_CAPTURE_START:
		w->transport->ops->intercept(w->transport, cmd->capture);
		break;
	case COMMAND_CAPTURE_STOP:
		stop_capture(w);
		break;
	}
}

static __attribute__((noinline)) uint32_t run_commands(struct worker *w, const struct command *cmd, uint64_t now_ns)
{
	uint32_t done = 0;
	for (; cmd; cmd = spsc_peek(&w->channel.commands)) {
		struct command copy = *cmd;
		spsc_pop(&w->channel.commands);
		run_command(w, &copy, now_ns);
		done++;
	}
	return done;
}

/* ---- the turn ---- */

static uint32_t receive(struct worker *w, uint64_t now_ns, uint64_t now_ticks)
{
	struct transport *tp = w->transport;
	tp->ops->receive(tp, now_ns);
	uint32_t n = tp->ready_count;
	for (uint32_t i = 0; i < n; i++) {
		struct stream *s = tp->ready_list[i];
		s->ready = false;
		struct connection *c = w->connections[s->index];
		if (c && c->stream == s) {
			connection_receive(c, now_ns, now_ticks);
			connection_send(c, now_ns);
		}
		if (!c || c->stream != s)
			tp->ops->transmit(s, now_ns); /* last words: a RST, the ACK of the peer's FIN */
	}
	/* Streams that sending has marked again (no transmit buffer left) stay for the next turn. */
	memmove(tp->ready_list, tp->ready_list + n, (tp->ready_count - n) * sizeof tp->ready_list[0]);
	tp->ready_count -= n;
	return n;
}

static bool send_one(struct worker *w, uint32_t slot, uint64_t now_ns)
{
	struct connection *c = w->connections[slot];
	return connection_wanted(c) && connection_send(c, now_ns);
}

static uint32_t send(struct worker *w, uint64_t now_ns)
{
	uint32_t done = 0;
	for (uint32_t i = 0; i < w->hot; i++) {
		uint32_t slot = w->order[i];
		if (send_one(w, slot, now_ns)) {
			w->idle_turns[slot] = 0;
			done++;
		} else if (++w->idle_turns[slot] >= COOL_AFTER_TURNS && w->count > SCAN_COLD) {
			make_cold(w, slot); /* its place is taken by another hot one, or by itself */
			i--;
		}
	}
	uint32_t cold = w->count - w->hot;
	for (uint32_t n = cold < SCAN_COLD ? cold : SCAN_COLD; n > 0; n--) {
		w->rotation = w->rotation + 1 >= w->count || w->rotation + 1 < w->hot ? w->hot : w->rotation + 1;
		uint32_t slot = w->order[w->rotation];
		if (send_one(w, slot, now_ns)) {
			make_hot(w, slot);
			done++;
		}
	}
	return done;
}

static void timers(struct worker *w, uint64_t now_ns)
{
	if (now_ns >= w->transport->next_deadline_ns)
		w->transport->ops->timers(w->transport, now_ns);
	while (deadlines_next(&w->deadlines) <= now_ns) {
		uint32_t slot = deadlines_first(&w->deadlines);
		deadlines_set(&w->deadlines, slot, connection_timer(w->connections[slot], now_ns));
	}
}

static void note_gap(struct worker *w, uint64_t now_ns)
{
	uint64_t gap = w->last_turn_ns ? now_ns - w->last_turn_ns : 0;
	w->last_turn_ns = now_ns;
	if (gap > atomic_load_explicit(&w->longest_gap_ns, memory_order_relaxed))
		atomic_store_explicit(&w->longest_gap_ns, gap, memory_order_relaxed);
}

uint32_t worker_turn(struct worker *w)
{
	uint64_t now_ticks = clock_ticks(w->clock);
	uint64_t now_ns = clock_ns_at(w->clock, now_ticks);
	note_gap(w, now_ns);
	const struct command *cmd = spsc_peek(&w->channel.commands);
	uint32_t done = __builtin_expect(cmd != NULL, 0) ? run_commands(w, cmd, now_ns) : 0;
	if (!w->transport)
		return done;
	done += receive(w, now_ns, now_ticks);
	done += send(w, now_ns);
	timers(w, now_ns);
	return done;
}

void worker_push(struct worker *w, struct connection *c)
{
	if (c->phase == CONNECTION_PUBLISHING)
		connection_send(c, clock_ns(w->clock));
}

/* ---- threaded mode ---- */

static void idle(uint32_t *idle_turns, bool backoff)
{
	if (++*idle_turns < SPIN_TURNS || !backoff) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
		return;
	}
	if (*idle_turns < SPIN_TURNS + YIELD_TURNS) {
		sched_yield();
		return;
	}
	struct timespec nap = {.tv_nsec = SLEEP_MAX_NS};
	nanosleep(&nap, NULL);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	uint32_t idle_turns = 0;
	prctl(PR_SET_TIMERSLACK, 1ul); /* the default of 50 us would double every nap */
	while (!atomic_load_explicit(&w->stop, memory_order_acquire)) {
		if (worker_turn(w))
			idle_turns = 0;
		else
			idle(&idle_turns, w->backoff);
	}
	return NULL;
}

int worker_start(struct worker *w)
{
	int err = thread_start(&w->thread, "harewire-worker", w->cpu, run, w);
	w->started = !err;
	return err;
}

void worker_stop(struct worker *w)
{
	if (!w->started)
		return;
	atomic_store_explicit(&w->stop, true, memory_order_release);
	pthread_join(w->thread, NULL);
	w->started = false;
}
