/* How often faults and protocol paths were really met: a run that never met one has not tested it. */
#ifndef HAREWIRE_TESTS_SIM_TCP_COUNT_H
#define HAREWIRE_TESTS_SIM_TCP_COUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Name, and what the table calls it. A line of its own in capitals begins a part. */
#define SIM_COUNT_TABLE(X)                                                                                             \
	X(LOSS, "the network: packets lost")                                                                           \
	X(BURST, "lost in bursts")                                                                                     \
	X(TAIL, "ends of bursts lost")                                                                                 \
	X(OVERFLOW, "dropped by a full queue")                                                                         \
	X(CUT, "lost in a partition")                                                                                  \
	X(CUT_ONE_WAY, "partitions, one way")                                                                          \
	X(CUT_FULL, "partitions, both ways")                                                                           \
	X(DUPLICATE, "duplicated")                                                                                     \
	X(STALE, "repeated seconds later")                                                                             \
	X(REORDER, "reordered")                                                                                        \
	X(SPIKE, "spikes of delay")                                                                                    \
	X(TRUNCATE, "cut short")                                                                                       \
	X(FLIP, "bits flipped")                                                                                        \
	X(MEND, "bits flipped, checksums right")                                                                       \
	X(MARK, "marked CE")                                                                                           \
	X(MTU_SMALLER, "MTU made smaller")                                                                             \
	X(MTU_LARGER, "MTU made larger")                                                                               \
	X(TOO_BIG, "too big for the path")                                                                             \
	X(ICMP_LOST, "ICMP errors lost")                                                                               \
	X(ICMP_FORGED, "ICMP errors forged")                                                                           \
	X(TX_FULL, "the device: TX full")                                                                              \
	X(TX_REFUSED, "packets it took and lost")                                                                      \
	X(RX_DROPPED, "RX dropped")                                                                                    \
	X(JUMP, "clock jumps")                                                                                         \
	X(TSO, "packets it cut into segments")                                                                         \
	X(PEER_SACKED, "the peer: SACK blocks")                                                                        \
	X(PEER_TWICE, "D-SACK blocks")                                                                                 \
	X(PEER_DELAYED, "delayed ACKs")                                                                                \
	X(PEER_CLOSED, "zero windows")                                                                                 \
	X(PEER_SHRUNK, "windows shrunk")                                                                               \
	X(PEER_RENEGED, "SACKs reneged")                                                                               \
	X(PEER_STALLED, "reading stalled")                                                                             \
	X(PEER_FORGED, "resets and SYNs forged")                                                                       \
	X(PEER_RESET, "resets")                                                                                        \
	X(PEER_STALE, "segments of ours too old for it")                                                               \
	X(SYN_AGAIN, "ours: SYN sent again")                                                                           \
	X(RTO, "timeouts")                                                                                             \
	X(RTO_BACKED_OFF, "timeouts in a row")                                                                         \
	X(FAST, "retransmissions but for timeouts")                                                                    \
	X(RACK_LOST, "losses found by RACK")                                                                           \
	X(RACK_WOKE, "and by its timer")                                                                               \
	X(PRR, "recoveries with PRR")                                                                                  \
	X(NEWRENO, "recoveries with NewReno")                                                                          \
	X(PARTIAL_ACK, "partial ACKs")                                                                                 \
	X(TLP, "tail loss probes")                                                                                     \
	X(TLP_RECOVERED, "that repaired a loss")                                                                       \
	X(TLP_NEEDLESS, "that were needless")                                                                          \
	X(DSACK, "D-SACKs believed")                                                                                   \
	X(UNDO_EIFEL, "undone by Eifel")                                                                               \
	X(UNDO_DSACK, "undone by D-SACK")                                                                              \
	X(UNDO_TIMEOUT, "timeouts undone")                                                                             \
	X(RENEGING, "reneging found out")                                                                              \
	X(SQUEEZED, "SACKs forgotten for room")                                                                        \
	X(PERSIST, "persist probes")                                                                                   \
	X(PERSIST_OPEN, "probes of a window too small")                                                                \
	X(REOPENED, "zero windows reopened")                                                                           \
	X(PAWS, "PAWS drops")                                                                                          \
	X(NO_TIMESTAMP, "timestamps missing")                                                                          \
	X(UNACCEPTABLE, "out of window")                                                                               \
	X(CHALLENGE, "challenge ACKs")                                                                                 \
	X(RESET_IGNORED, "resets not believed")                                                                        \
	X(OUT_OF_ORDER, "received out of order")                                                                       \
	X(RANGES_FULL, "with no ninth range for it")                                                                   \
	X(CE, "CE received")                                                                                           \
	X(ECN_REDUCED, "windows reduced for ECN")                                                                      \
	X(MTU_LEARNED, "path MTU lowered")                                                                             \
	X(ICMP_IGNORED, "ICMP errors not believed")                                                                    \
	X(KEEPALIVE, "keepalive probes")                                                                               \
	X(AFTER_IDLE, "restarts after idle")                                                                           \
	X(PREDICTED, "segments predicted")                                                                             \
	X(WRAP_OURS, "our sequence numbers wrapped")                                                                   \
	X(WRAP_THEIRS, "theirs wrapped")                                                                               \
	X(CUBIC, "seeds with CUBIC")                                                                                   \
	X(RENO, "with Reno")                                                                                           \
	X(UNCONTROLLED, "without congestion control")                                                                  \
	X(CLOSE_WAIT, "closed by the peer first")                                                                      \
	X(CLOSING, "closed by both at once")                                                                           \
	X(TIME_WAIT, "ended in TIME-WAIT")                                                                             \
	X(END_RESET, "ended by a reset")                                                                               \
	X(END_LOST, "by the user timeout")                                                                             \
	X(END_ABORTED, "by our abort")                                                                                 \
	X(END_UNANSWERED, "by the connect timeout")                                                                    \
	X(HEALED, "healed on the way")

enum sim_count {
#define X(name, text) COUNT_##name,
	SIM_COUNT_TABLE(X)
#undef X
		SIM_DEMANDED, /* of these, every one; of those that follow, nothing */
	COUNT_OCTETS = SIM_DEMANDED,
	COUNT_SEGMENTS,
	COUNT_PACKETS,
	COUNT_COMPARED,
	COUNT_DRAIN_MS, /* the longest that a seed took after healing */
	SIM_COUNTS
};

/* Adds the counts of one run to a sum (COUNT_DRAIN_MS: the larger). */
void sim_counts_add(uint64_t *sum, const uint64_t *counts);

void sim_counts_print(FILE *to, const uint64_t *counts);

/* Names what was never met on `to`; returns how many that is. */
int sim_counts_missing(FILE *to, const uint64_t *counts);

#endif
