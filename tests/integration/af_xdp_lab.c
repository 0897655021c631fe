#include "tests/integration/af_xdp_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/libbpf.h>
#include <string.h>

#include "dataplane/base/bytes.h"

struct lab lab;
const struct driver_flow FLOW = {LAB_OUR_IP, LAB_THEIR_IP, 40000, 5672};
const struct frame_shape PLAIN = {0};

int one_queue(void **state)
{
	lab_up(&lab, 1);
	return 0;
}

int four_queues(void **state)
{
	lab_up(&lab, 4);
	return 0;
}

int teardown(void **state)
{
	lab_down(&lab);
	return 0;
}

static struct driver *create(const struct af_xdp_options *options)
{
	char why[256] = "";
	struct driver *d = NULL;
	if (af_xdp_create(options, &d, why, sizeof why))
		fail_msg("%s", why);
	return d;
}

struct driver *xdp_create(enum af_xdp_mode mode, uint32_t frames)
{
	return create(&(struct af_xdp_options){.interface = "xdp0", .queue = -1, .mode = mode, .frames = frames});
}

struct driver *xdp_create_on(int queue, enum af_xdp_mode mode)
{
	return create(&(struct af_xdp_options){.interface = "xdp0", .queue = queue, .mode = mode, .frames = 64});
}

int xdp_refusal(const char *interface, int queue, enum af_xdp_mode mode, char why[256])
{
	const struct af_xdp_options options = {.interface = interface, .queue = queue, .mode = mode};
	struct driver *d = NULL;
	why[0] = 0;
	int rc = af_xdp_create(&options, &d, why, 256);
	if (rc == 0)
		d->ops->destroy(d);
	return rc;
}

void peer_send_syn(const struct driver_flow *flow, const struct frame_shape *shape)
{
	struct frame frame;
	frame_syn(&frame, flow, shape);
	lab_send(&lab, frame.bytes, frame.len);
}

uint32_t xdp_receive(struct driver *d, int timeout_ms, uint8_t copy[FRAME_BYTES_MAX])
{
	uint64_t end = lab_now_ms() + (uint64_t)timeout_ms;
	do {
		struct packet packet;
		if (d->ops->rx_burst(d, &packet, 1) == 1) {
			uint32_t len = packet.len;
			assert_true(len <= FRAME_BYTES_MAX);
			memcpy(copy, packet.data, len);
			d->ops->rx_release(d, &packet, 1);
			return len;
		}
	} while (lab_now_ms() < end);
	return 0;
}

bool kernel_answers_with_rst(uint16_t our_port, int timeout_ms)
{
	uint8_t frame[FRAME_BYTES_MAX];
	uint64_t end = lab_now_ms() + (uint64_t)timeout_ms;
	for (uint64_t now = lab_now_ms(); now < end; now = lab_now_ms()) {
		size_t len = lab_receive(&lab, frame, sizeof frame, (int)(end - now));
		if (frame_is_our_rst(frame, len, our_port))
			return true;
	}
	return false;
}

struct driver_stats xdp_stats(struct driver *d)
{
	struct driver_stats stats;
	d->ops->stats(d, &stats);
	return stats;
}

bool xdp_program_attached(void)
{
	uint32_t id = 0;
	return bpf_xdp_query_id((int)lab.index, 0, &id) == 0 && id != 0;
}

void assert_our_flow_comes_to_us(struct driver *d)
{
	uint8_t frame[FRAME_BYTES_MAX];
	assert_int_equal(d->ops->flow_add(d, &FLOW), 0);
	for (int i = 0; i < 100; i++) {
		peer_send_syn(&FLOW, &PLAIN);
		assert_int_equal(xdp_receive(d, PATIENCE_MS, frame), 54);
		assert_int_equal(get_be16(frame + 36), FLOW.local_port);
	}
	assert_false(kernel_answers_with_rst(FLOW.local_port, SILENCE_MS));
	assert_int_equal(xdp_stats(d).rx_packets, 100);
	assert_int_equal(xdp_stats(d).rx_bytes, 5400);
	assert_int_equal(xdp_stats(d).rx_dropped, 0);
}
