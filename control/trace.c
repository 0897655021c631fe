#include "control/trace.h"

#include <string.h>
#include <time.h>

#include "control/supervisor_internal.h"
#include "control/trace_line.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"

#define TEXT_BYTES 256u

static uint64_t realtime_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void endpoint(char text[32], uint32_t ip, uint16_t port)
{
	char octets[16];
	snprintf(text, 32, "%s:%u", ip_text(ip, octets), (unsigned)port);
}

int trace_take_of(const struct charge *c, struct trace_copy *copy)
{
	const struct tcp_trace *trace = atomic_load_explicit(&c->connection->trace, memory_order_acquire);
	copy->connection = c->id;
	copy->worker = c->worker->index;
	endpoint(copy->local, c->flow.local_ip, c->flow.local_port);
	endpoint(copy->remote, c->remote_ip, c->host->port);
	snprintf(copy->name, sizeof copy->name, "%s", c->target.connection_name);
	copy->since_1970_ns = realtime_ns() - clock_monotonic_ns();
	copy->count = trace ? tcp_trace_copy(trace, copy->records) : 0;
	return trace ? 0 : HW_ERR_UNSUPPORTED;
}

struct question {
	uint64_t connection;
	struct trace_copy *copy;
	/* the answer */
	int error;
	uint32_t found;
};

static void take(struct supervisor *s, void *context)
{
	struct question *q = context;
	const struct charge *found = NULL;
	for (const struct charge *c = s->charges; c; c = c->next) {
		if (q->connection && c->id != q->connection)
			continue;
		q->found++;
		found = c;
	}
	q->error = q->found == 1 ? trace_take_of(found, q->copy) : HW_ERR_INVALID;
}

int trace_take(struct supervisor *s, uint64_t connection, struct trace_copy *copy, char *why, size_t why_bytes)
{
	struct question q = {.connection = connection, .copy = copy};
	supervisor_ask(s, take, &q);
	if (q.error == HW_ERR_UNSUPPORTED)
		snprintf(why, why_bytes,
			 "connection %llu has no trace: it has not been opened yet, or the kernel's sockets carry it",
			 (unsigned long long)copy->connection);
	else if (q.found > 1)
		snprintf(why, why_bytes, "there are %u connections: say which one (stat lists them)", q.found);
	else if (q.error)
		snprintf(why, why_bytes, "there is no such connection: stat lists them");
	return q.error;
}

void trace_print(FILE *out, const struct trace_copy *copy)
{
	char text[TEXT_BYTES];
	trace_line_head(out);
	for (uint32_t i = 0; i < copy->count; i++) {
		const struct tcp_trace_record *r = &copy->records[i];
		tcp_trace_text(r, text, sizeof text);
		trace_line_print(out, &(struct trace_line){.ns = r->at_ns + copy->since_1970_ns,
							   .since_ns = i ? r->at_ns - r[-1].at_ns : 0,
							   .in_flight = r->in_flight,
							   .cwnd = r->cwnd,
							   .srtt_us = r->srtt_us,
							   .text = text});
	}
}
