#include "tests/lib/nic.h"

#include <assert.h>
#include <string.h>

#include "tests/lib/tcp_peer.h"

#define FIN 0x01
#define PSH 0x08

static uint32_t get(const uint8_t *p, int octets)
{
	uint32_t v = 0;
	for (int i = 0; i < octets; i++)
		v = v << 8 | p[i];
	return v;
}

static void put(uint8_t *p, int octets, uint32_t v)
{
	for (int i = octets; i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

/* The field's sum stays in, with `more` added: a wrong pseudo header makes a wrong checksum. */
static void sum_tcp(uint8_t *packet, size_t len, uint32_t more)
{
	uint8_t *tcp = packet + 20;
	uint32_t pseudo = get(tcp + 16, 2) + more;
	put(tcp + 16, 2, 0);
	put(tcp + 16, 2, wire_checksum(pseudo, tcp, len - 20));
}

static void cut(const uint8_t *packet, size_t header, const uint8_t *payload, size_t len, uint32_t at, uint32_t index,
		int last, nic_emit *emit, void *context)
{
	uint8_t segment[65536];
	memcpy(segment, packet, header);
	memcpy(segment + header, payload, len);
	put(segment + 2, 2, (uint32_t)(header + len));
	put(segment + 4, 2, get(packet + 4, 2) + index);
	put(segment + 10, 2, 0);
	put(segment + 10, 2, wire_checksum(0, segment, 20));
	put(segment + 24, 4, get(packet + 24, 4) + at);
	if (!last)
		segment[33] &= (uint8_t) ~(FIN | PSH);
	sum_tcp(segment, header + len, (uint32_t)(header - 20 + len));
	emit(context, segment, header + len);
}

void nic_transmit(const uint8_t *packet, size_t len, uint32_t segment_bytes, nic_emit *emit, void *context)
{
	size_t header = 20 + (packet[32] >> 4) * 4u, payload = len - header;
	assert(packet[0] == 0x45 && len <= 65535 && get(packet + 2, 2) == len && header <= len);
	if (segment_bytes == 0) {
		uint8_t whole[65536];
		memcpy(whole, packet, len);
		sum_tcp(whole, len, 0);
		emit(context, whole, len);
		return;
	}
	uint32_t index = 0;
	for (size_t at = 0; at < payload; at += segment_bytes, index++) {
		size_t n = payload - at < segment_bytes ? payload - at : segment_bytes;
		cut(packet, header, packet + header + at, n, (uint32_t)at, index, at + n == payload, emit, context);
	}
}
