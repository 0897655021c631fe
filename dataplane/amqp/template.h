/*
 * Templates: a publish encoded once, patched per message.
 *
 *     image                                                              then, per message
 *     ┌──────────────┬────────────────────────────────┬──────────────┐┌──────────────┬────┐
 *     │ method frame │ content header frame           │ body frame   ││ body         │ CE │
 *     │ exchange,key │ [body size] properties, headers│ header [len] ││              │    │
 *     └──────────────┴────────────────────────────────┴──────────────┘└──────────────┴────┘
 *                        slots: octets at fixed offsets
 *
 * A body larger than one frame goes on as further body frames; an empty one has no body frame at all (the image's last
 * seven octets are left out).
 */
#ifndef HAREWIRE_AMQP_TEMPLATE_H
#define HAREWIRE_AMQP_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AMQP_FRAME_OVERHEAD   8u  /* 7 octets of header, 1 end octet */
#define AMQP_FRAME_END        206 /* 0xCE; spelt as in rabbitmq-c, whose header may be included too */
#define AMQP_IMAGE_MAX        4096u
#define AMQP_MESSAGE_ID_CHARS 25u /* epoch, '-', id: "%08x-%016x" */

/* Names of the header fields that slots live in. */
#define AMQP_HEADER_SEQUENCE  "harewire-seq"   /* int64 */
#define AMQP_HEADER_EPOCH     "harewire-epoch" /* int64 */
#define AMQP_HEADER_SEND_TIME "harewire-time"  /* int64: CLOCK_REALTIME ns */
#define AMQP_HEADER_DUPLICATE "harewire-dup"   /* boolean: may be the copy of one that arrived */

enum {
	AMQP_SLOT_TIMESTAMP = 1u << 0,  /* property timestamp, seconds */
	AMQP_SLOT_MESSAGE_ID = 1u << 1, /* property message-id, AMQP_MESSAGE_ID_CHARS characters */
	AMQP_SLOT_SEQUENCE = 1u << 2,   /* headers AMQP_HEADER_SEQUENCE and AMQP_HEADER_EPOCH */
	AMQP_SLOT_SEND_TIME = 1u << 3,
	AMQP_SLOT_DUPLICATE = 1u << 4,
};

enum amqp_field_kind { AMQP_FIELD_STRING, AMQP_FIELD_INT64, AMQP_FIELD_BOOL };

/* A constant entry of the headers table. */
struct amqp_field {
	const char *name; /* 1..255 octets */
	enum amqp_field_kind kind;
	const char *string;
	int64_t integer; /* also the bool */
};

struct amqp_message_options {
	const char *exchange;    /* up to 255 octets; "" is the default exchange */
	const char *routing_key; /* up to 255 octets */
	bool mandatory;
	uint32_t slots;        /* AMQP_SLOT_* */
	uint8_t delivery_mode; /* 1, 2, or 0: absent */
	int priority;          /* 0..255, or -1: absent */
	/* NULL: absent; up to 255 octets each */
	const char *content_type, *content_encoding, *correlation_id, *reply_to, *expiration, *type, *user_id, *app_id;
	const struct amqp_field *headers;
	uint32_t header_count;
};

/* An offset of 0 in a slot means the template has no such slot. */
struct amqp_template {
	uint16_t image_len; /* with the body frame's 7 octets */
	uint16_t channel;
	uint16_t body_size_at; /* u64 in the content header */
	uint16_t timestamp_at, message_id_at, sequence_at, epoch_at, send_time_at, duplicate_at;
	uint16_t reserved;
	uint32_t slots;
	uint8_t image[];
};

/* What goes into the slots of one message. Only those the template has are used. */
struct amqp_slot_values {
	uint64_t id; /* sequence and message-id */
	uint32_t epoch;
	uint64_t timestamp_s;
	uint64_t send_time_ns;
};

/*
 * Encodes into `t` (room for `cap` octets, the image included). Returns 0; HW_ERR_INVALID (a string over 255 octets, a
 * bad delivery mode or priority, mandatory without SEQUENCE or MESSAGE_ID: a return could not be matched) with `*why` a
 * static sentence; or HW_ERR_TOO_LARGE (image over AMQP_IMAGE_MAX or cap).
 */
int amqp_template_encode(struct amqp_template *t, size_t cap, const struct amqp_message_options *options,
			 uint16_t channel, const char **why);

/* Octets of the whole message on the wire for a body of body_len, with frames of at most frame_max. */
uint64_t amqp_message_bytes(const struct amqp_template *t, uint64_t body_len, uint32_t frame_max);

/* Where the body starts in a message of one body frame. */
static inline uint32_t amqp_body_offset(const struct amqp_template *t)
{
	return t->image_len;
}

/*
 * The hot path. Writes everything but the body of a message with body_len <= frame_max - 8 to `dst`, whose body already
 * lies or will be written at dst + amqp_body_offset. Returns the message's octets.
 */
uint32_t amqp_message_write(const struct amqp_template *t, uint8_t *dst, uint32_t body_len,
			    const struct amqp_slot_values *values);

/* Writes a whole message, its body cut into frames of at most frame_max. Returns its octets (amqp_message_bytes). */
uint64_t amqp_message_write_split(const struct amqp_template *t, uint8_t *dst, const void *body, uint64_t body_len,
				  uint32_t frame_max, const struct amqp_slot_values *values);

#endif
