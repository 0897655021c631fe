/* What has arrived: the ring, ranges beyond a gap stored in place, and the window we advertise. */
#include <assert.h>
#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/tcp/tcp_internal.h"

static uint32_t ring_size(const struct tcp *t)
{
	return t->receive.mask + 1;
}

/* The window field of a SYN is never scaled (RFC 7323, 2.2): what it allowed the peer is where the edge starts. */
void tcp_receive_init(struct tcp *t, uint32_t first_seq)
{
	struct tcp_receive *r = &t->receive;
	uint32_t size = ring_size(t);
	r->origin = r->consumed = first_seq;
	r->edge = r->edge_sent = first_seq + (size < UINT16_MAX ? size : UINT16_MAX);
	r->fin_known = r->fin_taken = r->came_twice = false;
	r->out_of_order_count = 0;
	t->rcv_nxt = first_seq;
}

static void ring_put(struct tcp *t, uint32_t seq, const uint8_t *payload, uint32_t len)
{
	struct tcp_receive *r = &t->receive;
	uint32_t at = (seq - r->origin) & r->mask;
	uint32_t first = ring_size(t) - at;
	if (__builtin_expect(len <= first, 1)) {
		memcpy(r->ring + at, payload, len);
		return;
	}
	memcpy(r->ring + at, payload, first);
	memcpy(r->ring, payload + first, len - first);
}

/* Header prediction's case: nothing is out of order and the payload fits the window. */
void tcp_receive_copy_in_order(struct tcp *t, const uint8_t *payload, uint32_t len)
{
	ring_put(t, t->rcv_nxt, payload, len);
	t->rcv_nxt += len;
	tcp_receive_update_window(t);
}

static void remove_range(struct tcp_receive *r, uint32_t i)
{
	r->out_of_order_count--;
	memmove(&r->out_of_order[i], &r->out_of_order[i + 1], (r->out_of_order_count - i) * sizeof r->out_of_order[0]);
}

/*
 * Joins [left, right) with every range it touches and puts the result first. False when that needs a ninth range: the
 * segment is dropped then, never one that has been SACKed already.
 */
static bool insert_range(struct tcp_receive *r, uint32_t left, uint32_t right)
{
	struct tcp_range joined = {.left = left, .right = right};
	for (uint32_t i = 0; i < r->out_of_order_count;) {
		const struct tcp_range *o = &r->out_of_order[i];
		if (seq_gt(o->left, joined.right) || seq_lt(o->right, joined.left)) {
			i++;
			continue;
		}
		joined.left = seq_min(joined.left, o->left);
		joined.right = seq_max(joined.right, o->right);
		remove_range(r, i);
		i = 0; /* the joined range has grown and may now touch one that it did not */
	}
	if (r->out_of_order_count == TCP_OUT_OF_ORDER_MAX)
		return false;
	memmove(&r->out_of_order[1], &r->out_of_order[0], r->out_of_order_count * sizeof r->out_of_order[0]);
	r->out_of_order[0] = joined;
	r->out_of_order_count++;
	return true;
}

/* rcv_nxt has reached ranges that were waiting for it. */
static void absorb(struct tcp *t)
{
	struct tcp_receive *r = &t->receive;
	for (uint32_t i = 0; i < r->out_of_order_count;) {
		if (seq_gt(r->out_of_order[i].left, t->rcv_nxt)) {
			i++;
			continue;
		}
		t->rcv_nxt = seq_max(t->rcv_nxt, r->out_of_order[i].right);
		remove_range(r, i);
		i = 0;
	}
}

void tcp_receive_came_twice(struct tcp *t, uint32_t left, uint32_t right)
{
	t->receive.came_twice = t->sack_permitted;
	t->receive.twice = (struct tcp_range){.left = left, .right = right};
}

/* RFC 2883, 4.2: of [left, right), beyond a gap, what lies in a range that we have already. */
static void find_twice(struct tcp *t, uint32_t left, uint32_t right)
{
	const struct tcp_receive *r = &t->receive;
	for (uint32_t i = 0; i < r->out_of_order_count; i++) {
		const struct tcp_range *o = &r->out_of_order[i];
		if (seq_lt(o->left, right) && seq_lt(left, o->right)) {
			tcp_receive_came_twice(t, seq_max(left, o->left), seq_min(right, o->right));
			return;
		}
	}
}

uint32_t tcp_receive_store(struct tcp *t, uint32_t seq, const uint8_t *payload, uint32_t len)
{
	struct tcp_receive *r = &t->receive;
	uint32_t before = t->rcv_nxt;
	assert(seq_between(t->rcv_nxt, seq, r->edge) && len <= r->edge - seq);
	if (seq != t->rcv_nxt) {
		t->counters.out_of_order++;
		find_twice(t, seq, seq + len);
		if (insert_range(r, seq, seq + len))
			ring_put(t, seq, payload, len);
		return 0;
	}
	ring_put(t, seq, payload, len);
	t->rcv_nxt += len;
	absorb(t);
	tcp_receive_update_window(t);
	return t->rcv_nxt - before;
}

/*
 * RFC 9293, 3.8.6.2.2: the edge moves right only by a worthwhile step, and never left. (The header carries the distance
 * to it in units of 2^rcv_scale, rounded down; what was once allowed is accepted all the same: RFC 7323, 2.4.)
 */
void tcp_receive_update_window(struct tcp *t)
{
	struct tcp_receive *r = &t->receive;
	uint32_t size = ring_size(t);
	uint32_t step = size / 2 < t->mss ? size / 2 : t->mss;
	uint32_t target = r->consumed + size;
	uint32_t largest = (uint32_t)UINT16_MAX << t->rcv_scale;
	if (target - t->rcv_nxt > largest)
		target = t->rcv_nxt + largest;
	if (seq_ge(target, r->edge + step))
		r->edge = target;
	t->window_wire = (uint16_t)((r->edge - t->rcv_nxt) >> t->rcv_scale);
}

static void put_block(uint8_t *p, const struct tcp_range *range)
{
	put_be32(p, range->left);
	put_be32(p + 4, range->right);
}

uint32_t tcp_receive_sack_blocks(const struct tcp *t, uint8_t *p, uint32_t max)
{
	const struct tcp_receive *r = &t->receive;
	uint32_t n = 0;
	if (r->came_twice && n < max)
		put_block(p + 8 * n++, &r->twice);
	for (uint32_t i = 0; i < r->out_of_order_count && n < max; i++)
		put_block(p + 8 * n++, &r->out_of_order[i]);
	return n;
}

uint32_t tcp_receive_sack_count(const struct tcp *t)
{
	return t->sack_permitted ? t->receive.out_of_order_count + t->receive.came_twice : 0;
}

uint32_t tcp_receive_available(const struct tcp *t)
{
	return t->rcv_nxt - t->receive.fin_taken - t->receive.consumed;
}

const uint8_t *tcp_readable(const struct tcp *t, uint32_t *len)
{
	const struct tcp_receive *r = &t->receive;
	uint32_t at = (r->consumed - r->origin) & r->mask;
	uint32_t available = tcp_receive_available(t);
	uint32_t contiguous = ring_size(t) - at;
	*len = available < contiguous ? available : contiguous;
	return r->ring + at;
}

/*
 * The peer learns of the freed room with the next segment we send anyway, unless it has little left to go by: then, and
 * whenever half of the ring has been freed, an ACK tells it.
 */
void tcp_consume(struct tcp *t, uint32_t len, uint64_t now_ns)
{
	struct tcp_receive *r = &t->receive;
	assert(len <= tcp_receive_available(t));
	r->consumed += len;
	if (t->state < TCP_ESTABLISHED || t->state > TCP_FIN_WAIT_2 || r->fin_known)
		return;
	tcp_receive_update_window(t);
	uint32_t opened = r->edge - r->edge_sent;
	if (opened >= ring_size(t) / 2 || (opened > 0 && seq_lt(r->edge_sent, t->rcv_nxt + t->mss)))
		t->ack_due = true;
}

bool tcp_peer_finished(const struct tcp *t)
{
	return t->receive.fin_taken && tcp_receive_available(t) == 0;
}
