/*
 * What a broker reads: the protocol header, then frames, then messages made of them. Strict, and written from the AMQP
 * 0-9-1 specification (4.2) and RabbitMQ's rules, independently of dataplane/amqp: method, header and body frames of a
 * message lie one behind the other, sizes add up, every frame ends with its end octet.
 */
#ifndef HAREWIRE_TESTS_SIM_INTAKE_H
#define HAREWIRE_TESTS_SIM_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTAKE_BODY_MAX   (1u << 20)
#define INTAKE_FRAME_MAX  (1u << 17)
#define INTAKE_HEADER_MAX 4096u

#define METHOD(class_id, method_id) ((uint32_t)(class_id) << 16 | (method_id))
enum {
	CONNECTION_START = METHOD(10, 10),
	CONNECTION_START_OK = METHOD(10, 11),
	CONNECTION_TUNE = METHOD(10, 30),
	CONNECTION_TUNE_OK = METHOD(10, 31),
	CONNECTION_OPEN = METHOD(10, 40),
	CONNECTION_OPEN_OK = METHOD(10, 41),
	CONNECTION_CLOSE = METHOD(10, 50),
	CONNECTION_CLOSE_OK = METHOD(10, 51),
	CONNECTION_BLOCKED = METHOD(10, 60),
	CONNECTION_UNBLOCKED = METHOD(10, 61),
	CHANNEL_OPEN = METHOD(20, 10),
	CHANNEL_OPEN_OK = METHOD(20, 11),
	CHANNEL_CLOSE = METHOD(20, 40),
	CHANNEL_CLOSE_OK = METHOD(20, 41),
	CONFIRM_SELECT = METHOD(85, 10),
	CONFIRM_SELECT_OK = METHOD(85, 11),
	BASIC_PUBLISH = METHOD(60, 40),
	BASIC_RETURN = METHOD(60, 50),
	BASIC_ACK = METHOD(60, 80),
	BASIC_NACK = METHOD(60, 120),
};

/* One whole publish. */
struct intake_message {
	bool mandatory;
	bool has_sequence, has_message_id, has_flag;
	uint64_t sequence, message_id;
	uint32_t epoch;
	bool flag;
	uint64_t body_len;
	const uint8_t *body;
	const uint8_t *header; /* the content header's payload, for a return */
	uint32_t header_len;
};

struct intake_events {
	void (*method)(void *context, uint16_t channel, uint32_t method, const uint8_t *args, uint32_t len);
	void (*message)(void *context, uint16_t channel, const struct intake_message *message);
};

enum intake_want { WANT_PROTOCOL, WANT_ANY, WANT_HEADER, WANT_BODY };

struct intake {
	const struct intake_events *events;
	void *context;
	uint32_t frame_max;
	enum intake_want want;
	uint16_t channel; /* of the message being read */
	const char *broken;
	struct intake_message message;
	uint64_t heartbeats;
	uint32_t held; /* octets of the frame being read */
	uint8_t header[INTAKE_HEADER_MAX];
	uint8_t frame[INTAKE_FRAME_MAX];
	uint8_t body[INTAKE_BODY_MAX];
};

void intake_init(struct intake *r, uint32_t frame_max, const struct intake_events *events, void *context);
void intake_feed(struct intake *r, const uint8_t *octets, size_t len);

/* Has a publish begun that has not ended? MAYBE: too little of a frame is there to tell. */
enum intake_partial { PARTIAL_NO, PARTIAL_YES, PARTIAL_MAYBE };
enum intake_partial intake_partial(const struct intake *r);

#endif
