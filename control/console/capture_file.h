/* A capture into a pcapng file: what the taps of the workers hold is written to it, one interface for each worker. */
#ifndef HAREWIRE_CAPTURE_FILE_H
#define HAREWIRE_CAPTURE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/taps.h"

/* What has become of it; stays readable when it is over. */
struct capture_result {
	char file[PATH_MAX];
	uint64_t packets; /* in the file */
	uint64_t octets;  /* of the file */
	uint64_t dropped; /* not in it for want of room in the ring */
	int error;        /* errno of the write that failed; 0: none */
};

struct capture_file {
	struct taps taps;
	struct capture_result result;
	int fd;
	uint8_t *buffer; /* not yet written */
	size_t held;
	uint64_t begin_ns;
	struct {
		bool known; /* has its description in the file, as `interface` */
		uint32_t interface;
		uint64_t last_ns; /* time of its latest packet */
	} workers[HAREWIRE_WORKERS_MAX];
	uint32_t interface_count;
};

/* Creates the file (mode 0600, an older regular one is replaced) and starts the taps. 0, or HW_ERR_* and a sentence;
 * then there is nothing to finish. */
int capture_file_start(struct capture_file *c, struct supervisor *supervisor, const char *path, uint32_t snap_bytes,
		       char *why, size_t why_bytes);
/* Writes what has come since. Returns how many packets; after a failed write none, and result.error is set. */
uint32_t capture_file_drain(struct capture_file *c);
/* After taps_stop and taps_stopped, or when no worker runs any more: the rest, the statistics; closes and frees. */
void capture_file_finish(struct capture_file *c);

#endif
