/* One publisher under supervision, from the first look at its host name to its end. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

/*
 * Of a host that has been connected to before, ARP or a SYN-ACK takes no longer, however long a login may. One that is
 * gone without a word is left for the next, and a SYN into a network that is just coming back is not followed by the
 * seconds that TCP would wait.
 */
#define ANSWER_NS 2000000000u

/* ---- ending ---- */

void charge_end(struct charge *c, int code, const char *format, ...)
{
	char text[PUBLISHER_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	charge_end_saying(c, code, text);
}

void charge_end_saying(struct charge *c, int code, const char *text)
{
	if (c->phase >= CHARGE_ENDING)
		return; /* the application may be reading the text already */
	snprintf(c->text, sizeof c->text, "%s", text);
	charge_session_stop(c);
	c->phase = CHARGE_ENDING;
	struct command cmd = {.type = COMMAND_ABORT, .connection = c->connection, .generation = c->generation};
	control_worker_send(c->worker, &cmd);
	cmd.type = COMMAND_END;
	cmd.end.code = code;
	cmd.end.text = c->text;
	control_worker_send(c->worker, &cmd);
	if (code)
		supervisor_log(c->supervisor, HAREWIRE_LOG_ERROR, "%s", c->text);
	else
		supervisor_log(c->supervisor, HAREWIRE_LOG_INFO, "%s:%u: closed", c->host->name,
			       (unsigned)c->host->port);
}

/* ---- attempts ---- */

void charge_await_answer(struct charge *c, uint64_t now_ns)
{
	c->answer_by_ns = c->deadline_ns;
	if (c->reconnect.before && c->deadline_ns - now_ns > ANSWER_NS)
		c->answer_by_ns = now_ns + ANSWER_NS;
}

void charge_attempt(struct charge *c, uint64_t now_ns)
{
	reconnect_attempt(&c->reconnect);
	c->host = &c->target.hosts[reconnect_host(&c->reconnect)];
	c->deadline_ns = now_ns + c->target.connect_timeout_ns;
	c->ports_tried = 0;
	c->timeouts_seen = 0;
	/* Of an earlier generation, perhaps from the middle of a frame: a handshake was given up while one was passed
	 * on. */
	struct byte_ring *to_control = &c->connection->bridge.to_control;
	byte_ring_consume(to_control, byte_ring_held(to_control));
	c->close_text[0] = '\0';
	charge_resolve_start(c, now_ns);
}

void charge_start(struct charge *c, uint64_t now_ns)
{
	control_worker_send(c->worker, &(struct command){.type = COMMAND_ADD, .connection = c->connection});
	charge_attempt(c, now_ns);
}

/* ---- stepping ---- */

static const char *const phase_doing[] = {
	[CHARGE_WAITING] = "waiting to connect again",
	[CHARGE_RESOLVING] = "resolving the host name",
	[CHARGE_ROUTING] = "finding a route",
	[CHARGE_NEIGHBOUR] = "waiting for ARP",
	[CHARGE_CONNECTING] = "connecting",
	[CHARGE_HANDSHAKE] = "logging in",
	[CHARGE_REOPENING] = "opening the channel again",
};

const char *charge_phase_name(enum charge_phase phase)
{
	return phase < CHARGE_RUNNING ? phase_doing[phase] : phase == CHARGE_RUNNING ? "running" : "ended";
}

/* The attempt takes too long. */
static void check_deadline(struct charge *c, uint64_t now_ns)
{
	/* A handshake job has its own deadline, a little earlier, and names the step it was at: give it time to say so.
	 */
	uint64_t grace_ns = c->phase == CHARGE_HANDSHAKE ? 1000000000u : 0;
	bool unanswered = c->phase == CHARGE_NEIGHBOUR || c->phase == CHARGE_CONNECTING;
	uint64_t by_ns = unanswered ? c->answer_by_ns : c->deadline_ns + grace_ns;
	if (c->phase == CHARGE_WAITING || now_ns < by_ns)
		return;
	if (c->phase == CHARGE_NEIGHBOUR && charge_path_link_down(c))
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_LINK_DOWN,
			    "the link of %s is down: check the cable, the switch's port, or the virtual device's other "
			    "end",
			    c->route.interface);
	else
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_TIMEOUT, "%s:%u: timed out while %s", c->host->name,
			    (unsigned)c->host->port,
			    c->phase == CHARGE_HANDSHAKE ? charge_session_doing(c) : phase_doing[c->phase]);
}

static void step_remove(struct charge *c)
{
	pthread_mutex_lock(&c->supervisor->lock);
	bool wanted = c->remove_wanted;
	pthread_mutex_unlock(&c->supervisor->lock);
	if (!wanted || c->phase >= CHARGE_REMOVING)
		return;
	charge_resolve_forget(c);
	charge_session_stop(c);
	charge_session_forget(c);
	if (c->session) {
		c->phase = c->phase < CHARGE_ENDING ? CHARGE_ENDING : c->phase;
		return; /* its thread has the time it takes to say goodbye: next time */
	}
	c->phase = CHARGE_REMOVING;
	control_worker_send(c->worker, &(struct command){.type = COMMAND_REMOVE, .connection = c->connection});
}

static void step_phase(struct charge *c, uint64_t now_ns)
{
	switch (c->phase) {
	case CHARGE_WAITING:
		charge_step_waiting(c, now_ns);
		break;
	case CHARGE_RESOLVING:
		charge_resolve_step(c, now_ns);
		break;
	case CHARGE_ROUTING:
		charge_path_route(c, now_ns);
		break;
	case CHARGE_NEIGHBOUR:
		charge_path_neighbour(c, now_ns);
		break;
	case CHARGE_CONNECTING:
		charge_path_check_queue(c, now_ns);
		charge_path_check_next_hop(c, now_ns);
		break;
	case CHARGE_HANDSHAKE:
		charge_session_step(c, now_ns);
		break;
	case CHARGE_REOPENING:
		charge_reopen_step(c, now_ns);
		break;
	case CHARGE_RUNNING:
		charge_note_ready(c);
		charge_note_lasting(c, now_ns);
		charge_session_run(c);
		charge_path_check_next_hop(c, now_ns);
		break;
	default:
		break;
	}
}

void charge_step(struct charge *c, uint64_t now_ns)
{
	charge_session_end(c, now_ns);
	if (c->phase < CHARGE_RUNNING && !charge_check_patience(c, now_ns))
		check_deadline(c, now_ns);
	step_phase(c, now_ns);
	incident_step(c, now_ns);
	step_remove(c);
}

/* ---- events from the worker ---- */

static void on_closed(struct charge *c, const struct worker_event *event, uint64_t now_ns)
{
	c->stream_open = false;
	switch (c->phase) {
	case CHARGE_CONNECTING:
		charge_fail(c, RECONNECT_AGAIN, event->code, "cannot connect to %s:%u: %s", c->host->name,
			    (unsigned)c->host->port, hw_error_sentence(event->code));
		break;
	case CHARGE_HANDSHAKE:
		c->stream_ended = true;
		c->stream_end_code = event->code;
		break;
	case CHARGE_REOPENING:
		charge_session_drain(c);
		charge_fail(c, RECONNECT_AGAIN, event->code, "%s:%u: opening the channel again: %s", c->host->name,
			    (unsigned)c->host->port, c->close_text[0] ? c->close_text : hw_error_sentence(event->code));
		break;
	case CHARGE_RUNNING:
		if (event->code == 0)
			charge_end(c, 0, "closed");
		else
			charge_lost(c, event, now_ns);
		break;
	default:
		break;
	}
}

void charge_event(struct charge *c, const struct worker_event *event, uint64_t now_ns)
{
	if (event->type == EVENT_REMOVED) {
		c->phase = CHARGE_REMOVED;
		return;
	}
	if (event->type == EVENT_ENDED) {
		c->phase = c->phase == CHARGE_ENDING ? CHARGE_ENDED : c->phase;
		return;
	}
	if (event->generation != c->generation) {
		c->supervisor->stale_events++; /* of a connection that was given up, e.g. for its NIC queue */
		return;
	}
	switch (event->type) {
	case EVENT_CONNECTED:
		if (c->phase == CHARGE_CONNECTING)
			charge_session_start(c, now_ns);
		break;
	case EVENT_CLOSED:
		incident_closed(c, event->code, now_ns);
		on_closed(c, event, now_ns);
		break;
	case EVENT_CHANNEL_CLOSED:
		if (c->phase == CHARGE_RUNNING)
			charge_channel_lost(c, event, now_ns);
		break;
	default:
		break;
	}
}

void charge_neighbour(struct charge *c, const struct nic *nic, uint32_t interface_index, uint32_t ip,
		      enum neighbour_state state, const uint8_t mac[6])
{
	char text[16];
	if (!c->worker->choice.packets || c->worker->choice.nic != nic || interface_index != c->route.interface_index ||
	    ip != c->route.next_hop)
		return;
	if (c->phase == CHARGE_NEIGHBOUR)
		c->ask_kernel_ns = 0; /* which has it from where we have it */
	if (c->phase < CHARGE_CONNECTING || c->phase > CHARGE_RUNNING || state != NEIGHBOUR_KNOWN ||
	    memcmp(mac, c->next_hop_mac, 6) == 0)
		return;
	memcpy(c->next_hop_mac, mac, 6);
	struct command cmd = {.type = COMMAND_NEXT_HOP, .connection = c->connection, .generation = c->generation};
	memcpy(cmd.mac, mac, 6);
	control_worker_send(c->worker, &cmd);
	supervisor_log(c->supervisor, HAREWIRE_LOG_INFO, "the link address of %s has changed", ip_text(ip, text));
}

/* ---- what came to another worker than its own ---- */

static bool has_flow(const struct charge *c, const struct nic *nic, const struct driver_flow *flow)
{
	return c->nic_port && c->worker->choice.nic == nic && c->flow.local_ip == flow->local_ip &&
	       c->flow.remote_ip == flow->remote_ip && c->flow.local_port == flow->local_port &&
	       c->flow.remote_port == flow->remote_port;
}

bool charge_strayed(struct charge *c, const struct nic *nic, const struct driver_flow *flow, uint32_t queue)
{
	struct driver *d = c->worker->choice.driver;
	if (!has_flow(c, nic, flow) || d->info.queue == queue)
		return false; /* its own worker knows it no more: it is over */
	if (d->ops->flow_strayed)
		d->ops->flow_strayed(d, flow, queue);
	return true;
}

bool charge_icmp_error(struct charge *c, const struct nic *nic, const struct icmp_error *error)
{
	const struct driver_flow flow = {.local_ip = error->quoted_source_ip,
					 .remote_ip = error->quoted_destination_ip,
					 .local_port = error->quoted_source_port,
					 .remote_port = error->quoted_destination_port};
	if (!has_flow(c, nic, &flow))
		return false;
	if (c->phase >= CHARGE_REMOVING)
		return true; /* a command behind COMMAND_REMOVE would find the connection's memory gone */
	const struct command cmd = {.type = COMMAND_ERROR,
				    .connection = c->connection,
				    .generation = c->generation,
				    .error = {.type = error->type,
					      .code = error->code,
					      .next_mtu = error->next_mtu,
					      .quoted_sequence = error->quoted_sequence}};
	control_worker_send(c->worker, &cmd);
	return true;
}
