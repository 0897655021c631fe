/*
 * A packet driver: one `const` table of operations on bursts of packets, for one receive/transmit queue pair.
 *
 * The data operations belong to one worker and never block, allocate, log or lock. The set-up operations belong to the
 * control thread and may run while the worker polls. Drivers know Ethernet frames and nothing above; they are wrapped,
 * not changed, to inject faults, capture packets or play a peer (drivers/interceptors).
 */
#ifndef HAREWIRE_DRIVER_H
#define HAREWIRE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRIVER_BURST_MAX 32u

/* One Ethernet frame in driver memory. */
struct packet {
	uint8_t *data;
	uint32_t len;           /* octets; for a reserved transmit buffer: its capacity until the caller sets it */
	uint16_t flags;         /* of a reserved transmit buffer: 0 until the caller sets them */
	uint16_t segment_bytes; /* with PACKET_SEGMENT: TCP payload octets of each segment but the last */
	uint64_t handle;        /* the driver's own */
};

#define PACKET_CHECKSUM_GOOD 0x1u /* received: the device or the link vouches for the L4 checksum */
/*
 * To be sent, IPv4 and TCP without IPv4 options: the device fills in the TCP checksum, whose field holds the sum of the
 * pseudo header, length included, not complemented. IPv4's own checksum is in place. Only where
 * driver_info.tx_checksum.
 */
#define PACKET_FILL_CHECKSUM 0x2u
/*
 * To be sent: the device cuts it into segments of segment_bytes (TSO) and fills in lengths and checksums of both
 * headers. Comes with PACKET_FILL_CHECKSUM; the pseudo header's sum is then without the length. Only where
 * driver_info.tso_bytes.
 */
#define PACKET_SEGMENT 0x4u

/* A flow we own: IPv4 and TCP, host byte order, local is ours. */
struct driver_flow {
	uint32_t local_ip, remote_ip;
	uint16_t local_port, remote_port;
};

/* What the device and the mode it runs in can do; fixed once the driver exists. */
struct driver_info {
	char name[16];    /* "af_xdp", "dpdk", "null" */
	char mode[32];    /* how it runs, for people: "native, copy" */
	char reason[320]; /* why this mode was chosen and not a better one; may be empty */
	char device[32];  /* "eth0" */
	uint8_t mac[6];
	uint16_t mtu;         /* octets of an IP packet that fit both the device and the driver's buffers */
	uint32_t frame_bytes; /* capacity of one transmit buffer, Ethernet header included */
	uint32_t queues;      /* receive queues of the device */
	uint32_t queue;       /* ours */
	bool shared_address;  /* the kernel keeps the interface's address; neighbours and routes come from it */
	char interface[16];   /* with shared_address: the kernel's interface that has it */
	uint16_t vlan;        /* the tag of frames of the address's network; 0: they have none */
	/* How packets of our connections come to our queue, for people: "one queue". As of the last flow operation. */
	char steering[96];
	bool tx_checksum;   /* PACKET_FILL_CHECKSUM may be asked for */
	bool rx_checksum;   /* received packets with a good L4 checksum say so */
	uint32_t tso_bytes; /* longest frame with PACKET_SEGMENT, link header included; 0: none */
};

struct driver_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t tx_no_buffer; /* reserve refused: all buffers in flight */
	uint64_t tx_dropped;   /* submitted but lost before the wire */
	uint64_t rx_dropped;   /* the device had no buffer for a packet of ours */
	uint64_t kicks;        /* system calls made to start transmission */
};

struct driver;

typedef void driver_stat_visitor(void *context, const char *name, uint64_t value);

struct driver_ops {
	/* Data: the worker's thread. */

	/* Up to `max` received frames into `packets`; returns how many. Each stays valid until rx_release. */
	uint32_t (*rx_burst)(struct driver *d, struct packet *packets, uint32_t max);
	/* Gives the frames of the last rx_burst back; exactly those, once. */
	void (*rx_release)(struct driver *d, const struct packet *packets, uint32_t n);

	/* Reserves up to `max` transmit buffers; returns how many. All are either submitted or cancelled before the
	 * next call. */
	uint32_t (*tx_reserve)(struct driver *d, struct packet *packets, uint32_t max);
	/*
	 * With tso_bytes: reserves one buffer, tso_bytes long, for a frame with PACKET_SEGMENT; returns 0 when none is
	 * free, and buffers of tx_reserve do instead. Else as tx_reserve. May be NULL without tso_bytes.
	 */
	uint32_t (*tx_reserve_large)(struct driver *d, struct packet *packet);
	/* Hands the first `n` reserved frames (len set) to the device and starts it; the remaining reserved - n go
	 * back. */
	void (*tx_submit)(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved);

	/* Set-up: the control thread. All but destroy may be NULL where the device needs nothing. */

	/* Our packets of this flow come to us from now on. 0 or HW_ERR_*. */
	int (*flow_add)(struct driver *d, const struct driver_flow *flow);
	void (*flow_remove)(struct driver *d, const struct driver_flow *flow);
	/*
	 * The device queue on which packets of the flow will arrive, if that follows from its ports and addresses and
	 * is known beforehand; else -1 (flow_add brings them to ours, or it will be seen). Control looks for a local
	 * port with which it is ours before it adds the flow.
	 */
	int (*flow_queue)(const struct driver *d, const struct driver_flow *flow);
	/* Another worker has received a packet of this flow, from `queue`: flow_wrong_queue says so from now on. */
	void (*flow_strayed)(struct driver *d, const struct driver_flow *flow, uint32_t queue);
	/*
	 * The device queue on which a packet of the flow was last seen although we do not receive from it, or -1: none.
	 * Such a packet was dropped, never given to the kernel.
	 */
	int (*flow_wrong_queue)(struct driver *d, const struct driver_flow *flow);
	/* Receive from every queue of the device from now on. 0 or HW_ERR_*. */
	int (*receive_all_queues)(struct driver *d);

	/* Any thread. Can the device reach its network? NULL: the kernel knows (shared_address). */
	bool (*link_up)(const struct driver *d);
	/* Any thread: racy snapshot. */
	void (*stats)(const struct driver *d, struct driver_stats *stats);
	/*
	 * Any thread but the worker's. Calls `each` for every counter the device keeps of its own, by the name its
	 * driver has for it; instances of one device list the same. Returns how many. NULL: it has none.
	 */
	uint32_t (*extra_stats)(const struct driver *d, driver_stat_visitor *each, void *context);

	void (*destroy)(struct driver *d);
};

struct driver {
	const struct driver_ops *ops;
	struct driver_info info;
};

#endif
