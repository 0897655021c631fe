/* What our client says to a broker, and a broker to it, from the protocol header to the goodbye: steps for scripts. */
#ifndef HAREWIRE_TESTS_AMQP_PHRASES_H
#define HAREWIRE_TESTS_AMQP_PHRASES_H

#include "tests/lib/amqp_script.h"

/* A method of ours or of the broker's. `arguments` are freed; may be NULL. */
void script_expect_method(struct script *s, uint16_t channel, uint16_t class_id, uint16_t method_id,
			  struct octets *arguments);
void script_send_method(struct script *s, uint16_t channel, uint16_t class_id, uint16_t method_id,
			struct octets *arguments);
/* The same with arguments that are `zeros` zero octets. */
void script_send_zeros(struct script *s, uint16_t channel, uint16_t class_id, uint16_t method_id, unsigned zeros);

void script_expect_protocol_header(struct script *s);
/* connection.start of version 0-`minor`. */
void script_send_start(struct script *s, uint8_t minor, const char *mechanisms);
/* User "me", password "hush", connection name "tester". */
void script_expect_start_ok(struct script *s, bool consumes);
void script_send_tune(struct script *s, uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat_s);
/* connection.open of vhost "v". */
void script_expect_tune_ok_and_open(struct script *s, uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat_s);
void script_send_open_ok(struct script *s);
/* channel.open and its reply. */
void script_expect_channel_open(struct script *s);
/* connection.close 200 "bye" and its reply. */
void script_expect_goodbye(struct script *s);

#endif
