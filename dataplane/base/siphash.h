/* SipHash-2-4 (Aumasson, Bernstein): the keyed hash behind initial sequence numbers (RFC 6528). */
#ifndef HAREWIRE_BASE_SIPHASH_H
#define HAREWIRE_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len);

#endif
