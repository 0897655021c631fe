#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/session/session.h"
#include "tests/lib/amqp_script.h"

static uint16_t describe(const struct octets *o, char text[SESSION_TEXT_MAX])
{
	/* In a block of its own size, so that reading past the end is seen by valgrind and ASan. */
	uint8_t *exact = malloc(o->len ? o->len : 1);
	memcpy(exact, o->bytes, o->len);
	memset(text, 'x', SESSION_TEXT_MAX);
	uint16_t code = session_describe_close(exact, o->len, text, SESSION_TEXT_MAX);
	free(exact);
	return code;
}

static void channel_close_becomes_a_sentence(void **state)
{
	struct octets o = {0};
	char text[SESSION_TEXT_MAX];
	octets_close(&o, 1, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
	assert_int_equal(describe(&o, text), 404);
	assert_string_equal(text, "the broker closed the channel: 404 NOT_FOUND - no exchange 'x' in vhost '/'");
	octets_free(&o);
}

static void connection_close_becomes_a_sentence(void **state)
{
	struct octets o = {0};
	char text[SESSION_TEXT_MAX];
	octets_close(&o, 0, 320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
	assert_int_equal(describe(&o, text), 320);
	assert_string_equal(text, "the broker closed the connection: 320 CONNECTION_FORCED - broker forced connection "
				  "closure with reason 'shutdown'");
	octets_free(&o);
}

static void control_characters_of_the_broker_do_not_reach_the_terminal(void **state)
{
	struct octets o = {0};
	char text[SESSION_TEXT_MAX];
	octets_close(&o, 1, 406, "A\x1b[31mB\nC\x7f");
	assert_int_equal(describe(&o, text), 406);
	assert_string_equal(text, "the broker closed the channel: 406 A?[31mB?C?");
	octets_free(&o);
}

static void a_small_buffer_gets_what_fits_and_no_half_character(void **state)
{
	struct octets o = {0};
	octets_close(&o, 1, 404, "\xc3\xa9\xc3\xa9\xc3\xa9");
	for (size_t cap = 1; cap < 60; cap++) {
		char text[64];
		memset(text, 'x', sizeof text);
		assert_int_equal(session_describe_close(o.bytes, o.len, text, cap), 404);
		size_t len = strlen(text);
		assert_true(len < cap);
		assert_int_equal(text[cap], 'x');
		assert_false(len > 0 && (uint8_t)text[len - 1] == 0xc3);
	}
	octets_free(&o);
}

static void other_frames_are_no_close(void **state)
{
	struct octets o = {0};
	char text[SESSION_TEXT_MAX];
	octets_heartbeat(&o);
	assert_int_equal(describe(&o, text), 0);
	assert_string_equal(text, "");
	octets_free(&o);

	octets_method(&o, 1, 20, 41, NULL); /* channel.close-ok */
	assert_int_equal(describe(&o, text), 0);
	assert_string_equal(text, "");
	octets_free(&o);
}

static void a_close_cut_at_any_length_is_refused(void **state)
{
	struct octets o = {0};
	char text[SESSION_TEXT_MAX];
	octets_close(&o, 1, 404, "NOT_FOUND");
	size_t whole = o.len;
	for (o.len = 0; o.len < whole; o.len++) {
		assert_int_equal(describe(&o, text), 0);
		assert_string_equal(text, "");
	}
	/* the same with the frame's length and end octet made to fit the cut */
	for (size_t payload = 0; payload < whole - 8; payload++) {
		struct octets cut = {0}, body = {0};
		octets_raw(&body, o.bytes + 7, payload);
		octets_frame(&cut, 1, 1, &body);
		assert_int_equal(describe(&cut, text), 0);
		assert_string_equal(text, "");
		octets_free(&cut);
	}
	octets_free(&o);
}

static void every_octet_may_be_wrong_without_harm(void **state)
{
	struct octets o = {0};
	char text[SESSION_TEXT_MAX];
	octets_close(&o, 1, 404, "NOT_FOUND");
	for (size_t i = 0; i < o.len; i++) {
		uint8_t right = o.bytes[i];
		for (unsigned v = 0; v < 256; v += 5) {
			o.bytes[i] = (uint8_t)v;
			describe(&o, text);
			assert_non_null(memchr(text, '\0', sizeof text));
		}
		o.bytes[i] = right;
	}
	octets_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channel_close_becomes_a_sentence),
		cmocka_unit_test(connection_close_becomes_a_sentence),
		cmocka_unit_test(control_characters_of_the_broker_do_not_reach_the_terminal),
		cmocka_unit_test(a_small_buffer_gets_what_fits_and_no_half_character),
		cmocka_unit_test(other_frames_are_no_close),
		cmocka_unit_test(a_close_cut_at_any_length_is_refused),
		cmocka_unit_test(every_octet_may_be_wrong_without_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
