/*
 * What has happened to a connection lately: a ring of fixed records that is always written, so that after a stall or a
 * reset one can look back. Ordinary segments in order leave none (but a sample ten times a second); whatever takes
 * TCP's slow path does. The ring is its owner's memory and outlives the connection.
 *
 * One thread writes (that of the connection), any thread may copy at any time, also when the writer hangs: a copy holds
 * whole records only. The writer publishes each with its number; what it may have overwritten while it was being copied
 * is found out by that number, and left out.
 *
 *     from          next - RECORDS                    next
 *      | forgotten   |  overwritten, or about to be  |  records  |  being written
 */
#ifndef HAREWIRE_TCP_TRACE_H
#define HAREWIRE_TCP_TRACE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_TRACE_RECORDS 4096u /* a power of two */

/* In brackets: what seq, ack, value and detail are. Sequence numbers count from the SYN that began their direction. */
enum tcp_trace_kind {
	TCP_TRACE_OPEN,       /* [our first number itself, remote IPv4, local port << 16 | remote port] */
	TCP_TRACE_STATE,      /* [-, -, HW_ERR_* of CLOSED, enum tcp_state] */
	TCP_TRACE_NEGOTIATED, /* [MSS, the peer's first number itself, its window scale, TCP_TRACE_HAS_*] */
	TCP_TRACE_SENT,       /* on the slow path [.., .., octets, flags] */
	TCP_TRACE_RESENT,     /* [.., .., octets, enum tcp_trace_cause] */
	TCP_TRACE_RECEIVED,   /* on the slow path [.., .., octets, flags] */
	TCP_TRACE_SACK,       /* news of one block [left, right, octets newly known to have arrived] */
	TCP_TRACE_DSACK,      /* what we sent twice came twice [left, right] */
	TCP_TRACE_LOST,       /* [snd_una, -, octets, 1: found by duplicate ACKs, 0: by RACK] */
	TCP_TRACE_RTO,        /* a timeout fired [snd_una, snd_nxt, the timeout in us] */
	TCP_TRACE_TAIL,       /* a tail loss probe's fate [its end, -, octets repeated, enum tcp_trace_tail] */
	TCP_TRACE_PHASE,      /* [recovery point, -, ssthresh, enum tcp_phase] */
	TCP_TRACE_REDUCED,    /* the congestion window [-, cwnd before, ssthresh, enum tcp_trace_reason] */
	TCP_TRACE_UNDO,       /* a recovery was needless [-, cwnd before, ssthresh, 1: D-SACK, 0: timestamp] */
	TCP_TRACE_WINDOW,     /* the peer's window has closed or opened [snd_una, -, octets] */
	TCP_TRACE_DROPPED,    /* a segment of the peer's [.., .., octets, enum tcp_trace_drop] */
	TCP_TRACE_ICMP,       /* [quoted, type, next MTU, code] */
	TCP_TRACE_MTU,        /* segments have become smaller [-, -, MSS] */
	TCP_TRACE_REFUSED,    /* the driver had no buffer [snd_nxt, -, octets that waited] */
	TCP_TRACE_LATE,       /* we looked at a timer late [-, -, us] */
	TCP_TRACE_SAMPLE,     /* nothing happened [snd_una, snd_nxt, the peer's window] */
	TCP_TRACE_KINDS,
};

enum { TCP_TRACE_HAS_TIMESTAMPS = 1, TCP_TRACE_HAS_SACK = 2, TCP_TRACE_HAS_SCALE = 4, TCP_TRACE_HAS_ECN = 8 };

enum tcp_trace_cause { TCP_TRACE_BY_FAST, TCP_TRACE_BY_RTO, TCP_TRACE_BY_TAIL, TCP_TRACE_BY_WINDOW };
enum tcp_trace_tail { TCP_TRACE_TAIL_ANSWERED, TCP_TRACE_TAIL_REPAIRED, TCP_TRACE_TAIL_NEEDLESS };
enum tcp_trace_reason {
	TCP_TRACE_FOR_LOSS,
	TCP_TRACE_FOR_RTO,
	TCP_TRACE_FOR_TAIL,
	TCP_TRACE_FOR_ECN,
	TCP_TRACE_FOR_IDLE
};
enum tcp_trace_drop { TCP_TRACE_DROP_PAWS, TCP_TRACE_DROP_TIMESTAMP, TCP_TRACE_DROP_WINDOW, TCP_TRACE_DROP_ACK };

struct tcp_trace_record {
	uint64_t at_ns; /* of the connection's clock */
	uint32_t seq, ack, value;
	uint32_t cwnd, in_flight; /* octets, when it was written */
	uint16_t srtt_us;         /* UINT16_MAX: that or more */
	uint8_t kind, detail;
};

#define TCP_TRACE_WORDS (sizeof(struct tcp_trace_record) / 8)
_Static_assert(sizeof(struct tcp_trace_record) == 32, "two to a cache line, copied word by word");

struct tcp_trace {
	_Atomic uint64_t next; /* number of the record that comes next */
	_Atomic uint64_t from; /* what came before is somebody else's */
	uint32_t refused_seq;  /* of the last TCP_TRACE_REFUSED */
	_Alignas(64) _Atomic uint64_t words[TCP_TRACE_RECORDS][TCP_TRACE_WORDS];
};

/* Empty. */
void tcp_trace_init(struct tcp_trace *trace);
/* And every page of it in memory. */
void tcp_trace_touch(struct tcp_trace *trace);
/* The writer's thread. */
void tcp_trace_add(struct tcp_trace *trace, const struct tcp_trace_record *record);
/* The writer's thread: what is there is not told any more. */
void tcp_trace_forget(struct tcp_trace *trace);

/* Any thread: copies the latest records, oldest first, TCP_TRACE_RECORDS at most. Returns how many. */
uint32_t tcp_trace_copy(const struct tcp_trace *trace, struct tcp_trace_record *records);

/* "resent": of an enum tcp_trace_kind. */
const char *tcp_trace_name(uint8_t kind);
/* The record in words, without its time: "resent, tail loss probe: seq 1001, 500 octets". Cut to `bytes`. */
void tcp_trace_text(const struct tcp_trace_record *record, char *text, size_t bytes);

#endif
