/* The AF_XDP driver on a veth pair: who gets which packet, and what leaves. Root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"
#include "drivers/af_xdp/instance.h"
#include "tests/integration/af_xdp_lab.h"

/* ---- receive ---------------------------------------------------------------------------------------------------- */

static void receives_our_flow_natively(void **state)
{
	struct driver *d = xdp_create(AF_XDP_COPY, 64);
	assert_our_flow_comes_to_us(d);
	d->ops->destroy(d);
}

static void receives_our_flow_in_skb_mode(void **state)
{
	struct driver *d = xdp_create(AF_XDP_SKB, 64);
	assert_our_flow_comes_to_us(d);
	d->ops->destroy(d);
}

static void every_other_tuple_is_the_kernels(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	uint8_t frame[FRAME_BYTES_MAX];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	struct driver_flow others[3] = {FLOW, FLOW, FLOW};
	others[0].local_port++;
	others[1].remote_port++;
	others[2].remote_ip++;
	lab_run(lab.ours, "ip neigh add 10.77.0.3 lladdr 02:00:00:00:00:02 dev xdp0");
	for (int i = 0; i < 3; i++) {
		peer_send_syn(&others[i], &PLAIN);
		assert_true(kernel_answers_with_rst(others[i].local_port, PATIENCE_MS));
	}
	assert_int_equal(xdp_receive(d, SILENCE_MS, frame), 0);
	d->ops->destroy(d);
}

static void a_removed_flow_is_the_kernels_again(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	assert_int_equal(d->ops->flow_add(d, &FLOW), HW_ERR_BUSY);
	d->ops->flow_remove(d, &FLOW);
	peer_send_syn(&FLOW, &PLAIN);
	assert_true(kernel_answers_with_rst(FLOW.local_port, PATIENCE_MS));
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	d->ops->destroy(d);
}

static void takes_a_vlan_tag_and_ip_options(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	uint8_t frame[FRAME_BYTES_MAX];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	peer_send_syn(&FLOW, &(struct frame_shape){.vlan = 0x2005});
	assert_int_equal(xdp_receive(d, PATIENCE_MS, frame), 58);
	peer_send_syn(&FLOW, &(struct frame_shape){.ip_options_words = 10});
	assert_int_equal(xdp_receive(d, PATIENCE_MS, frame), 94);
	d->ops->destroy(d);
}

static void fragments_of_our_flow_reach_neither_us_nor_the_kernels_tcp(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	uint8_t frame[FRAME_BYTES_MAX];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	peer_send_syn(&FLOW, &(struct frame_shape){.fragment = 0x2000});
	peer_send_syn(&FLOW, &(struct frame_shape){.fragment = 0x0003});
	assert_int_equal(xdp_receive(d, SILENCE_MS, frame), 0);
	assert_false(kernel_answers_with_rst(FLOW.local_port, SILENCE_MS));
	struct flow_state flow;
	assert_int_equal(flow_program_state(((struct af_xdp *)d)->program, &FLOW, &flow), 0);
	assert_int_equal(flow.fragment_drops, 1);
	d->ops->destroy(d);
}

static void icmp_errors_that_quote_our_flow_come_to_us(void **state)
{
	static const uint8_t types[3][2] = {{3, 4}, {11, 0}, {12, 0}};
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	struct frame error;
	uint8_t frame[FRAME_BYTES_MAX];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	for (int i = 0; i < 3; i++) {
		frame_icmp(&error, &FLOW, types[i][0], types[i][1]);
		lab_send(&lab, error.bytes, error.len);
		assert_int_equal(xdp_receive(d, PATIENCE_MS, frame), error.len);
		assert_memory_equal(frame, error.bytes, error.len);
	}
	struct driver_flow other = FLOW;
	other.remote_port++;
	frame_icmp(&error, &other, 3, 4);
	lab_send(&lab, error.bytes, error.len);
	frame_icmp(&error, &FLOW, 5, 0);
	lab_send(&lab, error.bytes, error.len);
	assert_int_equal(xdp_receive(d, SILENCE_MS, frame), 0);
	d->ops->destroy(d);
}

/* To answer an echo request the kernel must resolve the peer, so its ARP passes too. */
static void arp_and_ping_stay_the_kernels(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 0);
	uint8_t frame[FRAME_BYTES_MAX];
	struct frame request;
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	frame_icmp(&request, &FLOW, 8, 0);
	lab_send(&lab, request.bytes, request.len);
	bool replied = false;
	for (size_t len; !replied && (len = lab_receive(&lab, frame, sizeof frame, PATIENCE_MS));)
		replied = len == request.len && get_be16(frame + 12) == 0x0800 && frame[23] == 1 && frame[34] == 0;
	assert_true(replied);
	assert_int_equal(xdp_receive(d, SILENCE_MS, frame), 0);
	d->ops->destroy(d);
}

static void truncated_packets_do_no_harm(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	uint8_t got[FRAME_BYTES_MAX];
	struct frame frames[2];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	frame_syn(&frames[0], &FLOW, &(struct frame_shape){.vlan = 1, .ip_options_words = 10});
	frame_icmp(&frames[1], &FLOW, 3, 4);
	for (int i = 0; i < 2; i++)
		for (size_t len = 14; len < frames[i].len; len++)
			lab_send(&lab, frames[i].bytes, len);
	while (xdp_receive(d, SILENCE_MS, got))
		;
	peer_send_syn(&FLOW, &PLAIN);
	assert_int_equal(xdp_receive(d, PATIENCE_MS, got), 54);
	d->ops->destroy(d);
}

/* Far more packets than there are frames: none of them gets lost on the way round. */
static void every_frame_returns_to_the_kernel(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	struct packet packets[DRIVER_BURST_MAX];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	uint32_t received = 0;
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k < 40; k++)
			peer_send_syn(&FLOW, &PLAIN);
		uint64_t end = lab_now_ms() + PATIENCE_MS;
		for (uint32_t n, wanted = received + 40; received < wanted && lab_now_ms() < end; received += n) {
			n = d->ops->rx_burst(d, packets, DRIVER_BURST_MAX);
			d->ops->rx_release(d, packets, n);
		}
	}
	assert_int_equal(received, 4000);
	assert_int_equal(xdp_stats(d).rx_dropped, 0);
	d->ops->destroy(d);
}

struct poller {
	struct driver *d;
	_Atomic bool stop;
	_Atomic uint32_t received;
};

static void *poll_packets(void *context)
{
	struct poller *p = context;
	struct packet packets[DRIVER_BURST_MAX];
	while (!atomic_load(&p->stop)) {
		uint32_t n = p->d->ops->rx_burst(p->d, packets, DRIVER_BURST_MAX);
		p->d->ops->rx_release(p->d, packets, n);
		atomic_fetch_add(&p->received, n);
	}
	return NULL;
}

/* The kernel hands over a packet a moment before it gives back the fill entry: the frame must find room all the same.
 */
static void frames_find_room_while_packets_keep_arriving(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	struct poller poller = {.d = d};
	pthread_t worker;
	const uint32_t flood = 100000;
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	assert_int_equal(pthread_create(&worker, NULL, poll_packets, &poller), 0);
	for (uint32_t i = 0; i < flood; i++)
		peer_send_syn(&FLOW, &PLAIN);
	for (uint64_t end = lab_now_ms() + PATIENCE_MS; lab_now_ms() < end; usleep(1000))
		if (atomic_load(&poller.received) + xdp_stats(d).rx_dropped >= flood)
			break;
	atomic_store(&poller.stop, true);
	pthread_join(worker, NULL);
	assert_int_equal(atomic_load(&poller.received) + xdp_stats(d).rx_dropped, flood);
	d->ops->destroy(d);
}

/* ---- transmit --------------------------------------------------------------------------------------------------- */

#define ETHERTYPE_EXPERIMENT 0x88b5

/* Submits `n` numbered frames in bursts of at most `burst`. Returns how many found a buffer. */
static uint32_t transmit(struct driver *d, uint32_t n, uint32_t burst)
{
	struct packet packets[256];
	uint32_t sent = 0;
	while (sent < n) {
		uint32_t want = n - sent < burst ? n - sent : burst;
		uint32_t got = d->ops->tx_reserve(d, packets, want);
		for (uint32_t i = 0; i < got; i++) {
			assert_true(packets[i].len >= 1514);
			memset(packets[i].data, 0, 64);
			memset(packets[i].data, 0xff, 6);
			packets[i].data[6] = 2;
			put_be16(packets[i].data + 12, ETHERTYPE_EXPERIMENT);
			put_be32(packets[i].data + 14, sent + i);
			packets[i].len = 64;
		}
		d->ops->tx_submit(d, packets, got, got);
		sent += got;
		if (!got)
			break;
	}
	return sent;
}

/* How many numbered frames reach the peer, in order from 0, before it hears nothing for `timeout_ms`. */
static uint32_t arrived(int timeout_ms)
{
	uint8_t frame[FRAME_BYTES_MAX];
	uint32_t n = 0;
	for (size_t len; (len = lab_receive(&lab, frame, sizeof frame, timeout_ms));) {
		if (get_be16(frame + 12) != ETHERTYPE_EXPERIMENT)
			continue;
		assert_int_equal(get_be32(frame + 14), n);
		n++;
	}
	return n;
}

static void bursts_arrive_whole_and_in_order(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 256);
	static const uint32_t bursts[] = {1, 7, 32, 33, 200, 256};
	for (unsigned i = 0; i < sizeof bursts / sizeof bursts[0]; i++) {
		assert_int_equal(transmit(d, 1000, bursts[i]), 1000);
		assert_int_equal(arrived(SILENCE_MS), 1000);
	}
	assert_int_equal(xdp_stats(d).tx_packets, 6000);
	assert_int_equal(xdp_stats(d).tx_bytes, 6000 * 64);
	assert_int_equal(xdp_stats(d).tx_dropped, 0);
	d->ops->destroy(d);
}

/* With the kernel's smallest budget of descriptors for one sendto, which cannot be raised before Linux 6.17. */
static void kicks_until_all_is_sent(void **state)
{
	enum { XDP_MAX_TX_SKB_BUDGET = 9 };
	struct driver *d = xdp_create(AF_XDP_BEST, 256);
	setsockopt(((struct af_xdp *)d)->queues[0].fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &(int){32}, sizeof(int));
	assert_int_equal(transmit(d, 250, 250), 250);
	assert_int_equal(arrived(SILENCE_MS), 250);
	assert_true(xdp_stats(d).kicks >= 8);
	assert_true(xdp_stats(d).kicks <= 10);
	d->ops->destroy(d);
}

static void one_kick_for_one_submit(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 256);
	assert_int_equal(transmit(d, 320, 32), 320);
	assert_int_equal(xdp_stats(d).kicks, 10);
	d->ops->destroy(d);
}

static void what_a_downed_interface_held_leaves_once_it_is_up(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 256);
	struct packet packet;
	lab_run(lab.ours, "ip link set xdp0 down");
	assert_int_equal(transmit(d, 150, 32), 150);
	assert_int_equal(transmit(d, 150, 32), 106);
	assert_true(xdp_stats(d).tx_no_buffer > 0);
	/* A device that is down is not asked every turn ... */
	uint64_t kicks = xdp_stats(d).kicks;
	for (int turns = 0; turns < 10000; turns++)
		d->ops->rx_burst(d, &packet, 0);
	assert_in_range(xdp_stats(d).kicks - kicks, 1, 20);
	lab_run(lab.ours, "ip link set xdp0 up");
	/* ... but soon enough after it is back. */
	for (int turns = 0; turns < 2000; turns++)
		d->ops->rx_burst(d, &packet, 0);
	uint8_t frame[FRAME_BYTES_MAX];
	uint32_t n = 0;
	while (lab_receive(&lab, frame, sizeof frame, SILENCE_MS))
		n += get_be16(frame + 12) == ETHERTYPE_EXPERIMENT;
	assert_int_equal(n, 256);
	assert_int_equal(transmit(d, 256, 256), 256);
	d->ops->destroy(d);
}

static void frames_the_device_dropped_are_counted_and_come_back(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	lab_run(lab.theirs, "ip link set xdp1 down");
	assert_int_equal(transmit(d, 1000, 32), 1000);
	assert_int_equal(xdp_stats(d).tx_dropped, 1000);
	lab_run(lab.theirs, "ip link set xdp1 up");
	assert_int_equal(transmit(d, 64, 64), 64);
	assert_int_equal(arrived(SILENCE_MS), 64);
	d->ops->destroy(d);
}

static void cancelled_buffers_go_back(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	struct packet packets[64];
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(d->ops->tx_reserve(d, packets, 64), 64);
		for (int a = 0; a < 64; a++)
			for (int b = 0; b < a; b++)
				assert_true(packets[a].data != packets[b].data);
		d->ops->tx_submit(d, packets, 0, 64);
	}
	assert_int_equal(xdp_stats(d).kicks, 0);
	d->ops->destroy(d);
}

/* ---- several queues --------------------------------------------------------------------------------------------- */

/* A flow that the peer sends on another queue than 0 (by its own hash of the tuple); it is added to the driver. */
static struct driver_flow flow_of_another_queue(struct driver *d)
{
	uint8_t frame[FRAME_BYTES_MAX];
	for (uint16_t port = 40000; port < 40064; port++) {
		struct driver_flow flow = {LAB_OUR_IP, LAB_THEIR_IP, port, 5672};
		assert_int_equal(d->ops->flow_add(d, &flow), 0);
		assert_int_equal(d->ops->flow_wrong_queue(d, &flow), -1);
		peer_send_syn(&flow, &PLAIN);
		if (!xdp_receive(d, SILENCE_MS, frame) && d->ops->flow_wrong_queue(d, &flow) > 0)
			return flow;
		d->ops->flow_remove(d, &flow);
	}
	fail_msg("the peer sends everything on queue 0");
	return FLOW;
}

static void a_packet_on_the_wrong_queue_is_dropped_and_the_queue_recorded(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	assert_int_equal(d->info.queues, 4);
	struct driver_flow flow = flow_of_another_queue(d);
	peer_send_syn(&flow, &PLAIN);
	assert_false(kernel_answers_with_rst(flow.local_port, SILENCE_MS));
	assert_in_range(d->ops->flow_wrong_queue(d, &flow), 1, 3);
	d->ops->destroy(d);
}

/* Some port's flow does. */
static void assert_a_flow_comes_to(struct driver *d)
{
	uint8_t frame[FRAME_BYTES_MAX];
	for (uint16_t port = 41000; port < 41064; port++) {
		struct driver_flow flow = {LAB_OUR_IP, LAB_THEIR_IP, port, 5672};
		assert_int_equal(d->ops->flow_add(d, &flow), 0);
		peer_send_syn(&flow, &PLAIN);
		if (xdp_receive(d, SILENCE_MS / 4, frame))
			return;
		d->ops->flow_remove(d, &flow);
	}
	fail_msg("no flow comes to queue %u", d->info.queue);
}

/* Two workers of one process: what the peer sends on the other's queue comes to neither, and each is told of it. */
static void a_flow_is_taken_from_its_own_workers_queue_only(void **state)
{
	struct driver *workers[2] = {xdp_create_on(0, AF_XDP_BEST), xdp_create_on(1, AF_XDP_BEST)};
	uint8_t frame[FRAME_BYTES_MAX];
	uint32_t taken[2] = {0}, strayed[2] = {0};
	for (uint16_t i = 0; i < 64; i++) {
		struct driver_flow flow = {LAB_OUR_IP, LAB_THEIR_IP, 40000 + i, 5672};
		struct driver *own = workers[i % 2], *other = workers[1 - i % 2];
		assert_int_equal(own->ops->flow_add(own, &flow), 0);
		peer_send_syn(&flow, &PLAIN);
		taken[i % 2] += xdp_receive(own, SILENCE_MS / 4, frame) != 0;
		assert_int_equal(xdp_receive(other, 0, frame), 0);
		int queue = own->ops->flow_wrong_queue(own, &flow);
		strayed[i % 2] += queue == (int)other->info.queue;
		assert_int_not_equal(queue, (int)own->info.queue);
		own->ops->flow_remove(own, &flow);
	}
	for (int w = 0; w < 2; w++)
		assert_true(taken[w] > 0 && strayed[w] > 0);
	workers[0]->ops->destroy(workers[0]);
	assert_a_flow_comes_to(workers[1]); /* without the first, too */
	workers[1]->ops->destroy(workers[1]);
}

static void receives_from_all_queues_while_the_worker_polls(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	struct driver_flow flow = flow_of_another_queue(d);
	struct poller poller = {.d = d};
	pthread_t worker;
	assert_int_equal(pthread_create(&worker, NULL, poll_packets, &poller), 0);
	assert_int_equal(d->ops->receive_all_queues(d), 0);
	assert_int_equal(d->ops->receive_all_queues(d), 0);
	assert_int_equal(d->ops->flow_wrong_queue(d, &flow), -1);
	for (uint32_t i = 0; i < 1000; i++) {
		if (i == 500) { /* a flow added later is taken from all, too */
			d->ops->flow_remove(d, &flow);
			assert_int_equal(d->ops->flow_add(d, &flow), 0);
		}
		peer_send_syn(&flow, &PLAIN);
		uint64_t end = lab_now_ms() + PATIENCE_MS;
		while (atomic_load(&poller.received) <= i && lab_now_ms() < end)
			sched_yield();
	}
	atomic_store(&poller.stop, true);
	pthread_join(worker, NULL);
	assert_int_equal(atomic_load(&poller.received), 1000);
	assert_false(kernel_answers_with_rst(flow.local_port, SILENCE_MS));
	d->ops->destroy(d);
	assert_false(xdp_program_attached());
}

static void icmp_errors_on_a_queue_without_socket_are_dropped_and_counted(void **state)
{
	struct driver *d = xdp_create(AF_XDP_BEST, 64);
	uint32_t received = 0, dropped = 0;
	for (uint32_t i = 0; i < 32; i++) {
		struct driver_flow flow = {LAB_OUR_IP, LAB_THEIR_IP + i, 40000, 5672};
		struct flow_state state_of_flow;
		struct frame error;
		uint8_t frame[FRAME_BYTES_MAX];
		assert_int_equal(d->ops->flow_add(d, &flow), 0);
		frame_icmp(&error, &flow, 3, 4);
		lab_send(&lab, error.bytes, error.len);
		received += xdp_receive(d, SILENCE_MS, frame) != 0;
		assert_int_equal(flow_program_state(((struct af_xdp *)d)->program, &flow, &state_of_flow), 0);
		dropped += (uint32_t)state_of_flow.icmp_drops;
		assert_int_equal(d->ops->flow_wrong_queue(d, &flow), -1);
	}
	assert_int_equal(received + dropped, 32);
	assert_true(received > 0 && dropped > 0);
	d->ops->destroy(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ONE_QUEUE(receives_our_flow_natively),
		WITH_ONE_QUEUE(receives_our_flow_in_skb_mode),
		WITH_ONE_QUEUE(every_other_tuple_is_the_kernels),
		WITH_ONE_QUEUE(a_removed_flow_is_the_kernels_again),
		WITH_ONE_QUEUE(takes_a_vlan_tag_and_ip_options),
		WITH_ONE_QUEUE(fragments_of_our_flow_reach_neither_us_nor_the_kernels_tcp),
		WITH_ONE_QUEUE(icmp_errors_that_quote_our_flow_come_to_us),
		WITH_ONE_QUEUE(arp_and_ping_stay_the_kernels),
		WITH_ONE_QUEUE(truncated_packets_do_no_harm),
		WITH_ONE_QUEUE(every_frame_returns_to_the_kernel),
		WITH_ONE_QUEUE(frames_find_room_while_packets_keep_arriving),
		WITH_ONE_QUEUE(bursts_arrive_whole_and_in_order),
		WITH_ONE_QUEUE(kicks_until_all_is_sent),
		WITH_ONE_QUEUE(one_kick_for_one_submit),
		WITH_ONE_QUEUE(what_a_downed_interface_held_leaves_once_it_is_up),
		WITH_ONE_QUEUE(frames_the_device_dropped_are_counted_and_come_back),
		WITH_ONE_QUEUE(cancelled_buffers_go_back),
		WITH_FOUR_QUEUES(a_packet_on_the_wrong_queue_is_dropped_and_the_queue_recorded),
		WITH_FOUR_QUEUES(a_flow_is_taken_from_its_own_workers_queue_only),
		WITH_FOUR_QUEUES(receives_from_all_queues_while_the_worker_polls),
		WITH_FOUR_QUEUES(icmp_errors_on_a_queue_without_socket_are_dropped_and_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
