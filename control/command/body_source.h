/*
 * Where the messages of `harewire publish` come from: one body some times over, the lines of a file, or a generator.
 * With several publishers they go to them in turn.
 */
#ifndef HAREWIRE_COMMAND_BODY_SOURCE_H
#define HAREWIRE_COMMAND_BODY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/command/pace.h"
#include "control/command/run.h"

#define BODY_BYTES_MAX (1u << 30)

struct body_source {
	struct run *run;                       /* told of failures */
	uint32_t template_ids[PUBLISHERS_MAX]; /* of each publisher of the run */
	struct pace pace;
	uint64_t next_number, count; /* messages: numbers 1..count */
	enum { BODY_FIXED, BODY_LINES, BODY_GENERATED } kind;
	uint8_t *bytes; /* the body; the generated one; or what has been read of the lines */
	size_t len, capacity;
	size_t line_end; /* octets of the line handed out last */
	int fd;          /* BODY_LINES */
	bool end_of_file;
};

/* 0, or HW_ERR_* with a sentence. Reads a single body to its end. */
int body_source_init(struct body_source *b, const struct settings *s, char *why, size_t why_bytes);
void body_source_fini(struct body_source *b);

/* For run_publish. */
enum source_result body_source_next(void *source, struct run_message *message);

/*
 * Generated bodies: the number in decimal and a newline, then letters that depend on nothing but the number and the
 * place. A body too short for its number holds the number's last digits.
 */
void body_generate(uint64_t number, uint8_t *bytes, size_t len);

#endif
