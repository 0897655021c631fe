/* Lines to read, like tcpdump's: what was sent and heard, with numbers that start at 0, and what it made of us. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/sim_tcp_world.h"

static double seconds(const struct sim_world *w)
{
	return (double)(w->now_ns - w->started_ns) / 1e9;
}

static void print_flags(uint8_t flags)
{
	static const char letters[] = "FSRP.UEW";
	printf("[");
	for (int i = 0; letters[i]; i++)
		if (flags & 1u << i)
			putchar(letters[i]);
	printf("]");
}

static void print_options(const struct wire_segment *s, uint32_t acked_base)
{
	if (s->timestamps)
		printf(" ts %u echo %u", s->ts_value, s->ts_echo);
	if (s->mss)
		printf(" mss %u", s->mss);
	if (s->scale >= 0)
		printf(" scale %d", s->scale);
	if (s->sack_permitted)
		printf(" sack-permitted");
	for (uint32_t i = 0; i < s->blocks; i++)
		printf(" %s%u:%u", i ? "" : "sack ", s->block[i].left - acked_base, s->block[i].right - acked_base);
	if (s->ecn)
		printf(" %s", s->ecn == 3 ? "CE" : "ECT");
}

void sim_trace_segment(const struct sim_world *w, const char *way, const uint8_t *packet, size_t len, const char *fate)
{
	struct wire_segment s;
	bool ours = *way == '>';
	if (!w->verbose)
		return;
	printf("%12.6f %s ", seconds(w), way);
	uint8_t copy[65535];
	for (size_t i = 0; i < len; i++)
		copy[i] = packet[i];
	if (!ours && len > 6)
		copy[6] = 0x40; /* the model's packets may be fragmented; wire_parse wants ours, which may not */
	if (!ours && len >= 40)
		wire_repair(copy, len);
	if (!wire_parse(copy, len, &s)) {
		printf("%zu octets that are no segment", len);
	} else {
		uint32_t base = ours ? w->t->isn : w->peer.isn, other = ours ? w->peer.isn : w->t->isn;
		print_flags(s.flags);
		printf(" %u", s.seq - base);
		if (s.len)
			printf(":%u", s.seq - base + s.len);
		if (s.flags & WIRE_ACK)
			printf(" ack %u", s.ack - other);
		printf(" win %u", s.window);
		print_options(&s, other);
	}
	printf("%s%s\n", fate ? "   -- " : "", fate ? fate : "");
}

void sim_trace_event(const struct sim_world *w, const char *format, ...)
{
	va_list arguments;
	if (!w->verbose)
		return;
	va_start(arguments, format);
	printf("%12.6f   ", seconds(w));
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
}

void sim_trace_change(const struct sim_world *w)
{
	static const char *const phases[] = {
		[TCP_PHASE_OPEN] = "open", [TCP_PHASE_RECOVERY] = "recovery", [TCP_PHASE_LOSS] = "loss"};
	const struct tcp *t = w->t;
	const struct tcp_counters *now = &t->counters, *then = &w->before.counters;
	bool changed = t->recovery.phase != w->before.phase || now->rto_fired > then->rto_fired ||
		       now->undo > then->undo || now->rack_losses > then->rack_losses ||
		       now->persist_probes > then->persist_probes || now->ecn_reductions > then->ecn_reductions;
	if (!changed)
		return;
	sim_trace_event(w, "%s%s%s%s%s%s, %s: cwnd %u, ssthresh %d, flight %u, SACKed %u, lost %u, rto %.3f s",
			tcp_state_name(t->state), now->rto_fired > then->rto_fired ? ", timeout" : "",
			now->undo > then->undo ? ", undone" : "",
			now->rack_losses > then->rack_losses ? ", RACK finds losses" : "",
			now->persist_probes > then->persist_probes ? ", window probe" : "",
			now->ecn_reductions > then->ecn_reductions ? ", slowed by ECN" : "", phases[t->recovery.phase],
			t->congestion.cwnd, (int)t->congestion.ssthresh, tcp_flight(t), t->scoreboard.sacked_octets,
			t->scoreboard.lost_octets, (double)t->rto_ns / 1e9);
}
