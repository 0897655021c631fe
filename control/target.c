#define _GNU_SOURCE
#include "control/target.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/session/url.h"
#include "dataplane/base/error.h"

#define MS_NS     1000000ull
#define SECOND_NS (1000 * MS_NS)
#define HOUR_NS   (3600 * SECOND_NS)
#define DAY_NS    (24 * HOUR_NS)
#define YEAR_NS   (365 * DAY_NS)

/* Where the sentence goes. */
struct reason {
	char *text;
	size_t bytes;
};

static __attribute__((format(printf, 3, 4))) int refuse(const struct reason *why, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (why->text && why->bytes)
		vsnprintf(why->text, why->bytes, format, args);
	va_end(args);
	return code;
}

/* ---- numbers and choices ---- */

/* An option that is a number, and what it may be. */
struct range {
	const char *name;
	uint64_t value, least, most;
	const char *words;
};

static int check_ranges(const struct harewire_publisher_options *o, const struct reason *why)
{
	const struct range ranges[] = {
		{"frame_max", o->frame_max, 4096, 1048576, "4096 to 1048576 octets"},
		{"heartbeat_s", o->heartbeat_s, 0, 65535, "0 to 65535 seconds"},
		{"log_bytes", o->log_bytes, 1, 1ull << 40, "1 to 2^40"},
		{"max_messages", o->max_messages, 1, 1ull << 32, "1 to 2^32"},
		{"max_templates", o->max_templates, 1, UINT32_MAX, "at least 1"},
		{"connect_timeout_ns", o->connect_timeout_ns, 1, DAY_NS, "more than 0 and at most a day"},
		{"user_timeout_ns", o->user_timeout_ns, 0, DAY_NS, "at most a day"},
		{"rto_min_ns", o->rto_min_ns, MS_NS, 60 * SECOND_NS, "a millisecond to a minute"},
		{"congestion_window", o->congestion_window ? o->congestion_window : 4096, 4096, 1u << 30,
		 "0 or 4096 to 2^30 octets"},
		{"reconnect_max_ns", o->reconnect_max_ns, MS_NS, HOUR_NS, "a millisecond to an hour"},
		{"reconnect_min_ns", o->reconnect_min_ns, MS_NS, o->reconnect_max_ns,
		 "a millisecond to reconnect_max_ns"},
	};
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
		if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
			return refuse(why, HW_ERR_INVALID, "%s must be %s, not %llu", ranges[i].name, ranges[i].words,
				      (unsigned long long)ranges[i].value);
	return 0;
}

/* Those which 0 switches off. Less than a millisecond is seconds mistaken for ns. */
static int check_timeouts(const struct harewire_publisher_options *o, const struct reason *why)
{
	const struct range timeouts[] = {
		{"reconnect_timeout_ns", o->reconnect_timeout_ns, MS_NS, YEAR_NS, "a year"},
		{"confirm_timeout_ns", o->confirm_timeout_ns, MS_NS, DAY_NS, "a day"},
		{"blocked_timeout_ns", o->blocked_timeout_ns, MS_NS, DAY_NS, "a day"},
		{"keepalive_ns", o->keepalive_ns, MS_NS, DAY_NS, "a day"},
	};
	for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++)
		if (timeouts[i].value &&
		    (timeouts[i].value < timeouts[i].least || timeouts[i].value > timeouts[i].most))
			return refuse(why, HW_ERR_INVALID, "%s must be 0 (never) or a millisecond to %s, not %llu ns",
				      timeouts[i].name, timeouts[i].words, (unsigned long long)timeouts[i].value);
	return 0;
}

static int check_choices(const struct harewire_publisher_options *o, const struct reason *why)
{
	const struct range choices[] = {
		{"host_order", o->host_order, 0, HAREWIRE_HOSTS_SHUFFLED,
		 "HAREWIRE_HOSTS_ORDERED or HAREWIRE_HOSTS_SHUFFLED"},
		{"delivery", o->delivery, 0, HAREWIRE_AT_MOST_ONCE, "HAREWIRE_AT_LEAST_ONCE or HAREWIRE_AT_MOST_ONCE"},
		{"congestion", o->congestion, 0, HAREWIRE_NO_CONGESTION_CONTROL,
		 "HAREWIRE_CUBIC, HAREWIRE_RENO or HAREWIRE_NO_CONGESTION_CONTROL"},
		{"policy", o->policy, 0, HAREWIRE_DROP_NEWEST,
		 "HAREWIRE_BUFFER, HAREWIRE_REFUSE or HAREWIRE_DROP_NEWEST"},
	};
	for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
		if (choices[i].value > choices[i].most)
			return refuse(why, HW_ERR_INVALID, "%s must be %s", choices[i].name, choices[i].words);
	return 0;
}

/* ---- hosts ---- */

/* What is wrong with a name, or NULL. Letters, digits, '-', '.' and '_' make names and IPv4 addresses. */
static const char *check_name(const char *name, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	struct in_addr address;
	if (len == 0)
		return "has no name";
	if (strspn(name, allowed) < len)
		return "is neither a name nor an IPv4 address";
	/* The last label of a DNS name is never a number (RFC 3696, 2): "10.1.2" is an address with a part missing. */
	const char *last = name + len;
	while (last > name && last[-1] != '.')
		last--;
	char copy[sizeof((struct target_host *)0)->name];
	if (len >= sizeof copy)
		return "has a name of more than 255 octets";
	memcpy(copy, name, len);
	copy[len] = '\0';
	if (strspn(last, "0123456789") >= len - (size_t)(last - name) && inet_pton(AF_INET, copy, &address) != 1)
		return "is neither a name nor an IPv4 address";
	return NULL;
}

/* 1 to 65535, decimal digits only; else 0. */
static uint16_t parse_port(const char *text)
{
	uint32_t port = 0;
	size_t len = strlen(text);
	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return 0;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (uint32_t)(text[i] - '0');
	return port <= 65535 ? (uint16_t)port : 0;
}

/* "name" or "name:port". What is wrong with it, or NULL. */
static const char *parse_host(const char *text, uint16_t default_port, struct target_host *out)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	if (strstr(text, "://"))
		return "is a URL: give \"name\" or \"name:port\"; user and vhost are the first URL's";
	if (text[0] == '[' || (colon && strchr(colon + 1, ':')))
		return "is an IPv6 address, which is not supported yet: give a name or an IPv4 address";
	if (!text[0])
		return "is empty: give \"name\" or \"name:port\"";
	const char *bad = check_name(text, len);
	if (bad)
		return bad;
	out->port = colon ? parse_port(colon + 1) : default_port;
	if (out->port == 0)
		return "has a port that is not a number from 1 to 65535";
	memcpy(out->name, text, len);
	out->name[len] = '\0';
	return NULL;
}

/* Those beside the URL's, which is there already. */
static int add_hosts(const struct harewire_publisher_options *o, struct target *t, const struct reason *why)
{
	if (o->host_count > HAREWIRE_HOSTS_MAX - 1)
		return refuse(why, HW_ERR_INVALID, "host_count must be 0 to %u, not %u", HAREWIRE_HOSTS_MAX - 1,
			      o->host_count);
	if (o->host_count && !o->hosts)
		return refuse(why, HW_ERR_INVALID, "hosts is NULL, but host_count is %u", o->host_count);
	for (uint32_t i = 0; i < o->host_count; i++) {
		const char *text = o->hosts[i];
		const char *bad = text ? parse_host(text, t->hosts[0].port, &t->hosts[t->host_count]) : "is NULL";
		/* Sentences end up in logs: what looks like a URL with a password in it is not repeated. */
		bool shown = text && text[0] && !strchr(text, '@');
		if (bad)
			return refuse(why, HW_ERR_INVALID, "hosts[%u]%s%.64s%s %s", i, shown ? " '" : "",
				      shown ? text : "", shown ? "'" : "", bad);
		t->host_count++;
	}
	return 0;
}

/* ---- texts ---- */

static int copy_text(char *dst, size_t cap, const char *src, const char *what, const struct reason *why)
{
	if ((size_t)snprintf(dst, cap, "%s", src) < cap)
		return 0;
	return refuse(why, HW_ERR_INVALID, "the %s is longer than %zu octets", what, cap - 1);
}

static int copy_password(const struct harewire_publisher_options *o, const struct url_parts *url, struct target *t,
			 const struct reason *why)
{
	if (!o->password_file)
		return copy_text(t->password, sizeof t->password, o->password ? o->password : url->password, "password",
				 why);
	if (o->password)
		return refuse(why, HW_ERR_INVALID, "password and password_file are both given: leave one of them out");
	if (!o->password_file[0])
		return refuse(why, HW_ERR_INVALID, "password_file is empty: give the file's path, or NULL");
	return copy_text(t->password_file, sizeof t->password_file, o->password_file, "path in password_file", why);
}

static int copy_texts(const struct harewire_publisher_options *o, const struct url_parts *url, struct target *t,
		      const struct reason *why)
{
	int err = copy_text(t->user, sizeof t->user, o->user ? o->user : url->user, "user", why);
	if (!err)
		err = copy_password(o, url, t, why);
	if (!err)
		err = copy_text(t->vhost, sizeof t->vhost, o->vhost ? o->vhost : url->vhost, "vhost", why);
	if (!err)
		err = copy_text(t->connection_name, sizeof t->connection_name,
				o->connection_name ? o->connection_name : "harewire", "connection name", why);
	return err;
}

/* ---- all of it ---- */

static void copy_numbers(const struct harewire_publisher_options *o, struct target *t)
{
	t->shuffle = o->host_order == HAREWIRE_HOSTS_SHUFFLED;
	t->heartbeat_s = o->heartbeat_s;
	t->frame_max = o->frame_max;
	t->connect_timeout_ns = o->connect_timeout_ns;
	t->user_timeout_ns = o->user_timeout_ns;
	t->rto_min_ns = o->rto_min_ns;
	t->tuning = (struct stream_tuning){.congestion = (enum stream_congestion)o->congestion,
					   .congestion_window = o->congestion_window,
					   .keepalive_ns = o->keepalive_ns,
					   .ecn = o->ecn != 0,
					   .restart_after_idle = o->restart_after_idle != 0};
	t->reconnect_min_ns = o->reconnect_min_ns;
	t->reconnect_max_ns = o->reconnect_max_ns;
	t->reconnect_timeout_ns = o->reconnect_timeout_ns;
}

static int fill(const struct harewire_publisher_options *o, const struct url_parts *url, struct target *t,
		const struct reason *why)
{
	memcpy(t->hosts[0].name, url->host, sizeof url->host);
	t->hosts[0].port = url->port;
	t->host_count = 1;
	copy_numbers(o, t);
	int err = add_hosts(o, t, why);
	if (!err)
		err = copy_texts(o, url, t, why);
	if (!err && topology_copy(&t->topology, o))
		err = refuse(why, HW_ERR_NOMEM, "%s", hw_error_sentence(HW_ERR_NOMEM));
	return err;
}

_Static_assert(sizeof((struct target_host *)0)->name == URL_NAME_BYTES, "a URL's host fits");

int target_make(const struct harewire_publisher_options *options, struct target *target, char *why, size_t why_bytes)
{
	const struct reason reason = {why, why_bytes};
	struct url_parts url;
	const char *bad = topology_check(options);
	int err = bad ? refuse(&reason, HW_ERR_INVALID, "%s", bad) : 0;
	if (!err)
		err = check_ranges(options, &reason);
	if (!err)
		err = check_timeouts(options, &reason);
	if (!err)
		err = check_choices(options, &reason);
	if (err)
		return err;
	memset(target, 0, sizeof *target);
	err = url_parse(options->url ? options->url : "amqp://localhost", &url, &bad);
	if (err)
		return refuse(&reason, err, "%s", bad);
	err = fill(options, &url, target, &reason);
	explicit_bzero(&url, sizeof url);
	if (err)
		explicit_bzero(target->password, sizeof target->password);
	return err;
}
