/*
 * The log: a ring of bytes mapped twice in a row, so that any run of up to `capacity` bytes is contiguous.
 *
 *        base                base + capacity
 *         |  the same pages   |  the same pages   |
 *         |...............####|###................|
 *                         ^ a message that wraps is still one run
 *
 * Positions are 64-bit octet counts that only grow; the ring does not know what is in it or who owns which part (that
 * is the publisher's business).
 */
#ifndef HAREWIRE_BASE_LOG_H
#define HAREWIRE_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

struct log {
	uint8_t *base;
	uint64_t capacity; /* octets; a power of two, a multiple of the page size */
	uint64_t mask;
};

/*
 * Maps a log of at least `capacity_bytes` (rounded up to a power of two, at least one page), every page touched so that
 * the data plane never faults. Returns 0, HW_ERR_INVALID (0, or over 2^40), HW_ERR_NOMEM or HW_ERR_SYSTEM (errno set).
 */
int log_init(struct log *log, uint64_t capacity_bytes);
void log_fini(struct log *log);

/* The address of position `pos`. Valid for up to `capacity` octets from there. */
static inline uint8_t *log_at(const struct log *log, uint64_t pos)
{
	return log->base + (pos & log->mask);
}

#endif
