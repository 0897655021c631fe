/*
 * What a NIC does with packets it was told to sum or to cut, for tests: by the book (datasheets of any NIC with TSO),
 * and independently of dataplane/.
 */
#ifndef HAREWIRE_TESTS_NIC_H
#define HAREWIRE_TESTS_NIC_H

#include <stddef.h>
#include <stdint.h>

typedef void nic_emit(void *context, const uint8_t *packet, size_t len);

/*
 * Takes an IPv4/TCP packet whose checksum field holds the pseudo header's sum and emits what reaches the wire: the
 * packet itself when segment_bytes is 0, else its segments. Identifications count up from the packet's, sequence
 * numbers and lengths move on, FIN and PSH are the last segment's.
 */
void nic_transmit(const uint8_t *packet, size_t len, uint32_t segment_bytes, nic_emit *emit, void *context);

#endif
