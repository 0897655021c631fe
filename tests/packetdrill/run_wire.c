#include "tests/packetdrill/run_wire.h"

#include <string.h>

#define IP_HEADER   20u
#define TCP_HEADER  20u
#define ICMP_HEADER 8u
#define QUOTED_TCP  8u

/* ---- numbers ---- */

static uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

uint32_t wire_get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

void wire_put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, v >> 16);
	put_be16(p + 2, v);
}

/* RFC 1071, octet by octet. */
static uint32_t add_up(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t complement(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint16_t tcp_checksum(const uint8_t *ip, size_t tcp_len)
{
	uint32_t sum = add_up(ip + 12, 8, 6 + (uint32_t)tcp_len);
	return complement(add_up(ip + IP_HEADER, tcp_len, sum));
}

/* ---- options ---- */

bool wire_next_option(struct packet *p, uint32_t *at, struct wire_option *option)
{
	if (*at >= p->options_len)
		return false;
	uint8_t *o = p->options + *at;
	uint32_t left = p->options_len - *at, len = 1;
	if (o[0] > WIRE_OPTION_NOP) {
		if (left < 2 || o[1] < 2 || o[1] > left)
			return false;
		len = o[1];
	}
	*option = (struct wire_option){.kind = o[0], .len = (uint8_t)(len > 1 ? len - 2 : 0), .body = o + 2};
	*at += len;
	return true;
}

uint8_t *wire_timestamps(struct packet *p)
{
	struct wire_option option;
	for (uint32_t at = 0; wire_next_option(p, &at, &option);)
		if (option.kind == WIRE_OPTION_TIMESTAMPS && option.len == 8)
			return option.body;
	return NULL;
}

/* ---- building ---- */

static void build_ip(uint8_t *o, uint32_t total, uint8_t protocol, uint8_t tos, uint8_t ttl)
{
	o[0] = 0x45;
	o[1] = tos;
	put_be16(o + 2, total);
	o[8] = ttl ? ttl : 255;
	o[9] = protocol;
}

static void finish_ip(uint8_t *o, uint32_t source, uint32_t destination)
{
	wire_put_be32(o + 12, source);
	wire_put_be32(o + 16, destination);
	put_be16(o + 10, complement(add_up(o, IP_HEADER, 0)));
}

static void build_ports(uint8_t *tcp, uint16_t source, uint16_t destination, uint32_t seq)
{
	put_be16(tcp, source);
	put_be16(tcp + 2, destination);
	wire_put_be32(tcp + 4, seq);
}

/* The error quotes our header and the first eight octets behind it; the quoted packet was outbound. */
static size_t build_icmp(const struct packet *p, uint8_t *o)
{
	uint32_t icmp_len = ICMP_HEADER + IP_HEADER + QUOTED_TCP;
	uint8_t *icmp = o + IP_HEADER, *quoted = icmp + ICMP_HEADER;
	memset(o, 0, IP_HEADER + icmp_len);
	build_ip(o, IP_HEADER + icmp_len, 1, p->tos, p->ttl);
	finish_ip(o, p->source_ip, p->destination_ip);
	icmp[0] = p->icmp_type;
	icmp[1] = p->icmp_code;
	put_be16(icmp + 6, p->icmp_mtu);
	build_ip(quoted, IP_HEADER + TCP_HEADER + p->payload_len, 6, 0, 0);
	finish_ip(quoted, p->destination_ip, p->source_ip);
	build_ports(quoted + IP_HEADER, p->destination_port, p->source_port, p->seq);
	put_be16(icmp + 2, complement(add_up(icmp, icmp_len, 0)));
	return IP_HEADER + icmp_len;
}

size_t wire_build(const struct packet *p, uint8_t *o)
{
	if (p->icmp)
		return build_icmp(p, o);
	uint32_t header = TCP_HEADER + p->options_len, tcp_len = header + p->payload_len;
	uint8_t *tcp = o + IP_HEADER;
	memset(o, 0, IP_HEADER + tcp_len);
	build_ip(o, IP_HEADER + tcp_len, 6, p->tos, p->ttl);
	finish_ip(o, p->source_ip, p->destination_ip);
	build_ports(tcp, p->source_port, p->destination_port, p->seq);
	wire_put_be32(tcp + 8, p->ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = p->flags;
	put_be16(tcp + 14, p->window);
	put_be16(tcp + 18, p->urgent);
	memcpy(tcp + TCP_HEADER, p->options, p->options_len);
	put_be16(tcp + 16, tcp_checksum(o, tcp_len));
	return IP_HEADER + tcp_len;
}

/* ---- parsing ---- */

static bool is_zeros(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void parse_headers(const uint8_t *o, struct packet *p)
{
	const uint8_t *tcp = o + IP_HEADER;
	*p = (struct packet){
		.outbound = true,
		.tos_check = TOS_WHOLE,
		.tos = o[1],
		.ttl = o[8],
		.source_ip = wire_get_be32(o + 12),
		.destination_ip = wire_get_be32(o + 16),
		.source_port = get_be16(tcp),
		.destination_port = get_be16(tcp + 2),
		.seq = wire_get_be32(tcp + 4),
		.ack = wire_get_be32(tcp + 8),
		.flags = tcp[13],
		.window = get_be16(tcp + 14),
		.urgent = get_be16(tcp + 18),
	};
}

const char *wire_parse(const uint8_t *o, size_t len, struct packet *p)
{
	if (len < IP_HEADER + TCP_HEADER || o[0] != 0x45 || get_be16(o + 2) != len || o[9] != 6)
		return "it is no IPv4 packet with TCP in it, or of another length than it says";
	if (complement(add_up(o, IP_HEADER, 0)) != 0)
		return "bad outbound IP checksum";
	if (tcp_checksum(o, len - IP_HEADER) != 0)
		return "bad outbound TCP checksum";
	uint32_t header = (uint32_t)(o[IP_HEADER + 12] >> 4) * 4;
	if (header < TCP_HEADER || header > len - IP_HEADER)
		return "bad TCP data offset";
	if (o[IP_HEADER + 12] & 0x0f)
		return "reserved bits of the TCP header are set";
	parse_headers(o, p);
	p->options_len = header - TCP_HEADER;
	memcpy(p->options, o + IP_HEADER + TCP_HEADER, p->options_len);
	p->payload_len = (uint32_t)(len - IP_HEADER - header);
	return is_zeros(o + len - p->payload_len, p->payload_len) ? NULL : "incorrect outbound data payload";
}

/* ---- printing ---- */

static void print_flags(FILE *out, uint8_t flags)
{
	static const char letters[] = "FSRP.UEW";
	if (!flags)
		fputc('-', out);
	for (int i = 0; i < 8; i++)
		if (flags & 1u << i)
			fputc(letters[i], out);
}

static void print_sack(FILE *out, const struct wire_option *o)
{
	fprintf(out, "sack");
	for (uint32_t at = 0; at + 8 <= o->len; at += 8)
		fprintf(out, " %u:%u", wire_get_be32(o->body + at), wire_get_be32(o->body + at + 4));
}

static void print_option(FILE *out, const struct wire_option *o)
{
	switch (o->kind) {
	case WIRE_OPTION_END:
		fprintf(out, "eol");
		break;
	case WIRE_OPTION_NOP:
		fprintf(out, "nop");
		break;
	case WIRE_OPTION_MSS:
		fprintf(out, "mss %u", get_be16(o->body));
		break;
	case WIRE_OPTION_WINDOW_SCALE:
		fprintf(out, "wscale %u", o->body[0]);
		break;
	case WIRE_OPTION_SACK_PERMITTED:
		fprintf(out, "sackOK");
		break;
	case WIRE_OPTION_SACK:
		print_sack(out, o);
		break;
	case WIRE_OPTION_TIMESTAMPS:
		fprintf(out, "TS val %u ecr %u", wire_get_be32(o->body), wire_get_be32(o->body + 4));
		break;
	default:
		fprintf(out, "kind %u", o->kind);
	}
}

static void print_options(FILE *out, const struct packet *p)
{
	struct packet copy = *p;
	struct wire_option option;
	const char *before = " <";
	if (p->any_options)
		fprintf(out, " <...>");
	if (p->options_len == 0)
		return;
	for (uint32_t at = 0; wire_next_option(&copy, &at, &option); before = ",") {
		fputs(before, out);
		print_option(out, &option);
	}
	fputc('>', out);
}

static void print_tos(FILE *out, const struct packet *p)
{
	static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
	if (p->tos_check == TOS_ECN)
		fprintf(out, "[%s] ", ecn[p->tos & 3]);
	else if (p->tos_check == TOS_ECT)
		fprintf(out, "[ect01] ");
	else if (p->tos_check == TOS_WHOLE && p->tos)
		fprintf(out, "[tos 0x%02x] ", p->tos);
}

void wire_print(FILE *out, const struct packet *p)
{
	print_tos(out, p);
	print_flags(out, p->flags);
	fprintf(out, " %u:%u(%u)", p->seq, p->seq + p->payload_len, p->payload_len);
	if (p->flags & FLAG_ACK)
		fprintf(out, " ack %u", p->ack);
	if (!p->any_window)
		fprintf(out, " win %u", p->window);
	if (p->urgent)
		fprintf(out, " urg %u", p->urgent);
	print_options(out, p);
}
