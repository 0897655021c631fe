/*
 * Any text as an AMQP URL. One that is taken gives parts that are whole and clean, and written as a URL again, every
 * octet of them escaped, gives the same parts; one that is refused leaves nothing behind and has a sentence.
 */
#include <stdio.h>
#include <string.h>

#include "control/session/url.h"
#include "dataplane/base/error.h"
#include "tests/fuzz/fuzz.h"

#define URL_MAX 16384u

static char *escape(char *out, const char *part)
{
	for (; *part; part++)
		out += sprintf(out, "%%%02x", (unsigned)(uint8_t)*part);
	return out;
}

static void check_part(const char *part, size_t cap)
{
	size_t len = strnlen(part, cap);
	REQUIRE(len < cap);
	for (size_t i = 0; i < len; i++)
		REQUIRE((uint8_t)part[i] >= 0x20 && part[i] != 0x7f);
}

static void check_taken(const struct url_parts *parts)
{
	char url[URL_MAX], *out = url;
	struct url_parts again;
	const char *why;
	check_part(parts->user, sizeof parts->user);
	check_part(parts->password, sizeof parts->password);
	check_part(parts->vhost, sizeof parts->vhost);
	check_part(parts->host, sizeof parts->host);
	REQUIRE(parts->port > 0);
	out += sprintf(out, "amqp://");
	out = escape(out, parts->user);
	*out++ = ':';
	out = escape(out, parts->password);
	*out++ = '@';
	out = escape(out, parts->host);
	out += sprintf(out, ":%u/", parts->port);
	escape(out, parts->vhost)[0] = '\0';
	REQUIRE(url_parse(url, &again, &why) == 0);
	REQUIRE(!strcmp(parts->user, again.user) && !strcmp(parts->password, again.password));
	REQUIRE(!strcmp(parts->vhost, again.vhost) && !strcmp(parts->host, again.host) && parts->port == again.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct url_parts nothing;
	struct url_parts parts;
	const char *why = NULL;
	char *url = malloc(size + 1); /* of its own, so that the sanitizer sees any step beyond it */
	memcpy(url, data, size);
	url[size] = '\0';
	int code = url_parse(url, &parts, &why);
	if (code == 0) {
		check_taken(&parts);
	} else {
		REQUIRE(code == HW_ERR_INVALID || code == HW_ERR_UNSUPPORTED);
		REQUIRE(why && *why && memcmp(&parts, &nothing, sizeof parts) == 0);
	}
	free(url);
	return 0;
}
