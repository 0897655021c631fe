/*
 * Control, as far as the worker sees it: opens connections, exchanges the handshake's frames, hands over, decides what
 * becomes of a connection that has ended. Its decisions are drawn, and always such as control may make.
 */
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "tests/sim/session/session.h"

#define HANDSHAKE_WITHIN (2 * SECOND)

static void command(struct producer *p, struct command cmd)
{
	cmd.connection = p->connection;
	cmd.generation = p->control.generation;
	if (!spsc_push(&p->world->worker.channel.commands, &cmd))
		fail(p->world, "the ring of commands is full", 0);
}

void control_init(struct producer *p)
{
	struct control *c = &p->control;
	memset(c, 0, sizeof *c);
	c->state = CONTROL_PAUSE;
	c->resume_at_ns = p->world->now_ns;
	c->deadline_ns = c->give_up_at_ns = NEVER;
	c->port = (uint16_t)(40000 + p->index * 10000);
	command(p, (struct command){.type = COMMAND_ADD});
}

static void open_connection(struct producer *p)
{
	struct control *c = &p->control;
	struct world *w = p->world;
	struct prng *r = &w->random;
	static const uint64_t heartbeats[] = {0, 1, 1, 2, 10};
	c->generation++;
	c->port++;
	c->reopening = false;
	uint32_t host = c->host;
	c->host = prng_once_in(r, 3) ? (uint32_t)prng_below(r, HOSTS) : c->host;
	if (c->host != host)
		hit(w, HIT_OTHER_HOST);
	/* Where a reset may be lost, or a machine be gone without a word, only heartbeats notice. */
	c->heartbeat_ns = heartbeats[w->undisturbed ? prng_below(r, 5) : 1 + prng_below(r, 4)] * SECOND;
	c->state = CONTROL_CONNECTING;
	c->deadline_ns = w->now_ns + HANDSHAKE_WITHIN;
	const struct stream_address address = {.local_ip = OUR_IP,
					       .remote_ip = HOST_IP + c->host,
					       .local_port = c->port,
					       .remote_port = BROKER_PORT,
					       .local_mac = {2, 0, 0, 0, 0, 1},
					       .next_hop_mac = {2, 0, 0, 0, 0, 2},
					       .mtu = 1500,
					       .connect_timeout_ns = HANDSHAKE_WITHIN / 2,
					       .rto_min_ns = 5 * MS,
					       .user_timeout_ns = 5 * SECOND};
	trace(w, "control %u: opens generation %u to host %u, port %u", p->index, c->generation, c->host, c->port);
	command(p, (struct command){.type = COMMAND_OPEN, .address = address});
}

static void end_publisher(struct producer *p, int code)
{
	p->control.state = CONTROL_ENDING;
	p->control.deadline_ns = NEVER;
	p->control.told_end = true;
	if (confirms_behind(&p->connection->confirms))
		hit(p->world, HIT_WALK_ENDED);
	trace(p->world, "control %u: ends the publisher, code %d", p->index, code);
	command(p, (struct command){.type = COMMAND_END, .end = {.code = code, .text = NULL}});
}

/* ---- the handshake ---- */

static void write_method(struct producer *p, uint16_t channel, uint32_t method, uint32_t args)
{
	uint8_t frame[64] = {1};
	put_be16(frame + 1, channel);
	put_be32(frame + 3, args + 4);
	put_be32(frame + 7, method);
	frame[11 + args] = 206;
	if (!byte_ring_write(&p->connection->bridge.to_wire, frame, args + 12))
		fail(p->world, "no room for the handshake", 0);
}

static void hand_over(struct producer *p)
{
	struct control *c = &p->control;
	struct command cmd = {.type = COMMAND_HAND_OVER};
	cmd.hand_over = (struct command_hand_over){
		.heartbeat_ns = c->heartbeat_ns, .frame_max = p->world->frame_max, .channel = CHANNEL};
	memcpy(cmd.hand_over.host, "sim:5672", 9);
	c->state = CONTROL_UP;
	c->deadline_ns = NEVER;
	bool behind = confirms_behind(&p->connection->confirms);
	if (!p->world->healed && p->low_id < p->next_id && prng_once_in(&p->world->random, behind ? 1 : 6))
		c->give_up_at_ns = p->world->now_ns + prng_below(&p->world->random, behind ? 1 : 20 * MS);
	if (p->connection->blocked && p->low_id < p->connection->confirms.handed_id)
		hit(p->world, HIT_CONNECTED_ALARMED);
	if (behind)
		hit(p->world, HIT_WALK_HANDED_OVER);
	hit(p->world, HIT_CONNECTED);
	command(p, cmd);
}

static void on_handshake(struct producer *p, uint32_t method)
{
	switch (method) {
	case CONNECTION_START:
		write_method(p, 0, CONNECTION_START_OK, 30);
		break;
	case CONNECTION_TUNE:
		write_method(p, 0, CONNECTION_TUNE_OK, 8);
		write_method(p, 0, CONNECTION_OPEN, 4);
		break;
	case CONNECTION_OPEN_OK:
		write_method(p, CHANNEL, CHANNEL_OPEN, 1);
		break;
	case CHANNEL_OPEN_OK:
		if (!p->control.reopening)
			write_method(p, CHANNEL, CONFIRM_SELECT, 1);
		break;
	case CONFIRM_SELECT_OK:
		p->control.reopening = false;
		if (byte_ring_held(&p->connection->bridge.to_control) == 0)
			hand_over(p);
		break; /* else what follows is a close */
	case CHANNEL_CLOSE:
	case CONNECTION_CLOSE:
		hit(p->world, HIT_CLOSED_IN_HANDSHAKE);
		command(p, (struct command){.type = COMMAND_ABORT});
		break;
	default:
		break;
	}
}

/* Whole frames of the bridge, the only kind there is. */
static void read_bridge(struct producer *p)
{
	struct byte_ring *ring = &p->connection->bridge.to_control;
	uint8_t head[11];
	uint32_t held;
	while ((held = byte_ring_held(ring)) > 0) {
		if (held < 8) {
			fail(p->world, "less than a frame on the bridge", held);
			return;
		}
		byte_ring_peek(ring, 0, head, held < sizeof head ? held : sizeof head);
		uint32_t len = get_be32(head + 3) + 8;
		if (len > held) {
			fail(p->world, "part of a frame on the bridge", len);
			return;
		}
		byte_ring_consume(ring, len);
		if (p->control.state == CONTROL_HANDSHAKE && head[0] == 1)
			on_handshake(p, get_be32(head + 7));
	}
}

/* ---- events ---- */

static void on_connected(struct producer *p)
{
	static const uint8_t protocol[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
	p->control.state = CONTROL_HANDSHAKE;
	if (!byte_ring_write(&p->connection->bridge.to_wire, protocol, sizeof protocol))
		fail(p->world, "no room for the handshake", 0);
}

/* What the worker says of the oldest message, which decides about poison, is what happened. */
static void check_report(struct producer *p, const struct worker_event *e)
{
	struct world *w = p->world;
	const struct record *r = &p->records[p->low_id];
	bool sent = p->low_id < p->next_id && r->begun == p->tap.generation && !r->thrown_away;
	uint64_t outcomes = 0;
	for (uint64_t id = 1; id < p->next_id; id++)
		outcomes += p->records[id].outcome != OUTCOME_PENDING;
	if (p->control.state != CONTROL_UP)
		return;
	if (e->outcomes > outcomes || (!p->options.at_most_once && e->outcomes != outcomes))
		fail(w, "control is told a wrong number of outcomes", e->outcomes);
	bool behind = confirms_behind(&p->connection->confirms) && e->oldest_id > p->low_id;
	if (behind) /* what has been given up is not the oldest, though not all of it has been told so */
		hit(w, HIT_WALK_LOST_AGAIN);
	if ((e->oldest_id > p->low_id && !behind) || (!p->options.at_most_once && e->oldest_id != p->low_id))
		fail(w, "control is told another message as the oldest", e->oldest_id);
	if (!p->options.at_most_once && p->low_id < p->next_id && e->oldest_sent != sent &&
	    (r->begun_surely || !r->begun))
		fail(w, "control is told wrongly whether the oldest was sent", e->oldest_id);
}

/* Control's own judgement, of connections that published. */
static bool is_poison(struct producer *p, const struct worker_event *e)
{
	struct control *c = &p->control;
	const struct poison_loss loss = {.at_ns = p->world->now_ns,
					 .code = e->code,
					 .reply_code = e->reply_code,
					 .oldest_id = e->oldest_id,
					 .outcomes = e->outcomes,
					 .oldest_sent = e->oldest_sent};
	return c->state == CONTROL_UP && poison_shown(&c->poison, &loss);
}

static bool nothing_left(const struct producer *p)
{
	return p->application.closing && p->low_id == p->next_id;
}

static bool close_is_over(const struct producer *p)
{
	const struct application *a = &p->application;
	return a->closing && p->world->now_ns >= a->closed_at_ns + a->close_timeout_ns;
}

static void count_end(struct producer *p, int code)
{
	static const struct {
		int code;
		enum hit hit;
	} ends[] = {{HW_ERR_CONN_RESET, HIT_END_RESET},
		    {HW_ERR_CONN_CLOSED_BY_PEER, HIT_END_FIN},
		    {HW_ERR_CONN_LOST, HIT_END_USER_TIMEOUT},
		    {HW_ERR_CONN_TIMEOUT, HIT_END_CONNECT_TIMEOUT},
		    {HW_ERR_CONN_REFUSED, HIT_END_REFUSED},
		    {HW_ERR_AMQP_HEARTBEAT, HIT_END_HEARTBEAT},
		    {HW_ERR_AMQP_CONNECTION_CLOSED, HIT_END_CLOSE},
		    {HW_ERR_CONN_ABORTED, HIT_END_ABORTED},
		    {HW_ERR_AMQP_CONFIRM_TIMEOUT, HIT_END_CONFIRM_TIMEOUT},
		    {HW_ERR_AMQP_BLOCKED_TIMEOUT, HIT_END_BLOCKED_TIMEOUT}};
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		if (ends[i].code == code)
			hit(p->world, ends[i].hit);
}

static void on_closed(struct producer *p, const struct worker_event *e)
{
	struct control *c = &p->control;
	struct world *w = p->world;
	trace(w, "control %u: generation %u has ended: %s, reply %u, oldest %llu%s, outcomes %llu", p->index,
	      e->generation, hw_error_name(e->code), e->reply_code, (unsigned long long)e->oldest_id,
	      e->oldest_sent ? " (sent)" : "", (unsigned long long)e->outcomes);
	count_end(p, e->code);
	if (e->code == HW_ERR_AMQP_CONFIRM_TIMEOUT &&
	    (p->alarm_ended_ns == w->now_ns || !p->options.confirm_timeout_ns))
		fail(w, "a confirm timeout in an alarm, or none was asked for", 0);
	if (e->code == HW_ERR_AMQP_BLOCKED_TIMEOUT && !p->options.blocked_timeout_ns)
		fail(w, "a blocked timeout, and none was asked for", 0);
	if (e->code == HW_ERR_AMQP_HEARTBEAT && (!c->heartbeat_ns || (w->undisturbed && !w->freezes)))
		fail(w, "heartbeats are missed that were sent, or not asked for", 0);
	if (e->code == 0 || nothing_left(p) || close_is_over(p)) {
		end_publisher(p, 0);
		return;
	}
	check_report(p, e);
	if (c->poisoned || is_poison(p, e)) {
		hit(w, HIT_POISON_FOUND);
		end_publisher(p, HW_ERR_AMQP_POISON);
		return;
	}
	c->state = CONTROL_PAUSE;
	c->deadline_ns = NEVER;
	c->resume_at_ns = w->now_ns + (prng_once_in(&w->random, 3) ? 0 : prng_below(&w->random, 200 * MS));
}

/* What the stream had been given goes on leaving it, as long as it lives. */
static void note_given(struct producer *p)
{
	for (uint64_t id = p->low_id; id < p->connection->confirms.handed_id; id++)
		if (p->records[id].outcome == OUTCOME_PENDING && p->records[id].begun != p->tap.generation)
			tap_begun(p, id, false, true);
}

/* The channel is opened again on the connection there is, or that is given up. */
static void on_channel_closed(struct producer *p, const struct worker_event *e)
{
	struct control *c = &p->control;
	struct world *w = p->world;
	trace(w, "control %u: channel closed, reply %u, oldest %llu%s", p->index, e->reply_code,
	      (unsigned long long)e->oldest_id, e->oldest_sent ? " (sent)" : "");
	check_report(p, e);
	note_given(p);
	c->poisoned = is_poison(p, e);
	c->state = CONTROL_HANDSHAKE;
	c->deadline_ns = w->now_ns + HANDSHAKE_WITHIN;
	if (c->poisoned || prng_once_in(&w->random, 4)) {
		command(p, (struct command){.type = COMMAND_ABORT});
		return;
	}
	hit(w, HIT_CHANNEL_REOPENED);
	c->reopening = true;
	write_method(p, CHANNEL, CHANNEL_OPEN, 1);
	write_method(p, CHANNEL, CONFIRM_SELECT, 1);
}

static void on_event(struct producer *p, const struct worker_event *e)
{
	struct control *c = &p->control;
	if (e->generation != c->generation && e->type != EVENT_ENDED && e->type != EVENT_REMOVED) {
		fail(p->world, "an event of another generation", e->generation);
		return;
	}
	read_bridge(p);
	switch ((enum worker_event_type)e->type) {
	case EVENT_CONNECTED:
		on_connected(p);
		break;
	case EVENT_CLOSED:
		on_closed(p, e);
		break;
	case EVENT_CHANNEL_CLOSED:
		on_channel_closed(p, e);
		break;
	case EVENT_ENDED:
		command(p, (struct command){.type = COMMAND_REMOVE});
		break;
	case EVENT_REMOVED:
		c->state = CONTROL_GONE;
		break;
	default:
		fail(p->world, "an event that there is not", e->type);
	}
}

void control_events(struct world *w)
{
	const struct worker_event *e;
	while ((e = spsc_peek(&w->worker.channel.events)) != NULL) {
		struct worker_event copy = *e;
		spsc_pop(&w->worker.channel.events);
		for (uint32_t i = 0; i < w->producer_count; i++)
			if (w->producers[i].connection == copy.connection)
				on_event(&w->producers[i], &copy);
	}
}

/* Commands that come too late, for a generation that is gone, are dropped. */
static void send_stale(struct producer *p)
{
	struct control *c = &p->control;
	static const enum command_type types[] = {COMMAND_HAND_OVER, COMMAND_ABORT, COMMAND_NEXT_HOP, COMMAND_ERROR};
	if (c->state == CONTROL_GONE || c->told_end || c->generation < 2 || !prng_once_in(&p->world->random, 200))
		return;
	c->generation--;
	command(p, (struct command){.type = types[prng_below(&p->world->random, 4)]});
	c->generation++;
	hit(p->world, HIT_STALE_COMMAND);
}

static void pause_ends(struct producer *p)
{
	if (nothing_left(p) || close_is_over(p)) {
		hit(p->world, HIT_CLOSED_WITHOUT_CONNECTION);
		end_publisher(p, 0);
	} else if (confirms_behind(&p->connection->confirms) && prng_once_in(&p->world->random, 20)) {
		end_publisher(p, HW_ERR_TIMEOUT); /* it has been without a connection for too long */
	} else if (p->control.resume_at_ns <= p->world->now_ns) {
		open_connection(p);
	}
}

void control_step(struct producer *p)
{
	struct control *c = &p->control;
	uint64_t now = p->world->now_ns;
	if (c->state != CONTROL_GONE)
		read_bridge(p);
	if (c->state == CONTROL_PAUSE)
		pause_ends(p);
	if (c->deadline_ns <= now) {
		c->deadline_ns = NEVER;
		hit(p->world, HIT_ABORTED);
		command(p, (struct command){.type = COMMAND_ABORT});
	}
	if (c->give_up_at_ns <= now) { /* in the middle of a replay, perhaps */
		c->give_up_at_ns = NEVER;
		if (control_abort(p))
			hit(p->world, HIT_FAULT_ABORT);
	}
	send_stale(p);
}

bool control_abort(struct producer *p)
{
	enum control_state state = p->control.state;
	if (state != CONTROL_CONNECTING && state != CONTROL_HANDSHAKE && state != CONTROL_UP)
		return false;
	command(p, (struct command){.type = COMMAND_ABORT});
	return true;
}

uint64_t control_next(const struct producer *p)
{
	const struct control *c = &p->control;
	return min64(c->state == CONTROL_PAUSE ? c->resume_at_ns : NEVER, min64(c->deadline_ns, c->give_up_at_ns));
}
