/* Records of a trace in words. */
#include <stdarg.h>
#include <stdio.h>

#include "dataplane/base/error.h"
#include "dataplane/tcp/tcp_internal.h"

struct text {
	char *at;
	size_t left;
};

static __attribute__((format(printf, 2, 3))) void say(struct text *x, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(x->at, x->left, format, args);
	va_end(args);
	size_t taken = n < 0 ? 0 : (size_t)n < x->left ? (size_t)n : x->left ? x->left - 1 : 0;
	x->at += taken;
	x->left -= taken;
}

static const char *const names[TCP_TRACE_KINDS] = {
	[TCP_TRACE_OPEN] = "open",       [TCP_TRACE_STATE] = "state",     [TCP_TRACE_NEGOTIATED] = "negotiated",
	[TCP_TRACE_SENT] = "sent",       [TCP_TRACE_RESENT] = "resent",   [TCP_TRACE_RECEIVED] = "received",
	[TCP_TRACE_SACK] = "sack",       [TCP_TRACE_DSACK] = "dsack",     [TCP_TRACE_LOST] = "lost",
	[TCP_TRACE_RTO] = "rto",         [TCP_TRACE_TAIL] = "tail-probe", [TCP_TRACE_PHASE] = "phase",
	[TCP_TRACE_REDUCED] = "reduced", [TCP_TRACE_UNDO] = "undo",       [TCP_TRACE_WINDOW] = "window",
	[TCP_TRACE_DROPPED] = "dropped", [TCP_TRACE_ICMP] = "icmp",       [TCP_TRACE_MTU] = "mtu",
	[TCP_TRACE_REFUSED] = "refused", [TCP_TRACE_LATE] = "late",       [TCP_TRACE_SAMPLE] = "sample",
};

const char *tcp_trace_name(uint8_t kind)
{
	return kind < TCP_TRACE_KINDS ? names[kind] : "?";
}

/* Of a table with `n` names. */
static const char *pick(const char *const *table, size_t n, uint8_t i)
{
	return i < n ? table[i] : "?";
}

#define PICK(table, i) pick(table, sizeof(table) / sizeof *(table), i)

static const char *const causes[] = {[TCP_TRACE_BY_FAST] = "fast retransmission",
				     [TCP_TRACE_BY_RTO] = "after a timeout",
				     [TCP_TRACE_BY_TAIL] = "tail loss probe",
				     [TCP_TRACE_BY_WINDOW] = "probe of a closed window"};
static const char *const tails[] = {[TCP_TRACE_TAIL_ANSWERED] = "answered",
				    [TCP_TRACE_TAIL_REPAIRED] = "has repaired a loss",
				    [TCP_TRACE_TAIL_NEEDLESS] = "came twice"};
static const char *const phases[] = {[TCP_PHASE_OPEN] = "recovery is over",
				     [TCP_PHASE_RECOVERY] = "fast recovery",
				     [TCP_PHASE_LOSS] = "recovery after a timeout"};
static const char *const reasons[] = {[TCP_TRACE_FOR_LOSS] = "a loss",
				      [TCP_TRACE_FOR_RTO] = "a timeout",
				      [TCP_TRACE_FOR_TAIL] = "a loss that a tail loss probe repaired",
				      [TCP_TRACE_FOR_ECN] = "a congestion mark",
				      [TCP_TRACE_FOR_IDLE] = "a pause"};
static const char *const drops[] = {[TCP_TRACE_DROP_PAWS] = "its timestamp is old (PAWS)",
				    [TCP_TRACE_DROP_TIMESTAMP] = "it has no timestamp",
				    [TCP_TRACE_DROP_WINDOW] = "it is outside of our window",
				    [TCP_TRACE_DROP_ACK] = "it acknowledges what was never sent, or long ago"};

static void say_ip(struct text *x, uint32_t ip, uint32_t port)
{
	say(x, "%u.%u.%u.%u:%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255, port);
}

static void say_open(struct text *x, const struct tcp_trace_record *r)
{
	say(x, "open from port %u to ", r->value >> 16);
	say_ip(x, r->ack, r->value & UINT16_MAX);
	say(x, ", sequence numbers from %u", r->seq);
}

static void say_negotiated(struct text *x, const struct tcp_trace_record *r)
{
	say(x, "negotiated: MSS %u%s%s", r->seq, r->detail & TCP_TRACE_HAS_TIMESTAMPS ? ", timestamps" : "",
	    r->detail & TCP_TRACE_HAS_SACK ? ", SACK" : "");
	if (r->detail & TCP_TRACE_HAS_SCALE)
		say(x, ", window scale %u", r->value);
	say(x, "%s; the peer's sequence numbers from %u", r->detail & TCP_TRACE_HAS_ECN ? ", ECN" : "", r->ack);
}

static void say_segment(struct text *x, const struct tcp_trace_record *r)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} flags[] = {{TCP_SYN, " SYN"}, {TCP_FIN, " FIN"}, {TCP_RST, " RST"}, {TCP_PSH, " PSH"},
		     {TCP_ACK, " ACK"}, {TCP_URG, " URG"}, {TCP_ECE, " ECE"}, {TCP_CWR, " CWR"}};
	say(x, "%s", names[r->kind]);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		say(x, "%s", r->detail & flags[i].flag ? flags[i].name : "");
	say(x, ": seq %u", r->seq);
	if (r->detail & TCP_ACK)
		say(x, ", ack %u", r->ack);
	if (r->value)
		say(x, ", %u octets", r->value);
}

static void say_state(struct text *x, const struct tcp_trace_record *r)
{
	say(x, "state %s", tcp_state_name((enum tcp_state)r->detail));
	if (r->value)
		say(x, ": %s", hw_error_sentence((int)r->value));
}

static void say_record(struct text *x, const struct tcp_trace_record *r)
{
	switch ((enum tcp_trace_kind)r->kind) {
	case TCP_TRACE_OPEN:
		say_open(x, r);
		break;
	case TCP_TRACE_STATE:
		say_state(x, r);
		break;
	case TCP_TRACE_NEGOTIATED:
		say_negotiated(x, r);
		break;
	case TCP_TRACE_SENT:
	case TCP_TRACE_RECEIVED:
		say_segment(x, r);
		break;
	case TCP_TRACE_RESENT:
		say(x, "resent, %s: seq %u, %u octets", PICK(causes, r->detail), r->seq, r->value);
		break;
	case TCP_TRACE_SACK:
		say(x, "SACK: %u to %u has arrived, %u octets of it are news", r->seq, r->ack, r->value);
		break;
	case TCP_TRACE_DSACK:
		say(x, "D-SACK: %u to %u came twice", r->seq, r->ack);
		break;
	case TCP_TRACE_LOST:
		say(x, "lost: %u octets from %u on, by %s", r->value, r->seq, r->detail ? "duplicate ACKs" : "RACK");
		break;
	case TCP_TRACE_RTO:
		say(x, "timeout: nothing of %u to %u acknowledged for %u us", r->seq, r->ack, r->value);
		break;
	case TCP_TRACE_TAIL:
		say(x, "tail loss probe %s: up to %u, %u octets repeated", PICK(tails, r->detail), r->seq, r->value);
		break;
	case TCP_TRACE_PHASE:
		say(x, "%s: until %u, ssthresh %u", PICK(phases, r->detail), r->seq, r->value);
		break;
	case TCP_TRACE_REDUCED:
		say(x, "window reduced for %s: from %u, ssthresh %u", PICK(reasons, r->detail), r->ack, r->value);
		break;
	case TCP_TRACE_UNDO:
		say(x, "recovery undone, it was needless by %s: window from %u, ssthresh %u",
		    r->detail ? "D-SACKs" : "the timestamp", r->ack, r->value);
		break;
	case TCP_TRACE_WINDOW:
		say(x, "the peer's window %s: %u octets from %u on", r->value ? "is open" : "is closed", r->value,
		    r->seq);
		break;
	case TCP_TRACE_DROPPED:
		say(x, "dropped, %s: seq %u, ack %u, %u octets", PICK(drops, r->detail), r->seq, r->ack, r->value);
		break;
	case TCP_TRACE_ICMP:
		say(x, "ICMP type %u, code %u, about seq %u, next MTU %u", r->ack, r->detail, r->seq, r->value);
		break;
	case TCP_TRACE_MTU:
		say(x, "smaller segments: MSS %u", r->value);
		break;
	case TCP_TRACE_REFUSED:
		say(x, "the driver has no buffer: %u octets from %u on wait", r->value, r->seq);
		break;
	case TCP_TRACE_LATE:
		say(x, "late: a timer was looked at %u us after its time", r->value);
		break;
	case TCP_TRACE_SAMPLE:
		say(x, "sample: acknowledged %u, sent %u, the peer's window %u", r->seq, r->ack, r->value);
		break;
	case TCP_TRACE_KINDS:
		break;
	}
}

void tcp_trace_text(const struct tcp_trace_record *record, char *text, size_t bytes)
{
	struct text x = {text, bytes};
	say(&x, "%s", ""); /* terminated, whatever the record is */
	say_record(&x, record);
}
