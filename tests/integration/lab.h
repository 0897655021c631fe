/*
 * Two network namespaces of this process's own, joined by a veth pair. Nothing touches the host's, and the kernel
 * removes both when the process ends.
 *
 *     ours: xdp0 10.77.0.1, 02:00:00:00:00:01  <──>  theirs: xdp1 10.77.0.2, 02:00:00:00:00:02
 */
#ifndef HAREWIRE_TESTS_LAB_H
#define HAREWIRE_TESTS_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_OUR_IP   0x0a4d0001u
#define LAB_THEIR_IP 0x0a4d0002u

struct lab {
	int ours, theirs; /* the namespaces */
	int wire;         /* packet socket on xdp1 */
	uint32_t index;   /* of xdp0 */
};

/* Builds it, with `queues` queues at each end; the process is in `ours` afterwards. Ends the program when it cannot. */
void lab_up(struct lab *lab, unsigned queues);
void lab_down(struct lab *lab);

/* Runs a command in one of the namespaces; ends the program when it fails. */
__attribute__((format(printf, 2, 3))) void lab_run(int namespace, const char *format, ...);

/* The peer sends a frame, or receives one within `timeout_ms`: its length, or 0. */
void lab_send(const struct lab *lab, const void *frame, size_t len);
size_t lab_receive(const struct lab *lab, void *frame, size_t cap, int timeout_ms);

uint64_t lab_now_ms(void);

#endif
