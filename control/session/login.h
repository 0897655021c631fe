/* From the protocol header to connection.open-ok (AMQP 0-9-1, 2.2.4), with SASL PLAIN. */
#ifndef HAREWIRE_SESSION_LOGIN_H
#define HAREWIRE_SESSION_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "control/session/rpc.h"

#define LOGIN_CHANNEL_MAX   2047u
#define LOGIN_FRAME_MAX_MIN 4096u /* AMQP 0-9-1, 4.2.3: frame-min-size */
#define LOGIN_FRAME_MAX_MAX (1024u * 1024u)
#define LOGIN_PASSWORD_MAX  4096u

struct login_request {
	const char *user, *password, *vhost, *connection_name;
	uint32_t heartbeat_s, frame_max; /* asked for; the broker may lower both */
	bool consumes;                   /* wants to hear of cancelled consumers */
};

struct login_tuning {
	uint32_t frame_max, heartbeat_s, channel_max;
};

/*
 * 0, with the connection open and `tuning` filled in; or the failure in `r`. From connection.tune-ok on `r` sends
 * heartbeats while it waits; rabbitmq-c's own stay off.
 */
int login(struct rpc *r, const struct login_request *request, struct login_tuning *tuning);

/* SESSION_CHANNEL, afterwards. */
int login_open_channel(struct rpc *r);

#endif
