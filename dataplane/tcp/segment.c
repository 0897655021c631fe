#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ipv4.h"
#include "dataplane/tcp/tcp_internal.h"

static bool checksum_right(const struct ipv4_packet *ip)
{
	uint64_t sum = checksum_pseudo(ip->source, ip->destination, IPV4_PROTOCOL_TCP) +
		       checksum_be16((uint16_t)ip->payload_len) + checksum_partial(ip->payload, ip->payload_len);
	return checksum_finish(sum) == 0;
}

/* 01 01 08 0a: the one layout that nearly every segment of a connection with timestamps has. */
static inline bool only_timestamps(const uint8_t *options, size_t len)
{
	return len == TCP_TIMESTAMP_BYTES && get_be32(options) == 0x0101080au;
}

static int parse_options(const uint8_t *p, size_t len, struct tcp_segment *segment)
{
	segment->has_timestamps = segment->has_window_scale = segment->sack_permitted = false;
	segment->mss = 0;
	segment->sack_count = 0;
	if (len == 0)
		return 0;
	if (!only_timestamps(p, len))
		return tcp_options_parse(p, len, segment);
	segment->has_timestamps = true;
	segment->ts_value = get_be32(p + 4);
	segment->ts_echo = get_be32(p + 8);
	return 0;
}

int tcp_segment_parse(const uint8_t *packet, size_t len, bool verify_checksum, struct tcp_segment *segment)
{
	struct ipv4_packet ip;
	int err = ipv4_parse(packet, len, &ip);
	if (err)
		return err;
	if (ip.protocol != IPV4_PROTOCOL_TCP)
		return HW_ERR_PACKET_NOT_OURS;
	const uint8_t *p = ip.payload;
	if (ip.payload_len < TCP_HEADER_BYTES)
		return HW_ERR_PACKET_SHORT;
	size_t header = (p[12] >> 4) * 4u;
	if (header < TCP_HEADER_BYTES)
		return HW_ERR_PACKET_MALFORMED;
	if (header > ip.payload_len)
		return HW_ERR_PACKET_SHORT;
	if (verify_checksum && !checksum_right(&ip))
		return HW_ERR_PACKET_CHECKSUM;
	segment->tuple = (struct tcp_tuple){.local_ip = ip.destination,
					    .remote_ip = ip.source,
					    .local_port = get_be16(p + 2),
					    .remote_port = get_be16(p)};
	segment->seq = get_be32(p + 4);
	segment->ack = get_be32(p + 8);
	segment->flags = p[13];
	segment->window = get_be16(p + 14);
	segment->payload = p + header;
	segment->payload_len = (uint32_t)(ip.payload_len - header);
	segment->ecn_ce = ip.ecn == IPV4_ECN_CE;
	return parse_options(p + TCP_HEADER_BYTES, header - TCP_HEADER_BYTES, segment);
}
