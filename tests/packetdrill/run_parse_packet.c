/* Packets as scripts write them: "> P. 1:1001(1000) ack 1 win 500 <nop,nop,TS val 100 ecr 200>". */
#include <stdio.h>
#include <string.h>

#include "tests/packetdrill/run_script.h"
#include "tests/packetdrill/run_wire.h"

static void add_octets(struct lexer *l, struct packet *p, const uint8_t *octets, uint32_t len)
{
	if (len > OPTIONS_MAX - p->options_len)
		script_fail(l->path, l->token.line, "TCP option list too long");
	memcpy(p->options + p->options_len, octets, len);
	p->options_len += len;
}

static uint32_t expect_u32(struct lexer *l, const char *what)
{
	return (uint32_t)lexer_expect_integer(l, what, 0, UINT32_MAX);
}

static void expect_word(struct lexer *l, const char *word)
{
	if (!lexer_accept_word(l, word))
		script_fail(l->path, l->token.line, "parse error: '%s' expected", word);
}

/* ---- options ---- */

static void parse_timestamps(struct lexer *l, struct packet *p)
{
	uint8_t octets[10] = {WIRE_OPTION_TIMESTAMPS, sizeof octets};
	expect_word(l, "val");
	wire_put_be32(octets + 2, expect_u32(l, "ts val"));
	expect_word(l, "ecr");
	wire_put_be32(octets + 6, expect_u32(l, "ecr val"));
	add_octets(l, p, octets, sizeof octets);
}

/* "sack 1001:2001 3001:4001" */
static void parse_sack(struct lexer *l, struct packet *p)
{
	uint8_t octets[2 + 4 * 8] = {WIRE_OPTION_SACK};
	uint32_t len = 2;
	while (l->token.kind == TOKEN_INTEGER && len < sizeof octets) {
		wire_put_be32(octets + len, expect_u32(l, "TCP SACK left sequence number"));
		lexer_expect_char(l, ':');
		wire_put_be32(octets + len + 4, expect_u32(l, "TCP SACK right sequence number"));
		len += 8;
	}
	octets[1] = (uint8_t)len;
	add_octets(l, p, octets, len);
}

static void parse_option(struct lexer *l, struct packet *p)
{
	if (lexer_accept_word(l, "nop")) {
		add_octets(l, p, (uint8_t[]){WIRE_OPTION_NOP}, 1);
	} else if (lexer_accept_word(l, "eol")) {
		add_octets(l, p, (uint8_t[]){WIRE_OPTION_END}, 1);
	} else if (lexer_accept_word(l, "mss")) {
		uint32_t mss = (uint32_t)lexer_expect_integer(l, "mss value", 0, UINT16_MAX);
		add_octets(l, p, (uint8_t[]){WIRE_OPTION_MSS, 4, (uint8_t)(mss >> 8), (uint8_t)mss}, 4);
	} else if (lexer_accept_word(l, "wscale")) {
		uint32_t shift = (uint32_t)lexer_expect_integer(l, "window scale shift count", 0, UINT8_MAX);
		add_octets(l, p, (uint8_t[]){WIRE_OPTION_WINDOW_SCALE, 3, (uint8_t)shift}, 3);
	} else if (lexer_accept_word(l, "sackOK")) {
		add_octets(l, p, (uint8_t[]){WIRE_OPTION_SACK_PERMITTED, 2}, 2);
	} else if (lexer_accept_word(l, "sack")) {
		parse_sack(l, p);
	} else if (lexer_accept_word(l, "TS")) {
		parse_timestamps(l, p);
	} else {
		script_fail(l->path, l->token.line, "unknown TCP option '%s'", l->token.text);
	}
}

static void parse_options(struct lexer *l, struct packet *p)
{
	if (!lexer_accept_char(l, '<'))
		return;
	int line = l->token.line;
	if (l->token.kind == TOKEN_ELLIPSIS) {
		if (!p->outbound)
			script_fail(l->path, line, "<...> for TCP options can only be used with outbound packets");
		lexer_next(l);
		p->any_options = true;
	} else {
		do
			parse_option(l, p);
		while (lexer_accept_char(l, ','));
	}
	lexer_expect_char(l, '>');
	if (p->options_len % 4)
		script_fail(l->path, line, "TCP options are not padded correctly: %u excess bytes", p->options_len % 4);
}

/* ---- TCP ---- */

static void parse_flag_letters(struct lexer *l, struct packet *p)
{
	static const char letters[] = "FSRPUEW";
	static const uint8_t bits[] = {FLAG_FIN, FLAG_SYN, FLAG_RST, FLAG_PSH, FLAG_URG, FLAG_ECE, FLAG_CWR};
	for (const char *c = l->token.text; *c; c++) {
		const char *found = strchr(letters, *c);
		if (!found)
			script_fail(l->path, l->token.line, "invalid TCP flag: '%c'", *c);
		p->flags |= bits[found - letters];
	}
	lexer_next(l);
}

/* "S.", ".", or "-" for none */
static void parse_flags(struct lexer *l, struct packet *p)
{
	if (lexer_accept_char(l, '-'))
		return;
	bool letters = l->token.kind == TOKEN_WORD;
	if (letters)
		parse_flag_letters(l, p);
	if (lexer_accept_char(l, '.'))
		p->flags |= FLAG_ACK;
	else if (!letters)
		script_fail(l->path, l->token.line, "parse error: TCP flags expected");
}

/* "1:1001(1000)" */
static void parse_range(struct lexer *l, struct packet *p)
{
	int line = l->token.line;
	p->seq = expect_u32(l, "TCP start sequence number");
	lexer_expect_char(l, ':');
	uint32_t end = expect_u32(l, "TCP end sequence number");
	lexer_expect_char(l, '(');
	p->payload_len = (uint32_t)lexer_expect_integer(l, "TCP payload size", 0, UINT16_MAX);
	lexer_expect_char(l, ')');
	if (end != p->seq + p->payload_len)
		script_fail(l->path, line, "inconsistent TCP sequence numbers and payload size");
}

static void parse_tcp(struct lexer *l, struct packet *p)
{
	parse_flags(l, p);
	parse_range(l, p);
	if (lexer_accept_word(l, "ack"))
		p->ack = expect_u32(l, "TCP ack sequence number");
	p->any_window = !lexer_accept_word(l, "win");
	if (!p->any_window)
		p->window = (uint16_t)lexer_expect_integer(l, "TCP window value", 0, UINT16_MAX);
	else if (!p->outbound)
		script_fail(l->path, l->token.line, "window must be specified for inbound packets");
	if (lexer_accept_word(l, "urg"))
		p->urgent = (uint16_t)lexer_expect_integer(l, "urg_ptr value", 0, UINT16_MAX);
	parse_options(l, p);
}

/* ---- ICMP and IP ---- */

struct icmp_name {
	const char *name;
	uint8_t number;
};

static bool find_icmp(struct lexer *l, const struct icmp_name *names, size_t count, const char *prefix, uint8_t *number)
{
	unsigned int given;
	char pattern[16];
	snprintf(pattern, sizeof pattern, "%s_%%u", prefix);
	if (l->token.kind == TOKEN_WORD && sscanf(l->token.text, pattern, &given) == 1 && given <= UINT8_MAX) {
		*number = (uint8_t)given;
		lexer_next(l);
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (lexer_accept_word(l, names[i].name)) {
			*number = names[i].number;
			return true;
		}
	}
	return false;
}

/* "icmp unreachable frag_needed mtu 1400 [1:1461(1460)]" */
static void parse_icmp(struct lexer *l, struct packet *p)
{
	static const struct icmp_name types[] = {
		{"unreachable", 3}, {"source_quench", 4}, {"time_exceeded", 11}, {"parameter_problem", 12}};
	static const struct icmp_name codes[] = {
		{"net_unreachable", 0},  {"host_unreachable", 1}, {"protocol_unreachable", 2},
		{"port_unreachable", 3}, {"frag_needed", 4},      {"source_route_failed", 5},
		{"net_prohibited", 9},   {"host_prohibited", 10}, {"packet_filtered", 13}};
	p->icmp = true;
	if (!find_icmp(l, types, sizeof types / sizeof types[0], "type", &p->icmp_type))
		script_fail(l->path, l->token.line, "bad ICMP type '%s'", l->token.text);
	find_icmp(l, codes, sizeof codes / sizeof codes[0], "code", &p->icmp_code);
	if (lexer_accept_word(l, "mtu"))
		p->icmp_mtu = (uint16_t)lexer_expect_integer(l, "ICMP MTU", 0, UINT16_MAX);
	if (lexer_accept_char(l, '[')) {
		parse_range(l, p);
		lexer_expect_char(l, ']');
	}
}

/* "[ect0]", "[tos 0x10]", "[ttl 64]" */
static void parse_ip(struct lexer *l, struct packet *p)
{
	static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
	char end = lexer_at_char(l, '(') ? ')' : ']';
	if (!lexer_accept_char(l, '(') && !lexer_accept_char(l, '['))
		return;
	p->tos_check = TOS_ECN;
	for (uint8_t i = 0; i < 4; i++) {
		if (lexer_accept_word(l, ecn[i])) {
			p->tos = i;
			lexer_expect_char(l, end);
			return;
		}
	}
	if (lexer_accept_word(l, "ect01")) {
		p->tos_check = TOS_ECT;
	} else if (lexer_accept_word(l, "ttl")) {
		p->tos_check = TOS_ANY;
		p->ttl = (uint8_t)lexer_expect_integer(l, "ttl", 1, UINT8_MAX);
	} else {
		expect_word(l, "tos");
		p->tos_check = TOS_WHOLE;
		if (!l->token.hex)
			script_fail(l->path, l->token.line, "parse error: tos is written in hexadecimal, like 0x02");
		p->tos = (uint8_t)lexer_expect_integer(l, "tos", 0, UINT8_MAX);
	}
	lexer_expect_char(l, end);
}

void parse_packet(struct lexer *l, struct packet *p)
{
	p->outbound = lexer_accept_char(l, '>');
	if (!p->outbound)
		lexer_expect_char(l, '<');
	parse_ip(l, p);
	if (!lexer_accept_word(l, "icmp"))
		parse_tcp(l, p);
	else if (p->outbound)
		script_fail(l->path, l->token.line, "ICMP is inbound only: TCP sends none");
	else
		parse_icmp(l, p);
}
