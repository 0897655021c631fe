/* What the trace keeps: of a connection, and of itself while it is being written. */
#include <pthread.h>
#include <stdio.h>

#include "fixture.h"

static struct tcp_trace *new_trace(void)
{
	struct tcp_trace *trace = aligned_alloc(64, sizeof *trace);
	tcp_trace_init(trace);
	return trace;
}

static struct tcp_trace_record numbered(uint64_t n)
{
	return (struct tcp_trace_record){.at_ns = n,
					 .seq = (uint32_t)n,
					 .ack = (uint32_t)n,
					 .value = (uint32_t)n,
					 .cwnd = (uint32_t)n,
					 .in_flight = (uint32_t)n};
}

/* ---- the ring ---- */

static void keeps_the_latest_in_order(void **state)
{
	struct tcp_trace *trace = new_trace();
	struct tcp_trace_record *copy = malloc(TCP_TRACE_RECORDS * sizeof *copy);
	assert_int_equal(tcp_trace_copy(trace, copy), 0);
	for (uint64_t n = 0; n < 3 * TCP_TRACE_RECORDS + 7; n++) {
		struct tcp_trace_record r = numbered(n);
		tcp_trace_add(trace, &r);
	}
	uint32_t count = tcp_trace_copy(trace, copy);
	assert_int_equal(count, TCP_TRACE_RECORDS - 1); /* where the next one goes may be written at any moment */
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(copy[i].at_ns, 2 * TCP_TRACE_RECORDS + 8 + i);
	free(copy);
	free(trace);
}

static void forgets_another_users(void **state)
{
	struct tcp_trace *trace = new_trace();
	struct tcp_trace_record *copy = malloc(TCP_TRACE_RECORDS * sizeof *copy);
	for (uint64_t n = 0; n < 10; n++) {
		struct tcp_trace_record r = numbered(n);
		if (n == 6)
			tcp_trace_forget(trace);
		tcp_trace_add(trace, &r);
	}
	assert_int_equal(tcp_trace_copy(trace, copy), 4);
	assert_int_equal(copy[0].at_ns, 6);
	free(copy);
	free(trace);
}

struct writer {
	struct tcp_trace *trace;
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *w = arg;
	for (uint64_t n = 0; !atomic_load(&w->stop); n++) {
		struct tcp_trace_record r = numbered(n);
		tcp_trace_add(w->trace, &r);
	}
	return NULL;
}

static void a_copy_holds_whole_records_only(void **state)
{
	struct writer w = {.trace = new_trace()};
	struct tcp_trace_record *copy = malloc(TCP_TRACE_RECORDS * sizeof *copy);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	uint64_t seen = 0;
	for (uint32_t copies = 0; copies < 2000 || seen < 100 * TCP_TRACE_RECORDS; copies++) {
		uint32_t count = tcp_trace_copy(w.trace, copy);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t n = (uint32_t)copy[i].at_ns;
			assert_int_equal(copy[i].at_ns, copy[0].at_ns + i);
			assert_true(copy[i].seq == n && copy[i].ack == n && copy[i].value == n && copy[i].cwnd == n &&
				    copy[i].in_flight == n);
		}
		seen += count;
	}
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	free(copy);
	free(w.trace);
}

/* ---- a connection's ---- */

struct traced {
	struct tcp_trace_record records[TCP_TRACE_RECORDS];
	uint32_t count;
};

static void establish_traced(struct fixture *f)
{
	f->peer_sack = f->peer_timestamps = true;
	f->config.trace = new_trace();
	establish(f);
}

static struct traced *take(struct fixture *f)
{
	struct traced *x = malloc(sizeof *x);
	x->count = tcp_trace_copy(f->config.trace, x->records);
	return x;
}

static void end(struct fixture *f, struct traced *x)
{
	free(f->config.trace);
	free(x);
}

/* The first one of `kind` at or behind `from`; fails if there is none. */
static const struct tcp_trace_record *find_from(const struct traced *x, uint32_t *from, enum tcp_trace_kind kind)
{
	for (; *from < x->count; ++*from)
		if (x->records[*from].kind == kind)
			return &x->records[(*from)++];
	fail_msg("no record of '%s'", tcp_trace_name((uint8_t)kind));
	return NULL;
}

static uint32_t count_of(const struct traced *x, enum tcp_trace_kind kind)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < x->count; i++)
		n += x->records[i].kind == kind;
	return n;
}

static void assert_text(const struct tcp_trace_record *r, const char *expected)
{
	char text[256];
	tcp_trace_text(r, text, sizeof text);
	assert_string_equal(text, expected);
}

static void tells_how_it_was_opened(void **state)
{
	struct fixture *f = *state;
	char expected[128];
	establish_traced(f);
	struct traced *x = take(f);
	uint32_t at = 0;
	snprintf(expected, sizeof expected, "open from port 40000 to 10.0.0.2:5672, sequence numbers from %u", f->isn);
	assert_text(find_from(x, &at, TCP_TRACE_OPEN), expected);
	assert_text(find_from(x, &at, TCP_TRACE_STATE), "state SYN-SENT");
	assert_text(find_from(x, &at, TCP_TRACE_SENT), "sent SYN: seq 0");
	assert_text(find_from(x, &at, TCP_TRACE_RECEIVED), "received SYN ACK: seq 0, ack 1");
	snprintf(expected, sizeof expected,
		 "negotiated: MSS 1448, timestamps, SACK; the peer's sequence numbers from %u", f->peer_isn);
	assert_text(find_from(x, &at, TCP_TRACE_NEGOTIATED), expected);
	assert_text(find_from(x, &at, TCP_TRACE_STATE), "state ESTABLISHED");
	end(f, x);
}

static void says_nothing_of_ordinary_traffic(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	struct traced *before = take(f);
	for (uint32_t i = 0; i < 200; i++) {
		push(f, 300);
		assert_int_equal(drain(f), 1);
		f->now += MS / 10;
		ack(f, 300 * (i + 1));
		data_from_peer(f, 20 * i, 20);
		tcp_consume(f->t, 20, f->now);
		f->peer_next = 20 * (i + 1);
		drain(f);
	}
	struct traced *x = take(f);
	assert_int_equal(x->count, before->count);
	free(before);
	end(f, x);
}

static void samples_an_ordinary_connection_now_and_then(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	for (uint32_t i = 0; i < 1000; i++) { /* a second: the owner looks at the timers every ms */
		tcp_timer(f->t, f->now);
		f->now += MS;
	}
	struct traced *x = take(f);
	assert_int_equal(count_of(x, TCP_TRACE_SAMPLE), 10);
	assert_int_equal(count_of(x, TCP_TRACE_LATE), 0);
	end(f, x);
}

/* The last of three messages is lost; the probe repairs it, and no timeout is needed. */
static void shows_a_lost_tail_repaired_by_a_probe(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	for (uint32_t i = 0; i < 20; i++) { /* the peer acknowledges at once: its ACK delay is known to be short */
		push(f, 500);
		drain(f);
		f->now += MS / 2;
		ack(f, 500 * (i + 1));
	}
	for (uint32_t i = 0; i < 3; i++) {
		push(f, 500);
		drain(f);
	}
	f->now += MS / 2;
	ack(f, 11000);
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	assert_int_equal(drain(f), 1);
	f->now += MS / 2;
	ack(f, 11500);
	push(f, 500); /* what comes next shows that nothing came twice */
	drain(f);
	f->now += MS / 2;
	ack(f, 12000);
	assert_int_equal(f->t->counters.rto_fired, 0);
	struct traced *x = take(f);
	uint32_t at = 0;
	const struct tcp_trace_record *probe = find_from(x, &at, TCP_TRACE_RESENT);
	assert_text(probe, "resent, tail loss probe: seq 11001, 500 octets");
	assert_int_equal(probe->in_flight, 500);
	assert_text(find_from(x, &at, TCP_TRACE_TAIL),
		    "tail loss probe has repaired a loss: up to 11501, 500 octets repeated");
	const struct tcp_trace_record *reduced = find_from(x, &at, TCP_TRACE_REDUCED);
	assert_int_equal(reduced->detail, TCP_TRACE_FOR_TAIL);
	assert_int_equal(reduced->cwnd, f->t->congestion.cwnd);
	assert_int_equal(count_of(x, TCP_TRACE_RTO), 0);
	end(f, x);
}

static void shows_a_timeout_and_that_it_was_needless(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	push(f, 500);
	drain(f);
	struct wire_segment late = from_peer(f, 500); /* answers the first transmission, and comes too late */
	f->peer_next = 0;
	while (f->t->counters.rto_fired == 0) {
		f->now = tcp_deadline(f->t);
		tcp_timer(f->t, f->now);
		drain(f);
	}
	input(f, &late);
	struct traced *x = take(f);
	uint32_t at = 0;
	const struct tcp_trace_record *rto = find_from(x, &at, TCP_TRACE_RTO);
	assert_int_equal(rto->seq, 1);
	assert_int_equal(rto->ack, 501);
	assert_int_equal(find_from(x, &at, TCP_TRACE_REDUCED)->detail, TCP_TRACE_FOR_RTO);
	assert_int_equal(find_from(x, &at, TCP_TRACE_PHASE)->detail, TCP_PHASE_LOSS);
	assert_text(find_from(x, &at, TCP_TRACE_RESENT), "resent, after a timeout: seq 1, 500 octets");
	assert_int_equal(find_from(x, &at, TCP_TRACE_UNDO)->detail, 0);
	end(f, x);
}

static void shows_what_sacks_say_and_what_is_lost(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	push(f, 4 * 1448);
	drain(f);
	f->now += MS;
	struct wire_segment s = from_peer(f, 0);
	s.blocks = 1;
	s.block[0] = (struct wire_block){sent(f, 1448), sent(f, 4 * 1448)};
	input(f, &s);
	drain(f);
	ack(f, 4 * 1448);
	struct traced *x = take(f);
	uint32_t at = 0;
	assert_text(find_from(x, &at, TCP_TRACE_SACK), "SACK: 1449 to 5793 has arrived, 4344 octets of it are news");
	assert_text(find_from(x, &at, TCP_TRACE_LOST), "lost: 1448 octets from 1 on, by RACK");
	assert_int_equal(find_from(x, &at, TCP_TRACE_REDUCED)->detail, TCP_TRACE_FOR_LOSS);
	assert_int_equal(find_from(x, &at, TCP_TRACE_PHASE)->detail, TCP_PHASE_RECOVERY);
	assert_text(find_from(x, &at, TCP_TRACE_RESENT), "resent, fast retransmission: seq 1, 1448 octets");
	assert_int_equal(find_from(x, &at, TCP_TRACE_PHASE)->detail, TCP_PHASE_OPEN);
	end(f, x);
}

static void shows_a_closed_window_and_its_probe(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	f->peer_window = 0;
	ack(f, 0);
	push(f, 100);
	drain(f); /* nothing goes: the probe's timer is armed */
	f->now = tcp_deadline(f->t);
	tcp_timer(f->t, f->now);
	assert_int_equal(drain(f), 1);
	f->peer_window = 5000;
	ack(f, 1);
	struct traced *x = take(f);
	uint32_t at = 0;
	assert_text(find_from(x, &at, TCP_TRACE_WINDOW), "the peer's window is closed: 0 octets from 1 on");
	assert_text(find_from(x, &at, TCP_TRACE_SENT), "sent ACK: seq 1, ack 1, 1 octets");
	assert_text(find_from(x, &at, TCP_TRACE_WINDOW), "the peer's window is open: 5000 octets from 2 on");
	end(f, x);
}

static void says_why_a_segment_was_dropped(void **state)
{
	struct fixture *f = *state;
	f->peer_ts = 1000;
	establish_traced(f);
	f->peer_ts = 900;
	data_from_peer(f, 0, 10);
	f->peer_ts = 1000;
	data_from_peer(f, 200000, 10);
	ack(f, 5);
	f->peer_timestamps = false;
	ack(f, 0);
	static const enum tcp_trace_drop expected[] = {TCP_TRACE_DROP_PAWS, TCP_TRACE_DROP_WINDOW, TCP_TRACE_DROP_ACK,
						       TCP_TRACE_DROP_TIMESTAMP};
	struct traced *x = take(f);
	uint32_t at = 0;
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(find_from(x, &at, TCP_TRACE_DROPPED)->detail, expected[i]);
	end(f, x);
}

static void shows_icmp_and_smaller_segments(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	push(f, 1000);
	drain(f);
	tcp_icmp(f->t, 3, 4, sent(f, 0), 1000, f->now);
	struct traced *x = take(f);
	uint32_t at = 0;
	assert_text(find_from(x, &at, TCP_TRACE_ICMP), "ICMP type 3, code 4, about seq 1, next MTU 1000");
	assert_text(find_from(x, &at, TCP_TRACE_MTU), "smaller segments: MSS 948");
	end(f, x);
}

static void shows_a_reset_and_how_it_ended(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	ack_flags(f, 0, WIRE_RST | WIRE_ACK);
	struct traced *x = take(f);
	uint32_t at = x->count - 2;
	assert_text(find_from(x, &at, TCP_TRACE_RECEIVED), "received RST ACK: seq 1, ack 1");
	const struct tcp_trace_record *closed = find_from(x, &at, TCP_TRACE_STATE);
	assert_int_equal(closed->detail, TCP_CLOSED);
	assert_int_equal((int)closed->value, HW_ERR_CONN_RESET);
	end(f, x);
}

static void says_when_the_driver_has_no_buffer(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	push(f, 700);
	for (uint32_t turn = 0; turn < 5; turn++)
		tcp_refused(f->t, f->now);
	drain(f);
	push(f, 300);
	tcp_refused(f->t, f->now);
	struct traced *x = take(f);
	uint32_t at = 0;
	assert_text(find_from(x, &at, TCP_TRACE_REFUSED), "the driver has no buffer: 700 octets from 1 on wait");
	assert_text(find_from(x, &at, TCP_TRACE_REFUSED), "the driver has no buffer: 300 octets from 701 on wait");
	assert_int_equal(count_of(x, TCP_TRACE_REFUSED), 2);
	end(f, x);
}

static void says_when_we_were_away(void **state)
{
	struct fixture *f = *state;
	establish_traced(f);
	push(f, 100);
	drain(f);
	f->now = tcp_deadline(f->t) + 7 * MS;
	tcp_timer(f->t, f->now);
	struct traced *x = take(f);
	uint32_t at = 0;
	assert_text(find_from(x, &at, TCP_TRACE_LATE), "late: a timer was looked at 7000 us after its time");
	end(f, x);
}

/* Any octets: a text, terminated. */
static void any_record_has_a_text(void **state)
{
	char text[256];
	for (uint32_t kind = 0; kind <= UINT8_MAX; kind++)
		for (uint32_t detail = 0; detail <= UINT8_MAX; detail++) {
			struct tcp_trace_record r = {.seq = UINT32_MAX,
						     .ack = UINT32_MAX,
						     .value = UINT32_MAX,
						     .kind = (uint8_t)kind,
						     .detail = (uint8_t)detail};
			memset(text, 'x', sizeof text);
			tcp_trace_text(&r, text, sizeof text);
			assert_non_null(memchr(text, 0, sizeof text));
			assert_int_equal(text[0] == 0, kind >= TCP_TRACE_KINDS);
			tcp_trace_text(&r, text, 4);
			assert_true(strlen(text) <= 3);
			assert_non_null(tcp_trace_name((uint8_t)kind));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_latest_in_order),
		cmocka_unit_test(forgets_another_users),
		cmocka_unit_test(a_copy_holds_whole_records_only),
		BOTH(tells_how_it_was_opened),
		BOTH(says_nothing_of_ordinary_traffic),
		BOTH(samples_an_ordinary_connection_now_and_then),
		BOTH(shows_a_lost_tail_repaired_by_a_probe),
		BOTH(shows_a_timeout_and_that_it_was_needless),
		BOTH(shows_what_sacks_say_and_what_is_lost),
		BOTH(shows_a_closed_window_and_its_probe),
		BOTH(says_why_a_segment_was_dropped),
		BOTH(shows_icmp_and_smaller_segments),
		BOTH(shows_a_reset_and_how_it_ended),
		BOTH(says_when_the_driver_has_no_buffer),
		BOTH(says_when_we_were_away),
		cmocka_unit_test(any_record_has_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
