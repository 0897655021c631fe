/*
 * Error codes: one table for the codes, their names and their sentences.
 *
 * Fallible functions return 0 (or a count, or an id) on success and one of these negative codes on failure. The data
 * plane only returns or counts a code; sentences are built by the control side and the command.
 */
#ifndef HAREWIRE_BASE_ERROR_H
#define HAREWIRE_BASE_ERROR_H

/* X(NAME, value, sentence). Values are part of the public API (harewire.h repeats those an application can see). */
#define HW_ERRORS(X)                                                                                                   \
	/* what publish and claim answer; none of these changes anything */                                            \
	X(LOG_FULL, -1, "the log is full: unconfirmed messages fill its bytes or its message index")                   \
	X(BLOCKED, -2, "the broker takes nothing at the moment")                                                       \
	X(DISCONNECTED, -3, "the publisher is not connected")                                                          \
	X(TOO_LARGE, -4, "the message is larger than the log or the broker accepts")                                   \
	X(CLOSED, -5, "the publisher is closing or has ended")                                                         \
	X(INVALID, -6, "invalid argument")                                                                             \
	X(NOMEM, -7, "out of memory")                                                                                  \
	X(BUSY, -8, "in use")                                                                                          \
	X(SYSTEM, -9, "a system call failed")                                                                          \
	X(UNSUPPORTED, -10, "not supported here")                                                                      \
	X(CLAIM_OPEN, -11, "a claim is already open")                                                                  \
	X(NO_CLAIM, -12, "no claim is open")                                                                           \
	X(TIMEOUT, -13, "timed out")                                                                                   \
	X(NO_CPU, -14,                                                                                                 \
	  "the CPU for the worker does not exist, is offline, or is not allowed to this process: see "                 \
	  "/sys/devices/system/cpu/online, and taskset -p for this process's own")                                     \
	/* why a byte stream ended */                                                                                  \
	X(CONN_REFUSED, -20, "connection refused: nothing listens on that port")                                       \
	X(CONN_RESET, -21, "connection reset by the broker's host")                                                    \
	X(CONN_TIMEOUT, -22, "the broker's host does not answer (no SYN-ACK)")                                         \
	X(CONN_CLOSED_BY_PEER, -23, "the broker's host closed the connection")                                         \
	X(CONN_LOST, -24, "the broker's host stopped acknowledging (user timeout)")                                    \
	X(CONN_ABORTED, -25, "the connection was aborted by this side")                                                \
	X(HOST_UNREACHABLE, -26, "the broker's host is unreachable")                                                   \
	X(NEIGHBOUR_FAILED, -27, "no answer to ARP for the broker's host or its gateway")                              \
	X(WRONG_QUEUE, -28, "the connection's packets arrive on a NIC queue that is not ours")                         \
	X(LINK_DOWN, -29, "the network link is down")                                                                  \
	X(NO_RULE, -30, "the device has no room for another steering rule: give it fewer connections, or one worker")  \
	/* packets that were not taken; counted, never reported one by one */                                          \
	X(PACKET_SHORT, -40, "packet shorter than its headers")                                                        \
	X(PACKET_MALFORMED, -41, "malformed header")                                                                   \
	X(PACKET_CHECKSUM, -42, "wrong checksum")                                                                      \
	X(PACKET_NOT_OURS, -43, "packet for no connection of ours")                                                    \
	X(PACKET_FRAGMENT, -44, "IP fragment")                                                                         \
	X(PACKET_OPTIONS, -45, "malformed TCP options")                                                                \
	/* what the broker sent */                                                                                     \
	X(AMQP_FRAME_END, -60, "AMQP frame without its end octet 0xCE")                                                \
	X(AMQP_FRAME_TOO_LARGE, -61, "AMQP frame larger than negotiated")                                              \
	X(AMQP_FRAME_TYPE, -62, "unknown AMQP frame type")                                                             \
	X(AMQP_PROTOCOL_HEADER, -63, "the peer is not an AMQP 0-9-1 broker or speaks another version")                 \
	X(AMQP_SYNTAX, -64, "malformed AMQP method or header")                                                         \
	X(AMQP_UNKNOWN_TAG, -65, "confirm for a delivery tag that was never used")                                     \
	X(AMQP_UNEXPECTED, -66, "AMQP frame out of place")                                                             \
	X(AMQP_CONNECTION_CLOSED, -67, "the broker closed the connection")                                             \
	X(AMQP_CHANNEL_CLOSED, -68, "the broker closed the channel")                                                   \
	X(AMQP_HEARTBEAT, -69, "no octet from the broker for two heartbeat intervals")                                 \
	X(AMQP_BRIDGE_FULL, -70, "the broker sent more control frames than fit their ring")                            \
	X(AMQP_LOGIN_REFUSED, -71, "the broker refused the login")                                                     \
	X(AMQP_SETUP, -72, "the broker refused a declaration")                                                         \
	X(AMQP_CONFIRM_TIMEOUT, -73, "the broker confirmed nothing for longer than the confirm timeout")               \
	X(AMQP_BLOCKED_TIMEOUT, -74, "the broker took nothing for longer than the blocked timeout")                    \
	X(AMQP_POISON, -75, "the same message ended the connection again and again")

enum hw_error {
#define X(name, value, sentence) HW_ERR_##name = (value),
	HW_ERRORS(X)
#undef X
};

/* The code's name ("LOG_FULL") and its sentence. Any value is safe; unknown ones say so. Static lifetime. */
const char *hw_error_name(int code);
const char *hw_error_sentence(int code);

#endif
