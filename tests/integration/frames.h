/* Frames as the peer of the lab would send them to us. */
#ifndef HAREWIRE_TESTS_FRAMES_H
#define HAREWIRE_TESTS_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "drivers/driver.h"

#define FRAME_BYTES_MAX 2048

struct frame {
	uint8_t bytes[FRAME_BYTES_MAX];
	size_t len;
};

struct frame_shape {
	uint16_t vlan;            /* tag control information; 0: untagged */
	uint8_t ip_options_words; /* of no-operation options */
	uint16_t fragment;        /* the IPv4 header's field */
};

/* A SYN of the flow's remote end. */
void frame_syn(struct frame *frame, const struct driver_flow *flow, const struct frame_shape *shape);
/* An ICMP message of the peer that quotes what we sent on the flow. */
void frame_icmp(struct frame *frame, const struct driver_flow *flow, uint8_t type, uint8_t code);

/* Whether it is a TCP segment from our address and this port, with RST. */
int frame_is_our_rst(const uint8_t *bytes, size_t len, uint16_t our_port);

#endif
