/* Makes of a packet's lengths and checksums what they should be, or checksums would keep a fuzzer out. */
#ifndef HAREWIRE_TESTS_FUZZ_REPAIR_H
#define HAREWIRE_TESTS_FUZZ_REPAIR_H

#include <stddef.h>
#include <stdint.h>

enum {
	REPAIR_IP_LENGTH = 1 << 0, /* IPv4's total length */
	REPAIR_IP_SUM = 1 << 1,
	REPAIR_L4_SUM = 1 << 2, /* TCP, UDP, ICMP */
	REPAIR_ALL = REPAIR_IP_LENGTH | REPAIR_IP_SUM | REPAIR_L4_SUM,
};

/* Repairs what `what` names, as far as the packet's other fields let it find its place. */
void repair_ipv4(uint8_t *packet, size_t len, unsigned what);

#endif
