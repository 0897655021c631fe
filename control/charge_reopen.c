/*
 * The broker has closed the channel, the connection lives on: channel.open and confirm.select go out together, and
 * after both replies the worker publishes again. Raw frames, because rabbitmq-c's connection was another one.
 */
#include <stdlib.h>

#include "control/supervisor_internal.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

#define REPLIES 2u

static const uint8_t request[] = {
	/* method frame, channel, 5 octets: channel.open with an empty reserved string (AMQP 0-9-1, 1.5.2.1) */
	1, 0, SESSION_CHANNEL, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE,
	/* the same size: confirm.select without no-wait */
	1, 0, SESSION_CHANNEL, 0, 0, 0, 5, 0, 85, 0, 10, 0, 0xCE};

/* channel.open-ok, confirm.select-ok */
static const uint32_t replies[REPLIES] = {20 << 16 | 11, 85 << 16 | 11};

void charge_reopen_start(struct charge *c, uint64_t now_ns)
{
	c->close_text[0] = '\0';
	c->replies = 0;
	c->deadline_ns = now_ns + c->target.connect_timeout_ns;
	c->phase = CHARGE_REOPENING;
	if (!byte_ring_write(&c->connection->bridge.to_wire, request, sizeof request))
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_AMQP_BRIDGE_FULL,
			    "%s:%u: the channel cannot be opened again: %s", c->host->name, (unsigned)c->host->port,
			    hw_error_sentence(HW_ERR_AMQP_BRIDGE_FULL));
}

/* What the old channel had under way (acks, a return) is of no interest any more. */
static void take_frame(struct charge *c, const uint8_t *frame, uint32_t len)
{
	bool ours = len >= 12 && frame[0] == 1 && get_be16(frame + 1) == SESSION_CHANNEL;
	charge_session_note_close(c, frame, len);
	if (ours && c->replies < REPLIES && get_be32(frame + 7) == replies[c->replies])
		c->replies++;
}

void charge_reopen_step(struct charge *c, uint64_t now_ns)
{
	uint8_t *frame;
	uint32_t len;
	while (!c->close_text[0] && (frame = charge_session_take_frame(c, &len)) != NULL) {
		take_frame(c, frame, len);
		free(frame);
	}
	if (c->close_text[0])
		charge_fail(c, RECONNECT_AGAIN, HW_ERR_AMQP_CHANNEL_CLOSED, "%s:%u: opening the channel again: %s",
			    c->host->name, (unsigned)c->host->port, c->close_text);
	else if (c->replies == REPLIES)
		charge_hand_over(c, now_ns);
}
