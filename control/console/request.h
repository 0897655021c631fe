/* What is asked of a running engine over its control socket: one line, one JSON object. Pure. */
#ifndef HAREWIRE_CONSOLE_REQUEST_H
#define HAREWIRE_CONSOLE_REQUEST_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_LINE_MAX (2u * PATH_MAX) /* octets, newline included */
#define REQUEST_SNAP_MAX 262144u

enum request_type {
	REQUEST_STAT,          /* {"request": "stat"} */
	REQUEST_CAPTURE_START, /* {"request": "capture-start", "file": "/absolute/path", "snaplen": 96} */
	REQUEST_CAPTURE_STOP,  /* {"request": "capture-stop"} */
	REQUEST_TRACE,         /* {"request": "trace", "connection": 1} */
};

struct request {
	enum request_type type;
	char file[PATH_MAX];
	uint32_t snap_bytes; /* 0: whole packets */
	uint64_t connection; /* 0: the only one */
};

/* `line` without its newline. 0, or HW_ERR_INVALID and a sentence in `why`, HW_ERR_NOMEM. */
int request_parse(const char *line, size_t len, struct request *request, char *why, size_t why_bytes);

#endif
