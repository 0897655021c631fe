/* What the kernel has set aside of hugepages. Knows no DPDK. */
#ifndef HAREWIRE_DPDK_HUGEPAGES_H
#define HAREWIRE_DPDK_HUGEPAGES_H

#include <stdint.h>

#include "drivers/why.h"

/* Least memory an instance is happy with: the EAL's own and the packet buffers of one port. */
#define HUGEPAGES_NEEDED_BYTES (64ull << 20)

/*
 * 0 if at least HUGEPAGES_NEEDED_BYTES are free, whatever the pages' size; else HW_ERR_NOMEM and what to do about it.
 * `directory` is "/sys/kernel/mm/hugepages".
 */
int hugepages_check(const char *directory, const struct why *why);

#endif
