#include <amqp.h>

#include "control/session/sentence.h"
#include "control/session/session.h"
#include "dataplane/base/bytes.h"

#define FRAME_HEADER_BYTES 7u
#define FRAME_OVERHEAD     8u
#define FRAME_BYTES_MAX    (1024u * 1024u)

/* A whole method frame with one of the two closes. Decides what rabbitmq-c gets to see at all. */
static bool is_close(const uint8_t *frame, size_t len)
{
	if (len < FRAME_OVERHEAD + 4 || len > FRAME_BYTES_MAX)
		return false;
	if (frame[0] != AMQP_FRAME_METHOD || frame[len - 1] != AMQP_FRAME_END)
		return false;
	if (get_be32(frame + 3) != len - FRAME_OVERHEAD)
		return false;
	uint32_t id = get_be32(frame + FRAME_HEADER_BYTES);
	return id == AMQP_CONNECTION_CLOSE_METHOD || id == AMQP_CHANNEL_CLOSE_METHOD;
}

/*
 * Decodes with a connection that has no socket. A fresh one expects the broker's protocol header first; given that, it
 * takes whole frames.
 */
static bool decode(amqp_connection_state_t conn, const uint8_t *frame, size_t len, amqp_frame_t *decoded)
{
	static const char protocol_header[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
	amqp_bytes_t header = {sizeof protocol_header, (void *)protocol_header};
	if (amqp_handle_input(conn, header, decoded) != (int)sizeof protocol_header ||
	    amqp_tune_connection(conn, 0, FRAME_BYTES_MAX, 0) != AMQP_STATUS_OK)
		return false;
	size_t used = 0;
	while (used < len) {
		int n = amqp_handle_input(conn, (amqp_bytes_t){len - used, (void *)(frame + used)}, decoded);
		if (n <= 0)
			return false;
		used += (size_t)n;
	}
	return decoded->frame_type == AMQP_FRAME_METHOD;
}

uint16_t session_describe_close(const uint8_t *frame, size_t len, char *text, size_t text_bytes)
{
	text[0] = '\0';
	amqp_connection_state_t conn = is_close(frame, len) ? amqp_new_connection() : NULL;
	if (!conn)
		return 0;
	uint16_t code = 0;
	amqp_frame_t decoded;
	if (decode(conn, frame, len, &decoded)) {
		/* The two have the same fields (AMQP 0-9-1, 1.4.2.8 and 1.5.2.5). */
		const amqp_connection_close_t *close = decoded.payload.method.decoded;
		bool connection = decoded.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD;
		code = close->reply_code;
		sentence_format(text, text_bytes, "the broker closed the %s: %u %.*s",
				connection ? "connection" : "channel", code, (int)close->reply_text.len,
				(const char *)close->reply_text.bytes);
	}
	amqp_destroy_connection(conn);
	return code;
}
