/* Our NIC: a packet driver between the worker's transport and the links. */
#include <string.h>

#include "tests/sim/session/session.h"

#define LINK_HEADER 14u

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, their_mac[6] = {2, 0, 0, 0, 0, 2};

static struct nic *nic_of(struct driver *d)
{
	return (struct nic *)d;
}

static uint32_t rx_burst(struct driver *d, struct packet *packets, uint32_t max)
{
	struct nic *nic = nic_of(d);
	struct world *w = nic->world;
	uint32_t n = 0;
	for (uint32_t host = 0; host < HOSTS; host++) {
		while (n < max && sim_link_receive(&w->in[host], w->now_ns, &nic->rx[n])) {
			uint8_t *frame = nic->rx_frames[n];
			memcpy(frame, our_mac, 6);
			memcpy(frame + 6, their_mac, 6);
			frame[12] = 8;
			frame[13] = 0;
			memcpy(frame + LINK_HEADER, nic->rx[n].bytes, nic->rx[n].len);
			packets[n] = (struct packet){.data = frame, .len = nic->rx[n].len + LINK_HEADER};
			n++;
		}
	}
	return n;
}

/* What was lent is overwritten when it is given back: nobody may look at it any more. */
static void rx_release(struct driver *d, const struct packet *packets, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		memset(packets[i].data, 0xdd, packets[i].len);
}

static uint32_t tx_reserve(struct driver *d, struct packet *packets, uint32_t max)
{
	struct nic *nic = nic_of(d);
	if (nic->world->now_ns < nic->no_buffers_until_ns)
		return 0;
	uint32_t n = max < DRIVER_BURST_MAX ? max : DRIVER_BURST_MAX;
	for (uint32_t i = 0; i < n; i++)
		packets[i] = (struct packet){.data = nic->tx_frames[i], .len = sizeof nic->tx_frames[i]};
	return n;
}

static void transmit(struct world *w, const uint8_t *packet, size_t len)
{
	struct wire_segment s;
	if (!wire_parse(packet, len, &s) || s.destination_ip - HOST_IP >= HOSTS) {
		fail(w, "a segment of ours is malformed, or for nobody", 0);
		return;
	}
	uint32_t host = s.destination_ip - HOST_IP;
	tap_packet(w, packet, len);
	if (w->trace > 1)
		trace(w, "> port %u host %u seq %u len %u ack %u win %u flags %02x", s.source_port, host, s.seq, s.len,
		      s.ack, s.window, s.flags);
	if (w->now_ns >= w->partition_until_ns[host])
		sim_link_send(&w->out[host], packet, len, w->now_ns);
}

static void tx_submit(struct driver *d, const struct packet *packets, uint32_t n, uint32_t reserved)
{
	for (uint32_t i = 0; i < n; i++)
		transmit(nic_of(d)->world, packets[i].data + LINK_HEADER, packets[i].len - LINK_HEADER);
}

static void destroy(struct driver *d)
{
	(void)d;
}

static const struct driver_ops ops = {.rx_burst = rx_burst,
				      .rx_release = rx_release,
				      .tx_reserve = tx_reserve,
				      .tx_submit = tx_submit,
				      .destroy = destroy};

void nic_init(struct world *w)
{
	struct nic *nic = &w->nic;
	nic->driver = (struct driver){
		.ops = &ops,
		.info = {.name = "sim", .mtu = 1500, .frame_bytes = 1514, .queues = 1, .shared_address = true}};
	memcpy(nic->driver.info.mac, our_mac, 6);
	nic->world = w;
	nic->no_buffers_until_ns = 0;
}

uint64_t nic_next(const struct world *w)
{
	uint64_t next = NEVER;
	for (uint32_t host = 0; host < HOSTS; host++)
		next = min64(next, min64(sim_link_next(&w->in[host]), sim_link_next(&w->out[host])));
	return w->now_ns < w->nic.no_buffers_until_ns ? min64(next, w->nic.no_buffers_until_ns) : next;
}
