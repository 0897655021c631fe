/*
 * A driver without a device: what is submitted is counted and gone, nothing is ever received, no system call is made.
 * The floor for measurements, and the ground under interceptors that play a peer.
 */
#ifndef HAREWIRE_NULL_H
#define HAREWIRE_NULL_H

#include "drivers/driver.h"

struct null_options {
	uint32_t buffers; /* transmit buffers, at least DRIVER_BURST_MAX, a power of two */
	uint16_t mtu;     /* octets of an IP packet, 576..65535 */
	uint8_t mac[6];
};

/* 0, HW_ERR_INVALID or HW_ERR_NOMEM. */
int null_create(const struct null_options *options, struct driver **out);

#endif
