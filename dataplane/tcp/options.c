#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

enum {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,            /* RFC 9293, 3.7.1 */
	OPTION_WINDOW_SCALE = 3,   /* RFC 7323, 2.2 */
	OPTION_SACK_PERMITTED = 4, /* RFC 2018, 2 */
	OPTION_SACK = 5,           /* RFC 2018, 3 */
	OPTION_TIMESTAMPS = 8,     /* RFC 7323, 3.2 */
};

static void parse_sack(const uint8_t *p, size_t len, struct tcp_segment *segment)
{
	for (segment->sack_count = 0; len >= 8 && segment->sack_count < 4; p += 8, len -= 8)
		segment->sack[segment->sack_count++] =
			(struct tcp_sack_block){.left = get_be32(p), .right = get_be32(p + 4)};
}

/*
 * One option with its body of `len` octets. A known kind of another length than its RFC's says nothing and is skipped
 * like an unknown one.
 */
static void parse_one(uint8_t kind, const uint8_t *body, size_t len, struct tcp_segment *segment)
{
	if (kind == OPTION_MSS && len == 2)
		segment->mss = get_be16(body);
	if (kind == OPTION_WINDOW_SCALE && len == 1) {
		segment->has_window_scale = true;
		segment->window_scale = body[0] < TCP_WINDOW_SCALE_MAX ? body[0] : TCP_WINDOW_SCALE_MAX;
	}
	if (kind == OPTION_SACK_PERMITTED && len == 0)
		segment->sack_permitted = true;
	if (kind == OPTION_SACK && len % 8 == 0)
		parse_sack(body, len, segment);
	if (kind == OPTION_TIMESTAMPS && len == 8) {
		segment->has_timestamps = true;
		segment->ts_value = get_be32(body);
		segment->ts_echo = get_be32(body + 4);
	}
}

/* 0, or HW_ERR_PACKET_OPTIONS: an option that reaches beyond the header, or has no room for its own length. */
int tcp_options_parse(const uint8_t *p, size_t len, struct tcp_segment *segment)
{
	struct reader r = reader_over(p, len);
	while (reader_left(&r) > 0) {
		uint8_t kind = reader_u8(&r);
		if (kind == OPTION_END)
			return 0;
		if (kind == OPTION_NOP)
			continue;
		uint8_t option_len = reader_u8(&r);
		if (r.failed || option_len < 2)
			return HW_ERR_PACKET_OPTIONS;
		const uint8_t *body = reader_take(&r, option_len - 2u);
		if (!body)
			return HW_ERR_PACKET_OPTIONS;
		parse_one(kind, body, option_len - 2u, segment);
	}
	return 0;
}

/* The smallest shift with which our whole ring can be advertised. */
uint8_t tcp_window_scale_wanted(const struct tcp_config *config)
{
	uint8_t scale = 0;
	while (config->receive_bytes >> scale > UINT16_MAX + 1u)
		scale++;
	return scale;
}

static uint8_t *put_timestamps(const struct tcp *t, uint8_t *p, uint64_t now_ns)
{
	put_be32(p, 0x0101080au);
	put_be32(p + 4, tcp_timestamp(now_ns));
	put_be32(p + 8, t->ts_recent);
	return p + TCP_TIMESTAMP_BYTES;
}

/*
 * Our first SYN offers everything. A SYN-ACK (simultaneous open) repeats only what the peer has offered too, which is
 * what timestamps and sack_permitted then say.
 */
uint32_t tcp_options_build_syn(const struct tcp *t, uint8_t *p, uint64_t now_ns)
{
	uint8_t *start = p;
	bool first = t->state == TCP_SYN_SENT;
	put_be16(p, OPTION_MSS << 8 | 4);
	put_be16(p + 2, (uint16_t)(t->path_mtu - TCP_HEADERS_BYTES));
	p += 4;
	if (first || t->sack_permitted) {
		put_be32(p, 0x01010000u | OPTION_SACK_PERMITTED << 8 | 2);
		p += 4;
	}
	if (first || t->timestamps)
		p = put_timestamps(t, p, now_ns);
	if (first || t->scaling) {
		put_be32(p, 0x01030300u | tcp_window_scale_wanted(&t->config));
		p += 4;
	}
	return (uint32_t)(p - start);
}

/* RFC 7323, 3.2: a RST should carry timestamps, and echo nothing without an ACK; nothing else would tell anybody
 * anything. */
uint32_t tcp_options_build_reset(const struct tcp *t, uint8_t *p, uint64_t now_ns)
{
	if (!t->timestamps)
		return 0;
	put_timestamps(t, p, now_ns);
	if (!t->reset_has_ack)
		put_be32(p + TCP_TIMESTAMP_BYTES - 4, 0);
	return TCP_TIMESTAMP_BYTES;
}

uint32_t tcp_options_build(const struct tcp *t, uint8_t *p, uint64_t now_ns)
{
	uint8_t *start = p;
	if (t->timestamps)
		p = put_timestamps(t, p, now_ns);
	if (tcp_receive_sack_count(t)) {
		uint32_t n = tcp_receive_sack_blocks(t, p + 4, t->timestamps ? 3 : 4);
		put_be16(p, OPTION_NOP << 8 | OPTION_NOP);
		put_be16(p + 2, (uint16_t)(OPTION_SACK << 8 | (2 + 8 * n)));
		p += 4 + 8 * n;
	}
	return (uint32_t)(p - start);
}
