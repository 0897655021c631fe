#include "tests/sim/session/intake.h"

#include <string.h>

enum { TYPE_METHOD = 1, TYPE_HEADER = 2, TYPE_BODY = 3, TYPE_HEARTBEAT = 8 };

#define FRAME_HEAD   7u
#define FRAME_OCTETS 8u /* head and end octet */
#define END_OCTET    206

void intake_init(struct intake *r, uint32_t frame_max, const struct intake_events *events, void *context)
{
	memset(r, 0, offsetof(struct intake, header));
	r->frame_max = frame_max;
	r->events = events;
	r->context = context;
}

static void broken(struct intake *r, const char *why)
{
	if (!r->broken)
		r->broken = why;
}

/* ---- octets ---- */

struct cursor {
	const uint8_t *at, *end;
	bool failed;
};

static uint64_t take(struct cursor *c, unsigned octets)
{
	uint64_t v = 0;
	if ((size_t)(c->end - c->at) < octets) {
		c->failed = true;
		return 0;
	}
	while (octets--)
		v = v << 8 | *c->at++;
	return v;
}

static const uint8_t *take_run(struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;
	if ((size_t)(c->end - c->at) < len) {
		c->failed = true;
		return NULL;
	}
	c->at += len;
	return at;
}

static const uint8_t *take_short_string(struct cursor *c, size_t *len)
{
	*len = (size_t)take(c, 1);
	return take_run(c, *len);
}

static uint64_t from_hex(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	for (size_t i = 0; i < len; i++)
		v = v << 4 | (uint64_t)(p[i] <= '9' ? p[i] - '0' : p[i] - 'a' + 10);
	return v;
}

/* ---- the content header ---- */

static bool named(const uint8_t *name, size_t len, const char *text)
{
	return name && len == strlen(text) && memcmp(name, text, len) == 0;
}

static void read_field(struct intake *r, struct cursor *c)
{
	struct intake_message *m = &r->message;
	size_t len;
	const uint8_t *name = take_short_string(c, &len);
	uint8_t kind = (uint8_t)take(c, 1);
	uint64_t value = 0;
	if (kind == 'S')
		take_run(c, (size_t)take(c, 4));
	else if (kind == 'l')
		value = take(c, 8);
	else if (kind == 't')
		value = take(c, 1);
	else
		c->failed = true;
	if (kind == 't' && value > 1)
		broken(r, "a boolean is neither 0 nor 1");
	if (named(name, len, "harewire-seq")) {
		m->has_sequence = true;
		m->sequence = value;
	} else if (named(name, len, "harewire-epoch")) {
		m->epoch = (uint32_t)value;
	} else if (named(name, len, "harewire-dup")) {
		m->has_flag = true;
		m->flag = value;
	}
}

static void read_table(struct intake *r, struct cursor *c)
{
	size_t len = (size_t)take(c, 4);
	const uint8_t *start = take_run(c, len);
	struct cursor table = {.at = start, .end = start ? start + len : NULL};
	while (start && !table.failed && table.at < table.end)
		read_field(r, &table);
	c->failed |= table.failed;
}

static void read_message_id(struct intake *r, struct cursor *c)
{
	size_t len;
	const uint8_t *id = take_short_string(c, &len);
	if (!id || len != 25 || id[8] != '-') {
		broken(r, "a message-id that is not ours");
		return;
	}
	r->message.has_message_id = true;
	r->message.epoch = (uint32_t)from_hex(id, 8);
	r->message.message_id = from_hex(id + 9, 16);
}

/* Properties in the order of their flags, from the highest bit (4.2.6.1). */
static void read_properties(struct intake *r, struct cursor *c)
{
	uint16_t flags = (uint16_t)take(c, 2);
	size_t len;
	for (int bit = 15; bit >= 2; bit--) {
		if (!(flags & 1u << bit))
			continue;
		if (bit == 13)
			read_table(r, c);
		else if (bit == 12 || bit == 11)
			take(c, 1);
		else if (bit == 7)
			read_message_id(r, c);
		else if (bit == 6)
			take(c, 8);
		else
			take_short_string(c, &len);
	}
	if (flags & 3 || c->failed || c->at != c->end)
		broken(r, "a content header that cannot be read");
}

static void end_message(struct intake *r)
{
	r->message.body = r->body;
	r->want = WANT_ANY;
	r->events->message(r->context, r->channel, &r->message);
}

static void on_header(struct intake *r, const uint8_t *payload, uint32_t len)
{
	struct cursor c = {.at = payload, .end = payload + len};
	uint64_t class_id = take(&c, 2), weight = take(&c, 2), size = take(&c, 8);
	if (class_id != 60 || weight != 0 || size > INTAKE_BODY_MAX || len > INTAKE_HEADER_MAX) {
		broken(r, "a content header of another class, with a weight, or too large");
		return;
	}
	r->message.header_len = len;
	r->message.header = r->header;
	memcpy(r->header, payload, len);
	read_properties(r, &c);
	/* body_len counts what has come; the size announced waits behind it. */
	r->message.body_len = 0;
	r->want = WANT_BODY;
	if (size == 0)
		end_message(r);
}

static uint64_t announced(const struct intake *r)
{
	struct cursor c = {.at = r->header + 4, .end = r->header + 12};
	return take(&c, 8);
}

static void on_body(struct intake *r, const uint8_t *payload, uint32_t len)
{
	if (len == 0 || len > announced(r) - r->message.body_len) {
		broken(r, "an empty body frame, or more body than announced");
		return;
	}
	memcpy(r->body + r->message.body_len, payload, len);
	r->message.body_len += len;
	if (r->message.body_len == announced(r))
		end_message(r);
}

/* ---- methods and frames ---- */

static void on_publish(struct intake *r, uint16_t channel, const uint8_t *args, uint32_t len)
{
	struct cursor c = {.at = args, .end = args + len};
	size_t ignored;
	take(&c, 2);
	take_short_string(&c, &ignored);
	take_short_string(&c, &ignored);
	memset(&r->message, 0, sizeof r->message);
	uint64_t bits = take(&c, 1);
	r->message.mandatory = bits & 1;
	r->channel = channel;
	r->want = WANT_HEADER;
	if (bits > 1 || c.failed || c.at != c.end)
		broken(r, "a basic.publish that cannot be read");
}

static void on_method(struct intake *r, uint16_t channel, const uint8_t *payload, uint32_t len)
{
	struct cursor c = {.at = payload, .end = payload + len};
	uint32_t method = (uint32_t)take(&c, 4);
	if (c.failed)
		broken(r, "a method frame without a method");
	else if (method == BASIC_PUBLISH)
		on_publish(r, channel, c.at, len - 4);
	else
		r->events->method(r->context, channel, method, c.at, len - 4);
}

static void on_frame(struct intake *r, uint8_t type, uint16_t channel, const uint8_t *payload, uint32_t len)
{
	if (type == TYPE_HEARTBEAT && channel == 0 && len == 0 && r->want == WANT_ANY)
		r->heartbeats++;
	else if (type == TYPE_METHOD && r->want == WANT_ANY)
		on_method(r, channel, payload, len);
	else if (type == TYPE_HEADER && r->want == WANT_HEADER && channel == r->channel)
		on_header(r, payload, len);
	else if (type == TYPE_BODY && r->want == WANT_BODY && channel == r->channel)
		on_body(r, payload, len);
	else
		broken(r, "a frame out of order");
}

static uint32_t frame_len(const struct intake *r)
{
	struct cursor c = {.at = r->frame + 3, .end = r->frame + 7};
	return (uint32_t)take(&c, 4);
}

/* How many octets the unit being read has in all, as far as is known. */
static uint32_t unit_len(struct intake *r)
{
	if (r->want == WANT_PROTOCOL)
		return 8;
	if (r->held < FRAME_HEAD)
		return FRAME_HEAD;
	uint32_t len = frame_len(r);
	if (len > r->frame_max - FRAME_OCTETS)
		broken(r, "a frame larger than negotiated");
	return r->broken ? FRAME_HEAD : len + FRAME_OCTETS;
}

static void end_unit(struct intake *r)
{
	static const uint8_t protocol[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
	uint32_t held = r->held;
	r->held = 0;
	if (r->want == WANT_PROTOCOL) {
		r->want = WANT_ANY;
		if (memcmp(r->frame, protocol, sizeof protocol) != 0)
			broken(r, "no protocol header");
		r->events->method(r->context, 0, 0, NULL, 0);
		return;
	}
	if (r->frame[held - 1] != END_OCTET)
		broken(r, "a frame without its end octet");
	else
		on_frame(r, r->frame[0], (uint16_t)(r->frame[1] << 8 | r->frame[2]), r->frame + FRAME_HEAD,
			 held - FRAME_OCTETS);
}

void intake_feed(struct intake *r, const uint8_t *octets, size_t len)
{
	while (len > 0 && !r->broken) {
		uint32_t want = unit_len(r);
		uint32_t n = want - r->held < len ? want - r->held : (uint32_t)len;
		memcpy(r->frame + r->held, octets, n);
		r->held += n;
		octets += n;
		len -= n;
		if (r->held == want && r->held == unit_len(r) && !r->broken)
			end_unit(r);
	}
}

enum intake_partial intake_partial(const struct intake *r)
{
	if (r->want == WANT_HEADER || r->want == WANT_BODY)
		return PARTIAL_YES;
	if (r->want == WANT_PROTOCOL || r->held == 0 || r->frame[0] != TYPE_METHOD)
		return PARTIAL_NO;
	if (r->held >= 3 && r->frame[1] == 0 && r->frame[2] == 0)
		return PARTIAL_NO;
	if (r->held < FRAME_HEAD)
		return PARTIAL_MAYBE;
	return frame_len(r) > 5 ? PARTIAL_YES : PARTIAL_NO; /* longer than channel.open and confirm.select */
}
