/*
 * The XDP program (flow.bpf.c), its maps and its link to the interface. The link belongs to this process: the kernel
 * detaches the program when the process ends, however it ends. Control thread.
 */
#ifndef HAREWIRE_AF_XDP_PROGRAM_H
#define HAREWIRE_AF_XDP_PROGRAM_H

#include <stdint.h>

#include "drivers/af_xdp/device.h"
#include "drivers/af_xdp/xdp_maps.h"

struct driver_flow;

struct flow_program {
	struct flow *skeleton;
	int link;           /* fd, or -1: not attached */
	uint32_t xdp_flags; /* how it is attached: XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE */
};

/* Loads it for a device with that many receive queues. 0, HW_ERR_SYSTEM or HW_ERR_NOMEM. */
int flow_program_load(struct flow_program *program, const struct device *device, const struct why *why);

/*
 * Attaches it, or does nothing where it already is so. 0; HW_ERR_BUSY: another program is there; HW_ERR_UNSUPPORTED:
 * this driver or its present settings refuse the mode, another mode may work; HW_ERR_SYSTEM.
 */
int flow_program_attach(struct flow_program *program, const struct device *device, uint32_t xdp_flags,
			const struct why *why);

/* Detaches and unloads. Allowed on a zeroed or failed one. */
void flow_program_close(struct flow_program *program);

/* The map of sockets by queue, for xsk_socket__update_xskmap. */
int flow_program_socket_map(const struct flow_program *program);

/* 0, HW_ERR_BUSY (already there), HW_ERR_NOMEM (FLOWS_MAX), HW_ERR_SYSTEM. */
int flow_program_add(struct flow_program *program, const struct driver_flow *flow);
void flow_program_remove(struct flow_program *program, const struct driver_flow *flow);
/* 0 or HW_ERR_INVALID: not there. */
int flow_program_state(const struct flow_program *program, const struct driver_flow *flow, struct flow_state *state);

#endif
