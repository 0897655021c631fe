/* Parsers of the broker's methods, fed what rabbitmq-c encodes and every truncation of it; writers read by rabbitmq-c.
 */
#include "tests/unit/amqp/amqp_cmocka.h"

#include <amqp.h>
#include <amqp_framing.h>

#include "dataplane/amqp/method.h"
#include "dataplane/base/error.h"
#include "tests/unit/amqp/frames.h"

static uint8_t payload[4096];

static struct frame method(amqp_method_number_t id, void *decoded)
{
	put_be32(payload, id);
	int n = amqp_encode_method(id, decoded, (amqp_bytes_t){.len = sizeof payload - 4, .bytes = payload + 4});
	assert_true(n >= 0);
	return frame_of(FRAME_METHOD, payload, (uint32_t)n + 4);
}

typedef int parse(const struct frame *frame);

/* Every shorter or longer payload is refused, without a look beyond it (memory of the exact size, for the sanitizers).
 */
static void assert_no_other_length(const struct frame *frame, parse *parse_frame)
{
	for (uint32_t len = 0; len <= frame->payload_len + 3; len++) {
		uint8_t *exact = malloc(len ? len : 1);
		memset(exact, 0, len);
		memcpy(exact, frame->payload, len < frame->payload_len ? len : frame->payload_len);
		struct frame f = *frame;
		f.payload = exact;
		f.payload_len = len;
		assert_int_equal(parse_frame(&f), len == frame->payload_len ? 0 : HW_ERR_AMQP_SYNTAX);
		free(exact);
	}
}

static int parse_confirm(const struct frame *frame)
{
	struct amqp_confirm confirm;
	return amqp_parse_confirm(frame, &confirm);
}

static int parse_reply(const struct frame *frame)
{
	struct amqp_reply reply;
	return amqp_parse_reply(frame, &reply);
}

static int parse_blocked(const struct frame *frame)
{
	struct amqp_text reason;
	return amqp_parse_blocked(frame, &reason);
}

static void method_id_is_read_from_method_frames_only(void **state)
{
	struct frame f = frame_of(FRAME_METHOD, "\0\x3c\0\x50", 4);
	assert_int_equal(amqp_method_id(&f), AMQP_BASIC_ACK);
	f.payload_len = 3;
	assert_int_equal(amqp_method_id(&f), 0);
	f = frame_of(FRAME_HEADER, "\0\x3c\0\x50", 4);
	assert_int_equal(amqp_method_id(&f), 0);
	f = (struct frame){.type = FRAME_BODY, .payload_len = 400};
	assert_int_equal(amqp_method_id(&f), 0);
}

static void ack_and_nack_are_parsed(void **state)
{
	static const uint64_t tags[] = {0, 1, 255, 1ull << 32, UINT64_MAX};
	for (unsigned i = 0; i < 5; i++)
		for (int multiple = 0; multiple < 2; multiple++) {
			amqp_basic_ack_t ack = {.delivery_tag = tags[i], .multiple = multiple};
			amqp_basic_nack_t nack = {.delivery_tag = tags[i], .multiple = multiple, .requeue = 1};
			struct amqp_confirm confirm;
			struct frame f = method(AMQP_BASIC_ACK_METHOD, &ack);
			assert_int_equal(amqp_parse_confirm(&f, &confirm), 0);
			assert_true(confirm.tag == tags[i] && confirm.multiple == multiple);
			assert_no_other_length(&f, parse_confirm);
			f = method(AMQP_BASIC_NACK_METHOD, &nack);
			assert_int_equal(amqp_parse_confirm(&f, &confirm), 0);
			assert_true(confirm.tag == tags[i] && confirm.multiple == multiple);
			assert_no_other_length(&f, parse_confirm);
		}
}

static void assert_reply(const struct frame *f, uint16_t code, const char *text)
{
	struct amqp_reply reply;
	assert_int_equal(amqp_parse_reply(f, &reply), 0);
	assert_int_equal(reply.code, code);
	assert_int_equal(reply.text.len, strlen(text));
	assert_memory_equal(reply.text.chars, text, reply.text.len);
	assert_no_other_length(f, parse_reply);
}

static void replies_of_close_and_return_are_parsed(void **state)
{
	amqp_connection_close_t closed = {
		.reply_code = 320, .reply_text = amqp_cstring_bytes("CONNECTION_FORCED"), .class_id = 0};
	struct frame f = method(AMQP_CONNECTION_CLOSE_METHOD, &closed);
	assert_reply(&f, 320, "CONNECTION_FORCED");
	amqp_channel_close_t channel = {
		.reply_code = 404, .reply_text = amqp_cstring_bytes("NOT_FOUND"), .class_id = 60, .method_id = 40};
	f = method(AMQP_CHANNEL_CLOSE_METHOD, &channel);
	assert_reply(&f, 404, "NOT_FOUND");
	amqp_basic_return_t returned = {.reply_code = 312,
					.reply_text = amqp_cstring_bytes("NO_ROUTE"),
					.exchange = amqp_cstring_bytes("md"),
					.routing_key = amqp_cstring_bytes("md.x")};
	f = method(AMQP_BASIC_RETURN_METHOD, &returned);
	assert_reply(&f, 312, "NO_ROUTE");
	returned = (amqp_basic_return_t){.reply_code = 312};
	f = method(AMQP_BASIC_RETURN_METHOD, &returned);
	assert_reply(&f, 312, "");
}

static void reason_of_blocked_is_parsed(void **state)
{
	amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
	struct frame f = method(AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
	struct amqp_text reason;
	assert_int_equal(amqp_parse_blocked(&f, &reason), 0);
	assert_int_equal(reason.len, 13);
	assert_memory_equal(reason.chars, "low on memory", 13);
	assert_no_other_length(&f, parse_blocked);
}

static void parsers_refuse_other_methods(void **state)
{
	amqp_basic_ack_t ack = {.delivery_tag = 1};
	struct frame f = method(AMQP_BASIC_ACK_METHOD, &ack);
	assert_int_equal(parse_reply(&f), HW_ERR_AMQP_SYNTAX);
	assert_int_equal(parse_blocked(&f), HW_ERR_AMQP_SYNTAX);
	put_be32(payload, AMQP_BASIC_REJECT_METHOD);
	assert_int_equal(parse_confirm(&f), HW_ERR_AMQP_SYNTAX);
	struct frame body = {.type = FRAME_BODY, .payload_len = 13};
	struct amqp_content content;
	assert_int_equal(parse_confirm(&body), HW_ERR_AMQP_SYNTAX);
	assert_int_equal(parse_reply(&body), HW_ERR_AMQP_SYNTAX);
	assert_int_equal(amqp_parse_content(&body, &content), HW_ERR_AMQP_SYNTAX);
}

/* ---- writers -------------------------------------------------------------------------------------------------- */

static void assert_decodes(const uint8_t *bytes, size_t len, uint16_t channel, amqp_method_number_t want)
{
	amqp_pool_t pool;
	void *decoded;
	assert_true(len >= 12 && len <= AMQP_SMALL_FRAME_MAX);
	assert_int_equal(bytes[0], FRAME_METHOD);
	assert_int_equal(get_be16(bytes + 1), channel);
	assert_int_equal(get_be32(bytes + 3), len - 8);
	assert_int_equal(get_be32(bytes + 7), want);
	assert_int_equal(bytes[len - 1], AMQP_FRAME_END);
	init_amqp_pool(&pool, 4096);
	amqp_bytes_t encoded = {.len = len - 12, .bytes = (void *)(uintptr_t)(bytes + 11)};
	assert_int_equal(amqp_decode_method(want, &pool, encoded, &decoded), 0);
	empty_amqp_pool(&pool);
}

static void written_frames_are_what_rabbitmq_c_reads(void **state)
{
	uint8_t f[AMQP_SMALL_FRAME_MAX];
	assert_int_equal(amqp_write_heartbeat(f), 8);
	assert_memory_equal(f, "\x08\0\0\0\0\0\0\xce", 8);
	size_t len = amqp_write_channel_close_ok(f, 513);
	assert_decodes(f, len, 513, AMQP_CHANNEL_CLOSE_OK_METHOD);
	len = amqp_write_connection_close_ok(f);
	assert_decodes(f, len, 0, AMQP_CONNECTION_CLOSE_OK_METHOD);
}

static void connection_close_says_200_bye(void **state)
{
	uint8_t f[AMQP_SMALL_FRAME_MAX];
	size_t len = amqp_write_connection_close(f);
	assert_decodes(f, len, 0, AMQP_CONNECTION_CLOSE_METHOD);
	struct frame frame = frame_of(FRAME_METHOD, f + 7, (uint32_t)len - 8);
	assert_reply(&frame, 200, "bye");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(method_id_is_read_from_method_frames_only),
		cmocka_unit_test(ack_and_nack_are_parsed),
		cmocka_unit_test(replies_of_close_and_return_are_parsed),
		cmocka_unit_test(reason_of_blocked_is_parsed),
		cmocka_unit_test(parsers_refuse_other_methods),
		cmocka_unit_test(written_frames_are_what_rabbitmq_c_reads),
		cmocka_unit_test(connection_close_says_200_bye),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
