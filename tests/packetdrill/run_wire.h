/* Packets as octets, and in packetdrill's notation. Written apart from dataplane/net, which is what is tested. */
#ifndef HAREWIRE_PACKETDRILL_RUN_WIRE_H
#define HAREWIRE_PACKETDRILL_RUN_WIRE_H

#include <stddef.h>
#include <stdio.h>

#include "tests/packetdrill/run_script.h"

enum {
	WIRE_OPTION_END = 0,
	WIRE_OPTION_NOP = 1,
	WIRE_OPTION_MSS = 2,
	WIRE_OPTION_WINDOW_SCALE = 3,
	WIRE_OPTION_SACK_PERMITTED = 4,
	WIRE_OPTION_SACK = 5,
	WIRE_OPTION_TIMESTAMPS = 8,
};

uint32_t wire_get_be32(const uint8_t *p);
void wire_put_be32(uint8_t *p, uint32_t v);

/* One option of a packet, in place. */
struct wire_option {
	uint8_t kind;
	uint8_t len; /* of the body */
	uint8_t *body;
};

/* Steps through options from *at = 0. False: no more, or (*at < options_len) malformed ones. */
bool wire_next_option(struct packet *p, uint32_t *at, struct wire_option *option);

/* The timestamps option's body, or NULL. */
uint8_t *wire_timestamps(struct packet *p);

/* An IPv4 packet with right checksums; `octets` has room for 65536. Returns its length. */
size_t wire_build(const struct packet *p, uint8_t *octets);

/* NULL, or what is wrong with an IPv4 packet with TCP in it. Checksums and that the payload is zeros are checked. */
const char *wire_parse(const uint8_t *octets, size_t len, struct packet *p);

/* "P. 1:1001(1000) ack 1 win 65535 <nop,nop,TS val 1 ecr 2>" */
void wire_print(FILE *out, const struct packet *p);

#endif
