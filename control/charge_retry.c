/* What follows when a connection cannot be made or is lost: the decisions are reconnect.h's, this carries them out. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/session/sentence.h"
#include "control/supervisor_internal.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define AMQP_NOT_FOUND 404
#define PROVED_NS      1000000000u /* a connection that has lived so long was good for something */

/* ---- what is said ---- */

static void name_host(const struct charge *c, char where[PUBLISHER_HOST_MAX])
{
	snprintf(where, PUBLISHER_HOST_MAX, "%s:%u", c->host->name, (unsigned)c->host->port);
}

/* Sentences of one host and a first connection speak for themselves; the others have to name theirs. */
static void say(const struct charge *c, char text[PUBLISHER_TEXT_MAX], const char *format, va_list args)
{
	char what[PUBLISHER_TEXT_MAX], where[PUBLISHER_HOST_MAX];
	vsnprintf(what, sizeof what, format, args);
	name_host(c, where);
	bool alone = c->target.host_count == 1 && !c->reconnect.before;
	if (alone || strstr(what, where))
		sentence_format(text, PUBLISHER_TEXT_MAX, "%s", what);
	else
		sentence_format(text, PUBLISHER_TEXT_MAX, "%s: %s", where, what);
}

/* Of the first connection every host's reason counts, later the last one. */
static void remember(struct charge *c, const char *text)
{
	if (c->reconnect.before)
		c->failure[0] = '\0';
	if (c->failure[0])
		sentence_append(c->failure, sizeof c->failure, "; ");
	sentence_append(c->failure, sizeof c->failure, text);
}

/* FNV-1a. */
static uint32_t hash_text(const char *text)
{
	uint32_t h = 2166136261u;
	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

/* A broker that is away for hours refuses ten attempts a second: a warning for each host and each new reason. */
static void log_failure(struct charge *c, const char *text, bool refused)
{
	uint32_t *said = &c->said[c->host - c->target.hosts], hash = hash_text(text);
	enum harewire_log_level level = *said == hash ? HAREWIRE_LOG_DEBUG : HAREWIRE_LOG_WARNING;
	if (refused)
		supervisor_log(c->supervisor, level, "%s (unless this passes, the publisher ends after %u s of it)",
			       text, (unsigned)(REFUSED_MOST_NS / 1000000000u));
	else
		supervisor_log(c->supervisor, level, "%s", text);
	*said = hash;
}

/*
 * A broker that accepts and closes does so ten times a second, and a channel may be closed as often although messages
 * are confirmed on it: that, too, is one warning.
 */
static void log_loss(struct charge *c, const char *words, bool proved, bool lasted)
{
	char text[PUBLISHER_TEXT_MAX];
	sentence_format(text, sizeof text, "%s:%u: lost%s: %s", c->host->name, (unsigned)c->host->port,
			proved ? "" : " right after it was ready", words);
	if (lasted)
		memset(c->said, 0, sizeof c->said);
	log_failure(c, text, false);
	c->flapping = !proved;
	c->unsteady = !lasted;
}

/* ---- waiting ---- */

static void drop_connection(struct charge *c)
{
	const struct command abort = {.type = COMMAND_ABORT, .connection = c->connection, .generation = c->generation};
	charge_session_stop(c);
	if (c->stream_open)
		control_worker_send(c->worker, &abort);
}

static void wait_for(struct charge *c, uint64_t pause_ns, uint64_t now_ns)
{
	drop_connection(c);
	c->phase = CHARGE_WAITING;
	c->retry_ns = now_ns + pause_ns;
}

/* The worker has let go of the old stream, and the old handshake is over or left to itself, before there is a new one.
 */
void charge_step_waiting(struct charge *c, uint64_t now_ns)
{
	if (!c->stream_open && !c->session && now_ns >= c->retry_ns)
		charge_attempt(c, now_ns);
}

/* ---- failing ---- */

static void end_failed(struct charge *c, int code, const char *text)
{
	bool several = !c->reconnect.before && c->target.host_count > 1 && c->reconnect.attempts > 1;
	if (several)
		charge_end(c, code, "none of %u hosts can be used: %s", c->reconnect.attempts, c->failure);
	else
		charge_end_saying(c, code, text);
}

void charge_fail(struct charge *c, enum reconnect_verdict verdict, int code, const char *format, ...)
{
	char text[PUBLISHER_TEXT_MAX];
	uint64_t pause_ns;
	va_list args;
	if (c->phase >= CHARGE_ENDING)
		return;
	va_start(args, format);
	say(c, text, format, args);
	va_end(args);
	remember(c, text);
	uint64_t now_ns = clock_monotonic_ns();
	if (!reconnect_failed(&c->reconnect, verdict, now_ns, &pause_ns)) {
		end_failed(c, code, verdict == RECONNECT_NEVER ? text : c->failure);
		return;
	}
	log_failure(c, text, verdict == RECONNECT_REFUSED);
	wait_for(c, pause_ns, now_ns);
}

/* ---- losing ---- */

uint64_t charge_in_flight(const struct charge *c)
{
	const struct harewire_publisher *p = c->connection->publisher;
	uint64_t settled_id = atomic_load_explicit(&p->settled_id, memory_order_acquire);
	return atomic_load_explicit(&p->committed_id, memory_order_acquire) - settled_id;
}

static uint64_t close_deadline_ns(const struct charge *c)
{
	return atomic_load_explicit(&c->connection->publisher->close_deadline_ns, memory_order_acquire);
}

static void end_poisoned(struct charge *c, const struct worker_event *event, const char *words)
{
	charge_end(c, HW_ERR_AMQP_POISON, "%s:%u: message %" PRIu64 ", or one behind it, ended the %s %s: %s",
		   c->host->name, (unsigned)c->host->port, event->oldest_id,
		   event->type == EVENT_CHANNEL_CLOSED ? "channel" : "connection",
		   event->reply_code && c->poison.closes == 2 ? "twice" : "again and again", words);
}

/* What the broker will always end connections for ends the publisher: then true. */
static bool is_hopeless(struct charge *c, const struct worker_event *event, const char *words, uint64_t now_ns)
{
	const struct poison_loss loss = {.at_ns = now_ns,
					 .code = event->code,
					 .reply_code = event->reply_code,
					 .oldest_id = event->oldest_id,
					 .outcomes = event->outcomes,
					 .oldest_sent = event->oldest_sent};
	bool poison = poison_shown(&c->poison, &loss), forbidden = forbidden_shown(&c->forbidden, &loss);
	if (poison)
		end_poisoned(c, event, words);
	else if (forbidden)
		charge_end(c, event->type == EVENT_CHANNEL_CLOSED ? HW_ERR_AMQP_CHANNEL_CLOSED : event->code,
			   "%s:%u: again and again for %u s: %s", c->host->name, (unsigned)c->host->port,
			   (unsigned)(REFUSED_MOST_NS / 1000000000u), words);
	return poison || forbidden;
}

/* True when it has ended the publisher. *proved: what is lost had been good for something. */
static bool note_loss(struct charge *c, const struct worker_event *event, uint64_t now_ns, bool *proved)
{
	int code = event->type == EVENT_CHANNEL_CLOSED ? HW_ERR_AMQP_CHANNEL_CLOSED : event->code;
	const char *words = c->close_text[0] ? c->close_text : hw_error_sentence(code);
	bool lasted = now_ns - c->ready_ns >= PROVED_NS;
	*proved = lasted || event->outcomes != c->outcomes;
	if (is_hopeless(c, event, words, now_ns))
		return true;
	log_loss(c, words, *proved, lasted);
	sentence_format(c->failure, sizeof c->failure, "%s:%u: %s", c->host->name, (unsigned)c->host->port, words);
	c->outcomes = event->outcomes;
	/* Patience is not renewed by connections that do not last. */
	if (*proved || !c->lost_ns)
		c->lost_ns = now_ns;
	return false;
}

void charge_note_ready(struct charge *c)
{
	if (!c->reconnect.before && atomic_load_explicit(&c->connection->publisher->body_max, memory_order_relaxed))
		reconnect_ready(&c->reconnect);
}

void charge_note_lasting(struct charge *c, uint64_t now_ns)
{
	if (!c->unsteady || now_ns - c->ready_ns < PROVED_NS)
		return;
	c->flapping = c->unsteady = false;
	memset(c->said, 0, sizeof c->said);
	supervisor_log(c->supervisor, HAREWIRE_LOG_INFO, "%s:%u: connected again for good", c->host->name,
		       (unsigned)c->host->port);
}

static void lose(struct charge *c, bool proved, bool elsewhere, uint64_t now_ns)
{
	uint64_t pause_ns;
	reconnect_lost(&c->reconnect, proved, elsewhere, &pause_ns);
	wait_for(c, pause_ns, now_ns);
}

void charge_lost(struct charge *c, const struct worker_event *event, uint64_t now_ns)
{
	bool proved, stalled = event->code == HW_ERR_AMQP_CONFIRM_TIMEOUT || event->code == HW_ERR_AMQP_BLOCKED_TIMEOUT;
	charge_session_drain(c);
	charge_note_ready(c);
	if (!c->reconnect.before)
		charge_fail(c, RECONNECT_AGAIN, event->code, "%s:%u: right after the handshake: %s", c->host->name,
			    (unsigned)c->host->port, c->close_text[0] ? c->close_text : hw_error_sentence(event->code));
	else if (!note_loss(c, event, now_ns, &proved))
		lose(c, proved, stalled, now_ns);
}

static bool declares(const struct topology *t)
{
	return t->exchange_count || t->queue_count || t->binding_count;
}

void charge_channel_lost(struct charge *c, const struct worker_event *event, uint64_t now_ns)
{
	bool proved;
	charge_session_drain(c);
	charge_note_ready(c);
	if (note_loss(c, event, now_ns, &proved))
		return;
	/* What is missing may be what we declare: that takes a handshake. */
	bool missing = event->reply_code == AMQP_NOT_FOUND && declares(&c->target.topology);
	if (!proved || missing) {
		lose(c, proved, false, now_ns);
		return;
	}
	reconnect_proved(&c->reconnect);
	charge_reopen_start(c, now_ns);
}

/* ---- patience ---- */

static bool check_close(struct charge *c)
{
	uint64_t deadline_ns = close_deadline_ns(c);
	if (deadline_ns == PUBLISHER_NOT_CLOSING)
		return false;
	if (!c->reconnect.before)
		charge_end(c, 0, "closed before it was connected");
	else if (charge_in_flight(c) == 0 || clock_ns(c->connection->publisher->clock) >= deadline_ns)
		charge_end(c, 0, "closed without a connection");
	else
		return false;
	return true;
}

bool charge_check_patience(struct charge *c, uint64_t now_ns)
{
	uint64_t most_ns = c->target.reconnect_timeout_ns;
	if (check_close(c))
		return true;
	if (!c->reconnect.before || !most_ns || now_ns - c->lost_ns < most_ns)
		return false;
	charge_end(c, HW_ERR_TIMEOUT, "no %sconnection for %.3g s, in %u attempt%s; the last: %s",
		   c->flapping ? "lasting " : "", (double)most_ns / 1e9, c->reconnect.attempts,
		   c->reconnect.attempts == 1 ? "" : "s", c->failure);
	return true;
}
