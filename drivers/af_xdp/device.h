/* What the kernel says about a network interface. Control thread. */
#ifndef HAREWIRE_AF_XDP_DEVICE_H
#define HAREWIRE_AF_XDP_DEVICE_H

#include <stdint.h>

#include "drivers/af_xdp/why.h"

struct device {
	char name[16];
	char driver[32]; /* the kernel's driver: "veth", "ice" */
	uint32_t index;
	uint32_t mtu;
	uint32_t rx_queues, tx_queues;
	uint8_t mac[6];
};

/* 0, or HW_ERR_INVALID (no such interface, not Ethernet), HW_ERR_LINK_DOWN, HW_ERR_SYSTEM. */
int device_probe(const char *interface, struct device *device, const struct why *why);

#endif
