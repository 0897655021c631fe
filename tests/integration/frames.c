#include "tests/integration/frames.h"

#include <string.h>

#include "dataplane/base/bytes.h"
#include "tests/integration/lab.h"

static const uint8_t OUR_MAC[6] = {2, 0, 0, 0, 0, 1}, THEIR_MAC[6] = {2, 0, 0, 0, 0, 2};

static uint16_t internet_checksum(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += (i & 1) ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_ethernet(struct writer *w, uint16_t vlan)
{
	writer_bytes(w, OUR_MAC, 6);
	writer_bytes(w, THEIR_MAC, 6);
	if (vlan) {
		writer_be16(w, 0x8100);
		writer_be16(w, vlan);
	}
	writer_be16(w, 0x0800);
}

static void put_ipv4(struct writer *w, uint32_t source, uint32_t destination, uint8_t protocol, size_t payload_bytes,
		     const struct frame_shape *shape)
{
	uint8_t *header = w->p;
	size_t header_bytes = 20 + 4u * shape->ip_options_words;
	writer_u8(w, (uint8_t)(0x40 | header_bytes / 4));
	writer_u8(w, 0);
	writer_be16(w, (uint16_t)(header_bytes + payload_bytes));
	writer_be16(w, 1);
	writer_be16(w, shape->fragment);
	writer_u8(w, 64);
	writer_u8(w, protocol);
	writer_be16(w, 0);
	writer_be32(w, source);
	writer_be32(w, destination);
	for (int i = 0; i < 4 * shape->ip_options_words; i++)
		writer_u8(w, 1);
	put_be16(header + 10, internet_checksum(header, header_bytes, 0));
}

static void put_syn(struct writer *w, uint32_t source, uint32_t destination, uint16_t source_port,
		    uint16_t destination_port)
{
	uint8_t *header = w->p;
	writer_be16(w, source_port);
	writer_be16(w, destination_port);
	writer_be32(w, 1000);
	writer_be32(w, 0);
	writer_be16(w, 0x5002);
	writer_be16(w, 65535);
	writer_be32(w, 0);
	uint32_t pseudo_header =
		(source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff) + 6 + 20;
	put_be16(header + 16, internet_checksum(header, 20, pseudo_header));
}

void frame_syn(struct frame *frame, const struct driver_flow *flow, const struct frame_shape *shape)
{
	struct writer w = writer_over(frame->bytes, sizeof frame->bytes);
	put_ethernet(&w, shape->vlan);
	put_ipv4(&w, flow->remote_ip, flow->local_ip, 6, 20, shape);
	put_syn(&w, flow->remote_ip, flow->local_ip, flow->remote_port, flow->local_port);
	frame->len = writer_len(&w);
}

void frame_icmp(struct frame *frame, const struct driver_flow *flow, uint8_t type, uint8_t code)
{
	const struct frame_shape plain = {0};
	struct writer w = writer_over(frame->bytes, sizeof frame->bytes);
	put_ethernet(&w, 0);
	put_ipv4(&w, flow->remote_ip, flow->local_ip, 1, 8 + 20 + 20, &plain);
	uint8_t *icmp = w.p;
	writer_u8(&w, type);
	writer_u8(&w, code);
	writer_be16(&w, 0);
	writer_be32(&w, 1280);
	put_ipv4(&w, flow->local_ip, flow->remote_ip, 6, 20, &plain);
	put_syn(&w, flow->local_ip, flow->remote_ip, flow->local_port, flow->remote_port);
	put_be16(icmp + 2, internet_checksum(icmp, 48, 0));
	frame->len = writer_len(&w);
}

int frame_is_our_rst(const uint8_t *bytes, size_t len, uint16_t our_port)
{
	return len >= 54 && get_be16(bytes + 12) == 0x0800 && bytes[14] == 0x45 && bytes[23] == 6 &&
	       get_be32(bytes + 26) == LAB_OUR_IP && get_be16(bytes + 34) == our_port && (bytes[47] & 0x04);
}
