/* Copies of connections' traces (dataplane/tcp/trace.h), with what one has to know about whose they are. */
#ifndef HAREWIRE_TRACE_H
#define HAREWIRE_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/tcp/trace.h"

struct charge;
struct supervisor;

struct trace_copy {
	uint64_t connection; /* its id, as in stat */
	uint32_t worker;
	char local[32], remote[32], name[256];
	uint64_t since_1970_ns; /* what is added to a record's time to make it so */
	uint32_t count;
	struct tcp_trace_record records[TCP_TRACE_RECORDS];
};

/*
 * Any thread but the control thread, which it asks. `connection`: its id, or 0: the only one. 0, or with a sentence in
 * `why` HW_ERR_INVALID: there is no such connection, or there are several; HW_ERR_UNSUPPORTED: it has no trace. The
 * worker has no part in it: it may hang.
 */
int trace_take(struct supervisor *supervisor, uint64_t connection, struct trace_copy *copy, char *why,
	       size_t why_bytes);

/* Control thread: the same of one that is known. */
int trace_take_of(const struct charge *charge, struct trace_copy *copy);

/* The records in lines, for people. */
void trace_print(FILE *out, const struct trace_copy *copy);

#endif
