/* The few AMQP 0-9-1 methods that the worker reads and writes itself. Everything else is rabbitmq-c's. */
#ifndef HAREWIRE_AMQP_METHOD_H
#define HAREWIRE_AMQP_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/amqp/frame_reader.h"

#define AMQP_METHOD(class_id, method_id) ((uint32_t)(class_id) << 16 | (method_id))

enum amqp_method_id {
	AMQP_CONNECTION_CLOSE = AMQP_METHOD(10, 50),
	AMQP_CONNECTION_CLOSE_OK = AMQP_METHOD(10, 51),
	AMQP_CONNECTION_BLOCKED = AMQP_METHOD(10, 60),
	AMQP_CONNECTION_UNBLOCKED = AMQP_METHOD(10, 61),
	AMQP_CHANNEL_CLOSE = AMQP_METHOD(20, 40),
	AMQP_CHANNEL_CLOSE_OK = AMQP_METHOD(20, 41),
	AMQP_BASIC_PUBLISH = AMQP_METHOD(60, 40),
	AMQP_BASIC_RETURN = AMQP_METHOD(60, 50),
	AMQP_BASIC_ACK = AMQP_METHOD(60, 80),
	AMQP_BASIC_NACK = AMQP_METHOD(60, 120),
};

/* The method id of a METHOD frame, or 0 when its payload is too short to have one. */
uint32_t amqp_method_id(const struct frame *frame);

/* basic.ack and basic.nack (whose requeue bit means nothing here). 0 or HW_ERR_AMQP_SYNTAX. */
struct amqp_confirm {
	uint64_t tag; /* 0 with multiple: all outstanding */
	bool multiple;
};
int amqp_parse_confirm(const struct frame *frame, struct amqp_confirm *confirm);

/* A string in the frame, not terminated. */
struct amqp_text {
	const char *chars;
	uint8_t len;
};

/* connection.close, channel.close, basic.return: reply code and text. 0 or HW_ERR_AMQP_SYNTAX. */
struct amqp_reply {
	uint16_t code;
	struct amqp_text text;
};
int amqp_parse_reply(const struct frame *frame, struct amqp_reply *reply);

/* connection.blocked: the reason. */
int amqp_parse_blocked(const struct frame *frame, struct amqp_text *reason);

/*
 * The content header of a returned message: its body size, and its id and epoch as far as a slot of ours carries them.
 * 0 (has_id says whether an id was found) or HW_ERR_AMQP_SYNTAX.
 */
struct amqp_content {
	uint64_t body_size;
	bool has_id;
	uint64_t id;
	uint32_t epoch;
};
int amqp_parse_content(const struct frame *frame, struct amqp_content *content);

/* Frames the worker writes. Each returns the octets written; `dst` has room for AMQP_SMALL_FRAME_MAX. */
#define AMQP_SMALL_FRAME_MAX 64u
size_t amqp_write_heartbeat(uint8_t *dst);
size_t amqp_write_channel_close_ok(uint8_t *dst, uint16_t channel);
size_t amqp_write_connection_close_ok(uint8_t *dst);
/* connection.close 200 with text "bye". */
size_t amqp_write_connection_close(uint8_t *dst);

#endif
