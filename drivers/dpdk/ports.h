/* The ports this process has open, each counted by its queue pairs that are taken. Control thread; any process-wide. */
#ifndef HAREWIRE_DPDK_PORTS_H
#define HAREWIRE_DPDK_PORTS_H

#include "drivers/dpdk/port.h"

/*
 * The port of `device`, opened by the first who asks for one of its queues and shared by those who follow: they must
 * ask for the same in all but queue and cpu. options->queue of it is the caller's until dpdk_ports_release. 0, or
 * HW_ERR_* and a sentence.
 */
int dpdk_ports_take(const struct dpdk_device *device, const struct dpdk_options *options, struct dpdk_port **out,
		    const struct why *why);

/* Gives a queue pair back; with the last of them the port is closed. */
void dpdk_ports_release(struct dpdk_port *port, uint16_t queue);

#endif
