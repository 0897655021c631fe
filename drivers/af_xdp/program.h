/*
 * The XDP program (flow.bpf.c), its maps and its link to the interface: one for each interface and process, shared by
 * all instances of the driver on its queues. The link belongs to this process: the kernel detaches the program when the
 * process ends, however it ends. Control threads.
 */
#ifndef HAREWIRE_AF_XDP_PROGRAM_H
#define HAREWIRE_AF_XDP_PROGRAM_H

#include <stdint.h>

#include "drivers/af_xdp/device.h"
#include "drivers/af_xdp/xdp_maps.h"

struct driver_flow;

struct flow_program;

/*
 * The interface's program: loaded for that many receive queues, or the one that another instance has loaded. 0,
 * HW_ERR_SYSTEM or HW_ERR_NOMEM.
 */
int flow_program_open(struct flow_program **program, const struct device *device, const struct why *why);

/*
 * Attaches it, or does nothing where it already is so. `xdp_flags`: XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE. 0;
 * HW_ERR_BUSY: another program is there; HW_ERR_UNSUPPORTED: this driver or its present settings refuse the mode, or
 * another instance needs it as it is; another mode may work; HW_ERR_SYSTEM.
 */
int flow_program_attach(struct flow_program *program, const struct device *device, uint32_t xdp_flags,
			const struct why *why);

/* The last of its users detaches and unloads it. NULL is allowed. */
void flow_program_close(struct flow_program *program);

/* The map of sockets by queue, for xsk_socket__update_xskmap. */
int flow_program_socket_map(const struct flow_program *program);

/* Takes the flow from `queue`, or from all that have sockets (-1). 0, HW_ERR_BUSY (already there), HW_ERR_NOMEM
 * (FLOWS_MAX), HW_ERR_SYSTEM. */
int flow_program_add(struct flow_program *program, const struct driver_flow *flow, int32_t queue);
/* From all queues that have sockets, from now on. */
void flow_program_take_from_all(struct flow_program *program, const struct driver_flow *flow);
void flow_program_remove(struct flow_program *program, const struct driver_flow *flow);
/* 0 or HW_ERR_INVALID: not there. */
int flow_program_state(const struct flow_program *program, const struct driver_flow *flow, struct flow_state *state);

#endif
