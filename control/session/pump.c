#include "control/session/pump.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "dataplane/base/bytes.h"

#define CHUNK_BYTES        4096u
#define FRAME_HEADER_BYTES 7u
#define FRAME_OVERHEAD     8u

void pump_init(struct pump *p, struct bridge *bridge, int fd)
{
	*p = (struct pump){.bridge = bridge, .fd = fd};
}

/* Starts on the next frame, if one has come. The worker writes whole frames, so the rest of it is in the ring too. */
static bool start_frame(struct pump *p)
{
	uint8_t header[FRAME_HEADER_BYTES];
	if (byte_ring_held(&p->bridge->to_control) < FRAME_OVERHEAD)
		return false;
	byte_ring_peek(&p->bridge->to_control, 0, header, sizeof header);
	p->pending = get_be32(header + 3) + FRAME_OVERHEAD;
	return true;
}

static bool run_to_fd(struct pump *p)
{
	bool moved = false;
	while (p->pending || start_frame(p)) {
		uint8_t chunk[CHUNK_BYTES];
		uint32_t len = p->pending < CHUNK_BYTES ? p->pending : CHUNK_BYTES;
		byte_ring_peek(&p->bridge->to_control, 0, chunk, len);
		ssize_t sent = send(p->fd, chunk, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		byte_ring_consume(&p->bridge->to_control, (uint32_t)sent);
		p->pending -= (uint32_t)sent;
		moved = true;
	}
	return moved;
}

static bool run_to_wire(struct pump *p)
{
	bool moved = false;
	uint32_t space;
	while ((space = byte_ring_space(&p->bridge->to_wire)) > 0) {
		uint8_t chunk[CHUNK_BYTES];
		ssize_t got = recv(p->fd, chunk, space < CHUNK_BYTES ? space : CHUNK_BYTES, MSG_DONTWAIT);
		if (got <= 0)
			break;
		byte_ring_write(&p->bridge->to_wire, chunk, (uint32_t)got);
		moved = true;
	}
	return moved;
}

bool pump_run(struct pump *p)
{
	bool to_fd = run_to_fd(p);
	return run_to_wire(p) || to_fd;
}

bool pump_delivered(struct pump *p)
{
	int unread_by_session = 0;
	return ioctl(p->fd, SIOCOUTQ, &unread_by_session) == 0 && unread_by_session == 0 && p->pending == 0 &&
	       byte_ring_held(&p->bridge->to_control) == 0;
}

bool pump_flush(struct pump *p)
{
	struct byte_ring *to_wire = &p->bridge->to_wire;
	int unread_by_us = 0;
	run_to_wire(p);
	return ioctl(p->fd, SIOCINQ, &unread_by_us) == 0 && unread_by_us == 0 &&
	       byte_ring_space(to_wire) == to_wire->mask + 1;
}

bool pump_idle(struct pump *p)
{
	struct byte_ring *to_wire = &p->bridge->to_wire;
	int unread_by_us = 0;
	return pump_delivered(p) && ioctl(p->fd, SIOCINQ, &unread_by_us) == 0 && unread_by_us == 0 &&
	       byte_ring_space(to_wire) == to_wire->mask + 1;
}
