/*
 * The octets of outgoing segments. All of them start as a copy of the connection's header template; what changes per
 * segment is patched, and the checksum is the template's partial sum plus what was patched plus the payload's, which is
 * summed while it is copied.
 */
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ipv4.h"
#include "dataplane/tcp/tcp_internal.h"

/* Offsets in a packet without IPv4 options. */
enum {
	AT_TOS = 1,
	AT_TOTAL_LENGTH = 2,
	AT_IP_CHECKSUM = 10,
	AT_TCP = 20,
	AT_SEQ = 24,
	AT_ACK = 28,
	AT_DATA_OFFSET = 32,
	AT_FLAGS = 33,
	AT_WINDOW = 34,
	AT_CHECKSUM = 36,
	AT_OPTIONS = 40,
	AT_TS_VALUE = 44,
	AT_TS_ECHO = 48,
};

_Static_assert(sizeof((struct tcp *)0)->header >= TCP_HEADERS_BYTES + TCP_TIMESTAMP_BYTES, "the template fits");

/* The identification stays 0: with DF set it means nothing (RFC 6864, 4.1). */
void tcp_build_template(struct tcp *t)
{
	uint8_t *p = t->header;
	memset(p, 0, sizeof t->header);
	t->header_len = TCP_HEADERS_BYTES + (t->timestamps ? TCP_TIMESTAMP_BYTES : 0);
	p[0] = 0x45;
	put_be16(p + 6, IPV4_DONT_FRAGMENT);
	p[8] = t->config.ttl;
	p[9] = IPV4_PROTOCOL_TCP;
	put_be32(p + 12, t->tuple.local_ip);
	put_be32(p + 16, t->tuple.remote_ip);
	put_be16(p + AT_TCP, t->tuple.local_port);
	put_be16(p + AT_TCP + 2, t->tuple.remote_port);
	t->ip_sum = checksum_partial(p, IPV4_HEADER_BYTES);
	p[AT_TOS] = t->ecn.on ? IPV4_ECN_ECT0 : 0;
	t->ip_sum_data = checksum_partial(p, IPV4_HEADER_BYTES);
	t->pseudo_sum = checksum_pseudo(t->tuple.local_ip, t->tuple.remote_ip, IPV4_PROTOCOL_TCP);
	t->header_sum = t->pseudo_sum + checksum_partial(p + AT_TCP, 4);
	p[AT_DATA_OFFSET] = (uint8_t)((t->header_len - AT_TCP) / 4 << 4);
	if (t->timestamps) {
		put_be32(p + AT_OPTIONS, 0x0101080au);
		t->header_sum += checksum_partial(p + AT_OPTIONS, 4);
	}
}

static inline void put_checksum(uint8_t *p, uint16_t checksum)
{
	memcpy(p, &checksum, sizeof checksum);
}

static inline void finish_ip(uint8_t *packet, uint64_t ip_sum, uint32_t total)
{
	put_be16(packet + AT_TOTAL_LENGTH, (uint16_t)total);
	put_checksum(packet + AT_IP_CHECKSUM, checksum_finish(ip_sum + checksum_be16((uint16_t)total)));
}

/* The payload lies in several extents: their sums are joined, whatever offset each starts at. */
static __attribute__((noinline)) uint64_t copy_runs(const struct tcp *t, uint64_t offset, uint8_t *dst, uint32_t len)
{
	uint64_t sum = 0;
	for (uint32_t at = 0; at < len;) {
		uint64_t run;
		const uint8_t *from = extents_at(t->tx, offset + at, &run);
		uint32_t n = run < len - at ? (uint32_t)run : len - at;
		sum += checksum_at(checksum_copy(dst + at, from, n), at);
		at += n;
	}
	return sum;
}

static inline uint64_t copy_payload(const struct tcp *t, uint64_t offset, uint8_t *dst, uint32_t len)
{
	uint64_t run;
	const uint8_t *from = extents_at(t->tx, offset, &run);
	if (__builtin_expect(run >= len, 1))
		return checksum_copy(dst, from, len);
	return copy_runs(t, offset, dst, len);
}

/* Whatever carries our ACK settles what was due. */
static inline void note_ack_sent(struct tcp *t)
{
	t->ack_due = false;
	t->ack_pending_octets = t->ack_pending_segments = 0;
	t->last_ack_sent = t->rcv_nxt;
	t->receive.edge_sent = t->receive.edge;
	tcp_timer_clear(t, TCP_TIMER_DELAYED_ACK);
}

/* The header of new data in the plain case, both checksums aside; returns the timestamps' sum. */
static inline uint64_t put_header(const struct tcp *t, uint8_t *packet, uint32_t len, uint32_t timestamp)
{
	bool last = t->nxt_offset + len == t->tx->end;
	memcpy(packet, t->header, sizeof t->header); /* whole: the payload overwrites what is too much */
	put_be32(packet + AT_SEQ, t->snd_nxt);
	put_be32(packet + AT_ACK, t->rcv_nxt);
	packet[AT_FLAGS] = last ? TCP_ACK | TCP_PSH : TCP_ACK;
	put_be16(packet + AT_WINDOW, t->window_wire);
	if (__builtin_expect(!t->timestamps, 0))
		return 0;
	put_be32(packet + AT_TS_VALUE, timestamp);
	put_be32(packet + AT_TS_ECHO, t->ts_recent);
	return checksum_be32(timestamp) + checksum_be32(t->ts_recent);
}

static inline void book(struct tcp *t, uint32_t len, uint64_t now_ns)
{
	t->snd_nxt += len;
	t->nxt_offset += len;
	t->counters.segments_sent++;
	t->counters.octets_sent += len;
	note_ack_sent(t);
	tcp_record_sent(t, now_ns);
	tcp_arm_after_new(t, now_ns);
}

/* For a device that sums: it finds the pseudo header's sum in the checksum field. */
static __attribute__((noinline)) size_t build_unsummed(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns)
{
	uint32_t header = t->header_len, total = header + len;
	put_header(t, packet, len, tcp_timestamp(now_ns));
	extents_copy(t->tx, t->nxt_offset, packet + header, len);
	put_checksum(packet + AT_CHECKSUM, checksum_fold(t->pseudo_sum + checksum_be16((uint16_t)(total - AT_TCP))));
	finish_ip(packet, t->ip_sum_data, total);
	book(t, len, now_ns);
	return total;
}

/* New data in the plain case: `len` octets at nxt_offset, booked as sent. */
size_t tcp_build_hot(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns)
{
	if (__builtin_expect(!t->config.fill_checksum, 0))
		return build_unsummed(t, packet, len, now_ns);
	uint32_t header = t->header_len, total = header + len, timestamp = tcp_timestamp(now_ns), changing;
	uint64_t timestamps = put_header(t, packet, len, timestamp);
	uint64_t payload = copy_payload(t, t->nxt_offset, packet + header, len);
	memcpy(&changing, packet + AT_DATA_OFFSET, sizeof changing);
	uint64_t sum = t->header_sum + checksum_be16((uint16_t)(total - AT_TCP));
	sum += payload + checksum_be32(t->snd_nxt) + checksum_be32(t->rcv_nxt) + changing;
	put_checksum(packet + AT_CHECKSUM, checksum_finish(sum + timestamps));
	finish_ip(packet, t->ip_sum_data, total);
	book(t, len, now_ns);
	return total;
}

static void record_segments(struct tcp *t, uint32_t end, uint64_t now_ns)
{
	uint32_t tail = t->scoreboard.tail, mss = t->mss, nxt = t->snd_nxt;
	bool room = tcp_record_count(t) <= TCP_RECORDS - TCP_SEGMENTS_MAX;
	for (; room && seq_lt(end, nxt); end += mss)
		t->records[tail++ & (TCP_RECORDS - 1)] =
			(struct tcp_record){.at_ns = now_ns, .end = end, .segments = 1};
	t->scoreboard.tail = tail;
	for (; seq_lt(end, nxt); end += mss)
		tcp_record_until(t, end, now_ns);
	tcp_record_sent(t, now_ns);
}

/*
 * The segments' common header is the first one's, as devices expect it: they move the sequence number on, keep PSH for
 * the last, and add each segment's length to the pseudo header's sum, which has none.
 * In the books they are what they will be on the wire: a record each, and a burst for the timer.
 */
size_t tcp_build_segments(struct tcp *t, uint8_t *packet, uint32_t len, uint64_t now_ns)
{
	uint32_t end = t->snd_nxt + t->mss;
	size_t total = tcp_build_hot(t, packet, len, now_ns);
	put_checksum(packet + AT_CHECKSUM, checksum_fold(t->pseudo_sum));
	t->counters.segments_sent += (len - 1) / t->mss;
	t->scoreboard.tail--;
	record_segments(t, end, now_ns);
	tcp_arm_after_new(t, now_ns);
	return total;
}

/* Checksums of a packet whose header and payload are in place, and the payload's partial sum known. */
static void finish(const struct tcp *t, uint8_t *packet, uint32_t header, uint32_t len, uint64_t payload_sum)
{
	uint32_t total = header + len;
	uint64_t sum = t->pseudo_sum + checksum_be16((uint16_t)(total - AT_TCP));
	packet[AT_DATA_OFFSET] = (uint8_t)((header - AT_TCP) / 4 << 4);
	if (t->config.fill_checksum)
		put_checksum(packet + AT_CHECKSUM,
			     checksum_finish(sum + payload_sum + checksum_partial(packet + AT_TCP, header - AT_TCP)));
	else
		put_checksum(packet + AT_CHECKSUM, checksum_fold(sum));
	finish_ip(packet, packet[AT_TOS] ? t->ip_sum_data : t->ip_sum, total);
}

/* Any segment but a reset. Books only that it carries our ACK; what of the stream it carries is output.c's to book. */
size_t tcp_build(struct tcp *t, uint8_t *packet, const struct tcp_outgoing *out, uint64_t now_ns)
{
	bool syn = out->flags & TCP_SYN;
	memcpy(packet, t->header, TCP_HEADERS_BYTES);
	put_be32(packet + AT_SEQ, out->seq);
	put_be32(packet + AT_ACK, out->flags & TCP_ACK ? t->rcv_nxt : 0);
	packet[AT_FLAGS] = out->flags | (t->ecn.echo ? TCP_ECE : 0);
	packet[AT_TOS] = out->fresh ? packet[AT_TOS] : 0;
	uint32_t unscaled = tcp_receive_window(t) < UINT16_MAX ? tcp_receive_window(t) : UINT16_MAX;
	put_be16(packet + AT_WINDOW, syn ? (uint16_t)unscaled : t->window_wire);
	uint32_t options = syn ? tcp_options_build_syn(t, packet + AT_OPTIONS, now_ns)
			       : tcp_options_build(t, packet + AT_OPTIONS, now_ns);
	if (!syn)
		t->receive.came_twice = false; /* told once (RFC 2883, 4) */
	uint32_t header = TCP_HEADERS_BYTES + options;
	uint64_t sum = out->len ? copy_payload(t, out->offset, packet + header, out->len) : 0;
	finish(t, packet, header, out->len, sum);
	t->counters.segments_sent++;
	if (out->flags & TCP_ACK)
		note_ack_sent(t);
	return header + out->len;
}

size_t tcp_build_reset(struct tcp *t, uint8_t *packet, uint64_t now_ns)
{
	t->reset_due = false;
	memcpy(packet, t->header, TCP_HEADERS_BYTES);
	packet[AT_TOS] = 0;
	put_be32(packet + AT_SEQ, t->reset_seq);
	put_be32(packet + AT_ACK, t->reset_has_ack ? t->reset_ack : 0);
	packet[AT_FLAGS] = t->reset_has_ack ? TCP_RST | TCP_ACK : TCP_RST;
	uint32_t header = TCP_HEADERS_BYTES + tcp_options_build_reset(t, packet + AT_OPTIONS, now_ns);
	finish(t, packet, header, 0, 0);
	t->counters.segments_sent++;
	return header;
}
