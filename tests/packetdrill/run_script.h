/*
 * run_scripts: plays packetdrill scripts against a library that implements packetdrill's interface, where packetdrill
 * itself is not at hand. It understands what our scripts use of packetdrill's language and does with it what
 * packetdrill does, so that the same script and the same library work under both.
 *
 *     run_main.c     arguments; one process for each run of a script
 *     run_lexer.c    text to tokens          run_parse.c, run_parse_packet.c   tokens to events
 *     run_symbols.c  the names of constants  run_wire.c   packets as octets, and in packetdrill's notation
 *     run_play.c     the clock and the events, one after the other
 *     run_play_packet.c, run_play_call.c     one event
 *     run_play_blocking.c   calls that block, in a thread of their own
 *
 * Differences, all of them stricter: outgoing TCP checksums and echoed timestamps are compared; an outgoing packet is
 * never put together from several; what was sent and not expected before the script's end is a failure; times may be
 * off by 100 us, not by 4 ms and 12.5 % (virtual time does not jitter).
 */
#ifndef HAREWIRE_PACKETDRILL_RUN_SCRIPT_H
#define HAREWIRE_PACKETDRILL_RUN_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#define EVENTS_MAX      512
#define EXPRESSIONS_MAX 4096
#define TEXT_MAX        64
#define FLAGS_MAX       256

/* ---- tokens ---- */

enum token_kind {
	TOKEN_END,
	TOKEN_INTEGER,
	TOKEN_FLOAT,
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_OPTION,
	TOKEN_ELLIPSIS,
	TOKEN_CHAR
};

struct token {
	enum token_kind kind;
	int line;
	int64_t integer;
	bool hex;
	double floating;
	char text[FLAGS_MAX]; /* of a word, string or option: without its quotes or dashes */
	char character;
};

struct lexer {
	const char *path;
	const char *at;
	int line;
	struct token token; /* the next one, not taken yet */
};

void lexer_init(struct lexer *l, const char *path, const char *text);
void lexer_next(struct lexer *l);
bool lexer_at_char(const struct lexer *l, char c);
bool lexer_at_word(const struct lexer *l, const char *word);
/* Takes the token if it is the one asked for. */
bool lexer_accept_char(struct lexer *l, char c);
bool lexer_accept_word(struct lexer *l, const char *word);
void lexer_expect_char(struct lexer *l, char c);
/* An integer in [least, most]; `what` names it in the complaint. */
int64_t lexer_expect_integer(struct lexer *l, const char *what, int64_t least, int64_t most);

/* Says "path:line: ..." and ends this process: a script has one of its own. */
__attribute__((noreturn)) __attribute__((format(printf, 3, 4))) void script_fail(const char *path, int line,
										 const char *format, ...);

/* ---- packets ---- */

enum tos_check { TOS_ANY, TOS_ECN, TOS_ECT, TOS_WHOLE };

#define FLAG_FIN 0x01u
#define FLAG_SYN 0x02u
#define FLAG_RST 0x04u
#define FLAG_PSH 0x08u
#define FLAG_ACK 0x10u
#define FLAG_URG 0x20u
#define FLAG_ECE 0x40u
#define FLAG_CWR 0x80u

#define OPTIONS_MAX 40

/* One packet, as a script writes it or as it was received; numbers in host byte order. Payload is zeros, always. */
struct packet {
	bool outbound, icmp;
	enum tos_check tos_check;
	uint8_t tos;
	uint8_t ttl; /* 0: not compared, or the usual one */
	uint32_t source_ip, destination_ip;
	uint16_t source_port, destination_port;
	uint8_t flags;
	uint32_t seq, ack, payload_len;
	uint16_t window, urgent;
	bool any_window, any_options;
	uint8_t options[OPTIONS_MAX];
	uint32_t options_len;
	uint8_t icmp_type, icmp_code; /* of ICMP; `seq` is what it quotes */
	uint16_t icmp_mtu;
};

/* ---- calls ---- */

enum expression_kind { EXPRESSION_INTEGER, EXPRESSION_STRING, EXPRESSION_ELLIPSIS, EXPRESSION_LIST, EXPRESSION_STRUCT };

struct expression {
	enum expression_kind kind;
	int64_t value;
	char text[TEXT_MAX];      /* of a string */
	char name[TEXT_MAX];      /* of a member: {fd=3, events=POLLIN} */
	struct expression *first; /* of a list's elements, or a struct's members */
	struct expression *next;
};

struct call {
	int line;
	char name[TEXT_MAX];
	struct expression *arguments; /* a list */
	int64_t result;
	int error; /* errno; 0: not compared */
};

/* False: no constant of that name is known. */
bool symbol_find(const char *name, int64_t *value);

/* ---- events ---- */

enum time_kind { TIME_ABSOLUTE, TIME_RELATIVE, TIME_ABSOLUTE_RANGE, TIME_RELATIVE_RANGE, TIME_ANY };

struct event {
	int line;
	enum time_kind time;
	int64_t usecs, usecs_end; /* while playing: since the script's start */
	bool is_call;
	bool blocks;          /* a call that comes back later */
	int64_t return_usecs; /* when, like usecs */
	struct packet packet;
	struct call call;
};

struct script {
	const char *path;
	char so_flags[FLAGS_MAX];
	int64_t tolerance_usecs, timestamp_tick_usecs; /* 0: timestamp values are not compared */
	bool timestamp_echo_scaled;
	struct event events[EVENTS_MAX];
	int event_count;
	struct expression expressions[EXPRESSIONS_MAX];
	int expression_count;
};

/* Options of the script go into `script` as well. Fails (script_fail) on what it does not understand. */
void script_parse(struct script *script, const char *path, const char *text);

/* Behind the time of an event. */
void parse_packet(struct lexer *l, struct packet *p);

#endif
