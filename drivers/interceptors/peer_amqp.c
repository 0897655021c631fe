/* The peer as a broker: which messages are whole, and their confirms. */
#include <string.h>

#include "dataplane/base/bytes.h"
#include "drivers/interceptors/peer_internal.h"

#define FRAME_HEADER_BYTES    7u
#define PROTOCOL_HEADER_BYTES 8u
#define FRAME_END             0xCEu
#define TIMESTAMPS_BYTES      12u
#define TYPE_METHOD           1u
#define TYPE_HEADER           2u
#define TYPE_BODY             3u
#define BASIC_PUBLISH         (60u << 16 | 40u)
#define BASIC_ACK             (60u << 16 | 80u)

/* Octets of the frame that have to be seen before its rest can be skipped. */
static uint32_t prefix_wanted(const struct publish_counter *c)
{
	if (c->held < FRAME_HEADER_BYTES)
		return FRAME_HEADER_BYTES;
	uint32_t payload_len = get_be32(c->prefix + 3);
	uint32_t rest = PEER_PREFIX_BYTES - FRAME_HEADER_BYTES;
	return FRAME_HEADER_BYTES + (payload_len < rest ? payload_len : rest);
}

static void body_announced(struct publish_counter *c, uint64_t octets)
{
	c->body_left = octets;
	c->completes = octets == 0;
}

/* The prefix is complete: what does the frame mean for the message? */
static void look_at_prefix(struct publish_counter *c)
{
	const uint8_t *payload = c->prefix + FRAME_HEADER_BYTES;
	uint32_t payload_len = get_be32(c->prefix + 3);
	c->completes = false;
	if (c->prefix[0] == TYPE_METHOD && payload_len >= 4 && get_be32(payload) == BASIC_PUBLISH) {
		c->channel = get_be16(c->prefix + 1);
	} else if (c->prefix[0] == TYPE_HEADER && payload_len >= 12) {
		body_announced(c, get_be64(payload + 4));
	} else if (c->prefix[0] == TYPE_BODY) {
		body_announced(c, c->body_left > payload_len ? c->body_left - payload_len : 0);
	}
	c->frame_left = (uint64_t)payload_len + 1 - (c->held - FRAME_HEADER_BYTES);
	c->held = 0;
}

static uint32_t skip_frame(struct publish_counter *c, uint32_t len)
{
	uint32_t n = c->frame_left < len ? (uint32_t)c->frame_left : len;
	c->frame_left -= n;
	if (c->frame_left == 0 && c->completes) {
		c->completes = false;
		c->messages++;
	}
	return n;
}

static uint32_t collect_prefix(struct publish_counter *c, const uint8_t *octets, uint32_t len)
{
	if (!c->started) {
		c->started = true;
		if (octets[0] == 'A') {
			c->frame_left = PROTOCOL_HEADER_BYTES;
			return 0;
		}
	}
	uint32_t missing = prefix_wanted(c) - c->held;
	uint32_t n = missing < len ? missing : len;
	memcpy(c->prefix + c->held, octets, n);
	c->held += n;
	if (c->held >= FRAME_HEADER_BYTES && c->held == prefix_wanted(c))
		look_at_prefix(c);
	return n;
}

uint64_t publish_counter_take(struct publish_counter *c, const uint8_t *octets, uint32_t len)
{
	uint64_t before = c->messages;
	while (len > 0) {
		uint32_t n = c->frame_left > 0 ? skip_frame(c, len) : collect_prefix(c, octets, len);
		octets += n;
		len -= n;
	}
	return c->messages - before;
}

static void write_ack(uint8_t *p, uint16_t channel, uint64_t tag, bool multiple)
{
	p[0] = TYPE_METHOD;
	put_be16(p + 1, channel);
	put_be32(p + 3, 13);
	put_be32(p + 7, BASIC_ACK);
	put_be64(p + 11, tag);
	p[19] = multiple;
	p[20] = FRAME_END;
}

static uint32_t window_left(const struct peer_connection *c)
{
	uint32_t in_flight = c->snd_nxt - c->snd_una;
	return c->finished || in_flight > c->client_window ? 0 : c->client_window - in_flight;
}

/* How many basic.ack frames may go in one segment now. The MSS does not count TCP options (RFC 6691). */
static uint64_t acks_in_a_segment(const struct peer_connection *c)
{
	uint32_t octets = c->client_mss - TIMESTAMPS_BYTES;
	octets = octets < window_left(c) ? octets : window_left(c);
	uint64_t n = octets / PEER_CONFIRM_BYTES;
	return n < PEER_CONFIRMS_MAX ? n : PEER_CONFIRMS_MAX;
}

bool peer_send_acks(struct peer *p, struct peer_connection *c, uint64_t tag, uint32_t n, bool multiple)
{
	uint8_t payload[PEER_CONFIRMS_MAX * PEER_CONFIRM_BYTES];
	if (n > acks_in_a_segment(c) || peer_queue_full(p))
		return false;
	for (uint32_t i = 0; i < n; i++)
		write_ack(payload + i * PEER_CONFIRM_BYTES, c->counter.channel, tag + i, multiple);
	peer_send(p, c, 0, payload, n * PEER_CONFIRM_BYTES);
	p->stats.confirms += n;
	p->stats.confirm_segments++;
	return true;
}

/* With `multiple` every group gets a frame of its own, as if the broker had confirmed it at once. */
void peer_send_confirms(struct peer *p, struct peer_connection *c, bool all)
{
	uint32_t every = p->options.confirm_every;
	bool multiple = p->options.confirm_multiple;
	if (every == 0)
		return;
	uint64_t waiting = c->counter.messages - c->confirmed;
	uint64_t due = all ? waiting : waiting - waiting % every;
	while (due > 0) {
		uint64_t limit = multiple ? every : acks_in_a_segment(c);
		uint64_t n = due < limit ? due : limit;
		uint64_t tag = multiple ? c->confirmed + n : c->confirmed + 1;
		if (n == 0 || !peer_send_acks(p, c, tag, multiple ? 1 : (uint32_t)n, multiple))
			return;
		c->confirmed += n;
		due -= n;
	}
}
