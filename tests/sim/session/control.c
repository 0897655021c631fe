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
	c->deadline_ns = NEVER;
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
	c->step = 0;
	c->host = prng_once_in(r, 3) ? (uint32_t)prng_below(r, HOSTS) : c->host;
	/* A machine that is gone without a word while nothing is sent to it: only heartbeats notice. */
	c->heartbeat_ns = heartbeats[w->crashes ? 1 + prng_below(r, 4) : prng_below(r, 5)] * SECOND;
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
		write_method(p, CHANNEL, CONFIRM_SELECT, 1);
		break;
	case CONFIRM_SELECT_OK:
		hand_over(p);
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

static void on_closed(struct producer *p, const struct worker_event *e)
{
	trace(p->world, "control %u: generation %u has ended: %s", p->index, e->generation, hw_error_name(e->code));
	end_publisher(p, e->code);
}

static void on_event(struct producer *p, const struct worker_event *e)
{
	struct control *c = &p->control;
	if (e->generation != c->generation && e->type != EVENT_ENDED && e->type != EVENT_REMOVED) {
		fail(p->world, "an event of another generation", e->generation);
		return;
	}
	switch ((enum worker_event_type)e->type) {
	case EVENT_CONNECTED:
		on_connected(p);
		break;
	case EVENT_CLOSED:
		read_bridge(p);
		on_closed(p, e);
		break;
	case EVENT_ENDED:
		command(p, (struct command){.type = COMMAND_REMOVE});
		break;
	case EVENT_REMOVED:
		c->state = CONTROL_GONE;
		break;
	default:
		break;
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

void control_step(struct producer *p)
{
	struct control *c = &p->control;
	uint64_t now = p->world->now_ns;
	if (c->state != CONTROL_GONE)
		read_bridge(p);
	if (c->state == CONTROL_PAUSE && c->resume_at_ns <= now)
		open_connection(p);
	if (c->deadline_ns <= now) {
		c->deadline_ns = NEVER;
		hit(p->world, HIT_ABORTED);
		command(p, (struct command){.type = COMMAND_ABORT});
	}
}

uint64_t control_next(const struct producer *p)
{
	const struct control *c = &p->control;
	return min64(c->state == CONTROL_PAUSE ? c->resume_at_ns : NEVER, c->deadline_ns);
}
