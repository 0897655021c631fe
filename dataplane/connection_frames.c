/* What a connection hears: the broker's frames, and what each of them changes. */
#include <string.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/error.h"
#include "dataplane/connection_internal.h"

static int forward(struct connection *c, const struct frame *f)
{
	if (!f->raw)
		return 0; /* the body of a return */
	return byte_ring_write(&c->bridge.to_control, f->raw, f->payload_len + AMQP_FRAME_OVERHEAD)
		       ? 0
		       : HW_ERR_AMQP_BRIDGE_FULL;
}

static int on_blocked(struct connection *c, const struct frame *f)
{
	struct amqp_text reason;
	int err = amqp_parse_blocked(f, &reason);
	if (err)
		return err;
	c->blocked = true;
	c->blocked_reason_len = reason.len; /* hand-over tells it again: to open a new channel does not end an alarm */
	memcpy(c->blocked_reason, reason.chars, reason.len);
	if (c->told_ready)
		publisher_set_blockage(c->publisher, HAREWIRE_BLOCKAGE_ALARM, true, reason.chars, reason.len);
	return 0;
}

static void on_unblocked(struct connection *c)
{
	if (!c->blocked)
		return;
	c->blocked = false;
	if (c->told_ready)
		publisher_set_blockage(c->publisher, HAREWIRE_BLOCKAGE_ALARM, false, NULL, 0);
}

static int on_confirm(struct connection *c, const struct frame *f, enum message_outcome outcome, uint64_t now_ticks)
{
	struct amqp_confirm confirm;
	int err = amqp_parse_confirm(f, &confirm);
	return err ? err : confirms_settle(&c->confirms, confirm.tag, confirm.multiple, outcome, now_ticks);
}

static int on_return(struct connection *c, const struct frame *f)
{
	struct amqp_reply reply;
	int err = amqp_parse_reply(f, &reply);
	c->return_header_due = true;
	c->return_code = reply.code;
	return err;
}

static int on_return_header(struct connection *c, const struct frame *f)
{
	struct amqp_content content;
	if (!c->return_header_due)
		return HW_ERR_AMQP_UNEXPECTED;
	c->return_header_due = false;
	int err = amqp_parse_content(f, &content);
	if (err)
		return err;
	if (!content.has_id || content.epoch != c->publisher->epoch)
		return HW_ERR_AMQP_UNEXPECTED;
	return confirms_returned(&c->confirms, content.id, c->return_code);
}

/* A close's reply code is kept, its words go to control, which makes a sentence of them. */
static int take_close(struct connection *c, const struct frame *f, struct amqp_reply *reply)
{
	int err = amqp_parse_reply(f, reply);
	if (!err)
		err = forward(c, f);
	if (!err)
		c->reply_code = reply->code;
	return err;
}

/*
 * The channel is gone: no confirm will come any more. Control opens it again, or gives the connection up. What was
 * pushed before our close-ok reaches the broker on the old channel, which drops it.
 */
static int on_channel_close(struct connection *c, const struct frame *f)
{
	uint8_t ok[AMQP_SMALL_FRAME_MAX];
	struct amqp_reply reply;
	int err = take_close(c, f, &reply);
	if (err)
		return err;
	bool pushed = connection_push_control(c, ok, (uint32_t)amqp_write_channel_close_ok(ok, f->channel));
	if (c->phase >= CONNECTION_ENDING) {
		c->end_code = c->end_code ? c->end_code : HW_ERR_AMQP_CHANNEL_CLOSED;
		return 0;
	}
	if (!pushed)
		return HW_ERR_AMQP_CHANNEL_CLOSED; /* a peer that acks nothing: no channel could be opened behind it */
	c->return_header_due = false;
	struct channel_end end = connection_end_channel(c, true, true);
	connection_enter(c, CONNECTION_HANDSHAKE);
	connection_tell_lost(c, HW_ERR_AMQP_CHANNEL_CLOSED, &reply.text);
	connection_report(c, (struct worker_event){.type = EVENT_CHANNEL_CLOSED,
						   .code = HW_ERR_AMQP_CHANNEL_CLOSED,
						   .oldest_id = end.oldest_id,
						   .outcomes = end.outcomes,
						   .oldest_sent = end.oldest_sent});
	c->reply_code = 0; /* if the stream ends now, it is for another reason */
	return 0;
}

static int on_connection_close(struct connection *c, const struct frame *f, uint64_t now_ns)
{
	uint8_t ok[AMQP_SMALL_FRAME_MAX];
	struct amqp_reply reply;
	int err = take_close(c, f, &reply);
	if (err)
		return err;
	if (!c->end_code)
		c->end_code = HW_ERR_AMQP_CONNECTION_CLOSED;
	if (c->phase <= CONNECTION_PUBLISHING)
		connection_tell_lost(c, HW_ERR_AMQP_CONNECTION_CLOSED, &reply.text);
	connection_push_control(c, ok, (uint32_t)amqp_write_connection_close_ok(ok));
	c->ops->close(c->stream, now_ns);
	c->end_deadline_ns = now_ns + END_PATIENCE_NS;
	connection_enter(c, CONNECTION_FINISHED);
	return 0;
}

static int on_connection_close_ok(struct connection *c, uint64_t now_ns)
{
	if (c->phase != CONNECTION_ENDING)
		return HW_ERR_AMQP_UNEXPECTED;
	c->ops->close(c->stream, now_ns);
	c->end_deadline_ns = now_ns + END_PATIENCE_NS;
	connection_enter(c, CONNECTION_FINISHED);
	return 0;
}

/* Which of the methods below belong to channel 0; the others belong to ours. */
static bool on_its_channel(const struct connection *c, const struct frame *f, uint32_t method)
{
	bool of_connection = method == AMQP_CONNECTION_CLOSE || method == AMQP_CONNECTION_CLOSE_OK;
	return f->channel == (of_connection ? 0 : c->channel);
}

static int on_method(struct connection *c, const struct frame *f, uint64_t now_ns, uint64_t now_ticks)
{
	uint32_t method = amqp_method_id(f);
	if (!on_its_channel(c, f, method))
		return method ? HW_ERR_AMQP_UNEXPECTED : HW_ERR_AMQP_SYNTAX;
	switch (method) {
	case AMQP_BASIC_ACK:
		return on_confirm(c, f, OUTCOME_CONFIRMED, now_ticks);
	case AMQP_BASIC_NACK:
		return on_confirm(c, f, OUTCOME_NACKED, now_ticks);
	case AMQP_BASIC_RETURN:
		return on_return(c, f);
	case AMQP_CHANNEL_CLOSE:
		return on_channel_close(c, f);
	case AMQP_CONNECTION_CLOSE:
		return on_connection_close(c, f, now_ns);
	case AMQP_CONNECTION_CLOSE_OK:
		return on_connection_close_ok(c, now_ns);
	default:
		return forward(c, f);
	}
}

static bool is_blocked_news(const struct frame *f)
{
	uint32_t id = f->type == FRAME_METHOD && f->channel == 0 ? amqp_method_id(f) : 0;
	return id == AMQP_CONNECTION_BLOCKED || id == AMQP_CONNECTION_UNBLOCKED;
}

/* While control talks to the broker; and behind a goodbye, where nothing means anything (AMQP 0-9-1, connection.close).
 */
static __attribute__((noinline)) int on_frame_otherwise(struct connection *c, const struct frame *f, uint64_t now_ns)
{
	if (c->phase == CONNECTION_FINISHED)
		return 0;
	bool close = c->handed_over && f->type == FRAME_METHOD && f->channel == 0 &&
		     amqp_method_id(f) == AMQP_CONNECTION_CLOSE;
	return close ? on_connection_close(c, f, now_ns) : forward(c, f);
}

static int on_frame(struct connection *c, const struct frame *f, uint64_t now_ns, uint64_t now_ticks)
{
	if (f->type == FRAME_HEARTBEAT)
		return 0;
	if (is_blocked_news(f)) {
		if (amqp_method_id(f) == AMQP_CONNECTION_BLOCKED)
			return on_blocked(c, f);
		on_unblocked(c);
		return 0;
	}
	if (__builtin_expect((unsigned)c->phase - CONNECTION_REPLAYING > CONNECTION_ENDING - CONNECTION_REPLAYING, 0))
		return on_frame_otherwise(c, f, now_ns);
	switch (f->type) {
	case FRAME_METHOD:
		return on_method(c, f, now_ns, now_ticks);
	case FRAME_HEADER:
		return on_return_header(c, f);
	default:
		return 0; /* the body of a return: counted by the reader, of no use */
	}
}

/* Reads every octet at hand. Returns 0 or why the stream is beyond use. */
int connection_read_frames(struct connection *c, uint64_t now_ns, uint64_t now_ticks)
{
	const uint8_t *bytes;
	uint32_t len;
	while ((bytes = c->ops->readable(c->stream, &len)) && len > 0) {
		c->last_received_ns = now_ns;
		uint32_t taken = 0;
		while (taken < len) {
			struct frame frame;
			uint32_t used;
			int got = frame_reader_next(&c->reader, bytes + taken, len - taken, &used, &frame);
			if (got > 0)
				got = on_frame(c, &frame, now_ns, now_ticks);
			if (got < 0)
				return got;
			taken += used;
		}
		c->ops->consume(c->stream, len, now_ns);
	}
	return 0;
}
