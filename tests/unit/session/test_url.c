#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/session/url.h"
#include "dataplane/base/error.h"

struct accepted {
	const char *url, *user, *password, *host;
	uint16_t port;
	const char *vhost;
};

/* The first block is the table of RabbitMQ's URI specification, with its "absent" as our defaults. */
static const struct accepted accepted[] = {
	{"amqp://user:pass@host:10000/vhost", "user", "pass", "host", 10000, "vhost"},
	{"amqp://user%61:%61pass@ho%61st:10000/v%2fhost", "usera", "apass", "hoast", 10000, "v/host"},
	{"amqp://", "guest", "guest", "localhost", 5672, "/"},
	{"amqp://:@/", "", "", "localhost", 5672, "/"},
	{"amqp://user@", "user", "guest", "localhost", 5672, "/"},
	{"amqp://user:pass@", "user", "pass", "localhost", 5672, "/"},
	{"amqp://host", "guest", "guest", "host", 5672, "/"},
	{"amqp://:10000", "guest", "guest", "localhost", 10000, "/"},
	{"amqp:///vhost", "guest", "guest", "localhost", 5672, "vhost"},
	{"amqp://host/", "guest", "guest", "host", 5672, "/"},
	{"amqp://host/%2f", "guest", "guest", "host", 5672, "/"},
	{"amqp://host/%2F", "guest", "guest", "host", 5672, "/"},

	{"AMQP://h", "guest", "guest", "h", 5672, "/"},
	{"amqp://127.0.0.1:65535", "guest", "guest", "127.0.0.1", 65535, "/"},
	{"amqp://u:p%40%3A%2F%25%3f%23w@h/v", "u", "p@:/%?#w", "h", 5672, "v"},
	{"amqp://u:a:b@h", "u", "a:b", "h", 5672, "/"},
	{"amqp://h/v%20w", "guest", "guest", "h", 5672, "v w"},
	{"amqp://h/v:w", "guest", "guest", "h", 5672, "v:w"},
	{"amqp://h/\xc3\xa9", "guest", "guest", "h", 5672, "\xc3\xa9"},
	{"amqp://my-host_1.example.com", "guest", "guest", "my-host_1.example.com", 5672, "/"},
};

static void parts_come_out_as_rabbitmq_specifies(void **state)
{
	for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
		const struct accepted *a = &accepted[i];
		struct url_parts parts;
		const char *why;
		int rc = url_parse(a->url, &parts, &why);
		if (rc)
			fail_msg("%s: %s", a->url, why);
		assert_string_equal(parts.user, a->user);
		assert_string_equal(parts.password, a->password);
		assert_string_equal(parts.host, a->host);
		assert_int_equal(parts.port, a->port);
		assert_string_equal(parts.vhost, a->vhost);
	}
}

static const struct {
	const char *url;
	int code;
	const char *says;
} refused[] = {
	{"amqps://h", HW_ERR_UNSUPPORTED, "TLS"},
	{"AMQPS://secret:secret@h", HW_ERR_UNSUPPORTED, "TLS"},
	{"amqp://[::1]:5672/", HW_ERR_UNSUPPORTED, "IPv6"},
	{"amqp://u:secret@[fe80::1]", HW_ERR_UNSUPPORTED, "IPv6"},
	{"", HW_ERR_INVALID, "begin with amqp://"},
	{"amqp:/h", HW_ERR_INVALID, "begin with amqp://"},
	{"http://secret@h", HW_ERR_INVALID, "begin with amqp://"},
	{"guest:secret@h", HW_ERR_INVALID, "begin with amqp://"},
	{" amqp://h", HW_ERR_INVALID, "begin with amqp://"},
	{"amqp://h:0", HW_ERR_INVALID, "port"},
	{"amqp://h:65536", HW_ERR_INVALID, "port"},
	{"amqp://h:100000000000000000000", HW_ERR_INVALID, "port"},
	{"amqp://h:-1", HW_ERR_INVALID, "port"},
	{"amqp://h:+1", HW_ERR_INVALID, "port"},
	{"amqp://h:56%372", HW_ERR_INVALID, "port"},
	{"amqp://h:", HW_ERR_INVALID, "port"},
	{"amqp://::1", HW_ERR_INVALID, "port"},
	{"amqp://a b", HW_ERR_INVALID, "host"},
	{"amqp://h%00st", HW_ERR_INVALID, "control character"},
	{"amqp://h/v\n", HW_ERR_INVALID, "control character"},
	{"amqp://u:secret%0d@h", HW_ERR_INVALID, "control character"},
	{"amqp://u:secret%7f@h", HW_ERR_INVALID, "control character"},
	{"amqp://h/%", HW_ERR_INVALID, "%25"},
	{"amqp://h/%2", HW_ERR_INVALID, "%25"},
	{"amqp://h/%g0", HW_ERR_INVALID, "%25"},
	{"amqp://h/%0g", HW_ERR_INVALID, "%25"},
	{"amqp://u:100%secret@h", HW_ERR_INVALID, "%25"},
	{"amqp://h/a/b", HW_ERR_INVALID, "%2F"},
	{"amqp://h/v?heartbeat=10", HW_ERR_INVALID, "'?'"},
	{"amqp://h/v#f", HW_ERR_INVALID, "'#'"},
	/* a password not escaped must not be taken apart */
	{"amqp://u:secret@secret@h", HW_ERR_INVALID, "%40"},
	{"amqp://u:secret/secret@h", HW_ERR_INVALID, "%2F"},
	{"amqp://u:12/secret@h/v", HW_ERR_INVALID, "%2F"},
	{"amqp://u:sec?ret@h", HW_ERR_INVALID, "%3F"},
	{"amqp://u:sec#ret@h", HW_ERR_INVALID, "%23"},
};

static void each_refusal_says_why_and_leaves_nothing_behind(void **state)
{
	static const struct url_parts nothing;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct url_parts parts;
		const char *why;
		int rc = url_parse(refused[i].url, &parts, &why);
		if (rc != refused[i].code || !why || !strstr(why, refused[i].says))
			fail_msg("%s: code %d, %s", refused[i].url, rc, why ? why : "(nothing)");
		assert_memory_equal(&parts, &nothing, sizeof parts);
		assert_null(strstr(why, "secret"));
	}
}

/* amqp://<len times c>@h, or with the stretch elsewhere. */
static int parse_long(const char *before, size_t len, const char *after)
{
	char url[4096];
	size_t at = strlen(before);
	memcpy(url, before, at);
	memset(url + at, 'c', len);
	strcpy(url + at + len, after);
	struct url_parts parts;
	const char *why;
	return url_parse(url, &parts, &why);
}

static void names_have_up_to_255_octets_and_passwords_up_to_1023(void **state)
{
	assert_int_equal(parse_long("amqp://", 255, "@h"), 0);
	assert_int_equal(parse_long("amqp://", 256, "@h"), HW_ERR_INVALID);
	assert_int_equal(parse_long("amqp://u:", 1023, "@h"), 0);
	assert_int_equal(parse_long("amqp://u:", 1024, "@h"), HW_ERR_INVALID);
	assert_int_equal(parse_long("amqp://", 255, ""), 0);
	assert_int_equal(parse_long("amqp://", 256, ""), HW_ERR_INVALID);
	assert_int_equal(parse_long("amqp://h/", 255, ""), 0);
	assert_int_equal(parse_long("amqp://h/", 256, ""), HW_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_come_out_as_rabbitmq_specifies),
		cmocka_unit_test(each_refusal_says_why_and_leaves_nothing_behind),
		cmocka_unit_test(names_have_up_to_255_octets_and_passwords_up_to_1023),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
