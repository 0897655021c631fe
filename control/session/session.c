#include "control/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "control/session/declare.h"
#include "control/session/login.h"
#include "control/session/rpc.h"
#include "control/session/sentence.h"
#include "dataplane/base/error.h"

#define GOODBYE_NS 1000000000ull

static int select_confirms(struct rpc *r)
{
	rpc_step(r, "asking for publisher confirms");
	amqp_confirm_select_t m = {0};
	rpc_call(r, SESSION_CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &m, AMQP_CONFIRM_SELECT_OK_METHOD);
	return r->code;
}

/* What rabbitmq-c has read belongs to nobody else any more: it must have read nothing that it has not handed out. */
static int check_nothing_buffered(struct rpc *r)
{
	rpc_step(r, "handing the connection over");
	if (amqp_data_in_buffer(r->conn) || amqp_frames_enqueued(r->conn) || !amqp_release_buffers_ok(r->conn))
		return rpc_fail(r, HW_ERR_AMQP_UNEXPECTED, "the broker sent octets after its last reply");
	return 0;
}

static int establish(struct rpc *r, const struct session_request *request, struct login_tuning *tuning)
{
	const struct login_request credentials = {
		.user = request->user,
		.password = request->password,
		.vhost = request->vhost,
		.connection_name = request->connection_name,
		.heartbeat_s = request->heartbeat_s,
		.frame_max = request->frame_max,
	};
	const struct declarations declarations = {
		.exchanges = request->exchanges,
		.exchange_count = request->exchange_count,
		.queues = request->queues,
		.queue_count = request->queue_count,
		.bindings = request->bindings,
		.binding_count = request->binding_count,
	};
	if (login(r, &credentials, tuning) || login_open_channel(r) || declare_all(r, &declarations) ||
	    select_confirms(r))
		return r->code;
	return check_nothing_buffered(r);
}

void session_establish(const struct session_request *request, struct session_result *result)
{
	memset(result, 0, sizeof *result);
	/* rabbitmq-c closes what it was given when it fails: it gets a duplicate. */
	int fd = fcntl(request->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		result->code = HW_ERR_SYSTEM;
		sentence_format(result->text, sizeof result->text, "preparing the session: %s", strerror(errno));
		return;
	}
	struct rpc rpc;
	struct login_tuning tuning = {0};
	if (rpc_open(&rpc, fd, request->timeout_ns) == 0 && establish(&rpc, request, &tuning))
		rpc_hang_up(&rpc, GOODBYE_NS);
	rpc_close(&rpc);

	result->code = rpc.code;
	result->reply_code = rpc.reply_code;
	snprintf(result->text, sizeof result->text, "%s", rpc.text);
	if (result->code == 0) {
		result->frame_max = tuning.frame_max;
		result->heartbeat_s = tuning.heartbeat_s;
		result->channel_max = tuning.channel_max;
	}
}
