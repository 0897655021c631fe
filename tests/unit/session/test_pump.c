#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/session/pump.h"
#include "tests/lib/amqp_script.h"

static struct bridge bridge;
static struct pump pump;
static int session_end; /* rabbitmq-c's */

static int set_up_with_ring(uint32_t ring_bytes)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return -1;
	byte_ring_init(&bridge.to_control, 256u * 1024u);
	byte_ring_init(&bridge.to_wire, ring_bytes);
	session_end = fds[1];
	pump_init(&pump, &bridge, fds[0]);
	return 0;
}

static int set_up(void **state)
{
	return set_up_with_ring(16);
}

static int tear_down(void **state)
{
	close(pump.fd);
	close(session_end);
	byte_ring_fini(&bridge.to_control);
	byte_ring_fini(&bridge.to_wire);
	return 0;
}

/* A frame whose payload is recognizable and of any size. */
static void push_frame(size_t payload_len, uint8_t fill, struct octets *copy)
{
	struct octets frame = {0}, payload = {0};
	for (size_t i = 0; i < payload_len; i++)
		octets_int(&payload, (uint8_t)(fill + i), 1);
	octets_frame(&frame, 1, 1, &payload);
	assert_true(byte_ring_write(&bridge.to_control, frame.bytes, (uint32_t)frame.len));
	octets_raw(copy, frame.bytes, frame.len);
	octets_free(&frame);
}

static size_t read_session_end(struct octets *into)
{
	uint8_t buffer[8192];
	ssize_t n = recv(session_end, buffer, sizeof buffer, 0);
	if (n > 0)
		octets_raw(into, buffer, (size_t)n);
	return n > 0 ? (size_t)n : 0;
}

static void nothing_to_move_is_said(void **state)
{
	assert_false(pump_run(&pump));
	assert_true(pump_idle(&pump));
}

static void frames_reach_the_session_unchanged(void **state)
{
	struct octets sent = {0}, got = {0};
	for (size_t len = 0; len < 40; len++)
		push_frame(len * 331, (uint8_t)len, &sent);
	while (pump_run(&pump) || got.len < sent.len)
		assert_int_not_equal(read_session_end(&got), 0);
	while (read_session_end(&got))
		;
	assert_int_equal(got.len, sent.len);
	assert_memory_equal(got.bytes, sent.bytes, sent.len);
	assert_true(pump_idle(&pump));
	octets_free(&sent);
	octets_free(&got);
}

static void a_full_socket_is_tried_again_where_it_stopped(void **state)
{
	struct octets sent = {0}, got = {0};
	int small = 1; /* the kernel's minimum, a few KiB */
	setsockopt(pump.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	for (int i = 0; i < 30; i++)
		push_frame(7001, (uint8_t)i, &sent);
	while (pump_run(&pump))
		;
	assert_true(byte_ring_held(&bridge.to_control) > 0); /* stopped, */
	assert_true(pump.pending > 0);                       /* inside a frame */
	assert_false(pump_run(&pump));
	assert_false(pump_idle(&pump));
	while (got.len < sent.len) {
		assert_int_not_equal(read_session_end(&got), 0);
		pump_run(&pump);
	}
	assert_memory_equal(got.bytes, sent.bytes, sent.len);
	assert_true(pump_idle(&pump));
	octets_free(&sent);
	octets_free(&got);
}

static void what_the_session_has_not_read_is_under_way(void **state)
{
	struct octets sent = {0}, got = {0};
	push_frame(10, 0, &sent);
	assert_false(pump_idle(&pump)); /* in the ring */
	assert_true(pump_run(&pump));
	assert_false(pump_idle(&pump)); /* in the socket */
	read_session_end(&got);
	assert_true(pump_idle(&pump));
	octets_free(&sent);
	octets_free(&got);
}

static void octets_of_the_session_wait_for_room_in_the_ring(void **state)
{
	struct octets got = {0};
	assert_int_equal(send(session_end, "0123456789abcdefghijklmnopqrstuvwxyz", 36, 0), 36);
	assert_false(pump_idle(&pump)); /* in the socket */
	assert_true(pump_run(&pump));
	assert_int_equal(byte_ring_held(&bridge.to_wire), 16); /* full */
	assert_false(pump_run(&pump));
	while (got.len < 36) {
		uint8_t chunk[3];
		uint32_t held = byte_ring_held(&bridge.to_wire), len = held < 3 ? held : 3;
		assert_true(len > 0);
		byte_ring_peek(&bridge.to_wire, 0, chunk, len);
		byte_ring_consume(&bridge.to_wire, len);
		octets_raw(&got, chunk, len);
		assert_int_equal(pump_idle(&pump), got.len == 36);
		pump_run(&pump);
	}
	assert_memory_equal(got.bytes, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
	octets_free(&got);
}

static void a_dead_session_moves_nothing_and_loses_nothing(void **state)
{
	struct octets sent = {0};
	push_frame(100, 0, &sent);
	shutdown(session_end, SHUT_RDWR);
	assert_false(pump_run(&pump));
	assert_int_equal(byte_ring_held(&bridge.to_control), sent.len);
	assert_false(pump_idle(&pump));
	octets_free(&sent);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_to_move_is_said),
		CASE(frames_reach_the_session_unchanged),
		CASE(a_full_socket_is_tried_again_where_it_stopped),
		CASE(what_the_session_has_not_read_is_under_way),
		CASE(octets_of_the_session_wait_for_room_in_the_ring),
		CASE(a_dead_session_moves_nothing_and_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
