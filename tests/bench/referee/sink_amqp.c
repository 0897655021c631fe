/* The broker's part of a publisher's life, in canned frames (AMQP 0-9-1, sections 1.4 to 1.8). */
#include <string.h>
#include <sys/socket.h>

#include "dataplane/base/bytes.h"
#include "tests/bench/referee/sink.h"

#define FRAME_HEADER_BYTES 7u
#define PAYLOAD_MAX        65536u
#define METHOD(c, m)       ((uint32_t)(c) << 16 | (m))
#define CONFIRM_SELECT     METHOD(85, 10)
#define CONNECTION_CLOSE   METHOD(10, 50)

static void send_all(int fd, const void *bytes, size_t len)
{
	sink_must(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len, "sending");
}

static void receive_all(int fd, uint8_t *bytes, size_t len)
{
	sink_must(recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len, "a frame of the publisher's that ends too soon");
}

/* The next frame's method, or 0 for a frame of another kind. */
static uint32_t next_method(int fd)
{
	uint8_t header[FRAME_HEADER_BYTES], payload[PAYLOAD_MAX + 1];

	receive_all(fd, header, sizeof header);
	uint32_t len = get_be32(header + 3);
	sink_must(len <= PAYLOAD_MAX, "a frame larger than expected");
	receive_all(fd, payload, len + 1);
	sink_must(payload[len] == 0xce, "a frame without its end");
	return header[0] == 1 && len >= 4 ? get_be32(payload) : 0;
}

static void send_method(int fd, uint16_t channel, uint32_t method, const void *arguments, uint32_t len)
{
	uint8_t frame[FRAME_HEADER_BYTES + 4 + 64 + 1] = {1};

	sink_must(len <= 64, "a reply that fits");
	put_be16(frame + 1, channel);
	put_be32(frame + 3, 4 + len);
	put_be32(frame + 7, method);
	memcpy(frame + 11, arguments, len);
	frame[11 + len] = 0xce;
	send_all(fd, frame, 12 + len);
}

void amqp_begin(int fd)
{
	/* 0-9, no properties, PLAIN, en_US; 2047 channels, 131072 octets, no heartbeat. */
	static const char start[] = "\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05"
				    "en_US";
	static const char tune[] = "\x07\xff\0\2\0\0\0";
	uint8_t header[8];

	receive_all(fd, header, sizeof header);
	sink_must(memcmp(header, "AMQP\0\0\x09\x01", 8) == 0, "the protocol header of AMQP 0-9-1");
	send_method(fd, 0, METHOD(10, 10), start, sizeof start - 1);
	for (uint32_t method = next_method(fd); method != CONFIRM_SELECT; method = next_method(fd)) {
		if (method == METHOD(10, 11)) /* start-ok: tune */
			send_method(fd, 0, METHOD(10, 30), tune, sizeof tune);
		else if (method == METHOD(10, 40)) /* open: open-ok */
			send_method(fd, 0, METHOD(10, 41), "", 1);
		else if (method == METHOD(20, 10)) /* channel.open: open-ok */
			send_method(fd, 1, METHOD(20, 11), "\0\0\0", 4);
		else
			sink_must(method == METHOD(10, 31), "a method that a publisher begins with");
	}
}

void amqp_select_ok(int fd)
{
	send_method(fd, 1, METHOD(85, 11), "", 0);
}

void amqp_confirm(int fd, uint64_t tag)
{
	uint8_t arguments[9];

	put_be64(arguments, tag);
	arguments[8] = 1; /* multiple */
	send_method(fd, 1, METHOD(60, 80), arguments, sizeof arguments);
}

void amqp_end(int fd)
{
	char rest;
	uint32_t method = next_method(fd);

	for (; method != CONNECTION_CLOSE; method = next_method(fd)) {
		sink_must(method == METHOD(20, 40), "a goodbye");
		send_method(fd, 1, METHOD(20, 41), "", 0);
	}
	send_method(fd, 0, METHOD(10, 51), "", 0);
	while (recv(fd, &rest, 1, 0) > 0)
		;
}
