/*
 * What the tests of the AF_XDP driver share: the driver on the lab's xdp0, the peer's packets, and who answered them.
 */
#ifndef HAREWIRE_TESTS_AF_XDP_LAB_H
#define HAREWIRE_TESTS_AF_XDP_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/af_xdp/af_xdp.h"
#include "tests/integration/frames.h"
#include "tests/integration/lab.h"

#define PATIENCE_MS 2000 /* for what must happen */
#define SILENCE_MS  60   /* for what must not */

extern struct lab lab;
extern const struct driver_flow FLOW;
extern const struct frame_shape PLAIN;

/* cmocka fixtures. */
int one_queue(void **state);
int four_queues(void **state);
int teardown(void **state);

#define WITH_ONE_QUEUE(test)   cmocka_unit_test_setup_teardown(test, one_queue, teardown)
#define WITH_FOUR_QUEUES(test) cmocka_unit_test_setup_teardown(test, four_queues, teardown)

/* The driver on queue 0 of xdp0; fails the test when it is refused. */
struct driver *xdp_create(enum af_xdp_mode mode, uint32_t frames);
/* The same on a queue of our choice. */
struct driver *xdp_create_on(int queue, enum af_xdp_mode mode);
/* The code with which it is refused, and the sentence; 0 when it is not (it is destroyed again). */
int xdp_refusal(const char *interface, int queue, enum af_xdp_mode mode, char why[256]);

void peer_send_syn(const struct driver_flow *flow, const struct frame_shape *shape);
/* Receives one packet of ours within `timeout_ms` and gives it back; its length, or 0. */
uint32_t xdp_receive(struct driver *d, int timeout_ms, uint8_t copy[FRAME_BYTES_MAX]);
bool kernel_answers_with_rst(uint16_t our_port, int timeout_ms);
struct driver_stats xdp_stats(struct driver *d);
bool xdp_program_attached(void);

/* Adds FLOW to a fresh driver; then 100 packets of it arrive, and the kernel says nothing about them. */
void assert_our_flow_comes_to_us(struct driver *d);

#endif
