/* Every fault and every path that the seeds are meant to reach, counted; one that is never reached fails the run. */
#ifndef HAREWIRE_TESTS_SIM_HITS_H
#define HAREWIRE_TESTS_SIM_HITS_H

#define HITS(X)                                                                                                        \
	/* what the broker and its host did */                                                                         \
	X(FAULT_ALARM, "alarms")                                                                                       \
	X(FAULT_DEAF, "stopped reading")                                                                               \
	X(FAULT_SILENT, "stopped confirming")                                                                          \
	X(FAULT_MAJORITY_LOST, "never confirmed again")                                                                \
	X(FAULT_CHANNEL_CLOSE, "channel.close")                                                                        \
	X(FAULT_FORCED_CLOSE, "connection.close 320, reset")                                                           \
	X(FAULT_POLITE_CLOSE, "connection.close, waited")                                                              \
	X(FAULT_KILL, "killed")                                                                                        \
	X(FAULT_CRASH, "host crashed")                                                                                 \
	X(FAULT_FROZEN, "frozen")                                                                                      \
	X(FAULT_PARTITION, "partitioned")                                                                              \
	X(FAULT_FIN, "FIN")                                                                                            \
	X(FAULT_NO_BUFFERS, "NIC without buffers")                                                                     \
	X(FAULT_ABORT, "given up by control at any time")                                                              \
	X(REFUSED, "connection refused")                                                                               \
	X(UNKNOWN_RESET, "segments of a lost connection reset")                                                        \
	X(MISSED_HEARTBEATS, "broker missed heartbeats")                                                               \
	X(MULTIPLE_ACK, "acks of several")                                                                             \
	X(ACK_OUT_OF_ORDER, "acks out of order")                                                                       \
	X(ACK_AHEAD, "acks of what had not arrived")                                                                   \
	X(NACK, "nacks")                                                                                               \
	X(RETURN, "returns")                                                                                           \
	X(VANISHED, "messages on a closed channel")                                                                    \
	X(ARRIVED_TWICE, "second copies")                                                                              \
	X(CLOSES, "messages that closed the channel once")                                                             \
	X(POISON, "poison")                                                                                            \
	X(ZERO_WINDOW, "windows closed")                                                                               \
	/* what was sent */                                                                                            \
	X(ACCEPTED, "accepted")                                                                                        \
	X(SPLIT, "split messages")                                                                                     \
	X(EMPTY_BODY, "empty messages")                                                                                \
	X(LOG_WRAPPED, "logs wrapped")                                                                                 \
	X(CUT_OFF, "messages cut off by an end")                                                                       \
	X(HEARTBEAT, "heartbeats of ours")                                                                             \
	X(RETRANSMITTED, "retransmissions")                                                                            \
	X(REPLAYED, "replayed")                                                                                        \
	X(REPLAYED_FLAGGED, "replayed with the flag")                                                                  \
	X(REPLAYED_UNSENT, "handed before, never sent")                                                                \
	X(REPLAY_SKIPS, "replays around what has an outcome")                                                          \
	X(REPLAY_CUT_OFF, "replays cut off by the next end")                                                           \
	/* what took several turns */                                                                                  \
	X(WALK_REPLAY, "turns looking for what to replay")                                                             \
	X(WALK_LOST, "turns telling losses")                                                                           \
	X(WALK_UNCONFIRMED, "turns telling what is unconfirmed")                                                       \
	X(WALK_HANDED_OVER, "handed over before all losses were told")                                                 \
	X(WALK_LOST_AGAIN, "lost again before all losses were told")                                                   \
	X(WALK_ENDED, "ended before all losses were told")                                                             \
	/* what the application saw and did */                                                                         \
	X(CLAIMED, "claims")                                                                                           \
	X(COMMITTED_LATE, "claims committed while nothing flows")                                                      \
	X(CANCELLED, "claims cancelled")                                                                               \
	X(LOG_FULL, "log full")                                                                                        \
	X(DROPPED, "dropped")                                                                                          \
	X(DISCONNECTED, "refused without a connection")                                                                \
	X(REFUSED_BLOCKED, "refused while blocked")                                                                    \
	X(BLOCKED_KNOWN, "alarms known to the worker")                                                                 \
	X(READY, "ready")                                                                                              \
	X(READY_AGAIN, "ready again")                                                                                  \
	X(TOLD_DISCONNECTED, "told of a loss")                                                                         \
	X(ACCEPTED_DISCONNECTED, "accepted without a connection")                                                      \
	X(ACCEPTED_BLOCKED, "accepted while blocked")                                                                  \
	X(BLOCKED_ALARM, "blocked by an alarm")                                                                        \
	X(BLOCKED_WINDOW, "blocked by the window")                                                                     \
	X(BLOCKED_SILENCE, "blocked by silence")                                                                       \
	X(BLOCKED, "blocked")                                                                                          \
	X(CONFIRMED, "confirmed")                                                                                      \
	X(NACKED, "nacked")                                                                                            \
	X(RETURNED, "returned")                                                                                        \
	X(LOST, "lost")                                                                                                \
	X(UNCONFIRMED, "unconfirmed")                                                                                  \
	X(CLOSED, "closed in order")                                                                                   \
	X(CLOSED_LATE, "closed at the deadline")                                                                       \
	X(FAILED, "failed")                                                                                            \
	/* what control saw and did */                                                                                 \
	X(END_RESET, "ended by reset")                                                                                 \
	X(END_FIN, "ended by FIN")                                                                                     \
	X(END_USER_TIMEOUT, "ended by user timeout")                                                                   \
	X(END_CONNECT_TIMEOUT, "no answer to SYN")                                                                     \
	X(END_REFUSED, "ended by refusal")                                                                             \
	X(END_HEARTBEAT, "ended by missed heartbeats")                                                                 \
	X(END_CLOSE, "ended by connection.close")                                                                      \
	X(END_ABORTED, "ended by control")                                                                             \
	X(END_CONFIRM_TIMEOUT, "ended by confirm timeout")                                                             \
	X(END_BLOCKED_TIMEOUT, "ended by blocked timeout")                                                             \
	X(CHANNEL_REOPENED, "channels opened again")                                                                   \
	X(POISON_FOUND, "poison found")                                                                                \
	X(CLOSED_IN_HANDSHAKE, "closed by the broker in the handshake")                                                \
	X(OTHER_HOST, "other host")                                                                                    \
	X(STALE_COMMAND, "commands too late")                                                                          \
	X(CLOSED_WITHOUT_CONNECTION, "closed without a connection")                                                    \
	X(CONNECTED_ALARMED, "handed over in an alarm, with messages to be sent again")                                \
	X(CONNECTED, "handed over")                                                                                    \
	X(HANDSHAKE_LOST, "handshakes cut off")                                                                        \
	X(ABORTED, "aborted by control")

#define SEEDS_REACH_ALL 1000u /* so many seeds reach all of them */

enum hit {
#define X(name, words) HIT_##name,
	HITS(X)
#undef X
		HIT_COUNT
};

#endif
