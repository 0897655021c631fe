#include "control/session/url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dataplane/base/error.h"

#define AMQP_PORT 5672

/* A stretch of the URL; `at` is NULL when the part is absent. */
struct part {
	const char *at;
	size_t len;
};

static int refuse(const char **why, const char *sentence)
{
	*why = sentence;
	return HW_ERR_INVALID;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

/* Percent-decoding (RFC 3986, 2.1) into a string of `cap` octets. An absent part leaves `dst` as it is. */
static int decode(struct part part, char *dst, size_t cap, const char **why)
{
	size_t n = 0;
	for (size_t i = 0; i < part.len; i++) {
		uint8_t c = (uint8_t)part.at[i];
		if (c == '%') {
			int high = part.len - i > 2 ? hex_digit(part.at[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(part.at[i + 2]) : -1;
			if (low < 0)
				return refuse(why, "the URL has a '%' that two hexadecimal digits do not follow; write "
						   "%25 for '%'");
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (is_control(c))
			return refuse(why, "the URL contains a control character");
		if (cap - n <= 1)
			return refuse(why, "a part of the URL is too long");
		dst[n++] = (char)c;
	}
	if (part.at)
		dst[n] = '\0';
	return 0;
}

/* Takes "amqp://" off. */
static int parse_scheme(const char **p, const char **why)
{
	if (strncasecmp(*p, "amqp://", 7) == 0) {
		*p += 7;
		return 0;
	}
	if (strncasecmp(*p, "amqps://", 8) == 0) {
		*why = "amqps:// (TLS) is not supported yet; use amqp://";
		return HW_ERR_UNSUPPORTED;
	}
	return refuse(why, "the URL does not begin with amqp://");
}

static int parse_port(struct part port, uint16_t *out, const char **why)
{
	unsigned long v = 0;
	if (port.at && port.len == 0)
		return refuse(why, "the URL has a ':' after the host, but no port");
	for (size_t i = 0; i < port.len; i++) {
		if (port.at[i] < '0' || port.at[i] > '9' || i >= 5)
			return refuse(why, "the URL's port is not a number from 1 to 65535");
		v = v * 10 + (unsigned long)(port.at[i] - '0');
	}
	if (port.at && (v == 0 || v > 65535))
		return refuse(why, "the URL's port is not a number from 1 to 65535");
	if (port.at)
		*out = (uint16_t)v;
	return 0;
}

/* Letters, digits, '-', '.' and '_': what names and IPv4 addresses are made of. */
static int check_host(const char *host, const char **why)
{
	for (const char *c = host; *c; c++) {
		bool ok = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
			  *c == '-' || *c == '.' || *c == '_';
		if (!ok)
			return refuse(why, "the URL's host is neither a name nor an IPv4 address");
	}
	return 0;
}

static struct part part_of(const char *from, const char *to)
{
	return (struct part){from, (size_t)(to - from)};
}

/* [host[:port]] */
static int parse_endpoint(const char *p, const char *end, struct url_parts *parts, const char **why)
{
	if (p < end && *p == '[') {
		*why = "IPv6 addresses are not supported yet; give a name or an IPv4 address";
		return HW_ERR_UNSUPPORTED;
	}
	const char *colon = memchr(p, ':', (size_t)(end - p));
	struct part port = colon ? part_of(colon + 1, end) : (struct part){0};
	struct part host = part_of(p, colon ? colon : end);
	if (host.len == 0)
		host.at = NULL;
	int rc = parse_port(port, &parts->port, why);
	rc = rc ? rc : decode(host, parts->host, sizeof parts->host, why);
	return rc ? rc : check_host(parts->host, why);
}

/* user[:password] */
static int parse_credentials(const char *p, const char *end, struct url_parts *parts, const char **why)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	struct part password = colon ? part_of(colon + 1, end) : (struct part){0};
	int rc = decode(part_of(p, colon ? colon : end), parts->user, sizeof parts->user, why);
	return rc ? rc : decode(password, parts->password, sizeof parts->password, why);
}

static int parse_vhost(const char *p, struct url_parts *parts, const char **why)
{
	if (strchr(p, '@'))
		return refuse(why, "the URL has a '@' after a '/': write %2F for a '/' in a user or password, %40 for "
				   "a '@' in a vhost");
	if (strchr(p, '/'))
		return refuse(why, "the URL's vhost contains a '/': write it as %2F");
	if (!*p)
		return 0; /* "amqp://host/": see url.h */
	return decode((struct part){p, strlen(p)}, parts->vhost, sizeof parts->vhost, why);
}

static int parse(const char *p, struct url_parts *parts, const char **why)
{
	int rc = parse_scheme(&p, why);
	if (rc)
		return rc;
	if (strpbrk(p, "?#"))
		return refuse(why, "the URL has a '?' or '#': options go into flags or the config file; write %3F or "
				   "%23 in a name or password");
	const char *end = p + strcspn(p, "/");
	const char *at = memchr(p, '@', (size_t)(end - p));
	if (at && memchr(at + 1, '@', (size_t)(end - at - 1)))
		return refuse(why, "the URL has more than one '@': write %40 for a '@' in a user or password");
	if (*end == '/')
		rc = parse_vhost(end + 1, parts, why);
	if (!rc && at)
		rc = parse_credentials(p, at, parts, why);
	return rc ? rc : parse_endpoint(at ? at + 1 : p, end, parts, why);
}

int url_parse(const char *url, struct url_parts *parts, const char **why)
{
	*parts = (struct url_parts){
		.user = "guest", .password = "guest", .vhost = "/", .host = "localhost", .port = AMQP_PORT};
	*why = NULL;
	int rc = parse(url, parts, why);
	if (rc)
		explicit_bzero(parts, sizeof *parts);
	return rc;
}
