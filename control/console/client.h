/*
 * One client of the control socket: lines in, lines out. Its next request is not looked at before it has taken the
 * answer to the last, so what is kept for it is one line each way.
 */
#ifndef HAREWIRE_CONSOLE_CLIENT_H
#define HAREWIRE_CONSOLE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/console/request.h"

struct client {
	int fd;         /* -1: none */
	uint64_t heard; /* counts up: the one with the least has been silent longest */
	bool waiting;   /* its answer comes later: when the capture has ended */
	char in[REQUEST_LINE_MAX];
	size_t in_len;
	char *out; /* or NULL: it has taken everything */
	size_t out_len, out_taken;
};

void client_init(struct client *c, int fd);
void client_fini(struct client *c);

/* Reads what is there. False: it has gone. */
bool client_read(struct client *c);
/* The next whole line if it is its turn, without its newline, valid until client_drop_line; or NULL. */
const char *client_line(const struct client *c, size_t *len);
void client_drop_line(struct client *c);
/* A line that does not end where the longest one would. */
bool client_line_too_long(const struct client *c);

/* Answers with a line of its own memory, a newline at its end. NULL or no memory: false, and it should go. */
bool client_answer(struct client *c, const char *line);
/* Writes what it takes. False: it has gone. */
bool client_write(struct client *c);

#endif
