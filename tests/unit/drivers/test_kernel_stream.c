/* The kernel transport against a real socket on loopback. Every wait is for a condition, bounded by turns of poll(2).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/error.h"
#include "drivers/kernel/kernel_stream.h"

#define LOOPBACK    0x7f000001u
#define PATIENCE_NS 5000000000u

struct pair {
	struct transport *tp;
	struct stream *s;
	int listener, peer;
	uint16_t port;
};

static void listen_on_loopback(struct pair *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(LOOPBACK)};
	socklen_t len = sizeof a;
	p->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(p->listener, 1), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &len), 0);
	p->port = ntohs(a.sin_port);
	p->peer = -1;
}

static void turn(struct pair *p)
{
	uint64_t now_ns = clock_monotonic_ns();
	p->tp->ops->receive(p->tp, now_ns);
	if (now_ns >= p->tp->next_deadline_ns)
		p->tp->ops->timers(p->tp, now_ns);
	p->tp->ready_count = 0;
	p->s->ready = false;
	p->tp->ops->transmit(p->s, now_ns);
	poll(NULL, 0, 1);
}

#define turn_until(p, condition)                                                                                       \
	do {                                                                                                           \
		int turns_left = 5000;                                                                                 \
		while (!(condition) && turns_left-- > 0)                                                               \
			turn(p);                                                                                       \
		assert_true(condition);                                                                                \
	} while (0)

static void start(struct pair *p)
{
	memset(p, 0, sizeof *p);
	listen_on_loopback(p);
	assert_int_equal(kernel_transport_create(1, &p->tp), 0);
	p->s = p->tp->streams[0];
	struct stream_address to = {.remote_ip = LOOPBACK, .remote_port = p->port, .connect_timeout_ns = PATIENCE_NS};
	assert_int_equal(p->tp->ops->open(p->tp, 0, &to, clock_monotonic_ns()), 0);
	assert_int_equal(p->s->state, STREAM_CONNECTING);
	p->peer = accept(p->listener, NULL, NULL);
	assert_true(p->peer >= 0);
	turn_until(p, p->s->state == STREAM_OPEN);
}

static void finish(struct pair *p)
{
	p->tp->ops->destroy(p->tp);
	if (p->peer >= 0)
		close(p->peer);
	close(p->listener);
}

static void sends_extents_in_order_and_counts_them_acked(void **state)
{
	struct pair p;
	uint8_t got[16] = {0};
	start(&p);
	extents_push(&p.s->tx, (const uint8_t *)"log", 3, EXTENT_LOG);
	extents_push(&p.s->tx, (const uint8_t *)"control", 7, EXTENT_CONTROL);
	turn(&p);
	assert_int_equal(recv(p.peer, got, 10, MSG_WAITALL), 10);
	assert_memory_equal(got, "logcontrol", 10);
	assert_int_equal(p.s->tx.freed[EXTENT_LOG], 3);
	assert_int_equal(p.s->tx.freed[EXTENT_CONTROL], 7);
	assert_int_equal(p.tp->ops->sent(p.s), 10);
	finish(&p);
}

static void a_peer_that_does_not_read_stops_pushing_and_nothing_is_lost(void **state)
{
	struct pair p;
	enum { CHUNK = 65536, CHUNKS = 256 };
	uint8_t *bytes = malloc(CHUNK), *got = malloc(CHUNK);
	start(&p);
	for (int i = 0; i < CHUNK; i++)
		bytes[i] = (uint8_t)(i * 31);
	int pushed = 0, read = 0;
	while (p.tp->ops->may_push(p.s) > 0 && pushed < CHUNKS) {
		extents_push(&p.s->tx, bytes, CHUNK, EXTENT_LOG);
		pushed++;
		turn(&p);
	}
	assert_true(pushed < CHUNKS);
	for (; read < pushed; read++) {
		for (size_t n = 0; n < CHUNK;) {
			turn(&p);
			ssize_t r = recv(p.peer, got + n, CHUNK - n, MSG_DONTWAIT);
			assert_true(r > 0 || errno == EAGAIN);
			n += r > 0 ? (size_t)r : 0;
		}
		assert_memory_equal(got, bytes, CHUNK);
	}
	turn_until(&p, p.tp->ops->may_push(p.s) > 0);
	free(bytes);
	free(got);
	finish(&p);
}

static void octets_in_front_of_a_reset_are_read_before_it_is_noticed(void **state)
{
	struct pair p;
	struct linger reset = {.l_onoff = 1};
	uint32_t len = 0;
	start(&p);
	assert_int_equal(send(p.peer, "last words", 10, 0), 10);
	setsockopt(p.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(p.peer);
	p.peer = -1;
	poll(NULL, 0, 20);
	p.tp->ops->receive(p.tp, clock_monotonic_ns());
	const uint8_t *bytes = p.tp->ops->readable(p.s, &len);
	assert_int_equal(len, 10);
	assert_memory_equal(bytes, "last words", 10);
	p.tp->ops->consume(p.s, len, 0);
	while (p.s->state != STREAM_CLOSED)
		p.tp->ops->readable(p.s, &len);
	assert_int_equal(p.s->error, HW_ERR_CONN_RESET);
	finish(&p);
}

static void a_reset_noticed_by_a_write_is_still_a_reset(void **state)
{
	struct pair p;
	struct linger reset = {.l_onoff = 1};
	uint32_t len;
	start(&p);
	setsockopt(p.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(p.peer);
	p.peer = -1;
	/* No receive in between: it is the write that the kernel tells. */
	for (int i = 0; i < 5000 && p.tp->ready_count == 0; i++) {
		extents_push(&p.s->tx, (const uint8_t *)"x", 1, EXTENT_LOG);
		p.tp->ops->transmit(p.s, 0);
		poll(NULL, 0, 1);
	}
	while (p.s->state != STREAM_CLOSED)
		p.tp->ops->readable(p.s, &len);
	assert_int_equal(p.s->error, HW_ERR_CONN_RESET);
	finish(&p);
}

static void an_orderly_end_of_the_peer_shows_as_finished(void **state)
{
	struct pair p;
	start(&p);
	close(p.peer);
	p.peer = -1;
	turn_until(&p, p.s->peer_finished);
	assert_int_equal(p.s->state, STREAM_OPEN);
	finish(&p);
}

static void close_sends_what_is_queued_first_and_ends_with_the_peer(void **state)
{
	struct pair p;
	char got[8];
	start(&p);
	extents_push(&p.s->tx, (const uint8_t *)"bye", 3, EXTENT_CONTROL);
	p.tp->ops->close(p.s, 0);
	turn(&p);
	assert_int_equal(recv(p.peer, got, 3, MSG_WAITALL), 3);
	assert_int_equal(recv(p.peer, got, 1, 0), 0);
	close(p.peer);
	p.peer = -1;
	turn_until(&p, p.s->state == STREAM_CLOSED);
	assert_int_equal(p.s->error, 0);
	finish(&p);
}

static void abort_resets_the_peer(void **state)
{
	struct pair p;
	char got;
	start(&p);
	p.tp->ops->abort(p.s, 0);
	assert_int_equal(p.s->state, STREAM_CLOSED);
	assert_int_equal(recv(p.peer, &got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	finish(&p);
}

static void a_closed_port_is_refused(void **state)
{
	struct pair p;
	memset(&p, 0, sizeof p);
	listen_on_loopback(&p);
	close(p.listener);
	assert_int_equal(kernel_transport_create(1, &p.tp), 0);
	p.s = p.tp->streams[0];
	struct stream_address to = {.remote_ip = LOOPBACK, .remote_port = p.port, .connect_timeout_ns = PATIENCE_NS};
	int err = p.tp->ops->open(p.tp, 0, &to, clock_monotonic_ns());
	if (!err) {
		turn_until(&p, p.s->state == STREAM_CLOSED);
		err = p.s->error;
	}
	assert_int_equal(err, HW_ERR_CONN_REFUSED);
	p.tp->ops->destroy(p.tp);
}

static void a_stream_can_be_opened_again_after_its_end(void **state)
{
	struct pair p;
	start(&p);
	p.tp->ops->abort(p.s, 0);
	close(p.peer);
	struct stream_address to = {.remote_ip = LOOPBACK, .remote_port = p.port, .connect_timeout_ns = PATIENCE_NS};
	assert_int_equal(p.tp->ops->open(p.tp, 0, &to, clock_monotonic_ns()), 0);
	p.peer = accept(p.listener, NULL, NULL);
	turn_until(&p, p.s->state == STREAM_OPEN);
	assert_int_equal(p.s->tx.end, 0);
	finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_extents_in_order_and_counts_them_acked),
		cmocka_unit_test(a_peer_that_does_not_read_stops_pushing_and_nothing_is_lost),
		cmocka_unit_test(octets_in_front_of_a_reset_are_read_before_it_is_noticed),
		cmocka_unit_test(a_reset_noticed_by_a_write_is_still_a_reset),
		cmocka_unit_test(an_orderly_end_of_the_peer_shows_as_finished),
		cmocka_unit_test(close_sends_what_is_queued_first_and_ends_with_the_peer),
		cmocka_unit_test(abort_resets_the_peer),
		cmocka_unit_test(a_closed_port_is_refused),
		cmocka_unit_test(a_stream_can_be_opened_again_after_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
