/* The data path. The worker's thread; the only system call is the kick. */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "drivers/af_xdp/instance.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Fruitless kicks in a row after which a full device is left alone until the next turn. */
#define KICKS_FRUITLESS_MAX 2u

#define HANDLE_QUEUE_SHIFT 48

static struct af_xdp *af_xdp_of(struct driver *d)
{
	return (struct af_xdp *)d;
}

/* ---- receive ---------------------------------------------------------------------------------------------------- */

/* A driver that ran out of fill entries sleeps until told that there are new ones. */
static inline void wake_receiver(struct xsk_queue *queue)
{
	if (unlikely(xsk_ring_prod__needs_wakeup(&queue->fill)))
		recvfrom(queue->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static uint32_t receive_from(struct af_xdp *xdp, uint32_t index, struct packet *packets, uint32_t max)
{
	struct xsk_queue *queue = &xdp->queues[index];
	uint32_t at;
	uint32_t n = xsk_ring_cons__peek(&queue->rx, max, &at);
	if (!n) {
		wake_receiver(queue);
		return 0;
	}
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *descriptor = xsk_ring_cons__rx_desc(&queue->rx, at + i);
		packets[i] = (struct packet){
			.data = queue->area + descriptor->addr,
			.len = descriptor->len,
			.flags = xdp->rx_flags,
			.handle = (uint64_t)index << HANDLE_QUEUE_SHIFT | descriptor->addr,
		};
		bytes += descriptor->len;
	}
	xsk_ring_cons__release(&queue->rx, n);
	counter_add(&xdp->counters.rx_packets, n);
	counter_add(&xdp->counters.rx_bytes, bytes);
	return n;
}

static void finish_transmission(struct af_xdp *xdp, struct xsk_queue *queue);

uint32_t af_xdp_rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct af_xdp *xdp = af_xdp_of(d);
	if (unlikely(xdp->queues[0].tx_unfinished))
		finish_transmission(xdp, &xdp->queues[0]);
	uint32_t count = atomic_load_explicit(&xdp->queue_count, memory_order_acquire);
	if (likely(count == 1))
		return receive_from(xdp, 0, packets, max);
	uint32_t n = 0, index = xdp->rx_next % count;
	for (uint32_t i = 0; i < count && n < max; i++) {
		n += receive_from(xdp, index, packets + n, max - n);
		index = index + 1 == count ? 0 : index + 1;
	}
	xdp->rx_next = index + (n < max); /* a full burst goes on where it stopped, others begin one further */
	return n;
}

/* The number of packets, of `n`, that came from the same queue as the first. */
static uint32_t run_of_one_queue(const struct packet *packets, uint32_t n)
{
	uint32_t i = 1;
	while (i < n && packets[i].handle >> HANDLE_QUEUE_SHIFT == packets[0].handle >> HANDLE_QUEUE_SHIFT)
		i++;
	return i;
}

/* There is always room for frames that come back: see queue.h. */
static void refill(struct xsk_queue *queue, const struct packet *packets, uint32_t n)
{
	uint32_t at;
	uint32_t room = xsk_ring_prod__reserve(&queue->fill, n, &at);
	assert(room == n && "a packet was released twice");
	for (uint32_t i = 0; i < n; i++) {
		uint64_t address = packets[i].handle & ((1ull << HANDLE_QUEUE_SHIFT) - 1);
		*xsk_ring_prod__fill_addr(&queue->fill, at + i) = address & ~(uint64_t)(XSK_FRAME_BYTES - 1);
	}
	xsk_ring_prod__submit(&queue->fill, n);
	wake_receiver(queue);
}

void af_xdp_rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	struct af_xdp *xdp = af_xdp_of(d);
	while (n) {
		uint32_t run = run_of_one_queue(packets, n);
		refill(&xdp->queues[packets[0].handle >> HANDLE_QUEUE_SHIFT], packets, run);
		packets += run;
		n -= run;
	}
}

/* ---- transmit --------------------------------------------------------------------------------------------------- */

static uint32_t tx_consumer(const struct xsk_queue *queue)
{
	return __atomic_load_n(queue->tx.consumer, __ATOMIC_ACQUIRE);
}

static bool tx_drained(const struct xsk_queue *queue)
{
	return tx_consumer(queue) == *queue->tx.producer;
}

#define KICK_PAUSE_TURNS 1024u

enum kick_result { KICK_DONE, KICK_AGAIN, KICK_DROPPED, KICK_LATER };

/*
 * One sendto. In copy mode it transmits what is in the ring before it returns, but stops early: EAGAIN after its budget
 * of descriptors, or when the device or the socket's memory is full; EBUSY when the device dropped a frame (that one is
 * consumed: TCP repairs it). What is behind must be kicked again, or it would stay there.
 */
static enum kick_result kick_once(struct af_xdp *xdp, const struct xsk_queue *queue)
{
	counter_add(&xdp->counters.kicks, 1);
	if (likely(sendto(queue->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0))
		return KICK_DONE;
	switch (errno) {
	case EBUSY:
		counter_add(&xdp->counters.tx_dropped, 1);
		return KICK_DROPPED;
	case EAGAIN:
	case ENOBUFS:
	case EINTR:
		return KICK_AGAIN;
	default: /* ENETDOWN, ENXIO: nothing goes out until the interface is back */
		return KICK_LATER;
	}
}

static __attribute__((noinline)) void kick(struct af_xdp *xdp, struct xsk_queue *queue)
{
	uint32_t fruitless = 0;
	for (uint32_t i = 0; i <= queue->tx.size && fruitless < KICKS_FRUITLESS_MAX; i++) {
		uint32_t before = tx_consumer(queue);
		enum kick_result result = kick_once(xdp, queue);
		if (result == KICK_LATER)
			queue->kick_pause = KICK_PAUSE_TURNS;
		if (result == KICK_DONE || result == KICK_LATER)
			break;
		fruitless = result == KICK_AGAIN && tx_consumer(queue) == before ? fruitless + 1 : 0;
	}
	queue->tx_unfinished = !tx_drained(queue);
}

/* An earlier submit left descriptors in the ring: the device was full or down, or sends by itself. */
static __attribute__((noinline)) void finish_transmission(struct af_xdp *xdp, struct xsk_queue *queue)
{
	queue->tx_unfinished = !tx_drained(queue);
	if (unlikely(queue->kick_pause)) {
		queue->kick_pause--;
		return;
	}
	if (queue->tx_unfinished && xsk_ring_prod__needs_wakeup(&queue->tx))
		kick(xdp, queue);
}

static void reap_completions(struct xsk_queue *queue)
{
	uint32_t at;
	uint32_t n = xsk_ring_cons__peek(&queue->completion, queue->tx_frames, &at);
	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++)
		queue->free_frames[queue->free_count++] = *xsk_ring_cons__comp_addr(&queue->completion, at + i);
	xsk_ring_cons__release(&queue->completion, n);
}

uint32_t af_xdp_tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	struct af_xdp *xdp = af_xdp_of(d);
	struct xsk_queue *queue = &xdp->queues[0];
	reap_completions(queue);
	uint32_t n = max < queue->free_count ? max : queue->free_count;
	/* A completed frame can be back before the kernel publishes that it left the ring. */
	uint32_t room = xsk_prod_nb_free(&queue->tx, n);
	n = n < room ? n : room;
	if (unlikely(!n && max))
		counter_add(&xdp->counters.tx_no_buffer, 1);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t address = queue->free_frames[--queue->free_count];
		packets[i] = (struct packet){.data = queue->area + address, .len = XSK_FRAME_BYTES, .handle = address};
	}
	return n;
}

void af_xdp_tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	struct af_xdp *xdp = af_xdp_of(d);
	struct xsk_queue *queue = &xdp->queues[0];
	for (uint32_t i = reserved; i > n; i--)
		queue->free_frames[queue->free_count++] = packets[i - 1].handle;
	if (!n)
		return;
	uint32_t at;
	uint32_t room = xsk_ring_prod__reserve(&queue->tx, n, &at);
	assert(room == n && "more was submitted than reserved");
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < n; i++) {
		*xsk_ring_prod__tx_desc(&queue->tx, at + i) =
			(struct xdp_desc){.addr = packets[i].handle, .len = packets[i].len};
		bytes += packets[i].len;
	}
	xsk_ring_prod__submit(&queue->tx, n);
	counter_add(&xdp->counters.tx_packets, n);
	counter_add(&xdp->counters.tx_bytes, bytes);
	if (xsk_ring_prod__needs_wakeup(&queue->tx))
		kick(xdp, queue);
	else
		queue->tx_unfinished = true; /* the device is at it; rx_burst sees to it that it ends */
}
