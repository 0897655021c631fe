#include "tests/lib/tcp_peer.h"

#include <string.h>

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

uint16_t wire_checksum(uint32_t sum, const uint8_t *p, size_t len)
{
	uint64_t all = sum;
	for (size_t i = 0; i + 1 < len; i += 2)
		all += get16(p + i);
	if (len & 1)
		all += (uint32_t)p[len - 1] << 8;
	while (all >> 16)
		all = (all & 0xffff) + (all >> 16);
	return (uint16_t)~all;
}

static uint16_t tcp_checksum(const uint8_t *packet, size_t header, size_t total)
{
	uint32_t sum = get16(packet + 12) + get16(packet + 14) + get16(packet + 16) + get16(packet + 18) + 6u +
		       (uint32_t)(total - header);
	return wire_checksum(sum, packet + header, total - header);
}

void wire_repair(uint8_t *packet, size_t len)
{
	size_t header = (packet[0] & 15u) * 4u;
	put16(packet + 10, 0);
	put16(packet + 10, wire_checksum(0, packet, header));
	put16(packet + header + 16, 0);
	put16(packet + header + 16, tcp_checksum(packet, header, len));
}

static uint8_t *put_options(uint8_t *p, const struct wire_segment *s)
{
	if (s->mss) {
		put16(p, 0x0204);
		put16(p + 2, s->mss);
		p += 4;
	}
	if (s->scale >= 0) {
		put32(p, 0x01030300u | (uint32_t)s->scale);
		p += 4;
	}
	if (s->sack_permitted) {
		put32(p, 0x01010402);
		p += 4;
	}
	if (s->timestamps) {
		put32(p, 0x0101080a);
		put32(p + 4, s->ts_value);
		put32(p + 8, s->ts_echo);
		p += 12;
	}
	if (s->blocks) {
		put32(p, 0x01010500u | (2 + 8 * s->blocks));
		p += 4;
		for (uint32_t i = 0; i < s->blocks; i++, p += 8) {
			put32(p, s->block[i].left);
			put32(p + 4, s->block[i].right);
		}
	}
	return p;
}

size_t wire_build(uint8_t *packet, const struct wire_segment *s)
{
	uint8_t *tcp = packet + 20;
	memset(packet, 0, 40);
	uint8_t *payload = put_options(packet + 40, s);
	if (s->len)
		memcpy(payload, s->payload, s->len);
	size_t total = (size_t)(payload - packet) + s->len;
	packet[0] = 0x45;
	packet[1] = s->ecn;
	put16(packet + 2, (uint32_t)total);
	packet[8] = 64;
	packet[9] = 6;
	put32(packet + 12, s->source_ip);
	put32(packet + 16, s->destination_ip);
	put16(tcp, s->source_port);
	put16(tcp + 2, s->destination_port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((payload - tcp) / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	wire_repair(packet, total);
	return total;
}

static bool parse_option(const uint8_t *p, uint32_t len, struct wire_segment *s)
{
	switch (p[0]) {
	case 2:
		s->mss = get16(p + 2);
		return len == 4;
	case 3:
		s->scale = p[2];
		return len == 3;
	case 4:
		s->sack_permitted = true;
		return len == 2;
	case 5:
		s->blocks = (len - 2) / 8;
		for (uint32_t i = 0; i < s->blocks && i < 4; i++)
			s->block[i] = (struct wire_block){get32(p + 2 + 8 * i), get32(p + 6 + 8 * i)};
		return s->blocks <= 4 && len == 2 + 8 * s->blocks;
	case 8:
		s->timestamps = true;
		s->ts_value = get32(p + 2);
		s->ts_echo = get32(p + 6);
		return len == 10;
	default:
		return false; /* we send no other */
	}
}

static bool parse_options(const uint8_t *p, const uint8_t *end, struct wire_segment *s)
{
	while (p < end) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p || !parse_option(p, p[1], s))
			return false;
		p += p[1];
	}
	return true;
}

bool wire_parse(const uint8_t *packet, size_t len, struct wire_segment *s)
{
	*s = (struct wire_segment){.scale = -1};
	if (len < 40 || packet[0] != 0x45 || get16(packet + 2) != len || get16(packet + 6) != 0x4000 || packet[9] != 6)
		return false;
	if (wire_checksum(0, packet, 20) != 0 || tcp_checksum(packet, 20, len) != 0)
		return false;
	const uint8_t *tcp = packet + 20;
	size_t header = (tcp[12] >> 4) * 4u;
	if (header < 20 || header > len - 20)
		return false;
	s->ecn = packet[1];
	s->source_ip = get32(packet + 12);
	s->destination_ip = get32(packet + 16);
	s->source_port = get16(tcp);
	s->destination_port = get16(tcp + 2);
	s->seq = get32(tcp + 4);
	s->ack = get32(tcp + 8);
	s->flags = tcp[13];
	s->window = get16(tcp + 14);
	s->payload = tcp + header;
	s->len = (uint32_t)(len - 20 - header);
	return parse_options(tcp + 20, tcp + header, s);
}
