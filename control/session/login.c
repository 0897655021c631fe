#include "control/session/login.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "control/session/sentence.h"
#include "dataplane/base/error.h"

#define SHORT_STRING_MAX 255u
#define CAPABILITIES_MAX 5

static amqp_table_entry_t text_entry(const char *name, const char *value)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t true_entry(const char *name)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_table_entry_t table_entry(const char *name, amqp_table_t table)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = table}};
}

static int check_request(struct rpc *r, const struct login_request *request)
{
	rpc_step(r, "preparing the login");
	if (strlen(request->user) > SHORT_STRING_MAX)
		return rpc_fail(r, HW_ERR_INVALID, "the user name is longer than %u octets", SHORT_STRING_MAX);
	if (strlen(request->password) > LOGIN_PASSWORD_MAX)
		return rpc_fail(r, HW_ERR_INVALID, "the password is longer than %u octets", LOGIN_PASSWORD_MAX);
	if (strlen(request->vhost) > SHORT_STRING_MAX)
		return rpc_fail(r, HW_ERR_INVALID, "the vhost's name is longer than %u octets", SHORT_STRING_MAX);
	if (strlen(request->connection_name) > LOGIN_PASSWORD_MAX)
		return rpc_fail(r, HW_ERR_INVALID, "the connection name is longer than %u octets", LOGIN_PASSWORD_MAX);
	if (request->frame_max < LOGIN_FRAME_MAX_MIN || request->frame_max > LOGIN_FRAME_MAX_MAX)
		return rpc_fail(r, HW_ERR_INVALID, "frame_max %u is not between %u and %u", request->frame_max,
				LOGIN_FRAME_MAX_MIN, LOGIN_FRAME_MAX_MAX);
	if (request->heartbeat_s > UINT16_MAX)
		return rpc_fail(r, HW_ERR_INVALID, "a heartbeat of %u s is more than AMQP can say",
				request->heartbeat_s);
	return 0;
}

/* `mechanisms` is a list of names with single spaces between (AMQP 0-9-1, 1.4.2.1). */
static bool offers_plain(amqp_bytes_t mechanisms)
{
	const char *p = mechanisms.bytes;
	size_t left = mechanisms.len;
	while (left) {
		const char *space = memchr(p, ' ', left);
		size_t len = space ? (size_t)(space - p) : left;
		if (len == 5 && memcmp(p, "PLAIN", 5) == 0)
			return true;
		left -= space ? len + 1 : len;
		p += len + 1;
	}
	return false;
}

static int receive_start(struct rpc *r)
{
	rpc_step(r, "waiting for connection.start");
	if (rpc_send_header(r))
		return r->code;
	const amqp_connection_start_t *start = rpc_wait(r, 0, AMQP_CONNECTION_START_METHOD);
	if (!start)
		return r->code;
	if (start->version_major != 0 || start->version_minor != 9)
		return rpc_fail(r, HW_ERR_AMQP_PROTOCOL_HEADER, "the broker speaks AMQP %u-%u, not 0-9-1",
				start->version_major, start->version_minor);
	if (!offers_plain(start->mechanisms))
		return rpc_fail(r, HW_ERR_AMQP_LOGIN_REFUSED, "the broker does not offer SASL PLAIN, only '%.*s'",
				(int)start->mechanisms.len, (const char *)start->mechanisms.bytes);
	return 0;
}

/* RFC 4616: [authzid] NUL authcid NUL passwd. Returns its octets. */
static size_t plain_response(char *dst, const struct login_request *request)
{
	size_t user_len = strlen(request->user), password_len = strlen(request->password);
	dst[0] = '\0';
	memcpy(dst + 1, request->user, user_len);
	dst[1 + user_len] = '\0';
	memcpy(dst + 2 + user_len, request->password, password_len);
	return 2 + user_len + password_len;
}

static int send_start_ok(struct rpc *r, const struct login_request *request)
{
	amqp_table_entry_t capabilities[CAPABILITIES_MAX] = {
		true_entry("publisher_confirms"),     true_entry("basic.nack"),
		true_entry("connection.blocked"),     true_entry("authentication_failure_close"),
		true_entry("consumer_cancel_notify"),
	};
	struct utsname host;
	if (uname(&host) != 0)
		memset(&host, 0, sizeof host);
	char platform[sizeof host.sysname + sizeof host.machine];
	snprintf(platform, sizeof platform, "%s %s", host.sysname, host.machine);
	amqp_table_entry_t properties[] = {
		text_entry("product", "Harewire"),
		text_entry("version", HAREWIRE_VERSION),
		text_entry("platform", platform),
		text_entry("connection_name", request->connection_name),
		table_entry("capabilities",
			    (amqp_table_t){CAPABILITIES_MAX - (request->consumes ? 0 : 1), capabilities}),
	};
	char response[2 + SHORT_STRING_MAX + LOGIN_PASSWORD_MAX];
	amqp_connection_start_ok_t ok = {
		.client_properties = {sizeof properties / sizeof properties[0], properties},
		.mechanism = amqp_cstring_bytes("PLAIN"),
		.response = {plain_response(response, request), response},
		.locale = amqp_cstring_bytes("en_US"),
	};
	rpc_send(r, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
	explicit_bzero(response, sizeof response);
	return r->code;
}

/* The lower of two, where 0 stands for no limit. */
static uint32_t lower_of(uint32_t ours, uint32_t brokers)
{
	return brokers != 0 && brokers < ours ? brokers : ours;
}

static int authenticate(struct rpc *r, const struct login_request *request, struct login_tuning *tuning)
{
	rpc_step(r, "logging in as user '%s'", request->user);
	if (send_start_ok(r, request))
		return r->code;
	const amqp_connection_tune_t *tune = rpc_wait(r, 0, AMQP_CONNECTION_TUNE_METHOD);
	if (!tune) {
		if (r->code == HW_ERR_CONN_CLOSED_BY_PEER || r->code == HW_ERR_CONN_RESET)
			sentence_append(r->text, sizeof r->text, " (which is how some brokers refuse a login)");
		return r->code;
	}
	tuning->channel_max = lower_of(LOGIN_CHANNEL_MAX, tune->channel_max);
	tuning->frame_max = lower_of(request->frame_max, tune->frame_max);
	tuning->heartbeat_s = lower_of(request->heartbeat_s, tune->heartbeat);
	if (tuning->frame_max < LOGIN_FRAME_MAX_MIN)
		return rpc_fail(r, HW_ERR_UNSUPPORTED, "the broker's frame_max of %u is below AMQP's minimum of %u",
				tuning->frame_max, LOGIN_FRAME_MAX_MIN);
	return 0;
}

static int open_vhost(struct rpc *r, const struct login_request *request, const struct login_tuning *tuning)
{
	rpc_step(r, "opening vhost '%s' as user '%s'", request->vhost, request->user);
	if (amqp_tune_connection(r->conn, (int)tuning->channel_max, (int)tuning->frame_max, 0) < 0)
		return rpc_fail(r, HW_ERR_NOMEM, "out of memory");
	amqp_connection_tune_ok_t ok = {
		.channel_max = (uint16_t)tuning->channel_max,
		.frame_max = tuning->frame_max,
		.heartbeat = (uint16_t)tuning->heartbeat_s,
	};
	rpc_send(r, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
	rpc_start_heartbeats(r, tuning->heartbeat_s);

	amqp_connection_open_t open = {.virtual_host = amqp_cstring_bytes(request->vhost)};
	rpc_call(r, 0, AMQP_CONNECTION_OPEN_METHOD, &open, AMQP_CONNECTION_OPEN_OK_METHOD);
	return r->code;
}

int login(struct rpc *r, const struct login_request *request, struct login_tuning *tuning)
{
	r->refused_code = HW_ERR_AMQP_LOGIN_REFUSED;
	if (r->code || check_request(r, request) || receive_start(r) || authenticate(r, request, tuning) ||
	    open_vhost(r, request, tuning))
		return r->code;
	r->open = true;
	r->refused_code = HW_ERR_AMQP_SETUP;
	return 0;
}

int login_open_channel(struct rpc *r)
{
	rpc_step(r, "opening a channel");
	amqp_channel_open_t m = {0};
	rpc_call(r, SESSION_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &m, AMQP_CHANNEL_OPEN_OK_METHOD);
	return r->code;
}
